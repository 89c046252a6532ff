"""One ordered lane of the disk buffer: payloads go in at the end, are peeked at the head, leave when acknowledged.

Append-only segment files `<first number>-<thinnings>.seg`. Every append is one `write` before it returns, so a killed
process loses nothing; `sync` makes it outlive a power cut. `mark` holds the last acknowledged number; it may lag behind
(what lies between is sent twice, with the same identity), never run ahead.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from .aside import Aside
from .segment import OVERHEAD_BYTES, Frame, Scan, pack, scan

_MARK: Final = "mark"
_HALVINGS: Final = 3


class Segment(msgspec.Struct):
    """One file of the lane: its first number, how often it was thinned, records and bytes in it."""

    path: Path
    first: int
    thinned: int
    records: int
    size_bytes: int


class Lane:
    """A lane in a folder; opening it checks every frame, sets damage aside and goes on behind the mark."""

    def __init__(self, folder: Path, segment_bytes: int, aside: Aside) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.damaged = 0
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._aside = aside
        self._acknowledged = _read_mark(folder / _MARK)
        self._marked = self._acknowledged
        self._last = self._acknowledged
        self._segments: deque[Segment] = deque()
        self._head: deque[Frame] = deque()
        self._active: int | None = None
        self._unsynced = False
        self._open()

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments on disk."""
        return sum(segment.size_bytes for segment in self._segments)

    @property
    def waiting(self) -> int:
        """Records not acknowledged."""
        return len(self._head) + sum(segment.records for segment in list(self._segments)[1:])

    @staticmethod
    def cost(payload: bytes) -> int:
        """Bytes that a payload takes on disk."""
        return OVERHEAD_BYTES + len(payload)

    def append(self, payload: bytes) -> None:
        """Accept a payload: written when this returns."""
        frame = Frame(self._last + 1, payload)
        descriptor, segment = self._room_for(frame)
        data = pack(frame)
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, data[written:])
        self._last = frame.number
        segment.records += 1
        segment.size_bytes += len(data)
        self._unsynced = True
        if segment is self._segments[0]:
            self._head.append(frame)

    def peek(self, most: int, most_bytes: int) -> list[Frame]:
        """The oldest unacknowledged frames, at least one if there is one; they stay."""
        picked: list[Frame] = []
        size = 0
        for frame in self._head:
            size += len(frame.payload)
            if picked and (len(picked) >= most or size > most_bytes):
                break
            picked.append(frame)
        return picked

    def advance(self, number: int) -> None:
        """Everything up to this number is acknowledged."""
        while self._head and self._head[0].number <= number:
            self._acknowledged = self._head.popleft().number
        while not self._head and len(self._segments) > 1:
            self._segments.popleft().path.unlink()
            self._load_head()

    def thin(self) -> int:
        """Give up every second record of the oldest segment that still has many; how many went (0: none can go).

        A segment is halved three times (an eighth stays) before the next younger one is touched; when all were, the
        oldest is halved on, until it is gone. The segment being sent and the one being written stay whole.
        """
        between = list(self._segments)[1:-1]
        if not between:
            return 0
        segment = min(between, key=lambda known: (known.thinned // _HALVINGS, known.first))
        kept = scan(segment.path.read_bytes()).frames[1::2]
        lost = segment.records - len(kept)
        old = segment.path
        if kept:
            segment.thinned += 1
            segment.path = self._path(segment.first, segment.thinned)
            _replace(segment.path, b"".join(map(pack, kept)))
            segment.records, segment.size_bytes = len(kept), segment.path.stat().st_size
        else:
            self._segments.remove(segment)
        old.unlink()
        return lost

    async def sync(self) -> None:
        """Make what was accepted outlive a power cut, and note what is acknowledged; the disk is waited for aside."""
        if self._unsynced and self._active is not None:
            self._unsynced = False
            copy = os.dup(self._active)
            try:
                await asyncio.to_thread(os.fsync, copy)
            finally:
                os.close(copy)
        self.note()

    def note(self) -> None:
        """Write down what is acknowledged, if that changed (unsynced: losing it means sending twice, no more)."""
        if self._marked != self._acknowledged:
            fresh = self._folder / f"{_MARK}.new"
            fresh.write_text(str(self._acknowledged))
            fresh.replace(self._folder / _MARK)
            self._marked = self._acknowledged

    def close(self) -> None:
        """Sync and close; what is not acknowledged stays."""
        if self._active is not None:
            os.fsync(self._active)
            os.close(self._active)
            self._active = None
        self.note()

    def _open(self) -> None:
        """Take over what an earlier process left; the last segment is never written to again."""
        for leftover in self._folder.glob("*.new"):
            leftover.unlink()
        for path in _newest_of_each(self._folder):
            found = scan(path.read_bytes())
            if found.damaged:
                self._mend(path, found)
            waiting = [frame for frame in found.frames if frame.number > self._acknowledged]
            if not waiting:
                path.unlink(missing_ok=True)
                continue
            self._last = max(self._last, waiting[-1].number)
            first, thinned = _read_name(path)
            self._segments.append(Segment(path, first, thinned, len(waiting), path.stat().st_size))
        self._load_head()

    def _mend(self, path: Path, found: Scan) -> None:
        self.damaged += len(found.damaged)
        self._aside.keep(f"{self._folder.name}-{path.stem}.damaged", b"".join(found.damaged))
        _replace(path, b"".join(map(pack, found.frames)))

    def _load_head(self) -> None:
        self._head.clear()
        if self._segments:
            frames = scan(self._segments[0].path.read_bytes()).frames
            self._head.extend(frame for frame in frames if frame.number > self._acknowledged)

    def _room_for(self, frame: Frame) -> tuple[int, Segment]:
        """The descriptor and segment to write to; a full one is closed and a new one begun."""
        if self._active is not None and self._segments[-1].size_bytes < self._segment_bytes:
            return self._active, self._segments[-1]
        if self._active is not None:
            os.fsync(self._active)
            os.close(self._active)
        path = self._path(frame.number, 0)
        self._active = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        segment = Segment(path, frame.number, 0, 0, 0)
        self._segments.append(segment)
        self.advance(self._acknowledged)
        return self._active, segment

    def _path(self, first: int, thinned: int) -> Path:
        return self._folder / f"{first:020d}-{thinned}.seg"


def _read_name(path: Path) -> tuple[int, int]:
    first, thinned = path.stem.split("-")
    return int(first), int(thinned)


def _newest_of_each(folder: Path) -> list[Path]:
    """The segments in order; of two with one first number (a thinning was cut short) the thinned one counts."""
    newest: dict[int, Path] = {}
    for path in sorted(folder.glob("*.seg"), key=_read_name):
        older = newest.pop(_read_name(path)[0], None)
        if older is not None:
            older.unlink()
        newest[_read_name(path)[0]] = path
    return list(newest.values())


def _read_mark(path: Path) -> int:
    """The acknowledged number; what a power cut left unreadable counts as none (all that is there is sent again)."""
    text = path.read_text(errors="replace") if path.exists() else ""
    return int(text) if text.isascii() and text.isdigit() else 0


def _replace(path: Path, data: bytes) -> None:
    """The file is the old one or the new one, also after a power cut."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
