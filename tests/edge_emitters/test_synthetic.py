"""Synthetic worlds: the same seed says the same at the same time; days have waves; the estate is sound."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter

import pytest

from edge_emitters.atlas import estate, zone_of
from edge_emitters.geography import distance_km
from edge_emitters.noise import DAY_MS
from edge_emitters.synthetic import SyntheticApp, World, WorldPlan
from schemas import wire
from schemas.checks import contradictions
from schemas.estate import Link, Region, Site, Tier, Zone
from schemas.limits import BATCH
from schemas.telemetry import NodeTelemetryBatch, ReplicaSample

NOON = 20_000 * DAY_MS + DAY_MS // 2
APPS = (
    SyntheticApp(app_id="video", requests_per_s=200, sites_permille=500),
    SyntheticApp(app_id="maps", requests_per_s=20, sites_permille=1000),
)


def world(seed: int = 7, sites: int = 40, nodes: int = 100) -> World:
    return World(WorldPlan(seed=seed, sites=sites, nodes=nodes, apps=APPS))


def said(one: World, at_ms: int) -> bytes:
    return b"".join(
        wire.encode_json(body) for site in one.sites for body in (one.batch(site, at_ms), *one.loads(site, at_ms))
    )


def test_the_same_seed_and_time_say_the_same_and_another_seed_another() -> None:
    assert said(world(), NOON) == said(world(), NOON)
    assert said(world(), NOON) != said(world(seed=8), NOON)
    assert said(world(), NOON) != said(world(), NOON + 5_000)


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_what_is_said_does_not_hang_on_the_hash_seed_of_the_process(hash_seed: str) -> None:
    program = (
        "import hashlib;from edge_emitters.synthetic import *;from edge_emitters.atlas import estate;from schemas import wire;"
        "w=World(WorldPlan(seed=3,sites=30,nodes=60,apps=(SyntheticApp(app_id='a',requests_per_s=9),)));"
        "d=b''.join(wire.encode_json(w.batch(s,1700000000000)) for s in w.sites)+b''.join(wire.encode_json(x.body) for x in estate(w));"
        "print(hashlib.sha256(d).hexdigest())"
    )
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    out = subprocess.run([sys.executable, "-c", program], env=env, check=True, capture_output=True, text=True).stdout
    one = World(WorldPlan(seed=3, sites=30, nodes=60, apps=(SyntheticApp(app_id="a", requests_per_s=9),)))
    here = b"".join(wire.encode_json(one.batch(site, 1_700_000_000_000)) for site in one.sites)
    here += b"".join(wire.encode_json(item.body) for item in estate(one))
    assert out.strip() == hashlib.sha256(here).hexdigest()


def test_evenings_are_busier_than_early_mornings() -> None:
    one = world()
    evening, morning = 20_000 * DAY_MS + 19 * 3_600_000, 20_000 * DAY_MS + 7 * 3_600_000
    busy = sum(node.cpu_used_milli for site in one.sites for node in one.batch(site, evening).nodes)
    quiet = sum(node.cpu_used_milli for site in one.sites for node in one.batch(site, morning).nodes)
    assert busy > quiet * 1.4
    for site in one.sites:
        for load in one.loads(site, evening):
            assert load.requests > next(x.requests for x in one.loads(site, morning) if x.app_id == load.app_id)


def test_every_sample_is_within_its_node_and_every_message_within_the_contract() -> None:
    one = world(sites=60, nodes=200)
    for at_ms in range(NOON, NOON + DAY_MS, 3 * 3_600_000 + 777):
        for site in one.sites:
            batch = one.batch(site, at_ms)
            assert wire.decode(NodeTelemetryBatch, wire.encode_json(batch), BATCH) == batch
            for node in batch.nodes:
                assert 0 < node.cpu_used_milli <= node.cpu_allocatable_milli
                assert 0 < node.mem_used_bytes <= node.mem_allocatable_bytes
            assert all(load.p50_us < load.p95_us for load in one.loads(site, at_ms))


def test_sequences_grow_by_one_each_interval() -> None:
    one = world()
    site = one.sites[3]
    sequences = [one.batch(site, NOON + 1_234 + step * 5_000).sequence for step in range(5)]
    assert sequences == list(range(sequences[0], sequences[0] + 5))


def test_replicas_that_a_simulated_executor_holds_are_on_the_node_and_use_its_cpu() -> None:
    one = world()
    site = one.sites[0]
    held = ReplicaSample(app_id="video", instance_id="i1", cpu_used_milli=500)
    idle = one.batch(site, NOON).nodes[0]
    busy = one.batch(site, NOON, lambda _site, _node: (held,)).nodes[0]
    assert busy.replicas == (held,)
    assert busy.cpu_used_milli == min(idle.cpu_used_milli + 500, idle.cpu_allocatable_milli)


@pytest.mark.parametrize("sites", [1, 3, 17, 200])
def test_an_estate_has_exactly_its_sites_and_refers_only_to_what_it_has(sites: int) -> None:
    items = [document.body for document in estate(world(sites=sites, nodes=sites), nodes=True)]
    keys = [document.key for document in estate(world(sites=sites, nodes=sites), nodes=True)]
    assert len(keys) == len(set(keys))
    found = {item.id: item for item in items if isinstance(item, Site)}
    regions = {item.id for item in items if isinstance(item, Region)}
    assert len(found) == sites
    assert {site.region for site in found.values()} == regions
    assert not [sentence for item in items for sentence in contradictions(item)]
    for item in items:
        if isinstance(item, Link):
            assert {item.from_site, item.to_site} <= found.keys()
            assert item.rtt_us > 0
        if isinstance(item, Zone):
            assert item.id == zone_of(item.site)


def test_each_region_has_one_aggregation_site_and_its_sites_stand_around_it() -> None:
    one = world(sites=120)
    hubs = Counter(site.place.region for site in one.sites if site.place.tier is Tier.AGGREGATION)
    assert set(hubs.values()) == {1}
    middle = {site.place.region: site.place for site in one.sites if site.place.tier is Tier.AGGREGATION}
    away = [distance_km(site.place, middle[site.place.region]) for site in one.sites]
    assert max(away) < 70
    assert sum(away) / len(away) > 5
