"""Says an executor's messages to Kafka: keyed by their owner, idempotent, acknowledged by all, in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Final

from aiokafka.errors import MessageSizeTooLargeError

from schemas import cloudevents, wire
from schemas.cloudevents import Envelope
from schemas.registry import full_type, type_name
from topics.catalogue import DEAD_LETTER
from topics.connect import Connect
from topics.partition import partition_of
from topics.topic import Topic

from .burying import DeadLetter
from .clock import Clock, wall_ms
from .voice import Saying

_LOG: Final = logging.getLogger(__name__)
_LINGER_MS: Final = 2
_STOP_S: Final = 3.0


class KafkaVoice:
    """One idempotent producer, opened when there is first something to say."""

    def __init__(self, connect: Connect, client_id: str, *, now_ms: Clock = wall_ms) -> None:
        self._connect = connect
        self._client_id = client_id
        self._now_ms = now_ms
        self._producer: Any = None

    async def _open(self) -> Any:
        """The producer; raises while no broker answers."""
        if self._producer is not None:
            return self._producer
        producer: Any = self._connect.producer(self._client_id, linger_ms=_LINGER_MS)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer
        return producer

    async def stop(self) -> None:
        """Send what is in hand and close."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await producer.stop()

    async def say(self, sayings: Sequence[Saying]) -> None:
        """Send all in order and wait for the acknowledgements."""
        producer = await self._open()
        sent = []
        for saying in sayings:
            try:
                sent.append(await self._send(producer, saying))
            except MessageSizeTooLargeError:
                _LOG.exception("dropped: %s to %s is larger than the broker takes", saying.event_id, saying.key)
        await asyncio.gather(*sent)

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Produce dead letters and wait for the acknowledgements."""
        producer = await self._open()
        name = self._connect.name(DEAD_LETTER)
        sent = [
            await producer.send(name, key=d.key, value=d.value, partition=d.partition, headers=d.headers)
            for d in letters
        ]
        await asyncio.gather(*sent)

    async def _send(self, producer: Any, saying: Saying) -> Any:
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
        return await producer.send(
            self._connect.name(saying.topic),
            key=saying.key.encode(),
            value=wire.encode_json(saying.body),
            partition=self._partition(saying.topic, saying.key),
            headers=cloudevents.headers(envelope),
            timestamp_ms=now_ms,
        )

    def _partition(self, topic: Topic, key: str) -> int:
        return 0 if topic.single else partition_of(key, self._connect.partitions)
