"""Raw topics on a real broker: what collectors and location servers write comes out as rows of nodes, or as a reason."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.dialects.identity import terminal_name
from schemas.inventory import NodeInventory
from schemas.location import LocationEvent
from schemas.telemetry import NodeTelemetry
from schemas.wire import decode
from tests.kafka.town import Town
from topics.catalogue import DEAD_LETTER, INVENTORY_NODE, LOCATION, NODE_TELEMETRY, RAW, Topic
from topics.connect import Connect

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ENABLED = ("otlp", "telegraf", "mec")
WITHIN_S = 30


@pytest.fixture
async def town(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(broker, topic_prefix, tmp_path)
    town.module = "streams.worker"
    town.settings = msgspec.structs.replace(town.settings, dialects=ENABLED)
    town.connect = Connect(town.settings)
    await town.open()
    town.start("w0", EDGEWEIR_KAFKA_DIALECTS=",".join(ENABLED), EDGEWEIR_RAW_SALT="salt")
    yield town
    town.close()


def otlp(at_ms: int, idle_s: float, site: str = "bay") -> bytes:
    """A scrape of a host with two CPUs, 16 GB and 4 GB used."""

    def point(number: float, **attributes: str) -> dict[str, Any]:
        named = [{"key": key, "value": {"stringValue": text}} for key, text in attributes.items()]
        return {"asDouble": number, "timeUnixNano": str(at_ms * 1_000_000), "attributes": named}

    def total(name: str, *points: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "sum": {"aggregationTemporality": 2, "dataPoints": points}}

    resource = [{"key": "host.name", "value": {"stringValue": "n-otlp"}}]
    if site:
        resource.append({"key": "edgeweir.site", "value": {"stringValue": site}})
    cpus = [point(idle_s, cpu=cpu, state="idle") for cpu in ("cpu0", "cpu1")]
    memory = total("system.memory.usage", point(4e9, state="used"))
    metrics = [total("system.cpu.time", *cpus), memory, total("system.memory.limit", point(16e9))]
    scoped = {"resource": {"attributes": resource}, "scopeMetrics": [{"metrics": metrics}]}
    return json.dumps({"resourceMetrics": [scoped]}).encode()


def lines(at_ms: int) -> list[bytes]:
    """A scrape of another host, each measurement in a record of its own."""
    tags, at_ns = "host=n-line,site=bay", at_ms * 1_000_000
    told = (
        f"cpu,cpu=cpu-total,{tags} usage_idle=60",
        f"mem,{tags} total=8000i,available=2000i",
        f"system,{tags} n_cpus=4i",
    )
    return [f"{line} {at_ns}".encode() for line in told]


async def rows(town: Town, topic: Topic, kind: type[Any]) -> list[Any]:
    """All bodies of a topic."""
    return [decode(kind, record.value) for record in await town.read(topic) if record.value is not None]


async def seen(town: Town, topic: Topic, kind: type[Any], **wanted: object) -> Any:
    """The last body of a topic with these fields, once there is one."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        found = await rows(town, topic, kind)
        fitting = [row for row in found if all(getattr(row, name) == value for name, value in wanted.items())]
        if fitting:
            return fitting[-1]
        await asyncio.sleep(0.3)
    pytest.fail(f"nothing with {wanted} on {topic.name}; the worker says: {town.log('w0')[-2000:]}")


async def test_collectors_pointed_at_their_raw_topics_show_up_as_nodes_with_their_load(town: Town) -> None:
    now_ms = time.time_ns() // 1_000_000
    for at_ms, idle_s, number in ((now_ms - 10_000, 500.0, 0), (now_ms, 507.5, 3)):
        await town.send(RAW["otlp"], ("any", otlp(at_ms, idle_s), []), partition=number)
        for place, value in enumerate(lines(at_ms)):
            await town.send(RAW["telegraf"], ("another", value, []), partition=place)
    told = await seen(town, NODE_TELEMETRY, NodeTelemetry, node_id="n-otlp")
    assert (told.site_id, told.cpu_used_milli, told.cpu_allocatable_milli) == ("bay", 500, 2_000)
    assert (told.mem_used_bytes, told.mem_allocatable_bytes) == (4_000_000_000, 16_000_000_000)
    line = await seen(town, NODE_TELEMETRY, NodeTelemetry, node_id="n-line", observed_at_ms=now_ms)
    assert (line.cpu_used_milli, line.cpu_allocatable_milli) == (1_600, 4_000)
    for node_id in ("n-otlp", "n-line"):
        row = await seen(town, INVENTORY_NODE, NodeInventory, node_id=node_id, site_id="bay")
        assert row.condition == "ready"


async def test_a_location_server_moves_a_terminal_and_bad_input_has_its_reason(town: Town) -> None:
    stamp = {"seconds": time.time_ns() // 1_000_000_000, "nanoseconds": 0}
    entered = {"address": "acr:203.0.113.9", "zoneId": "plaza", "userEventType": "Entering", "timestamp": stamp}
    bad: list[tuple[str, bytes]] = [
        ("mec", json.dumps({"zonalPresenceNotification": entered | {"zoneId": "sample string"}}).encode()),
        ("otlp", b'{"resourceMetrics": "'),
        ("otlp", otlp(time.time_ns() // 1_000_000, 5, site="")),
        ("telegraf", b"\xff\xfe"),
        ("telegraf", b"cpu,cpu=cpu-total usage_idle=nan"),
    ]
    for dialect, value in bad:
        await town.send(RAW[dialect], ("203.0.113.9", value, []), partition=1)
    await town.send(RAW["mec"], ("x", json.dumps({"zonalPresenceNotification": entered}).encode(), []), partition=2)
    event = await seen(town, LOCATION, LocationEvent, zone_id="plaza")
    assert event.terminal_id == terminal_name("203.0.113.9", b"salt")
    letters = await town.read(DEAD_LETTER)
    for _ in range(WITHIN_S):
        if len(letters) >= len(bad):
            break
        await asyncio.sleep(1)
        letters = await town.read(DEAD_LETTER)
    told = [dict(letter.headers) for letter in letters]
    assert sorted(said["dlq-reason"].decode() for said in told) == [
        "bad-utf8", "no-site", "not-a-line", "not-json", "schema",
    ]  # fmt: skip
    assert not any(b"203.0.113" in said["dlq-error"] for said in told)
    assert {letter.value for letter in letters} == {value for _, value in bad}
