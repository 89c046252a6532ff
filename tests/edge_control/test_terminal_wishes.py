"""When a session moves and when it stays: rent-or-buy, ping-pong, mobility levels, hand-overs, gates, modes."""

from __future__ import annotations

from edge_control.controllers.outputs import Output
from schemas import estate
from schemas.apps import Cost
from schemas.decisions import Decision, Verdict
from schemas.inventory import Health
from schemas.location import Mobility, Movement, RadioEvent, SessionState
from schemas.policy import Approval, MigrationPolicy, Mode, Pause, Policy
from tests.edge_control.terminal_world import TerminalWorld, one, spec, steps, words
from topics import catalogue as cat


def at_a(move_m: int = 0, **changes: object) -> TerminalWorld:
    world = TerminalWorld(spec(cost=Cost(move_m=move_m), **changes))
    world.enter("a")
    world.begin("a")
    return world


def held(outputs: list[Output]) -> str:
    found = [o.body for o in outputs if isinstance(o.body, Decision) and o.body.verdict is Verdict.HOLD]
    return found[0].reason if found else ""


def put(world: TerminalWorld, mode: Mode) -> None:
    world.view.policies.put(Policy(id="p", version=1, mode=mode, migration=MigrationPolicy()))


def test_a_session_at_its_users_site_stays_and_says_why_once() -> None:
    world = TerminalWorld()
    world.enter("a")
    assert held(world.begin("a")) == "already-right"
    assert words(world.wait(10_000)) == []


def test_a_dear_move_waits_until_the_distance_paid_reaches_its_price() -> None:
    world = at_a(move_m=5)
    sent = world.enter("b")
    assert held(sent) == "stay-cheaper"
    kilometres = world.controller.terminals["ann"].sessions["s1"].excess_rate_m / 1_000
    minutes = 5 / kilometres
    assert 4.4 < minutes < 4.6
    assert "reserve@b" not in steps(world.wait(250_000))
    assert "reserve@b" in steps(world.wait(30_000))


def test_a_user_who_came_back_within_minutes_makes_moves_dearer() -> None:
    world = at_a(move_m=1)
    for _ in range(2):
        world.enter("b")
        world.wait(20_000)
        world.enter("a")
        world.wait(5_000)
    world.enter("b")
    assert "reserve@b" not in steps(world.wait(60_000))
    assert world.session.hold == "ping-pong"


def test_a_session_that_must_not_move_never_moves() -> None:
    world = at_a(mobility=Mobility.NOT_ALLOWED)
    assert held(world.enter("b")) == "mobility-not-allowed"


def test_a_session_that_wants_to_be_asked_waits_for_its_confirmation() -> None:
    world = at_a(mobility=Mobility.WITH_CONFIRMATION)
    assert held(world.enter("b")) == "awaiting-confirmation"
    assert "reserve@b" in steps(world.begin("a", SessionState.CONFIRMED))


def test_a_hand_over_in_preparation_prepares_the_copy_and_waits_for_the_user_before_it_asks_for_a_permit() -> None:
    world = at_a()
    world.show(cat.ESTATE, "ap/cell-b", estate.AccessPoint(id="cell-b", zone="zb"))
    radio = RadioEvent(terminal_id="ann", src_cell="x", ho_status=1, observed_at_ms=world.now_ms, trg_cells=("cell-b",))
    sent = world.answer_all(world.say(radio))
    assert world.session.procedure is not None
    assert world.session.procedure.step == 4
    assert steps(sent) == []
    assert "lease:sessions" in steps(world.enter("b"))


def test_a_hand_over_that_is_called_off_gives_back_what_was_prepared() -> None:
    world = at_a()
    world.show(cat.ESTATE, "ap/cell-b", estate.AccessPoint(id="cell-b", zone="zb"))
    radio = RadioEvent(terminal_id="ann", src_cell="x", ho_status=1, observed_at_ms=world.now_ms, trg_cells=("cell-b",))
    world.answer_all(world.say(radio))
    off = RadioEvent(terminal_id="ann", src_cell="x", ho_status=5, observed_at_ms=world.now_ms)
    assert steps(world.say(off)) == ["discard@b"]


def test_a_red_button_stops_what_opens_and_lets_what_closes_pass() -> None:
    world = at_a()
    world.follow("b", until="freeze@a")
    pause = Pause(scope="kind/migration", until_ms=world.now_ms + 60_000, why="test", by="op")
    world.show(cat.POLICY, "pause/kind/migration", pause)
    assert steps(world.wait(1_000)) == ["thaw@a"]
    fresh = at_a()
    fresh.show(cat.POLICY, "pause/kind/migration", pause)
    assert held(fresh.enter("b")) == "paused"


def test_a_site_that_is_not_alive_is_no_candidate_and_a_sick_host_is_not_left_by_a_move() -> None:
    world = at_a()
    world.sick(b=Health.SUSPECT)
    assert "reserve@b" not in steps(world.enter("b"))
    world.sick(a=Health.CUT_OFF)
    assert held(world.wait(6_000)) == "site-suspect"


def test_a_shadow_policy_decides_and_does_nothing() -> None:
    world = at_a()
    put(world, Mode.SHADOW)
    decision = next(o.body for o in world.enter("b") if isinstance(o.body, Decision) and o.body.kind == "migration")
    assert (decision.verdict, decision.mode, decision.final) == (Verdict.MIGRATE, Mode.SHADOW, 0)
    assert world.session.procedure is None


def test_a_policy_that_wants_a_yes_waits_for_it() -> None:
    world = at_a()
    put(world, Mode.APPROVE)
    sent = [o for o in world.enter("b") if isinstance(o.body, Decision) and o.body.kind == "migration"]
    waiting = one(sent, Decision)
    assert steps(world.wait(6_000)) == []
    yes = Approval(decision_id=waiting.decision_id, granted=True, by="op", at_ms=world.now_ms)
    world.show(cat.POLICY, f"approval/{waiting.decision_id}", yes)
    assert "reserve@b" in steps(world.wait(6_000))


def test_a_place_that_is_old_or_told_twice_changes_nothing() -> None:
    world = at_a()
    world.enter("b", boot_id="x", sequence=5)
    world.enter("c", observed_at_ms=world.now_ms - 5_000)
    assert world.controller.terminals["ann"].zone == "zb"
    world.enter("c", boot_id="x", sequence=5)
    assert world.controller.terminals["ann"].zone == "zb"


def test_a_user_who_leaves_to_nowhere_keeps_the_last_site() -> None:
    world = at_a()
    world.enter("a", event=Movement.LEAVE)
    terminal = world.controller.terminals["ann"]
    assert (terminal.zone, terminal.site) == ("", "a")


def test_a_second_copy_that_an_ingress_began_by_mistake_is_dropped_once_the_rule_stands() -> None:
    world = at_a(move_m=1_000)
    sent = world.enter("b")
    assert steps(world.begin("b")) == []
    assert steps(world.confirm(sent)) == ["drop@b"]
