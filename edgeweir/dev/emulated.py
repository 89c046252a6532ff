"""One process for all emulated sites: synthetic telemetry and load, and an executor whose targets are numbers.

`python -m edgeweir.dev.emulated ORDER.json`. What it executes shows in what it reports, so the loop closes here too.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

from edge_emitters.run import run_synthetic
from edge_executors.executor import Executor
from edge_executors.kafka_voice import KafkaVoice
from edge_executors.reading import Reading
from edge_executors.store import Store
from edge_executors.targets.simulated import LABEL, SimulatedTarget
from edgeweir.dev import scenario
from edgeweir.dev.orders import EmulatedOrder, await_order
from edgeweir.dev.scenario_estate import regions, world_of
from schemas.apps import AppSpec
from schemas.sections import KafkaSettings
from schemas.telemetry import ReplicaSample
from topics.connect import Connect

_BUSY_MILLI = 300


class Numbers:
    """The emulated sites as their nodes show them: each replica of a target sits on one of its site's nodes."""

    def __init__(self, plan: scenario.Scenario) -> None:
        self.world = world_of(plan.play.emulated)
        self.regions = regions(plan)
        self.targets = {site_id: SimulatedTarget(site_id) for site_id in self.regions}
        self._nodes = {site.site_id: [node.node_id for node in site.nodes] for site in self.world.sites}
        self._specs = {d.body.app_id: d.body for d in plan.documents if isinstance(d.body, AppSpec)}

    def replicas(self, site_id: str, node_id: str) -> list[ReplicaSample]:
        """The replicas on one node."""
        nodes = self._nodes[site_id]
        place = nodes.index(node_id)
        samples = []
        for app_id, count in self.targets[site_id].replicas.items():
            mine = range(place, count, len(nodes))
            samples += [self._sample(app_id, number) for number in mine]
        return samples

    def _sample(self, app_id: str, number: int) -> ReplicaSample:
        spec = self._specs.get(app_id)
        milli = spec.per_replica.cpu_milli * _BUSY_MILLI // 1000 if spec else 0
        return ReplicaSample(app_id=app_id, instance_id=f"{LABEL}-{app_id}-{number}", cpu_used_milli=milli)


async def emulate(order: EmulatedOrder) -> None:
    """Run all emulated sites until SIGTERM."""
    kafka = KafkaSettings(bootstrap=order.bootstrap, topic_prefix=order.topic_prefix, partitions=order.partitions)
    connect = Connect(kafka)
    numbers = Numbers(scenario.load(order.scenario))
    executor = Executor(
        {site_id: (target,) for site_id, target in numbers.targets.items()},
        Store(Path(order.folder) / "executor.db"),
        KafkaVoice(connect, "edgeweir-emulated"),
        regions=numbers.regions,
    )
    reading = Reading(connect, executor, "edgeweir-emulated-commands")
    await executor.start()
    await reading.start()
    loop = asyncio.get_running_loop()
    told = loop.create_task(run_synthetic(connect, numbers.world, replicas=numbers.replicas))
    loop.add_signal_handler(signal.SIGTERM, told.cancel)
    try:
        await told
    except asyncio.CancelledError:
        await reading.stop()
        await executor.stop()


def main(path: Path) -> None:
    """Run the emulated sites of an order file."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(emulate(await_order(path, EmulatedOrder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
