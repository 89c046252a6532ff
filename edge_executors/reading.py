"""Reads an executor's commands and pauses from Kafka, without a group: positions lie in the executor's own store.

A store without a position begins where this boot began: older commands are never replayed as orders, the hello asks for
what is wanted now. After an absence (no broker for longer than `absence_ms`) hello is said again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from schemas import cloudevents
from schemas.cloudevents import Received
from schemas.commands import Command
from schemas.errors import BadInput
from schemas.policy import Pause
from topics.catalogue import COMMANDS, POLICY
from topics.connect import Connect
from topics.partition import partition_of

from .burying import DeadLetter, dead_letter
from .executor import Executor
from .records import Delivery

_LOG: Final = logging.getLogger(__name__)
_COMMAND_TYPES: Final = tuple(f"command.{kind}.v1" for kind in COMMANDS)
_PROBE_S: Final = 3.0
_RETRY_S: Final = 1.0
Bury = Callable[[Sequence[DeadLetter]], Awaitable[None]]


class Reading:
    """One consumer that feeds one executor. Unreadable records are in `executor.counts`."""

    def __init__(
        self,
        connect: Connect,
        executor: Executor,
        client_id: str,
        *,
        bury: Bury | None = None,
        absence_ms: int = 15_000,
    ) -> None:
        """`bury` takes dead letters; without it unreadable commands are only counted."""
        self._connect = connect
        self._executor = executor
        self._client_id = client_id
        self._bury = bury
        self._unreadable: list[DeadLetter] = []
        self._absence_s = absence_ms / 1000
        self._consumer: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._contract_names = {connect.name(topic): topic.name for topic in COMMANDS.values()}

    async def start(self) -> None:
        """Begin to read; returns once the pauses in force are known and the positions are set."""
        await self._open()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._read(), name="commands"),
            loop.create_task(self._watch(), name="broker watch"),
        ]

    async def stop(self) -> None:
        """Stop reading; what was taken is in the store."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._consumer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PROBE_S):
                    await self._consumer.stop()

    async def _open(self) -> None:
        consumer = self._connect.consumer(self._client_id, auto_offset_reset="none", fetch_max_wait_ms=500)
        try:
            await consumer.start()
            self._policy = TopicPartition(self._connect.name(POLICY), 0)
            places = self._places()
            consumer.assign([self._policy, *places])
            await self._read_pauses(consumer)
            await self._seek(consumer, places)
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer

    def _places(self) -> list[TopicPartition]:
        sites = self._executor.site_ids
        partitions = sorted({partition_of(site, self._connect.partitions) for site in sites})
        return [TopicPartition(self._connect.name(topic), p) for topic in COMMANDS.values() for p in partitions]

    async def _read_pauses(self, consumer: Any) -> None:
        """The red button must be known before the first command is."""
        end = (await consumer.end_offsets([self._policy]))[self._policy]
        consumer.seek(self._policy, (await consumer.beginning_offsets([self._policy]))[self._policy])
        while await consumer.position(self._policy) < end:
            for record in (await consumer.getmany(self._policy, timeout_ms=1000)).get(self._policy, []):
                self._take_pause(record)

    async def _seek(self, consumer: Any, places: Sequence[TopicPartition]) -> None:
        """Go on where the store says, if the log still has it; else where this boot began, which is the end or near it.

        An owner may order as soon as it has heard our hello, and that may be before our consumer is open.
        """
        begin, end = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        since_boot = await consumer.offsets_for_times(dict.fromkeys(places, self._executor.booted_ms))
        for place in places:
            held = self._executor.store.get("position", _name(place))
            first = since_boot.get(place)
            position = int(held) if held is not None else first.offset if first is not None else end[place]
            is_there = begin[place] <= position <= end[place]
            consumer.seek(place, position if is_there else end[place])
            self._executor.store.put("position", _name(place), str(position if is_there else end[place]).encode())
        self._executor.store.commit()

    async def _read(self) -> None:
        while True:
            try:
                batches = await self._consumer.getmany(timeout_ms=1000)
            except OffsetOutOfRangeError:
                await self._seek(self._consumer, self._places())
                await self._greet("absence")
                continue
            except KafkaError as error:
                _LOG.warning("reading commands: %s", error)
                await asyncio.sleep(_RETRY_S)
                continue
            self._take(batches)
            await self._bury_unreadable()

    def _take(self, batches: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        for place, records in batches.items():
            if place == self._policy:
                for record in records:
                    self._take_pause(record)
                continue
            deliveries = [d for record in records if (d := self._delivery(record)) is not None]
            self._executor.take(deliveries, {_name(place): records[-1].offset + 1})

    def _delivery(self, record: ConsumerRecord) -> Delivery | None:
        """A command of ours; what cannot be read is counted, what names another site is left to it."""
        try:
            event = _event(record)
            if event.short_type not in _COMMAND_TYPES:
                return None
            return Delivery(
                command=event.body(Command),
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                append_ms=record.timestamp,
                sequence=event.envelope().sequence or 0,
                raw=event.data or b"",
            )
        except BadInput as error:
            self._executor.counts["unreadable"] += 1
            _LOG.warning("unreadable command at %s/%d/%d: %s", record.topic, record.partition, record.offset, error)
            if (record.key or b"").decode(errors="replace") in self._executor.site_ids:
                self._unreadable.append(dead_letter(record, error, self._contract_names[record.topic]))
            return None

    async def _bury_unreadable(self) -> None:
        letters, self._unreadable = self._unreadable, []
        if letters and self._bury is not None:
            try:
                await self._bury(letters)
            except (KafkaError, OSError) as error:
                _LOG.warning("%d dead letters unsaid: %s", len(letters), error)

    def _take_pause(self, record: ConsumerRecord) -> None:
        key = (record.key or b"").decode(errors="replace")
        if not key.startswith("pause/"):
            return
        try:
            pause = None if record.value is None else _event(record).body(Pause)
        except BadInput as error:
            _LOG.warning("unreadable pause %s: %s", key, error)
            return
        self._executor.pauses.put(key, pause)

    async def _watch(self) -> None:
        """Notice when no broker answers for long (or the process itself stood still), and say hello on return."""
        last_s = time.monotonic()
        while True:
            await asyncio.sleep(_PROBE_S)
            try:
                async with asyncio.timeout(_PROBE_S):
                    await self._consumer.end_offsets([self._policy])
            except (KafkaError, TimeoutError, OSError):
                continue
            away_s, last_s = time.monotonic() - last_s, time.monotonic()
            if away_s > self._absence_s:
                await self._greet("absence")
            if not self._executor.store.is_intact():
                _LOG.error("the store's file is gone; writing it again")
                self._executor.store.rewrite()

    async def _greet(self, why: str) -> None:
        for site_id in self._executor.site_ids:
            await self._executor.hello(site_id, why)


def _name(place: TopicPartition) -> str:
    return f"{place.topic}/{place.partition}"


def _event(record: ConsumerRecord) -> Received:
    return cloudevents.read(
        record.headers,
        record.value,
        key=record.key,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
    )
