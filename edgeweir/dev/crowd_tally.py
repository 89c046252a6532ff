"""What the crowd counts about its own requests and sessions, and the line it makes of that each second."""

from __future__ import annotations

import time
from collections import Counter as Counts
from collections import deque
from collections.abc import Iterable

from edgeweir.dev.counters import Counter
from edgeweir.dev.crowd_report import Failure, Line

_LATEST = 300
_MOST_FAILURES = 50


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Tally:
    """Sums since the start, failures since the last line."""

    def __init__(self) -> None:
        self._asked = 0
        self._failed = 0
        self._failures: list[Failure] = []
        self._served: Counts[str] = Counts()
        self._took_ms: deque[float] = deque(maxlen=_LATEST)

    def answered(self, app: str, served_by: str, took_ms: float) -> None:
        """A good answer, by that site."""
        self._asked += 1
        self._served[f"{app}@{served_by}"] += 1
        self._took_ms.append(took_ms)

    def failed(self, app: str, site: str, why: str) -> None:
        """No good answer from that site's ingress."""
        self._asked += 1
        self._failed += 1
        self._failures.append(Failure(now_ms(), app, site, why))

    def line(self, counters: Iterable[Counter]) -> Line:
        """Everything so far; of failures the new ones."""
        known = list(counters)
        failures, self._failures = self._failures[:_MOST_FAILURES], []
        return Line(
            at_ms=now_ms(),
            asked=self._asked,
            failed=self._failed,
            failures=failures,
            served=dict(self._served),
            p95_ms=round(self._p95_ms(), 1),
            sessions=sum(counter.last > 0 for counter in known),
            gaps=sum(counter.gaps for counter in known),
            repeats=sum(counter.repeats for counter in known),
            rollbacks=sum(counter.rollbacks for counter in known),
            rolled_back=sum(counter.rolled_back for counter in known),
            moved=sum(max(0, len(counter.sites) - 1) for counter in known),
        )

    def _p95_ms(self) -> float:
        ordered = sorted(self._took_ms)
        return ordered[len(ordered) * 95 // 100] if ordered else 0.0
