"""What an ingress counts per app, and the AppLoad it makes of that each interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from schemas.telemetry import AppLoad, ServedBy

_MAX_SAMPLES = 8192


class AppCount:
    """One app's traffic since the last report.

    `waiting` requests are held now, `most_waiting` at once at the worst. `reports` numbers the app's reports without a
    hole, so that who counts them once need remember but one span.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self.reports = 0
        self.reset()

    def reset(self) -> None:
        """Begin a new interval."""
        self.requests = 0
        self.errors = 0
        self.rejected = 0
        self.hosted = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.most_waiting = self.waiting
        self.served_by: Counter[str] = Counter()
        self._taken_us: list[int] = []

    def took(self, duration_us: int) -> None:
        """How long one request took; beyond some thousands of samples the newest replace the oldest."""
        if len(self._taken_us) < _MAX_SAMPLES:
            self._taken_us.append(duration_us)
        else:
            self._taken_us[self.requests % _MAX_SAMPLES] = duration_us

    def wait(self) -> None:
        """A request is held: no replica, or a frozen session."""
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)

    def go(self) -> None:
        """It goes on."""
        self.waiting -= 1

    def quantile_us(self, permille: int) -> int:
        """A quantile of the durations, 0 without any."""
        ordered = sorted(self._taken_us)
        return ordered[min(len(ordered) - 1, len(ordered) * permille // 1000)] if ordered else 0


class LoadMeter:
    """All apps of one ingress. `requests` are those of its own users; what came from other ingresses is `hosted`."""

    def __init__(self, site_id: str, boot_id: str) -> None:
        self._site_id = site_id
        self._boot_id = boot_id
        self._apps: dict[str, AppCount] = {}

    def of(self, app_id: str) -> AppCount:
        """An app's counts."""
        count = self._apps.get(app_id)
        if count is None:
            count = self._apps[app_id] = AppCount()
        return count

    def report(
        self, apps: Iterable[str], sessions: Callable[[str], int], now_ms: int, interval_ms: int
    ) -> list[AppLoad]:
        """One report per app that has traffic or replicas, quiet ones too; then all counts begin anew."""
        loads = [self._load(app, sessions(app), now_ms, interval_ms) for app in dict.fromkeys((*apps, *self._apps))]
        for count in self._apps.values():
            count.reset()
        return loads

    def _load(self, app_id: str, sessions: int, now_ms: int, interval_ms: int) -> AppLoad:
        count = self.of(app_id)
        count.reports += 1
        elsewhere = [ServedBy(site_id=s, requests=n) for s, n in count.served_by.items() if s != self._site_id]
        return AppLoad(
            site_id=self._site_id,
            app_id=app_id,
            ingress_id=f"{self._site_id}/ingress",
            observed_at_ms=now_ms,
            interval_ms=interval_ms,
            requests=count.requests,
            boot_id=self._boot_id,
            sequence=count.reports,
            errors=count.errors,
            sessions=sessions,
            p50_us=count.quantile_us(500),
            p95_us=count.quantile_us(950),
            queued=count.most_waiting,
            rejected=count.rejected,
            served_elsewhere=sum(served.requests for served in elsewhere),
            hosted_for_others=count.hosted,
            bytes_in=count.bytes_in,
            bytes_out=count.bytes_out,
            served_by=tuple(ServedBy(site_id=s, requests=n) for s, n in count.served_by.items()),
        )
