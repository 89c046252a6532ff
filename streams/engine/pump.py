"""Handing records out: drain everything fetched, urgent first, each chunk to its controller's channel (ENGINE 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition

from streams.engine.chunk import Chunk
from streams.engine.decode import owner_of
from streams.engine.owner import Owner
from streams.records import Record
from topics.catalogue import Keyspace, Topic

CHUNK_RECORDS = 1_000


def cut_chunks(
    fetched: Mapping[TopicPartition, Sequence[Any]], topics: Mapping[str, Topic], owners: Mapping[int, Owner]
) -> list[Chunk]:
    """Chunks of all that was fetched, bound to today's ownerships; call it before the first await after the fetch."""
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
            chunks += _of_topic(owner, topic, records)
    return chunks


def _of_topic(owner: Owner, topic: Topic, records: Sequence[Record]) -> list[Chunk]:
    """Chunks of one fetch; on a shared topic one per controller that is spoken to."""
    chunks: list[Chunk] = []
    for start in range(0, len(records), CHUNK_RECORDS):
        part = records[start : start + CHUNK_RECORDS]
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
