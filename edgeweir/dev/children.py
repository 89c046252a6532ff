"""Child processes of a run: each dies with the process that started it, has a session and a log file of its own.

Strategy: the kernel sends SIGTERM to a child when the *thread* that forked it ends, so children start in the main
thread only (of a script or of its event loop) and never in an executor. The handle is a plain `Popen`, not asyncio's:
it outlives the loop that started it, which a session of tests needs.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from edgeweir.dev.errors import Missing
from edgeweir.dev.proc import end_group, started_ticks

GRACE_S = 10.0
_POLL_S = 0.05
# The parent may have died before the signal was asked for: then nobody would send it, so look once after asking.
_STILL_CHILD = '[ "$PPID" = "$0" ] && exec "$@"'


class Started(Protocol):
    """A process of ours, as `subprocess.Popen` shows it."""

    pid: int
    returncode: int | None

    def wait(self) -> int:
        """Reap it; the exit code."""
        ...


class Child:
    """One started process; its pid is also its process group and its session."""

    def __init__(self, name: str, argv: Sequence[str], popen: Started, log: Path, log_offset: int) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.pid = popen.pid
        self.log = log
        self.log_offset = log_offset
        self.started_ticks = started_ticks(popen.pid) or 0
        self._popen = popen

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs. What it left in its group ends with it."""
        if self._popen.returncode is None and self._has_exited():
            # Not reaped yet, so the group's number cannot be another's.
            end_group(self.pid)
            self._popen.wait()
        return self._popen.returncode

    async def wait(self) -> int:
        """Wait for its end, without a thread and (on Linux) without polling; returns the exit code."""
        while (code := self.returncode) is None:
            await _exit_of(self.pid)
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its whole group; nothing happens when it has ended."""
        if self.returncode is None:
            os.killpg(self.pid, number)

    async def stop(self, grace_s: float = GRACE_S) -> int:
        """SIGTERM to the child, SIGKILL to its group when the grace is over; returns the exit code."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.wait(), grace_s)
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """SIGKILL to its whole group; returns the exit code."""
        self.send(signal.SIGKILL)
        return await self.wait()

    def end(self) -> None:
        """SIGKILL to its whole group, and wait: for a second Ctrl-C and for code outside a loop."""
        self.send(signal.SIGKILL)
        self._popen.wait()

    def output(self) -> str:
        """What this start has written, without what an earlier child of that name left in the same log."""
        with self.log.open("rb") as log:
            log.seek(self.log_offset)
            return log.read().decode(errors="replace")

    def tail(self, lines: int = 60) -> str:
        """The last lines of what it has written."""
        return "\n".join(self.output().splitlines()[-lines:])

    def _has_exited(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def start_child(
    name: str,
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Child:
    """Start a process that dies with this one, its output appended to `log`; raises Missing without such a program."""
    assert threading.current_thread() is threading.main_thread(), "a child dies with the thread that started it"
    program = shutil.which(argv[0])
    if program is None:
        message = f"{argv[0]} is not installed, and {name} needs it"
        raise Missing(message)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        offset = output.tell()
        return Child(name, argv, _popen([program, *argv[1:]], output, env, cwd), log, offset)


def _popen(
    argv: list[str], output: BinaryIO, env: Mapping[str, str] | None, cwd: Path | None
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*_leash(), *argv],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=None if env is None else dict(env),
        cwd=cwd,
        start_new_session=True,
    )


def _leash() -> list[str]:
    """What stands before a command so that it ends when this process does."""
    setpriv = shutil.which("setpriv")
    if sys.platform == "linux" and setpriv:
        return [setpriv, "--pdeathsig", "TERM", "--", "/bin/sh", "-c", _STILL_CHILD, str(os.getpid())]
    return [sys.executable, str(Path(__file__).with_name("tether.py")), str(os.getpid())]


async def _exit_of(pid: int) -> None:
    """Return when the process may have exited."""
    if not hasattr(os, "pidfd_open"):
        await asyncio.sleep(_POLL_S)
        return
    handle = os.pidfd_open(pid)
    exited = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, exited.set)
    try:
        await exited.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
