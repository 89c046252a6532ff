"""From load to order to effect at one site, as transcripts (PROCEDURES 4)."""

from __future__ import annotations

from schemas.apps import AppKind, Bounds, LocationConstraint, PerReplica
from schemas.commands import Command, ScaleParams
from schemas.decisions import Decision, GateResult, Outcome, Reason, Verdict
from schemas.inventory import AppBudget, AppInventory, AppSiteShare, Health, RegionInventory, SiteHealth
from schemas.policy import Approval, Mode, Pause, Policy, ScalingPolicy
from schemas.requests import Overflow
from schemas.statuses import CommandState
from tests.edge_control.site_world import GIB, START_MS, SiteWorld, app, bodies, held, node, scalings
from topics import catalogue as cat

QUICK = Policy(id="quick", version=1, scaling=ScalingPolicy(release_ms=20_000))


def running(site: SiteWorld, rps: int) -> SiteWorld:
    """The site holds what this traffic needs."""
    site.traffic(rps, 16)
    return site


def test_a_hot_app_scales_out_once_and_counts_what_it_ordered() -> None:
    site = SiteWorld(app())
    running(site, 160)
    site.obedient = False
    first = site.traffic(400, 5)
    assert [action for action, _ in scalings(first)] == ["ScaleOut"] * len(scalings(first))
    assert scalings(first)[-1] == ("ScaleOut", 5)
    again = site.traffic(400, 3)
    assert scalings(again) == []
    assert site.row().wanted == 5


def test_an_order_that_succeeded_is_observed_and_judged_effective() -> None:
    site = SiteWorld(app())
    site.batch()
    ordered = site.load(150)
    (command,) = bodies(ordered, Command)
    (decision,) = bodies(ordered, Decision)
    assert (decision.reason, decision.final, command.decision_id) == (Reason.WAKE, 2, decision.decision_id)
    site.wait(1_500)
    done = site.answer(command)
    assert site.row().observed == 2
    (outcome,) = [d for d in bodies(done, Decision) if d.outcome]
    assert (outcome.decision_id, outcome.outcome, outcome.measured) == (decision.decision_id, Outcome.EFFECTIVE, 2)
    assert site.row().startups_ms == [1_500]
    assert "already-right" in held(done)


def test_a_decision_carries_its_cause_inputs_and_every_gate() -> None:
    site = SiteWorld(app())
    site.batch()
    (decision,) = bodies(site.load(150), Decision)
    assert (decision.cause.topic, decision.cause.offset) == (cat.APP_LOAD.name, site.offset)
    assert decision.inputs[0].values["demand_milli"] == 1_875
    assert {note.result for note in decision.gates} == {GateResult.PASS}
    assert decision.expected is not None
    assert decision.expected.value == 2


def test_growth_is_paced_by_the_larger_of_double_and_four_per_step() -> None:
    site = SiteWorld(app(per_replica=PerReplica(cpu_milli=100, mem_bytes=GIB, requests_per_s=10)))
    early = site.traffic(400, 14)
    assert scalings(early) == [("ScaleOut", 4)], "the step of 15 s is used up"
    assert scalings(site.traffic(400, 5)) == [("ScaleOut", 8)]
    assert scalings(site.traffic(400, 15)) == [("ScaleOut", 16)]


def test_panic_follows_the_last_seconds_when_they_double_what_is_held() -> None:
    site = running(SiteWorld(app()), 160)
    calm = site.row().wanted
    panicked = site.load(2_000)
    (decision,) = bodies(panicked, Decision)
    assert calm == 2
    assert (decision.reason, decision.final) == (Reason.PANIC, 6)


def test_a_small_change_stays_within_the_dead_band() -> None:
    site = running(SiteWorld(app()), 160)
    said = site.traffic(170, 15)
    assert scalings(said) == []
    assert site.row().own == 2


def test_the_crowd_going_home_is_released_after_the_release_time_and_not_before() -> None:
    site = running(SiteWorld(app(bounds=Bounds(site_min=1, site_max=20)), policy=QUICK), 400)
    assert site.row().wanted == 5
    assert scalings(site.traffic(40, 19)) == []
    late = scalings(site.traffic(40, 20))
    assert {action for action, _ in late} == {"ScaleIn"}
    assert late[-1] == ("ScaleIn", 1)
    assert site.row().observed == 1


def test_an_order_without_an_answer_is_ordered_again_as_a_new_generation_with_growing_patience() -> None:
    site = SiteWorld(app(bounds=Bounds(site_min=2), location=LocationConstraint(sites=("a",))))
    (first,) = bodies(site.batch(), Command)
    later = bodies(site.wait(30_000), Command)
    assert [command.generation for command in (first, *later)] == [1, 2, 3]
    assert {command.params for command in (first, *later)} == {first.params}
    assert len({command.command_id for command in (first, *later)}) == 3
    assert site.row().accounted == 2


def test_an_ineffective_decision_is_said_to_be_so() -> None:
    site = SiteWorld(app(bounds=Bounds(site_min=2), location=LocationConstraint(sites=("a",))))
    site.batch()
    outcomes = [d.outcome for d in bodies(site.wait(6_000), Decision) if d.outcome]
    assert outcomes == [Outcome.INEFFECTIVE]


