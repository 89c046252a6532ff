"""What every target keeps to, the real one and the emulated one: the same transcripts against both."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_executors.targets.base import Target, TargetError
from edge_executors.targets.simulated import SimulatedTarget
from schemas.commands import (
    Action,
    Command,
    CommandKind,
    Fence,
    MoveParams,
    MoveStep,
    Params,
    RenewParams,
    RuleParams,
    ScaleParams,
    Share,
    SpillParams,
)
from schemas.commands import Target as Addressee
from schemas.decisions import Resource
from schemas.statuses import CopyState
from tests.edge_executors.town import PER_REPLICA, Town


def command(params: Params, kind: str, resource: str, **fields: Any) -> Command:
    order = Command(
        command_id="c",
        kind=CommandKind.SCALING,
        action=Action.SCALE_OUT,
        resource=Resource(type=kind, id=resource),
        target=Addressee(site_id="a"),
        reply_key="a",
        reply_keyspace="site",
        params=params,
        generation=1,
        fence=Fence(owner="site/0", revision=1),
        issued_at_ms=0,
        decision_id="d",
    )
    return msgspec.structs.replace(order, **fields)


def scale(replicas: int) -> Command:
    return command(ScaleParams(app_id="game", replicas=replicas, per_replica=PER_REPLICA), "replicas", "game@a")


def move(step: MoveStep, **fields: Any) -> Command:
    lease_until_ms = fields.pop("lease_until_ms", 0)
    params = MoveParams(step=step, app_id="game", terminal_id="t", session_id="s1", **fields)
    return command(params, "session", "s1", lease_until_ms=lease_until_ms)


class Everything:
    """The targets of one site, as its executor sees them."""

    def __init__(self, *targets: Target) -> None:
        self.targets = targets

    def of(self, order: Command) -> Target:
        return next(target for target in self.targets if target.takes(order))

    async def do(self, order: Command) -> bool:
        await self.of(order).apply(order)
        return (await self.of(order).read_back(order)).holds

    async def copy(self) -> CopyState | None:
        found = [item for target in self.targets for item in await target.survey() if item.kind == "session"]
        return found[0].observed.state if found else None


@pytest.fixture(params=["simulated", "live"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Everything]:
    if request.param == "simulated":
        yield Everything(SimulatedTarget("a", startup_ms=10, drain_ms=0, room=8))
        return
    town = Town(tmp_path)
    await town.open("a", "b")
    yield Everything(*town.sites["a"].executor._sites["a"])
    await town.close()


class TestEveryTarget:
    async def test_holds_what_was_applied_and_twice_is_once(self, site: Everything) -> None:
        assert not (await site.of(scale(2)).read_back(scale(2))).holds
        assert await site.do(scale(2))
        names = (await site.of(scale(2)).read_back(scale(2))).result.instance_ids
        assert await site.do(scale(2))
        assert (await site.of(scale(2)).read_back(scale(2))).result.instance_ids == names
        assert await site.do(scale(1))

    async def test_plans_in_words_and_touches_nothing(self, site: Everything) -> None:
        assert await site.of(scale(2)).plan(scale(2)) != ()
        assert (await site.of(scale(2)).read_back(scale(2))).result.observed == 0
        await site.do(scale(2))
        assert await site.of(scale(2)).plan(scale(2)) == ()

    async def test_says_no_room_and_what_there_is(self, site: Everything) -> None:
        await site.do(scale(1))
        with pytest.raises(TargetError) as refused:
            await site.do(scale(99))
        assert (refused.value.code, refused.value.retryable) == ("no-room", True)

    async def test_a_copy_goes_through_its_life(self, site: Everything) -> None:
        await site.do(scale(1))
        soon_ms = time.time_ns() // 1_000_000 + 60_000
        assert await site.do(move(MoveStep.PREPARE, prepared_until_ms=soon_ms))
        assert await site.copy() is CopyState.PREPARED
        with pytest.raises(TargetError, match="no-state"):
            await site.do(move(MoveStep.THAW))
        assert await site.do(move(MoveStep.ACTIVATE))
        assert await site.do(move(MoveStep.FREEZE))
        assert await site.copy() is CopyState.FROZEN
        renewal = command(RenewParams(resources=("s1",)), "session", "s1", lease_until_ms=soon_ms)
        assert await site.do(renewal)
        assert await site.copy() is CopyState.ACTIVE
        assert await site.do(move(MoveStep.DROP))
        assert await site.copy() is None
        assert await site.do(move(MoveStep.DROP))

    async def test_a_lease_that_ended_parks_and_an_expired_preparation_is_gone(self, site: Everything) -> None:
        await site.do(scale(1))
        past_ms = time.time_ns() // 1_000_000 - 1
        await site.do(move(MoveStep.ACTIVATE, lease_until_ms=past_ms))
        assert await site.copy() is CopyState.PARKED
        await site.do(move(MoveStep.DISCARD))
        await site.do(move(MoveStep.PREPARE, prepared_until_ms=past_ms))
        assert await site.copy() is None

    async def test_shares_and_rules_are_read_back(self, site: Everything) -> None:
        soon_ms = time.time_ns() // 1_000_000 + 60_000
        shares = SpillParams(app_id="game", shares=(Share(site_id="b", permille=250),), until_ms=soon_ms)
        assert await site.do(command(shares, "ingress", "game@a"))
        assert await site.do(command(msgspec.structs.replace(shares, shares=()), "ingress", "game@a"))
        rule = RuleParams(
            terminal_id="t",
            app_id="game",
            session_id="s1",
            host_site="b",
            endpoint="http://127.0.0.1:1",
            until_ms=soon_ms,
        )
        assert await site.do(command(rule, "rule", "s1"))
        assert await site.do(command(msgspec.structs.replace(rule, present=False), "rule", "s1"))

    async def test_rules_of_two_sessions_of_one_terminal_and_app_stand_side_by_side(self, site: Everything) -> None:
        soon_ms = time.time_ns() // 1_000_000 + 60_000
        first = RuleParams(
            terminal_id="t",
            app_id="game",
            session_id="s1",
            host_site="b",
            endpoint="http://127.0.0.1:1",
            until_ms=soon_ms,
        )
        second = msgspec.structs.replace(first, session_id="s2", host_site="a", endpoint="")
        assert await site.do(command(first, "rule", "s1"))
        assert await site.do(command(second, "rule", "s2"))
        assert await site.do(command(msgspec.structs.replace(first, present=False), "rule", "s1"))
        ended = command(second, "rule", "s2")
        assert (await site.of(ended).read_back(ended)).holds
