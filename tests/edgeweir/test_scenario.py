"""The scenario as data: the shipped one is whole, a play that contradicts its world is refused, the crowd walks."""

from __future__ import annotations

import msgspec
import pytest

from edgeweir.dev import scenario
from edgeweir.dev.counters import Counter, told, unanswered
from edgeweir.dev.crowd_plan import is_in_handover, rates_at, zone_at
from edgeweir.dev.scenario import Crowd, Knot, Leg, Walkers
from schemas.errors import BadInput

CROWD = Crowd(
    app="video",
    work_ms=1,
    knots=(
        Knot(at_s=0, rates={"stand": 10}),
        Knot(at_s=10, rates={"stand": 30, "quay": 20}),
        Knot(at_s=20, rates={"quay": 20}),
    ),
)
WALKERS = Walkers(
    app="game",
    count=2,
    every_ms=1000,
    start_s=2,
    home_s=60,
    handover_ms=1500,
    path=(Leg(at_s=1, zone="stand", over_s=0), Leg(at_s=30, zone="quay", over_s=10)),
)


def test_the_stadium_is_whole() -> None:
    stadium = scenario.load("stadium")
    assert [site.site for site in stadium.play.live] == ["stadium", "harbour", "hill"]
    assert stadium.play.emulated.sites == 200
    assert stadium.play.expect


def test_a_scenario_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(BadInput, match="stadium"):
        scenario.load("stadion")


def test_a_play_that_contradicts_its_world_is_refused_with_every_fault() -> None:
    stadium = scenario.load("stadium")
    wrong = msgspec.structs.replace(
        stadium.play, live=stadium.play.live[:2], crowd=msgspec.structs.replace(stadium.play.crowd, app="vidio")
    )
    faults = scenario._contradictions(wrong, list(stadium.documents))
    assert "site hill is declared live, but not played" in faults
    assert "app vidio does not exist" in faults


def test_demand_runs_straight_between_knots_and_holds_at_the_ends() -> None:
    assert rates_at(CROWD, -1) == {"stand": 10, "quay": 0}
    assert rates_at(CROWD, 5) == {"stand": 20, "quay": 10}
    assert rates_at(CROWD, 15) == {"stand": 15, "quay": 20}
    assert rates_at(CROWD, 99) == {"stand": 0, "quay": 20}


def test_walkers_cross_one_after_the_other_and_are_silent_while_they_do() -> None:
    assert zone_at(WALKERS, 0, 0.5) == ""
    assert [zone_at(WALKERS, n, 31) for n in (0, 1)] == ["quay", "stand"]
    assert is_in_handover(WALKERS, 0, 31)
    assert not is_in_handover(WALKERS, 0, 32)
    assert is_in_handover(WALKERS, 1, 35.5)
    assert not is_in_handover(WALKERS, 0, 1.5)


def test_a_counter_that_goes_on_by_one_is_right_wherever_it_is() -> None:
    counter = Counter()
    for number, site in ((1, "a"), (2, "a"), (3, "b")):
        told(counter, number, site)
    assert (counter.gaps, counter.repeats, counter.rollbacks, counter.sites) == (0, 0, 0, ["a", "b"])


def test_a_repeat_and_a_gap_are_seen() -> None:
    counter = Counter()
    for number in (1, 2, 2, 4):
        told(counter, number, "a")
    assert (counter.repeats, counter.gaps) == (1, 1)


def test_a_session_that_a_kept_run_left_goes_on_where_it_stood() -> None:
    counter = Counter()
    told(counter, 17, "a")
    told(counter, 18, "a")
    assert (counter.gaps, counter.repeats) == (0, 0)


def test_a_lost_answer_may_have_counted_once() -> None:
    counter = Counter()
    told(counter, 1, "a")
    unanswered(counter, site_died=False)
    told(counter, 3, "a")
    assert (counter.gaps, counter.repeats) == (0, 0)
    told(counter, 5, "a")
    assert counter.gaps == 1


def test_a_session_of_a_dead_site_goes_on_from_its_checkpoint_once() -> None:
    counter = Counter()
    for number in (1, 2, 3, 4):
        told(counter, number, "b")
    unanswered(counter, site_died=True)
    told(counter, 3, "c")
    assert (counter.rollbacks, counter.rolled_back, counter.repeats) == (1, 2, 0)
    told(counter, 3, "c")
    assert counter.repeats == 1
