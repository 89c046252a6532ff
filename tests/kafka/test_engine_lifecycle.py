"""What may happen to topics and clusters under a worker: they grow, lose their beginning, or are empty after a restore."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from edge_executors.checks import Outcome
from edge_executors.executor import Executor
from edge_executors.reading import Reading
from edge_executors.records import Delivery, known_of
from edge_executors.store import Store
from edge_executors.targets.simulated import SimulatedTarget
from edge_executors.voice import Saying
from schemas.commands import Action, Command, CommandKind, Fence, ScaleParams, Target
from schemas.decisions import Resource
from schemas.statuses import CommandState, Status
from tests.kafka.town import Town, check, rows_of, sample
from tests.kafka.toy import NodeRow
from topics.catalogue import COMMAND_SCALING, JOURNAL, NODE_TELEMETRY, Topic
from topics.partition import partition_of

REJECTED = CommandState.REJECTED
pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
async def town(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(broker, topic_prefix, tmp_path)
    await town.open()
    yield town
    town.close()


@asynccontextmanager
async def admin_of(town: Town) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that may change topics."""
    admin = town.connect.admin("town")
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@pytest.mark.parametrize("topic", [NODE_TELEMETRY, JOURNAL], ids=["an-input", "the-journal"])
async def test_a_topic_that_grew_is_refused_in_one_sentence(town: Town, topic: Topic) -> None:
    name, count = town.connect.name(topic), town.partitions + 1
    async with admin_of(town) as admin:
        await admin.create_partitions({name: NewPartitions(total_count=count)})
        async with asyncio.timeout(15):  # the broker answers up to a second before it knows itself
            while len((await admin.describe_topics([name]))[0]["partitions"]) < count:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.05)
    assert await asyncio.to_thread(town.start("w0").wait, 25) == 78
    said = town.log("w0")
    assert "all keyed topics need one count" in said
    assert topic.name in said
    assert "Traceback" not in said


async def test_what_retention_took_before_it_was_folded_is_counted_and_the_rest_goes_on(town: Town) -> None:
    place = TopicPartition(town.connect.name(NODE_TELEMETRY), partition_of("s1", town.partitions))
    await town.send(NODE_TELEMETRY, *(sample("s1", "s1-n1", sequence, 1) for sequence in range(10)))
    town.start("w0")
    await town.settled()
    assert await town.stop("w0") == 0
    await town.send(NODE_TELEMETRY, *(sample("s1", "s1-n1", sequence, 1) for sequence in range(10, 20)))
    async with admin_of(town) as admin:
        await admin.delete_records({place: RecordsToDelete(before_offset=14)})
    town.start("w0")
    assert rows_of(await town.settled(), "site/nodes", NodeRow)["s1-n1"].events == 16
    (alarm,) = [
        json.loads(line[line.index("{") :])  # a terminal code of the start may stand before it
        for line in town.log("w0").splitlines()
        if "lost to retention" in line
    ]
    assert (alarm["lost"], alarm["partition"]) == (4, place.partition)


class Ear:
    """Hears what an executor says."""

    def __init__(self) -> None:
        self.heard: list[Status] = []

    async def say(self, sayings: Sequence[Saying]) -> None:
        self.heard += [saying.body for saying in sayings if isinstance(saying.body, Status)]


def old_order(town: Town, offset: int, *, epoch: int = 5_000, sequence: int = 9_000) -> Delivery:
    """What an owner of the lost cluster ordered: a high epoch, a high sequence number, incarnation 0."""
    number, now_ms = partition_of("s1", town.partitions), int(time.time() * 1000)
    command = Command(
        command_id=f"old-{offset}",
        kind=CommandKind.SCALING,
        action=Action.SCALE_OUT,
        resource=Resource(type="replicas", id="s1-n1@s1"),
        target=Target(site_id="s1"),
        reply_key="s1",
        reply_keyspace="site",
        params=ScaleParams(app_id="s1-n1", replicas=3),
        generation=900,
        fence=Fence(owner=f"site/{number}", revision=900, epoch=epoch),
        issued_at_ms=1,
        decision_id="old",
    )
    topic = town.connect.name(COMMAND_SCALING)
    return Delivery(command=command, topic=topic, partition=number, offset=offset, append_ms=now_ms, sequence=sequence)


@pytest.mark.parametrize(("incarnation", "is_heard"), [("1", True), ("0", False)], ids=["raised", "forgotten"])
async def test_after_a_restore_on_an_empty_cluster_executors_hear_only_a_raised_incarnation(
    town: Town, incarnation: str, is_heard: bool
) -> None:
    ear, target = Ear(), SimulatedTarget("s1", startup_ms=0, drain_ms=0)
    executor = Executor({"s1": [target]}, Store(town.folder / "store.db"), ear)
    await executor.start()
    executor.take([old_order(town, 0)])
    await executor.settled()
    assert target.replicas == {"s1-n1": 3}
    reading = Reading(town.connect, executor, "s1")
    await reading.start()
    town.start("w0", INCARNATION=incarnation)
    await town.send(NODE_TELEMETRY, sample("s1", "s1-n1", 0, 2_000))
    record = await town.first(COMMAND_SCALING, 20)
    await reaches(executor, Outcome.ACCEPTED if is_heard else Outcome.REPEATED, 2 if is_heard else 1)
    await executor.settled()
    assert target.replicas == {"s1-n1": 2 if is_heard else 3}
    if is_heard:
        fence = json.loads(record.value)["fence"]
        assert (fence["incarnation"], fence.get("epoch", 0) < 5_000) == (1, True), "only the incarnation is greater"
        executor.take([old_order(town, 1, epoch=1 << 40, sequence=0)])
        await executor.settled()
        late = known_of(executor.store.get("command", "old-1"))
        assert late is not None
        assert (late.status.state, late.status.error.code if late.status.error else "") == (REJECTED, "fence")
        assert target.replicas == {"s1-n1": 2}
    await reading.stop()
    await executor.stop()


async def reaches(executor: Executor, outcome: Outcome, count: int) -> None:
    """Wait until so many deliveries had this outcome."""
    async with asyncio.timeout(15):
        while executor.counts[outcome] < count:  # noqa: ASYNC110 - the executor tells nobody what it counts
            await asyncio.sleep(0.05)


async def test_a_worker_that_is_asked_to_end_amid_a_backlog_ends_at_once_and_the_next_one_goes_on(town: Town) -> None:
    await town.produce(60_000)
    town.start("w0")
    while not await folded(town):  # noqa: ASYNC110 - only the journal tells
        await asyncio.sleep(0.02)
    asked = time.monotonic()
    assert await town.stop("w0") == 0
    took_s = time.monotonic() - asked
    behind = await town.open_ends(await town.journals())
    assert behind, "the worker was done before it was asked to end: nothing was shown"
    assert took_s < 4
    town.start("w0")
    await check(town, await town.settled(within_s=60))


async def folded(town: Town) -> bool:
    """Whether a frame stands in the journal."""
    async with town.connect.consumer("town") as reader:
        places = [TopicPartition(town.connect.name(JOURNAL), number) for number in range(town.partitions)]
        ends: dict[TopicPartition, int] = await reader.end_offsets(places)
        return max(ends.values()) > 1
