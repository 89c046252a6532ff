"""Synthetic sites: telemetry and load that breathe with the day, each message a function of (seed, time) alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from schemas.estate import Tier
from schemas.telemetry import AppLoad, Conditions, LinkProbe, NodeSample, NodeTelemetryBatch, ReplicaSample

from .geography import Place, places, rtt_us
from .noise import between, daily, seed_of, smooth, unit

Replicas = Callable[[str, str], Sequence[ReplicaSample]]
"""Replicas of a (site, node), as whoever simulates its executor knows them."""

_GIB: Final = 1_073_741_824
_MINUTE_MS: Final = 60_000
_GBIT_BPS: Final = 1_000_000_000
_CORES: Final = {Tier.ACCESS: (4, 8), Tier.CAMPUS: (8, 16), Tier.AGGREGATION: (32, 64)}
_PEERS: Final = 2


class SyntheticApp(msgspec.Struct, frozen=True, kw_only=True):
    """An app whose users are emulated: requests per second at a busy site's peak, share of sites that have it."""

    app_id: str
    requests_per_s: int
    sites_permille: int = 300
    base_latency_us: int = 8_000


class WorldPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Size and seed of a synthetic world; nodes are spread over the sites evenly, at least one each."""

    seed: int = 7
    sites: int = 200
    nodes: int = 800
    interval_ms: int = 5_000
    apps: tuple[SyntheticApp, ...] = ()


class SyntheticNode(msgspec.Struct, frozen=True):
    """A node that does not exist: its name, its size, its own chance."""

    node_id: str
    cores: int
    chance: int


class SyntheticSite(msgspec.Struct, frozen=True):
    """A site that does not exist: where it is, its nodes, the apps used there, the peers it probes."""

    place: Place
    nodes: tuple[SyntheticNode, ...]
    apps: tuple[SyntheticApp, ...]
    peers: tuple[Place, ...]
    chance: int

    @property
    def site_id(self) -> str:
        """Its name."""
        return self.place.site_id


class World:
    """All sites of a plan, and what they say at a time; sequences count intervals since the epoch."""

    def __init__(self, plan: WorldPlan) -> None:
        assert plan.sites > 0, "a world has at least one site"
        assert plan.interval_ms > 0, "an interval lasts"
        self.plan = plan
        self.boot_id = f"synthetic-{plan.seed}-{plan.interval_ms}"
        stand = places(plan.seed, plan.sites)
        self.sites = tuple(_site(plan, number, place, stand) for number, place in enumerate(stand))

    def batch(self, site: SyntheticSite, at_ms: int, replicas: Replicas | None = None) -> NodeTelemetryBatch:
        """What the site's gateway says at this time; its peers answer in about the time that light needs."""
        sequence = at_ms // self.plan.interval_ms
        return NodeTelemetryBatch(
            site_id=site.site_id,
            gateway_id=f"{site.site_id}-gw",
            boot_id=self.boot_id,
            sequence=sequence,
            observed_at_ms=at_ms,
            interval_ms=self.plan.interval_ms,
            nodes=tuple(self._sample(site, node, at_ms, replicas) for node in site.nodes),
            links=tuple(_link(site, peer, sequence) for peer in site.peers),
        )

    def loads(self, site: SyntheticSite, at_ms: int) -> list[AppLoad]:
        """What the site's ingress saw of each of its apps in the interval that ends now."""
        return [self._load(site, app, at_ms) for app in site.apps]

    def _sample(self, site: SyntheticSite, node: SyntheticNode, at_ms: int, replicas: Replicas | None) -> NodeSample:
        held = tuple(replicas(site.site_id, node.node_id)) if replicas else ()
        use = _use(site, node.chance, at_ms)
        cpu_milli, mem_bytes = node.cores * 1000, node.cores * 4 * _GIB
        own_mem = round(mem_bytes * (0.2 + 0.5 * use))
        return NodeSample(
            node_id=node.node_id,
            boot_id=self.boot_id,
            sequence=at_ms // self.plan.interval_ms,
            observed_at_ms=at_ms,
            cpu_used_milli=min(cpu_milli, round(cpu_milli * use) + sum(one.cpu_used_milli for one in held)),
            cpu_allocatable_milli=cpu_milli,
            mem_used_bytes=min(mem_bytes, own_mem + sum(one.mem_used_bytes for one in held)),
            mem_allocatable_bytes=mem_bytes,
            net_capacity_bps=_GBIT_BPS * (10 if site.place.tier is Tier.AGGREGATION else 1),
            temperature_milli_cel=round(35_000 + 30_000 * use),
            power_mw=round(node.cores * (4_000 + 9_000 * use)),
            conditions=Conditions(ready=True),
            replicas=held,
        )

    def _load(self, site: SyntheticSite, app: SyntheticApp, at_ms: int) -> AppLoad:
        chance = seed_of(site.chance, app.app_id)
        busy = max(0.02, 0.5 + 0.4 * daily(at_ms, site.place.lon_e7) + 0.15 * smooth(chance, at_ms, _MINUTE_MS))
        sequence = at_ms // self.plan.interval_ms
        mean = app.requests_per_s * between(chance, -1, 0.3, 1.0) * busy * self.plan.interval_ms / 1000
        requests = round(mean * between(chance, sequence, 0.95, 1.05))
        p50_us = round(app.base_latency_us * (1 + 0.3 * busy))
        return AppLoad(
            site_id=site.site_id,
            app_id=app.app_id,
            ingress_id=f"{site.site_id}-ingress",
            boot_id=self.boot_id,
            sequence=sequence,
            observed_at_ms=at_ms,
            interval_ms=self.plan.interval_ms,
            requests=requests,
            sessions=round(mean * 0.4),
            p50_us=p50_us,
            p95_us=round(p50_us * (1.8 + busy)),
            bytes_in=requests * 600,
            bytes_out=requests * 9_000,
        )


