"""Ranking, greedy hires and shares against what they must hold for any input, and against tiny exact optima."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_control.inventory.geography import UNKNOWN_M, distance_m, haversine_m, rtt_us
from edge_control.inventory.view import View
from edge_control.policies.offload import Bearer, Pick, cost, is_worth_telling, order_for, plan, shares, surplus
from edge_control.policies.placement import active_then_near, cheapest_then_fullest, quota_left, topological
from edge_control.policies.ranking import Need, SiteOption, rank, room_for
from schemas.apps import AppSpec, Dependency, PerReplica
from schemas.commands import Share
from schemas.estate import Link, Site, Tenant, Tier
from schemas.inventory import AppBudget, AppInventory, Health, SiteInventory
from schemas.policy import OffloadPolicy, ScalingPolicy
from tests.edge_control.app_world import rooms, spec
from topics import catalogue as cat

POLICY = OffloadPolicy()


def option(name: str, room: int, rtt: int = 1000, **parts: object) -> SiteOption:
    tier = Tier.CLOUD if name == "cloud" else Tier.ACCESS
    site = Site(id=name, region="bay", tier=tier, lat_e7=0, lon_e7=0)
    told = {"health": Health.ALIVE, "age_ms": 0, "distance_m": 0, "price_milli": 0, **parts}
    return SiteOption(site=site, room=room, rtt_us=rtt, **told)  # type: ignore[arg-type]  # parts are named in tests


OPTIONS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 90)), min_size=1, max_size=5).map(
    lambda pairs: [option(f"s{n}", room, rtt) for n, (room, rtt) in enumerate(pairs)]
)
BEARERS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.booleans()), max_size=6).map(
    lambda rows: [Bearer(site_id=s, endpoint="", replicas=n, drained=d) for s, n, d in rows]
)


@given(OPTIONS, st.integers(0, 15))
def test_greedy_is_as_cheap_as_the_best_of_all_splits(options: list[SiteOption], missing: int) -> None:
    ranked = rank(options, Need(spec=spec(), replicas=1), order_for(POLICY), 8).options
    picks = plan(missing, ranked)
    prices = {o.site.id: cost(o) for o in options}
    carried = sum(pick.replicas for pick in picks)
    assert carried == min(missing, sum(o.room for o in options))
    assert sum(pick.replicas * prices[pick.site_id] for pick in picks) == _cheapest(options, carried)


def _cheapest(options: list[SiteOption], count: int) -> int:
    def splits(left: list[SiteOption], rest: int) -> Iterator[int]:
        if not left:
            if rest == 0:
                yield 0
            return
        for take in range(min(left[0].room, rest) + 1):
            for price in splits(left[1:], rest - take):
                yield price + take * cost(left[0])

    return min(splits(options, count))


@given(st.integers(0, 1000), st.integers(0, 30), BEARERS)
def test_shares_never_add_up_to_more_than_what_overflows(permille: int, missing: int, bearers: list[Bearer]) -> None:
    given_away = shares(permille, missing, bearers)
    assert sum(share.permille for share in given_away) <= permille
    assert len({share.site_id for share in given_away}) == len(given_away)
    able = [bearer for bearer in bearers if not bearer.drained]
    assert {share.site_id for share in given_away} <= {bearer.site_id for bearer in able}
    if sum(bearer.replicas for bearer in able) >= missing and able:
        assert sum(share.permille for share in given_away) == permille


@given(st.integers(0, 20), st.lists(st.integers(0, 9), max_size=6))
def test_ending_hires_never_uncovers_what_was_covered(missing: int, sizes: list[int]) -> None:
    hires = [Pick(site_id="b", replicas=size) for size in sizes]
    ended = surplus(missing, hires)
    rest = sum(size for place, size in enumerate(sizes) if place not in ended)
    assert rest >= missing or not ended
    assert ended == sorted(ended, reverse=True)
    assert all(place in ended for place in range(len(sizes))) or missing > 0 or not sizes


@pytest.mark.parametrize("health", [Health.SUSPECT, Health.CUT_OFF, Health.DEAD])
def test_a_sick_or_stale_site_never_passes(health: Health) -> None:
    sick, stale = option("a", 5, health=health), option("b", 5, age_ms=15_001)
    ranking = rank([sick, stale], Need(spec=spec()), order_for(POLICY), 8)
    assert ranking.options == ()
    assert {c.id: c.refused_by for c in ranking.candidates} == {"a": f"health {health}", "b": "view-age"}


def test_the_cloud_comes_last_and_equals_come_in_order_of_their_names() -> None:
    ranking = rank([option("cloud", 5, 1), option("b", 5), option("a", 5)], Need(spec=spec()), order_for(POLICY), 8)
    assert [candidate.id for candidate in ranking.candidates] == ["a", "b", "cloud"]


def test_latency_apps_go_where_they_run_and_tasks_to_the_cheap_and_full() -> None:
    options = [option("near", 5, 10), option("runs", 5, 900, running=2), option("roomy", 9, 900, running=1)]
    ranked = rank(options, Need(spec=spec()), active_then_near, 8).options
    assert [o.site.id for o in ranked] == ["roomy", "runs", "near"]
    tasks = [option("full", 5, fullness_permille=900), option("empty", 5), option("dear", 5, price_milli=9)]
    assert [o.site.id for o in rank(tasks, Need(spec=spec()), cheapest_then_fullest, 8).options] == [
        "full",
        "empty",
        "dear",
    ]


def test_latency_is_judged_by_round_trip_and_room_by_the_whole_request() -> None:
    tight = spec(max_latency_ns=500_000)
    ranking = rank(
        [option("far", 5, 501), option("small", 1, 500)], Need(spec=tight, near="x", replicas=2), cost_only, 8
    )
    assert {c.id: c.refused_by for c in ranking.candidates} == {"far": "latency", "small": "room"}


def cost_only(item: SiteOption) -> tuple[int, ...]:
    return (cost(item),)


def test_room_is_counted_in_whole_replicas_above_the_headroom_as_the_sites_ledger_does() -> None:
    row = SiteInventory(site_id="a", generation=1, as_of_ms=0, rooms=rooms(14))
    one_core = PerReplica(cpu_milli=1000, mem_bytes=1, net_bps=5)
    assert room_for(row, one_core, ScalingPolicy()) == 10
    assert room_for(row, one_core, ScalingPolicy(), headroom=False) == 14
    assert room_for(row, PerReplica(cpu_milli=3000), ScalingPolicy()) == 2
    assert room_for(row, PerReplica(gpu_milli=1), ScalingPolicy()) == 0


def test_small_changes_of_weights_wait_and_a_host_that_falls_out_does_not() -> None:
    def to(name: str, permille: int) -> tuple[Share, ...]:
        return (Share(site_id=name, permille=permille),)

    assert not is_worth_telling(to("b", 400), to("b", 400), 60_000, POLICY)
    assert not is_worth_telling(to("b", 400), to("b", 449), 9_999, POLICY)
    assert is_worth_telling(to("b", 400), to("b", 449), 10_000, POLICY)
    assert is_worth_telling(to("b", 400), to("b", 450), 0, POLICY)
    assert is_worth_telling(to("b", 400), (), 0, POLICY)
    assert is_worth_telling(to("b", 400), to("c", 400), 0, POLICY)


def test_distance_is_the_great_circle_and_round_trip_the_links_or_an_estimate() -> None:
    view = View()
    for name, lon in (("a", 0), ("b", 10_000_000)):
        site = Site(id=name, region="bay", tier=Tier.ACCESS, lat_e7=0, lon_e7=lon)
        view.apply(cat.ESTATE, f"site/{name}", site, 0)
    assert distance_m(view, "a", "b") == distance_m(view, "b", "a") == 111_195
    assert (distance_m(view, "a", "a"), distance_m(view, "a", "nowhere")) == (0, UNKNOWN_M)
    assert rtt_us(view, "a", "b") == 300 + 111_195 * 15 // 1000
    view.apply(cat.ESTATE, "link/b/a", Link(from_site="b", to_site="a", rtt_us=777), 0)
    assert (rtt_us(view, "a", "b"), rtt_us(view, "a", "a")) == (777, 0)
    assert haversine_m(0, 0, 0, 1_800_000_000) == pytest.approx(20_015_115, abs=2)


@given(st.permutations(["a", "b", "c", "d"]))
def test_dependencies_come_first_whatever_the_order_of_the_specs(names: list[str]) -> None:
    needs = {"a": ("b", "c"), "b": ("c",), "c": (), "d": ("a",)}
    specs = {name: spec(name, depends_on=tuple(Dependency(app_id=d) for d in needs[name])) for name in names}
    assert topological(specs) == (["c", "b", "a", "d"], [])
    circle: dict[str, AppSpec] = {**specs, "c": spec("c", depends_on=(Dependency(app_id="a"),))}
    assert topological(circle) == ([], ["a", "b", "c", "d"])


def test_a_tenants_quota_counts_all_its_apps() -> None:
    view = View()
    for name in ("video", "game"):
        view.apply(cat.APP, name, spec(name), 0)
        row = AppInventory(app_id=name, generation=1, as_of_ms=0, budget=AppBudget(used=3))
        view.apply(cat.INVENTORY, name, row, 0)
    assert quota_left(view, spec()) > 1000
    view.apply(cat.ESTATE, "tenant/acme", Tenant(id="acme", budgets={"cpu_milli": 8500, "replicas": 100}), 0)
    assert quota_left(view, spec()) == 2


def test_the_order_of_options_does_not_matter() -> None:
    options = [option("a", 3, 5), option("b", 3, 5), option("cloud", 9, 1), option("c", 0, 1)]
    results = {
        tuple(c.id for c in rank(row, Need(spec=spec()), order_for(POLICY), 8).candidates)
        for row in itertools.permutations(options)
    }
    assert results == {("a", "b", "cloud", "c")}
