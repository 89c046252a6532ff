"""Workers are killed, frozen, joined and deposed while events flow; nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgeweir.dev.broker import Broker
from tests.kafka.town import Town, check, until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ONCE = ("before_fence", "after_fence", "before_live")
OFTEN = (
    "after_fold",
    "before_send",
    "after_send",
    "after_ack",
    "before_release",
    "after_output",
    "at_begin",
    "at_slice",
    "at_end",
)


@pytest.fixture
async def town(own_broker: Broker, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(own_broker.bootstrap, topic_prefix, tmp_path)
    await town.open()
    yield town
    town.close()


async def test_a_worker_killed_at_every_step_loses_and_doubles_nothing(town: Town) -> None:
    load = asyncio.create_task(town.produce(100_000, rate=200))
    points = {**dict.fromkeys(ONCE, "1"), **dict.fromkeys(OFTEN, "0.3")}
    for point, chance in points.items():
        worker = town.start("w0", EDGEWEIR_TEST_CRASH=f"{point}:{chance}", CHECKPOINT_EVERY="50", CHECKPOINT_SLICE="10")
        status = await asyncio.wait_for(asyncio.to_thread(worker.wait), 20)
        assert status == -signal.SIGKILL, (point, status)
    load.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await load
    town.start("w0")
    await check(town, await town.settled())


async def test_a_frozen_owner_that_wakes_up_changes_nothing(town: Town) -> None:
    town.start("w0")
    town.start("w1")
    await until(lambda: all("taken over" in town.log(name) for name in ("w0", "w1")), 20)
    load = asyncio.create_task(town.produce(12_000, rate=1000))
    await asyncio.sleep(2)
    town.workers["w0"].send_signal(signal.SIGSTOP)
    await asyncio.sleep(6)
    town.workers["w0"].send_signal(signal.SIGCONT)
    await load
    await check(town, await town.settled())
    assert all(town.workers[name].poll() is None for name in ("w0", "w1"))


async def test_workers_may_join_leave_and_die_while_events_flow(town: Town) -> None:
    town.start("w0")
    town.start("w1")
    keeper = asyncio.create_task(town.supervise("w0", "w1"))
    load = asyncio.create_task(town.produce(12_000, rate=800))
    for name in ("w0", "w1"):
        await asyncio.sleep(2.5)
        town.workers[name].kill()
    town.start("w2")
    await asyncio.sleep(3)
    town.workers["w2"].terminate()
    assert town.workers["w2"].wait(10) == 0
    await load
    await check(town, await town.settled())
    keeper.cancel()


async def test_a_deposed_workers_late_fence_does_not_leave_a_partition_unserved(town: Town) -> None:
    town.start("w0")
    await until(lambda: town.log("w0").count("partition taken over") == town.partitions, 20)
    load = asyncio.create_task(town.produce(6_000, rate=600))
    town.start("w1", EDGEWEIR_TEST_STALL="before_fence", EDGEWEIR_TEST_CRASH="after_fence:1")
    await asyncio.sleep(7)
    town.workers["w1"].send_signal(signal.SIGCONT)
    await load
    await check(town, await town.settled())
    assert "partition taken again" in town.log("w0")


async def test_a_broker_that_stands_still_only_delays(own_broker: Broker, town: Town) -> None:
    town.start("w0")
    load = asyncio.create_task(town.produce(4_000, rate=800))
    await asyncio.sleep(3)
    own_broker.freeze()
    await asyncio.sleep(4)
    own_broker.thaw()
    await load
    await check(town, await town.settled())
