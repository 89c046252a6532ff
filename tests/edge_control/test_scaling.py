"""The scaling policy as a function of values: targets, bands, pace, panic, release, forecast."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge_control.inventory.guard import Guard, hear
from edge_control.inventory.load_window import IngressWindow, absorb, rate_milli, rising_rate_milli
from edge_control.policies.forecast import Trend, ahead_milli, observe
from edge_control.policies.scaling import Memory, Situation, recommend, release_ms, stepped
from schemas.apps import Cost
from schemas.decisions import Reason
from schemas.policy import ScalingPolicy
from schemas.telemetry import AppLoad

POLICY = ScalingPolicy()
NOW = 10_000_000


def situation(**changes: Any) -> Situation:
    """Four replicas at exactly their target use."""
    fields: dict[str, Any] = {
        "own": 4,
        "ready": 4,
        "demand_milli": 4_000,
        "panic_milli": 3_200,
        "forecast_milli": 0,
        "sampled_at_ms": NOW,
        "age_ms": 0,
        "stale_after_ms": 15_000,
        "coverage_permille": 1_000,
        "minimum": 0,
        "maximum": 50,
        "release_ms": 300_000,
    }
    return Situation(**{**fields, **changes})


def advised(memory: Memory = Memory(), now_ms: int = NOW, **changes: Any) -> tuple[int, Reason]:  # noqa: B008  # a frozen value
    """Replicas and reason."""
    advice = recommend(situation(**changes), memory, POLICY, now_ms)
    return advice.replicas, advice.reason


def test_at_target_nothing_changes() -> None:
    assert advised() == (4, Reason.ALREADY_RIGHT)


def test_ten_percent_either_way_is_within_the_band() -> None:
    assert advised(demand_milli=4_400) == (4, Reason.WITHIN_DEAD_BAND)
    assert advised(demand_milli=4_401) == (5, Reason.DEMAND_UP)


def test_the_first_replica_is_a_wake_and_has_no_band() -> None:
    assert advised(own=0, ready=0, demand_milli=1) == (1, Reason.WAKE)


def test_ordered_replicas_count_so_panic_does_not_feed_itself() -> None:
    assert advised(own=4, ready=1, panic_milli=7_999, demand_milli=4_000)[1] is Reason.ALREADY_RIGHT
    assert advised(own=4, ready=1, panic_milli=8_000, demand_milli=5_000) == (8, Reason.PANIC)


def test_in_panic_nothing_shrinks() -> None:
    memory = Memory(panic_until_ms=NOW + 1)
    assert advised(memory, demand_milli=100, panic_milli=100) == (4, Reason.PANIC)


def test_the_running_maximum_of_the_release_time_is_held() -> None:
    high = Memory(peaks=((NOW - 299_999, 4),))
    assert advised(high, demand_milli=1_000) == (4, Reason.STABILIZING)
    past = Memory(peaks=((NOW - 300_000, 4),))
    assert advised(past, demand_milli=1_000) == (1, Reason.DEMAND_DOWN)


def test_peaks_keep_only_what_can_still_be_the_maximum() -> None:
    memory = Memory()
    for step, demand in enumerate((5_000, 3_000, 4_000, 2_000)):
        at_ms = NOW + step
        now = situation(own=5, demand_milli=demand, sampled_at_ms=at_ms)
        memory = recommend(now, memory, POLICY, at_ms).memory
    assert memory.peaks == ((NOW, 5), (NOW + 2, 4), (NOW + 3, 2))


def test_no_shrink_on_thin_coverage_and_none_on_stale_input() -> None:
    assert advised(demand_milli=1_000, coverage_permille=899) == (4, Reason.TELEMETRY_INCOMPLETE)
    assert advised(demand_milli=1_000, age_ms=15_001) == (4, Reason.TELEMETRY_STALE)
    assert advised(demand_milli=1_000, age_ms=180_001) == (4, Reason.TELEMETRY_MISSING)


def test_bounds_win_over_everything() -> None:
    assert advised(demand_milli=90_000, maximum=6) == (6, Reason.AT_MAXIMUM)
    assert advised(demand_milli=0, minimum=5, sampled_at_ms=0) == (5, Reason.AT_MINIMUM)
    assert advised(own=9, ready=9, demand_milli=9_000, maximum=6) == (6, Reason.AT_MAXIMUM)


def test_pace_counts_from_where_the_step_began() -> None:
    memory = stepped(Memory(), 4, POLICY, NOW)
    assert advised(memory, now_ms=NOW + 14_999, own=8, ready=4, demand_milli=30_000) == (8, Reason.DEMAND_UP)
    assert advised(memory, now_ms=NOW + 15_000, own=8, ready=8, demand_milli=30_000) == (16, Reason.DEMAND_UP)


def test_a_replica_is_kept_for_as_long_as_a_start_is_worth() -> None:
    assert release_ms(POLICY, Cost(), 0, 1) == 300_000
    assert release_ms(POLICY, Cost(start=40), 0, 1) == 600_000
    assert release_ms(POLICY, Cost(hold=2), 0, 1) == 150_000
    assert release_ms(POLICY, Cost(), 7_000, 0) == 7_000


def test_a_forecast_that_beats_as_it_is_now_lifts_the_demand_and_says_so() -> None:
    trend = Trend()
    for step in range(40):
        observe(trend, (step + 1) * 15_000, 1_000 + 500 * step, 15_000)
    expected = ahead_milli(trend, 30_000, 15_000)
    assert 20_000 < expected < 22_500
    assert advised(forecast_milli=8_000) == (8, Reason.FORECAST)


def test_a_forecast_of_noise_has_no_opinion() -> None:
    trend = Trend()
    for step in range(40):
        observe(trend, (step + 1) * 15_000, 1_000 + 900 * (step % 2), 15_000)
    assert ahead_milli(trend, 15_000, 15_000) in range(2_001)


SITUATIONS = st.fixed_dictionaries(
    {
        "own": st.integers(0, 60),
        "ready": st.integers(0, 60),
        "demand_milli": st.integers(0, 200_000),
        "panic_milli": st.integers(0, 200_000),
        "age_ms": st.integers(0, 400_000),
        "coverage_permille": st.integers(0, 1_000),
    }
)


@given(SITUATIONS, st.integers(0, 60))
def test_it_never_leaves_its_bounds_nor_shrinks_blindly(world: dict[str, int], peak: int) -> None:
    now = situation(**world, minimum=1, maximum=50)
    advice = recommend(now, Memory(peaks=((NOW - 1, peak),) if peak else ()), POLICY, NOW)
    assert min(now.own, 1) <= advice.replicas <= max(now.own, 50)
    if advice.replicas < min(now.own, 50):
        assert now.age_ms <= 15_000
        assert now.coverage_permille >= 900
        assert peak < now.own
    if advice.replicas > now.own:
        assert advice.replicas - now.own <= max(now.own, 4)
    assert recommend(now, advice.memory, POLICY, NOW).memory == advice.memory


def load(sequence: int, at_ms: int, requests: int = 100, boot: str = "b", **changes: Any) -> AppLoad:
    """One second of traffic."""
    return AppLoad(
        site_id="a", app_id="v", ingress_id="i", observed_at_ms=at_ms, interval_ms=1_000, requests=requests,
        boot_id=boot, sequence=sequence, **changes,
    )  # fmt: skip


@given(st.permutations(range(1, 9)), st.lists(st.integers(1, 8), max_size=6))
def test_loads_count_once_in_any_order(order: list[int], repeated: list[int]) -> None:
    straight, mixed = IngressWindow(), IngressWindow()
    for number in range(1, 9):
        absorb(straight, load(number, NOW + number * 1_000, 10 * number), NOW + number * 1_000, 15_000)
    for number in (*order, *repeated):
        absorb(mixed, load(number, NOW + number * 1_000, 10 * number), NOW + number * 1_000, 15_000)
    assert mixed.requests_total == straight.requests_total == 360
    assert mixed.duplicates == len(repeated)
    assert rate_milli(mixed, 15_000) == rate_milli(straight, 15_000) == 45_000
    assert (mixed.newest_ms, mixed.samples) == (straight.newest_ms, straight.samples)


def test_loads_that_waited_in_a_buffer_count_beside_the_live_ones() -> None:
    window = IngressWindow()
    for number in (1, 2, 9, 10, 3, 4, 5, 6, 7, 8, 8):
        absorb(window, load(number, NOW + number * 1_000), NOW + number * 1_000, 15_000)
    assert (window.requests_total, window.duplicates) == (1_000, 1)
    assert window.guard.boots == {"b": [(1, 10)]}


def test_chance_is_no_rise_but_a_crowd_is() -> None:
    window = IngressWindow()
    for number, requests in enumerate((100, 95, 104, 99, 101, 96, 103, 100, 110), start=1):
        absorb(window, load(number, NOW + number * 1_000, requests), NOW + number * 1_000, 15_000)
    assert rising_rate_milli(window, 15_000, 6_000) == rate_milli(window, 15_000)
    absorb(window, load(10, NOW + 10_000, 300), NOW + 10_000, 15_000)
    assert rising_rate_milli(window, 15_000, 6_000) == rate_milli(window, 6_000)


@given(st.lists(st.tuples(st.sampled_from(["b1", "b2"]), st.integers(0, 30)), max_size=80))
def test_a_guard_never_lets_the_same_word_pass_twice(words: list[tuple[str, int]]) -> None:
    guard, passed = Guard(), set()
    for boot, sequence in words:
        new = hear(guard, boot, sequence)
        assert not (new and (boot, sequence) in passed)
        if new:
            passed.add((boot, sequence))
        spans = guard.boots[boot]
        assert len(spans) <= 8
        assert all(high + 1 < low for (_, high), (low, _) in pairwise(spans))
