"""An ingress overflows: who is hired, what is asked in which order, what happens when somebody is slow, sick or gone."""

from __future__ import annotations

import pytest

from schemas.decisions import Decision, Outcome, Reason, Verdict
from schemas.estate import Tier
from schemas.inventory import AppInventory, Health
from schemas.policy import Mode, OffloadPolicy, Pause, Policy
from schemas.requests import DrainSite, PlaceReplicas, ReleaseRoom, Reserve, Spill
from tests.edge_control.app_world import AppWorld, bodies, decided, one, spec
from topics import catalogue as cat


@pytest.fixture
def world() -> AppWorld:
    """Site a overflows; b is near, c farther, the cloud farthest away but wide."""
    world = AppWorld("a", "b", "c")
    world.declare("cloud", 0, tier=Tier.CLOUD)
    world.has_room("cloud", 40)
    world.is_now("cloud", Health.ALIVE)
    world.has_app(spec())
    return world


def test_room_then_copy_then_traffic_and_the_nearest_first(world: AppWorld) -> None:
    said = world.overflows("a", 3, 400)
    ask = one(said, Reserve)
    assert (ask.site_id, ask.replicas) == ("b", 3)
    assert decided(said) == [(Verdict.OFFLOAD, Reason.OVERLOAD)]
    order = one(world.grants(ask), PlaceReplicas)
    assert (order.site_id, order.replicas, order.reservation_id) == ("b", 3, ask.request_id)
    assert not bodies(world.answers(order, ready=2), Spill)
    spill = one(world.answers(order, ready=3), Spill)
    assert spill.site_id == "a"
    assert [(share.site_id, share.permille, share.endpoint) for share in spill.shares] == [("b", 400, "http://b")]
    world.answers(spill)
    assert not world.overflows("a", 3, 400)


def test_the_decision_shows_all_candidates_with_their_scores_and_why_the_others_fell_out(world: AppWorld) -> None:
    decision = one(world.overflows("a", 3, 400), Decision)
    assert [c.id for c in decision.candidates if not c.refused_by] == ["b", "c", "cloud"]
    assert [c.refused_by for c in decision.candidates if c.id == "a"] == ["itself"]
    assert (decision.raw, decision.final) == (3, 3)
    assert decision.expected is not None
    assert decision.expected.value == 400


def test_what_one_neighbour_cannot_take_goes_to_the_next_and_to_the_cloud_last(world: AppWorld) -> None:
    asks = bodies(world.overflows("a", 24, 600), Reserve)
    assert [(ask.site_id, ask.replicas) for ask in asks] == [("b", 10), ("c", 10), ("cloud", 4)]


def test_shares_follow_the_replicas_that_answer_and_the_rest_stays_at_the_ingress(world: AppWorld) -> None:
    b, c, cloud = bodies(world.overflows("a", 24, 600), Reserve)
    spill = one(world.answers(one(world.grants(b), PlaceReplicas)), Spill)
    assert [(share.site_id, share.permille) for share in spill.shares] == [("b", 250)]
    world.answers(spill)
    spill = one(world.answers(one(world.grants(c), PlaceReplicas)), Spill)
    assert [(share.site_id, share.permille) for share in spill.shares] == [("b", 250), ("c", 250)]
    world.grants(cloud, reason="no-room")


def test_a_host_that_refuses_is_left_alone_and_the_next_one_is_asked(world: AppWorld) -> None:
    ask = one(world.overflows("a", 3, 400), Reserve)
    assert one(world.grants(ask, reason="no-room"), ReleaseRoom).reservation_id == ask.request_id
    again = world.overflows("a", 3, 400)
    assert one(again, Reserve).site_id == "c"
    refused = {c.id: c.refused_by for c in one(again, Decision).candidates if c.refused_by}
    assert refused["b"] == "refused lately"


def test_a_held_hire_is_renewed_before_it_lapses_and_repeated_until_the_ingress_has_it(world: AppWorld) -> None:
    first = world.hires("a", 3, 400)
    assert not bodies(world.run(19_000), Spill)
    second = one(world.run(1000), Spill)
    assert second.until_ms == world.now_ms + 60_000
    assert second.shares == first.shares
    assert one(world.run(5000), Spill).shares == first.shares


def test_more_overflow_opens_another_hire_and_never_resizes_the_first(world: AppWorld) -> None:
    world.hires("a", 3, 400)
    world.has_room("b", 12, apps=())
    ask = one(world.overflows("a", 5, 500), Reserve)
    assert (ask.site_id, ask.replicas) == ("b", 2)
    order = one(world.grants(ask), PlaceReplicas)
    assert order.replicas == 5
    spill = one(world.answers(order), Spill)
    assert [(share.site_id, share.permille) for share in spill.shares] == [("b", 500)]


