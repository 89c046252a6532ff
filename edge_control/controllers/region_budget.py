"""Leases of disruption budgets; with a site the permit for a rescue, given only while that site's own row says dead."""

from __future__ import annotations

from edge_control.controllers.events import Event
from edge_control.controllers.region_rows import LeaseRow, RegionRow, SiteRow
from edge_control.inventory.budgets import Bucket, lease, refill
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from edge_control.policies.governor import paused_by
from schemas.decisions import Reason
from schemas.inventory import Health
from schemas.policy import GovernorPolicy, Scope
from schemas.requests import AskLease, Budget, Lease

_BURST_OF_ONE_SLOW_ZONE = 1


def answer_lease(  # noqa: PLR0917  # the wish, the row, its sites, what was given before, the view
    ask: AskLease, event: Event, region: RegionRow, sites: list[SiteRow], given: Table[LeaseRow], view: View
) -> Lease:
    """The lease, or why there is none; asked again with the same id it is the same lease."""
    known = given.get(ask.request_id)
    if known is not None:
        return _reply(ask, known.amount, known.until_ms, "")
    if event.at_ms > ask.expires_at_ms:
        return _reply(ask, 0, 0, str(Reason.EXPIRED))
    policy = view.policies.of(GovernorPolicy, Scope(region=ask.region_id))
    stop = _stop(ask, region, sites, policy, view, event.now_ms)
    if stop is not None:
        return _reply(ask, 0, 0, str(stop))
    return _draw(ask, region, sites, given, policy, event.now_ms)


def _draw(  # noqa: PLR0917  # a draw touches the bucket, the leases and the policy at one moment
    ask: AskLease,
    region: RegionRow,
    sites: list[SiteRow],
    given: Table[LeaseRow],
    policy: GovernorPolicy,
    now_ms: int,
) -> Lease:
    rate_milli, burst = _pace(ask, sites, policy)
    name = _bucket_name(ask)
    bucket = region.buckets.get(name)
    if bucket is None:
        bucket = region.buckets[name] = Bucket(tokens_milli=burst * 1000, at_ms=now_ms)
    refill(bucket, rate_milli, burst, now_ms)
    amount = lease(bucket, ask.amount)
    if amount == 0:
        return _reply(ask, 0, 0, str(Reason.BUDGET))
    until_ms = now_ms + policy.lease_ms
    given[ask.request_id] = LeaseRow(
        region_id=ask.region_id, budget=str(ask.budget), amount=amount, until_ms=until_ms, site_id=ask.site_id
    )
    return _reply(ask, amount, until_ms, "")


def _bucket_name(ask: AskLease) -> str:
    """Sessions spare each target by itself; workloads are few, and one budget holds for the whole region."""
    per_target = ask.budget is Budget.SESSIONS and ask.target_site
    return f"{ask.budget}/{ask.target_site}" if per_target else str(ask.budget)


def _stop(  # noqa: PLR0917  # every fact that can forbid a lease
    ask: AskLease, region: RegionRow, sites: list[SiteRow], policy: GovernorPolicy, view: View, now_ms: int
) -> Reason | None:
    """Why nothing may be disrupted now, if so: red button, region cut, not dead, too many dead."""
    if paused_by(("all", f"region/{ask.region_id}"), view, now_ms):
        return Reason.PAUSED
    if not ask.site_id:
        return None
    row = next((site for site in sites if site.site_id == ask.site_id), None)
    if row is None or row.health is not Health.DEAD:
        return Reason.SITE_CUT_OFF if row and row.health is Health.CUT_OFF else Reason.SITE_ALIVE
    if region.cut and not row.evidenced:
        return Reason.REGION_CUT
    return Reason.UNFIXABLE if _too_many_sick(sites, policy) else None


def _too_many_sick(sites: list[SiteRow], policy: GovernorPolicy) -> bool:
    sick = _sick(sites)
    share = sick * 1000 > policy.unfixable_permille * len(sites) and sick >= policy.zone_unhealthy_min
    return share or sick > policy.unfixable_sites


def _pace(ask: AskLease, sites: list[SiteRow], policy: GovernorPolicy) -> tuple[int, int]:
    """Rate in tokens/1000 per second and burst; a tenth of it while most of the domain is unhealthy."""
    if ask.budget is Budget.SESSIONS:
        rate_milli, burst = policy.session_moves_per_s * 1000, policy.session_moves_burst
    else:
        rate_milli, burst = policy.workload_moves_milli_per_s, policy.workload_moves_burst
    sick = _sick(sites)
    if sick >= policy.zone_unhealthy_min and sick * 1000 >= policy.zone_unhealthy_permille * len(sites):
        return rate_milli * policy.zone_slow_permille // 1000, _BURST_OF_ONE_SLOW_ZONE
    return rate_milli, burst


def _sick(sites: list[SiteRow]) -> int:
    return sum(site.health in (Health.SUSPECT, Health.DEAD) for site in sites)


def _reply(ask: AskLease, amount: int, until_ms: int, reason: str) -> Lease:
    return Lease(
        request_id=ask.request_id,
        granted=amount > 0,
        reason=reason,
        region_id=ask.region_id,
        budget=ask.budget,
        amount=amount,
        until_ms=until_ms,
        site_id=ask.site_id,
    )