def test_a_failed_order_is_tried_again_after_a_pause_and_what_was_read_back_counts() -> None:
    site = SiteWorld(app())
    site.batch()
    (command,) = bodies(site.load(240), Command)
    assert bodies(site.answer(command, CommandState.FAILED, observed=1), Command) == []
    assert site.row().observed == 1
    assert bodies(site.wait(1_900), Command) == []
    (again,) = bodies(site.wait(600), Command)
    assert isinstance(again.params, ScaleParams)
    assert (again.params.replicas, again.generation) == (3, 2)


def test_an_expired_order_gives_its_room_back_and_is_ordered_anew() -> None:
    site = SiteWorld(app())
    site.batch()
    (command,) = bodies(site.load(240), Command)
    (anew,) = bodies(site.answer(command, CommandState.EXPIRED), Command)
    assert anew.generation == 2
    assert [order.generation for order in site.row().orders] == [2]


def test_a_status_told_twice_changes_nothing() -> None:
    site = SiteWorld(app())
    site.batch()
    (command,) = bodies(site.load(240), Command)
    site.answer(command)
    before = site.rows()["apps/video@a"]
    site.answer(command)
    assert site.rows()["apps/video@a"] == before


def test_a_later_success_ends_the_orders_before_it() -> None:
    site = running(SiteWorld(app()), 160)
    site.obedient = False
    site.traffic(420, 8)
    orders = list(site.row().orders)
    assert len(orders) > 1
    site.answer(next(c for c in bodies(site.said, Command) if c.command_id == orders[-1].command_id))
    assert site.row().orders == []
    site.answer(next(c for c in bodies(site.said, Command) if c.command_id == orders[0].command_id))
    assert site.row().observed == orders[-1].replicas


def test_no_node_known_means_no_order_and_a_sentence_why() -> None:
    site = SiteWorld(app())
    said = site.load(400)
    assert scalings(said) == []
    assert held(said) == ["telemetry-missing"]
    assert bodies(said, Overflow) == []


def test_an_app_without_a_spec_is_held_with_its_reason() -> None:
    site = SiteWorld()
    site.batch()
    assert held(site.load(400)) == ["no-spec"]


def test_what_does_not_fit_is_overflow_repeated_and_ended_once() -> None:
    site = SiteWorld(app(), policy=QUICK)
    site.batch()
    said: list[object] = []
    for _ in range(3):
        said += bodies(site.traffic(2_000, 16), Overflow)
    assert site.row().own == 14, "room for two replicas of 16 stays for evacuations"
    overflows = [one for one in said if isinstance(one, Overflow)]
    assert (overflows[-1].missing_replicas, overflows[-1].missing_milli, overflows[-1].permille) == (11, 11_000, 440)
    gaps = [later.at_ms - sooner.at_ms for sooner, later in zip(overflows[-4:], overflows[-3:], strict=False)]
    assert all(3_000 <= gap <= 3_250 for gap in gaps)
    calm = bodies(site.traffic(100, 60), Overflow)
    assert [one.missing_milli for one in calm[-1:]] == [0]
    assert bodies(site.traffic(100, 10), Overflow) == []


def test_an_app_that_may_not_run_here_overflows_with_all_of_its_demand() -> None:
    site = SiteWorld(app(location=LocationConstraint(sites=("b",))))
    site.batch()
    (overflow,) = bodies(site.load(160), Overflow)
    assert (overflow.missing_replicas, overflow.permille) == (2, 1_000)
    assert site.row().own == 0


def test_stale_load_holds_and_nothing_is_released_on_silence() -> None:
    site = running(SiteWorld(app(), policy=QUICK), 400)
    own = site.row().own
    said = site.wait(300_000, step_ms=5_000)
    assert scalings(said) == []
    assert site.row().own == own
    assert "telemetry-stale" in held(said)
    assert "telemetry-missing" in held(said)


def test_no_scale_in_while_too_few_nodes_report() -> None:
    site = running(SiteWorld(app(), policy=QUICK), 400)
    own = site.row().own
    said = []
    for _ in range(60):
        said += site.load(10)
        said += site.wait(1_000)
    assert not [d for d in bodies(said, Decision) if d.verdict is Verdict.SCALE_IN]
    assert site.row().own == own
    assert "telemetry-incomplete" in held(said)


def test_a_pause_holds_new_orders_and_the_wish_is_judged_anew_afterwards() -> None:
    site = SiteWorld(app())
    site.batch()
    pause = Pause(scope="app/video", until_ms=START_MS + 10_000, why="w", by="b")
    site.declare(cat.POLICY, "pause/app/video", pause)
    said = site.load(160)
    assert (scalings(said), held(said)) == ([], ["paused"])
    assert scalings(site.traffic(160, 10)) == []
    assert scalings(site.traffic(160, 6)) == [("ScaleOut", 2)]


