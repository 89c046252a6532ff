"""Writing a journal partition: one task sends frames in order, one judges their acknowledgements (ENGINE 2).

One frame is on the wire and one waits; meanwhile folds gather into the next (group commit). An acknowledged batch is
history only if it stands where the owner expected it: that is how a deposed owner finds out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from streams.engine import crashpoints
from streams.engine.clock import BrokerClock, monotonic_ms
from streams.engine.cutter import Cutter
from streams.engine.frames import HEAD_KEY, Frame, Header, Kind, Record, batches, encode_header
from streams.engine.journal import Journal
from streams.engine.lost import Fenced, ProduceFailed
from streams.engine.producers import Producers

_ON_THE_WAY = 2
ACK_TIMEOUT_S = 20.0
"""An idempotent batch never expires by itself: silence beyond this is a failure."""
_POINTS: dict[Kind, crashpoints.Point] = {Kind.BEGIN: "at_begin", Kind.SLICE: "at_slice", Kind.END: "at_end"}


class Flight(msgspec.Struct):
    """One batch on its way. `frame` is set on the last batch of a frame, `noted` where somebody waits for a note."""

    acknowledged: asyncio.Future[Any]
    records: int
    sent_ms: float
    kind: Kind
    frame: Frame | None = None
    noted: asyncio.Future[bool] | None = None


class Note(msgspec.Struct):
    """A lone record outside the numbered frames: CRASH or ATTEMPT at a place."""

    kind: Kind
    place: str
    noted: asyncio.Future[bool]


class JournalWriter:
    """The only writer of an owned partition. `history` is told every frame that is history, in order."""

    def __init__(
        self,
        cutter: Cutter,
        epoch: int,
        *,
        journal: Journal,
        producers: Producers,
        clock: BrokerClock,
        views: Callable[[], dict[str, tuple[int, ...]]],
        history: Callable[[Frame, int], None],
    ) -> None:
        """Nothing is written yet; `epoch` is the offset of our FENCE."""
        self.epoch, self.expected, self.number = epoch, epoch + 1, 0
        self.changes_since_checkpoint = 0
        self.wake, self.room = asyncio.Event(), asyncio.Event()
        self.is_broken = False
        self.flights: asyncio.Queue[Flight] = asyncio.Queue()
        self.begin_offset = -1
        self.oldest_sent_ms = 0.0
        self._cutter, self._journal, self._producers, self._clock = cutter, journal, producers, clock
        self._views, self._history = views, history
        self._sealed: deque[Frame] = deque()
        self._notes: deque[Note] = deque()
        self._awaited: list[asyncio.Future[bool]] = []
        self._is_given_up = False
        self._slots = asyncio.Semaphore(_ON_THE_WAY)

    @property
    def waiting(self) -> int:
        """How many cut frames wait to be sent."""
        return len(self._sealed)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is unacknowledged."""
        return (
            not self._sealed and self._slots._value == _ON_THE_WAY and not self._cutter.partition.is_pending  # noqa: SLF001 - the semaphore has no public count
        )

    def seal(self) -> None:
        """Cut what is pending now: the view is about to advance."""
        if not self.is_broken and self._cutter.partition.is_pending:
            frame = self._cutter.cut(self._views())
            if frame is not None:
                self._sealed.append(frame)
                self.wake.set()
                self.room.set()

    def start_checkpoint(self) -> None:
        """Begin a checkpoint unless one runs; its slices ride in the coming frames."""
        if not self._cutter.in_checkpoint and not self.is_broken:
            self._sealed.extend(self._cutter.begin(self._views()))
            self.changes_since_checkpoint = 0
            self.wake.set()

    async def note(self, kind: Kind, place: str) -> bool:
        """Journal a crash or an attempt; True once it is history, False if the partition was lost before."""
        if self._is_given_up:
            return False
        noted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._notes.append(Note(kind, place, noted))
        self._awaited.append(noted)
        self.wake.set()
        try:
            return await asyncio.wait_for(noted, ACK_TIMEOUT_S)
        finally:
            self._awaited.remove(noted)

    def give_up(self) -> None:
        """The partition is lost: nothing more is cut, and who waits for a note or for room is told."""
        self.is_broken = self._is_given_up = True
        self.room.set()
        for noted in self._awaited:
            if not noted.done():
                noted.set_result(False)

    async def write(self) -> None:
        """Send frames for ever; ProduceFailed when one cannot be sent."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            while await self._write_next():
                pass

    async def _write_next(self) -> bool:
        await self._slots.acquire()
        if self._notes:
            await self._send_note(self._notes.popleft())
            return True
        frame = self._next_frame()
        if frame is None:
            self._slots.release()
            return False
        await self._send_frame(frame)
        return True

    def _next_frame(self) -> Frame | None:
        if self._sealed:
            return self._sealed.popleft()
        if self.is_broken:
            return None
        frame = self._cutter.cut(self._views())
        self.room.set()
        return frame

    async def _send_frame(self, frame: Frame) -> None:
        self.number += 1
        parts = list(batches(frame.records))
        for part, records in enumerate(parts):
            if part:
                await self._slots.acquire()
            header = Header(
                kind=frame.kind,
                epoch=self.epoch,
                number=self.number,
                part=part,
                parts=len(parts),
                records=len(records) + 1,
                story=None if part else frame.story,
            )
            is_last = part == len(parts) - 1
            await self._send(header, records, frame if is_last else None)
        self.changes_since_checkpoint += frame.changes + 1

    async def _send_note(self, note: Note) -> None:
        header = Header(kind=note.kind, epoch=self.epoch, number=0, part=0, parts=1, records=1, place=note.place)
        await self._send(header, [], None, note.noted)

    async def _send(
        self, header: Header, records: list[Record], frame: Frame | None, noted: asyncio.Future[bool] | None = None
    ) -> None:
        crashpoints.reached("before_send")
        sent_ms = monotonic_ms()
        future = await append_batch(self._producers, self._journal, self._cutter.partition.number, header, records)
        crashpoints.reached("after_send")
        if header.kind in _POINTS:
            crashpoints.reached(_POINTS[Kind(header.kind)])
        self.flights.put_nowait(Flight(future, len(records) + 1, sent_ms, Kind(header.kind), frame, noted))

    async def acknowledge(self) -> None:
        """Judge acknowledgements for ever; Fenced or ProduceFailed ends the ownership."""
        while True:
            flight = await self.flights.get()
            self.oldest_sent_ms = flight.sent_ms
            offset = await acknowledged_offset(flight.acknowledged, flight.sent_ms, self._clock)
            self.oldest_sent_ms = 0.0
            crashpoints.reached("after_ack")
            if offset != self.expected:
                number = self._cutter.partition.number
                if offset < self.expected or not await self._journal.is_harmless(number, self.expected, offset):
                    raise Fenced(f"journal {number}: expected {self.expected}, got {offset}")
            self.expected = offset + flight.records
            self._slots.release()
            if flight.kind == Kind.BEGIN:
                self.begin_offset = offset
            if flight.noted is not None and not flight.noted.done():
                flight.noted.set_result(True)
            if flight.frame is not None:
                self._history(flight.frame, self.begin_offset)


async def append_batch(
    producers: Producers, journal: Journal, number: int, header: Header, records: list[Record]
) -> asyncio.Future[Any]:
    """Send one batch: appended whole or not at all; ProduceFailed if it cannot even be handed over."""
    batch = producers.journal.create_batch()
    fits = batch.append(key=HEAD_KEY, value=encode_header(header), timestamp=None)
    for key, value in records:
        fits = fits and batch.append(key=key, value=value, timestamp=None)
    assert fits, f"a batch of {len(records)} records does not fit: a row is too large"
    batch.close()
    try:
        sent: Awaitable[asyncio.Future[Any]] = producers.journal.send_batch(batch, journal.topic, partition=number)
        return await asyncio.wait_for(sent, ACK_TIMEOUT_S)
    except Exception as error:
        raise ProduceFailed(f"journal {number}: {error!r}") from error


async def acknowledged_offset(acknowledged: asyncio.Future[Any], sent_ms: float, clock: BrokerClock) -> int:
    """The base offset of a batch; ProduceFailed if it is unknown."""
    try:
        metadata = await asyncio.wait_for(acknowledged, ACK_TIMEOUT_S)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        raise ProduceFailed(f"journal: {error!r}") from error
    if metadata is None or metadata.offset < 0:
        raise ProduceFailed("journal: acknowledged at an unknown offset")
    if metadata.timestamp is not None and metadata.timestamp > 0:
        clock.measured(sent_ms, metadata.timestamp)
    return int(metadata.offset)
