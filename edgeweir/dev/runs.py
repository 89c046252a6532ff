"""A run: one folder under `runs/`, held by a file lock while its supervisor lives, and every process started in it.

The lock is the truth about life: who can take it knows that the supervisor is gone, ends what it left and deletes the
folder. Children never inherit the lock (Python opens files close-on-exec).
"""

import asyncio
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Self

from edgeweir.dev.children import GRACE_S, Child, start_child
from edgeweir.dev.errors import Missing, NotFound
from edgeweir.dev.forks import fork_child
from edgeweir.dev.places import Places
from edgeweir.dev.proc import boot_id
from edgeweir.dev.records import TOKEN_NAME, ChildRecord, RunRecord, end_bearers, end_leftovers, read_record


class Rank(IntEnum):
    """Who stops when: what makes work first, what others lean on last."""

    EMITTER = 0
    EXECUTOR = 1
    WORKER = 2
    CONSOLE = 3
    PROMETHEUS = 4
    BROKER = 5


class Run:
    """An open run. Made by `Run.open`; ends with `await stop()` and `close()`."""

    def __init__(self, folder: Path, lock: int, record: RunRecord) -> None:
        self.folder = folder
        self.record = record
        self._lock = lock
        self._children: dict[str, tuple[Rank, Child]] = {}

    @classmethod
    def open(cls, places: Places, name: str, *, keep: bool = False) -> Self:
        """Take the run of that name; what a dead supervisor left of it is ended first.

        With `keep` the folder (so Kafka's data) is taken over and stays; else it starts empty and goes at the end.
        Raises Missing when a living supervisor holds it.
        """
        folder = places.runs / name
        lock = _take(folder)
        if lock is None:
            other = read_record(folder)
            holder = f" by pid {other.supervisor_pid}" if other else ""
            raise Missing(f"run {name} is held{holder}: edgeweir dev down {name}, or choose another --name")
        if stale := read_record(folder):
            end_leftovers(stale)
        if not keep:
            _empty(folder)
        run = cls(folder, lock, _new_record(name, keep=keep))
        run.record.write(folder)
        return run

    @property
    def name(self) -> str:
        """Name of the run, also of its folder."""
        return self.record.name

    @property
    def children(self) -> tuple[Child, ...]:
        """Every child in order of (last) start, ended ones included."""
        return tuple(child for _, child in self._children.values())

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        rank: Rank,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """Start a child (main thread only), its log in `logs/NAME.log`; a restarted name takes the old one's place."""
        environment = {**(os.environ if env is None else env), TOKEN_NAME: self.record.token}
        child = start_child(name, argv, log=self.folder / "logs" / f"{name}.log", env=environment, cwd=cwd)
        return self._note(name, rank, child)

    def fork(self, name: str, work: Callable[[], None], *, rank: Rank, env: Mapping[str, str]) -> Child:
        """As `start`, from the code that is loaded here already: Linux only, main thread, while no loop runs."""
        environment = {**env, TOKEN_NAME: self.record.token}
        child = fork_child(name, work, log=self.folder / "logs" / f"{name}.log", env=environment)
        return self._note(name, rank, child)

    def _note(self, name: str, rank: Rank, child: Child) -> Child:
        self._children.pop(name, None)
        self._children[name] = (rank, child)
        self.record.children = [ChildRecord(c.name, c.pid, c.started_ticks) for c in self.children]
        self.record.write(self.folder)
        return child

    def note_port(self, name: str, port: int) -> None:
        """Write a port into `run.json`, for `dev status` and for whoever looks for it."""
        self.record.ports[name] = port
        self.record.write(self.folder)

    def keep(self) -> None:
        """Leave the folder behind at the end, for a look at it; the next run of this name may empty it."""
        self.record.keep = True
        self.record.write(self.folder)

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """End the children rank by rank: SIGTERM, and SIGKILL to the group after the grace."""
        for rank in Rank:
            members = [child for its_rank, child in self._children.values() if its_rank is rank]
            await asyncio.gather(*(child.stop(grace_s) for child in members))

    def kill(self) -> None:
        """SIGKILL to everything at once, for a second Ctrl-C."""
        for child in self.children:
            child.end()
        self.strays()

    def close(self) -> list[str]:
        """Give the run back: whatever still lives is killed and returned, the folder goes unless it is kept."""
        outlived = [child.name for child in self.children if child.returncode is None]
        self.kill()
        if not self.record.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
        return outlived

    def strays(self) -> list[str]:
        """SIGKILL to processes started within the run by its children that outlived them; returns who it was."""
        return end_bearers(self.record.token)


def reap_stale(places: Places) -> list[str]:
    """End what killed supervisors left and delete their folders (kept ones stay); returns the names of those runs."""
    names: list[str] = []
    for folder in sorted(places.runs.glob("*/")):
        lock = _take(folder)
        if lock is None:
            continue
        record = read_record(folder)
        ended = end_leftovers(record) if record else []
        if record is None or not record.keep:
            shutil.rmtree(folder, ignore_errors=True)
            names.append(folder.name)
        elif ended:
            names.append(folder.name)
        os.close(lock)
    return names


def living(places: Places, name: str) -> RunRecord:
    """The record of a run whose supervisor lives; raises NotFound when there is none."""
    folder = places.runs / name
    lock = _take(folder) if folder.exists() else None
    record = read_record(folder)
    if lock is not None:
        os.close(lock)
    if lock is not None or record is None:
        raise NotFound(f"no run named {name} is alive: edgeweir dev up --name {name}")
    return record


def _new_record(name: str, *, keep: bool) -> RunRecord:
    now_ms = time.time_ns() // 1_000_000
    return RunRecord(name, uuid.uuid4().hex, boot_id(), os.getpid(), now_ms, keep)


def _empty(folder: Path) -> None:
    """Delete all but the lock, which is ours now."""
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != "lock":
            entry.unlink()


def _take(folder: Path) -> int | None:
    """The lock of that folder as an open handle, or None when another holds it."""
    while True:
        handle = _open_lock(folder)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
        if _is_still_there(folder, handle):
            return handle
        # Its holder deleted the folder between our open and our lock.
        os.close(handle)


def _open_lock(folder: Path) -> int:
    """Open the lock's file; the folder may be deleted under us by the run that ends."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)


def _is_still_there(folder: Path, handle: int) -> bool:
    try:
        return (folder / "lock").stat().st_ino == os.fstat(handle).st_ino
    except OSError:
        return False
