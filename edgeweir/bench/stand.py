"""The test stand: a broker of its own on its own core, estates with topics, and processes that are measured."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import NewTopic

from edge_emitters.atlas import estate
from edge_emitters.synthetic import World
from edgeweir.bench import cores
from edgeweir.bench.cores import Cores
from edgeweir.bench.subject import Worker
from edgeweir.dev.broker import Broker
from edgeweir.dev.children import Child
from edgeweir.dev.errors import NoAnswer
from edgeweir.dev.kit import Kit, Size
from edgeweir.dev.places import Places
from edgeweir.dev.runs import Rank, Run, reap_stale
from schemas.documents import Document
from schemas.sections import KafkaSettings
from topics import provision
from topics.connect import Connect
from topics.publish import publish

# Sessions may be as short as the rebalance wants them, and as long as a frozen worker needs.
_SETTINGS = {"group.min.session.timeout.ms": "1000", "num.partitions": "8", "log.retention.check.interval.ms": "600000"}
PARTITIONS = 8


class Stand:
    """One run of measurements. Made by `open_stand`."""

    def __init__(self, run: Run, kit: Kit) -> None:
        self.cores: Cores = cores.plan()
        self.kafka = kit.kafka_version
        self.places = kit.places
        self._run = run
        self._broker = Broker(run, kit, size=Size.BENCH, settings=_SETTINGS)
        self._started = 0
        self._changelogs: set[str] = set()

    async def start(self) -> None:
        """Start the broker on its core; this process goes to its own."""
        with cores.pinned(self.cores.broker):
            await self._broker.start()

    def connect(self, prefix: str) -> Connect:
        """Clients of the estate of that name."""
        return Connect(self.settings(prefix))

    def settings(self, prefix: str) -> KafkaSettings:
        """How an estate's processes reach the broker."""
        return KafkaSettings(bootstrap=self._broker.bootstrap, topic_prefix=f"{prefix}.", partitions=PARTITIONS)

    async def found(self, prefix: str, world: World, more: Sequence[Document] = ()) -> Connect:
        """Make the topics of an estate and declare its sites, and what else is given."""
        settings = self.settings(prefix)
        connect = Connect(settings)
        admin = connect.admin("bench")
        await admin.start()
        try:
            goal = provision.wanted(settings)
            await provision.apply(admin, goal, provision.plan(goal, {}))
        finally:
            await admin.close()
        await publish(connect, [*estate(world), *more])
        return connect

    async def changelog(self, name: str) -> str:
        """A topic for a contender's changelog, made when it is not there yet."""
        topic = f"changelog.{name}"
        if topic not in self._changelogs:
            admin = self.connect("any").admin("bench")
            await admin.start()
            try:
                configs = {"max.message.bytes": "4194304"}
                await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=configs)])
            finally:
                await admin.close()
            self._changelogs.add(topic)
        return topic

    async def worker(self, prefix: str, instance: str = "w1", **environ: str) -> Worker:
        """A real worker of that estate on the subject's core, once it owns all partitions."""
        worker = Worker(self.settings(prefix), instance, self._run.folder / "workers", environ)
        worker.launch(self.start_subject)
        await worker.ready(PARTITIONS)
        return worker

    def start_subject(self, name: str, argv: Sequence[str], environ: Mapping[str, str]) -> Child:
        """Start a process on the core of whoever is measured; its output is in its log."""
        self._started += 1
        with cores.pinned(self.cores.subject):
            return self._run.start(f"{name}-{self._started}", argv, rank=Rank.WORKER, env={**os.environ, **environ})

    def start_beside(self, name: str, argv: Sequence[str]) -> Child:
        """Start a process that is not measured, on our own core."""
        self._started += 1
        with cores.pinned(self.cores.bench):
            return self._run.start(f"{name}-{self._started}", argv, rank=Rank.EMITTER)

    async def finish(self, child: Child) -> str:
        """The output of a process that ended well; NoAnswer with its last lines when it did not."""
        code = await child.wait()
        if code:
            raise NoAnswer(f"{child.name} ended with exit code {code}", child.tail())
        return child.output()


@asynccontextmanager
async def open_stand(places: Places) -> AsyncIterator[Stand]:
    """A started stand; nothing of it is left behind."""
    reap_stale(places)
    kit = Kit.prepare(places)
    run = Run.open(places, f"bench-{os.getpid()}")
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    try:
        stand = Stand(run, kit)
        await stand.start()
        if before:
            os.sched_setaffinity(0, stand.cores.bench)
        yield stand
    finally:
        if before:
            os.sched_setaffinity(0, before)
        await run.stop(grace_s=3)
        run.close()


def python(module: str, *arguments: str) -> list[str]:
    """The command line of a module in this environment."""
    return [sys.executable, "-m", module, *arguments]
