"""An app's minimum over all sites: where it is placed, in which order, and when it moves or waits."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.apps import AppKind, Bounds, Dependency, LocationConstraint
from schemas.decisions import Decision, Reason, Verdict
from schemas.estate import Link, Price, Tenant, Tier, WorkloadClass
from schemas.inventory import AppAtSite, AppInventory, AppSiteShare, Health
from schemas.requests import PlaceReplicas, Purpose, ReleaseRoom, Reserve
from tests.edge_control.app_world import AppWorld, bodies, decided, one, spec
from topics import catalogue as cat

TWO = Bounds(min=2, max=100)


@pytest.fixture
def world() -> AppWorld:
    return AppWorld("a", "b", "c")


def test_what_is_missing_to_the_minimum_is_reserved_and_placed_once(world: AppWorld) -> None:
    world.has_app(spec(bounds=TWO))
    said = world.run(1000)
    ask = one(said, Reserve)
    assert (ask.site_id, ask.replicas, ask.purpose) == ("a", 2, Purpose.PLACE)
    assert decided(said) == [(Verdict.PLACE, Reason.AT_MINIMUM)]
    order = one(world.grants(ask), PlaceReplicas)
    assert order.replicas == 2
    world.answers(order)
    assert not bodies(world.run(30_000), Reserve)


def test_sites_that_hold_it_already_by_their_own_demand_count(world: AppWorld) -> None:
    world.has_app(spec(bounds=Bounds(min=3, max=100)))
    world.reports("b", 100_000, 2)
    assert one(world.run(1000), Reserve).replicas == 1


def test_a_site_that_runs_it_comes_before_a_nearer_one_and_near_means_near_the_demand(world: AppWorld) -> None:
    world.reports("b", 100_000, 0)
    world.has_app(spec(bounds=TWO))
    assert one(world.run(1000), Reserve).site_id == "b"
    other = AppWorld("a", "b", "c")
    running = (AppAtSite(app_id="video", desired=1, ordered=1, ready=1, demand_milli=0),)
    other.has_room("c", 14, apps=running)
    other.reports("b", 100_000, 0)
    other.has_app(spec(bounds=TWO))
    assert one(other.run(1000), Reserve).site_id == "c"


def test_a_task_goes_to_the_cheapest_and_then_to_the_fullest_that_fits(world: AppWorld) -> None:
    world.declare("a", 0, price_milli=Price(cpu=9))
    world.has_room("c", 12)
    world.has_app(spec(kind=AppKind.TASK, bounds=TWO))
    assert one(world.run(1000), Reserve).site_id == "c"


@pytest.mark.parametrize(
    ("parts", "refused"),
    [
        ({"tiers": (Tier.CORE,)}, "tier"),
        ({"location": LocationConstraint(regions=("hills",))}, "location"),
        ({"class_": WorkloadClass.VM}, "class"),
        ({"depends_on": (Dependency(app_id="db"),)}, "dependency db"),
    ],
)
def test_what_no_site_may_take_is_held_with_the_filter_that_refused_each(
    world: AppWorld, parts: dict[str, Any], refused: str
) -> None:
    world.has_app(spec(bounds=TWO, **parts))
    held = one(world.run(1000), Decision)
    assert (held.verdict, held.reason) == (Verdict.HOLD, Reason.NO_CANDIDATE)
    assert {candidate.refused_by for candidate in held.candidates} == {refused}
    assert not bodies(world.run(30_000), Decision), "said once"


def test_a_dependent_waits_until_its_dependency_answers_and_goes_where_it_is_in_reach(world: AppWorld) -> None:
    world.put(cat.ESTATE, "link/b/c", Link(from_site="b", to_site="c", rtt_us=900))
    world.has_app(spec(bounds=TWO, depends_on=(Dependency(app_id="db", max_rtt_us=1000),)))
    assert not bodies(world.run(5000), Reserve)
    share = AppSiteShare(site_id="c", demand_milli=0, desired=1, ready=1)
    world.put(cat.INVENTORY, "db", AppInventory(app_id="db", generation=1, as_of_ms=0, sites=(share,)))
    assert one(world.run(2000), Reserve).site_id == "b"


def test_apps_that_depend_on_each_other_in_a_circle_are_refused_by_name(world: AppWorld) -> None:
    world.put(cat.APP, "db", spec("db", depends_on=(Dependency(app_id="video"),)))
    world.has_app(spec(bounds=TWO, depends_on=(Dependency(app_id="db"),)))
    assert one(world.run(1000), Decision).text == "its dependencies form a circle"


def test_the_tenants_quota_limits_what_is_placed(world: AppWorld) -> None:
    world.put(cat.ESTATE, "tenant/acme", Tenant(id="acme", budgets={"cpu_milli": 1500}))
    world.has_app(spec(bounds=TWO))
    assert one(world.run(1000), Reserve).replicas == 1


def test_a_site_that_refuses_is_left_alone_and_the_next_try_comes_later_elsewhere(world: AppWorld) -> None:
    world.has_app(spec(bounds=TWO))
    refused = one(world.run(1000), Reserve)
    assert one(world.grants(refused, reason="no-room"), ReleaseRoom).site_id == "a"
    assert one(world.run(4000), Reserve).site_id == "b"


def test_replicas_at_a_dead_site_are_placed_again_elsewhere(world: AppWorld) -> None:
    world.has_app(spec(bounds=TWO))
    world.answers(one(world.grants(one(world.run(1000), Reserve)), PlaceReplicas))
    world.reports("a", 0, 2, own=0, placed=2)
    world.is_now("a", Health.DEAD, evidenced=True)
    said = world.run(4000)
    assert (Verdict.PLACE, Reason.SITE_DEAD) in decided(said)
    assert one(said, Reserve).site_id == "b"


def test_a_cut_off_site_keeps_its_replicas_and_nothing_new_is_placed(world: AppWorld) -> None:
    world.has_app(spec(bounds=TWO))
    world.answers(one(world.grants(one(world.run(1000), Reserve)), PlaceReplicas))
    world.is_now("a", Health.CUT_OFF)
    assert decided(world.run(30_000)) == []


def test_a_smaller_minimum_lets_go_of_what_is_too_much(world: AppWorld) -> None:
    world.has_app(spec(bounds=TWO))
    world.answers(one(world.grants(one(world.run(1000), Reserve)), PlaceReplicas))
    world.has_app(spec(version=2))
    said = world.run(1000)
    assert (Verdict.REVERT, Reason.SPEC_CHANGED) in decided(said)
    assert one(said, PlaceReplicas).replicas == 0
