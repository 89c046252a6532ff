"""The six gates: what stops, in which order, and that every check leaves its number."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge_control.inventory.view import View
from edge_control.policies.governor import Facts, Proposal, facts_from_view, judge
from schemas.decisions import GateName, GateResult, Reason, Verdict
from schemas.inventory import Health, RegionInventory, SiteHealth
from schemas.policy import GovernorPolicy, Pause
from topics import catalogue as cat

POLICY = GovernorPolicy()


def proposal(verdict: Verdict = Verdict.SCALE_OUT, *, voluntary: bool = False) -> Proposal:
    """An app at site `a` of region `bay` wants to go from 2 to 5."""
    return Proposal(
        verdict=verdict, kind="scaling", resource_id="video@a", site_id="a", app_id="video", tenant="t", region="bay",
        raw=5, current=2, voluntary=voluntary,
    )  # fmt: skip


def test_when_nothing_is_wrong_all_gates_pass_in_their_order() -> None:
    ruling = judge(proposal(), Facts(), POLICY)
    assert ruling.allowed
    assert ruling.final == 5
    order = list(dict.fromkeys(note.gate for note in ruling.notes))
    assert order == list(GateName)
    assert all(note.result is GateResult.PASS for note in ruling.notes)


@pytest.mark.parametrize("scope", ["all", "site/a", "app/video", "tenant/t", "region/bay", "kind/scaling"])
def test_a_pause_of_any_scope_that_covers_it_stops_an_opening_act_until_it_ends(
    scope: str,
) -> None:
    view = View()
    view.apply(
        cat.POLICY,
        f"pause/{scope}",
        Pause(scope=scope, until_ms=100, why="w", by="b"),
        1,
    )
    paused = judge(proposal(), facts_from_view(proposal(), view, 99), POLICY)
    over = judge(proposal(), facts_from_view(proposal(), view, 100), POLICY)
    assert (paused.allowed, paused.reason, paused.final) == (False, Reason.PAUSED, 2)
    assert over.allowed


def test_a_closing_act_passes_a_pause() -> None:
    closing = msgspec.structs.replace(proposal(), opening=False)
    assert judge(closing, Facts(pauses=("all",)), POLICY).allowed


STOPS = [
    (Verdict.SCALE_OUT, {"empty_inputs": True}, Reason.EMPTY_SET),
    (
        Verdict.SCALE_OUT,
        {"input_age_ms": 16_000, "max_input_age_ms": 15_000},
        Reason.VIEW_STALE,
    ),
    (
        Verdict.SCALE_IN,
        {"coverage_permille": 899, "min_coverage_permille": 900},
        Reason.TELEMETRY_INCOMPLETE,
    ),
    (Verdict.SCALE_OUT, {"in_flight": Verdict.SCALE_OUT}, Reason.LOCKED),
    (Verdict.MIGRATE, {"in_flight": Verdict.OFFLOAD}, Reason.LOCKED),
    (Verdict.MIGRATE, {"target_health": Health.SUSPECT}, Reason.UNHEALTHY_TARGET),
    (Verdict.SCALE_IN, {"site_health": Health.CUT_OFF}, Reason.SITE_CUT_OFF),
    (Verdict.MIGRATE, {"needs_grant": True}, Reason.REFUSED_BY_TARGET),
    (Verdict.EVACUATE, {"region_silent": True}, Reason.REGION_CUT),
    (Verdict.EVACUATE, {"region_sites": 10, "region_unhealthy": 5}, Reason.UNFIXABLE),
    (Verdict.EVACUATE, {"region_sites": 100, "region_unhealthy": 11}, Reason.UNFIXABLE),
    (Verdict.SCALE_OUT, {"budget_milli": 999}, Reason.BUDGET),
    (Verdict.SCALE_OUT, {"fresh": False}, Reason.VIEW_STALE),
]


@pytest.mark.parametrize(("verdict", "facts", "reason"), STOPS)
def test_each_check_stops_with_its_own_reason_and_says_its_number(
    verdict: Verdict, facts: dict[str, Any], reason: Reason
) -> None:
    ruling = judge(proposal(verdict), Facts(**facts), POLICY)
    assert (ruling.allowed, ruling.reason) == (False, reason)
    assert ruling.notes[-1].result is GateResult.STOP


def test_the_loss_of_two_of_three_sites_is_not_called_unfixable_by_share_alone() -> None:
    assert judge(proposal(Verdict.EVACUATE), Facts(region_sites=3, region_unhealthy=2), POLICY).allowed


def test_a_higher_kind_may_supersede_a_command_in_flight() -> None:
    assert judge(proposal(Verdict.EVACUATE), Facts(in_flight=Verdict.SCALE_OUT), POLICY).allowed


@pytest.mark.parametrize(
    "facts",
    [
        {"region_sites": 10, "region_unhealthy": 3},
        {"moving_permille": 501},
        {"acts_last_hour": 60},
    ],
)
def test_voluntary_acts_stop_first_when_things_are_bad(facts: dict[str, Any]) -> None:
    assert not judge(proposal(voluntary=True), Facts(**facts), POLICY).allowed
    assert judge(proposal(), Facts(**facts), POLICY).allowed


def test_the_regions_row_tells_how_many_of_its_sites_are_sick() -> None:
    view, rows = (
        View(),
        tuple(SiteHealth(site_id=s, health=Health.DEAD, since_ms=0) for s in "ab"),
    )
    view.apply(
        cat.INVENTORY,
        "bay",
        RegionInventory(region_id="bay", generation=1, as_of_ms=0, sites=rows),
        1,
    )
    facts = facts_from_view(proposal(), view, 0)
    assert (facts.region_sites, facts.region_unhealthy, facts.region_silent) == (
        2,
        2,
        True,
    )
    assert facts.site_health is Health.DEAD