def test_less_overflow_ends_the_newest_hire_only_when_the_rest_has_covered_for_a_while(world: AppWorld) -> None:
    world.hires("a", 3, 400)
    world.hires("a", 5, 500)
    world.overflows("a", 4, 450)
    assert decided(world.run(40_000)) == []
    world.overflows("a", 3, 400)
    assert decided(world.run(29_000)) == []
    said = world.run(3000)
    assert decided(said) == [(Verdict.REVERT, Reason.RELIEF)]
    without = bodies(said, Spill)[-1]
    assert [(share.site_id, share.permille) for share in without.shares] == [("b", 400)]
    assert one(world.answers(without), PlaceReplicas).replicas == 3


def test_no_overflow_ends_all_after_a_while_traffic_first_then_copies_then_room(world: AppWorld) -> None:
    world.hires("a", 3, 400)
    world.overflows("a", 0, 0)
    assert [share.permille for spill in bodies(world.run(29_000), Spill) for share in spill.shares] == [400, 400]
    said = world.run(2000)
    spill = bodies(said, Spill)[-1]
    assert spill.shares == ()
    assert not bodies(said, PlaceReplicas)
    order = one(world.answers(spill), PlaceReplicas)
    assert (order.replicas, order.scale) == (0, True)
    assert one(world.answers(order), ReleaseRoom).site_id == "b"
    assert len(world.app.books.hires) == 0


def test_a_relief_that_does_not_last_ends_nothing(world: AppWorld) -> None:
    world.hires("a", 3, 400)
    for _ in range(4):
        world.overflows("a", 0, 0)
        assert decided(world.run(20_000)) == []
        world.overflows("a", 3, 400)
        assert decided(world.run(3000)) == []


def test_a_suspect_host_loses_its_share_at_once_and_gets_it_back_when_alive(world: AppWorld) -> None:
    world.hires("a", 3, 400)
    world.is_now("b", Health.SUSPECT)
    said = world.run(1000)
    assert one(said, Spill).shares == ()
    assert decided(said) == [(Verdict.DRAIN, Reason.SITE_SUSPECT)]
    world.is_now("b", Health.ALIVE)
    assert [share.permille for share in one(world.run(1000), Spill).shares] == [400]


def test_the_regions_word_to_drain_counts_before_its_row_is_seen(world: AppWorld) -> None:
    world.hires("a", 3, 400)
    world.hear(DrainSite(site_id="b", until_ms=world.now_ms + 60_000))
    assert one(world.run(1000), Spill).shares == ()
    world.hear(DrainSite(site_id="b", until_ms=0))
    assert [share.permille for share in one(world.run(1000), Spill).shares] == [400]


def test_the_hire_at_a_dead_host_ends_and_the_overflow_finds_another(world: AppWorld) -> None:
    world.hires("a", 3, 400)
    world.is_now("b", Health.DEAD, evidenced=True)
    said = world.run(1000)
    assert (Verdict.REVERT, Reason.SITE_DEAD) in decided(said)
    world.answers(bodies(said, Spill)[-1])
    assert len(world.app.books.hires) == 0
    assert one(world.overflows("a", 3, 400), Reserve).site_id == "c"


def test_a_dead_ingress_answers_nothing_so_the_copies_stop_once_its_rule_has_lapsed(world: AppWorld) -> None:
    spill = world.hires("a", 3, 400)
    world.is_now("a", Health.DEAD)
    assert not bodies(world.run(60_000), PlaceReplicas)
    assert world.now_ms >= spill.until_ms
    assert one(world.run(5000), PlaceReplicas).replicas == 0


def test_a_cut_off_ingress_keeps_its_hires_and_a_suspect_one_is_not_renewed(world: AppWorld) -> None:
    world.hires("a", 3, 400)
    world.is_now("a", Health.CUT_OFF)
    assert bodies(world.run(21_000), Spill)
    world.is_now("a", Health.SUSPECT)
    assert not bodies(world.run(60_000), Spill)
    assert len(world.app.books.hires) == 1


def test_lost_replies_are_asked_for_again_and_an_unheard_reservation_is_released(world: AppWorld) -> None:
    ask = one(world.overflows("a", 3, 400), Reserve)
    said = world.run(6000)
    assert [again.request_id for again in bodies(said, Reserve)] == [ask.request_id] * 2
    assert one(said, ReleaseRoom).reservation_id == ask.request_id
    assert one(said, Decision).outcome is Outcome.INEFFECTIVE
    assert not world.grants(ask)


def test_a_placing_that_nobody_answers_is_asked_again_and_then_undone_at_the_host(world: AppWorld) -> None:
    world.grants(one(world.overflows("a", 3, 400), Reserve))
    orders = bodies(world.run(20_000), PlaceReplicas)
    assert [(order.replicas, order.scale) for order in orders] == [(3, False), (0, True)]
    assert one(world.answers(orders[-1]), ReleaseRoom).site_id == "b"


