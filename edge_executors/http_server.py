"""A small HTTP/1.1 server: one protocol object per connection, requests of a connection answered in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, cast

from .http1 import BadMessageError, Parser, Request, Response, write_response

Handler = Callable[[Request], Awaitable[Response]]
_LOG: Final = logging.getLogger(__name__)
_MAX_PIPELINED: Final = 64


class _Connection(asyncio.Protocol):
    def __init__(self, answer: Handler, open_ones: set[_Connection]) -> None:
        self._answer = answer
        self._open = open_ones
        self._parser = Parser()
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - named by asyncio.Protocol
        self._open.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._waiting.extend(cast("list[Request]", self._parser.feed(data)))
        except BadMessageError as error:
            self._write(write_response(Response(error.status), keep_alive=False))
            self.close()
            return
        if len(self._waiting) > _MAX_PIPELINED:
            self.close()
        elif self._waiting and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        while self._waiting and self._transport is not None:
            request = self._waiting.popleft()
            try:
                response = await self._answer(request)
            except Exception:  # noqa: BLE001 - one request fails, its neighbours do not
                _LOG.exception("answering %s %s failed", request.method, request.target.partition("?")[0])
                response = Response(500)
            keep_alive = request.keeps_alive
            self._write(write_response(response, keep_alive=keep_alive, is_head=request.method == "HEAD"))
            if not keep_alive:
                self.close()
        self._task = None

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """After what was written."""
        if self._transport is not None:
            self._transport.close()

    def end(self) -> None:
        """At once; a request in hand is not answered."""
        if self._task is not None:
            self._task.cancel()
        self.close()


class Server:
    """Listens on one address of this machine and gives every request to one function."""

    def __init__(self, answer: Handler) -> None:
        self._answer = answer
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one, `port` then tells which."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self._answer, self._connections), host, port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the door and every connection."""
        if self._server is not None:
            self._server.close()
            for connection in tuple(self._connections):
                connection.end()
            self._server = None
