"""Records are handed out once, urgent topics first; a shared topic's marks move for controllers it does not speak to."""

from __future__ import annotations

from aiokafka import TopicPartition

from edge_control.controllers.base import Controller
from edge_control.controllers.events import Input
from edge_control.controllers.outputs import Output
from edge_control.inventory.view import View
from schemas.requests import Overflow
from streams.engine.backlog import MOST_RECORDS
from streams.engine.owner import Owner, State
from streams.engine.partition import keyspaces_of
from streams.engine.pump import cut_chunks
from streams.engine.shell import Shell
from streams.settings import WorkerSettings
from tests.streams.inputs import HOME, In, load, partition, said
from topics.catalogue import INPUTS, NODE_TELEMETRY, REQUEST, Keyspace

TOPICS = {topic.name: topic for topic in INPUTS}
LOADS, REQUESTS = TopicPartition(NODE_TELEMETRY.name, HOME), TopicPartition(REQUEST.name, HOME)


def handle(controller: Controller, event: Input, view: View) -> list[Output]:
    return controller.handle(event, view)


def owner() -> Owner:
    def nothing(*_: object) -> None:
        """Nobody is told anything here."""

    shell = Shell(WorkerSettings(), "t", lost=nothing, bug=nothing, checkpointed=nothing)
    mine = Owner(shell, partition())
    mine.state = State.LIVE
    for topic in INPUTS:
        mine.next[topic.name] = 0
        for keyspace in keyspaces_of(topic):
            mine.queued[topic.name, keyspace] = []
    return mine


def told(offset: int, keyspace: str) -> In:
    return said(offset, Overflow(site_id="s1", app_id="a", missing_milli=7, permille=1), keyspace=keyspace)


async def test_requests_are_handed_out_before_telemetry() -> None:
    mine = owner()
    chunks = cut_chunks({LOADS: [load(0)], REQUESTS: [told(0, "site")]}, TOPICS, {HOME: mine})
    assert [chunk.topic.name for chunk in chunks] == [REQUEST.name, NODE_TELEMETRY.name]


async def test_a_fetch_is_cut_into_chunks_of_bounded_size() -> None:
    records = [load(offset) for offset in range(2 * MOST_RECORDS + 1)]
    chunks = cut_chunks({LOADS: records}, TOPICS, {HOME: owner()})
    assert [len(chunk) for chunk in chunks] == [MOST_RECORDS, MOST_RECORDS, 1]


async def test_records_handed_out_before_are_not_handed_out_again() -> None:
    mine = owner()
    cut_chunks({LOADS: [load(0), load(1)]}, TOPICS, {HOME: mine})
    again = cut_chunks({LOADS: [load(1), load(2)]}, TOPICS, {HOME: mine})
    assert [record.offset for chunk in again for record in chunk.records] == [2]


async def test_records_of_a_partition_that_is_not_live_are_left_to_its_next_owner() -> None:
    mine = owner()
    (chunk,) = cut_chunks({LOADS: [load(0)]}, TOPICS, {HOME: mine})
    mine.state = State.DEAD
    assert cut_chunks({LOADS: [load(1)]}, TOPICS, {HOME: mine}) == []
    chunk.fold(handle)
    assert mine.partition.marks == {}


async def test_a_controller_that_is_not_spoken_to_moves_its_mark_but_never_past_what_still_waits_for_it() -> None:
    mine = owner()
    (first,) = cut_chunks({REQUESTS: [told(0, "site"), told(1, "site")]}, TOPICS, {HOME: mine})
    assert mine.partition.mark(REQUEST, Keyspace.APP) == 1
    assert mine.partition.mark(REQUEST, Keyspace.SITE) == -1
    (second,) = cut_chunks({REQUESTS: [told(2, "app")]}, TOPICS, {HOME: mine})
    assert mine.partition.mark(REQUEST, Keyspace.SITE) == -1
    second.fold(handle)
    assert mine.partition.mark(REQUEST, Keyspace.APP) == 2
    first.fold(handle)
    assert mine.partition.mark(REQUEST, Keyspace.SITE) == 2
    assert mine.partition.start_of(REQUEST) == 3
