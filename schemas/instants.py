"""Times between text and number: RFC 3339 on the wire, integer milliseconds UTC inside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from .errors import BadInput, Fault

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def to_rfc3339(at_ms: int) -> str:
    """`2018-04-05T03:56:24.000Z`; BadInput outside the years 1 to 9999."""
    seconds, millis = divmod(at_ms, 1000)
    return f"{_whole(seconds)}.{millis:03d}Z"


def from_rfc3339(text: str) -> int:
    """Milliseconds since the epoch; a finer fraction is cut off, a leap second is the second after :59."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise BadInput(Fault.BAD_TIME, "not an RFC 3339 time")
    day, minute, second, fraction, zone = found.groups()
    is_leap = second == "60"
    try:
        at = datetime.fromisoformat(f"{day}T{minute}:{'59' if is_leap else second}{zone.upper()}")
    except ValueError:
        raise BadInput(Fault.BAD_TIME, "no such date or time of day") from None
    millis = int((fraction or "0")[:3].ljust(3, "0"))
    return ((at - _EPOCH) // _SECOND + is_leap) * 1000 + millis


@lru_cache(maxsize=256)
def _whole(seconds: int) -> str:
    """Date and time of day of one second: many events share it, and the calendar is the slow part."""
    try:
        at = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise BadInput(Fault.BAD_TIME, "a time outside the years 1 to 9999") from None
    return at.isoformat()[:19]
