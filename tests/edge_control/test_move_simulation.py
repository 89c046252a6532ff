"""Randomised schedules of the whole system: the rules of PROCEDURES hold, and naive rules are caught."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from edge_control.controllers import terminal_moves as moves
from edge_control.controllers.procedures import Kind, Step
from edge_control.controllers.terminal_orders import Act
from tests.edge_control.move_checks import Broken
from tests.edge_control.move_simulation import Simulation

Kinds = dict[str, Kind[Act]]


def never(_act: Act) -> bool:
    return False


def always(_act: Act) -> bool:
    return True


def with_steps(kinds: Kinds, name: str, *steps: Step[Act]) -> Kinds:
    return {**kinds, name: msgspec.structs.replace(kinds[name], steps=steps)}


def changed(step: Step[Act], **fields: Any) -> Step[Act]:
    return msgspec.structs.replace(step, **fields)


def broken(schedules: int, kinds: Kinds | None = None, *, release_on_order: bool = False) -> list[str]:
    """What the first broken of these schedules breaks; empty when all hold."""
    for seed in range(schedules):
        try:
            Simulation(seed, kinds, release_on_order=release_on_order).run()
        except Broken as found:
            return [str(found)]
    return []


@pytest.mark.parametrize("block", range(12))
def test_whatever_goes_wrong_no_copy_is_doubled_no_room_is_lost_and_the_world_comes_to_rest(block: int) -> None:
    tally: Counter[str] = Counter()
    for seed in range(block * 10, block * 10 + 10):
        world = Simulation(seed)
        world.run()
        tally += world.tally
    assert tally["move done"] >= 10, tally
    assert tally["move undone"] >= 10, tally
    assert tally["rescue done"] >= 1, tally


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_many_more_schedules_hold(block: int) -> None:
    for seed in range(1_000 + block * 15, 1_015 + block * 15):
        Simulation(seed).run()


def test_becoming_active_on_a_mere_grant_is_caught() -> None:
    naive = with_steps(
        dict(moves.KINDS), "move", moves.RESERVE, moves.PREPARE, moves.PERMIT, moves.FREEZE, moves.ACTIVATE
    )
    assert "no room" in broken(40, naive)[0]


def test_taking_silence_for_failure_is_caught() -> None:
    hasty = changed(moves.ACTIVATE, undo_waits=never)
    steps = (moves.RESERVE, moves.PREPARE, moves.COMMIT, moves.PERMIT, moves.FREEZE, hasty)
    found = broken(60, with_steps(dict(moves.KINDS), "move", *steps))
    assert found


def test_freeing_room_on_an_order_to_drop_is_caught() -> None:
    assert "no room" in broken(40, release_on_order=True)[0]


def test_a_rescue_that_does_not_wait_for_the_lease_is_caught() -> None:
    rash = changed(moves.WAIT, passes=always)
    steps = (moves.RESERVE, moves.COMMIT, rash, moves.RESCUE_PERMIT, moves.TAKE_OVER)
    found = broken(80, with_steps(dict(moves.KINDS), "rescue", *steps))
    assert found
