"""Quix Streams: `read` counts, `durable` keeps a row per node in its state, with its changelog topic.

python benchmarks/quix_contender.py ORDER         (in an environment of its own; the bench makes it)
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

import msgspec
from quixstreams import Application, State

from edgeweir.bench.contender import Outcome, answer, order_of
from schemas.telemetry import NodeReading

order = order_of(sys.argv)
wanted = sum(order.end) - sum(order.first)
decode = msgspec.json.Decoder(NodeReading).decode
app = Application(
    broker_address=order.bootstrap,
    consumer_group=order.group,
    auto_offset_reset="earliest",
    state_dir=tempfile.mkdtemp(prefix="edgeweir-bench-quix-"),
    loglevel="ERROR",
    auto_create_topics=True,
)
began = cpu_s = 0.0
seen = 0


def count() -> None:
    """One more event; the clock starts with the first."""
    global began, cpu_s, seen  # noqa: PLW0603  # a contender of one file
    if not seen:
        began, cpu_s = time.perf_counter(), time.process_time()
    seen += 1


def fold(value: bytes) -> None:
    """Only count."""
    del value
    count()


def keep(value: bytes, state: State) -> None:
    """Keep a row per node."""
    count()
    reading = decode(value)
    row = state.get(reading.node_id)
    events = row[0] + 1 if row else 1
    state.set(reading.node_id, [events, reading.sequence, reading.observed_at_ms, reading.cpu_used_milli])


if __name__ == "__main__":
    frame = app.dataframe(app.topic(order.topic, key_deserializer="bytes", value_deserializer="bytes"))
    if order.mode == "durable":
        frame.update(keep, stateful=True)
    else:
        frame.update(fold)
    app.run(count=wanted, timeout=60)
    outcome = Outcome(events=seen, seconds=time.perf_counter() - began, cpu_s=time.process_time() - cpu_s)
    answer(outcome)
    os._exit(0)
