"""Reading the journal: many partitions at once through one client, each as far as it is wanted (ENGINE 2.6, 2.7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from streams.engine.fold import JournalFold
from streams.engine.frames import HEAD_KEY, Kind, decode_header
from streams.engine.lost import StartRefused

_POLL_MS = 500


class Stretch(msgspec.Struct, frozen=True):
    """What to read of a partition: from `start` (None: the log's beginning) to below `upto`."""

    start: int | None
    upto: int


async def fold_stretches(
    reader: AIOKafkaConsumer, topic: str, wanted: Mapping[int, Stretch], *, keep_stories: bool = False
) -> AsyncIterator[tuple[int, JournalFold]]:
    """Fold each stretch; a partition is given as soon as it is read.

    Who is trimmed before or under us begins again from empty: what we folded may hold rows that were removed since.
    """
    places = {number: TopicPartition(topic, number) for number in wanted}
    left = {place: JournalFold(keep_stories=keep_stories) for place in places.values()}
    reader.assign(list(left))
    begins = await reader.beginning_offsets(list(left))
    for number, place in places.items():
        start = wanted[number].start
        reader.seek(place, begins[place] if start is None else start)
        if begins[place] >= wanted[number].upto:
            reader.pause(place)
            yield number, left.pop(place)
    while left:
        again: list[TopicPartition] = []
        fetched: Mapping[TopicPartition, Sequence[Any]] = {}
        try:
            fetched = await reader.getmany(*left, timeout_ms=_POLL_MS)
        except OffsetOutOfRangeError as error:
            again += [place for place in error.args[0] if place in left]
        for place, records in fetched.items():
            if place not in left:
                continue
            is_read = left[place].feed(records, wanted[place.partition].upto)
            if left[place].is_headless:
                _refuse_at_start(place, records[0].offset, begins[place])
                again.append(place)
            elif is_read:
                reader.pause(place)
                yield place.partition, left.pop(place)
        if again:
            begins.update(await reader.beginning_offsets(again))
        for place in again:
            left[place] = JournalFold(keep_stories=keep_stories)
            reader.seek(place, begins[place])


def _refuse_at_start(place: TopicPartition, first: int, begin: int) -> None:
    """What was remembered as a checkpoint is none: the log's start is asked. If that is none either, nobody knows."""
    if first <= begin:
        raise StartRefused(
            f"{place.topic} begins at {first} in partition {place.partition}, and not with a checkpoint: somebody else"
            " trimmed it; restore it, or give the estate a new prefix"
        )


async def is_harmless(reader: AIOKafkaConsumer, place: TopicPartition, start: int, end: int) -> bool:
    """Whether the stretch holds only an older writer's garbage: no FENCE, and all of it can be read."""
    at, left = start, 0
    reader.assign([place])
    reader.seek(place, start)
    while at < end:
        try:
            fetched = await reader.getmany(place, timeout_ms=_POLL_MS)
        except OffsetOutOfRangeError:
            return False
        for record in fetched.get(place, ()):
            if record.offset >= end:
                break
            if record.offset != at:
                return False
            at += 1
            if left:
                left -= 1
            elif record.key == HEAD_KEY and record.value is not None:
                header = decode_header(record.value)
                left = header.records - 1
                if header.kind == Kind.FENCE:
                    return False
    return True
