"""What more nodes cost: processor time per node sample and memory of a real worker, from a thousand nodes up.

The first report of every node makes its row and is not measured; the later ones are what a fleet costs in steady state.
"""

from __future__ import annotations

import time
from functools import partial
from statistics import median

import psutil

from edgeweir.bench.contender import Outcome
from edgeweir.bench.filling import fill
from edgeweir.bench.options import Options
from edgeweir.bench.ours import Ours
from edgeweir.bench.payloads import Fleet, attributes
from edgeweir.bench.results import Report, row_of
from edgeweir.bench.stand import Stand
from edgeweir.bench.steps import Tell
from schemas.telemetry import NodeTelemetryBatch
from topics.catalogue import NODE_TELEMETRY, Keyspace

SECTION = "growth"
SIZES = (1_000, 10_000, 100_000)
QUICK_SIZES = (1_000, 10_000)
_NODES_PER_SITE = 25
_REPORTS = 3
_MIB = 1_048_576


async def measure(stand: Stand, options: Options, tell: Tell) -> Report:
    """Every size on an estate and a worker of its own."""
    report, costs = Report(), dict[int, float]()
    for nodes in QUICK_SIZES if options.quick else SIZES:
        tell(f"{nodes:,} nodes")
        rounds, grown_bytes = await _of(stand, nodes)
        per_s = [one.events * _NODES_PER_SITE / one.seconds for one in rounds]
        costs[nodes] = median(one.cpu_s / one.events / _NODES_PER_SITE * 1e6 for one in rounds)
        events = rounds[0].events * _NODES_PER_SITE
        report.rows.append(
            row_of(SECTION, f"{nodes:,} nodes", "node samples/s", per_s, cpu_us=costs[nodes], events=events)
        )
        report.rows.append(row_of(SECTION, f"{nodes:,} nodes, memory", "MiB", [grown_bytes / _MIB], events=nodes))
        report.ratios["memory_bytes_per_node"] = round(grown_bytes / nodes)
    report.ratios["cost_of_most_nodes_vs_fewest"] = costs[max(costs)] / costs[min(costs)]
    return report


async def _of(stand: Stand, nodes: int) -> tuple[list[Outcome], int]:
    """Reports of so many nodes, folded one after the other; and by how much the worker grew."""
    estate, sites = f"nodes{nodes}", nodes // _NODES_PER_SITE
    fleet = Fleet(sites, _NODES_PER_SITE)
    connect = await stand.found(estate, fleet.world)
    worker = await stand.worker(estate)
    process = psutil.Process(worker.child.pid)
    empty_bytes, rounds = process.memory_info().rss, list[Outcome]()
    async with Ours(connect, worker, NODE_TELEMETRY, Keyspace.SITE) as ours:
        for _ in range(_REPORTS + 1):
            payloads = fleet.batches(sites, time.time_ns() // 1_000_000)
            stretch = await fill(connect, NODE_TELEMETRY, payloads, partial(attributes, NodeTelemetryBatch))
            rounds.append(await ours.fold(stretch))
        return rounds[1:], max(0, process.memory_info().rss - empty_bytes)
