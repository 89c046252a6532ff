"""Where an instance goes: filter, then a total order that depends on what the app cares for (DECISIONS 3).

Latency apps: active-first (a site that runs it already and has most room), then nearer, then cheaper; nearest-first
alone hires up to twice the sites. Tasks: cheapest, then fullest that fits, which keeps whole sites free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from edge_control.inventory.geography import rtt_us
from edge_control.inventory.view import View
from edge_control.policies.ranking import Need, Order, Ranking, SiteOption, rank, strangers, survey
from schemas.apps import AppKind, AppSpec
from schemas.policy import PlacementPolicy

_UNLIMITED: Final = 1 << 30


def choose(view: View, need: Need, policy: PlacementPolicy, now_ms: int, *, headroom: bool = True) -> Ranking:
    """Sites that can take what is needed, best first; dependencies out of reach are refusals like any other."""
    avoid = {**strangers(view, need.near), **unreachable(view, need.spec), **need.avoid}
    within = msgspec.structs.replace(need, avoid=avoid, max_age_ms=policy.max_view_age_ms)
    options = survey(view, need.spec, need.near, now_ms, headroom=headroom)
    return rank(options, within, order_for(need.spec, policy), policy.max_candidates)


def order_for(spec: AppSpec, policy: PlacementPolicy) -> Order:
    """The order of the app's kind."""
    if spec.kind is AppKind.TASK or not policy.latency_first:
        return cheapest_then_fullest
    return active_then_near


def active_then_near(option: SiteOption) -> tuple[int, ...]:
    """A site that runs it and has most room first; then the nearer, then real before emulated, then the cheaper."""
    active = option.running > 0
    emulated = int(not option.site.live)
    return (int(not active), -option.room if active else 0, option.rtt_us, emulated, option.price_milli)


def cheapest_then_fullest(option: SiteOption) -> tuple[int, ...]:
    """The cheapest; among equals real before emulated, then the fullest that still fits."""
    return (option.price_milli, int(not option.site.live), -option.fullness_permille)


def unreachable(view: View, spec: AppSpec) -> dict[str, str]:
    """Sites from which a dependency is not reachable within its budget, with the name of the first such one."""
    refused: dict[str, str] = {}
    for dependency in spec.depends_on:
        row = view.app_rows.get(dependency.app_id)
        hosts = [share.site_id for share in row.body.sites if share.ready > 0] if row else []
        limit = dependency.max_rtt_us or _UNLIMITED
        for site_id in view.sites:
            if not any(rtt_us(view, site_id, host) <= limit for host in hosts):
                refused.setdefault(site_id, f"dependency {dependency.app_id}")
    return refused


def quota_left(view: View, spec: AppSpec) -> int:
    """Replicas that the tenant may still add: budgets `replicas`, `cpu_milli`, `mem_bytes` count over all its apps."""
    tenant = view.tenants.get(spec.tenant)
    if tenant is None:
        return _UNLIMITED
    left = _UNLIMITED
    for name, limit in tenant.body.budgets.items():
        size = _size(spec, name)
        if size > 0:
            left = min(left, max(0, limit - _held(view, spec.tenant, name)) // size)
    return left


def topological(specs: Mapping[str, AppSpec]) -> tuple[list[str], list[str]]:
    """App ids with dependencies before dependents (ties by id), and those that stand in or behind a cycle."""
    waiting = {name: sorted(d.app_id for d in spec.depends_on if d.app_id in specs) for name, spec in specs.items()}
    ordered: list[str] = []
    placed: dict[str, None] = {}
    while ready := sorted(name for name, needs in waiting.items() if all(need in placed for need in needs)):
        for name in ready:
            placed[name] = None
            ordered.append(name)
            del waiting[name]
    return ordered, sorted(waiting)


def _held(view: View, tenant: str, name: str) -> int:
    specs = [seen.body for seen in view.apps.values() if seen.body.tenant == tenant]
    rows = ((spec, view.app_rows.get(spec.app_id)) for spec in specs)
    return sum(_size(spec, name) * row.body.budget.used for spec, row in rows if row is not None)


def _size(spec: AppSpec, name: str) -> int:
    sizes = {"replicas": 1, "cpu_milli": spec.per_replica.cpu_milli, "mem_bytes": spec.per_replica.mem_bytes}
    return sizes.get(name, 0)
