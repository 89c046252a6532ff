"""The view of a worker: the small compacted topics, read whole without a group, advanced only between frames."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from edge_control.inventory.view import View
from streams.viewfold import Vector, ViewFold
from topics.catalogue import VIEWS
from topics.connect import Connect

log = structlog.get_logger()
_POLL_MS = 200
_FETCH_BYTES = 4 * 1_048_576
FETCH_WAIT_MS = 50


class ViewReader:
    """Follows the view's topics."""

    def __init__(self, connect: Connect, client_id: str) -> None:
        """Knows nothing yet."""
        self._connect, self._client_id = connect, client_id
        self._fold = ViewFold({})
        self._consumer: AIOKafkaConsumer | None = None
        self._topics = {connect.name(topic): topic for topic in VIEWS}
        self._advanced = asyncio.Event()

    @property
    def view(self) -> View:
        """What the controllers see."""
        return self._fold.view

    @property
    def vector(self) -> Vector:
        """How far `view` has come."""
        return self._fold.vector

    @property
    def refused(self) -> int:
        """How many records could not be read."""
        return self._fold.refused

    async def start(self, counts: Mapping[str, int]) -> None:
        """Read all topics to their end of this moment; `counts` are the partitions of each topic."""
        self._fold = ViewFold({topic: counts[topic.name] for topic in self._topics.values()})
        consumer = self._consumer = self._connect.consumer(
            f"{self._client_id}-view",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        await consumer.start()
        places = [
            TopicPartition(name, number) for name, topic in self._topics.items() for number in range(counts[topic.name])
        ]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
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
        for left_out in self._fold.apply((self._topics[record.topic], record) for record in records):
            log.warning("left out of the view", record=left_out)
        self._advanced.set()

    async def reached(self, vector: Mapping[str, tuple[int, ...]]) -> None:
        """Return once the view has come as far as it had when the journal's last frame was folded."""
        while not self._fold.is_at(vector):
            self._advanced.clear()
            await self._advanced.wait()

    def age_ms(self) -> int:
        """For how long the slowest of the view's partitions was not heard of."""
        if self._consumer is None:
            return 0
        polls = [self._consumer.last_poll_timestamp(place) for place in self._consumer.assignment()]
        oldest = min((poll for poll in polls if poll), default=0)
        return max(0, int(time.time() * 1000) - oldest) if oldest else 0

    async def _has_reached(self, ends: Mapping[TopicPartition, int]) -> bool:
        assert self._consumer is not None
        for place, end in ends.items():
            if await self._consumer.position(place) < end:
                return False
        return True
