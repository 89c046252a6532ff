"""The one way out: records become CloudEvents in Kafka batches, one batch per partition under way at a time.

Order per key is strict: the next batch of a partition starts when the one before is acknowledged. An idempotent
producer tries again by itself for ever (aiokafka 0.14), so patience is ours: when it ends, the producer is thrown away
with all it holds, and the caller sends again through a new one. A record may so arrive twice, with the same identity.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)

from schemas.cloudevents import Envelope, headers
from schemas.registry import full_type
from topics.catalogue import BY_NAME
from topics.connect import Connect
from topics.partition import partition_of

from .clock import Clock, wall_ms
from .records import Record

_LOG: Final = logging.getLogger(__name__)
_LINGER_MS: Final = 10
_BATCH_BYTES: Final = 524_288
_MAX_REQUEST_BYTES: Final = 2_097_152
_REQUEST_TIMEOUT_MS: Final = 4_000
_CLOSE_S: Final = 1.0
_CANCELS: Final = 5
_REFUSALS: Final = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError, InvalidTimestampError)


class Unsent(ConnectionError):
    """Nobody acknowledged: it is unknown how much arrived. Send the same again, later."""


class Refused(ValueError):
    """The broker will never take one of these records: sending them again cannot help."""


class Way(Protocol):
    """How records leave; one caller at a time."""

    async def send(self, records: Sequence[Record]) -> None:
        """Return when all are acknowledged; Unsent or Refused when not."""
        ...

    async def stop(self) -> None:
        """Close."""
        ...


class Sender:
    """Sends records and waits for all in-sync replicas; the producer is made when first needed and after a failure."""

    def __init__(self, connect: Connect, client_id: str, *, patience_s: float = 8.0, clock: Clock = wall_ms) -> None:
        self._connect = connect
        self._client_id = client_id
        self._patience_s = patience_s
        self._clock = clock
        self._producer: AIOKafkaProducer | None = None

    async def send(self, records: Sequence[Record]) -> None:
        """Return when all are acknowledged; Unsent or Refused when not (or cancelled): then the producer is gone."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._say(await self._started(), records)
        except asyncio.CancelledError:
            await self.abandon()
            raise
        except Exception as error:
            await self.abandon()
            raise _verdict(error) from error

    async def stop(self) -> None:
        """Close; nothing of ours is under way between two calls of `send`."""
        await self.abandon()

    async def abandon(self) -> None:
        """Throw the producer away at once; what it still holds is not sent any more."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _kill(producer)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = self._connect.producer(
                self._client_id,
                linger_ms=_LINGER_MS,
                max_batch_size=_BATCH_BYTES,
                max_request_size=_MAX_REQUEST_BYTES,
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
            )
            self._producer = producer
            await producer.start()
        return self._producer

    async def _say(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> None:
        names = {name: self._connect.name(BY_NAME[name]) for name in dict.fromkeys(r.topic for r in records)}
        counts = {name: len(await producer.partitions_for(full)) for name, full in names.items()}
        lanes: dict[tuple[str, int], list[Record]] = {}
        for record in records:
            lanes.setdefault((record.topic, partition_of(record.key, counts[record.topic])), []).append(record)
        async with asyncio.TaskGroup() as group:
            for (topic, partition), held in lanes.items():
                group.create_task(self._say_in_order(producer, names[topic], partition, held))

    async def _say_in_order(
        self, producer: AIOKafkaProducer, topic: str, partition: int, records: Iterable[Record]
    ) -> None:
        builder = producer.create_batch()
        for record in records:
            if not self._append(builder, record):
                await _deliver(producer, builder, topic, partition)
                builder = producer.create_batch()
                self._append(builder, record)
        await _deliver(producer, builder, topic, partition)

    def _append(self, builder: Any, record: Record) -> bool:
        """Whether it fitted; an empty batch takes a record of any size. Its stamp is never in the future."""
        envelope = Envelope(id=record.event_id, source=record.source, type=full_type(record.type), time_ms=record.at_ms)
        taken = builder.append(
            timestamp=min(record.at_ms, self._clock()),
            key=record.key.encode(),
            value=record.value,
            headers=headers(envelope),
        )
        return taken is not None


async def _deliver(producer: AIOKafkaProducer, builder: Any, topic: str, partition: int) -> None:
    builder.close()
    await (await producer.send_batch(builder, topic, partition=partition))


def _verdict(error: Exception) -> Unsent | Refused:
    """What a failure means for whoever sends; partitions fail in a group."""
    leaf: BaseException = error
    while isinstance(leaf, BaseExceptionGroup):
        refusal, _ = leaf.split(_REFUSALS)
        leaf = (refusal or leaf).exceptions[0]
    sentence = f"{type(leaf).__name__}: {leaf}".rstrip(": ")
    return Refused(sentence) if isinstance(leaf, _REFUSALS) else Unsent(sentence)


async def _kill(producer: AIOKafkaProducer) -> None:
    """End a producer without its flush, which would wait for the broker (its parts are private: contract-tested).

    Its task waits for requests under way even when cancelled: the connections go first, then it is cancelled again.
    """
    producer._closed = True  # noqa: SLF001 - else its destructor warns
    task = producer._sender.sender_task  # noqa: SLF001 - aiokafka has no way to stop without flushing
    if task is not None:
        task.cancel()
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.client.close(), _CLOSE_S)
    for _ in range(_CANCELS):
        if task is None or task.done():
            return
        task.cancel()
        await asyncio.wait({task}, timeout=_CLOSE_S)
    _LOG.warning("a producer could not be ended")
