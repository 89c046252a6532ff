"""Replay: fold the inputs again in the order of the journal's headers, over the views of then (ENGINE 5).

What comes out must be the same rows, byte for byte, and the same ids. This, and no other interleaving, is the oracle.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import TopicPartition

from edge_control.controllers.base import Controller
from edge_control.controllers.events import Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.inventory.view import View
from streams.engine.cutter import Cutter
from streams.engine.decode import owner_of
from streams.engine.envelopes import Speaker
from streams.engine.fold import JournalFold
from streams.engine.frames import QUARANTINE_AT, Folded, Story
from streams.engine.journal import Journal
from streams.engine.normalise import Normaliser
from streams.engine.partition import Partition, Portion
from streams.records import Record
from streams.viewfold import Vector, ViewFold
from topics.catalogue import BY_NAME, JOURNAL, VIEWS, Keyspace, Topic, inputs
from topics.connect import Connect

MakeController = Callable[[int], Controller]


class Replayed(msgspec.Struct):
    """What a replay found: rows as journalled by `space/table/key`, and per topic the ids of outputs in order.

    `since` is the number of the last output before what was replayed: not 0 where the journal was trimmed.
    """

    rows: dict[str, bytes]
    ids: dict[str, list[str]]
    since: int = 0


class Replay:
    """Folds stories again on a partition of its own."""

    def __init__(
        self,
        partition: Partition,
        inputs: Mapping[str, Sequence[Record]],
        views: ViewFold,
        news: Mapping[Topic, Sequence[Record]],
    ) -> None:
        """`inputs`: this partition's records by topic; `news`: all records of the view's topics, by offset."""
        self.partition = partition
        self.rows: dict[str, bytes] = {}
        self.ids: dict[str, list[str]] = {}
        self._inputs, self._views = inputs, views
        self._offsets = {name: [record.offset for record in records] for name, records in inputs.items()}
        self._news: dict[tuple[Topic, int], deque[Record]] = {}
        for topic, records in news.items():
            for record in records:
                self._news.setdefault((topic, record.partition), deque()).append(record)
        self._cutter = Cutter(partition)

    def tell(self, stories: Iterable[Story], origin: JournalFold | None = None) -> Replayed:
        """Fold all stories, from a trimmed journal's checkpoint on, and give what they left behind."""
        if origin is not None:
            self.partition.load(origin)
            self.rows = origin.rows
        since = self.partition.sequence
        for story in stories:
            self._advance(story.views)
            for folded in story.folded:
                self._fold(folded)
            self._keep()
        return Replayed(self.rows, self.ids, since)

    def _advance(self, vector: Vector) -> None:
        for (topic, number), waiting in self._news.items():
            upto = vector[topic.name][number] if topic.name in vector else 0
            while waiting and waiting[0].offset < upto:
                self._views.apply([(topic, waiting.popleft())])

    def _fold(self, folded: Folded) -> None:
        keyspace, partition = Keyspace(folded.keyspace), self.partition
        if not folded.topic:
            tick = Tick(folded.at_ms, partition.number, folded.lag_ms, folded.view_age_ms)
            partition.tick(keyspace, tick, self._views.view, partition.controllers[keyspace].handle)
            return
        topic = BY_NAME[folded.topic]
        partition.crashes = {f"{topic.name}/{keyspace}/{offset}": QUARANTINE_AT for offset in folded.skipped}
        offsets = self._offsets[topic.name]
        span = self._inputs[topic.name][bisect_left(offsets, folded.first) : bisect_right(offsets, folded.last)]
        records = [record for record in span if owner_of(topic, record) is keyspace]
        partition.fold(Portion(keyspace, topic, records, folded.last), folded.at_ms, self._views.view, _handle)

    def _keep(self) -> None:
        """What a frame would carry: rows as bytes and the ids of outputs."""
        for prefix, table in self.partition.named_tables:
            for key in table.dirty:
                data = table.encoded(key)
                if data is None:
                    self.rows.pop(prefix + key, None)
                else:
                    self.rows[prefix + key] = data
        for _, entry, is_row in self.partition.fresh:
            if not is_row:
                names = dict(entry.headers)
                self.ids.setdefault(entry.topic, []).append((names.get("ce_id") or b"").decode(errors="replace"))
        self.partition.outbox.clear()
        self._cutter.cut({})


def _handle(controller: Controller, event: Input, view: View) -> list[Output]:
    return controller.fold(event, view)


async def replay(
    connect: Connect,
    app_id: str,
    number: int,
    counts: Mapping[str, int],
    make: Mapping[Keyspace, MakeController],
    *,
    normaliser: Normaliser | None = None,
) -> Replayed:
    """Replay one partition from the beginning of its journal; `counts` are the partitions of every topic."""
    journal = Journal(connect, "replay", app_id)
    await journal.start(counts[JOURNAL.name])
    try:
        end = (await journal.ends([number]))[number]
        history = await journal.read(number, end, keep_stories=True, whole=True)
    finally:
        await journal.stop()
    records = {topic.name: await _read(connect, topic, [number]) for topic in inputs(connect.settings.dialects)}
    news = {topic: await _read(connect, topic, range(counts[topic.name])) for topic in VIEWS}
    speaker = Speaker(partition=number, partitions=counts[JOURNAL.name])
    partition = Partition(speaker, {keyspace: maker(number) for keyspace, maker in make.items()}, normaliser)
    views = ViewFold({topic: counts[topic.name] for topic in VIEWS})
    return Replay(partition, records, views, news).tell(history.stories, history.origin)


async def _read(connect: Connect, topic: Topic, numbers: Iterable[int]) -> list[Any]:
    """All records of these partitions up to their end of this moment."""
    reader = connect.consumer("replay", auto_offset_reset="earliest", max_partition_fetch_bytes=4 << 20)
    found: list[Any] = []
    async with reader:
        places = [TopicPartition(connect.name(topic), number) for number in numbers]
        reader.assign(places)
        for place, end in (await reader.end_offsets(places)).items():
            while await reader.position(place) < end:
                for records in (await reader.getmany(place, timeout_ms=500)).values():
                    found += records
    return found
