"""Which sites could take load of an app, and why the others not: one survey and one filter for placement and offload.

The view is advice: what passes here may still be refused by the site's own ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from edge_control.inventory.geography import distance_m, rtt_us
from edge_control.inventory.view import View
from schemas import estate
from schemas.apps import AppSpec, PerReplica
from schemas.decisions import Candidate, InputRow
from schemas.inventory import Health, Room, SiteInventory
from schemas.policy import ScalingPolicy, Scope

NEVER_MS: Final = 1 << 50
"""Age of a row that nobody has seen."""
_KINDS: Final = ("cpu_milli", "mem_bytes", "gpu_milli", "net_bps")
_PLENTY: Final = 1 << 30
_HEADROOM_AT_MOST_PERMILLE: Final = 250


class SiteOption(msgspec.Struct, frozen=True, kw_only=True):
    """One site as an option for one app: what is declared, measured and decided about it, with the row's age.

    `room` is in replicas of this app, after reservations and headroom; `running` are replicas it wants there already.
    """

    site: estate.Site
    health: Health
    distance_m: int
    rtt_us: int
    price_milli: int
    age_ms: int = NEVER_MS
    as_of_ms: int = 0
    room: int = 0
    fullness_permille: int = 0
    running: int = 0


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for: room for `replicas` of an app for users near a site (empty: nowhere in particular).

    `avoid` names sites that may not be taken, with the word that the decision shows for each.
    """

    spec: AppSpec
    near: str = ""
    replicas: int = 1
    max_age_ms: int = 15_000
    avoid: dict[str, str] = {}


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Options that pass, best first, and every site looked at with its place or the filter that refused it."""

    options: tuple[SiteOption, ...]
    candidates: tuple[Candidate, ...]

    @property
    def inputs(self) -> tuple[InputRow, ...]:
        """The rows of the options that pass, as a decision quotes them."""
        return tuple(
            InputRow(row=f"site/{o.site.id}", as_of_ms=o.as_of_ms, values={"room": o.room, "running": o.running})
            for o in self.options
        )


Order = Callable[[SiteOption], tuple[int, ...]]


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    """For whom the sites are surveyed."""

    spec: AppSpec
    near: str
    now_ms: int
    headroom: bool


def survey(view: View, spec: AppSpec, near: str, now_ms: int, *, headroom: bool = True) -> list[SiteOption]:
    """Every declared site as an option for the app, in order of their ids."""
    asked = _Question(spec=spec, near=near, now_ms=now_ms, headroom=headroom)
    return [_option(view, view.sites[name].body, asked) for name in sorted(view.sites)]


def rank(options: Iterable[SiteOption], need: Need, order: Order, limit: int) -> Ranking:
    """Filter, then sort by `order` with the id as tie-break; the decision shows at most `limit` of each sort."""
    passed: list[SiteOption] = []
    refused: list[Candidate] = []
    for option in options:
        why = refusal(option, need)
        if why:
            refused.append(Candidate(id=option.site.id, parts=_parts(option), refused_by=why))
        else:
            passed.append(option)
    passed.sort(key=lambda option: (*order(option), option.site.id))
    refused.sort(key=lambda candidate: (candidate.parts["rtt_us"], candidate.id))
    shown = [
        Candidate(id=option.site.id, score=place, parts=_parts(option))
        for place, option in enumerate(passed[:limit], start=1)
    ]
    return Ranking(options=tuple(passed), candidates=(*shown, *refused[:limit]))


def refusal(option: SiteOption, need: Need) -> str:
    """Why the site cannot take it, empty when it can: avoided, health, age, constraints, latency, room."""
    spec = need.spec
    if option.site.id in need.avoid:
        return need.avoid[option.site.id]
    if option.health not in (Health.ALIVE, Health.UNKNOWN):
        return f"health {option.health}"
    if option.age_ms > need.max_age_ms:
        return "view-age"
    if why := constraint(option.site, spec):
        return why
    if spec.max_latency_ns and need.near and option.rtt_us * 1000 > spec.max_latency_ns:
        return "latency"
    return "room" if option.room < need.replicas else ""


def strangers(view: View, near: str) -> dict[str, str]:
    """Sites that cannot serve users near a site: emulated for real users or the reverse, or real without a door."""
    home = view.sites.get(near)
    if home is None:
        return {}
    refused: dict[str, str] = {}
    for name, seen in view.sites.items():
        if seen.body.live != home.body.live:
            refused[name] = "other world"
        elif seen.body.live and not seen.body.ingress_url:
            refused[name] = "no ingress"
    return refused


def constraint(site: estate.Site, spec: AppSpec) -> str:
    """Which declared constraint of the app forbids the site; empty when none does."""
    if spec.tiers and site.tier not in spec.tiers:
        return "tier"
    where = spec.location
    if (where.sites and site.id not in where.sites) or (where.regions and site.region not in where.regions):
        return "location"
    return "" if spec.class_ in site.classes else "class"


def room_for(row: SiteInventory, unit: PerReplica, policy: ScalingPolicy, *, headroom: bool = True) -> int:
    """Replicas of this size that fit into what is free at a site, by the rule of the site's own ledger.

    The headroom that stays for evacuations: a share of the site or a few replicas, but never more than a quarter.
    """
    fits = _PLENTY
    for kind in _KINDS:
        need, room = getattr(unit, kind), _room(row, kind)
        if need <= 0 or (room is None and kind == "net_bps"):
            continue
        if room is None:
            return 0
        kept = max(room.allocatable * policy.headroom_permille // 1000, need * policy.headroom_replicas)
        kept = min(kept, room.allocatable * _HEADROOM_AT_MOST_PERMILLE // 1000) if headroom else 0
        fits = min(fits, max(0, room.free - kept) // need)
    return fits


def _option(view: View, site: estate.Site, asked: _Question) -> SiteOption:
    seen, spec = view.site_rows.get(site.id), asked.spec
    declared = {
        "distance_m": distance_m(view, asked.near, site.id) if asked.near else 0,
        "rtt_us": rtt_us(view, asked.near, site.id) if asked.near else 0,
        "price_milli": _price(site, spec.per_replica),
    }
    health = view.health_of(site.id)
    if seen is None:
        return SiteOption(site=site, health=health, **declared)
    where = Scope(app=spec.app_id, tenant=spec.tenant, tier=site.tier, region=site.region, site=site.id)
    policy = view.policies.of(ScalingPolicy, where)
    return SiteOption(
        site=site,
        health=health,
        age_ms=seen.age_ms(asked.now_ms),
        as_of_ms=seen.body.as_of_ms,
        room=room_for(seen.body, spec.per_replica, policy, headroom=asked.headroom),
        fullness_permille=_fullness(seen.body),
        running=next((app.desired for app in seen.body.apps if app.app_id == spec.app_id), 0),
        **declared,
    )


def _parts(option: SiteOption) -> dict[str, int]:
    return {
        "rtt_us": option.rtt_us,
        "distance_m": option.distance_m,
        "price_milli": option.price_milli,
        "room": option.room,
        "running": option.running,
        "age_ms": min(option.age_ms, NEVER_MS),
    }


def _room(row: SiteInventory, kind: str) -> Room | None:
    """The site's room of a kind, if it counts that kind."""
    name = kind.partition("_")[0]
    return next((room for room in row.rooms if room.resource.partition("_")[0] == name and room.capacity), None)


def _fullness(row: SiteInventory) -> int:
    shares = [1000 - room.free * 1000 // room.capacity for room in row.rooms if room.capacity > 0]
    return max(shares, default=0)


def _price(site: estate.Site, per_replica: PerReplica) -> int:
    cores = site.price_milli.cpu * per_replica.cpu_milli // 1000
    memory = site.price_milli.mem * per_replica.mem_bytes // (1 << 30)
    return cores + memory + site.price_milli.gpu * per_replica.gpu_milli // 1000