def test_nothing_new_is_ordered_at_a_site_that_is_cut_off() -> None:
    site = SiteWorld(app())
    site.batch()
    row = SiteHealth(site_id="a", health=Health.CUT_OFF, since_ms=1)
    site.declare(cat.INVENTORY, "bay", RegionInventory(region_id="bay", generation=1, as_of_ms=1, sites=(row,)))
    assert held(site.load(160)) == ["unhealthy-target"]


def test_a_shadow_policy_decides_in_writing_only() -> None:
    site = SiteWorld(app(), policy=Policy(id="s", version=1, mode=Mode.SHADOW, scaling=ScalingPolicy()))
    site.batch()
    said = site.load(160)
    assert scalings(said) == []
    assert [(d.mode, d.verdict, d.final) for d in bodies(said, Decision)] == [(Mode.SHADOW, Verdict.SCALE_OUT, 2)]
    assert bodies(site.traffic(160, 10), Decision) == []


def test_an_approval_lets_the_waiting_decision_act() -> None:
    site = SiteWorld(app(), policy=Policy(id="s", version=1, mode=Mode.APPROVE, scaling=ScalingPolicy()))
    site.batch()
    (waiting,) = bodies(site.load(160), Decision)
    assert waiting.mode is Mode.APPROVE
    yes = Approval(decision_id=waiting.decision_id, granted=True, by="op", at_ms=site.now_ms)
    site.declare(cat.POLICY, f"approval/{waiting.decision_id}", yes)
    assert scalings(site.traffic(160, 2)) == [("ScaleOut", 2)]


def test_sessions_and_cpu_are_demand_too_and_the_largest_counts() -> None:
    per = PerReplica(cpu_milli=1_000, mem_bytes=GIB, requests_per_s=100, sessions=10)
    site = SiteWorld(app(per_replica=per))
    site.batch()
    assert scalings(site.load(80, sessions=24)) == [("ScaleOut", 3)]


def test_traffic_hosted_for_others_is_not_own_demand_but_what_others_serve_is() -> None:
    site = SiteWorld(app())
    site.batch()
    said = site.load(160, hosted_for_others=240, served_elsewhere=80)
    assert scalings(said) == [("ScaleOut", 2)]


def test_an_idle_task_goes_to_zero_after_its_time_and_wakes_on_the_first_request() -> None:
    site = running(SiteWorld(app(kind=AppKind.TASK, idle_after_ms=30_000)), 80)
    said = site.traffic(0, 29)
    assert scalings(said) == []
    asleep = site.traffic(0, 20)
    assert scalings(asleep) == [("ScaleIn", 0)]
    site.obey(asleep)
    (woken,) = [d for d in bodies(site.load(5), Decision) if d.verdict is Verdict.SCALE_OUT]
    assert woken.reason is Reason.WAKE


def test_a_minimum_in_the_spec_is_held_without_any_load() -> None:
    site = SiteWorld(app(bounds=Bounds(site_min=3), location=LocationConstraint(sites=("a",))))
    (decision,) = [d for d in bodies(site.batch(), Decision) if d.verdict is Verdict.SCALE_OUT]
    assert (decision.reason, decision.final) == (Reason.AT_MINIMUM, 3)


def test_a_new_version_of_the_spec_is_rolled_out() -> None:
    site = running(SiteWorld(app()), 160)
    site.declare(cat.APP, "video", app(version=2, image="new"))
    (command,) = bodies(site.load(160), Command)
    assert isinstance(command.params, ScaleParams)
    assert (command.params.spec_version, command.params.image, command.params.replicas) == (2, "new", 2)
    site.answer(command)
    assert bodies(site.load(160), Command) == []


def test_a_hot_node_scales_an_app_of_which_no_ingress_speaks() -> None:
    site = SiteWorld(app("hello", bounds=Bounds(site_min=1, site_max=9), location=LocationConstraint(sites=("a",))))
    said = site.batch()
    site.obey(said)
    site.wait(1_000)
    hot = site.batch(node("a1", site.now_ms, cpu_used_milli=6_900))
    assert scalings(hot) == []
    site.wait(1_000)
    very = site.batch(*(node(name, site.now_ms, cpu_used_milli=7_760) for name in ("a1", "a2")))
    assert scalings(very) == [("ScaleOut", 2)]
    assert scalings(site.wait(3_000)) == [], "one sample counts once"


def test_the_apps_budget_over_all_sites_limits_growth_here() -> None:
    site = SiteWorld(app())
    elsewhere = AppSiteShare(site_id="b", demand_milli=0, desired=7, ready=7)
    budget = AppBudget(max=10, used=7)
    body = AppInventory(app_id="video", generation=1, as_of_ms=1, sites=(elsewhere,), budget=budget)
    site.declare(cat.INVENTORY, "video", body)
    site.batch()
    assert scalings(site.load(400)) == [("ScaleOut", 3)]


def test_an_app_without_limits_per_replica_gets_one_for_any_traffic() -> None:
    site = SiteWorld(app(per_replica=PerReplica(cpu_milli=1_000, mem_bytes=GIB)))
    site.batch()
    assert scalings(site.load(900)) == [("ScaleOut", 1)]
