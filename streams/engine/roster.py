"""Which partitions are ours: what a rebalance, a fence or a failed write changes (ENGINE 2.4, 2.7).

The rebalance listener only does what must come before the coordinator's next await: pause everything, put the kept
partitions back where they were. Takeovers run as tasks, one batch at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from streams.engine.lost import Fenced, ProduceFailed
from streams.engine.owner import Owner, State
from streams.engine.shell import Shell
from streams.engine.takeover import resume, take_over

log = structlog.get_logger()
MAX_FAILURES = 6
_FIRST_BACKOFF_S = 0.5
_LAST_BACKOFF_S = 10.0
_TROUBLE = (ProduceFailed, KafkaError, TimeoutError, ConnectionError)
"""The world failed: try again. Everything else is our bug and ends the worker."""


class Roster(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """All ownerships of a worker, by partition."""

    def __init__(self, shell: Shell, consumer: AIOKafkaConsumer, make: Callable[[int], Owner]) -> None:
        """Owns nothing; `make` gives a new ownership in state taking."""
        self.owners: dict[int, Owner] = {}
        self.failures = 0
        self.is_closing = False
        self._shell, self._consumer, self._make = shell, consumer, make
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def live(self) -> list[Owner]:
        """The ownerships that fold and write."""
        return [owner for owner in self.owners.values() if owner.is_live]

    @property
    def is_ready(self) -> bool:
        """Whether all that the group gave us is live."""
        return bool(self.owners) and len(self.live) == len(self.owners)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Nothing: until the new assignment is known, what we own may go on; continuity guards it."""

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Synchronous up to the coordinator's next await: aiokafka has forgotten pauses and positions."""
        places = list(assigned)
        self._hold(places)
        numbers = sorted({place.partition for place in places})
        for number in [number for number in self.owners if number not in numbers]:
            self.owners.pop(number).drop()
        kept = self.live
        for owner in kept:
            resume(self._shell, self._consumer, owner)
        new = [self._own(number) for number in numbers if number not in self.owners]
        log.info("partitions assigned", all=numbers, new=[owner.number for owner in new])
        self._shell.metrics.owned.set(len(self.owners))
        if new and not self.is_closing:
            self._spawn(self._take(new))
        if kept and not self.is_closing:
            self._spawn(self._check_kept(kept))

    def lost(self, owner: Owner, error: Exception) -> None:
        """An ownership ended. A fence took one partition; a failed write took all that this producer wrote for."""
        if owner.state is State.DEAD or self.is_closing:
            return
        is_fence = isinstance(error, Fenced)
        self._shell.metrics.lost.labels("fenced" if is_fence else "failed").inc()
        log.warning("partition lost", partition=owner.number, why=str(error))
        owner.drop()
        if is_fence:
            self.owners.pop(owner.number, None)
            self._spawn(self._retake(owner.number))
            return
        for other in self.owners.values():
            other.drop()
        self._spawn(self._recover(owner.generation))

    async def close(self) -> None:
        """Own nothing any more."""
        self.is_closing = True
        for owner in self.owners.values():
            owner.drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _own(self, number: int) -> Owner:
        owner = self.owners[number] = self._make(number)
        return owner

    def _places(self, number: int) -> list[TopicPartition]:
        return [TopicPartition(self._shell.connect.name(topic), number) for topic in self._shell.inputs]

    def _hold(self, places: list[TopicPartition]) -> None:
        """Nothing flows. The position is a stand-in: without one the client would look for a committed offset."""
        self._consumer.pause(*places)
        for place in places:
            self._consumer.seek(place, 0)

    def _is_assigned(self, number: int) -> bool:
        assigned: set[TopicPartition] = self._consumer.assignment()
        return assigned.issuperset(self._places(number))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._watched(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            if not self.is_closing:
                self._shell.bug(AssertionError("a takeover was cancelled by nobody"))
            raise
        except BaseException as error:  # noqa: BLE001 - a bug, or a refusal that says what to correct: the worker ends
            self._shell.bug(error)

    async def _take(self, owners: list[Owner]) -> None:
        async with self._one_at_a_time:
            mine = [owner for owner in owners if self.owners.get(owner.number) is owner and owner.state is State.TAKING]
            if not mine:
                return
            try:
                await take_over(self._shell, self._consumer, mine)
                self.failures = 0
            except _TROUBLE as error:
                log.warning("takeover failed", partitions=[owner.number for owner in mine], why=repr(error))
                self._spawn(self._recover(self._shell.producers.generation))

    async def _recover(self, generation: int) -> None:
        """Close the producers whose writes have an unknown fate, then take everything over again, with backoff."""
        async with self._one_at_a_time:
            if generation != self._shell.producers.generation:
                return
            while not self.is_closing:
                self.failures += 1
                if self.failures > MAX_FAILURES:
                    raise ProduceFailed(f"{MAX_FAILURES} attempts to write failed")
                await asyncio.sleep(min(_LAST_BACKOFF_S, _FIRST_BACKOFF_S * 2**self.failures))
                try:
                    await self._shell.producers.replace(self._shell.topics)
                    await take_over(self._shell, self._consumer, self._all_again())
                except _TROUBLE as error:
                    log.warning("recovery failed", attempt=self.failures, why=repr(error))
                    continue
                self.failures = 0
                return

    def _all_again(self) -> list[Owner]:
        numbers = sorted({place.partition for place in self._consumer.assignment()})
        for owner in self.owners.values():
            owner.drop()
        self.owners.clear()
        self._hold([place for number in numbers for place in self._places(number)])
        return [self._own(number) for number in numbers]

    async def _retake(self, number: int) -> None:
        """A deposed owner's late FENCE may have hit the rightful one: if the group still says ours, take it again."""
        await asyncio.sleep(self._shell.settings.worker.heartbeat_s * 1.5)
        if number in self.owners or not self._is_assigned(number):
            return
        first = self._places(number)[0]
        try:
            await self._consumer.commit({first: await self._consumer.committed(first) or 0})
        except KafkaError as error:
            log.info("no longer a member", partition=number, why=repr(error))
            return
        if number in self.owners or not self._is_assigned(number):
            return
        self._hold(self._places(number))
        log.info("partition taken again", partition=number)
        await self._take([self._own(number)])

    async def _check_kept(self, owners: list[Owner]) -> None:
        """Somebody may have owned a kept partition in between; continuity makes it safe, this makes it prompt."""
        expected = {owner.number: owner.writer.expected for owner in owners if owner.writer is not None}
        try:
            ends = await self._shell.journal.ends(list(expected))
            for owner in owners:
                end, was = ends[owner.number], expected[owner.number]
                if not _stands(owner, was) or end <= was:
                    continue
                if not await self._shell.journal.is_harmless(owner.number, was, end) and _stands(owner, was):
                    self.lost(owner, Fenced(f"journal {owner.number} goes on to {end}, ours ended at {was}"))
        except (KafkaError, TimeoutError) as error:
            log.info("kept partitions could not be compared", why=repr(error))


def _stands(owner: Owner, expected: int) -> bool:
    """Whether it is still live and nothing of it was acknowledged meanwhile."""
    return owner.is_live and owner.writer is not None and owner.writer.expected == expected
