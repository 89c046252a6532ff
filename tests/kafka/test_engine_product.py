"""The four controllers of the product on a real broker: killed in between, they still did what folding again gives."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge_emitters.synthetic import SyntheticApp, World, WorldPlan
from schemas import wire
from schemas.apps import AppKind, AppSpec, PerReplica
from schemas.base import Message
from schemas.cloudevents import Envelope, headers
from schemas.estate import Region, Site
from schemas.registry import full_type, type_name
from tests.kafka.town import ROOT, Town, until
from topics.catalogue import APP, APP_LOAD, COMMAND_SCALING, ESTATE, NODE_TELEMETRY, Topic

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ENOUGH, ROUNDS = 8, 40


@pytest.fixture
async def town(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(broker, topic_prefix, tmp_path)
    town.module = "streams.worker"
    await town.open()
    yield town
    town.close()


async def test_killed_workers_leave_what_folding_the_journalled_inputs_again_gives(town: Town) -> None:
    world = World(
        WorldPlan(sites=30, nodes=90, interval_ms=1000, apps=(SyntheticApp(app_id="video", requests_per_s=3000),))
    )
    await declare(town, world)
    town.start("w0")
    town.start("w1")
    keeper = asyncio.create_task(town.supervise("w0", "w1"))
    for second in range(ROUNDS):
        await speak(town, world)
        if second in {3, 5}:
            town.workers["w0" if second == 3 else "w1"].kill()
        if second >= ENOUGH and await town.read(COMMAND_SCALING):
            break
        await asyncio.sleep(1)
    keeper.cancel()
    await until(lambda: all("partition taken over" in town.log(name) for name in ("w0", "w1")))
    assert await town.stop("w0") == 0
    await until(lambda: town.log("w1").count("partition taken over") >= town.partitions, 20)
    await asyncio.sleep(2)
    assert await town.stop("w1") == 0
    one, two = verdict(town, "1"), verdict(town, "2")
    assert one["differences"] == []
    assert one["sha256"] == two["sha256"]
    assert await town.read(COMMAND_SCALING)
    assert one["rows"] > 100, one


def verdict(town: Town, hash_seed: str) -> dict[str, Any]:
    process = subprocess.run(
        [sys.executable, "-m", "streams.engine.verify"],
        check=False,
        cwd=ROOT,
        env={**town.environ("verify"), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(process.stdout or process.stderr)
    return found


async def declare(town: Town, world: World) -> None:
    places = [site.place for site in world.sites]
    regions = {place.region: Region(id=place.region) for place in places}
    await town.send(ESTATE, *(record(f"region/{name}", body) for name, body in regions.items()))
    sites = [Site(id=p.site_id, region=p.region, tier=p.tier, lat_e7=p.lat_e7, lon_e7=p.lon_e7) for p in places]
    await town.send(ESTATE, *(record(f"site/{site.id}", site) for site in sites))
    spec = AppSpec(
        app_id="video",
        tenant="t",
        kind=AppKind.SERVICE,
        version=1,
        per_replica=PerReplica(cpu_milli=200, mem_bytes=100_000_000, requests_per_s=50),
    )
    await town.send(APP, record("video", spec))


async def speak(town: Town, world: World) -> None:
    now_ms = int(time.time() * 1000)
    said: dict[Topic, list[tuple[str, bytes, list[tuple[str, bytes]]]]] = {NODE_TELEMETRY: [], APP_LOAD: []}
    for site in world.sites:
        said[NODE_TELEMETRY].append(record(site.site_id, world.batch(site, now_ms)))
        said[APP_LOAD] += [record(site.site_id, load) for load in world.loads(site, now_ms)]
    for topic, records in said.items():
        await town.send(topic, *records)


def record(key: str, body: Message) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    envelope = Envelope(id=key, source="/test", type=full_type(type_name(body)), time_ms=1)
    return key, wire.encode_json(body), headers(envelope)