@pytest.mark.parametrize("health", [Health.SUSPECT, Health.CUT_OFF, Health.DEAD])
def test_a_host_that_is_not_well_is_never_hired(world: AppWorld, health: Health) -> None:
    world.is_now("b", health)
    assert one(world.overflows("a", 3, 400), Reserve).site_id == "c"


def test_a_host_that_overflows_itself_is_never_hired(world: AppWorld) -> None:
    world.overflows("b", 1, 10)
    asks = bodies(world.overflows("a", 3, 400), Reserve)
    assert [ask.site_id for ask in asks] == ["c"]


def test_rows_older_than_15_seconds_stop_a_new_spill_and_the_decision_says_so(world: AppWorld) -> None:
    world.run(16_000, fresh=False)
    held = one(world.overflows("a", 3, 400), Decision)
    assert (held.verdict, held.reason) == (Verdict.HOLD, Reason.VIEW_STALE)
    assert not world.overflows("a", 3, 400)


def test_rows_older_than_5_seconds_come_after_fresh_ones(world: AppWorld) -> None:
    world.run(6000, fresh=False)
    world.has_room("c", 12)
    assert one(world.overflows("a", 3, 400), Reserve).site_id == "c"


def test_a_pause_stops_what_opens_and_lets_a_held_spill_live(world: AppWorld) -> None:
    world.hires("a", 3, 400)
    ask = one(world.overflows("a", 5, 500), Reserve)
    pause = Pause(scope="app/video", until_ms=world.now_ms + 40_000, why="test", by="me")
    world.put(cat.POLICY, "pause/app/video", pause)
    said = world.run(21_000)
    assert one(said, ReleaseRoom).reservation_id == ask.request_id
    assert bodies(said, Spill)
    assert (Verdict.HOLD, Reason.PAUSED) in decided(world.overflows("a", 5, 500))


def test_the_apps_maximum_over_all_sites_caps_what_is_hired(world: AppWorld) -> None:
    world.reports("a", 900_000, 98)
    assert one(world.overflows("a", 5, 400), Reserve).replicas == 2
    held = one(world.overflows("a", 5, 400), Decision)
    assert (held.verdict, held.reason) == (Verdict.HOLD, Reason.AT_MAXIMUM)


@pytest.mark.parametrize(("mode", "reason"), [(Mode.SHADOW, Reason.SHADOW), (Mode.OFF, Reason.POLICY_OFF)])
def test_a_policy_that_is_not_active_decides_on_paper_only(world: AppWorld, mode: Mode, reason: Reason) -> None:
    policy = Policy(id="p", version=1, mode=mode, offload=OffloadPolicy())
    world.put(cat.POLICY, "policy/p", policy)
    said = world.overflows("a", 3, 400)
    assert not bodies(said, Reserve)
    assert one(said, Decision).reason is reason


def test_the_effect_is_measured_at_the_ingress_and_written_to_the_decision(world: AppWorld) -> None:
    decision = one(world.overflows("a", 3, 400), Decision)
    world.answers(one(world.answers(one(world.grants(one(world.said, Reserve)), PlaceReplicas)), Spill))
    world.reports("a", 900_000, 6, served_elsewhere_permille=390)
    outcome = one(world.run(1000), Decision)
    assert outcome.decision_id == decision.decision_id
    assert (outcome.outcome, outcome.measured) == (Outcome.EFFECTIVE, 390)


def test_a_withdrawn_app_ends_its_hires(world: AppWorld) -> None:
    world.hires("a", 3, 400)
    world.run(1000)
    world.put(cat.APP, "video", None)
    said = world.run(1000)
    assert (Verdict.REVERT, Reason.NO_SPEC) in decided(said)


def test_a_host_that_the_new_spec_forbids_is_replaced_before_it_is_let_go(world: AppWorld) -> None:
    world.hires("a", 3, 400)
    world.declare("b", 1, tier=Tier.CORE)
    world.has_app(spec(version=2, tiers=(Tier.ACCESS,)))
    assert decided(world.run(1000)) == []
    spill = world.hires("a", 3, 400)
    assert {share.site_id for share in spill.shares} == {"b", "c"}
    assert (Verdict.REVERT, Reason.RELIEF) in decided(world.run(35_000))


def test_the_apps_row_shows_hires_and_what_nobody_carries(world: AppWorld) -> None:
    world.reports("a", 900_000, 6)
    world.overflows("a", 3, 400)
    row = bodies(world.run(1000), AppInventory)[-1]
    assert row.unmet_milli == 300_000
    assert row.budget.leased == 3
