"""What is fetched becomes chunks; topics of which too much waits are not fetched any more (ENGINE 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.engine.backlog import MOST_RECORDS, Backlog
from streams.engine.chunk import Chunk
from streams.engine.decode import owner_of
from streams.engine.owner import Owner
from streams.engine.partition import keyspaces_of
from streams.records import Record
from topics.catalogue import Keyspace, Topic

OWN_US, URGENT_US = 60_000, 300_000
"""A topic's partition rests while so much work of it waits."""
ALL_US = 300_000
"""While so much work waits in all, no telemetry is fetched of partitions where some waits."""


def cut_chunks(
    fetched: Mapping[TopicPartition, Sequence[Any]],
    topics: Mapping[str, Topic],
    owners: Mapping[int, Owner],
    most: Callable[[Topic], int] = lambda _: MOST_RECORDS,
) -> list[Chunk]:
    """Chunks of all that was fetched, bound to today's ownerships; call it before the first await after the fetch.

    `most`: how many records of a topic make a chunk.
    """
    chunks: list[Chunk] = []
    for place in sorted(fetched, key=lambda place: not topics[place.topic].urgent):
        owner = owners.get(place.partition)
        if owner is None or not owner.is_live:
            continue
        topic, records = topics[place.topic], fetched[place]
        wanted = owner.next[topic.name]
        if records[0].offset < wanted:
            records = [record for record in records if record.offset >= wanted]
        if records:
            owner.next[topic.name] = records[-1].offset + 1
            chunks += _of_topic(owner, topic, records, most(topic))
    return chunks


class Valve:
    """Pauses what is fetched faster than it is folded. What a pause cuts off is fetched again: order is kept.

    A rebalance forgets pauses, and a takeover makes its own: only ours are taken back, and only of live ownerships.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, topics: Mapping[str, Topic], owners: Mapping[int, Owner], backlog: Backlog
    ) -> None:
        """Everything flows."""
        self._consumer, self._topics, self._owners, self._backlog = consumer, topics, owners, backlog
        self._shut: dict[TopicPartition, Owner] = {}

    def shut(self, places: Iterable[TopicPartition]) -> None:
        """Pause those of the places just fetched of which too much waits."""
        for place in places:
            owner = self._owners.get(place.partition)
            if owner is not None and owner.is_live and self._is_too_much(owner, self._topics[place.topic]):
                self._consumer.pause(place)
                self._shut[place] = owner

    def open(self) -> None:
        """Let flow again what has nearly been folded."""
        for place, owner in list(self._shut.items()):
            if not owner.is_live or self._owners.get(place.partition) is not owner:
                del self._shut[place]
            elif self._waiting_us(owner, self._topics[place.topic]) < OWN_US / 4:
                del self._shut[place]
                if place in self._consumer.assignment():
                    self._consumer.resume(place)

    def _is_too_much(self, owner: Owner, topic: Topic) -> bool:
        waiting = self._waiting_us(owner, topic)
        if topic.urgent:
            return waiting > URGENT_US
        return waiting > OWN_US or (waiting > 0 and self._backlog.waiting_us > ALL_US)

    def _waiting_us(self, owner: Owner, topic: Topic) -> int:
        return sum(chunk.weight_us for space in keyspaces_of(topic) for chunk in owner.queued[topic.name, space])


def _of_topic(owner: Owner, topic: Topic, records: Sequence[Record], most: int) -> list[Chunk]:
    """Chunks of one fetch; on a shared topic one per controller that is spoken to."""
    chunks: list[Chunk] = []
    for start in range(0, len(records), most):
        part = records[start : start + most]
        last = part[-1].offset
        if topic.keyspace is not None:
            chunks.append(_queue(owner, topic, topic.keyspace, part, last))
            continue
        split: dict[Keyspace, list[Record]] = {}
        for record in part:
            split.setdefault(owner_of(topic, record), []).append(record)
        for keyspace in Keyspace:
            if keyspace in split:
                chunks.append(_queue(owner, topic, keyspace, split[keyspace], last))
            else:
                _pass_by(owner, topic, keyspace, last)
    return chunks


def _queue(owner: Owner, topic: Topic, keyspace: Keyspace, records: Sequence[Record], last: int) -> Chunk:
    chunk = Chunk(owner, topic, keyspace, records, last)
    owner.queued[topic.name, keyspace].append(chunk)
    return chunk


def _pass_by(owner: Owner, topic: Topic, keyspace: Keyspace, last: int) -> None:
    """Nothing here is for this controller: its mark moves, with the chunk that is still queued if there is one."""
    queued = owner.queued[topic.name, keyspace]
    if queued:
        queued[-1].last = last
    else:
        owner.partition.skip(topic, keyspace, last)
        owner.poke_later()
