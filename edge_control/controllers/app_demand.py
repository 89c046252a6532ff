"""One demand view of an app over all its entries: what every site said, fused into the app's public row.

The fusion gain is what pooling saves: the sum of the sites' own peaks over the peak of their sum, within the window.
"""

from __future__ import annotations

from edge_control.controllers.app_books import AppBooks, Turn
from edge_control.controllers.app_rows import AppRow, Bucket, DemandRow, at
from schemas.base import capped
from schemas.inventory import AppBudget, AppInventory, AppSiteShare, Health, SpillAtSite
from schemas.policy import ScalingPolicy, Scope
from schemas.requests import SiteReport

_EVERY_MS = 1_000
_LAZILY_MS = 5_000
_URGENT_DRIFT = 100


def fold_report(turn: Turn, report: SiteReport) -> bool:
    """Take what a site says of an app; an older word than the last one changes nothing. Whether it was taken."""
    key = at(report.app_id, report.site_id)
    row = turn.books.demand.get(key) or DemandRow(app_id=report.app_id, site_id=report.site_id)
    if report.at_ms < row.at_ms:
        return False
    _note_change(turn.books, row, report)
    row.at_ms, row.demand_milli = report.at_ms, report.demand_milli
    row.desired, row.ready, row.own, row.placed = report.desired, report.ready, report.own, report.placed
    row.served_elsewhere_permille = report.served_elsewhere_permille
    row.peaks = risen(row.peaks, report.demand_milli, turn.now_ms, _window(turn, report.app_id))
    turn.books.demand[key] = row
    turn.books.sites_of.setdefault(report.app_id, {})[report.site_id] = None
    return True


def touch(books: AppBooks, app_id: str) -> None:
    """Something that the app's public row shows has changed: publish it at the next chance."""
    app = books.app(app_id)
    if not (app.changed and app.urgent):
        app.changed = app.urgent = True
        books.apps[app_id] = app


def is_due(turn: Turn, app_id: str) -> bool:
    """Whether the app's public row is to be published: at most once a second, lazily when little changed."""
    app = turn.books.app(app_id)
    return app.changed and turn.now_ms - app.published_at_ms >= (_EVERY_MS if app.urgent else _LAZILY_MS)


def publish(turn: Turn, app_id: str, hires: tuple[SpillAtSite, ...], unmet_milli: int, leased: int) -> AppInventory:
    """The app's public row as of now; the pooled demand is sampled with it."""
    app = turn.books.app(app_id)
    app.pooled = risen(app.pooled, _total(turn, app_id), turn.now_ms, _window(turn, app_id))
    app.generation += 1
    app.published_at_ms, app.changed, app.urgent, app.drift_milli = turn.now_ms, False, False, 0
    turn.books.apps[app_id] = app
    return fused(turn.books, app, hires, unmet_milli, leased)


def fused(books: AppBooks, app: AppRow, hires: tuple[SpillAtSite, ...], unmet_milli: int, leased: int) -> AppInventory:
    """The app's public row as of its last publication."""
    rows, spec = books.demands(app.app_id), books.spec(app.app_id)
    budget = AppBudget(max=spec.bounds.max if spec else 0, used=sum(row.desired for row in rows), leased=leased)
    return AppInventory(
        app_id=app.app_id,
        generation=app.generation,
        as_of_ms=app.published_at_ms,
        demand_milli=capped(sum(row.demand_milli for row in rows)),
        sites=tuple(_share(row) for row in rows),
        budget=budget,
        fusion_gain_permille=gain_permille(rows, app),
        unmet_milli=capped(unmet_milli),
        hires=hires,
    )


def gain_permille(rows: list[DemandRow], app: AppRow) -> int:
    """Sum of the sites' peaks over the pooled peak, in thousandths; 1000 when nothing is gained or known."""
    apart = sum(peak(row.peaks) for row in rows)
    together = peak(app.pooled)
    return max(1000, capped(apart * 1000 // together)) if together else 1000


def peak(buckets: tuple[Bucket, ...]) -> int:
    """The highest demand of all buckets."""
    return max((bucket.peak_milli for bucket in buckets), default=0)


def risen(buckets: tuple[Bucket, ...], demand_milli: int, now_ms: int, policy: ScalingPolicy) -> tuple[Bucket, ...]:
    """The buckets of the window with this demand in the newest one; what is older than the window falls out."""
    start_ms = now_ms - now_ms % policy.bucket_ms
    kept = tuple(bucket for bucket in buckets if bucket.start_ms > now_ms - policy.window_ms)
    if kept and kept[-1].start_ms == start_ms:
        newest = Bucket(start_ms=start_ms, peak_milli=max(kept[-1].peak_milli, demand_milli))
        return kept if newest == kept[-1] else (*kept[:-1], newest)
    return (*kept, Bucket(start_ms=start_ms, peak_milli=demand_milli))


def _note_change(books: AppBooks, row: DemandRow, report: SiteReport) -> None:
    app = books.app(report.app_id)
    app.changed = True
    app.drift_milli += abs(report.demand_milli - row.demand_milli)
    moved = (row.desired, row.ready) != (report.desired, report.ready)
    app.urgent = app.urgent or moved or app.drift_milli * _URGENT_DRIFT >= max(1, peak(app.pooled))
    books.apps[app.app_id] = app


def _share(row: DemandRow) -> AppSiteShare:
    return AppSiteShare(
        site_id=row.site_id,
        demand_milli=row.demand_milli,
        desired=row.desired,
        ready=row.ready,
        served_elsewhere_permille=row.served_elsewhere_permille,
    )


def _total(turn: Turn, app_id: str) -> int:
    alive = (row for row in turn.books.demands(app_id) if turn.view.health_of(row.site_id) is not Health.DEAD)
    return capped(sum(row.demand_milli for row in alive))


def _window(turn: Turn, app_id: str) -> ScalingPolicy:
    spec = turn.books.spec(app_id)
    return turn.view.policies.of(ScalingPolicy, Scope(app=app_id, tenant=spec.tenant if spec else ""))
