"""What emitters say lies in Kafka as the contract wants it: keys, partitions, attributes, times."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord
from aiokafka.partitioner import DefaultPartitioner

from edge_emitters.mec_feed import Leg, MecFeed, crowd, movements
from edge_emitters.run import Sent, run_host, run_synthetic
from edge_emitters.sender import Sender
from edge_emitters.settings import EmitterSettings
from edge_emitters.synthetic import SyntheticApp, World, WorldPlan
from schemas.cloudevents import Received, read
from schemas.limits import BATCH
from schemas.location import LocationEvent
from schemas.telemetry import AppLoad, NodeTelemetryBatch
from tests.kafka import emitting
from topics.catalogue import APP_LOAD, LOCATION, NODE_TELEMETRY

pytestmark = pytest.mark.kafka


def event(record: ConsumerRecord) -> Received:
    return read(
        record.headers, record.value, key=record.key, topic=record.topic, partition=record.partition,
        offset=record.offset, timestamp_ms=record.timestamp,
    )  # fmt: skip


async def test_a_synthetic_world_speaks_once_per_site_and_interval_under_the_sites_key(
    broker: str, topic_prefix: str
) -> None:
    connect = await emitting.opened(broker, topic_prefix)
    plan = WorldPlan(sites=30, nodes=60, interval_ms=500, apps=(SyntheticApp(app_id="video", requests_per_s=50),))
    told: list[Sent] = []
    sent = await run_synthetic(connect, World(plan), for_s=3.0, progress=told.append)
    batches = await emitting.lying_in(connect, NODE_TELEMETRY)
    loads = await emitting.lying_in(connect, APP_LOAD)
    assert sent.records == len(batches) + len(loads)
    assert sent.samples == len(batches) * 2
    assert told
    assert told[-1].connected

    default = DefaultPartitioner()
    for record in (*batches, *loads):
        everything = list(range(connect.partitions))
        assert record.partition == default(record.key, everything, everything), "as any other client chooses"
    seen: dict[str, list[int]] = {}
    for record in batches:
        said = event(record)
        body = said.body(NodeTelemetryBatch, BATCH)
        assert said.short_type == "node.telemetry-batch.v1"
        assert record.key.decode() == body.site_id
        assert record.timestamp == body.observed_at_ms == said.time_ms
        seen.setdefault(body.site_id, []).append(body.sequence)
    assert len(seen) == 30
    for sequences in seen.values():
        assert sequences == sorted(set(sequences)), "a busy machine may miss an interval, never tell one twice"
        assert 2 <= len(sequences) <= 8
    assert {event(record).body(AppLoad).app_id for record in loads} == {"video"}
    identities = [event(record).identity for record in (*batches, *loads)]
    assert len(identities) == len(set(identities))


async def test_a_scenario_may_silence_a_site_of_a_synthetic_world(broker: str, topic_prefix: str) -> None:
    connect = await emitting.opened(broker, topic_prefix)
    world = World(WorldPlan(sites=5, nodes=5, interval_ms=500))
    dead = world.sites[2].site_id
    await run_synthetic(connect, world, for_s=2.5, alter=lambda body: None if body.site_id == dead else body)
    keys = {record.key.decode() for record in await emitting.lying_in(connect, NODE_TELEMETRY)}
    assert keys == {site.site_id for site in world.sites} - {dead}


async def test_this_host_speaks_through_a_gateway_and_nothing_waits_at_the_end(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    connect = await emitting.opened(broker, topic_prefix)
    settings = EmitterSettings(site_id="here", interval_ms=200, buffer_mib=1, buffer_dir=str(tmp_path))
    sent = await run_host(connect, settings, node_id="this", for_s=2.0)
    records = await emitting.lying_in(connect, NODE_TELEMETRY)
    assert (sent.waiting, sent.connected) == (0, True)
    assert sent.records == len(records) >= 3
    bodies = [event(record).body(NodeTelemetryBatch) for record in records]
    assert {node.node_id for body in bodies for node in body.nodes} == {"this"}
    assert all(node.cpu_allocatable_milli > 0 for body in bodies for node in body.nodes)


@pytest.mark.parametrize("which", ["host", "synthetic"])
async def test_a_cancelled_emitter_leaves_no_task_behind(
    broker: str, topic_prefix: str, tmp_path: Path, which: str
) -> None:
    connect = await emitting.opened(broker, topic_prefix)
    if which == "host":
        settings = EmitterSettings(site_id="here", interval_ms=100, buffer_dir=str(tmp_path))
        running = asyncio.create_task(run_host(connect, settings))
    else:
        running = asyncio.create_task(run_synthetic(connect, World(WorldPlan(sites=5, interval_ms=100))))
    await asyncio.sleep(1.0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert await emitting.lying_in(connect, NODE_TELEMETRY)


async def test_a_walking_crowd_is_told_in_order_per_terminal(broker: str, topic_prefix: str) -> None:
    connect = await emitting.opened(broker, topic_prefix)
    legs = (Leg(zone_id="a-z", from_ms=1_000, until_ms=2_000), Leg(zone_id="b-z", from_ms=3_000, until_ms=5_000))
    walks = crowd(7, [f"10.0.0.{number}" for number in range(100)], legs, b"salt", leaves_ms=7_000)
    sender = Sender(connect, "test-mec")
    feed = MecFeed(sender, source="/edge/a/mec")
    await feed.run(movements(walks, boot_id="b"))
    await sender.stop()
    records = await emitting.lying_in(connect, LOCATION)
    assert feed.told == len(records) == 100 * 4
    at: dict[str, str] = {}
    for said in map(event, records):
        if said.short_type == "mec.location.v1":
            body = said.body(LocationEvent)
            assert body.prev_ap_id == at.get(body.terminal_id, "")
            at[body.terminal_id] = body.ap_id
    assert len(at) == 100
