"""Time is the broker's: its distance from our monotonic clock, measured at every acknowledgement (ENGINE 5)."""

from __future__ import annotations

import time
from collections.abc import Callable

_FRESH_MS = 60_000


def monotonic_ms() -> float:
    """Local time that never jumps."""
    return time.monotonic() * 1000


class BrokerClock:
    """The broker's time now. A jump of the local wall clock changes nothing; it counts until the first measurement."""

    def __init__(self, *, monotonic: Callable[[], float] = monotonic_ms, wall: Callable[[], float] = time.time) -> None:
        """Believes the wall clock until it has heard the broker."""
        self._monotonic = monotonic
        self._base_ms = wall() * 1000 - monotonic()
        self._wall = wall
        self._round_trip_ms = float("inf")
        self._measured_at_ms = 0.0
        self.is_measured = False

    def now_ms(self) -> int:
        """The broker's time in milliseconds."""
        return int(self._monotonic() + self._base_ms)

    @property
    def wall_offset_ms(self) -> int:
        """How far the local wall clock is behind the broker."""
        return int(self.now_ms() - self._wall() * 1000)

    def measured(self, sent_ms: float, appended_ms: int) -> None:
        """An acknowledgement came back now: sent at this local time, appended at this time of the broker's.

        The measurement with the shortest way counts; an old one gives way.
        """
        now = self._monotonic()
        round_trip = now - sent_ms
        is_old = now - self._measured_at_ms > _FRESH_MS
        if self.is_measured and not is_old and round_trip > self._round_trip_ms:
            return
        self._round_trip_ms, self._measured_at_ms = round_trip, now
        self._base_ms = appended_ms - (sent_ms + now) / 2
        self.is_measured = True
