"""The bar: a bare aiokafka loop without engine, group, accounting or checks, as fast as we know how to write it.

`read` fetches, decodes to the fields that decisions need and updates a row per node. `durable` also writes each changed
row to a changelog: a record per event, whole batches (`create_batch`), acks=all, idempotent, 16 batches in flight.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from edgeweir.bench.contender import Order, Outcome, answer, order_of
from schemas.telemetry import NodeReading

_BATCH = 1_000
_IN_FLIGHT = 16
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.json.Decoder(NodeReading).decode


class NodeRow(msgspec.Struct, array_like=True, gc=False):
    """What the loop knows of a node."""

    events: int = 0
    sequence: int = -1
    at_ms: int = 0
    late: int = 0
    cpu_used_milli: int = 0
    cpu_milli: int = 0
    mem_used_bytes: int = 0
    mem_bytes: int = 0


class Loop:
    """Rows of all partitions and the changelog, if there is one."""

    def __init__(self, changelog: str, producer: AIOKafkaProducer | None) -> None:
        self.rows: dict[str, NodeRow] = {}
        self.events = self.written = 0
        self._changelog, self._producer = changelog, producer
        self._flying: deque[asyncio.Future[Any]] = deque()

    async def take(self, partition: int, records: Sequence[Any]) -> None:
        """Fold records of one partition."""
        self.events += len(records)
        if self._producer is None:
            for record in records:
                self._update(record.value)
            return
        for start in range(0, len(records), _BATCH):
            builder = self._producer.create_batch()
            append, update = builder.append, self._update
            for record in records[start : start + _BATCH]:
                row = update(record.value)
                append(key=record.key, value=_encode(row), timestamp=None)
            self.written += builder.record_count()
            if len(self._flying) >= _IN_FLIGHT:
                await self._flying.popleft()
            self._flying.append(await self._producer.send_batch(builder, self._changelog, partition=partition))

    async def settle(self) -> None:
        """Wait until everything written is acknowledged."""
        while self._flying:
            await self._flying.popleft()

    def _update(self, value: bytes) -> NodeRow:
        reading = _decode(value)
        key = reading.node_id
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = NodeRow()
        if reading.sequence <= row.sequence:
            row.late += 1
        row.sequence, row.at_ms = reading.sequence, reading.observed_at_ms
        row.cpu_used_milli, row.cpu_milli = reading.cpu_used_milli, reading.cpu_allocatable_milli
        row.mem_used_bytes, row.mem_bytes = reading.mem_used_bytes, reading.mem_allocatable_bytes
        row.events += 1
        return row


async def run(order: Order) -> Outcome:
    """Carry out an order."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=order.bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=15,
        max_partition_fetch_bytes=1 << 21,
    )
    producer = None
    if order.mode == "durable":
        producer = AIOKafkaProducer(
            bootstrap_servers=order.bootstrap,
            acks="all",
            enable_idempotence=True,
            max_batch_size=4_000_000,
            max_request_size=40_000_000,
        )
        await producer.start()
    await consumer.start()
    try:
        return await _measured(order, consumer, producer)
    finally:
        await consumer.stop()
        if producer is not None:
            await producer.stop()


async def _measured(order: Order, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer | None) -> Outcome:
    places = [TopicPartition(order.topic, number) for number in range(len(order.end))]
    consumer.assign(places)
    loop = Loop(order.changelog, producer)
    await _read(consumer, places, loop, order.lead, order.first)
    gc.freeze()
    before = loop.events, loop.written
    cpu_s, began = time.process_time(), time.perf_counter()
    await _read(consumer, places, loop, order.first, order.end)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    events, written = loop.events - before[0], loop.written - before[1]
    return Outcome(events=events, seconds=seconds, cpu_s=cpu_s, rows=len(loop.rows), written=written)


async def _read(
    consumer: AIOKafkaConsumer, places: list[TopicPartition], loop: Loop, first: Sequence[int], end: Sequence[int]
) -> None:
    """Everything from `first` to below `end`; what was fetched ahead is thrown away, so that nothing is for free."""
    left = sum(end) - sum(first)
    for place, offset in zip(places, first, strict=True):
        consumer.seek(place, offset)
    while left > 0:
        fetched = await consumer.getmany(timeout_ms=500)
        for place, records in fetched.items():
            upto = end[place.partition]
            wanted = records if records[-1].offset < upto else [one for one in records if one.offset < upto]
            left -= len(wanted)
            await loop.take(place.partition, wanted)
    await loop.settle()


if __name__ == "__main__":
    gc.set_threshold(200_000, 50, 1000)
    answer(asyncio.run(run(order_of(sys.argv))))
