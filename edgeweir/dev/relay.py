"""A TCP path that can be cut, healed and given bad weather: one client's way to the broker, nothing else runs here."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from typing import Final

from edgeweir.dev.ports import LOOPBACK
from edgeweir.dev.relay_line import Line, Weather

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends RST instead of FIN."""


class Relay:
    """Passes bytes between `port` on loopback and a target port; while cut, nothing is accepted and nothing passes.

    `up` (client to target) and `down` are the weather of the two directions; they may be changed at any time.
    """

    def __init__(self, target_port: int = 0, *, seed: int = 0) -> None:
        self.target_port = target_port
        self.port = 0
        self.is_cut = False
        self.up, self.down = Weather(), Weather()
        self._dice = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> None:
        """Listen at a port (0: any); the target may be set until the first connection."""
        self._server = await asyncio.start_server(self._carry, LOOPBACK, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the door and every connection."""
        if self._server is not None:
            self._server.close()
        self.reset()
        # Carriers end by themselves once their connections are gone.
        await asyncio.sleep(0)

    def cut(self) -> None:
        """From now on both directions are dead: open connections are reset, new ones are closed at once."""
        self.is_cut = True
        self.reset()

    def heal(self) -> None:
        """The path is there again and the weather is fine; clients reconnect by themselves."""
        self.is_cut = False
        self.up.clear()
        self.down.clear()

    def reset(self) -> None:
        """Every open connection ends with RST; new ones are welcome."""
        for writer in tuple(self._open):
            sock = writer.get_extra_info("socket")
            if sock is not None and not writer.transport.is_closing():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    def hold(self, *, up: bool = True, down: bool = True) -> None:
        """Half open: connections stay and are accepted, but bytes of these directions wait until `heal`."""
        self.up.is_held, self.down.is_held = up, down

    def delay(self, round_trip_ms: int, jitter_ms: int = 0) -> None:
        """A longer way: half of the round trip in each direction, and up to `jitter_ms` more for each piece."""
        for weather in (self.up, self.down):
            weather.delay_ms, weather.jitter_ms = round_trip_ms // 2, jitter_ms

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self.target_port)
        except OSError:
            self._close(writer)
            return
        self._open.add(far_writer)
        try:
            await asyncio.gather(
                Line(self.up, self._dice, reader, far_writer).carry(),
                Line(self.down, self._dice, far_reader, writer).carry(),
            )
        finally:
            self._close(writer)
            self._close(far_writer)

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.close()
