"""What the system says of a process: its start time and its environment, so that a reused pid is told apart."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
# Numbering of proc(5), counted behind the name in parentheses (field 2), which may hold spaces.
_STATE, _START_TICKS = 3 - 3, 22 - 3


def boot_id() -> str:
    """The id of this boot of the machine: pids and ticks of another boot mean nothing."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def started_ticks(pid: int) -> int | None:
    """Clock ticks from boot to the start of that process; None when it is gone (a zombie is gone) or not told."""
    fields = _stat(pid)
    if fields is None or fields[_STATE] == "Z":
        return None
    return int(fields[_START_TICKS])


def bearers(assignment: str) -> Iterator[int]:
    """The living processes that carry `NAME=VALUE` in the environment they were started with, this one excepted."""
    wanted = assignment.encode()
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(entry.name)
            if wanted in (entry / "environ").read_bytes().split(b"\0") and pid != os.getpid():
                yield pid


def end_group(pid: int) -> None:
    """SIGKILL to every member of the group that this process leads; no error when none is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()
