"""Real replicas: they start, answer, drain without a failed request, and die with their site."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from schemas.statuses import CommandState
from schemas.telemetry import AppLoad
from tests.edge_executors.town import Town, Users, succeeded


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(tmp_path)
    yield town
    await town.close()


async def test_from_none_to_three_to_one_under_load_no_request_fails(town: Town) -> None:
    await town.open("a")
    users = [Users(town.sites["a"].ingress_url) for _ in range(8)]
    load = [asyncio.create_task(user.keep_working("video", ms=20, pause_s=0.005)) for user in users]
    status = succeeded(await town.scale("a", "video", 3))
    assert status.result is not None
    assert (status.result.observed, len(status.result.endpoints)) == (3, 3)
    await asyncio.sleep(0.5)
    assert succeeded(await town.scale("a", "video", 1)).result is not None
    await asyncio.sleep(0.3)
    for user in users:
        user.keep_going = False
    await asyncio.gather(*load)
    assert sum((u.answers for u in users), start=users[0].answers.__class__()).keys() == {200}
    assert sum(u.answers[200] for u in users) > 100


async def test_replicas_are_spread_over_the_nodes_and_keep_off_avoided_ones(town: Town) -> None:
    await town.open("a")
    succeeded(await town.scale("a", "video", 4))
    samples = {s.node_id: s for s in town.sites["a"].node_samples()}
    assert [len(s.replicas) for s in samples.values()] == [2, 2]
    assert all(r.mem_used_bytes > 1_000_000 for s in samples.values() for r in s.replicas)
    succeeded(await town.scale("a", "video", 2, avoid_nodes=("a-1",)))
    assert [len(s.replicas) for s in town.sites["a"].node_samples()] == [0, 2]


async def test_what_does_not_fit_is_refused_with_what_runs(town: Town) -> None:
    await town.open("a")
    status = await town.scale("a", "video", 9)  # two nodes of 2000, 500 each: eight fit
    assert status.state is CommandState.FAILED
    assert status.error is not None
    assert status.error.code == "no-room"
    assert status.result is not None
    assert status.result.observed == 8


async def test_a_killed_node_takes_its_replicas_and_reports_no_more(town: Town) -> None:
    await town.open("a")
    succeeded(await town.scale("a", "video", 4))
    town.sites["a"].kill_node("a-1")
    await asyncio.sleep(0.2)
    assert [s.node_id for s in town.sites["a"].node_samples()] == ["a-2"]
    assert len(town.sites["a"].processes.scaler.of("video")) == 2
    status = succeeded(await town.scale("a", "video", 3, avoid_nodes=("a-1",)))
    assert status.result is not None
    assert status.result.observed == 3


async def test_a_scale_out_undrains_what_is_still_draining(town: Town) -> None:
    await town.open("a")
    succeeded(await town.scale("a", "video", 2))
    pids = {r.process.pid for r in town.sites["a"].processes.scaler.of("video") if r.process}
    users = [Users(town.sites["a"].ingress_url) for _ in range(6)]
    load = [asyncio.create_task(user.work("video", ms=1500)) for user in users]
    await asyncio.sleep(0.2)
    shrinking = asyncio.create_task(town.scale("a", "video", 1))
    await asyncio.sleep(0.3)
    succeeded(await town.scale("a", "video", 2))
    assert (await shrinking).state is CommandState.SUPERSEDED
    assert {r.process.pid for r in town.sites["a"].processes.scaler.of("video") if r.process} == pids
    assert {answer.status for answer in await asyncio.gather(*load)} == {200}


async def test_a_request_waits_for_the_first_replica_and_the_load_says_so(town: Town) -> None:
    await town.open("a", load_interval_ms=100)
    loads: list[AppLoad] = []
    town.sites["a"].on_load(loads.extend)
    asked = asyncio.create_task(Users(town.sites["a"].ingress_url).work("video"))
    await asyncio.sleep(0.3)
    assert any(load.queued == 1 for load in loads)
    succeeded(await town.scale("a", "video", 1))
    assert (await asked).status == 200


async def test_a_replica_answers_soon_after_it_was_started(town: Town) -> None:
    await town.open("a")
    begun = time.perf_counter()
    succeeded(await town.scale("a", "video", 1))
    assert time.perf_counter() - begun < 3, "0.15 s on a quiet machine"


async def test_nothing_is_left_when_a_site_stops(town: Town) -> None:
    await town.open("a")
    succeeded(await town.scale("a", "video", 2))
    pids = [r.process.pid for r in town.sites["a"].processes.scaler.of("video") if r.process]
    await town.sites.pop("a").stop()
    assert not any(psutil.pid_exists(pid) for pid in pids)
