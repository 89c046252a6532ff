"""Fills a topic before a measured round: whole batches, acknowledged, and the offsets between which they stand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition

from edgeweir.bench.payloads import Headers, Payload
from topics.catalogue import Topic
from topics.connect import Connect

BATCH_BYTES = 900_000


class Stretch(msgspec.Struct, frozen=True):
    """Records of one topic: per partition the offset of the first and the one behind the last."""

    topic: str
    first: tuple[int, ...]
    end: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many records they are."""
        return sum(self.end) - sum(self.first)

    def head(self, records: int) -> Stretch:
        """The first so many of them, spread over the partitions as they come."""
        share = min(1.0, records / max(1, self.count))
        end = tuple(a + round((b - a) * share) for a, b in zip(self.first, self.end, strict=True))
        return Stretch(self.topic, self.first, end)

    def tail(self, records: int) -> Stretch:
        """The last so many of them, as above."""
        share = min(1.0, records / max(1, self.count))
        first = tuple(b - round((b - a) * share) for a, b in zip(self.first, self.end, strict=True))
        return Stretch(self.topic, first, self.end)


async def fill(
    connect: Connect,
    topic: Topic,
    payloads: Iterable[Payload],
    attributes: Callable[[int], Headers] | None = None,
) -> Stretch:
    """Append all payloads and return where they stand, once every one is acknowledged."""
    name = connect.name(topic)
    async with connect.producer("bench-fill", max_batch_size=BATCH_BYTES, max_request_size=4 * BATCH_BYTES) as producer:
        first = await ends(connect, name)
        await _send(producer, name, payloads, attributes)
    return Stretch(name, first, await ends(connect, name))


async def _send(
    producer: AIOKafkaProducer,
    name: str,
    payloads: Iterable[Payload],
    attributes: Callable[[int], Headers] | None,
) -> None:
    now_ms = time.time_ns() // 1_000_000
    builders: dict[int, Any] = {}
    sent: list[asyncio.Future[object]] = []
    for number, (partition, key, value) in enumerate(payloads):
        builder = builders.get(partition)
        if builder is None:
            builder = builders[partition] = producer.create_batch()
        heads = attributes(number) if attributes else []
        if builder.append(key=key, value=value, timestamp=now_ms, headers=heads) is None:
            sent.append(await producer.send_batch(builder, name, partition=partition))
            builder = builders[partition] = producer.create_batch()
            builder.append(key=key, value=value, timestamp=now_ms, headers=heads)
    for partition, builder in builders.items():
        sent.append(await producer.send_batch(builder, name, partition=partition))
    await asyncio.gather(*sent)


async def ends(connect: Connect, name: str) -> tuple[int, ...]:
    """The offset behind the last record of every partition of a keyed topic."""
    async with connect.consumer("bench-ends") as reader:
        places = [TopicPartition(name, number) for number in range(connect.partitions)]
        found = await reader.end_offsets(places)
        return tuple(found[place] for place in places)


async def commit(connect: Connect, group: str, stretch: Stretch) -> None:
    """Let a group that has no members yet begin where a stretch begins."""
    async with connect.consumer("bench-commit", group_id=group) as reader:
        places = {TopicPartition(stretch.topic, number): offset for number, offset in enumerate(stretch.first)}
        reader.assign(list(places))
        await reader.commit(places)
