"""A session follows its user: the steps of a move, told as transcripts."""

from __future__ import annotations

from schemas.commands import Command, MoveParams, RuleParams
from schemas.location import SessionState
from schemas.requests import AskLease, Commit, Reserve, Reserved
from schemas.statuses import Observed
from tests.edge_control.terminal_world import TerminalWorld, command, one, spec, steps, words


def at_a(**changes: object) -> TerminalWorld:
    world = TerminalWorld(spec(**changes))
    world.enter("a")
    world.begin("a")
    return world


def test_a_session_follows_its_user_step_by_step() -> None:
    world = at_a()
    sent = world.enter("b")
    assert words(sent) == ["Migrate:user-moved", "reserve@b", "Breakout:stay-cheaper", "rule@b->a"]
    sent = world.granted(one(sent, Reserve))
    prepare = command(sent, "prepare@b")
    assert isinstance(prepare.params, MoveParams)
    assert prepare.params.state is not None
    assert prepare.params.state.ref == "http://a.state/running/s1"
    sent = world.done(prepare)
    assert words(sent) == ["commit@b"]
    sent = world.committed(one(sent, Commit))
    assert words(sent) == ["lease:sessions"]
    sent = world.leased(one(sent, AskLease))
    assert words(sent) == ["freeze@a"]
    sent = world.done(command(sent, "freeze@a"), version=42)
    activate = command(sent, "activate@b")
    assert isinstance(activate.params, MoveParams)
    assert activate.params.state is not None
    assert activate.params.state.version == 42
    assert words(world.done(activate)) == ["Migrate=Effective", "Breakout:local-breakout", "rule@b->b"]
    assert world.session.host == "b"


def test_the_old_copy_is_dropped_only_after_the_ingress_has_confirmed_and_its_room_freed_only_after_the_drop() -> None:
    world = at_a()
    sent = world.follow("b")
    assert steps(world.wait(4_000)) == []
    sent = world.confirm(sent)
    assert steps(sent) == ["drop@a"]
    assert steps(world.done(command(sent, "drop@a"))) == []


def test_the_room_of_a_former_host_is_freed_when_its_copy_is_gone() -> None:
    world = at_a()
    sent = world.confirm(world.follow("b"))
    world.done(command(sent, "drop@a"))
    removal = world.enter("a")
    sent = world.answer_all(removal)
    assert world.session.host == "a"
    world.confirm(removal)
    sent = world.confirm(sent)
    assert steps(sent) == ["drop@b"]
    assert steps(world.done(command(sent, "drop@b"))) == ["releaseroom@b"]
    assert world.session.debts == []


def test_room_that_is_refused_ends_the_move_and_the_site_is_left_alone_for_a_while() -> None:
    world = at_a()
    ask = one(world.enter("b"), Reserve)
    refused = world.say(Reserved(request_id=ask.request_id, granted=False, site_id="b", reason="no-room"))
    assert words(refused) == ["releaseroom@b", "Migrate=Ineffective"]
    assert "reserve@b" not in steps(world.wait(9_000))
    assert "reserve@b" in steps(world.wait(9_000))


def test_a_freeze_that_is_not_answered_is_thawed_before_anything_else_is_undone() -> None:
    world = at_a()
    world.follow("b", until="freeze@a")
    assert steps(world.wait(2_000)) == ["freeze@a"]
    sent = world.wait(2_000)
    assert steps(sent) == ["thaw@a"]
    sent = world.done(command(sent, "thaw@a"))
    assert steps(sent) == ["discard@b"]
    assert steps(world.done(command(sent, "discard@b"))) == ["releaseroom@b", "renew@a"]
    assert world.session.host == "a"


def test_a_user_who_walks_back_before_the_last_step_ends_the_move() -> None:
    world = at_a()
    world.follow("b", until="freeze@a")
    assert steps(world.enter("a")) == ["thaw@a"]


def test_a_user_who_walks_back_during_the_last_step_is_followed_by_another_move() -> None:
    world = at_a()
    sent = world.follow("b", until="activate@b")
    back = world.enter("a")
    assert steps(back) == []
    sent = world.done(command(sent, "activate@b"))
    assert world.session.host == "b"
    world.confirm(back)
    paid = world.confirm(sent)
    world.done(command(paid, "drop@a"))
    assert "reserve@a" in steps(world.wait(6_000))


def test_make_first_thaws_at_once_when_the_target_is_silent_and_leaves_its_copy_as_a_debt() -> None:
    world = at_a()
    world.follow("b", until="activate@b")
    world.wait(3_000)
    sent = world.wait(3_000)
    assert steps(sent) == ["discard@b", "thaw@a"]
    sent = world.done(command(sent, "thaw@a"))
    assert steps(sent) == ["discard@b"]
    sent = world.wait(60_000)
    assert world.session.procedure is None
    assert world.session.debts[0].site_id == "b"
    assert "releaseroom@b" not in steps(sent)


def test_an_ended_session_is_dropped_and_its_rules_go() -> None:
    world = at_a()
    sent = world.confirm(world.follow("b"))
    world.done(command(sent, "drop@a"))
    sent = world.begin("b", SessionState.ENDED)
    assert words(sent) == ["no-rule@b", "drop@b"]
    world.confirm(sent)
    assert words(world.done(command(sent, "drop@b"))) == ["releaseroom@b"]
    assert world.controller.terminals["ann"].sessions == {}


def test_two_sessions_of_one_app_have_rules_of_their_own() -> None:
    world = at_a()
    world.begin("a", session_id="s2")
    rules = [
        body
        for output in world.enter("b")
        if isinstance(body := output.body, Command) and isinstance(body.params, RuleParams)
    ]
    assert {rule.resource.id for rule in rules} == {"s1", "s2"}


def test_a_rule_in_force_at_a_former_host_is_no_copy_there() -> None:
    world = at_a()
    world.enter("b")
    world.hello("c", Observed(resource_id="s1", kind="rule"))
    assert world.session.debts == []


def test_a_session_that_travels_far_does_not_remember_every_site_it_was_leased_at() -> None:
    world = at_a(exactly_once=True)
    world.done(command(world.wait(6_000), "renew@a"))
    for goal in ("b", "c"):
        world.fresh()
        said = world.follow(goal)
        for _ in range(3):
            answered = [out for body in [o.body for o in said] if isinstance(body, Command) for out in world.done(body)]
            said = [*answered, *world.wait(6_000)]
        assert (world.session.host, world.session.debts) == (goal, [])
        world.wait(1_000_000, 100_000)
    assert list(world.session.leases) == ["b", "c"]
