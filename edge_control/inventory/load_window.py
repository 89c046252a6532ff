"""How much is asked of an app at one ingress lately: samples of the last seconds, each counted once.

Demand is that of an ingress's own users: what it sends away still is, what it takes for other sites is not (the app's
controller places replicas for that).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from typing import Final

import msgspec

from edge_control.inventory.guard import Guard, hear
from edge_control.inventory.tables import Row
from schemas.telemetry import AppLoad

_SHORTEST_INTERVAL_MS: Final = 100
_SIGMAS: Final = 3


class LoadSample(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One interval of one ingress: its end, its length, and the requests of its own users."""

    at_ms: int
    interval_ms: int
    requests: int


class IngressWindow(Row):
    """What one ingress said of one app; the newest sample's gauges beside the counted ones."""

    guard: Guard = msgspec.field(default_factory=Guard)
    samples: list[LoadSample] = msgspec.field(default_factory=list)
    newest_ms: int = 0
    interval_ms: int = 0
    sessions: int = 0
    queued: int = 0
    elsewhere_permille: int = 0
    requests_total: int = 0
    duplicates: int = 0
    late: int = 0


def absorb(window: IngressWindow, load: AppLoad, at_ms: int, keep_ms: int) -> bool:
    """Count a load once; False when it was counted before. `at_ms` is its end, never in the future."""
    if not hear(window.guard, load.boot_id, load.sequence):
        window.duplicates += 1
        return False
    window.requests_total += load.requests
    window.late += at_ms < window.newest_ms
    interval_ms = max(load.interval_ms, _SHORTEST_INTERVAL_MS)
    insort(window.samples, LoadSample(at_ms, interval_ms, load.requests))
    if at_ms >= window.newest_ms:
        window.newest_ms, window.interval_ms = at_ms, interval_ms
        window.sessions, window.queued = load.sessions, load.queued
        window.elsewhere_permille = min(1000, load.served_elsewhere * 1000 // max(1, load.requests))
    horizon = window.newest_ms - keep_ms
    window.samples = [sample for sample in window.samples if sample.at_ms > horizon]
    return True


def rate_milli(window: IngressWindow, span_ms: int) -> int:
    """Own requests per second, in thousandths, over the last `span_ms` before the newest sample."""
    requests, covered_ms = _counted(window, span_ms)
    return requests * 1_000_000 // covered_ms if covered_ms else 0


def rising_rate_milli(window: IngressWindow, calm_ms: int, quick_ms: int) -> int:
    """The rate over the calm span; over the quick one when it is higher by more than chance explains.

    Requests of independent users scatter by the square root of their number: three times that is a rise.
    """
    calm = rate_milli(window, calm_ms)
    requests, covered_ms = _counted(window, quick_ms)
    expected = calm * covered_ms // 1_000_000
    rises = requests > expected and (requests - expected) ** 2 > _SIGMAS**2 * max(1, expected)
    return rate_milli(window, quick_ms) if rises else calm


def _counted(window: IngressWindow, span_ms: int) -> tuple[int, int]:
    """Requests and the milliseconds in which they were counted."""
    since = window.newest_ms - span_ms
    picked = [sample for sample in window.samples if sample.at_ms > since]
    return sum(sample.requests for sample in picked), sum(sample.interval_ms for sample in picked)


def speaking(windows: Iterable[IngressWindow], stale_intervals: int) -> list[IngressWindow]:
    """The ingresses that still report, judged against the newest of them: one that fell silent adds nothing."""
    known = list(windows)
    newest_ms = max((window.newest_ms for window in known), default=0)
    return [w for w in known if w.newest_ms > newest_ms - (stale_intervals + 1) * max(w.interval_ms, 1_000)]
