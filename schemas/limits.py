"""How large, deep and wide a JSON record may be, judged on its bytes before any parser builds objects.

Strategy: two bounds that C functions prove in a fraction of a microsecond clear every small record: what has no more
than `max_depth` opening brackets cannot be deeper, and n keys need 5n + 1 bytes. Only the others are inspected. That is
exact and still runs in C: cut at the quotes, keep the brackets and colons outside strings, then remove the innermost
pairs once per level. Measured (CPython 3.11, shared machine): 0.6 us for a sample of 294 bytes, 160 us for a batch of
100 such samples (its decoding takes 110 us).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from .errors import BadInput, Fault

_BYTES_PER_KEY: Final = 5
"""`"":0,` is the shortest key."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Upper bounds of one record: bytes, nesting, keys of any one object, bytes of any one string as written."""

    max_bytes: int = 262_144
    max_depth: int = 16
    max_keys: int = 512
    max_string_bytes: int = 4_096
    small_bytes: int = 0

    def __post_init__(self) -> None:
        """What is no larger than `small_bytes` has no text that is too long, and no object with too many keys."""
        msgspec.structs.force_setattr(self, "small_bytes", min(self.max_string_bytes, _BYTES_PER_KEY * self.max_keys))


RECORD: Final = Limits()
"""One event (CONTRACTS 1)."""
BATCH: Final = Limits(max_bytes=1_048_576)
"""One site's batch of samples (CONTRACTS 1)."""
MAX_ATTRIBUTES_BYTES: Final = 65_536
"""All attributes of one event together."""
MAX_NAME_BYTES: Final = 512
"""An event's id, source or type: room for two names, and still small, as they are kept to recognise repeats."""

_NOT_STRUCTURE: Final = bytes(byte for byte in range(256) if byte not in b"{}[]:")
_INNERMOST: Final = re.compile(rb"\{:*\}|\[\]")


def check_border(data: bytes, limits: Limits = RECORD) -> None:
    """Refuse what is too large, too deep, too wide or not UTF-8; malformed JSON passes, its parser refuses it."""
    size = len(data)
    if size > limits.max_bytes:
        raise BadInput(Fault.TOO_LARGE, f"{size} bytes, at most {limits.max_bytes}")
    if not data.isascii():
        _check_utf8(data)
    if size > limits.small_bytes or data.count(b"{") + data.count(b"[") > limits.max_depth:
        _inspect(data, limits)


def _check_utf8(data: bytes) -> None:
    try:
        str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(Fault.BAD_UTF8, f"byte {error.start} is not UTF-8") from None


def _inspect(data: bytes, limits: Limits) -> None:
    """The exact check. A backslash stands only inside strings, so after the escapes every quote is an edge."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"..").replace(b'\\"', b"..")
    parts = data.split(b'"')
    longest = max(map(len, parts[1::2]), default=0)
    if longest > limits.max_string_bytes:
        raise BadInput(Fault.STRING_TOO_LONG, f"a string of {longest} bytes, at most {limits.max_string_bytes}")
    _check_shape(b"".join(parts[::2]).translate(None, _NOT_STRUCTURE), limits)


def _check_shape(shape: bytes, limits: Limits) -> None:
    """Peel the brackets level by level: colons with no bracket between them are keys of one object."""
    too_many = b":" * (limits.max_keys + 1)
    for _ in range(limits.max_depth):
        if too_many in shape:
            raise BadInput(Fault.TOO_MANY_KEYS, f"an object with more than {limits.max_keys} keys")
        peeled = _INNERMOST.sub(b"", shape)
        if peeled == shape:
            return
        shape = peeled
    if shape:
        raise BadInput(Fault.TOO_DEEP, f"nested deeper than {limits.max_depth}")
