"""Bytewax: `read` counts, `durable` keeps a row per node in a stateful map (no changelog: it snapshots on its own).

python benchmarks/bytewax_contender.py ORDER      (in an environment of its own; the bench makes it)
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main
from confluent_kafka import OFFSET_STORED

from edgeweir.bench.contender import Outcome, answer, order_of
from schemas.telemetry import NodeReading

Row = tuple[int, int, int, int]
order = order_of(sys.argv)
wanted = sum(order.end) - sum(order.first)
decode = msgspec.json.Decoder(NodeReading).decode
began = cpu_s = 0.0
seen = 0


def count() -> None:
    """One more event; the clock starts with the first and the process ends with the last."""
    global began, cpu_s, seen  # noqa: PLW0603  # a contender of one file
    if not seen:
        began, cpu_s = time.perf_counter(), time.process_time()
    seen += 1
    if seen == wanted:
        answer(Outcome(events=seen, seconds=time.perf_counter() - began, cpu_s=time.process_time() - cpu_s))
        os._exit(0)


def fold(message: Any) -> None:
    """Only count."""
    del message
    count()


def keyed(message: Any) -> tuple[str, NodeReading]:
    """A reading under its node's name."""
    reading = decode(message.value)
    return reading.node_id, reading


def keep(row: Row | None, reading: NodeReading) -> tuple[Row, None]:
    """Keep a row per node."""
    count()
    events = row[0] + 1 if row else 1
    return (events, reading.sequence, reading.observed_at_ms, reading.cpu_used_milli), None


if __name__ == "__main__":
    flow = Dataflow("bench")
    source = KafkaSource(
        [order.bootstrap], [order.topic], starting_offset=OFFSET_STORED, add_config={"group.id": order.group}
    )
    stream = op.input("telemetry", flow, source)
    if order.mode == "durable":
        kept = op.stateful_map("keep", op.map("keyed", stream, keyed), keep)
    else:
        kept = op.map("fold", stream, fold)
    op.output("nothing", op.filter("drop", kept, lambda _: False), TestingSink([]))
    run_main(flow)
