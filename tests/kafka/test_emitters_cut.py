"""A gateway whose broker is frozen, killed or away, and that is killed itself, loses nothing it has accepted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge_emitters.records import record_of
from edge_emitters.sender import Refused, Sender, Unsent
from edgeweir.dev.broker import Broker
from schemas import wire
from schemas.location import SessionEvent
from schemas.telemetry import AppLoad, NodeTelemetryBatch
from tests.kafka import emitting
from topics.catalogue import APP_LOAD, NODE_TELEMETRY, SESSION

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


async def handed_in(one: object, numbers: range, pause_s: float) -> None:
    for number in numbers:
        assert one.put_load(emitting.load(number))  # type: ignore[attr-defined]  # a gateway
        assert one.put_session(emitting.session(number))  # type: ignore[attr-defined]  # a gateway
        await asyncio.sleep(pause_s)


@pytest.mark.parametrize("absence", ["frozen", "killed"])
async def test_after_the_brokers_absence_every_accepted_number_is_there_once_and_in_order(
    own_broker: Broker, topic_prefix: str, tmp_path: Path, absence: str
) -> None:
    connect = await emitting.opened(own_broker.bootstrap, topic_prefix)
    one = emitting.gateway(connect, tmp_path)
    await one.start()
    await handed_in(one, range(100), 0.005)
    if absence == "frozen":
        own_broker.freeze()
    else:
        await own_broker.kill()
    await handed_in(one, range(100, 500), 0.01)
    assert one.standing.waiting >= 400 * 2
    assert not one.standing.connected
    assert one.standing.size_bytes <= 8 * 1_048_576
    if absence == "frozen":
        own_broker.thaw()
    else:
        await own_broker.start()
    await handed_in(one, range(500, 600), 0.005)
    async with asyncio.timeout(30):
        while one.standing.waiting:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.05)
    await one.stop()

    loads = emitting.heard(await emitting.lying_in(connect, APP_LOAD), AppLoad)
    assert [item.sequence for item in loads] == list(range(1, 601))
    assert [item.observed_at_ms for item in loads] == list(range(600))
    assert sum(item.buffered for item in loads) >= 300
    sessions = emitting.heard(await emitting.lying_in(connect, SESSION), SessionEvent)
    assert sorted(item.observed_at_ms for item in sessions) == list(range(600))
    for terminal in range(7):
        mine = [item.sequence for item in sessions if getattr(item, "terminal_id", "") == f"t-{terminal}"]
        assert mine == sorted(mine)
    batches = emitting.heard(await emitting.lying_in(connect, NODE_TELEMETRY), NodeTelemetryBatch)
    assert [item.sequence for item in batches] == list(range(1, len(batches) + 1))
    assert len(batches) > 60
    assert one.standing.tally.thinned == one.standing.tally.refused == one.standing.tally.rejected == 0


async def test_a_gateway_killed_with_a_full_hand_tells_all_it_accepted_after_its_restart(
    own_broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    connect = await emitting.opened(own_broker.bootstrap, topic_prefix)
    await own_broker.kill()
    first = emitting.start(own_broker.bootstrap, topic_prefix, tmp_path, 100_000)
    assert first.stdout is not None
    accepted = 0
    while accepted < 200:
        accepted = int(await asyncio.to_thread(first.stdout.readline))
    first.kill()
    rest = (await asyncio.to_thread(first.stdout.read)).split()
    first.wait()
    accepted = int(rest[-1]) if rest else accepted

    await own_broker.start()
    second = emitting.start(own_broker.bootstrap, topic_prefix, tmp_path, 0)
    try:
        assert second.stdout is not None
        async with asyncio.timeout(30):
            assert (await asyncio.to_thread(second.stdout.readline)).strip() == "drained"
    finally:
        second.kill()
        second.wait()

    loads = emitting.heard(await emitting.lying_in(connect, APP_LOAD), AppLoad)
    numbers = [item.observed_at_ms for item in loads]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > accepted
    assert all(item.buffered for item in loads)
    sessions = emitting.heard(await emitting.lying_in(connect, SESSION), SessionEvent)
    assert {item.observed_at_ms for item in sessions} >= set(range(accepted + 1))


async def test_a_sender_out_of_patience_leaves_no_task_behind_and_sends_through_a_new_producer(
    own_broker: Broker, topic_prefix: str
) -> None:
    connect = await emitting.opened(own_broker.bootstrap, topic_prefix)
    records = [record_of(emitting.load(number), source="/edge/a/i", event_id=f"b/{number}") for number in range(3)]
    sender = Sender(connect, "test", patience_s=1.0)
    await sender.send(records[:1])
    own_broker.freeze()
    try:
        for _ in range(2):
            began = asyncio.get_running_loop().time()
            with pytest.raises(Unsent):
                await sender.send(records[1:2])
            assert asyncio.get_running_loop().time() - began < 4.5
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == {asyncio.current_task()}
    finally:
        own_broker.thaw()
    async with asyncio.timeout(20):
        while True:
            try:
                await sender.send(records[1:])
                break
            except Unsent:
                await asyncio.sleep(0.2)
    await sender.stop()
    said = [wire.decode(AppLoad, record.value).requests for record in await emitting.lying_in(connect, APP_LOAD)]
    assert sorted(set(said)) == [0, 1, 2], "a record may lie there twice, none is missing"


async def test_a_record_that_is_too_large_is_refused_and_the_next_goes_through(
    own_broker: Broker, topic_prefix: str
) -> None:
    connect = await emitting.opened(own_broker.bootstrap, topic_prefix)
    sender = Sender(connect, "test")
    huge = AppLoad(
        site_id="a", app_id="x" * 1_200_000, ingress_id="i", observed_at_ms=1, interval_ms=1, requests=1, boot_id="b"
    )
    with pytest.raises(Refused):
        await sender.send([record_of(huge, source="/edge/a/i", event_id="huge")])
    await sender.send([record_of(emitting.load(1), source="/edge/a/i", event_id="b/1")])
    await sender.stop()
    assert len(await emitting.lying_in(connect, APP_LOAD)) == 1
