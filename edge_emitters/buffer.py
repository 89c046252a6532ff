"""The gateway's disk buffer: two lanes under one bound, and the rule of what gives way when it is full.

Rule: telemetry gives way first and from its oldest end: segments lose every second record, three times over, the oldest
first, until there is room. Loads, sessions and lifecycle evidence once accepted are never given up: when no telemetry
is left to thin, new ones are refused to their face (False) and counted. A lane is in order, the two are apart.
Durable: a `write` per record (kill -9 loses nothing), `fsync` once a second (a power cut loses at most that second).
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from schemas import wire
from schemas.errors import BadInput

from .aside import Aside
from .lane import Lane
from .records import Record
from .segment import Frame

_LOG: Final = logging.getLogger(__name__)
_SEGMENTS: Final = 16
_ASIDE_SHARE: Final = 16
_MAX_SEGMENT_BYTES: Final = 1_048_576


class BufferTaken(RuntimeError):
    """Another gateway of this site holds the buffer's folder."""


class Tally(msgspec.Struct):
    """What became of what was handed in, since the start.

    `accepted` and `acknowledged` count records; `thinned` telemetry given up for room; `refused` events not accepted
    for want of room or disk; `rejected` records that the broker will never take; `damaged` stretches found at opening.
    """

    accepted: int = 0
    acknowledged: int = 0
    thinned: int = 0
    refused: int = 0
    rejected: int = 0
    damaged: int = 0


class Buffer:
    """The lanes `events` and `telemetry` of one gateway in one locked folder of at most `max_bytes`."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder / "lock")
        aside_bytes = max_bytes // _ASIDE_SHARE
        self._lanes_bytes = max_bytes - aside_bytes
        segment_bytes = min(_MAX_SEGMENT_BYTES, max_bytes // _SEGMENTS)
        self._aside = Aside(folder / "aside", aside_bytes)
        self.events = Lane(folder / "events", segment_bytes, self._aside)
        self.telemetry = Lane(folder / "telemetry", segment_bytes, self._aside)
        self.tally = Tally(damaged=self.events.damaged + self.telemetry.damaged)
        self.on_accepted: Callable[[], None] = _nobody

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, never above the bound."""
        return self._used + self._aside.size_bytes

    @property
    def waiting(self) -> int:
        """Records that the broker has not acknowledged."""
        return self.events.waiting + self.telemetry.waiting

    def put_event(self, record: Record) -> bool:
        """Accept an event for good (True), or refuse it because the buffer is full of events or the disk is (False)."""
        return self._put(self.events, record)

    def put_telemetry(self, record: Record) -> bool:
        """Accept a batch of telemetry; it may be thinned out later. False: it was given up at once."""
        return self._put(self.telemetry, record)

    def reject(self, record: Record, why: str) -> None:
        """The broker will never take this record: keep it aside, count it."""
        self.tally.rejected += 1
        _LOG.error("%s %s is refused by the broker (%s)", record.type, record.event_id, why)
        self._aside.keep(f"{record.type}.refused", record.value)

    async def sync(self) -> None:
        """Make everything accepted outlive a power cut; a disk that fails is told and asked again next time."""
        try:
            await self.events.sync()
            await self.telemetry.sync()
        except OSError as error:
            _LOG.error("the buffer's disk fails: %s", error)

    def close(self) -> None:
        """Sync, close and unlock; what was not acknowledged stays for the next start."""
        self.events.close()
        self.telemetry.close()
        os.close(self._lock)

    @property
    def _used(self) -> int:
        """Bytes of both lanes; a sixteenth of the bound is left to what is set aside."""
        return self.events.size_bytes + self.telemetry.size_bytes

    def _put(self, lane: Lane, record: Record) -> bool:
        payload = wire.encode_row(record)
        try:
            fits = self._make_room(Lane.cost(payload))
            if fits:
                lane.append(payload)
        except OSError as error:
            _LOG.error("the buffer's disk fails: %s", error)
            fits = False
        if fits:
            self.tally.accepted += 1
            self.on_accepted()
        else:
            self._count_loss(lane)
        return fits

    def _make_room(self, needed: int) -> bool:
        """Thin telemetry until this fits below the bound; whether it does."""
        lost = 0
        while self._used + needed > self._lanes_bytes:
            gone = self.telemetry.thin()
            lost += gone
            if not gone:
                break
        if lost:
            self.tally.thinned += lost
            _LOG.warning("the buffer is full: %d telemetry batches are given up, %d in all", lost, self.tally.thinned)
        return self._used + needed <= self._lanes_bytes

    def _count_loss(self, lane: Lane) -> None:
        if lane is self.telemetry:
            self.tally.thinned += 1
            return
        self.tally.refused += 1
        if self.tally.refused.bit_count() == 1:
            _LOG.error("the buffer is full of events: %d were refused so far", self.tally.refused)


def opened(frames: list[Frame]) -> list[Record]:
    """The records of frames; one written by another version of this program is told as a fault of ours."""
    try:
        return [wire.decode_row(Record, frame.payload) for frame in frames]
    except BadInput as error:
        raise AssertionError(f"the buffer was written by another version: {error.detail}") from error


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BufferTaken(f"another gateway uses {path.parent}") from None
    return descriptor


def _nobody() -> None:
    """Nobody waits for news yet."""
