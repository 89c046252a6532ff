"""One demand view over all entries: sums, peaks, the gain of pooling, and how often it is published."""

from __future__ import annotations

import pytest

from schemas.inventory import AppInventory
from schemas.requests import SiteReport
from tests.edge_control.app_world import AppWorld, bodies, spec


@pytest.fixture
def world() -> AppWorld:
    world = AppWorld("a", "b", "c")
    world.has_app(spec())
    world.run(1000)
    return world


def test_all_entries_add_up_in_one_row(world: AppWorld) -> None:
    world.reports("b", 200_000, 2)
    world.reports("a", 100_000, 1)
    row = bodies(world.run(1000), AppInventory)[0]
    assert row.demand_milli == 300_000
    assert [(share.site_id, share.desired) for share in row.sites] == [("a", 1), ("b", 2)]
    assert (row.budget.max, row.budget.used) == (100, 3)


def test_peaks_at_different_times_are_what_pooling_gains(world: AppWorld) -> None:
    for busy, idle in (("a", "b"), ("b", "a")):
        world.reports(busy, 100_000, 1)
        world.reports(idle, 0, 1)
        world.run(20_000)
    assert bodies(world.said, AppInventory)[-1].fusion_gain_permille == 2000


def test_peaks_at_one_time_gain_nothing_and_old_peaks_are_forgotten(world: AppWorld) -> None:
    world.reports("a", 100_000, 1)
    world.reports("b", 100_000, 1)
    assert bodies(world.run(1000), AppInventory)[0].fusion_gain_permille == 1000
    world.run(310_000)
    world.reports("a", 50_000, 1)
    world.reports("b", 0, 1)
    row = bodies(world.run(5000), AppInventory)[-1]
    assert row.demand_milli == 50_000
    assert row.fusion_gain_permille == 1000


def test_it_is_published_at_most_once_a_second_and_only_after_a_change(world: AppWorld) -> None:
    for load in range(10):
        world.reports("a", load * 100_000, load)
        world.tick()
    assert len(bodies(world.run(1000), AppInventory)) <= 1
    assert not bodies(world.run(10_000), AppInventory)


def test_a_small_change_waits_five_seconds(world: AppWorld) -> None:
    world.reports("a", 1_000_000, 10)
    world.run(1000)
    world.reports("a", 1_001_000, 10)
    assert not bodies(world.run(4000), AppInventory)
    assert bodies(world.run(2000), AppInventory)[0].demand_milli == 1_001_000


def test_an_older_report_never_replaces_a_newer_one(world: AppWorld) -> None:
    world.reports("a", 100_000, 1)
    world.hear(SiteReport(site_id="a", app_id="video", at_ms=world.now_ms - 5000, demand_milli=7, desired=9, ready=9))
    assert bodies(world.run(1000), AppInventory)[0].demand_milli == 100_000
