"""A TCP path that can be cut and healed: one site's uplink to the broker runs through it, nothing else does."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from edgeweir.dev.ports import LOOPBACK

_CHUNK_BYTES: Final = 65_536


class Relay:
    """Passes bytes between `port` on loopback and a target port; while cut, nothing is accepted and nothing passes."""

    def __init__(self, target_port: int = 0) -> None:
        self.target_port = target_port
        self.port = 0
        self.is_cut = False
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
        self._drop_all()
        # Carriers end by themselves once their connections are gone.
        await asyncio.sleep(0)

    def cut(self) -> None:
        """From now on both directions are dead: open connections are reset, new ones are closed at once."""
        self.is_cut = True
        self._drop_all()

    def heal(self) -> None:
        """The path is there again; clients reconnect by themselves."""
        self.is_cut = False

    def _drop_all(self) -> None:
        for writer in tuple(self._open):
            writer.transport.abort()

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
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        finally:
            self._close(writer)
            self._close(far_writer)

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until its end; the other direction ends with it."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()
