"""HTTP/1.1 messages cut out of a byte stream, and written to one. Standard library only: replicas start with it.

Bodies come with a length or in chunks; a message that has neither has no body. Header names are in lower case.
"""

from __future__ import annotations

from typing import Final

MAX_HEAD_BYTES: Final = 16_384
MAX_BODY_BYTES: Final = 8 * 1_048_576
_REASONS: Final = {
    200: "OK",
    201: "Created",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    508: "Loop Detected",
}
_HOP_BY_HOP: Final = frozenset(
    ("connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection", "content-length")
)
_BODILESS: Final = frozenset((100, 101, 204, 304))


class BadMessageError(Exception):
    """The peer does not speak HTTP/1.1 as we read it; `status` is what to answer before closing."""

    def __init__(self, status: int) -> None:
        super().__init__(_REASONS[status])
        self.status = status


class Message:
    """One request or response as it came: the first line's three parts, headers, body."""

    __slots__ = ("body", "headers", "start")

    def __init__(self, start: tuple[str, str, str], headers: dict[str, str], body: bytes) -> None:
        self.start = start
        self.headers = headers
        self.body = body

    @property
    def keeps_alive(self) -> bool:
        """Whether the sender leaves the connection open."""
        version = self.start[0] if self.start[0].startswith("HTTP/") else self.start[2]
        said = self.headers.get("connection", "").lower()
        return said != "close" and (version != "HTTP/1.0" or said == "keep-alive")


class Request(Message):
    """A request: `method`, `target` (path and query)."""

    __slots__ = ()

    @property
    def method(self) -> str:
        """The verb."""
        return self.start[0]

    @property
    def target(self) -> str:
        """Path and query as sent."""
        return self.start[1]


class Response:
    """An answer to write, or one that came from a backend."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = headers if headers is not None else {}


class Parser:
    """Feed it bytes, take messages. With `answers`, it reads responses; `expect_no_body` is for an answer to HEAD."""

    def __init__(self, *, answers: bool = False) -> None:
        self._buffer = bytearray()
        self._answers = answers
        self._head: tuple[tuple[str, str, str], dict[str, str]] | None = None
        self.expect_no_body = False

    def feed(self, data: bytes) -> list[Message]:
        """All messages that are complete now; BadMessageError ends the connection."""
        self._buffer += data
        messages: list[Message] = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> Message | None:
        if self._head is None and not self._read_head():
            return None
        assert self._head is not None
        start, headers = self._head
        body = self._read_body(start, headers)
        if body is None:
            return None
        self._head = None
        return (Message if self._answers else Request)(start, headers, body)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadMessageError(431)
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        first, _, rest = lines[0].partition(" ")
        second, space, third = rest.partition(" ")
        if not second or not (space or self._answers):
            raise BadMessageError(400)
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise BadMessageError(400)
            headers[name.lower()] = value.strip()
        self._head = ((first, second, third), headers)
        return True

    def _read_body(self, start: tuple[str, str, str], headers: dict[str, str]) -> bytes | None:
        if self._answers and (self.expect_no_body or int(start[1]) in _BODILESS):
            return b""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._read_chunks()
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise BadMessageError(400)
        size = int(length)
        if size > MAX_BODY_BYTES:
            raise BadMessageError(413)
        if len(self._buffer) < size:
            return None
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return body

    def _read_chunks(self) -> bytes | None:
        """All chunks at once, when the last one is here; nothing is consumed before."""
        at, parts, total = 0, [], 0
        while True:
            line_end = self._buffer.find(b"\r\n", at)
            if line_end < 0:
                return None
            try:
                size = int(bytes(self._buffer[at:line_end]).split(b";")[0], 16)
            except ValueError:
                raise BadMessageError(400) from None
            at, total = line_end + 2, total + size
            if total > MAX_BODY_BYTES:
                raise BadMessageError(413)
            if len(self._buffer) < at + size + 2:
                return None
            parts.append(bytes(self._buffer[at : at + size]))
            at += size + 2
            if size == 0:
                del self._buffer[:at]
                return b"".join(parts)


def write_request(method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
    """A request's bytes; hop-by-hop headers of another connection are left out."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name not in _HOP_BY_HOP]
    lines.append(f"content-length: {len(body)}\r\n\r\n")
    return "\r\n".join(lines).encode("latin-1") + body


def write_response(response: Response, *, keep_alive: bool, is_head: bool = False) -> bytes:
    """An answer's bytes."""
    status = response.status
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items() if name not in _HOP_BY_HOP]
    if status not in _BODILESS:
        lines.append(f"content-length: {len(response.body)}")
    lines.append("connection: keep-alive\r\n\r\n" if keep_alive else "connection: close\r\n\r\n")
    head = "\r\n".join(lines).encode("latin-1")
    return head if is_head or status in _BODILESS else head + response.body


def split_target(target: str) -> tuple[str, dict[str, str]]:
    """Path and query parameters; the last of a repeated parameter counts. Nothing is unquoted."""
    path, _, query = target.partition("?")
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return path, {name: value for name, _, value in pairs}
