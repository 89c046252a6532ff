"""Says an executor's messages to Kafka: keyed by their owner, idempotent, acknowledged by all, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from schemas import cloudevents, wire
from schemas.cloudevents import Envelope
from schemas.registry import full_type, type_name
from topics.connect import Connect
from topics.partition import partition_of
from topics.topic import Topic

from .clock import Clock, wall_ms
from .voice import Saying

_LINGER_MS: Final = 2


class KafkaVoice:
    """One idempotent producer. `extra` producing (load, sessions) may go through `send` as well."""

    def __init__(self, connect: Connect, client_id: str, *, now_ms: Clock = wall_ms) -> None:
        self._connect = connect
        self._client_id = client_id
        self._now_ms = now_ms
        self._producer: Any = None

    async def start(self) -> None:
        """Open the producer; raises while no broker answers."""
        producer = self._connect.producer(self._client_id, linger_ms=_LINGER_MS)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Send what is in hand and close."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def say(self, sayings: Sequence[Saying]) -> None:
        """Send all in order and wait for the acknowledgements."""
        if self._producer is None:
            await self.start()
        sent = [await self._send(saying) for saying in sayings]
        await asyncio.gather(*sent)

    async def _send(self, saying: Saying) -> Any:
        now_ms = self._now_ms()
        envelope = Envelope(
            id=saying.event_id,
            source=saying.source,
            type=full_type(type_name(saying.body)),
            time_ms=now_ms,
            subject=saying.subject,
            partitionkey=saying.key,
            recordedtime_ms=now_ms,
            correlationid=saying.correlation_id,
            keyspace=saying.keyspace,
        )
        return await self._producer.send(
            self._connect.name(saying.topic),
            key=saying.key.encode(),
            value=wire.encode_json(saying.body),
            partition=self._partition(saying.topic, saying.key),
            headers=cloudevents.headers(envelope),
            timestamp_ms=now_ms,
        )

    def _partition(self, topic: Topic, key: str) -> int:
        return 0 if topic.single else partition_of(key, self._connect.partitions)
