"""One seeded run with the product's own controllers: what is left is what folding the journalled inputs again gives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.errors import KafkaError

from edge_emitters.synthetic import SyntheticApp, World, WorldPlan
from edgeweir.dev.broker import Broker
from schemas import wire
from schemas.apps import AppKind, AppSpec, PerReplica
from schemas.base import Message
from schemas.cloudevents import Envelope, headers
from schemas.commands import Command
from schemas.estate import Region, Site
from schemas.registry import full_type, type_name
from schemas.statuses import Status
from tests.chaos import checker
from tests.chaos.effects import effects_in
from tests.chaos.judge import SETTLE_S, Verdict
from tests.chaos.nemesis import Plan, torment
from tests.chaos.ordeal import keep
from tests.chaos.rig import EXECUTORS, Doors, Rig
from tests.kafka.town import ROOT, Town
from topics.catalogue import APP, APP_LOAD, COMMANDS, ESTATE, NODE_TELEMETRY, STATUS

SITES, NODES = 30, 90
_SAID_AGAIN_ONE_IN = 10
Record = tuple[str, bytes, list[tuple[str, bytes]]]


async def undergo(broker: Broker, doors: Doors, plan: Plan, folder: Path) -> Verdict:
    """Run a plan with the four controllers of the product; topics are its own."""
    rig = Rig(broker, doors, f"toil-{plan.seed}-{uuid.uuid4().hex[:6]}.", folder, plan.seed)
    rig.town.module = "streams.worker"
    world = World(
        WorldPlan(sites=SITES, nodes=NODES, interval_ms=1000, apps=(SyntheticApp(app_id="video", requests_per_s=3000),))
    )
    rig.sites = [site.site_id for site in world.sites]
    await rig.open()
    try:
        await _declare(rig.town, world)
        await rig.up("w0", "w1")
        load = asyncio.create_task(_breathe(rig.town, world, random.Random(plan.seed)))
        await torment(rig, plan)
        await asyncio.sleep(3)
        load.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await load
        verdict = await _judge(rig)
    finally:
        await rig.close()
    if verdict.wrong:
        keep(rig, plan, verdict)
    return verdict


async def _breathe(town: Town, world: World, dice: random.Random) -> None:
    """Every site speaks once a second; some messages are sent twice, some late."""
    late: list[tuple[Any, Record]] = []
    while True:
        now_ms = time.time_ns() // 1_000_000
        said: list[tuple[Any, Record]] = []
        for site in world.sites:
            said.append((NODE_TELEMETRY, record(site.site_id, world.batch(site, now_ms))))
            said += [(APP_LOAD, record(site.site_id, load)) for load in world.loads(site, now_ms)]
        again = [item for item in said if dice.randrange(_SAID_AGAIN_ONE_IN) == 0]
        try:
            for topic in (NODE_TELEMETRY, APP_LOAD):
                await town.send(topic, *(r for t, r in (*said, *late) if t is topic))
        except (KafkaError, OSError):
            await asyncio.sleep(0.5)
        late = again
        await asyncio.sleep(1)


async def _judge(rig: Rig) -> Verdict:
    """Leave in order, so that every outbox is empty; then compare."""
    quiet = await _ended(rig)
    for name in ("w0", "w1"):
        code, took_s = await rig.stop(name)
        if code or took_s > 10:
            return Verdict([f"{name} left with {code} after {took_s:.1f} s"])
        await asyncio.sleep(4 if name == "w0" else 0)
    await rig.stop(EXECUTORS)
    one = await asyncio.to_thread(_verify, rig.town, "1", "UTC")
    two = await asyncio.to_thread(_verify, rig.town, "2", "Pacific/Chatham")
    sent, bodies = await _commands(rig.town)
    statuses, effects = await _statuses(rig.town), list(effects_in(rig.folder))
    wrong = quiet + [str(text) for text in one["differences"]]
    wrong += [] if one["sha256"] == two["sha256"] else ["another hash seed or time zone folds otherwise"]
    wrong += checker.effects_once(effects, sent) + checker.fences_grow(effects)
    wrong += checker.no_second_end(statuses) + checker.success_is_an_effect(statuses, effects)
    wrong += [f"command {name} has copies that differ" for name, copies in sent.items() if len(copies) > 1]
    events = len(await rig.town.read(NODE_TELEMETRY)) + len(await rig.town.read(APP_LOAD))
    return Verdict(wrong, events=events, commands=len(sent), copies=bodies - len(sent), effects=len(effects))


async def _ended(rig: Rig) -> list[str]:
    """Until every command that was sent has an end."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        sent, _ = await _commands(rig.town)
        open_ones = set(sent) - {s.command_id for s in await _statuses(rig.town) if s.state.terminal}
        if not open_ones:
            return []
        if time.monotonic() > deadline:
            return [f"command {name} has no end" for name in sorted(open_ones)]
        await asyncio.sleep(1)


async def _commands(town: Town) -> tuple[dict[str, set[bytes]], int]:
    """Ids with their different bodies, and how many records there are in all."""
    found: dict[str, set[bytes]] = {}
    count = 0
    for topic in COMMANDS.values():
        for sent in await town.read(topic):
            count += 1
            found.setdefault(msgspec.json.decode(sent.value, type=Command).command_id, set()).add(sent.value)
    return found, count


async def _statuses(town: Town) -> list[Status]:
    return [
        msgspec.json.decode(said.value, type=Status)
        for said in await town.read(STATUS)
        if b"status" in dict(said.headers)["ce_type"]
    ]


def _verify(town: Town, hash_seed: str, zone: str) -> dict[str, Any]:
    """Fold the journalled inputs again, in a process with another order of sets and another local time."""
    environ = {**os.environ, **town.environ("verify"), "PYTHONHASHSEED": hash_seed, "TZ": zone}
    ask = [sys.executable, "-m", "streams.engine.verify"]
    process = subprocess.run(ask, check=False, cwd=ROOT, env=environ, capture_output=True, timeout=120)
    if not process.stdout:
        return {"differences": [process.stderr.decode()[-2000:]], "sha256": zone}
    found: dict[str, Any] = msgspec.json.decode(process.stdout)
    return found


async def _declare(town: Town, world: World) -> None:
    places = [site.place for site in world.sites]
    regions = sorted({place.region for place in places})
    await town.send(ESTATE, *(record(f"region/{name}", Region(id=name)) for name in regions))
    sites = [Site(id=p.site_id, region=p.region, tier=p.tier, lat_e7=p.lat_e7, lon_e7=p.lon_e7) for p in places]
    await town.send(ESTATE, *(record(f"site/{site.id}", site) for site in sites))
    size = PerReplica(cpu_milli=200, mem_bytes=100_000_000, requests_per_s=50)
    spec = AppSpec(app_id="video", tenant="t", kind=AppKind.SERVICE, version=1, per_replica=size)
    await town.send(APP, record("video", spec))


def record(key: str, body: Message) -> Record:
    envelope = Envelope(id=key, source="/test", type=full_type(type_name(body)), time_ms=1)
    return key, wire.encode_json(body), headers(envelope)
