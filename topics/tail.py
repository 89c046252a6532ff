"""Reads topics to their end and beyond, without a group: for people, views of tools, tests."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from .connect import Connect
from .topic import Topic


async def tail(
    connect: Connect, topics: Sequence[Topic], *, since_s: int = 0, until_end: bool = False, whole: bool = False
) -> AsyncIterator[Any]:
    """Records of all partitions of the topics, as the client gives them.

    Starts at the end, `since_s` seconds ago, or (`whole`) at the beginning. With `until_end` it stops at the end that
    the topics had when it began; else it goes on for ever.
    """
    consumer = connect.consumer("edgeweir-tail", auto_offset_reset="earliest", fetch_max_wait_ms=100)
    consumer.subscribe([connect.name(topic) for topic in topics])
    try:
        await consumer.start()
        places = sorted(consumer.assignment())
        ends = await consumer.end_offsets(places)
        await _seek(consumer, places, ends, since_s=since_s, whole=whole)
        left = {place for place in places if await consumer.position(place) < ends[place]}
        while left or not until_end:
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    if not until_end or record.offset < ends[place]:
                        yield record
            left = {place for place in left if await consumer.position(place) < ends[place]}
    finally:
        await consumer.stop()


async def _seek(
    consumer: AIOKafkaConsumer,
    places: list[TopicPartition],
    ends: dict[TopicPartition, int],
    *,
    since_s: int,
    whole: bool,
) -> None:
    if whole:
        await consumer.seek_to_beginning(*places)
        return
    start_ms = int((time.time() - since_s) * 1000)
    found = await consumer.offsets_for_times(dict.fromkeys(places, start_ms)) if since_s else {}
    for place in places:
        at = found.get(place)
        consumer.seek(place, at.offset if at else ends[place])
