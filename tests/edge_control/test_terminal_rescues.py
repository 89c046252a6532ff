"""Dead sites, lost copies, leases: what is saved, from which checkpoint, and what waits for whom."""

from __future__ import annotations

from edge_control.controllers.events import Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.terminal import TerminalController
from edge_control.inventory.view import View
from schemas.apps import Cost, Reconcile
from schemas.commands import MoveParams
from schemas.decisions import Decision, Verdict
from schemas.inventory import Health
from schemas.requests import AskLease, CheckpointReport, Commit, Reserve
from schemas.statuses import CommandState, CopyState, Observed
from tests.edge_control.terminal_world import TerminalWorld, command, one, spec, steps, words


def at_a(*, saved: bool = True, **changes: object) -> TerminalWorld:
    world = TerminalWorld(spec(**changes))
    world.enter("a")
    sent = world.begin("a")
    if "renew@a" in words(sent):
        world.done(command(sent, "renew@a"))
    if saved:
        report = CheckpointReport(
            resource_id="s1",
            app_id="video",
            site_id="a",
            ref="http://c.state/k/9",
            sha256="ab",
            bytes=5,
            version=9,
            at_ms=world.now_ms,
        )
        world.say(report)
    return world


def test_a_session_of_a_dead_site_is_activated_elsewhere_from_its_named_checkpoint() -> None:
    world = at_a()
    world.now_ms += 4_000
    world.sick(a=Health.DEAD)
    sent = world.tick()
    decision = next(o.body for o in sent if isinstance(o.body, Decision))
    assert decision.verdict is Verdict.EVACUATE
    assert "rpo_ms=4000" in decision.text
    assert one(sent, Reserve).purpose == "evacuate"
    sent = world.committed(one(world.granted(one(sent, Reserve)), Commit))
    ask = one(sent, AskLease)
    assert (ask.budget, ask.site_id) == ("workloads", "a")
    sent = world.leased(ask)
    activate = command(sent, "activate@b")
    assert isinstance(activate.params, MoveParams)
    assert activate.params.state is not None
    assert activate.params.state.ref == "http://c.state/k/9"
    sent = world.done(activate)
    assert world.session.host == "b"
    assert world.session.debts[0].asleep
    assert "drop@a" not in steps([*sent, *world.confirm(sent)])


def test_silence_that_is_not_death_moves_nothing() -> None:
    world = at_a()
    world.sick(a=Health.CUT_OFF)
    assert steps(world.wait(60_000)) == []
    world.sick(a=Health.SUSPECT)
    assert steps(world.wait(60_000)) == []


def test_without_a_checkpoint_a_rescue_is_refused_unless_the_app_may_start_empty() -> None:
    world = at_a(saved=False)
    world.sick(a=Health.DEAD)
    assert words(world.tick()) == ["Hold:no-checkpoint"]
    empty = at_a(saved=False, empty_start_ok=True)
    empty.sick(a=Health.DEAD)
    assert "reserve@b" in steps(empty.tick())


def test_a_rescue_aborts_when_the_site_speaks_again() -> None:
    world = at_a()
    world.sick(a=Health.DEAD)
    sent = world.tick()
    world.granted(one(sent, Reserve))
    world.sick()
    assert "releaseroom@b" in steps(world.tick(1_000))
    assert world.session.host == "a"


def test_where_leases_count_a_rescue_without_proof_waits_until_the_last_lease_is_over() -> None:
    world = at_a(exactly_once=True)
    world.sick(a=Health.DEAD)
    sent = world.tick()
    world.committed(one(world.granted(one(sent, Reserve)), Commit))
    assert "lease:workloads" not in steps(world.wait(890_000, 5_000))
    assert "lease:workloads" in steps(world.wait(30_000))


def test_where_leases_count_proof_of_death_shortens_the_wait() -> None:
    world = at_a(exactly_once=True)
    world.sick(evidenced=True, a=Health.DEAD)
    sent = world.tick()
    world.committed(one(world.granted(one(sent, Reserve)), Commit))
    assert "lease:workloads" in steps(world.wait(12_000))


