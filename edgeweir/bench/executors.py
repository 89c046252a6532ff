"""Plays all executors: notes when each command arrives, and answers that it succeeded."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.cloudevents import Envelope, headers
from schemas.commands import Command, CommandKind, MoveParams, MoveStep, ScaleParams, StateRef
from schemas.registry import full_type, type_name
from schemas.statuses import CommandState, Result, Status
from schemas.wire import encode_json
from topics.catalogue import COMMANDS, STATUS
from topics.connect import Connect
from topics.partition import partition_of

_decode = msgspec.json.Decoder(Command).decode


class Executors:
    """`scaled`, `prepared`: when the first command for each app@site or session came, in seconds since the epoch."""

    def __init__(self, connect: Connect) -> None:
        self.scaled: dict[str, float] = {}
        self.prepared: dict[str, float] = {}
        self.commands = 0
        self._connect = connect
        self._reader: AIOKafkaConsumer = connect.consumer("bench-executors", fetch_max_wait_ms=10)
        self._producer: AIOKafkaProducer = connect.producer("bench-executors", linger_ms=2)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._reader.start()
        await self._producer.start()
        names = [self._connect.name(topic) for topic in COMMANDS.values()]
        places = [TopicPartition(name, number) for name in names for number in range(self._connect.partitions)]
        self._reader.assign(places)
        await self._reader.seek_to_end(*places)
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._reader.stop()
        await self._producer.stop()

    async def _run(self) -> None:
        while True:
            fetched = await self._reader.getmany(timeout_ms=200)
            now_s = time.time()
            for records in fetched.values():
                for record in records:
                    await self._obey(record.value, now_s)

    async def _obey(self, value: bytes, now_s: float) -> None:
        command = _decode(value)
        self.commands += 1
        if isinstance(command.params, ScaleParams):
            self.scaled.setdefault(command.resource.id, now_s)
        elif isinstance(command.params, MoveParams) and command.params.step is MoveStep.PREPARE:
            self.prepared.setdefault(command.params.session_id, now_s)
        await self._answer(command, round(now_s * 1000))

    async def _answer(self, command: Command, now_ms: int) -> None:
        status = _succeeded(command, now_ms)
        envelope = Envelope(
            id=f"{command.command_id}/{command.attempt}/3",
            source=f"/edge/{command.target.site_id}/executor",
            type=full_type(type_name(status)),
            time_ms=now_ms,
            keyspace=command.reply_keyspace,
        )
        await self._producer.send(
            self._connect.name(STATUS),
            encode_json(status),
            key=command.reply_key.encode(),
            partition=partition_of(command.reply_key, self._connect.partitions),
            headers=headers(envelope),
        )


def _succeeded(command: Command, now_ms: int) -> Status:
    result: dict[str, Any] = {}
    if isinstance(command.params, ScaleParams):
        result["observed"] = command.params.replicas
    if command.kind is CommandKind.MIGRATION:
        result["state"] = StateRef(ref="bench/state", sha256="00", bytes=100, version=2)
    return Status(
        command_id=command.command_id,
        attempt=command.attempt,
        state=CommandState.SUCCEEDED,
        state_version=3,
        entered_at_ms=now_ms,
        executor_id=f"x-{command.target.site_id}",
        resource_id=command.resource.id,
        site_id=command.target.site_id,
        boot_id="bench",
        observed_generation=command.generation,
        result=Result(**result),
    )
