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

PAIRS = (
    ("before_fence:1", "after_fence:1"),
    ("before_live:1", "after_fold:0.3"),
    ("before_send:0.3", "after_send:0.3"),
    ("after_ack:0.3", "before_release:0.3"),
    ("after_output:0.3", "at_begin:0.5"),
    ("at_slice:0.5", "at_end:0.5"),
)
"""Two workers each die at their point; then both start again with the next."""


@pytest.fixture
async def town(own_broker: Broker, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(own_broker.bootstrap, topic_prefix, tmp_path)
    await town.open()
    yield town
    town.close()


@pytest.mark.parametrize("pairs", [PAIRS[:3], PAIRS[3:]], ids=["taking-over-and-writing", "releasing-and-checkpoints"])
async def test_a_worker_killed_at_every_step_loses_and_doubles_nothing(
    town: Town, pairs: tuple[tuple[str, str], ...]
) -> None:
    load = asyncio.create_task(town.produce(100_000, rate=300))
    for points in pairs:
        for name, point in zip(("w0", "w1"), points, strict=True):
            town.start(name, EDGEWEIR_TEST_CRASH=point, CHECKPOINT_EVERY="50", CHECKPOINT_SLICE="10")
        died = [asyncio.to_thread(town.workers[name].wait, 25) for name in ("w0", "w1")]
        assert await asyncio.gather(*died) == [-signal.SIGKILL] * 2, points
    load.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await load
    town.start("w0")
    town.start("w1")
    await check(town, await town.settled())


async def test_a_frozen_owner_that_wakes_up_changes_nothing(town: Town) -> None:
    town.start("w0")
    town.start("w1")
    await until(lambda: all("taken over" in town.log(name) for name in ("w0", "w1")), 20)
    load = asyncio.create_task(town.produce(8_000, rate=1000))
    await asyncio.sleep(1)
    town.workers["w0"].send_signal(signal.SIGSTOP)
    before = town.log("w1").count("partition taken over")
    await until(lambda: town.log("w1").count("partition taken over") >= before + 2, 20)
    town.workers["w0"].send_signal(signal.SIGCONT)
    await load
    await check(town, await town.settled())
    assert all(town.workers[name].poll() is None for name in ("w0", "w1"))


async def test_workers_may_join_leave_and_die_while_events_flow(town: Town) -> None:
    town.start("w0")
    town.start("w1")
    keeper = asyncio.create_task(town.supervise("w0", "w1"))
    load = asyncio.create_task(town.produce(8_000, rate=800))
    for name in ("w0", "w1"):
        await asyncio.sleep(1.5)
        town.workers[name].kill()
    town.start("w2")
    await until(lambda: "partition taken over" in town.log("w2"), 20)
    town.workers["w2"].terminate()
    assert town.workers["w2"].wait(10) == 0
    await load
    await check(town, await town.settled())
    keeper.cancel()


async def test_a_deposed_workers_late_fence_does_not_leave_a_partition_unserved(town: Town) -> None:
    town.start("w0")
    await until(lambda: town.log("w0").count("partition taken over") == town.partitions, 20)
    load = asyncio.create_task(town.produce(2_000, rate=500))
    town.start("w1", EDGEWEIR_TEST_STALL="before_fence", EDGEWEIR_TEST_CRASH="after_fence:1")
    await until(lambda: is_stopped(town.workers["w1"].pid), 20)
    before = town.log("w0").count("partition taken over")
    await until(lambda: town.log("w0").count("partition taken over") >= before + 2, 40, "w1 was never deposed")
    town.workers["w1"].send_signal(signal.SIGCONT)
    assert await asyncio.to_thread(town.workers["w1"].wait, 20) == -signal.SIGKILL
    await load
    await town.produce(500)
    await until(lambda: "partition taken again" in town.log("w0"), 20)
    await check(town, await town.settled())


async def test_a_broker_that_stands_still_only_delays(own_broker: Broker, town: Town) -> None:
    town.start("w0")
    load = asyncio.create_task(town.produce(3_000, rate=600))
    await asyncio.sleep(2)
    own_broker.freeze()
    await asyncio.sleep(3)
    own_broker.thaw()
    await load
    await check(town, await town.settled())


def is_stopped(pid: int) -> bool:
    """Whether a process was frozen by a signal."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "T"
