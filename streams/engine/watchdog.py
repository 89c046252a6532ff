"""Is the worker alive in truth? An input that grows while its mark stands still means no (ENGINE 6)."""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.engine.clock import monotonic_ms
from streams.engine.owner import Owner
from streams.engine.shell import Shell
from topics.catalogue import Topic


class Watchdog:
    """Remembers since when each mark stands still although there is something to fold."""

    def __init__(self, shell: Shell, consumer: AIOKafkaConsumer) -> None:
        """Nothing stands still yet."""
        self._shell, self._consumer = shell, consumer
        self._stuck: dict[tuple[int, str], tuple[int, float]] = {}

    async def look(self, owners: Iterable[Owner]) -> str | None:
        """A sentence once some mark has stood still for too long; None while all is well."""
        now, limit = monotonic_ms(), self._shell.settings.worker.watchdog_s * 1000
        seen: dict[tuple[int, str], tuple[int, float]] = {}
        for owner in owners:
            for topic in self._shell.inputs:
                if not await self._waits(owner, topic):
                    continue
                key, at = (owner.number, topic.name), owner.partition.start_of(topic)
                was = self._stuck.get(key)
                seen[key] = was if was is not None and was[0] == at else (at, now)
                if now - seen[key][1] > limit:
                    return f"{topic.name} {owner.number} waits, its mark stands at {at} for {limit / 1000:.0f} s"
        self._stuck = seen
        return None

    async def _waits(self, owner: Owner, topic: Topic) -> bool:
        """Whether records are there that are not folded: handed out, or still with the broker."""
        if owner.has_queued(topic):
            return True
        place = TopicPartition(self._shell.connect.name(topic), owner.number)
        if place not in self._consumer.assignment() or place in self._consumer.paused():
            return False
        position: int = await self._consumer.position(place)
        return bool((self._consumer.highwater(place) or 0) > position)