def _site(plan: WorldPlan, number: int, place: Place, stand: Sequence[Place]) -> SyntheticSite:
    nodes = max(1, plan.nodes // plan.sites + (number < plan.nodes % plan.sites))
    chance = seed_of(plan.seed, f"site/{place.site_id}")
    return SyntheticSite(
        place=place,
        nodes=tuple(_node(place, chance, index) for index in range(nodes)),
        apps=tuple(app for app in plan.apps if unit(seed_of(chance, app.app_id), -2) * 1000 < app.sites_permille),
        peers=_nearest(place, stand),
        chance=chance,
    )


def _node(place: Place, chance: int, index: int) -> SyntheticNode:
    few, many = _CORES[place.tier]
    node_id = f"{place.site_id}-n{index:02d}"
    own = seed_of(chance, node_id)
    return SyntheticNode(node_id, many if unit(own, -1) < 1 / 3 else few, own)


def _nearest(place: Place, stand: Sequence[Place]) -> tuple[Place, ...]:
    """The nearest sites of its region, else of anywhere: whom it probes."""
    others = [other for other in stand if other.site_id != place.site_id]
    others.sort(key=lambda other: (other.region != place.region, rtt_us(place, other), other.site_id))
    return tuple(others[:_PEERS])


def _use(site: SyntheticSite, chance: int, at_ms: int) -> float:
    """Share of a node in use: its base, the day, and a wandering minute."""
    base = between(chance, -2, 0.15, 0.4)
    wave = 0.15 * daily(at_ms, site.place.lon_e7) + 0.08 * smooth(chance, at_ms, _MINUTE_MS)
    return min(0.98, max(0.02, base + wave))


def _link(site: SyntheticSite, peer: Place, sequence: int) -> LinkProbe:
    jitter = between(seed_of(site.chance, peer.site_id), sequence, 1.0, 1.2)
    return LinkProbe(to_site=peer.site_id, rtt_us=round(rtt_us(site.place, peer) * jitter), probes=10)
