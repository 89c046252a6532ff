"""Empties the buffer into Kafka, in order, and keeps trying: the broker's absence is weather, not an error."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from .buffer import Buffer, opened
from .clock import Clock, wall_ms
from .lane import Lane
from .records import Record, marked_buffered
from .segment import Frame
from .sender import Refused, Unsent, Way

_LOG: Final = logging.getLogger(__name__)
_LINGER_S: Final = 0.01
_ROUND_RECORDS: Final = 500
_ROUND_BYTES: Final = 524_288
_WAITED_MS: Final = 1_000
_BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0)


class Delivery:
    """One task: peek, send, advance. A record that waited over a second, or was tried before, says `buffered`."""

    def __init__(self, buffer: Buffer, way: Way, clock: Clock = wall_ms) -> None:
        self.connected = False
        self._buffer = buffer
        self._way = way
        self._clock = clock
        self._failures = 0
        self._news = asyncio.Event()
        self._news.set()
        self._empty = asyncio.Event()
        buffer.on_accepted = self._wake

    async def run(self) -> None:
        """Deliver for ever; cancelling it loses nothing."""
        try:
            while True:
                await self._news.wait()
                await asyncio.sleep(_LINGER_S)
                self._news.clear()
                await self._drain()
        finally:
            await self._way.stop()

    async def drained(self) -> None:
        """Until everything accepted so far is acknowledged."""
        if self._buffer.waiting:
            self._empty.clear()
            await self._empty.wait()

    def _wake(self) -> None:
        self._news.set()

    async def _drain(self) -> None:
        """Rounds of both lanes until neither holds anything."""
        while self._buffer.waiting:
            events = self._buffer.events.peek(_ROUND_RECORDS, _ROUND_BYTES)
            telemetry = self._buffer.telemetry.peek(_ROUND_RECORDS, _ROUND_BYTES)
            try:
                await self._round(events, telemetry)
            except Unsent as error:
                await self._back_off(error)
        self._empty.set()

    async def _round(self, events: list[Frame], telemetry: list[Frame]) -> None:
        try:
            await self._way.send(self._prepared(events) + self._prepared(telemetry))
        except Refused:
            await self._one_by_one(self._buffer.events, events)
            await self._one_by_one(self._buffer.telemetry, telemetry)
        else:
            self._acknowledge(self._buffer.events, events)
            self._acknowledge(self._buffer.telemetry, telemetry)
        if not self.connected:
            _LOG.info("the broker takes records; %d still wait", self._buffer.waiting)
        self.connected, self._failures = True, 0

    async def _one_by_one(self, lane: Lane, frames: list[Frame]) -> None:
        """Find what the broker refuses and set it aside, so that its neighbours go on."""
        for frame in frames:
            record = self._prepared([frame])[0]
            try:
                await self._way.send([record])
            except Refused as refusal:
                self._buffer.reject(record, str(refusal))
                lane.advance(frame.number)
            else:
                self._acknowledge(lane, [frame])

    def _acknowledge(self, lane: Lane, frames: list[Frame]) -> None:
        if frames:
            self._buffer.tally.acknowledged += len(frames)
            lane.advance(frames[-1].number)

    def _prepared(self, frames: list[Frame]) -> list[Record]:
        now_ms = self._clock()
        return [
            marked_buffered(record) if self._failures or now_ms - record.accepted_ms > _WAITED_MS else record
            for record in opened(frames)
        ]

    async def _back_off(self, error: Unsent) -> None:
        if self._failures == 0:
            _LOG.warning("the broker does not take records (%s); they wait on disk", error)
        self.connected = False
        pause_s = _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)]
        self._failures += 1
        await asyncio.sleep(pause_s)
