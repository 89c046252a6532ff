"""What the engine leans on in aiokafka and the broker: each thing that is not promised anywhere is shown here."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition

from schemas.settings import KafkaSettings
from streams.engine.frames import HEAD_KEY, FenceNote, Header, Kind, encode_header
from streams.engine.journal import Journal
from streams.engine.membership import Slot, input_names, leave, open_consumer
from streams.settings import WorkerSection, WorkerSettings
from tests.kafka.town import Town
from topics.catalogue import JOURNAL

pytestmark = pytest.mark.kafka


@pytest.fixture
async def town(broker: str, topic_prefix: str, tmp_path: Path) -> Town:
    town = Town(broker, topic_prefix, tmp_path, partitions=2)
    await town.open()
    return town


async def test_a_closed_batch_is_appended_alone_and_its_acknowledgement_tells_place_and_time(town: Town) -> None:
    topic = town.connect.name(JOURNAL)
    async with town.connect.producer("t", max_batch_size=4_000_000) as producer:
        bases, times = [], []
        for size in (3, 1, 2):
            batch = producer.create_batch()
            for _ in range(size):
                assert batch.append(key=b"k", value=b"v", timestamp=None) is not None
            batch.close()
            acknowledged = await (await producer.send_batch(batch, topic, partition=0))
            bases.append(acknowledged.offset)
            times.append(acknowledged.timestamp)
    assert bases == [0, 3, 4]
    assert all(abs(at_ms - time.time() * 1000) < 60_000 for at_ms in times)


async def test_a_checkpoint_is_remembered_by_a_group_that_nobody_joins(town: Town) -> None:
    first = Journal(town.connect, "one", "app")
    await first.start(2)
    assert await first.checkpoint_of(1) is None
    await first.remember_checkpoint(1, 42)
    await first.stop()
    second = Journal(town.connect, "two", "app")
    await second.start(2)
    assert (await second.checkpoint_of(1), await second.checkpoint_of(0)) == (42, None)
    await second.stop()


async def test_a_checkpoint_that_is_not_in_the_log_any_more_means_reading_all_of_it(town: Town) -> None:
    fence = encode_header(Header(Kind.FENCE, -1, 0, 0, 1, 1, fence=FenceNote(0, 1, "m")))
    async with town.connect.producer("t") as producer:
        await producer.send_and_wait(town.connect.name(JOURNAL), fence, key=HEAD_KEY, partition=0)
    journal = Journal(town.connect, "one", "app")
    await journal.start(2)
    await journal.remember_checkpoint(0, 1000)
    history = await asyncio.wait_for(journal.read(0, 1), 10)
    assert history.fence == 0
    await journal.stop()


async def test_a_static_member_that_leaves_frees_its_partitions_at_once_and_range_keeps_a_partition_together(
    town: Town, app_id: str
) -> None:
    def settings(name: str) -> WorkerSettings:
        section = WorkerSection(app_id=app_id, instance=name, session_timeout_s=10, heartbeat_s=0.3)
        return WorkerSettings(kafka=KafkaSettings(bootstrap=town.settings.bootstrap), worker=section)

    members = [open_consumer(town.connect, Slot(settings(name)), settings(name)) for name in ("a", "b")]
    for member in members:
        member._auto_offset_reset = "latest"
        member.subscribe(input_names(town.connect))
    await asyncio.gather(*(member.start() for member in members))
    await reaches(lambda: all(len(numbers(m.assignment())) == 1 for m in members))
    shares = [m.assignment() for m in members]
    assert all(len(share) == len(input_names(town.connect)) for share in shares)
    began = time.monotonic()
    await leave(members[0])
    await reaches(lambda: numbers(members[1].assignment()) == {0, 1})
    assert time.monotonic() - began < 5, "it had to wait for the session to end"
    await members[1].stop()


def numbers(places: set[TopicPartition]) -> set[int]:
    return {place.partition for place in places}


async def reaches(condition: object) -> None:
    deadline = time.monotonic() + 15
    while not (callable(condition) and condition()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_msgspec_reads_a_row_that_has_lost_a_field() -> None:
    class Old(msgspec.Struct):
        a: int = 1
        gone: int = 2

    class New(msgspec.Struct):
        a: int = 0
        added: int = 5

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(Old()), type=New) == New(a=1, added=5)