def test_a_lease_is_renewed_every_five_minutes_and_never_while_the_host_may_change() -> None:
    world = at_a(exactly_once=True)
    assert steps(world.wait(299_000, 1_000)) == []
    sent = world.wait(3_000)
    assert steps(sent) == ["renew@a"]
    world.done(command(sent, "renew@a"))
    world.follow("b", until="activate@b")
    assert steps(world.wait(2_000)) == []


def test_break_first_thaws_only_when_the_lease_of_the_target_is_over_everywhere() -> None:
    world = at_a(exactly_once=True)
    activate = command(world.follow("b", until="activate@b"), "activate@b")
    assert activate.lease_until_ms == world.now_ms + 10_000
    assert "thaw@a" not in steps(world.wait(14_000))
    assert "thaw@a" in steps(world.wait(4_000))
    assert [debt.site_id for debt in world.session.debts] == ["b"]


def test_a_copy_that_is_gone_is_started_again_in_place() -> None:
    world = at_a()
    sent = world.hello("a", boot="boot9")
    assert "renew@a" in steps(sent)
    gone = world.done(command(sent, "renew@a"), CommandState.FAILED, "no-state")
    sent = world.leased(one([*gone, *world.tick(1_000)], AskLease))
    activate = command(sent, "activate@a")
    world.done(activate)
    assert (world.session.host, world.session.gone) == ("a", False)


def rescued_to_b(reconcile: Reconcile = Reconcile.KEEP_REPLACEMENT) -> TerminalWorld:
    world = at_a(reconcile=reconcile)
    world.sick(a=Health.DEAD)
    world.confirm(world.answer_all(world.tick()))
    assert world.session.host == "b"
    world.sick()
    return world


def test_the_old_copy_of_a_site_that_came_back_is_dropped_after_its_hello() -> None:
    world = rescued_to_b()
    assert "drop@a" not in steps(world.wait(3_000))
    sent = world.hello("a", Observed(resource_id="s1", state=CopyState.PARKED, version=9))
    assert "drop@a" in steps([*sent, *world.confirm(sent)])


def test_an_app_that_keeps_its_original_returns_to_it() -> None:
    world = rescued_to_b(Reconcile.KEEP_ORIGINAL)
    sent = world.hello("a", Observed(resource_id="s1", state=CopyState.PARKED, version=9))
    world.confirm(sent)
    sent = world.leased(one(world.tick(1_000), AskLease))
    sent = world.done(command(sent, "freeze@b"))
    activate = command(sent, "activate@a")
    assert isinstance(activate.params, MoveParams)
    assert activate.params.mode == "own"
    world.done(activate)
    assert world.session.host == "a"
    assert [debt.site_id for debt in world.session.debts] == ["b"]


def test_a_session_away_from_its_user_is_rescued_as_soon_as_its_site_is_dead() -> None:
    world = at_a(cost=Cost(move_m=1_000_000_000))
    world.enter("b")
    assert world.session.look_at_ms > world.now_ms + 5_000
    world.sick(a=Health.DEAD)
    assert "reserve@b" in steps(world.tick(250))


class Looking(TerminalController):
    """Counts at how many terminals its ticks look."""

    looks = 0

    def _look(self, name: str, tick: Tick, view: View) -> list[Output]:
        self.looks += 1
        return super()._look(name, tick, view)


def test_sessions_that_cannot_be_rescued_cost_nothing_between_two_looks() -> None:
    world = TerminalWorld(spec())
    world.controller = controller = Looking(0)
    world.enter("a")
    world.begin("a")
    world.sick(a=Health.DEAD)
    assert words(world.wait(20_000, 250)) == ["Hold:no-checkpoint"]
    assert 4 <= controller.looks <= 8


def test_a_session_that_begins_at_a_dead_site_or_without_a_spec_is_looked_at_again() -> None:
    world = TerminalWorld(spec(empty_start_ok=True))
    world.sick(a=Health.DEAD)
    world.tick()
    world.enter("a")
    world.begin("a")
    assert "reserve@b" in steps(world.wait(6_000))
