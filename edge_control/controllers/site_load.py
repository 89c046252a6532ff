"""Turns what ingresses and nodes measured into one demand per app, in thousandths of a replica at target use.

Every metric gives a demand in replicas; the largest counts. Where no ingress speaks of an app, the CPU of the site's
nodes counts for it.
"""

from __future__ import annotations

import msgspec

from edge_control.controllers import site_reports
from edge_control.controllers.site_rows import AppRow, SiteRow
from edge_control.controllers.site_turn import Turn
from edge_control.inventory.amounts import PLENTY
from edge_control.inventory.ledger import Seats
from edge_control.inventory.load_window import IngressWindow, absorb, rate_milli, rising_rate_milli, speaking
from edge_control.policies import forecast
from schemas.apps import AppSpec
from schemas.policy import ScalingPolicy
from schemas.telemetry import AppLoad

_USUAL_INTERVAL_MS = 5_000
_MOST_MILLI = PLENTY * 1_000


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Demand of an app's own users at a site.

    `demand_milli`: thousandths of a replica at target use; `panic_milli`: of the last seconds, at full use;
    `parts`: demand by metric; `sampled_at_ms`: of the newest measurement (0: none); `interval_ms`: how often it comes.
    """

    demand_milli: int
    panic_milli: int
    sampled_at_ms: int
    interval_ms: int
    parts: dict[str, int]


def take_load(turn: Turn, load: AppLoad) -> None:
    """Count what an ingress saw, once; what it sent to other sites proves that users are served there."""
    site = turn.site(load.site_id)
    row = turn.app(load.app_id, load.site_id)
    policy = turn.view.policies.of(ScalingPolicy, turn.scope(load.site_id, load.app_id))
    window = row.ingresses.setdefault(load.ingress_id, IngressWindow())
    keep_ms = max(policy.bucket_ms, policy.panic_window_ms)
    if absorb(window, load, turn.observed_ms(load.observed_at_ms), keep_ms):
        site_reports.served_elsewhere(turn, site, load)
    turn.put_app(row)


def measure_cpu(turn: Turn, site: SiteRow, at_ms: int) -> None:
    """Note the CPU of each app's replicas, and of the nodes for apps of which no ingress speaks."""
    used: dict[str, int] = {}
    for node in turn.books.nodes_of(site.site_id):
        if node.admitted and not node.lost:
            for app_id, on_node in node.apps.items():
                used[app_id] = used.get(app_id, 0) + on_node.cpu_used_milli
    for row in turn.books.apps_of(site.site_id):
        listed = row.app_id in used
        if not listed and row.ingresses and not row.cpu:
            continue
        policy = turn.view.policies.of(ScalingPolicy, turn.scope(site.site_id, row.app_id))
        row.cpu = [sample for sample in row.cpu if at_ms - policy.bucket_ms < sample[0] < at_ms]
        if listed:
            row.cpu.append((at_ms, used[row.app_id]))
        row.node_demand_milli = _node_demand_milli(turn, site, row, policy, at_ms)
        row.node_demand_ms = at_ms
        turn.put_app(row)


def _node_demand_milli(turn: Turn, site: SiteRow, row: AppRow, policy: ScalingPolicy, at_ms: int) -> int:
    """The busiest node's CPU as demand of an app: what runs now, in proportion to how far use is from its target.

    The busiest and not the mean, because idle neighbours do not help the replicas on a hot node.
    """
    newest_ms = max((window.newest_ms for window in row.ingresses.values()), default=0)
    spec = turn.spec(row.app_id)
    if spec is None or newest_ms > at_ms - policy.window_ms:
        return 0
    running = max(0, row.observed - row.placed)
    base = max(min(row.own, running), spec.bounds.site_min, 1 if row.own else 0)
    return base * site.totals.hottest_permille * 1_000 // max(1, policy.target_use_permille)


def measure(row: AppRow, spec: AppSpec, policy: ScalingPolicy, seats: Seats) -> Measured:
    """What the newest measurements of an app add up to."""
    windows = speaking(row.ingresses.values(), policy.stale_intervals)
    per, target = spec.per_replica, max(1, policy.target_use_permille)
    rates = [rising_rate_milli(window, policy.bucket_ms, policy.panic_window_ms) for window in windows]
    panics = [rate_milli(window, policy.panic_window_ms) for window in windows]
    queued_milli = sum(window.queued for window in windows) * 1_000_000 // max(1, policy.bucket_ms)
    cpu = [used for _, used in row.cpu]
    full = {
        "requests": _full_use(sum(rates), per.requests_per_s, target),
        "queue": _full_use(sum(rates) + queued_milli, per.requests_per_s, target) if queued_milli else 0,
        "sessions": _full_use(_sessions(windows, seats) * 1000, per.sessions, target),
        "cpu": sum(cpu) * 1000 // (len(cpu) * per.cpu_milli) if cpu and per.cpu_milli else 0,
    }
    parts = {name: min(milli * 1000 // target, _MOST_MILLI) for name, milli in full.items() if milli}
    if row.node_demand_milli:
        parts["nodes"] = row.node_demand_milli
    return Measured(
        demand_milli=max(parts.values(), default=0),
        panic_milli=min(sum(panics) // per.requests_per_s, _MOST_MILLI) if per.requests_per_s else 0,
        sampled_at_ms=_newest_ms(row, windows),
        interval_ms=max((window.interval_ms for window in windows), default=_USUAL_INTERVAL_MS),
        parts=parts,
    )


def follow_trend(row: AppRow, measured: Measured, policy: ScalingPolicy, horizon_ms: int) -> int:
    """Take the demand into the app's trend; the demand expected after the horizon, 0 without an opinion."""
    if not policy.forecast or not row.ingresses:
        return 0
    forecast.observe(row.trend, measured.sampled_at_ms, measured.demand_milli, policy.bucket_ms)
    return forecast.ahead_milli(row.trend, horizon_ms, policy.bucket_ms)


def elsewhere_permille(row: AppRow) -> int:
    """The largest share of its own users' requests that an ingress sent to other sites lately."""
    return max((window.elsewhere_permille for window in row.ingresses.values()), default=0)


def _sessions(windows: list[IngressWindow], seats: Seats) -> int:
    """Sessions here or promised a seat; a session that moved in is in both counts, so the larger counts."""
    reported = sum(window.sessions for window in windows)
    return max(reported + seats.reserved, seats.committed + seats.reserved)


def _full_use(amount_milli: int, per_replica: int, target_permille: int) -> int:
    """Replicas at full use, in thousandths; where the spec sets no limit, anything at all needs one replica."""
    if not amount_milli:
        return 0
    return amount_milli // per_replica if per_replica else target_permille


def _newest_ms(row: AppRow, windows: list[IngressWindow]) -> int:
    newest_ms = max((window.newest_ms for window in windows), default=0)
    return newest_ms or row.node_demand_ms
