"""Twins: versions only grow, conflicts change nothing, the delta is what differs."""

from __future__ import annotations

from edge_control.inventory.twin import Twin, delta, desire, report, shown
from schemas.decisions import Decision
from schemas.location import TwinDesired, TwinReported
from tests.edge_control.terminal_world import TerminalWorld, one


def reported(version: int, **fields: object) -> TwinReported:
    return TwinReported(terminal_id="ann", kind="drone", version=version, reported=fields, observed_at_ms=1)


def desired(version: int, **fields: object) -> TwinDesired:
    return TwinDesired(terminal_id="ann", version=version, desired=fields, observed_at_ms=1)


def test_the_delta_is_what_is_desired_and_not_yet_reported() -> None:
    twin = Twin()
    assert desire(twin, desired(1, light="on", height=3)) == ""
    assert report(twin, reported(1, light="off", height=3)) == ""
    assert delta(twin) == {"light": "on"}
    assert shown(twin).desired_version == 1


def test_whoever_comes_second_with_a_version_is_refused_with_the_current_one() -> None:
    twin = Twin()
    desire(twin, desired(1, light="on"))
    assert desire(twin, desired(1, light="off")) == "desired version 1, current is 1"
    assert twin.desired == {"light": "on"}


def test_an_old_report_is_old_news() -> None:
    twin = Twin()
    report(twin, reported(5, light="on"))
    assert "current is 5" in report(twin, reported(4, light="off"))
    assert twin.reported == {"light": "on"}


def test_a_part_larger_than_eight_kib_is_refused() -> None:
    assert "at most 8192" in desire(Twin(), desired(1, text="x" * 9_000))
    assert "at most 8192" in report(Twin(), reported(1, text="x" * 9_000))


def test_a_refused_wish_is_told_and_a_taken_one_is_shown_in_the_public_row() -> None:
    world = TerminalWorld()
    world.say(desired(1, light="on"))
    refused = one(world.say(desired(7, light="off")), Decision)
    assert refused.text == "desired version 7, current is 1"
    row = world.controller.public_rows()[0].body
    assert row is not None
    assert row.twin.delta == {"light": "on"}  # type: ignore[attr-defined]  # the row of a terminal
