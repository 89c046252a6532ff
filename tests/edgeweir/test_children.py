"""A child never outlives the run that started it, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeweir.dev import tether
from edgeweir.dev.children import Child, start_child
from edgeweir.dev.errors import Missing
from edgeweir.dev.proc import started_ticks

STUBBORN = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.2; done"]


def start(tmp_path: Path, *argv: str) -> Child:
    return start_child("sample", argv, log=tmp_path / "logs" / "sample.log")


def gone(pid: int, within_s: float = 5) -> bool:
    give_up = time.monotonic() + within_s
    while started_ticks(pid) is not None:
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def wait_for(word: str, child: Child) -> None:
    while word not in child.output():
        time.sleep(0.02)


async def test_a_child_writes_to_its_log_and_its_exit_code_is_told(tmp_path: Path) -> None:
    child = start(tmp_path, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert await child.wait() == 7
    assert child.output() == "out\nerr\n"


async def test_a_second_start_appends_to_the_log_and_reads_only_its_own_part(tmp_path: Path) -> None:
    await start(tmp_path, "echo", "first").wait()
    second = start(tmp_path, "echo", "second")
    await second.wait()
    assert second.output() == "second\n"
    assert second.log.read_text() == "first\nsecond\n"


async def test_a_polite_child_ends_at_once_and_a_stubborn_one_after_the_grace(tmp_path: Path) -> None:
    assert await start(tmp_path, "sleep", "600").stop() == -signal.SIGTERM
    stubborn = start(tmp_path, *STUBBORN)
    wait_for("ready", stubborn)
    assert await stubborn.stop(grace_s=0.3) == -signal.SIGKILL


async def test_what_a_child_leaves_in_its_group_ends_with_it(tmp_path: Path) -> None:
    child = start(tmp_path, "sh", "-c", "sleep 600 & echo $!")
    assert await child.wait() == 0
    assert gone(int(child.output()))


async def test_a_frozen_child_can_be_thawed_and_killed(tmp_path: Path) -> None:
    child = start(tmp_path, "sleep", "600")
    child.send(signal.SIGSTOP)
    assert child.returncode is None
    child.send(signal.SIGCONT)
    assert await child.kill() == -signal.SIGKILL
    child.send(signal.SIGTERM)  # nothing to send to, and no error


def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"^no-such-program is not installed, and sample needs it$"):
        start(tmp_path, "no-such-program")


SUPERVISOR = """
import sys, time
from pathlib import Path
from edgeweir.dev.children import start_child
print(start_child("sample", ["sleep", "600"], log=Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""


def test_a_child_dies_with_its_killed_supervisor(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        time.sleep(0.2)
        assert started_ticks(child) is not None
        supervisor.send_signal(signal.SIGKILL)
        assert gone(child)


ORDERING = """
import os, subprocess, sys, time
print(subprocess.Popen([sys.executable, sys.argv[1], str(os.getpid()), "sh", "-c", "echo $$; exec sleep 600"]).pid, flush=True)
time.sleep(600)
"""


def test_where_the_kernel_sends_no_signal_the_tether_does_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ORDERING, tether.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        tethered, child = int(supervisor.stdout.readline()), int(supervisor.stdout.readline())
        supervisor.send_signal(signal.SIGKILL)
        assert gone(child)
        assert gone(tethered)


def test_the_tether_passes_an_order_to_stop_on_and_exits_as_the_command_does() -> None:
    command = [
        sys.executable,
        tether.__file__,
        str(os.getpid()),
        "sh",
        "-c",
        "trap 'exit 5' TERM; echo on; sleep 600 & wait",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as tethered:
        assert tethered.stdout is not None
        assert tethered.stdout.readline() == "on\n"
        tethered.terminate()
        assert tethered.wait(5) == 5
        os.killpg(tethered.pid, signal.SIGKILL)  # the sleep that the shell left
