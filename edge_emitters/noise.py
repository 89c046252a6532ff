"""Chance that is a function: the same seed, name and time give the same number in every process and on every day."""

from __future__ import annotations

import hashlib
import math
from typing import Final

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_UNIT: Final = 1 / (1 << 53)
DAY_MS: Final = 86_400_000
_PEAK_MS: Final = 19 * 3_600_000
"""The busiest local time of a day: seven in the evening."""


def seed_of(seed: int, name: str) -> int:
    """The 64-bit seed of one name's own chance."""
    return int.from_bytes(hashlib.blake2b(f"{seed}|{name}".encode(), digest_size=8).digest())


def unit(seed: int, number: int) -> float:
    """A number in [0, 1) for each whole number (splitmix64, Steele et al. 2014)."""
    mixed = (seed + number * 0x9E37_79B9_7F4A_7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
    return ((mixed ^ (mixed >> 31)) >> 11) * _UNIT


def between(seed: int, number: int, low: float, high: float) -> float:
    """A number in [low, high)."""
    return low + (high - low) * unit(seed, number)


def bell(seed: int, number: int) -> float:
    """A number around 0 with standard deviation 1 (sum of twelve, less six; never beyond 6)."""
    return sum(unit(seed, number * 12 + part) for part in range(12)) - 6.0


def smooth(seed: int, at_ms: int, period_ms: int) -> float:
    """Noise in [-1, 1) that wanders: a new value each period, eased in between."""
    bucket, rest = divmod(at_ms, period_ms)
    share = rest / period_ms
    eased = share * share * (3 - 2 * share)
    return 2 * ((1 - eased) * unit(seed, bucket) + eased * unit(seed, bucket + 1)) - 1


def daily(at_ms: int, lon_e7: int) -> float:
    """The day's wave in [-1, 1]: 1 at seven in the evening of the place's sun time."""
    sun_ms = at_ms + lon_e7 * DAY_MS // 3_600_000_000
    return math.cos(2 * math.pi * ((sun_ms - _PEAK_MS) % DAY_MS) / DAY_MS)
