"""Keep-alive connections to one HTTP/1.1 server, and whether a failed request may be sent again."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, cast
from urllib.parse import urlsplit

from .http1 import BadMessageError, Message, Parser, Response, write_request

_CONNECT_S: Final = 2.0
_MAX_IDLE: Final = 64


class UnsentError(ConnectionError):
    """No byte of the request reached the server: it may be sent again, here or elsewhere."""


class BrokenError(ConnectionError):
    """The server may have acted on the request before the connection ended or time ran out."""


class _Wire(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self._parser = Parser(answers=True)
        self._answer: asyncio.Future[Message] | None = None
        self._transport: asyncio.Transport | None = None
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - named by asyncio.Protocol
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BrokenError("the connection ended before the answer"))

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._parser.feed(data)
        except (BadMessageError, ValueError):
            self.close()
            return
        for message in messages:
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(message)

    async def exchange(self, request: bytes, timeout_s: float, *, is_head: bool) -> Message:
        if not self.is_open or self._transport is None:
            raise UnsentError("the connection was closed")
        self._parser.expect_no_body = is_head
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer
        except TimeoutError:
            self.close()
            raise BrokenError("no answer in time") from None
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.close()


class Peer:
    """One server, by base URL (`http://host:port`); as many connections as requests are under way."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 80
        self._host_header = f"{self.host}:{self.port}"
        self._idle: deque[_Wire] = deque()

    async def ask(
        self,
        method: str,
        target: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 30.0,
    ) -> Response:
        """The server's answer; UnsentError or BrokenError where there is none."""
        sent = {**(headers or {}), "host": self._host_header}
        raw = write_request(method, target, sent, body)
        wire = self._take() or await self._connect()
        message = await wire.exchange(raw, timeout_s, is_head=method == "HEAD")
        if message.keeps_alive and wire.is_open and len(self._idle) < _MAX_IDLE:
            self._idle.append(wire)
        else:
            wire.close()
        return Response(int(message.start[1]), message.body, message.headers)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> _Wire | None:
        while self._idle:
            wire = self._idle.pop()
            if wire.is_open:
                return wire
        return None

    async def _connect(self) -> _Wire:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, wire = await loop.create_connection(_Wire, self.host, self.port)
        except (OSError, TimeoutError) as error:
            raise UnsentError(f"{self._host_header}: {error}") from None
        return wire


class Peers:
    """One `Peer` per base URL, made when first asked for."""

    def __init__(self) -> None:
        self._by_url: dict[str, Peer] = {}

    def at(self, url: str) -> Peer:
        """The peer at this address; a path in the URL is not part of it."""
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        if base not in self._by_url:
            self._by_url[base] = Peer(base)
        return self._by_url[base]

    def close(self) -> None:
        """Close all idle connections."""
        for peer in self._by_url.values():
            peer.close()
