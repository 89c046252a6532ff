"""A run is alive while its lock is held; what a dead one left is ended, and nothing else ever is."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from edgeweir.dev.children import Child
from edgeweir.dev.errors import Missing, NotFound
from edgeweir.dev.places import Places
from edgeweir.dev.proc import boot_id, started_ticks
from edgeweir.dev.records import ChildRecord, RunRecord, read_record
from edgeweir.dev.runs import Rank, Run, living, reap_stale


@pytest.fixture
def here(tmp_path: Path) -> Places:
    return Places(cache=tmp_path / "cache", state=tmp_path / "state")


@pytest.fixture
def bystander() -> subprocess.Popen[bytes]:
    """A process of somebody else."""
    return subprocess.Popen(["sleep", "600"], start_new_session=True)


def alive(pid: int, for_s: float = 0.3) -> bool:
    time.sleep(for_s)
    return started_ticks(pid) is not None


def wait_for(word: str, child: Child) -> None:
    while word not in child.output():
        time.sleep(0.02)


def gone(pid: int) -> bool:
    give_up = time.monotonic() + 5
    while started_ticks(pid) is not None and time.monotonic() < give_up:
        time.sleep(0.02)
    return started_ticks(pid) is None


def left_behind(here: Places, child: ChildRecord, boot: str, *, keep: bool = False) -> None:
    """The folder of a run whose supervisor is dead: nobody holds the lock."""
    folder = here.runs / "dead"
    folder.mkdir(parents=True)
    RunRecord("dead", "no-such-token", boot, 1, 0, keep, [child]).write(folder)


async def test_a_run_writes_down_its_children_and_ports_and_leaves_no_folder(here: Places) -> None:
    run = Run.open(here, "default")
    child = run.start("sleeper", ["sleep", "600"], rank=Rank.WORKER)
    run.note_port("kafka", 19092)
    record = living(here, "default")
    assert record.children == [ChildRecord("sleeper", child.pid, child.started_ticks)]
    assert record.ports == {"kafka": 19092}
    assert record.boot_id == boot_id()
    await run.stop()
    assert run.close() == []
    assert not run.folder.exists()


async def test_children_stop_rank_by_rank_the_broker_last(here: Places, tmp_path: Path) -> None:
    run = Run.open(here, "default")
    ends = tmp_path / "ends"
    for rank in (Rank.BROKER, Rank.EMITTER, Rank.WORKER):
        script = f"trap 'echo {rank.name} >> {ends}; exit' TERM; echo ready; sleep 600 & wait"
        child = run.start(rank.name, ["sh", "-c", script], rank=rank)
        wait_for("ready", child)
    await run.stop()
    run.close()
    assert ends.read_text().split() == ["EMITTER", "WORKER", "BROKER"]


def test_a_run_that_is_held_is_refused_with_its_supervisor(here: Places) -> None:
    run = Run.open(here, "default")
    with pytest.raises(Missing, match=rf"^run default is held by pid {run.record.supervisor_pid}: edgeweir dev down"):
        Run.open(here, "default")
    run.close()
    Run.open(here, "default").close()


def test_a_run_that_is_not_alive_is_not_found(here: Places) -> None:
    Run.open(here, "default").close()
    with pytest.raises(NotFound, match="no run named default is alive"):
        living(here, "default")


def test_closing_tells_what_outlived_the_stop_and_kills_it(here: Places) -> None:
    run = Run.open(here, "default")
    child = run.start("sleeper", ["sleep", "600"], rank=Rank.WORKER)
    assert run.close() == ["sleeper"]
    assert child.returncode == -signal.SIGKILL


async def test_a_grandchild_with_a_session_of_its_own_is_found_and_ended(here: Places) -> None:
    run = Run.open(here, "default")
    daemon = run.start("daemon", ["sh", "-c", "setsid sleep 600 & sleep 0.3; echo $!"], rank=Rank.EXECUTOR)
    await daemon.wait()
    grandchild = int(daemon.output())
    assert alive(grandchild)
    assert run.strays() == [f"pid {grandchild}"]
    assert gone(grandchild)
    run.close()


def test_a_kept_run_finds_its_folder_again(here: Places) -> None:
    first = Run.open(here, "mine", keep=True)
    (first.folder / "kafka").mkdir()
    first.close()
    assert reap_stale(here) == []
    second = Run.open(here, "mine", keep=True)
    assert (second.folder / "kafka").exists()
    second.close()
    fresh = Run.open(here, "mine")
    assert not (fresh.folder / "kafka").exists()
    fresh.close()
    assert not fresh.folder.exists()


def test_what_a_dead_supervisor_left_is_ended_and_its_folder_deleted(
    here: Places, bystander: subprocess.Popen[bytes]
) -> None:
    ticks = started_ticks(bystander.pid)
    assert ticks is not None
    left_behind(here, ChildRecord("kafka", bystander.pid, ticks), boot_id())
    assert reap_stale(here) == ["dead"]
    assert bystander.wait(5) == -signal.SIGKILL
    assert not (here.runs / "dead").exists()


@pytest.mark.parametrize(("later_ticks", "boot"), [(1, "this"), (0, "another")])
def test_a_reused_pid_and_a_pid_of_another_boot_are_spared(
    here: Places, bystander: subprocess.Popen[bytes], later_ticks: int, boot: str
) -> None:
    ticks = started_ticks(bystander.pid)
    assert ticks is not None
    left_behind(
        here,
        ChildRecord("kafka", bystander.pid, ticks - later_ticks),
        boot_id() if boot == "this" else "another boot",
    )
    assert reap_stale(here) == ["dead"]
    assert alive(bystander.pid)
    bystander.kill()
    bystander.wait()


def test_a_living_run_is_never_reaped(here: Places) -> None:
    run = Run.open(here, "default")
    child = run.start("sleeper", ["sleep", "600"], rank=Rank.WORKER)
    assert reap_stale(here) == []
    assert alive(child.pid)
    run.close()


def test_a_record_that_cannot_be_read_is_no_reason_to_fail(here: Places) -> None:
    folder = here.runs / "torn"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"name": "to')
    assert read_record(folder) is None
    assert reap_stale(here) == ["torn"]


SUPERVISOR = """
import sys, time
from pathlib import Path
from edgeweir.dev.places import Places
from edgeweir.dev.runs import Rank, Run
run = Run.open(Places(cache=Path(sys.argv[1]), state=Path(sys.argv[1])), "default")
stubborn = run.start("stubborn", ["sh", "-c", "trap '' TERM; echo on; while :; do sleep 0.2; done"], rank=Rank.WORKER)
while "on" not in stubborn.output(): time.sleep(0.02)
print(stubborn.pid, flush=True)
time.sleep(600)
"""


def test_the_next_run_ends_a_child_that_ignored_the_death_of_its_supervisor(tmp_path: Path) -> None:
    here = Places(cache=tmp_path, state=tmp_path)
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        stubborn = int(supervisor.stdout.readline())
        with pytest.raises(Missing, match=f"held by pid {supervisor.pid}"):
            Run.open(here, "default")
        supervisor.kill()
    assert alive(stubborn)
    Run.open(here, "default").close()
    assert gone(stubborn)


def test_the_record_is_json_that_any_tool_can_read(here: Places) -> None:
    run = Run.open(here, "default")
    shown = msgspec.json.decode((run.folder / "run.json").read_bytes())
    assert shown["name"] == "default"
    assert shown["supervisor_pid"] == run.record.supervisor_pid
    run.close()
