"""One direction of a relayed connection, and the weather on it: late, uneven, narrow, lossy or standing still.

Bytes are never lost or reordered, as TCP never does either: what a real network drops comes a retransmission later.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from typing import Final

import msgspec

_CHUNK_BYTES: Final = 65_536
_HELD_BYTES: Final = 1_048_576
"""What may be under way in one direction; more is not read from the sender, who feels it as back-pressure."""
_RETRANSMIT_S: Final = 0.2
_LOOK_S: Final = 0.02


class Weather(msgspec.Struct):
    """What a direction does to bytes. `loss_permille`: pieces that come a retransmission late, and all behind them."""

    delay_ms: int = 0
    jitter_ms: int = 0
    bytes_per_s: int = 0
    loss_permille: int = 0
    is_held: bool = False

    def clear(self) -> None:
        """Fine weather again: at once, as far as loopback goes."""
        self.delay_ms = self.jitter_ms = self.bytes_per_s = self.loss_permille = 0
        self.is_held = False


class Line:
    """Carries one direction of one connection until its end; the other direction ends with it."""

    def __init__(
        self, weather: Weather, dice: random.Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._weather, self._dice = weather, dice
        self._reader, self._writer = reader, writer
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._sent_until = self._last_due = 0.0
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def carry(self) -> None:
        """Read at one end, write at the other when the time of each piece has come."""
        taking = asyncio.ensure_future(self._take_in())
        try:
            with contextlib.suppress(OSError):
                await self._give_out()
        finally:
            taking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await taking
            self._writer.close()

    async def _take_in(self) -> None:
        data = b"open"
        while data:
            try:
                data = await self._reader.read(_CHUNK_BYTES)
            except OSError:
                data = b""
            self._under_way.append((self._due(len(data)), data))
            self._held_bytes += len(data)
            self._news.set()
            while self._held_bytes > _HELD_BYTES:
                self._room.clear()
                await self._room.wait()

    async def _give_out(self) -> None:
        """An empty piece is the end."""
        clock = asyncio.get_running_loop().time
        while True:
            while not self._under_way:
                self._news.clear()
                await self._news.wait()
            due, data = self._under_way.popleft()
            if due > clock():
                await asyncio.sleep(due - clock())
            while self._weather.is_held and not self._writer.is_closing():  # noqa: ASYNC110 - weather is plain data
                await asyncio.sleep(_LOOK_S)
            if not data:
                return
            self._writer.write(data)
            await self._writer.drain()
            self._held_bytes -= len(data)
            self._room.set()

    def _due(self, size: int) -> float:
        """When a piece read now comes out; never before the piece ahead of it."""
        weather, now = self._weather, asyncio.get_running_loop().time()
        self._sent_until = max(now, self._sent_until)
        if weather.bytes_per_s:
            self._sent_until += size / weather.bytes_per_s
        due = self._sent_until + weather.delay_ms / 1000
        if weather.jitter_ms:
            due += self._dice.randrange(weather.jitter_ms + 1) / 1000
        if weather.loss_permille and self._dice.randrange(1000) < weather.loss_permille:
            due += _RETRANSMIT_S + 2 * weather.delay_ms / 1000
        self._last_due = max(due, self._last_due)
        return self._last_due
