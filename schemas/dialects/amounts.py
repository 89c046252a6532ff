"""Foreign numbers and times into ours: whole, finite, within what travels; anything else is None, never a crash."""

from __future__ import annotations

import re
from typing import Final

from ..base import LATEST_MS, MOST
from ..errors import BadInput
from ..instants import from_rfc3339

Number = int | float | str
"""A number as JSON of the wild writes it; text in Kafka Connect, protobuf's JSON and Prometheus adapters."""

_NUMBER: Final = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,4})?\Z", re.ASCII)
_WHOLE: Final = re.compile(r"-?\d{1,20}\Z", re.ASCII)
_MS_FROM: Final = 100_000_000_000
_US_FROM: Final = _MS_FROM * 1_000
_NS_FROM: Final = _US_FROM * 1_000


def number_of(value: Number | None) -> float | int | None:
    """The number that is written, as text or not; None for what is none (an infinity is one)."""
    if isinstance(value, str):
        if _WHOLE.match(value):
            return int(value)
        return float(value) if _NUMBER.match(value) else None
    return None if isinstance(value, bool) else value


def scaled(number: float, per: int, lowest: int = 0) -> int | None:
    """`number * per` as a whole number; None when it is not finite, below `lowest` or beyond what travels."""
    amount = number * per
    if not lowest <= amount <= MOST:  # a comparison with NaN is false
        return None
    return round(amount)


def millis(value: Number | None, per_s: int) -> int | None:
    """Milliseconds since the epoch of a time in units of which `per_s` make a second; None for none, 0 or no time."""
    number = number_of(value)
    if number is None or not 0 < number < LATEST_MS * 1_000_000:
        return None
    at_ms = int(number) * 1_000 // per_s if isinstance(number, int) else int(number * 1_000 / per_s)
    return at_ms if at_ms <= LATEST_MS else None


def unit_of(value: Number) -> int:
    """How many units of this time make a second, told by its size: seconds until the year 5138, then ms, us, ns."""
    number = number_of(value) or 0
    if number < _MS_FROM:
        return 1
    if number < _US_FROM:
        return 1_000
    return 1_000_000 if number < _NS_FROM else 1_000_000_000


def rfc3339_ms(text: str) -> int | None:
    """Milliseconds of an RFC 3339 time; None for what is none or before the epoch."""
    try:
        at_ms = from_rfc3339(text)
    except BadInput:
        return None
    return at_ms if 0 <= at_ms <= LATEST_MS else None


def flag_of(value: bool | str | None) -> bool | None:
    """True or false, also as text with a stray comma; None for what is neither."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip(" ,").lower())
    return value
