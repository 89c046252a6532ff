"""Sessions with state: a user's own counter goes on without a gap or a repeat wherever its copy goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_executors.states import REPEAT_S
from schemas.commands import MoveParams, MoveStep, RenewParams, StateRef
from schemas.location import SessionEvent, SessionState
from schemas.statuses import CommandState, CopyState
from tests.edge_executors.town import Town, Users, succeeded


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(tmp_path)
    yield town
    await town.close()


def unbroken(users: Users) -> None:
    assert users.numbers == list(range(1, len(users.numbers) + 1))
    assert users.answers.keys() == {200}


async def until(condition: object) -> None:
    assert callable(condition)
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


async def move(town: Town, session: str, source: str, goal: str) -> None:
    """The steps of a move, as an owner would order them."""
    until_ms = time.time_ns() // 1_000_000 + 30_000
    prepared = await town.move(goal, MoveStep.PREPARE, session, source_site=source, prepared_until_ms=until_ms)
    succeeded(prepared)
    frozen = succeeded(await town.move(source, MoveStep.FREEZE, session))
    assert frozen.result is not None
    succeeded(await town.move(goal, MoveStep.ACTIVATE, session, source_site=source, state=frozen.result.state))


async def test_a_session_moves_under_load_without_a_gap_or_a_repeat_and_back(town: Town) -> None:
    await town.open("a", "b")
    for name in ("a", "b"):
        succeeded(await town.scale(name, "game", 1))
    users = Users(town.sites["a"].ingress_url)
    load = asyncio.create_task(users.keep_counting("s1", pause_s=0.002))
    await until(lambda: len(users.numbers) > 20)
    await move(town, "s1", "a", "b")
    await asyncio.sleep(0.1)
    succeeded(await town.rule("a", "s1", "b"))
    succeeded(await town.move("a", MoveStep.DROP, "s1"))
    there = len(users.numbers)
    await until(lambda: len(users.numbers) > there + 20)
    assert town.sites["a"].copies.get("s1") is None
    await move(town, "s1", "b", "a")
    succeeded(await town.rule("a", "s1", "a", present=False))
    succeeded(await town.move("b", MoveStep.DROP, "s1"))
    back = len(users.numbers)
    await until(lambda: len(users.numbers) > back + 20)
    users.keep_going = False
    await load
    unbroken(users)


async def test_a_walking_user_is_served_at_the_new_ingress_before_and_after_the_move(town: Town) -> None:
    await town.open("a", "b")
    for name in ("a", "b"):
        succeeded(await town.scale(name, "game", 1))
    at_a = Users(town.sites["a"].ingress_url)
    for _ in range(5):
        await at_a.next("s1")
    at_b = Users(town.sites["b"].ingress_url)
    at_b.numbers = at_a.numbers
    load = asyncio.create_task(at_b.keep_counting("s1", pause_s=0.002))
    await until(lambda: len(at_b.numbers) > 15)
    assert town.sites["b"].copies.get("s1") is None, "b found it at a and began nothing of its own"
    await move(town, "s1", "a", "b")
    succeeded(await town.rule("b", "s1", "b"))
    succeeded(await town.move("a", MoveStep.DROP, "s1"))
    before = len(at_b.numbers)
    await until(lambda: len(at_b.numbers) > before + 20)
    at_b.keep_going = False
    await load
    unbroken(at_b)


async def test_an_undone_activation_loses_nothing_of_what_the_user_did(town: Town) -> None:
    await town.open("a", "b")
    for name in ("a", "b"):
        succeeded(await town.scale(name, "game", 1))
    at_b = Users(town.sites["b"].ingress_url)
    await Users(town.sites["a"].ingress_url).next("s1")
    at_b.numbers.append(1)
    load = asyncio.create_task(at_b.keep_counting("s1", pause_s=0.01))
    await until(lambda: len(at_b.numbers) > 5)
    await move(town, "s1", "a", "b")
    await asyncio.sleep(0.2)
    succeeded(await town.move("b", MoveStep.DISCARD, "s1"))
    succeeded(await town.move("a", MoveStep.THAW, "s1"))
    before = len(at_b.numbers)
    await until(lambda: len(at_b.numbers) > before + 5)
    at_b.keep_going = False
    await load
    unbroken(at_b)


async def test_sessions_change_replicas_when_theirs_drains(town: Town) -> None:
    await town.open("a")
    succeeded(await town.scale("a", "game", 3))
    users = [Users(town.sites["a"].ingress_url) for _ in range(9)]
    load = [asyncio.create_task(user.keep_counting(f"s{n}", pause_s=0.002)) for n, user in enumerate(users)]
    await until(lambda: all(len(user.numbers) > 10 for user in users))
    succeeded(await town.scale("a", "game", 1))
    marks = [len(user.numbers) for user in users]
    await until(lambda: all(len(u.numbers) > m + 10 for u, m in zip(users, marks, strict=True)))
    status = await town.scale("a", "game", 0)
    assert status.error is not None
    assert status.error.code == "holds-sessions"
    for user in users:
        user.keep_going = False
    await asyncio.gather(*load)
    for user in users:
        unbroken(user)


async def test_a_state_that_is_not_the_one_named_is_not_activated(town: Town) -> None:
    await town.open("a", "b")
    for name in ("a", "b"):
        succeeded(await town.scale(name, "game", 1))
    await Users(town.sites["a"].ingress_url).next("s1")
    frozen = succeeded(await town.move("a", MoveStep.FREEZE, "s1"))
    assert frozen.result is not None
    assert frozen.result.state is not None
    forged = StateRef(ref=frozen.result.state.ref, sha256="0" * 64)
    status = await town.move("b", MoveStep.ACTIVATE, "s1", source_site="a", state=forged)
    assert status.error is not None
    assert status.error.code == "sha256"


async def test_a_leased_copy_parks_itself_and_a_renewal_wakes_it(town: Town) -> None:
    await town.open("a", queue_ms=300)
    succeeded(await town.scale("a", "game", 1))
    users = Users(town.sites["a"].ingress_url)
    await users.next("s1")
    soon_ms = time.time_ns() // 1_000_000 + 200
    succeeded(await town.move("a", MoveStep.THAW, "s1", lease_until_ms=soon_ms))
    await asyncio.sleep(0.3)
    assert (await users.next("s1")).status == 503
    assert [f.observed.state for f in await town.sites["a"].processes.survey() if f.kind == "session"] == ["parked"]
    renewal = RenewParams(resources=("s1", "gone"))
    status = await town.order("a", renewal, "session", "s1", lease_until_ms=soon_ms + 60_000)
    assert status.error is not None
    assert (status.error.code, status.error.detail) == ("no-state", "gone")
    assert (await users.next("s1")).status == 200
    assert users.numbers == [1, 2]


async def test_a_prepared_copy_deletes_itself_five_seconds_before_its_time(town: Town) -> None:
    await town.open("a", "b")
    succeeded(await town.scale("a", "game", 1))
    await Users(town.sites["a"].ingress_url).next("s1")
    until_ms = time.time_ns() // 1_000_000 + 5_800
    succeeded(await town.move("b", MoveStep.PREPARE, "s1", source_site="a", prepared_until_ms=until_ms))
    copy = town.sites["b"].copies.get("s1")
    assert copy is not None
    assert copy.state is CopyState.PREPARED
    await until(lambda: town.sites["b"].copies.get("s1") is None)


async def test_what_is_not_there_is_said_to_be_gone(town: Town) -> None:
    await town.open("a")
    for step in (MoveStep.FREEZE, MoveStep.THAW):
        status = await town.move("a", step, "s1")
        assert status.error is not None
        assert (status.error.code, status.error.retryable) == ("no-state", False)
    for step in (MoveStep.DISCARD, MoveStep.DROP):
        assert (await town.move("a", step, "s1")).state is CommandState.SUCCEEDED


async def test_sessions_are_told_of_when_they_begin_and_end(town: Town) -> None:
    await town.open("a", session_idle_ms=400)
    events: list[SessionEvent] = []
    town.sites["a"].on_session(events.append)
    succeeded(await town.scale("a", "game", 1))
    users = Users(town.sites["a"].ingress_url)
    await users.next("s1")
    await users.next("s2")
    await users.peer.ask("DELETE", "/game/session/s1")
    await until(lambda: len(events) == 4)
    assert [(e.session_id, e.state, e.at_site) for e in events] == [
        ("s1", SessionState.STARTED, "a"),
        ("s2", SessionState.STARTED, "a"),
        ("s1", SessionState.ENDED, "a"),
        ("s2", SessionState.ENDED, "a"),
    ]


async def test_a_session_that_its_user_resumes_is_never_begun_anew(town: Town) -> None:
    await town.open("a", queue_ms=300)
    succeeded(await town.scale("a", "game", 1))
    users = Users(town.sites["a"].ingress_url)
    assert (await users.next("s1", resume=True)).status == 503
    assert town.sites["a"].copies.get("s1") is None


async def test_a_lost_instance_is_told_to_its_app_and_a_lost_session_to_its_terminal(town: Town) -> None:
    await town.open("a")
    succeeded(await town.scale("a", "game", 1))
    soon_ms = time.time_ns() // 1_000_000 + 60_000
    succeeded(await town.move("a", MoveStep.ACTIVATE, "s1", lease_until_ms=soon_ms))
    params = MoveParams(step=MoveStep.ACTIVATE, app_id="game", session_id="")
    succeeded(await town.order("a", params, "instance", "game/0", lease_until_ms=soon_ms))
    town.ear.heard.clear()
    town.sites["a"].kill_node("a-1")
    town.sites["a"].kill_node("a-2")
    await until(lambda: len(town.ear.hellos()) > 1)
    told = [(key, hello.owner_keyspace, hello.why) for key, hello in town.ear.hellos()]
    assert sorted(told) == [("game", "app", "copy-lost"), ("t-s1", "terminal", "copy-lost")]


async def test_a_checkpoint_that_does_not_change_is_repeated_now_and_then(town: Town) -> None:
    await town.open("a", "b", checkpoint_peer="b", checkpoint_ms=50)
    succeeded(await town.scale("a", "game", 1))
    await Users(town.sites["a"].ingress_url).next("s1")
    await until(lambda: [report.version for report in town.ear.checkpoints()][-1:] == [1])
    town.ear.heard.clear()
    await asyncio.sleep(0.2)
    assert town.ear.checkpoints() == []
    town.sites["a"]._checkpointer._repeated_ms -= REPEAT_S * 1000
    await until(lambda: [report.version for report in town.ear.checkpoints()] == [1])
