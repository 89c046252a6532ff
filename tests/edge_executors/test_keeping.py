"""What a site keeps for long: states on its disk, and the numbers of its reports."""

from __future__ import annotations

import os
import time
from pathlib import Path

from edge_executors.ingress_load import LoadMeter
from edge_executors.states import REPEAT_S, StateFiles

DAY_S = 24 * 3600


def aged(files: Path, days: float) -> None:
    """All that lies there was written so long ago."""
    then = time.time() - days * DAY_S
    for folder in files.glob("*/*"):
        os.utime(folder, (then, then))


def test_a_peers_checkpoint_goes_when_it_was_not_repeated_and_our_own_idle_state_stays(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    files.put("here", "meter/0", 3, b"own")
    files.put("peer", "game/0", 3, b"peer's")
    aged(tmp_path, 2)
    files.forget_older("here")
    assert (files.resources("here"), files.resources("peer")) == (("meter/0",), ())
    aged(tmp_path, 8)
    files.forget_older("here")
    assert files.resources("here") == ()


def test_a_state_that_is_written_again_stays_however_long_it_does_not_change(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    for _ in range(20):
        aged(tmp_path, REPEAT_S / DAY_S)
        files.put("peer", "game/0", 3, b"the same")
        files.forget_older("here")
    assert files.newest("peer", "game/0") == (3, b"the same")


def test_the_reports_of_each_app_are_numbered_without_a_hole() -> None:
    meter = LoadMeter("a", "boot")
    told = [load for at_ms in (1, 2) for load in meter.report(["game", "video"], lambda _: 0, at_ms, 1000)]
    assert [(load.app_id, load.sequence) for load in told] == [("game", 1), ("video", 1), ("game", 2), ("video", 2)]
