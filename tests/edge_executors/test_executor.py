"""What an executor does with commands: the order of its checks, repeats, newer orders, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_executors.executor import Executor
from edge_executors.records import Delivery
from edge_executors.store import Store
from edge_executors.targets.simulated import SimulatedTarget
from edge_executors.voice import Saying
from schemas.commands import (
    Action,
    Command,
    CommandKind,
    Fence,
    HelloParams,
    MoveParams,
    MoveStep,
    Params,
    ScaleParams,
    Target,
)
from schemas.decisions import Resource
from schemas.policy import Pause
from schemas.statuses import CommandState, Hello, Status

T0 = 1_800_000_000_000


class Ear:
    """Hears what an executor says; deaf for as long as a test wants."""

    def __init__(self) -> None:
        self.heard: list[Saying] = []
        self.deaf = False

    async def say(self, sayings: Sequence[Saying]) -> None:
        if self.deaf:
            raise ConnectionError("no broker")
        self.heard.extend(sayings)

    def states(self, command_id: str) -> list[CommandState]:
        return [s.state for s in self.statuses() if s.command_id == command_id]

    def statuses(self) -> list[Status]:
        return [saying.body for saying in self.heard if isinstance(saying.body, Status)]

    def hellos(self) -> list[tuple[str, Hello]]:
        return [(saying.key, saying.body) for saying in self.heard if isinstance(saying.body, Hello)]


class World:
    """One emulated site `a`, its executor and a clock that stands still."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_ms = T0
        self.ear = Ear()
        self.site = SimulatedTarget("a", startup_ms=0, drain_ms=0, now_ms=lambda: self.now_ms)
        self.executor = self.boot()
        self._sequence = 0

    def boot(self) -> Executor:
        store = Store(self.folder / "store.db")
        return Executor({"a": [self.site]}, store, self.ear, now_ms=lambda: self.now_ms, regions={"a": "bay"})

    async def restart(self) -> None:
        await self.executor.stop()
        self.executor = self.boot()
        await self.executor.start()

    async def give(self, *commands: Command, append_ms: int | None = None, sequence: int | None = None) -> None:
        for command in commands:
            self._sequence += 1
            self.executor.take([self.delivery(command, append_ms, sequence or self._sequence)], {"t/0": self._sequence})
        await self.executor.settled()

    def kept(self) -> dict[str, list[str]]:
        """Names of the commands and fences in the store."""
        kinds = ("command", "fence")
        return {kind: sorted(key.rpartition("|")[2] for key, _ in self.executor.store.items(kind)) for kind in kinds}

    def delivery(self, command: Command, append_ms: int | None, sequence: int) -> Delivery:
        return Delivery(
            command=command,
            topic="t",
            partition=0,
            offset=sequence,
            append_ms=append_ms or self.now_ms,
            sequence=sequence,
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.executor.start()
    yield world
    await world.executor.stop()


def scale(name: str, replicas: int, *, revision: int = 1, epoch: int = 1, **fields: Any) -> Command:
    return order(name, ScaleParams(app_id="video", replicas=replicas), revision=revision, epoch=epoch, **fields)


def order(name: str, params: Params, *, revision: int = 1, epoch: int = 1, **fields: Any) -> Command:
    command = Command(
        command_id=name,
        kind=CommandKind.SCALING,
        action=Action.SCALE_OUT,
        resource=Resource(type="replicas", id="video@a"),
        target=Target(site_id="a"),
        reply_key="a",
        reply_keyspace="site",
        params=params,
        generation=revision,
        fence=Fence(owner="site/3", incarnation=1, epoch=epoch, revision=revision),
        issued_at_ms=T0,
        decision_id="d",
    )
    return msgspec.structs.replace(command, **fields)


async def test_an_order_is_accepted_begun_done_and_read_back(world: World) -> None:
    await world.give(scale("c1", 3))
    assert world.ear.states("c1") == [CommandState.ACCEPTED, CommandState.PROGRESSING, CommandState.SUCCEEDED]
    assert [s.state_version for s in world.ear.statuses()] == [1, 2, 3]
    last = world.ear.statuses()[-1]
    assert last.result is not None
    assert last.result.observed == 3
    assert last.observed_generation == 1


async def test_a_known_id_is_answered_from_the_store_even_when_it_has_expired_by_now(world: World) -> None:
    command = scale("c1", 3, start_by_ms=T0 + 1000)
    await world.give(command)
    world.site.replicas["video"] = 1
    world.now_ms += 60_000
    await world.give(msgspec.structs.replace(command, attempt=2))
    last = world.ear.statuses()[-1]
    assert (last.state, last.attempt, last.state_version) == (CommandState.SUCCEEDED, 2, 3)
    assert world.site.replicas["video"] == 1, "answering is not doing"


async def test_a_record_that_an_outbox_sent_twice_is_dropped_without_a_word(world: World) -> None:
    await world.give(scale("c1", 3), sequence=7)
    said = len(world.ear.heard)
    await world.give(scale("c1", 3), sequence=7)
    assert len(world.ear.heard) == said
    assert world.executor.counts["repeated"] == 1


async def test_what_comes_after_its_time_expires_by_the_brokers_clock_too(world: World) -> None:
    await world.give(scale("late", 3, start_by_ms=T0 - 1))
    await world.give(scale("old", 3, ttl_ms=5_000), append_ms=T0 - 6_000)
    world.now_ms -= 3_600_000  # our clock is an hour slow; the broker's stamp tells
    await world.give(scale("skewed", 3, start_by_ms=T0 - 10), append_ms=T0)
    assert world.ear.states("late") == world.ear.states("old") == world.ear.states("skewed") == [CommandState.EXPIRED]
    assert world.site.replicas == {}


async def test_an_older_fence_is_rejected_whatever_the_restart(world: World) -> None:
    await world.give(scale("new", 3, revision=5, epoch=2))
    await world.restart()
    await world.give(scale("zombie", 9, revision=99, epoch=1))
    assert world.ear.states("zombie") == [CommandState.REJECTED]
    assert world.site.replicas["video"] == 3


async def test_fences_of_two_owners_do_not_compare(world: World) -> None:
    await world.give(scale("site", 3, revision=50))
    other = msgspec.structs.replace(scale("app", 4), fence=Fence(owner="app/3", incarnation=1, revision=1))
    await world.give(other)
    assert world.ear.states("app")[-1] is CommandState.SUCCEEDED


async def test_a_command_for_another_site_or_executor_leaves_no_trace(world: World) -> None:
    await world.give(scale("b", 3, target=Target(site_id="b")))
    await world.give(scale("x", 3, target=Target(site_id="a", executor="somebody else")))
    assert world.ear.statuses() == []
    assert world.executor.counts["not-mine"] == 2


async def test_a_newer_wanted_state_overtakes_the_one_that_is_being_done(tmp_path: Path) -> None:
    world = World(tmp_path)
    slow = SimulatedTarget("a", startup_ms=60_000)
    world.executor._sites["a"] = [slow]
    await world.executor.start()
    world.executor.take([world.delivery(scale("first", 9), None, 1)])
    await asyncio.sleep(0.01)
    slow._startup_s = 0
    await world.give(scale("second", 2, revision=2), sequence=2)
    assert world.ear.states("first")[-1] is CommandState.SUPERSEDED
    assert slow.replicas == {"video": 2}
    await world.executor.stop()


async def test_a_failure_says_what_is_really_there(world: World) -> None:
    world.site._room = 2
    world.site.replicas["video"] = 1
    await world.give(scale("c1", 3))
    last = world.ear.statuses()[-1]
    assert last.state is CommandState.FAILED
    assert last.error is not None
    assert (last.error.code, last.error.retryable) == ("no-room", True)
    assert last.result is not None
    assert last.result.observed == 1


async def test_a_success_after_its_deadline_is_marked_late(world: World) -> None:
    await world.give(scale("c1", 1, complete_by_ms=T0 - 5))
    assert world.ear.statuses()[-1].late


@pytest.mark.parametrize("scope", ["all", "site/a", "region/bay", "app/video", "kind/scaling"])
async def test_the_red_button_expires_opening_orders_in_its_scope(world: World, scope: str) -> None:
    world.executor.pauses.put("pause/1", Pause(scope=scope, until_ms=T0 + 1000, why="test", by="me"))
    await world.give(scale("c1", 3))
    assert world.ear.states("c1") == [CommandState.EXPIRED]
    world.executor.pauses.put("pause/1", None)
    assert world.site.replicas == {}, "nothing stale is replayed when the pause ends"
    await world.give(scale("c2", 3, revision=2))
    assert world.ear.states("c2")[-1] is CommandState.SUCCEEDED


async def test_a_dry_run_reports_and_touches_nothing(world: World) -> None:
    await world.give(scale("c1", 3, dry_run=True))
    assert "dry-run: emulated: ScaleOut video@a" in world.ear.statuses()[-1].phase
    assert world.site.replicas == {}


async def test_statuses_wait_in_the_store_while_the_broker_is_away_and_over_a_restart(world: World) -> None:
    world.ear.deaf = True
    world.executor.take([world.delivery(scale("c1", 3), None, 1)])
    await asyncio.wait(list(world.executor._running.values()))
    await world.executor.stop()
    assert world.ear.states("c1") == []
    world.ear.deaf = False
    world.executor = world.boot()
    await world.executor.start()
    await world.executor.settled()
    assert world.ear.states("c1") == [CommandState.ACCEPTED, CommandState.PROGRESSING, CommandState.SUCCEEDED]


async def test_hello_goes_to_the_site_at_start_and_to_who_asks(world: World) -> None:
    await world.give(scale("c1", 3))
    await world.restart()
    await world.executor.settled()
    key, hello = world.ear.hellos()[-1]
    assert (key, hello.why, hello.last_applied) == ("a", "start", {"video@a": 1})
    assert hello.observed[0].replicas == 3
    await world.give(order("h", HelloParams(why="lost track"), revision=2))
    assert [h.why for _, h in world.ear.hellos()[-1:]] == ["asked"]


@pytest.mark.parametrize("harm", ["delete", "flip", "truncate"])
async def test_a_harmed_store_is_noticed_and_rebuilt_from_what_is_there(
    world: World, harm: str, flip: Callable[[Path], None]
) -> None:
    await world.give(scale("c1", 3))
    await world.executor.stop()
    path = world.folder / "store.db"
    if harm == "delete":
        path.unlink()
    elif harm == "truncate":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        flip(path)
    world.executor = world.boot()
    await world.executor.start()
    await world.executor.settled()
    _, hello = world.ear.hellos()[-1]
    assert hello.why == ("store-missing" if harm == "delete" else "store-damaged")
    assert hello.observed[0].replicas == 3
    await world.give(scale("c2", 2, revision=2), sequence=2)
    assert world.ear.states("c2")[-1] is CommandState.SUCCEEDED


async def test_a_store_deleted_under_a_running_executor_is_written_again(world: World) -> None:
    await world.give(scale("c1", 3))
    (world.folder / "store.db").unlink()
    assert not world.executor.store.is_intact()
    world.executor.store.rewrite()
    await world.restart()
    await world.give(scale("zombie", 9, revision=0))
    assert world.ear.states("zombie") == [CommandState.REJECTED]


async def test_a_running_executor_forgets_ended_commands_and_the_fences_of_what_came_and_went(world: World) -> None:
    day_ms = 24 * 3_600_000
    move = MoveParams(step=MoveStep.ACTIVATE, app_id="video", terminal_id="t", session_id="s1")
    await world.give(scale("c1", 3))
    await world.give(order("m1", move, resource=Resource(type="session", id="s1")))
    assert world.kept() == {"command": ["c1", "m1"], "fence": ["replicas/video@a", "session/s1"]}
    world.now_ms += day_ms + 3_600_000
    await world.give(scale("c2", 2, revision=2))
    assert world.kept() == {"command": ["c2"], "fence": ["replicas/video@a"]}
    await world.give(scale("zombie", 9, revision=1))
    assert world.ear.states("zombie") == [CommandState.REJECTED]
