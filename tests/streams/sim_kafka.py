"""A Kafka in memory with bad manners: appends and acknowledgements come late, acknowledgements get lost, all at random.

Within one producer and partition order holds and a failed batch fails all that follow, as an idempotent producer's do.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from streams.engine.fold import JournalFold
from streams.engine.frames import HEAD_KEY, Kind, decode_header

JOURNAL = "edge.journal.v1"


class Kept(NamedTuple):
    """A record in a log, with all that readers ask for."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_type: int = 1


class Acknowledged(NamedTuple):
    """What a producer is told."""

    offset: int
    timestamp: int


class SimKafka:
    """All logs."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.logs: dict[TopicPartition, list[Kept]] = defaultdict(list)

    def now_ms(self) -> int:
        """The broker's clock."""
        return 1_700_000_000_000 + int(asyncio.get_running_loop().time() * 1000)

    def append(self, place: TopicPartition, records: list[tuple[bytes | None, bytes | None, Any]]) -> Acknowledged:
        """Append a batch whole."""
        log = self.logs[place]
        base, now = len(log), self.now_ms()
        for key, value, headers in records:
            log.append(Kept(place.topic, place.partition, len(log), now, key, value, tuple(headers)))
        return Acknowledged(base, now)

    def end(self, place: TopicPartition) -> int:
        """The offset behind the last record."""
        return len(self.logs[place])


class SimBatch:
    """A batch being built."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, Any]] = []

    def append(self, *, key: bytes | None, value: bytes | None, timestamp: int | None) -> bool:
        """Add a record; it always fits."""
        del timestamp
        self.records.append((key, value, ()))
        return True

    def close(self) -> None:
        """Nothing more comes."""


class SimProducer:
    """One producer: what it is given arrives in order per partition, or not at all from the first failure on."""

    def __init__(self, kafka: SimKafka, lateness_s: float) -> None:
        self._kafka, self._lateness_s = kafka, lateness_s
        self._lanes: dict[TopicPartition, asyncio.Queue[Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.is_broken = False

    def create_batch(self) -> SimBatch:
        """As aiokafka."""
        return SimBatch()

    async def send_batch(self, batch: SimBatch, topic: str, *, partition: int) -> asyncio.Future[Acknowledged]:
        """As aiokafka: the future is resolved when the batch is acknowledged."""
        return self._give(TopicPartition(topic, partition), batch.records)

    async def send(
        self, topic: str, value: bytes | None, *, key: bytes | None, partition: int, headers: Any
    ) -> asyncio.Future[Acknowledged]:
        """As aiokafka."""
        return self._give(TopicPartition(topic, partition), [(key, value, headers)])

    def _give(self, place: TopicPartition, records: Any) -> asyncio.Future[Acknowledged]:
        future: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        if place not in self._lanes:
            self._lanes[place] = asyncio.Queue()
            self._tasks.append(asyncio.create_task(self._carry(place)))
        self._lanes[place].put_nowait((records, future))
        return future

    async def _carry(self, place: TopicPartition) -> None:
        dice = self._kafka.dice
        while True:
            records, future = await self._lanes[place].get()
            await asyncio.sleep(dice.random() * self._lateness_s)
            fate = dice.random()
            if self.is_broken or fate < 0.002:
                self.is_broken = True
                self._resolve(future, None)
                continue
            acknowledged = self._kafka.append(place, records)
            await asyncio.sleep(dice.random() * self._lateness_s)
            if fate < 0.006:
                self.is_broken = True  # appended, but nobody will ever hear of it
                self._resolve(future, None)
            else:
                self._resolve(future, acknowledged)

    @staticmethod
    def _resolve(future: asyncio.Future[Acknowledged], acknowledged: Acknowledged | None) -> None:
        if future.done():
            return
        if acknowledged is None:
            future.set_exception(KafkaTimeoutError())
            future.exception()
        else:
            future.set_result(acknowledged)

    def kill(self) -> None:
        """The process is gone: what was on its way may or may not have arrived."""
        for task in self._tasks:
            task.cancel()


class SimProducers:
    """A worker's pair."""

    def __init__(self, kafka: SimKafka, lateness_s: float) -> None:
        self.generation = 0
        self.journal, self.outputs = SimProducer(kafka, lateness_s), SimProducer(kafka, lateness_s)

    def name(self, topic: Any) -> str:
        """No prefix here."""
        return str(topic.name)

    def kill(self) -> None:
        """Both are gone."""
        self.journal.kill()
        self.outputs.kill()


class SimJournal:
    """The journal as a store, over the logs in memory."""

    topic = JOURNAL

    def __init__(self, kafka: SimKafka, begins: dict[int, int]) -> None:
        self._kafka, self._begins = kafka, begins

    def remember(self, number: int, begin: int) -> None:
        """A complete checkpoint; one whose BEGIN is not acknowledged has no place yet (a sabotaged writer tells it)."""
        if begin >= 0:
            self._begins[number] = begin

    async def read(self, number: int, upto: int) -> JournalFold:
        """Fold from the last checkpoint, as slowly as a network."""
        history, at = JournalFold(), self._begins.get(number, 0)
        while True:
            await asyncio.sleep(self._kafka.dice.random() * 0.02)
            lines = self._kafka.logs[TopicPartition(JOURNAL, number)][at : at + self._kafka.dice.randrange(1, 60)]
            if history.feed(lines, upto):
                return history
            at += len(lines)

    async def read_all(self, wanted: dict[int, int]) -> AsyncIterator[tuple[int, JournalFold]]:
        """One after another."""
        for number, upto in wanted.items():
            yield number, await self.read(number, upto)

    async def is_harmless(self, number: int, start: int, end: int) -> bool:
        """No FENCE in the stretch."""
        await asyncio.sleep(self._kafka.dice.random() * 0.02)
        log, at = self._kafka.logs[TopicPartition(JOURNAL, number)], start
        while at < end:
            assert log[at].key == HEAD_KEY
            header = decode_header(log[at].value or b"")
            if header.kind == Kind.FENCE:
                return False
            at += header.records
        return True
