"""Ticks: time as an input, withheld after a takeover until every input has reached its end of then (ENGINE 5)."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from edge_control.controllers.events import Tick
from streams.engine.owner import Owner
from streams.engine.shell import Shell
from topics.catalogue import Keyspace


async def is_caught_up(shell: Shell, consumer: AIOKafkaConsumer, owner: Owner) -> bool:
    """Whether everything that was there at the takeover has been folded."""
    assigned = consumer.assignment()
    for topic in shell.inputs:
        place = TopicPartition(shell.connect.name(topic), owner.number)
        if owner.has_queued(topic) or place not in assigned:
            return False
        target = owner.targets[topic.name]
        if owner.partition.start_of(topic) < target and await consumer.position(place) < target:
            return False
    return True


def tick(shell: Shell, owner: Owner, lag_ms: int) -> None:
    """Let time pass for the four controllers of a live partition."""
    partition = owner.partition
    now_ms = max(shell.clock.now_ms(), partition.time_ms + 1)
    passed = Tick(now_ms, owner.number, lag_ms, shell.views.age_ms())
    try:
        for keyspace in Keyspace:
            partition.tick(keyspace, passed, shell.views.view, partition.controllers[keyspace].handle)
    except Exception as error:  # noqa: BLE001 - a bug must end the worker; nothing of this step may be written
        if owner.writer is not None:
            owner.writer.is_broken = True
        shell.bug(error)
        return
    owner.poke()


def lag_ms(shell: Shell, consumer: AIOKafkaConsumer, owner: Owner) -> int:
    """How long ago the broker had more for us than we have handed out and folded; 0 when we have it all."""
    assigned = consumer.assignment()
    for topic in shell.inputs:
        place = TopicPartition(shell.connect.name(topic), owner.number)
        if place in assigned and (consumer.highwater(place) or 0) > owner.next[topic.name]:
            break
    else:
        if not any(owner.queued.values()):
            owner.current_since_ms = shell.clock.now_ms()
    return max(0, shell.clock.now_ms() - owner.current_since_ms)
