"""The view of a worker: the small compacted topics, read whole without a group, advanced only between frames.

What cannot be read is left out and counted, never guessed. Rows that an engine published carry its sequence number: a
copy that a deposed owner sent late is older than what is known and changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from edge_control.inventory.view import View
from schemas.base import Message
from schemas.cloudevents import Received, read
from schemas.errors import BadInput
from schemas.registry import TYPES
from streams.engine.envelopes import SOURCE_PREFIX
from topics.catalogue import VIEWS, Topic
from topics.connect import Connect

_POLL_MS = 200
_FETCH_BYTES = 4 * 1_048_576


class ViewReader:
    """Follows the view's topics. `vector` holds the next offset of each partition, by topic, as applied to `view`."""

    def __init__(self, connect: Connect, client_id: str) -> None:
        """Knows nothing yet."""
        self.view = View()
        self.vector: dict[str, tuple[int, ...]] = {}
        self.refused = 0
        self._connect, self._client_id = connect, client_id
        self._consumer: AIOKafkaConsumer | None = None
        self._topics = {connect.name(topic): topic for topic in VIEWS}
        self._heard: dict[str, int] = {}
        self._advanced = asyncio.Event()

    async def start(self, counts: Mapping[str, int]) -> None:
        """Read all topics to their end of this moment; `counts` are the partitions of each topic."""
        self._consumer = self._connect.consumer(
            f"{self._client_id}-view",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=50,
        )
        await self._consumer.start()
        places = [
            TopicPartition(name, number) for name, topic in self._topics.items() for number in range(counts[topic.name])
        ]
        self._consumer.assign(places)
        await self._consumer.seek_to_beginning()
        ends = await self._consumer.end_offsets(places)
        self.vector = {topic.name: (0,) * counts[topic.name] for topic in self._topics.values()}
        while not await self._has_reached(ends):
            self.apply(await self.fetch())

    async def stop(self) -> None:
        """Close the consumer."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def fetch(self) -> list[ConsumerRecord]:
        """What is new, not yet applied; empty after a while without news."""
        assert self._consumer is not None
        fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
        return [record for records in fetched.values() for record in records]

    def apply(self, records: Iterable[ConsumerRecord]) -> None:
        """Advance the view; the caller sees to it that no frame is open."""
        moved: dict[str, list[int]] = {}
        for record in records:
            topic = self._topics[record.topic]
            offsets = moved.setdefault(topic.name, list(self.vector[topic.name]))
            offsets[record.partition] = record.offset + 1
            try:
                self._apply(topic, record)
            except BadInput:
                self.refused += 1
        if moved:
            self.vector = self.vector | {name: tuple(offsets) for name, offsets in moved.items()}
            self._advanced.set()

    async def reached(self, vector: dict[str, tuple[int, ...]]) -> None:
        """Return once the view has come as far as it had when the journal's last frame was folded."""
        while not self.is_at(vector):
            self._advanced.clear()
            await self._advanced.wait()

    def is_at(self, vector: dict[str, tuple[int, ...]]) -> bool:
        """Whether the view has come as far."""
        return all(
            mine >= theirs
            for name, offsets in vector.items()
            for mine, theirs in zip(self.vector.get(name, ()), offsets, strict=False)
        )

    def age_ms(self) -> int:
        """For how long the slowest of the view's partitions was not heard of."""
        if self._consumer is None:
            return 0
        polls = [self._consumer.last_poll_timestamp(place) for place in self._consumer.assignment()]
        return max(0, int(time.time() * 1000) - min((poll for poll in polls if poll), default=0)) if polls else 0

    def _apply(self, topic: Topic, record: ConsumerRecord) -> None:
        received = read(
            record.headers,
            record.value,
            key=record.key,
            topic=topic.name,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
            default_type=topic.default_type,
        )
        if self._is_stale(topic, received):
            return
        name = received.short_type
        body: Message | None = None
        if received.data is not None:
            kind = TYPES.get(name) if name in topic.types else None
            if kind is None:
                self.refused += 1
                return
            body = received.body(kind)
        self.view.apply(topic, (record.key or b"").decode(errors="replace"), body, record.timestamp)

    def _is_stale(self, topic: Topic, received: Received) -> bool:
        if not received.source.startswith(SOURCE_PREFIX):
            return False
        sender, sequence = f"{topic.name}{received.source}", received.envelope().sequence or 0
        if sequence < self._heard.get(sender, 0):
            return True
        self._heard[sender] = sequence
        return False

    async def _has_reached(self, ends: dict[TopicPartition, int]) -> bool:
        assert self._consumer is not None
        for place, end in ends.items():
            if await self._consumer.position(place) < end:
                return False
        return True
