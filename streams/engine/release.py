"""Sending what has become history: in order, by one task per partition, the same bytes however often (ENGINE 2.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from edge_control.inventory.view import View
from edge_control.policies.governor import paused_by
from streams.engine import crashpoints
from streams.engine.clock import BrokerClock
from streams.engine.frames import Entry
from streams.engine.lost import ProduceFailed
from streams.engine.partition import Partition
from streams.engine.producers import Producers
from topics.catalogue import BY_NAME

Outputs = list[tuple[int, Entry]]


class Releaser:
    """Sends the outputs of one partition; `sent` is told when an outbox entry went away."""

    def __init__(
        self,
        partition: Partition,
        *,
        producers: Producers,
        view: View,
        clock: BrokerClock,
        sent: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Nothing waits yet."""
        self.queue: asyncio.Queue[Outputs] = asyncio.Queue()
        self.withheld = self.released = 0
        self._partition, self._producers, self._view, self._clock = partition, producers, view, clock
        self._sent, self._failed = sent, failed

    async def run(self) -> None:
        """Release for ever; ProduceFailed when an output cannot be handed over."""
        while True:
            for sequence, entry in await self.queue.get():
                if entry.scopes and self._is_paused(entry):
                    self.withheld += 1
                    self._partition.take_out(sequence)
                    self._sent()
                    continue
                crashpoints.reached("before_release")
                await self._send(sequence, entry)

    async def _send(self, sequence: int, entry: Entry) -> None:
        topic = self._producers.name(BY_NAME[entry.topic])
        try:
            future = await self._producers.outputs.send(
                topic, entry.value, key=entry.key, partition=entry.partition, headers=list(entry.headers)
            )
        except Exception as error:
            raise ProduceFailed(f"output to {topic}: {error!r}") from error
        self.released += 1
        future.add_done_callback(partial(self._acknowledged, sequence))
        crashpoints.reached("after_output")

    def _acknowledged(self, sequence: int, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self._failed(ProduceFailed(f"output {sequence}: {error!r}"))
            return
        self._partition.take_out(sequence)
        self._sent()

    def _is_paused(self, entry: Entry) -> bool:
        """A command that a pause holds is never resumed: it expires where it is."""
        scopes = (*entry.scopes, *self._wider(entry.scopes))
        return bool(paused_by(scopes, self._view, self._clock.now_ms()))

    def _wider(self, scopes: tuple[str, ...]) -> list[str]:
        """The region of the site and the tenant of the app, as the view knows them now."""
        found: list[str] = []
        for scope in scopes:
            kind, _, name = scope.partition("/")
            if kind == "site" and (region := self._view.region_of(name)):
                found.append(f"region/{region}")
            app = self._view.apps.get(name) if kind == "app" else None
            if app is not None:
                found.append(f"tenant/{app.body.tenant}")
        return found
