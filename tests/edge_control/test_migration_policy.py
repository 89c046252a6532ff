"""Stay or move as a pure choice: rent-or-buy against the hindsight optimum, and the Markov model's values."""

from __future__ import annotations

import random

import pytest

from edge_control.policies.migration import KM_MINUTE, Option, Situation, choose
from schemas.apps import AppKind, AppSpec, Cost, PerReplica
from schemas.decisions import Reason
from schemas.policy import CellMove, MigrationPolicy, MobilityModel

POLICY = MigrationPolicy()
MINUTE_MS = 60_000


def app(move_m: int, max_latency_ns: int = 0) -> AppSpec:
    return AppSpec(
        app_id="video",
        tenant="t",
        kind=AppKind.SERVICE,
        version=1,
        per_replica=PerReplica(),
        cost=Cost(move_m=move_m),
        max_latency_ns=max_latency_ns,
    )


def option(site: str, metres: int, refused_by: str = "") -> Option:
    return Option(site_id=site, distance_m=metres, rtt_us=metres // 10, age_ms=0, refused_by=refused_by)


def situation(host: str = "a", excess: int = 0, *, ping_pong: bool = False) -> Situation:
    return Situation(host=host, user_site="b", user_zone="zb", excess=excess, ping_pong=ping_pong)


def test_a_refused_site_is_shown_with_its_reason_and_not_taken() -> None:
    options = [option("a", 9_000), option("b", 0, "no-replica"), option("c", 2_000)]
    choice = choose(situation(excess=10 * KM_MINUTE), options, app(10), POLICY, None)
    assert choice.target == "c"
    assert {c.id: c.refused_by for c in choice.candidates} == {"a": "", "b": "no-replica", "c": ""}


def test_the_next_look_is_when_the_rent_will_have_reached_the_price() -> None:
    choice = choose(situation(excess=4 * KM_MINUTE), [option("a", 3_000), option("b", 0)], app(10), POLICY, None)
    assert choice.reason is Reason.STAY_CHEAPER
    assert choice.due_in_ms == 2 * MINUTE_MS


def test_a_host_beyond_the_latency_budget_is_left_at_once() -> None:
    choice = choose(situation(), [option("a", 9_000), option("b", 0)], app(10, max_latency_ns=500_000), POLICY, None)
    assert choice.target == "b"


def test_after_a_ping_pong_the_price_is_three_times_as_high() -> None:
    options = [option("a", 3_000), option("b", 0)]
    assert choose(situation(excess=10 * KM_MINUTE), options, app(10), POLICY, None).target == "b"
    stays = choose(situation(excess=29 * KM_MINUTE, ping_pong=True), options, app(10), POLICY, None)
    assert stays.reason is Reason.PING_PONG
    assert choose(situation(excess=30 * KM_MINUTE, ping_pong=True), options, app(10), POLICY, None).target == "b"


def test_a_model_that_knows_that_users_come_back_stays_and_one_that_knows_they_go_on_moves() -> None:
    options = [option("a", 3_000), option("b", 0)]
    values = {"za": {"a": 0, "b": 20_000}, "zb": {"a": 20_000, "b": 0}}
    back = MobilityModel(
        id="m", at_ms=0, step_ms=MINUTE_MS, values_milli=values, moves={"zb": (CellMove(to_zone="za", permille=1000),)}
    )
    on = MobilityModel(
        id="m", at_ms=0, step_ms=MINUTE_MS, values_milli=values, moves={"zb": (CellMove(to_zone="zb", permille=1000),)}
    )
    assert choose(situation(), options, app(10), POLICY, back).target == "a"
    assert choose(situation(), options, app(10), POLICY, on).target == "b"


def test_a_model_that_is_silent_about_the_host_leaves_the_choice_to_rent_or_buy() -> None:
    silent = MobilityModel(id="m", at_ms=0, step_ms=MINUTE_MS, values_milli={"zb": {"b": 0}})
    assert choose(situation(), [option("a", 3_000), option("b", 0)], app(10), POLICY, silent).target == "a"


@pytest.mark.parametrize("m", [2, 10, 30])
def test_rent_or_buy_between_two_places_costs_at_most_three_times_the_optimum(m: int) -> None:
    rng = random.Random(7)
    ours = best = 0
    for _ in range(40):
        steps = [rng.choice("ab") for _ in range(4) for _ in range(rng.randint(1, 30))]
        walk = [place for place in steps for _ in range(rng.randint(1, 8))]
        ours += _cost_of_ours(walk, m)
        best += _cost_of_best(walk, m)
    assert best * 1.0 <= ours <= 3 * best + 40 * m


def _cost_of_ours(walk: list[str], m: int) -> int:
    host, excess, cost = walk[0], 0, 0
    for place in walk:
        options = [option(site, 0 if site == place else 2_000) for site in "ab"]
        choice = choose(situation(host, excess), options, app(m), POLICY, None)
        if choice.moves(host):
            host, excess, cost = choice.target, 0, cost + m
        elif host != place:
            excess, cost = excess + 2 * KM_MINUTE, cost + 2
    return cost


def _cost_of_best(walk: list[str], m: int) -> int:
    at = {walk[0]: 0, ("b" if walk[0] == "a" else "a"): m}
    for place in walk:
        a, b = min(at["a"], at["b"] + m), min(at["b"], at["a"] + m)
        at = {"a": a + 2 * (place != "a"), "b": b + 2 * (place != "b")}
    return min(at.values())
