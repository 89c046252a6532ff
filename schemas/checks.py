"""What must hold beyond types: contradictions inside one message, each said as a sentence without a foreign text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from .apps import AppKind, AppSpec
from .base import MOST, Message
from .errors import BadInput, Fault
from .estate import Link, Site
from .location import TwinDesired, TwinReported
from .policy import FailoverPolicy, GovernorPolicy, MigrationPolicy, OffloadPolicy, Policy, ScalingPolicy
from .requests import Spill

_POLE_E7 = 900_000_000
_DATE_LINE_E7 = 1_800_000_000
_LONGEST_RULE_MS = 72 * 3_600_000
_MOST_INSTANCES = 1_000
_ALL = 1_000
_SHORTEST_ROW_MS = 1_000


def contradictions(item: Message) -> Iterator[str]:
    """Every contradiction of one message; nothing for a sound one."""
    check = _CHECKS.get(type(item))
    if check is not None:
        yield from check(item)


def refuse_unsound(item: object) -> None:
    """BadInput that lists every contradiction: what may divide by zero must not come in, whoever wrote it."""
    check = _CHECKS.get(type(item))
    if check is not None and (faults := list(check(item))):
        raise BadInput(Fault.DOCUMENT, "; ".join(faults))


def _site(site: Site) -> Iterator[str]:
    if abs(site.lat_e7) > _POLE_E7:
        yield f"lat_e7 {site.lat_e7} is beyond a pole"
    if abs(site.lon_e7) > _DATE_LINE_E7:
        yield f"lon_e7 {site.lon_e7} is beyond the date line"
    for name, url in (("ingress_url", site.ingress_url), ("state_url", site.state_url)):
        if url and not url.startswith(("http://", "https://")):
            yield f"{name} must begin with http:// or https://"


def _link(link: Link) -> Iterator[str]:
    if link.from_site == link.to_site:
        yield "from_site and to_site are the same site"


def _app(app: AppSpec) -> Iterator[str]:
    bounds = app.bounds
    if bounds.min > bounds.max:
        yield f"bounds.min {bounds.min} is above bounds.max {bounds.max}"
    if bounds.site_min > bounds.site_max:
        yield f"bounds.site_min {bounds.site_min} is above bounds.site_max {bounds.site_max}"
    if bounds.site_min > bounds.max:
        yield f"bounds.site_min {bounds.site_min} is above bounds.max {bounds.max}"
    if not (app.per_replica.cpu_milli or app.per_replica.mem_bytes):
        yield "per_replica needs cpu_milli or mem_bytes: a replica that needs nothing has no room to be counted in"
    if app.kind is AppKind.TASK and app.task is None:
        yield "kind task needs task {completions, ..}"
    if app.app_id in {dependency.app_id for dependency in app.depends_on}:
        yield "depends_on names the app itself"
    if app.exactly_once and not app.stateful:
        yield "exactly_once needs state_bytes above 0: without state there is nothing to keep"
    if app.keeps_instances and bounds.min > _MOST_INSTANCES:
        yield f"bounds.min {bounds.min} is above {_MOST_INSTANCES}: each instance keeps a row of its own"


def _policy(policy: Policy) -> Iterator[str]:
    if all(part is None for part in _parts(policy)):
        yield "it says nothing: it needs scaling, placement, migration, offload, failover, governor or admission"
    yield from _scaling(policy.scaling) if policy.scaling else ()
    yield from _migration(policy.migration) if policy.migration else ()
    yield from _offload(policy.offload) if policy.offload else ()
    yield from _failover(policy.failover) if policy.failover else ()
    yield from _governor(policy.governor) if policy.governor else ()
    if policy.admission and policy.admission.mode not in ("auto", "approve"):
        yield "admission.mode is neither auto nor approve"


def _parts(policy: Policy) -> tuple[Message | None, ...]:
    return (
        policy.scaling,
        policy.placement,
        policy.migration,
        policy.offload,
        policy.failover,
        policy.governor,
        policy.admission,
    )


def _scaling(part: ScalingPolicy) -> Iterator[str]:
    if part.target_use_permille == 0:
        yield "scaling.target_use_permille must be above 0"
    if part.bucket_ms == 0 or part.window_ms < part.bucket_ms:
        yield f"scaling.window_ms {part.window_ms} must hold at least one bucket_ms {part.bucket_ms}"
    if part.panic_window_ms > part.window_ms:
        yield f"scaling.panic_window_ms {part.panic_window_ms} is longer than window_ms {part.window_ms}"
    if part.up_step_min == 0 and part.up_step_permille == 0:
        yield "scaling.up_step_min and up_step_permille are both 0: it could never grow"


def _migration(part: MigrationPolicy) -> Iterator[str]:
    if part.lease_renew_ms >= part.lease_ms:
        yield f"migration.lease_renew_ms {part.lease_renew_ms} must be below lease_ms {part.lease_ms}"
    if part.rule_repeat_ms >= part.rule_ttl_ms:
        yield f"migration.rule_repeat_ms {part.rule_repeat_ms} must be below rule_ttl_ms {part.rule_ttl_ms}"


def _offload(part: OffloadPolicy) -> Iterator[str]:
    if part.spill_renew_ms >= part.spill_ttl_ms:
        yield f"offload.spill_renew_ms {part.spill_renew_ms} must be below spill_ttl_ms {part.spill_ttl_ms}"
    if part.spill_ttl_ms > _LONGEST_RULE_MS:
        yield f"offload.spill_ttl_ms {part.spill_ttl_ms} is above the cap of 72 hours"
    if part.steering_ttl_ms < _SHORTEST_ROW_MS:
        yield f"offload.steering_ttl_ms {part.steering_ttl_ms} is below {_SHORTEST_ROW_MS}: a row must outlive its way"
    if part.weak_view_age_ms > part.max_view_age_ms:
        yield f"offload.weak_view_age_ms {part.weak_view_age_ms} is above max_view_age_ms {part.max_view_age_ms}"


def _failover(part: FailoverPolicy) -> Iterator[str]:
    if part.silent_beats == 0:
        yield "failover.silent_beats must be above 0: no site can always speak"
    if part.beat_ms == 0:
        yield "failover.beat_ms must be above 0"
    if part.drain_ttl_ms > _LONGEST_RULE_MS:
        yield f"failover.drain_ttl_ms {part.drain_ttl_ms} is above the cap of 72 hours"


def _governor(part: GovernorPolicy) -> Iterator[str]:
    if part.lease_ms == 0:
        yield "governor.lease_ms must be above 0"
    if part.workload_moves_burst == 0 or part.session_moves_burst == 0:
        yield "governor.*_moves_burst must be above 0: to stop all moves, pause the scope"


def _spill(ask: Spill) -> Iterator[str]:
    if (all_sent := sum(share.permille for share in ask.shares)) > _ALL:
        yield f"shares add up to {all_sent} permille"
    if len({share.site_id for share in ask.shares}) < len(ask.shares):
        yield "shares name a site twice"


def _reported(twin: TwinReported) -> Iterator[str]:
    yield from _numbers_beyond(twin.reported, "reported")


def _desired(twin: TwinDesired) -> Iterator[str]:
    yield from _numbers_beyond(twin.desired, "desired")


def _numbers_beyond(value: Any, place: str) -> Iterator[str]:
    """Whole numbers that not every reader keeps exact; more than 64 bits fit into no row."""
    if isinstance(value, dict):
        for child in value.values():
            yield from _numbers_beyond(child, place)
    elif isinstance(value, list):
        for child in value:
            yield from _numbers_beyond(child, place)
    elif isinstance(value, int) and abs(value) > MOST:
        yield f"{place} holds a whole number beyond 2**53-1"


_CHECKS: Final[dict[type, Callable[[Any], Iterator[str]]]] = {
    Site: _site,
    Link: _link,
    AppSpec: _app,
    Policy: _policy,
    Spill: _spill,
    TwinReported: _reported,
    TwinDesired: _desired,
}
