"""A bare confluent-kafka loop: the same work as `bare_aiokafka`, with librdkafka's threads doing the talking.

`durable` produces a record per changed row, idempotent with acks=all, and waits for all acknowledgements at the end.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from edgeweir.bench.bare_aiokafka import NodeRow
from edgeweir.bench.contender import Order, Outcome, answer, order_of
from schemas.telemetry import NodeReading

_MESSAGES = 10_000
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.json.Decoder(NodeReading).decode


class Loop:
    """Rows of all partitions and the changelog, if there is one."""

    def __init__(self, changelog: str, producer: Producer | None) -> None:
        self.rows: dict[str, NodeRow] = {}
        self.events = self.sent = 0
        self._changelog, self._producer = changelog, producer

    def take(self, messages: Sequence[Any], end: Sequence[int]) -> None:
        """Fold messages that stand below `end`."""
        for message in messages:
            if message.offset() >= end[message.partition()]:
                continue
            row = self._update(message.value())
            self.events += 1
            if self._producer is not None:
                self._write(message, row)

    def settle(self) -> None:
        """Wait until everything written is acknowledged."""
        if self._producer is not None:
            assert self._producer.flush(60) == 0, "changelog records were left"

    def _write(self, message: Any, row: NodeRow) -> None:
        assert self._producer is not None
        while True:
            try:
                self._producer.produce(self._changelog, _encode(row), message.key(), message.partition())
            except BufferError:
                self._producer.poll(0.01)
            else:
                break
        self.sent += 1
        if self.sent % _MESSAGES == 0:
            self._producer.poll(0)

    def _update(self, value: bytes) -> NodeRow:
        reading = _decode(value)
        row = self.rows.get(reading.node_id)
        if row is None:
            row = self.rows[reading.node_id] = NodeRow()
        if reading.sequence <= row.sequence:
            row.late += 1
        row.sequence, row.at_ms = reading.sequence, reading.observed_at_ms
        row.cpu_used_milli, row.cpu_milli = reading.cpu_used_milli, reading.cpu_allocatable_milli
        row.mem_used_bytes, row.mem_bytes = reading.mem_used_bytes, reading.mem_allocatable_bytes
        row.events += 1
        return row


def run(order: Order) -> Outcome:
    """Carry out an order."""
    common = {"bootstrap.servers": order.bootstrap}
    consumer = Consumer(
        {
            **common,
            "group.id": order.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 15,
            "check.crcs": True,
        }
    )
    durable = {"enable.idempotence": True, "acks": "all", "linger.ms": 5, "queue.buffering.max.messages": 500_000}
    producer = Producer({**common, **durable}) if order.mode == "durable" else None
    loop = Loop(order.changelog, producer)
    _read(consumer, order.topic, loop, order.lead, order.first)
    gc.freeze()
    before = loop.events, loop.sent
    cpu_s, began = time.process_time(), time.perf_counter()
    _read(consumer, order.topic, loop, order.first, order.end)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    consumer.close()
    events, written = loop.events - before[0], loop.sent - before[1]
    return Outcome(events=events, seconds=seconds, cpu_s=cpu_s, rows=len(loop.rows), written=written)


def _read(consumer: Consumer, topic: str, loop: Loop, first: Sequence[int], end: Sequence[int]) -> None:
    """Everything from `first` to below `end`; a new assignment throws away what was fetched ahead."""
    goal = loop.events + sum(end) - sum(first)
    consumer.assign([TopicPartition(topic, number, offset) for number, offset in enumerate(first)])
    while loop.events < goal:
        loop.take(consumer.consume(_MESSAGES, 0.5), end)
    loop.settle()


if __name__ == "__main__":
    gc.set_threshold(200_000, 50, 1000)
    answer(run(order_of(sys.argv)))
