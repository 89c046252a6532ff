"""After a takeover: time waits for what was already there, and a record that may kill is announced before it is folded."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from streams.engine.frames import HEAD_KEY, FenceNote, Header, Kind, decode_header, encode_header
from streams.engine.owner import Owner
from streams.engine.ticks import is_caught_up
from tests.kafka.town import sample
from tests.kafka.toy import ToySite
from tests.streams.sim_kafka import JOURNAL
from tests.streams.sim_loop import run_virtually
from tests.streams.test_simulation import PARTITIONS, SimTown, SimWorker
from topics.catalogue import INPUTS, NODE_TELEMETRY, Keyspace
from topics.partition import partition_of

HOME = partition_of("s1", PARTITIONS)


def feed(town: SimTown, count: int) -> None:
    for sequence in range(count):
        key, value, headers = sample("s1", "s1-n1", sequence, 5)
        town.kafka.append(TopicPartition(NODE_TELEMETRY.name, HOME), [(key.encode(), value, headers)])


def kinds(town: SimTown) -> list[Kind]:
    log = town.kafka.logs[TopicPartition(JOURNAL, HOME)]
    return [Kind(decode_header(line.value or b"").kind) for line in log if line.key == HEAD_KEY]


async def taken(town: SimTown, seconds: float) -> Owner:
    worker = SimWorker(town, 0.002)
    town.workers.append(worker)
    await worker.take(HOME)
    await asyncio.sleep(seconds)
    return worker.owners[HOME]


def test_after_takeovers_without_a_frame_each_record_is_announced_before_it_is_folded() -> None:
    async def life() -> tuple[list[Kind], int, bool]:
        town = SimTown(1)
        fence = encode_header(Header(Kind.FENCE, -1, 0, 0, 1, 1, fence=FenceNote(0, 1, "m")))
        for _ in range(2):
            town.kafka.append(TopicPartition(JOURNAL, HOME), [(HEAD_KEY, fence, ())])
        feed(town, 3)
        owner = await taken(town, 5)
        site = owner.partition.controllers[Keyspace.SITE]
        assert isinstance(site, ToySite)
        return kinds(town), site.nodes["s1-n1"].events, owner.is_careful

    told, events, careful = run_virtually(life())
    assert told[:4] == [Kind.FENCE] * 3 + [Kind.ATTEMPT]
    assert told.count(Kind.ATTEMPT) <= 3
    assert (events, careful) == (3, False)


def test_time_does_not_pass_before_what_was_there_at_the_takeover_is_folded() -> None:
    async def life() -> list[bool]:
        town = SimTown(1)
        feed(town, 40)
        worker = SimWorker(town, 0.002)
        await worker.take(HOME)
        owner = worker.owners[HOME]
        places = {TopicPartition(topic.name, HOME) for topic in INPUTS}

        async def position(place: TopicPartition) -> int:
            return owner.next[place.topic]

        consumer: Any = SimpleNamespace(assignment=lambda: places, position=position)
        early = await is_caught_up(worker.shell, consumer, owner)
        await asyncio.sleep(5)
        late = await is_caught_up(worker.shell, consumer, owner)
        return [early, late]

    assert run_virtually(life()) == [False, True]
