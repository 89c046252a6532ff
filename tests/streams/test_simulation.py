"""The journal protocol under a few hundred random worlds in virtual time.

Three workers fold one estate; they are deposed without knowing it, killed, and taken over from; appends and
acknowledgements are late or lost. Whatever happens, the journal must say what plain Python says, every command must have
been sent and none invented. Breaking one rule of the protocol must show.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition

from edge_control.controllers.base import Controller
from edge_control.controllers.events import Input
from edge_control.controllers.outputs import Output
from edge_control.inventory.view import View
from streams.engine.clock import BrokerClock
from streams.engine.envelopes import Speaker
from streams.engine.fold import JournalFold
from streams.engine.lost import ProduceFailed
from streams.engine.owner import Owner
from streams.engine.partition import Partition
from streams.engine.pump import cut_chunks
from streams.engine.takeover import take_over
from streams.engine.writer import JournalWriter
from streams.metrics import WorkerMetrics
from streams.settings import WorkerSection, WorkerSettings
from tests.kafka.town import oracle, rows_of, sample
from tests.kafka.toy import CONTROLLERS, NodeRow, SiteRow
from tests.streams.sim_kafka import JOURNAL, SimJournal, SimKafka, SimProducers
from tests.streams.sim_loop import run_virtually
from topics.catalogue import COMMAND_SCALING, INPUTS, NODE_TELEMETRY, REQUEST
from topics.partition import partition_of

PARTITIONS = 2
TOPICS = {topic.name: topic for topic in INPUTS}
SETTINGS = WorkerSettings(worker=WorkerSection(checkpoint_every=40, checkpoint_slice=7))


def handle(controller: Controller, event: Input, view: View) -> list[Output]:
    return controller.handle(event, view)


class SimConsumer:
    """What a takeover asks of the group's consumer; assignment is everything, positions are the worker's own matter."""

    def __init__(self, kafka: SimKafka) -> None:
        self._kafka = kafka
        self._coordinator = SimpleNamespace(generation=1, member_id="sim")

    async def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: self._kafka.end(place) for place in places}

    def assignment(self) -> set[TopicPartition]:
        return set()


class SimWorker:
    """A worker process: owns partitions until it finds out that it does not, or is killed."""

    def __init__(self, town: SimTown, lateness_s: float) -> None:
        self.town, self.kafka = town, town.kafka
        self.owners: dict[int, Owner] = {}
        self.lost: list[str] = []
        self.shell: Any = SimpleNamespace(
            settings=SETTINGS,
            producers=SimProducers(self.kafka, lateness_s),
            journal=town.journal(),
            clock=BrokerClock(monotonic=lambda: asyncio.get_running_loop().time() * 1000, wall=lambda: 1.7e9),
            views=SimpleNamespace(view=View(), vector={}, reached=self._reached),
            metrics=WorkerMetrics(),
            connect=SimpleNamespace(name=lambda topic: topic.name),
            inputs=INPUTS,
            lost=self._lost,
            bug=town.bugs.append,
            checkpointed=town.journal().remember,
            crashed=lambda *_: None,
        )
        self.tasks: list[asyncio.Task[None]] = []

    async def _reached(self, vector: object) -> None:
        """The view is always there."""

    def _lost(self, owner: Owner, error: Exception) -> None:
        self.lost.append(type(error).__name__)
        owner.drop()
        if self.owners.get(owner.number) is owner:
            del self.owners[owner.number]

    async def take(self, number: int) -> None:
        """Take a partition over and work on it until it is lost."""
        speaker = Speaker(partition=number, partitions=PARTITIONS)
        owner = Owner(self.shell, Partition(speaker, {k: make(number) for k, make in CONTROLLERS.items()}))
        self.owners[number] = owner
        try:
            await take_over(self.shell, SimConsumer(self.kafka), [owner])
        except ProduceFailed:
            self._lost(owner, ProduceFailed("fence"))
            return
        self.tasks.append(asyncio.create_task(self._work(owner)))

    async def _work(self, owner: Owner) -> None:
        dice = self.kafka.dice
        while owner.is_live:
            await asyncio.sleep(dice.random() * 0.05)
            fetched = {}
            for topic in (REQUEST, NODE_TELEMETRY):
                place = TopicPartition(topic.name, owner.number)
                at = owner.next.get(topic.name, 0)
                records = self.kafka.logs[place][at : at + dice.randrange(1, 15)]
                if records:
                    fetched[place] = records
            for chunk in cut_chunks(fetched, TOPICS, {owner.number: owner}):
                await chunk.submit(chunk.fold(handle))

    def kill(self) -> None:
        """kill -9."""
        for owner in self.owners.values():
            owner.drop()
        self.owners.clear()
        for task in self.tasks:
            task.cancel()
        self.shell.producers.kill()


class SimTown:
    """One random world."""

    def __init__(self, seed: int, harmless: Callable[..., Any] | None = None) -> None:
        self.kafka = SimKafka(seed)
        self.dice = random.Random(seed * 31 + 1)
        self.begins: dict[int, int] = {}
        self.bugs: list[BaseException] = []
        self.workers: list[SimWorker] = []
        self._harmless = harmless

    def journal(self) -> SimJournal:
        """A client of the journal, sabotaged where a test wants to see that it shows."""
        journal = SimJournal(self.kafka, self.begins)
        if self._harmless is not None:
            journal.is_harmless = self._harmless  # type: ignore[method-assign]  # the rule that is broken on purpose
        return journal

    async def live(self) -> dict[int, JournalFold]:
        """Feed, depose, kill; then let one worker finish all that is left."""
        feeding = asyncio.create_task(self._feed())
        for _ in range(self.dice.randrange(4, 10)):
            worker = SimWorker(self, self.dice.choice([0.005, 0.03, 0.5]))
            self.workers.append(worker)
            for number in range(PARTITIONS):
                if self.dice.random() < 0.7:
                    await asyncio.gather(worker.take(number), return_exceptions=True)
            await asyncio.sleep(self.dice.random() * 0.8)
            if self.dice.random() < 0.5:
                self.dice.choice(self.workers).kill()
        await feeding
        return await self._finish()

    async def _feed(self) -> None:
        sequences: dict[str, int] = {}
        for _ in range(300):
            site = f"s{self.dice.randrange(6)}"
            node = f"{site}-n{self.dice.randrange(2)}"
            sequences[node] = sequences.get(node, -1) + 1
            key, value, headers = sample(site, node, sequences[node], self.dice.randrange(1, 500))
            place = TopicPartition(NODE_TELEMETRY.name, partition_of(site, PARTITIONS))
            self.kafka.append(place, [(key.encode(), value, headers)])
            await asyncio.sleep(self.dice.random() * 0.02)

    async def _finish(self) -> dict[int, JournalFold]:
        await asyncio.sleep(3)
        for _ in range(20):
            last = SimWorker(self, 0.003)
            self.workers.append(last)
            for number in range(PARTITIONS):
                await last.take(number)
            await asyncio.sleep(20)
            if len(last.owners) == PARTITIONS and all(o.is_idle for o in last.owners.values()):
                break
        await asyncio.sleep(5)
        folds = {number: JournalFold() for number in range(PARTITIONS)}
        for number, history in folds.items():
            history.feed(self.kafka.logs[TopicPartition(JOURNAL, number)], 1 << 60)
        for worker in self.workers:
            worker.kill()
        return folds

    def faults(self, folds: dict[int, JournalFold]) -> list[str]:
        """All that differs from what plain Python says."""
        telemetry = [r for n in range(PARTITIONS) for r in self.kafka.logs[TopicPartition(NODE_TELEMETRY.name, n)]]
        expected = oracle(telemetry, PARTITIONS)
        nodes, sites = rows_of(folds, "site/nodes", NodeRow), rows_of(folds, "site/sites", SiteRow)
        sent: dict[str, set[bytes | None]] = {}
        for number in range(PARTITIONS):
            for record in self.kafka.logs[TopicPartition(COMMAND_SCALING.name, number)]:
                sent.setdefault(msgspec.json.decode(record.value or b"")["command_id"], set()).add(record.value)
        checks = {
            "nodes": {k: (r.events, r.cpu_sum, r.last) for k, r in nodes.items()} == expected.nodes,
            "told": {k: (r.told, r.missing) for k, r in sites.items() if r.told} == expected.told,
            "missing": not expected.commands.keys() - sent.keys(),
            "phantom": not sent.keys() - expected.commands.keys(),
            "copies": all(len(copies) == 1 for copies in sent.values()),
            "outbox": not any(history.outbox for history in folds.values()),
            "bugs": not self.bugs,
        }
        return [name for name, holds in checks.items() if not holds]


def faults_of(seed: int, harmless: Callable[..., Any] | None = None) -> tuple[list[str], list[str]]:
    """What went wrong in one world, and what its workers went through."""

    async def whole() -> tuple[list[str], list[str]]:
        town = SimTown(seed, harmless)
        folds = await town.live()
        return town.faults(folds), [why for worker in town.workers for why in worker.lost]

    return run_virtually(whole())


@pytest.mark.parametrize("block", range(3))
def test_in_no_world_is_anything_lost_doubled_or_invented(block: int) -> None:
    lost: list[str] = []
    for seed in range(block * 10, block * 10 + 10):
        faults, through = faults_of(seed)
        assert not faults, f"seed {seed}: {faults}"
        lost += through
    assert lost.count("Fenced") > 5
    assert lost.count("ProduceFailed") > 0


def test_a_deposed_owner_that_ignores_the_gap_is_found_out() -> None:
    async def always(*_: object) -> bool:
        return True

    assert any(faults_of(seed, always)[0] for seed in range(12))


def test_releasing_before_the_acknowledgement_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    send = JournalWriter._send_frame

    async def early(self: JournalWriter, frame: Any) -> None:
        self._history(frame, -1)
        frame.outputs = []
        await send(self, frame)

    monkeypatch.setattr(JournalWriter, "_send_frame", early)
    assert any(faults_of(seed)[0] for seed in range(12))
