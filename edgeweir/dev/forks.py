"""Children that are forked from a process whose code is loaded: half a dozen interpreters need not load it again.

Linux only, and only while no event loop and no other thread runs: what a loop holds cannot be shared by two processes.
Like every child they have a session and a log file of their own and die with the process that started them; at once,
since nobody is left to wait for a clean end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NoReturn

from edgeweir.dev.children import Child

_PR_SET_PDEATHSIG: Final = 1
_OWN_FILES: Final = 3
_LOOK_S: Final = 0.001
_BUG: Final = 1


class Forked:
    """A forked process as `subprocess.Popen` would show it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def wait(self) -> int:
        """Reap it; the exit code, negative for a signal."""
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def fork_child(name: str, work: Callable[[], None], *, log: Path, env: Mapping[str, str]) -> Child:
    """Fork a process that does the work and ends; its output is appended to `log`."""
    assert threading.current_thread() is threading.main_thread(), "a child dies with the thread that started it"
    assert asyncio._get_running_loop() is None, "a loop cannot be shared"  # noqa: SLF001  # asking never raises
    log.parent.mkdir(parents=True, exist_ok=True)
    offset = log.stat().st_size if log.exists() else 0
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(parent, work, log, env)
    # Its group must exist before anybody signals it.
    with contextlib.suppress(ProcessLookupError):
        while os.getpgid(pid) != pid:
            time.sleep(_LOOK_S)
    return Child(name, ("fork", name), Forked(pid), log, offset)


def _become(parent: int, work: Callable[[], None], log: Path, env: Mapping[str, str]) -> NoReturn:
    """In the child: nothing of the parent's but its code; never returns."""
    code = _BUG
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(_BUG)
        _use_own_files(log)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(env)
        work()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else _BUG
    except BaseException:  # noqa: BLE001  # the last door of this process: its log must say why it ended
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _use_own_files(log: Path) -> None:
    """Input from nowhere, output to the log, and none of the parent's files: its lock above all."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Whoever loaded us may have put other streams in the place of the system's (a test does).
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115  # as long as the process
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115  # as above
    for link in tuple(Path("/proc/self/fd").iterdir()):
        if int(link.name) >= _OWN_FILES:
            with contextlib.suppress(OSError):
                os.close(int(link.name))
