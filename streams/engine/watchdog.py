"""Is the worker alive in truth? An input that grows while its mark stands still means no (ENGINE 6)."""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.engine.clock import monotonic_ms
from streams.engine.owner import Owner
from streams.engine.shell import Shell
from topics.catalogue import INPUTS


class Watchdog:
    """Remembers since when each mark stands still although there is something to fold."""

    def __init__(self, shell: Shell, consumer: AIOKafkaConsumer) -> None:
        """Nothing stands still yet."""
        self._shell, self._consumer = shell, consumer
        self._stuck: dict[tuple[int, str], tuple[int, float]] = {}

    def look(self, owners: Iterable[Owner]) -> str | None:
        """A sentence once some mark has stood still for too long; None while all is well."""
        now, limit = monotonic_ms(), self._shell.settings.worker.watchdog_s * 1000
        seen: dict[tuple[int, str], tuple[int, float]] = {}
        assigned = self._consumer.assignment()
        for owner in owners:
            for topic in INPUTS:
                place = TopicPartition(self._shell.connect.name(topic), owner.number)
                at = owner.partition.start_of(topic)
                if place not in assigned or (self._consumer.highwater(place) or 0) <= max(at, owner.next[topic.name]):
                    continue
                key = (owner.number, topic.name)
                was = self._stuck.get(key)
                seen[key] = was if was is not None and was[0] == at else (at, now)
                if now - seen[key][1] > limit:
                    return (
                        f"{place.topic} {place.partition} grows, but its mark stands at {at} for {limit / 1000:.0f} s"
                    )
        self._stuck = seen
        return None
