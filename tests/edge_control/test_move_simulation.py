"""Randomised schedules of the whole system: the rules of PROCEDURES hold, and naive rules are caught."""

from __future__ import annotations

import pytest

from tests.edge_control.move_simulation import Simulation


@pytest.mark.parametrize("block", range(10))
def test_whatever_goes_wrong_no_copy_is_doubled_no_room_is_lost_and_the_world_comes_to_rest(block: int) -> None:
    for seed in range(block * 6, block * 6 + 6):
        Simulation(seed).run()
