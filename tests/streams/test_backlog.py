"""What waits is folded urgent first, partitions in turn; a full controller or partition holds nobody else up."""

from __future__ import annotations

from typing import Any

from aiokafka import TopicPartition

from streams.engine.backlog import CHUNK_US, IN_HAND, URGENT_IN_A_ROW, Backlog
from streams.engine.chunk import Chunk
from streams.engine.owner import PENDING_ROWS, Owner, State
from streams.engine.pump import Valve, cut_chunks
from tests.streams.inputs import HOME, load
from tests.streams.test_pump import LOADS, REQUESTS, TOPICS, handle, owner, told
from topics.catalogue import NODE_TELEMETRY, REQUEST, Keyspace


class Fetcher:
    """What the valve asks of a consumer."""

    def __init__(self) -> None:
        self.held: set[TopicPartition] = set()

    def pause(self, place: TopicPartition) -> None:
        self.held.add(place)

    def resume(self, place: TopicPartition) -> None:
        self.held.discard(place)

    def assignment(self) -> set[TopicPartition]:
        return {LOADS, REQUESTS}


def telemetry(mine: Owner, first: int, count: int = 1) -> list[Chunk]:
    return cut_chunks({LOADS: [load(first + n) for n in range(count)]}, TOPICS, {HOME: mine}, lambda _: 1)


def finish(chunk: Chunk) -> None:
    chunk.fold(handle)


async def test_a_request_passes_the_telemetry_that_waits() -> None:
    mine, backlog = owner(), Backlog()
    backlog.add(telemetry(mine, 0, 6))
    backlog.add(cut_chunks({REQUESTS: [told(0, "site")]}, TOPICS, {HOME: mine}))
    first = backlog.take()
    assert first is not None
    assert first.topic is REQUEST


async def test_a_controller_has_few_chunks_in_hand_and_another_is_served_meanwhile() -> None:
    mine, backlog = owner(), Backlog()
    backlog.add(telemetry(mine, 0, 6))
    in_hand = [backlog.take() for _ in range(IN_HAND)]
    assert backlog.take() is None
    backlog.add(cut_chunks({REQUESTS: [told(0, "app")]}, TOPICS, {HOME: mine}))
    other = backlog.take()
    assert other is not None
    assert in_hand[0] is not None
    assert other.keyspace != in_hand[0].keyspace
    finish(in_hand[0])
    assert backlog.take() is not None


async def test_a_flood_of_requests_lets_telemetry_through() -> None:
    mine, backlog = owner(), Backlog()
    backlog.add(telemetry(mine, 0))
    requests = [told(offset, "site") for offset in range(2 * URGENT_IN_A_ROW)]
    backlog.add(cut_chunks({REQUESTS: requests}, TOPICS, {HOME: mine}, lambda _: 1))
    seen = []
    while chunk := backlog.take():
        seen.append(chunk.topic)
        finish(chunk)
    assert seen.index(NODE_TELEMETRY) == URGENT_IN_A_ROW


async def test_what_was_fetched_for_a_lost_ownership_is_forgotten() -> None:
    mine, backlog = owner(), Backlog()
    backlog.add(telemetry(mine, 0, 3))
    mine.state = State.DEAD
    assert backlog.take() is None
    assert backlog.waiting_us == 0


async def test_a_partition_whose_journal_is_behind_waits() -> None:
    mine, backlog = owner(), Backlog()
    backlog.add(telemetry(mine, 0))
    mine.partition.fresh = [None] * PENDING_ROWS  # type: ignore[list-item]  # only their number matters
    assert backlog.take() is None
    mine.partition.fresh = []
    assert backlog.take() is not None


async def test_chunks_are_cut_so_that_each_takes_a_few_milliseconds() -> None:
    mine, backlog = owner(), Backlog()
    for first in range(40):
        backlog.add(telemetry(mine, first))
        chunk: Any = backlog.take()
        finish(chunk)
        backlog.folded(chunk, 10, 10 * 0.001)  # a millisecond per record
        backlog._in_hand[chunk.keyspace] += 1
    assert 16 <= backlog.chunk_records(NODE_TELEMETRY) < 2 * CHUNK_US / 1000 + 16


async def test_telemetry_rests_while_much_of_it_waits_and_flows_again_when_it_is_folded() -> None:
    mine, backlog, fetcher = owner(), Backlog(), Fetcher()
    valve = Valve(fetcher, TOPICS, {HOME: mine}, backlog)
    chunks = telemetry(mine, 0, 1000)
    backlog.add([*chunks, *cut_chunks({REQUESTS: [told(0, "site")]}, TOPICS, {HOME: mine})])
    valve.shut([LOADS, REQUESTS])
    assert fetcher.held == {LOADS}
    while chunk := backlog.take():
        finish(chunk)
        valve.open()
    assert fetcher.held == set()


async def test_a_pause_of_a_lost_ownership_is_not_taken_back() -> None:
    mine, backlog, fetcher = owner(), Backlog(), Fetcher()
    owners = {HOME: mine}
    valve = Valve(fetcher, TOPICS, owners, backlog)
    backlog.add(telemetry(mine, 0, 1000))
    valve.shut([LOADS])
    mine.state = State.DEAD
    owners[HOME] = owner()
    valve.open()
    assert fetcher.held == {LOADS}


async def test_a_worker_that_ends_leaves_to_the_next_owner_what_nobody_has_in_hand() -> None:
    mine, backlog = owner(), Backlog()
    backlog.add(telemetry(mine, 0, 6))
    in_hand = [backlog.take() for _ in range(IN_HAND)]
    backlog.give_up()
    backlog.add(telemetry(mine, 6))
    assert [chunk for queued in mine.queued.values() for chunk in queued] == in_hand
    for chunk in in_hand:
        assert chunk is not None
        finish(chunk)
    assert (backlog.take(), backlog.waiting_us) == (None, 0)
    assert not any(mine.queued.values())
    assert mine.partition.mark(NODE_TELEMETRY, Keyspace.SITE) == IN_HAND - 1
