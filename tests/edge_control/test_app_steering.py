"""Where the users of a zone are sent: home first, the nearest when home is sick, never nowhere, and cheaply."""

from __future__ import annotations

import time

import pytest

from schemas.apps import AppKind
from schemas.base import Message
from schemas.estate import Site, Tier, Zone
from schemas.inventory import Health, SiteHealth, Steering
from schemas.requests import DrainSite
from tests.edge_control.app_world import AppWorld, bodies, spec
from topics import catalogue as cat


@pytest.fixture
def world() -> AppWorld:
    """Four sites in a row, each with a zone."""
    world = AppWorld("a", "b", "c", "d")
    world.has_app(spec())
    return world


def steered(rows: list[Steering]) -> dict[str, list[tuple[str, int]]]:
    return {row.zone_id: [(share.site_id, share.permille) for share in row.sites] for row in rows}


def test_every_zone_finds_its_home_site_first_and_the_nearest_behind_it(world: AppWorld) -> None:
    rows = steered(bodies(world.run(1000), Steering))
    assert rows["z-a"] == [("a", 1000), ("b", 0), ("c", 0)]
    assert rows["z-d"] == [("d", 1000), ("c", 0), ("b", 0)]


def test_a_row_tells_the_ingress_of_each_site(world: AppWorld) -> None:
    row = bodies(world.run(1000), Steering)[0]
    assert [share.endpoint for share in row.sites] == ["http://a", "http://b", "http://c"]


def test_when_home_is_suspect_the_nearest_takes_over_and_home_comes_back_when_alive(world: AppWorld) -> None:
    world.run(1000)
    world.is_now("a", Health.SUSPECT)
    rows = steered(bodies(world.run(1000), Steering))
    assert rows["z-a"] == [("b", 1000), ("c", 0), ("d", 0), ("a", 0)]
    assert "z-d" not in rows
    world.is_now("a", Health.ALIVE)
    assert steered(bodies(world.run(1000), Steering))["z-a"][0] == ("a", 1000)


def test_a_drained_site_gets_no_users_until_the_drain_ends(world: AppWorld) -> None:
    world.run(1000)
    world.hear(DrainSite(site_id="a", until_ms=world.now_ms + 3000))
    assert steered(bodies(world.run(1000), Steering))["z-a"][0] == ("b", 1000)
    assert steered(bodies(world.run(3000), Steering))["z-a"][0] == ("a", 1000)


def test_a_cut_off_home_keeps_its_users_only_if_it_is_known_to_run_the_app(world: AppWorld) -> None:
    world.reports("a", 100_000, 2)
    world.run(1000)
    world.is_now("a", Health.CUT_OFF)
    world.is_now("c", Health.CUT_OFF)
    rows = steered(bodies(world.run(1000), Steering))
    assert rows["z-c"][0] == ("b", 1000)
    assert "z-a" not in rows or rows["z-a"][0] == ("a", 1000)


def test_a_site_that_may_not_run_the_app_is_passed_over(world: AppWorld) -> None:
    world.declare("a", 0, tier=Tier.CORE)
    world.has_app(spec(version=2, tiers=(Tier.ACCESS,)))
    assert steered(bodies(world.run(1000), Steering))["z-a"][0] == ("b", 1000)


def test_users_of_real_sites_are_never_sent_to_emulated_ones(world: AppWorld) -> None:
    world.declare("a", 0, live=True)
    world.declare("d", 3, live=True)
    rows = steered(bodies(world.run(1000), Steering))
    assert rows["z-a"] == [("a", 1000), ("d", 0)]
    assert rows["z-b"] == [("b", 1000), ("c", 0)]


def test_a_site_of_unknown_health_counts_while_it_reports(world: AppWorld) -> None:
    world.view.health.clear()
    world.has_app(spec(version=2))
    assert steered(bodies(world.run(1000), Steering))["z-a"][0] == ("a", 1000)
    assert not bodies(world.run(16_000, fresh=False), Steering), "no zone is left without a row"


def test_when_the_region_doubts_itself_nothing_changes(world: AppWorld) -> None:
    world.run(1000)
    for name in "abcd":
        world.is_now(name, Health.UNKNOWN)
    assert not bodies(world.run(20_000, fresh=False), Steering)


def test_when_all_are_sick_the_last_rows_stay(world: AppWorld) -> None:
    world.run(1000)
    for name in "abcd":
        world.is_now(name, Health.DEAD)
    assert not bodies(world.run(5000), Steering)


def test_rows_are_renewed_before_they_end(world: AppWorld) -> None:
    first = bodies(world.run(1000), Steering)
    second = bodies(world.run(30_000), Steering)
    assert len(second) == len(first)
    assert [row.generation for row in second] == [row.generation + 1 for row in first]
    assert second[0].until_ms > first[0].until_ms


def test_a_task_without_a_host_name_is_not_steered() -> None:
    world = AppWorld("a")
    world.has_app(spec(kind=AppKind.TASK))
    assert not bodies(world.run(2000), Steering)
    world.has_app(spec(kind=AppKind.TASK, version=2, hostname="video.example"))
    assert bodies(world.run(1000), Steering)


def test_a_zone_that_vanishes_and_an_app_that_is_withdrawn_take_their_rows_along(world: AppWorld) -> None:
    world.run(1000)
    world.put(cat.ESTATE, "zone/z-d", None)
    gone = [output.key for output in world.run(1000) if output.topic is cat.STEERING and output.body is None]
    assert gone == ["video/z-d"]
    world.put(cat.APP, "video", None)
    gone = [output.key for output in world.run(1000) if output.topic is cat.STEERING and output.body is None]
    assert gone == ["video/z-a", "video/z-b", "video/z-c"]


def test_an_idle_tick_leaves_no_trace(world: AppWorld) -> None:
    world.run(8000)
    for table in world.app.tables:
        table.take_changes()
    assert world.tick() == []
    assert [table.name for table in world.app.tables if table.dirty] == []


def test_a_thousand_idle_ticks_over_two_hundred_sites_and_zones_are_cheap() -> None:
    world = AppWorld()
    for number in range(200):
        name = f"s{number}"
        place: list[tuple[str, Message]] = [
            (f"site/{name}", Site(id=name, region="bay", tier=Tier.ACCESS, lat_e7=number, lon_e7=number * 7)),
            (f"zone/z{number}", Zone(id=f"z{number}", site=name)),
        ]
        for key, body in place:
            world.put(cat.ESTATE, key, body)
        world.view.health[name] = SiteHealth(site_id=name, health=Health.ALIVE, since_ms=0)
    world.has_app(spec())
    started = time.process_time()
    assert len(bodies(world.tick(), Steering)) == 200
    first_s, started = time.process_time() - started, time.process_time()
    for _ in range(1000):
        world.tick()
    idle_s = time.process_time() - started
    assert first_s < 1.0
    assert idle_s < 3.0, "under 3 ms a tick, whatever the machine"
