"""The two producers of a worker: journals and outputs; both idempotent, replaced together when one fails."""

from __future__ import annotations

import asyncio
import contextlib

from aiokafka import AIOKafkaProducer

from topics.catalogue import Topic
from topics.connect import Connect

_JOURNAL_BATCH_BYTES = 4_000_000
_REQUEST_BYTES = 40_000_000
_OUTPUT_BATCH_BYTES = 262_144
_CLOSE_S = 3.0


class Producers:
    """A pair of producers. `generation` says which pair it is: a failure of an older pair is no news."""

    journal: AIOKafkaProducer
    outputs: AIOKafkaProducer

    def __init__(self, connect: Connect, client_id: str) -> None:
        """Nothing is opened yet."""
        self._connect = connect
        self._client_id = client_id
        self.generation = 0
        self._open = False

    def name(self, topic: Topic) -> str:
        """The topic's name on this cluster."""
        return self._connect.name(topic)

    async def start(self, topics: tuple[Topic, ...]) -> None:
        """Open both and learn where all topics are: a topic met later would cost 100 ms."""
        self.journal = self._connect.producer(
            f"{self._client_id}-journal",
            max_batch_size=_JOURNAL_BATCH_BYTES,
            max_request_size=_REQUEST_BYTES,
        )
        self.outputs = self._connect.producer(
            f"{self._client_id}-outputs",
            max_batch_size=_OUTPUT_BATCH_BYTES,
            max_request_size=_REQUEST_BYTES,
        )
        await self.journal.start()
        await self.outputs.start()
        self._open = True
        for producer in (self.journal, self.outputs):
            await asyncio.gather(*(producer.partitions_for(self.name(topic)) for topic in topics))

    async def stop(self) -> None:
        """Close both; what cannot be sent any more is given up after a while."""
        if not self._open:
            return
        self._open = False
        for producer in (self.outputs, self.journal):
            with contextlib.suppress(Exception):  # its failure may be why it is closed
                await _close(producer)

    async def replace(self, topics: tuple[Topic, ...]) -> None:
        """Close the pair and open another."""
        self.generation += 1
        await self.stop()
        await self.start(topics)


async def _close(producer: AIOKafkaProducer) -> None:
    try:
        await asyncio.wait_for(producer.stop(), _CLOSE_S)
    except TimeoutError:
        # A broker that does not answer: stop() waits for its batches for ever, so its sender is ended under it.
        await asyncio.wait_for(producer._sender.close(), _CLOSE_S)  # noqa: SLF001 - no public way
        await producer.client.close()
