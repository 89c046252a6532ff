"""Taking a partition over: fence, fold the journal up to the fence, wait for the view, seek, go (ENGINE 2.7).

Never inside the rebalance listener: that would stop heartbeats, and its exceptions are only logged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.engine import crashpoints
from streams.engine.clock import monotonic_ms
from streams.engine.fold import JournalFold
from streams.engine.frames import FenceNote, Header, Kind
from streams.engine.lost import StartRefused
from streams.engine.owner import CAREFUL_FENCES, Owner, State
from streams.engine.partition import fence_with, keyspaces_of
from streams.engine.shell import Shell
from streams.engine.writer import acknowledged_offset, append_batch

log = structlog.get_logger()
Offsets = Mapping[TopicPartition, int]


async def take_over(shell: Shell, consumer: AIOKafkaConsumer, owners: list[Owner]) -> None:
    """Make these owners live, each as soon as its journal is folded; ProduceFailed if a fence cannot be written."""
    started = time.monotonic()
    await _append_fences(shell, consumer, owners)
    places = [TopicPartition(shell.connect.name(topic), owner.number) for topic in shell.inputs for owner in owners]
    begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    by_number = {owner.number: owner for owner in owners}
    going: list[asyncio.Task[StartRefused | None]] = []
    try:
        async for number, history in shell.journal.read_all({o.number: o.partition.speaker.epoch + 1 for o in owners}):
            taking = _take_one(shell, consumer, by_number[number], history, (begins, ends))
            going.append(asyncio.create_task(_refusal_of(taking)))
        for refused in await asyncio.gather(*going):
            if refused is not None:
                raise refused
    finally:
        for task in going:
            task.cancel()
    _report_all(shell, owners, time.monotonic() - started)


async def _refusal_of(taking: Coroutine[Any, Any, None]) -> StartRefused | None:
    """A refusal as a value: a SystemExit that leaves a task would end the loop there and then."""
    try:
        await taking
    except StartRefused as refused:
        return refused
    return None


async def _append_fences(shell: Shell, consumer: AIOKafkaConsumer, owners: list[Owner]) -> None:
    """The offset of our FENCE becomes our epoch; whatever an older epoch appends after it is void."""
    crashpoints.reached("before_fence")
    coordinator = consumer._coordinator  # noqa: SLF001 - who we are in the group has no public name
    note = FenceNote(shell.settings.worker.incarnation, int(coordinator.generation), str(coordinator.member_id))
    header = Header(kind=Kind.FENCE, epoch=-1, number=0, part=0, parts=1, records=1, fence=note)
    sent = [
        (monotonic_ms(), await append_batch(shell.producers, shell.journal, owner.number, header, []))
        for owner in owners
    ]
    for owner, (sent_ms, future) in zip(owners, sent, strict=True):
        fence_with(owner.partition, await acknowledged_offset(future, sent_ms, shell.clock))
    crashpoints.reached("after_fence")


async def _take_one(
    shell: Shell, consumer: AIOKafkaConsumer, owner: Owner, history: JournalFold, bounds: tuple[Offsets, Offsets]
) -> None:
    epoch = owner.partition.speaker.epoch
    assert history.fence == epoch, f"journal {owner.number} ends at fence {history.fence}, ours is {epoch}"
    if history.story is not None:
        _check_view(shell, history.story.views)
        await shell.views.reached(history.story.views)
    if owner.state is not State.TAKING:
        return
    owner.partition.load(history)
    if history.complete is not None:
        owner.trimming.completed(*history.complete)
    owner.is_careful = history.barren_fences >= CAREFUL_FENCES
    _position(shell, owner, *bounds)
    crashpoints.reached("before_live")
    owner.go(epoch, history.changes_read)
    resume(shell, consumer, owner)
    shell.metrics.takeovers.inc()
    _report(owner, history)


def _check_view(shell: Shell, vector: dict[str, tuple[int, ...]]) -> None:
    for name, offsets in vector.items():
        if len(shell.views.vector.get(name, offsets)) != len(offsets):
            raise StartRefused(f"{name} has another number of partitions than when the journal was written")


def _position(shell: Shell, owner: Owner, begins: Offsets, ends: Offsets) -> None:
    """Where reading goes on, and what must be reached before time may pass."""
    for topic in shell.inputs:
        place = TopicPartition(shell.connect.name(topic), owner.number)
        begin, end, start = begins[place], ends[place], owner.partition.start_of(topic)
        if start > end:
            raise StartRefused(
                f"{place.topic} ends at {end} in partition {place.partition}, but {start} records of it are folded: the"
                " topic was made anew; give the estate a new prefix or remove its journal as well"
            )
        if start < begin and start > 0:
            shell.metrics.gaps.inc(begin - start)
            log.error("input was lost to retention", topic=place.topic, partition=place.partition, lost=begin - start)
        owner.next[topic.name] = max(start, begin)
        owner.targets[topic.name] = end
        for keyspace in keyspaces_of(topic):
            owner.queued[topic.name, keyspace] = []


def resume(shell: Shell, consumer: AIOKafkaConsumer, owner: Owner) -> None:
    """Let the inputs of a live partition flow from where they were handed out last (a rebalance forgets positions)."""
    assigned = consumer.assignment()
    for topic in shell.inputs:
        place = TopicPartition(shell.connect.name(topic), owner.number)
        if place in assigned:
            consumer.seek(place, owner.next[topic.name])
            consumer.resume(place)


def _report_all(shell: Shell, owners: list[Owner], seconds: float) -> None:
    rows = sum(len(table) for owner in owners for _, table in owner.partition.named_tables)
    shell.metrics.takeover_seconds.set(seconds)
    shell.metrics.takeover_rows.set(rows)
    log.info("takeover complete", partitions=len(owners), rows=rows, seconds=round(seconds, 3))


def _report(owner: Owner, history: JournalFold) -> None:
    log.info(
        "partition taken over",
        partition=owner.number,
        epoch=owner.partition.speaker.epoch,
        rows=history.row_count,
        outbox=len(history.outbox),
        read=history.records_read,
        skipped_batches=history.skipped_batches,
        restarts=history.restarts,
        careful=owner.is_careful,
    )
