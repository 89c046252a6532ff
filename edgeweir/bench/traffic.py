"""Sends telemetry, loads and movements at a rate, as many emitters with a linger of 10 ms would; a process of its own.

Each event has the time at which it is due; the events of 10 ms are sent together at their end, so the time they waited
for each other counts. `python -m edgeweir.bench.traffic ORDER` prints when each event that causes a command was due.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer

from edgeweir.bench.payloads import Headers, Payload, attributes
from edgeweir.bench.scene import Scene, player_id, session_id, walker_id
from schemas.sections import KafkaSettings
from schemas.telemetry import NodeTelemetryBatch
from topics.catalogue import APP_LOAD, LOCATION, NODE_TELEMETRY
from topics.connect import Connect

_SLOT_S: Final = 0.01


class TrafficOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Rates are events per second; `wakes` of the loads and `moves` of the movements cause a command each.

    `pair` and `player` are the first ones not used yet; `walkers` is how many terminals without sessions move about.
    """

    bootstrap: str
    prefix: str
    sites: int
    nodes_per_site: int
    apps: int
    seconds: float
    samples: int = 0
    batches: int = 0
    loads: int = 0
    wakes: int = 0
    movements: int = 0
    moves: int = 0
    pair: int = 0
    player: int = 0
    walkers: int = 10_000


class TrafficReport(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds since the epoch at which the cause of each command was due, by `app@site` and by session.

    `late_ms`: how far behind its own plan the sender was at worst; `sent` counts events.
    """

    wakes: dict[str, float]
    moves: dict[str, float]
    sent: int
    late_ms: float


class Traffic:
    """One run."""

    def __init__(self, order: TrafficOrder) -> None:
        self._order = order
        self._scene = Scene(order.sites, order.nodes_per_site, order.apps)
        self._dice = random.Random(order.pair + order.player + 1)
        self._owed: dict[str, float] = dict.fromkeys(
            ("samples", "batches", "loads", "wakes", "movements", "moves"), 0.0
        )
        self._pair, self._player, self._sequence = order.pair, order.player, time.time_ns() // 1_000
        self.wakes: dict[str, float] = {}
        self.moves: dict[str, float] = {}
        self.sent = 0
        self.late_s = 0.0

    async def run(self, telemetry: AIOKafkaProducer, others: AIOKafkaProducer, connect: Connect) -> None:
        """Send for the order's time."""
        began = slot_s = time.time()
        attributes_of_batch = attributes(NodeTelemetryBatch, 0)
        while slot_s - began < self._order.seconds:
            parts = [
                (telemetry, NODE_TELEMETRY, list(self._telemetry(slot_s)), []),
                (telemetry, NODE_TELEMETRY, list(self._batches(slot_s)), attributes_of_batch),
                (others, APP_LOAD, list(self._loads(slot_s)), []),
                (others, LOCATION, list(self._movements(slot_s)), []),
            ]
            await asyncio.sleep(max(0.0, slot_s + _SLOT_S - time.time()))
            for producer, topic, payloads, heads in parts:
                await self._send(producer, connect.name(topic), payloads, heads)
            slot_s += _SLOT_S
            self.late_s = max(self.late_s, time.time() - slot_s)

    async def _send(self, producer: AIOKafkaProducer, name: str, payloads: list[Payload], heads: Headers) -> None:
        builders: dict[int, Any] = {}
        now_ms = time.time_ns() // 1_000_000
        for partition, key, value in payloads:
            builder = builders.get(partition)
            if builder is None:
                builder = builders[partition] = producer.create_batch()
            assert builder.append(key=key, value=value, timestamp=now_ms, headers=heads) is not None, "a slot is small"
        for partition, builder in builders.items():
            await producer.send_batch(builder, name, partition=partition)
        self.sent += len(payloads)

    def _telemetry(self, slot_s: float) -> Iterable[Payload]:
        return self._scene.fleet.flow(self._due("samples"), round(slot_s * 1000))

    def _batches(self, slot_s: float) -> Iterable[Payload]:
        return self._scene.fleet.flow(self._due("batches"), round(slot_s * 1000), batches=True)

    def _loads(self, slot_s: float) -> Iterator[Payload]:
        count, wakes = self._due("loads"), self._due("wakes")
        for place in range(count):
            due_s = slot_s + _SLOT_S * (place + 0.5) / count
            self._sequence += 1
            if place < wakes and self._pair < self._scene.pairs:
                app_id, site_id = self._scene.pair(self._pair)
                self.wakes[f"{app_id}@{site_id}"] = due_s
                self._pair += 1
            else:
                app_id, site_id = self._scene.pair(self._dice.randrange(max(1, self._pair)))
            yield self._scene.load(app_id, site_id, round(due_s * 1000), self._sequence)

    def _movements(self, slot_s: float) -> Iterator[Payload]:
        count, moves = self._due("movements"), self._due("moves")
        for place in range(count):
            due_s = slot_s + _SLOT_S * (place + 0.5) / count
            self._sequence += 1
            if place < moves:
                terminal_id, site_id = player_id(self._player), self._scene.goal_of(self._player)
                self.moves[session_id(self._player)] = due_s
                self._player += 1
            else:
                terminal_id = walker_id(self._dice.randrange(self._order.walkers))
                site_id = self._scene.site_ids[self._dice.randrange(len(self._scene.site_ids))]
            yield self._scene.enters(terminal_id, site_id, round(due_s * 1000), self._sequence)

    def _due(self, kind: str) -> int:
        """How many of a kind are due in a slot; a part of one is kept for the next."""
        owed = self._owed[kind] + getattr(self._order, kind) * _SLOT_S
        self._owed[kind] = owed % 1
        return int(owed)


async def send(order: TrafficOrder) -> TrafficReport:
    """Carry out an order."""
    connect = Connect(KafkaSettings(bootstrap=order.bootstrap, topic_prefix=order.prefix))
    traffic = Traffic(order)
    gc.freeze()
    options = {"max_batch_size": 900_000, "max_request_size": 4_000_000}
    async with (
        connect.producer("bench-telemetry", **options) as telemetry,
        connect.producer("bench-events", **options) as others,
    ):
        await traffic.run(telemetry, others, connect)
    return TrafficReport(
        wakes=traffic.wakes, moves=traffic.moves, sent=traffic.sent, late_ms=round(traffic.late_s * 1000, 1)
    )


if __name__ == "__main__":
    gc.set_threshold(200_000, 50, 1000)
    report = asyncio.run(send(msgspec.json.decode(sys.argv[1], type=TrafficOrder)))
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
