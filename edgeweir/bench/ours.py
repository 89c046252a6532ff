"""Rounds of the real worker: it stands still while a topic is filled, folds all of it, and stands still again."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

from edgeweir.bench.contender import Outcome
from edgeweir.bench.filling import Stretch
from edgeweir.bench.subject import Worker, total
from edgeweir.bench.watch import JournalWatch
from edgeweir.dev.errors import NoAnswer
from topics.catalogue import Keyspace, Topic
from topics.connect import Connect

_SAMPLE_S = 0.01
_WINDOW = 15
_BUSY = 0.4
_CALM = 0.1
_CALM_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.2
_LATEST_S = 180.0


class Disturbed(Exception):
    """The worker lost a partition while it was measured: the round is worthless, and another one must be run."""


class Ours:
    """A worker that takes turns with other contenders."""

    def __init__(
        self, connect: Connect, worker: Worker, topic: Topic, keyspace: Keyspace, *, scrape_every_s: float = 0
    ) -> None:
        """`scrape_every_s`: read its metrics while it works; 0 leaves it alone."""
        self.worker = worker
        self._scrape_every_s = scrape_every_s
        self._topic = topic
        self._watch = JournalWatch(connect, topic, keyspace)
        self._counted = 0.0
        self._taken = 0.0

    async def __aenter__(self) -> Self:
        await self._watch.__aenter__()
        await self._count()
        await self._freeze()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._watch.__aexit__(None, None, None)
        await self.worker.stop()

    async def fold(self, stretch: Stretch) -> Outcome:
        """Let it fold what was filled in; counted by its own metrics, timed by the broker's clock.

        `written` is the number of checkpoints that were completed meanwhile.
        """
        await self._watch.skip()
        began_s, before_s = time.time(), self.worker.cpu_s
        self.worker.thaw()
        scraper = asyncio.create_task(self._scrape())
        try:
            ended_s, cpu_s = await self._until_history(stretch)
        finally:
            scraper.cancel()
        events = await self._count()
        await self._freeze()
        if events != stretch.count:
            raise NoAnswer(f"{self.worker.name} applied {events} of {stretch.count} records", self.worker.child.tail())
        return Outcome(
            events=events, seconds=ended_s - began_s, cpu_s=cpu_s - before_s, written=self._watch.checkpoints
        )

    async def _until_history(self, stretch: Stretch) -> tuple[float, float]:
        """When the last record was history, and the processor time used up to then."""
        used: list[tuple[float, float]] = []
        give_up, looked_s = time.time() + _LATEST_S, 0.0
        while time.time() < give_up:
            used.append((time.time(), self.worker.cpu_s))
            if _is_resting(used) and used[-1][0] - looked_s > _LOOK_EVERY_S:
                await self._watch.look()
                looked_s = time.time()
                if (done_ms := self._watch.done_ms(stretch)) is not None:
                    done_s = done_ms / 1000
                    return done_s, next((cpu for at, cpu in used if at >= done_s), used[-1][1])
            await asyncio.sleep(_SAMPLE_S)
        raise NoAnswer(f"{self.worker.name} did not fold {stretch.count} records", self.worker.child.tail())

    async def _scrape(self) -> None:
        while self._scrape_every_s:
            await self.worker.metrics()
            await asyncio.sleep(self._scrape_every_s)

    async def _count(self) -> int:
        """Events applied since the last count; Disturbed when a partition was lost meanwhile."""
        series = await self.worker.metrics()
        labels = {"topic": self._topic.name, "outcome": "applied"}
        applied, before = total(series, "edgeweir_event_outcomes_total", **labels), self._counted
        taken = total(series, "edgeweir_takeovers_total")
        if self._taken and taken != self._taken:
            self._counted, self._taken = applied, taken
            raise Disturbed(self.worker.name)
        self._counted, self._taken = applied, taken
        return round(applied - before)

    async def _freeze(self) -> None:
        """Stop it while nothing of it is on the wire: what is would count as lost when it wakes."""
        used: list[tuple[float, float]] = []
        give_up = time.time() + _CALM_WITHIN_S
        while time.time() < give_up and not (len(used) >= _WINDOW and _share(used) < _CALM):
            used.append((time.time(), self.worker.cpu_s))
            await asyncio.sleep(_SAMPLE_S)
        self.worker.freeze()


def _is_resting(used: list[tuple[float, float]]) -> bool:
    """Whether the process has lately not been busy."""
    return len(used) >= _WINDOW and _share(used) < _BUSY


def _share(used: list[tuple[float, float]]) -> float:
    """How much of a core it took lately."""
    (from_s, before_s), (to_s, after_s) = used[-_WINDOW], used[-1]
    return (after_s - before_s) / (to_s - from_s)
