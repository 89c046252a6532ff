"""Stock Faust (its own data plane): `read` is an agent that only counts, `durable` a Table with its changelog.

python benchmarks/faust_contender.py ORDER        (the bench starts it; see edgeweir/bench/contender.py)
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

import faust
import msgspec

from edgeweir.bench.contender import Outcome, answer, order_of
from schemas.telemetry import NodeReading

order = order_of(sys.argv)
wanted = sum(order.end) - sum(order.first)
decode = msgspec.json.Decoder(NodeReading).decode
app = faust.App(
    order.group,
    broker=f"kafka://{order.bootstrap}",
    store="memory://",
    topic_partitions=len(order.end),
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
    worker_redirect_stdouts=False,
    datadir=tempfile.mkdtemp(prefix="edgeweir-bench-faust-"),
)
telemetry = app.topic(order.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
nodes = app.Table("nodes", default=list, partitions=len(order.end)) if order.mode == "durable" else None


@app.agent(telemetry)
async def fold(stream: faust.StreamT[bytes]) -> None:
    """Count, and keep a row per node if there is a table."""
    seen, began, cpu_s = 0, 0.0, 0.0
    async for value in stream:
        if not seen:
            began, cpu_s = time.perf_counter(), time.process_time()
        seen += 1
        if nodes is not None:
            reading = decode(value)
            row = nodes[reading.node_id]
            events = row[0] + 1 if row else 1
            nodes[reading.node_id] = [events, reading.sequence, reading.observed_at_ms, reading.cpu_used_milli]
        if seen == wanted:
            if nodes is not None:
                await app.producer.flush()
            seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
            answer(Outcome(events=seen, seconds=seconds, cpu_s=cpu_s, rows=len(nodes or ())))
            os._exit(0)


if __name__ == "__main__":
    sys.argv = [sys.argv[0], "worker", "--loglevel", "error", "--without-web"]
    app.main()
