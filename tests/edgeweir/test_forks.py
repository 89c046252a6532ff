"""Forked children: they have a log, an environment and a session of their own, and hold nothing of their parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeweir.dev.forks import fork_child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")


def test_a_forked_child_writes_its_own_log_and_ends_with_its_code(tmp_path: Path) -> None:
    def work() -> None:
        sys.stdout.write(f"{os.environ['WHO']} {os.getsid(0) == os.getpid()}\n")
        raise SystemExit(7)

    child = fork_child("one", work, log=tmp_path / "one.log", env={"WHO": "me"})
    assert asyncio.run(child.wait()) == 7
    assert child.output() == "me True\n"


def test_what_goes_wrong_in_it_stands_in_its_log(tmp_path: Path) -> None:
    def work() -> None:
        raise ValueError("the reason")

    child = fork_child("one", work, log=tmp_path / "one.log", env={})
    assert asyncio.run(child.wait()) == 1
    assert "ValueError: the reason" in child.output()


def test_it_holds_no_file_of_its_parent(tmp_path: Path) -> None:
    held = (tmp_path / "lock").open("w")

    def work() -> None:
        sys.stdout.write(str(any(name.endswith("/lock") for name in _open_files())))

    child = fork_child("one", work, log=tmp_path / "one.log", env={})
    asyncio.run(child.wait())
    held.close()
    assert child.output() == "False"


def _open_files() -> list[str]:
    return [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]


def test_it_is_killed_with_its_group(tmp_path: Path) -> None:
    child = fork_child("one", lambda: time.sleep(60), log=tmp_path / "one.log", env={})
    assert child.returncode is None
    assert asyncio.run(child.kill()) == -signal.SIGKILL


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from edgeweir.dev.forks import fork_child\n"
        "child = fork_child('one', lambda: time.sleep(60), log=Path(sys.argv[1]), env={})\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "one.log")], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    give_up = time.monotonic() + 10
    while _lives(pid) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    """A zombie that its new parent has not reaped yet is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
