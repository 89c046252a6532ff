"""A client that emits seeded samples, some of them poison, and writes down what it knows of each."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from aiokafka.errors import KafkaError

from tests.chaos.history import History
from tests.kafka.town import NODES, SITES, Town, sample
from topics.catalogue import NODE_TELEMETRY

EMITTER = "emitter"
POISON = b'{"node_id": \xff broken'
_POISON_ONE_IN = 200


class Emitter:
    """Sends at a rate until told to stop; a dead producer is replaced, what became of its records stays unknown."""

    def __init__(self, town: Town, history: History, seed: int) -> None:
        self._town, self._history = town, history
        self._dice = random.Random(f"{seed}/emitter")
        self._sequence: dict[str, int] = {}
        self._name = town.connect.name(NODE_TELEMETRY)

    async def run(self, rate: float, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._with_a_producer(rate, stop)
            except (KafkaError, OSError, TimeoutError) as error:
                self._history.write(EMITTER, "info", "producer", repr(error))
                await asyncio.sleep(0.2)

    async def _with_a_producer(self, rate: float, stop: asyncio.Event) -> None:
        producer = self._town.connect.producer(EMITTER, linger_ms=5, request_timeout_ms=15_000)
        async with producer:
            started, sent = time.monotonic(), 0
            while not stop.is_set():
                await self._one(producer)
                sent += 1
                if (ahead := started + sent / rate - time.monotonic()) > 0.005:
                    await asyncio.sleep(ahead)

    async def _one(self, producer: Any) -> None:
        name, key, value, attributes = self._next()
        self._history.write(EMITTER, "invoke", name)
        try:
            future = await producer.send(self._name, value, key=key.encode(), headers=attributes)
        except (KafkaError, OSError) as error:
            self._history.write(EMITTER, "info", name, repr(error))
            raise
        future.add_done_callback(lambda done: self._told(name, done))

    def _told(self, name: str, done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._history.write(EMITTER, "info", name, "cancelled" if done.cancelled() else repr(done.exception()))
        else:
            self._history.write(EMITTER, "ok", name, f"{done.result().partition}/{done.result().offset}")

    def _next(self) -> tuple[str, str, bytes, list[tuple[str, bytes]]]:
        site = f"s{self._dice.randrange(SITES)}"
        node = f"{site}-n{self._dice.randrange(NODES)}"
        sequence = self._sequence[node] = self._sequence.get(node, -1) + 1
        key, value, attributes = sample(site, node, sequence, self._dice.randrange(1, 100))
        if self._dice.randrange(_POISON_ONE_IN) == 0:
            value = POISON
        return f"{node}/{sequence}", key, value, attributes
