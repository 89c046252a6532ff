"""Expectations: judged from what was said; late, wrong, missing and doubled are told apart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edgeweir.dev import scenario
from edgeweir.dev.crowd_report import CrowdBook, Failure, Line
from edgeweir.dev.expect import Ground, Verdict, doubled, unanswered, verdict
from edgeweir.dev.expect_kinds import KINDS
from edgeweir.dev.facts import Facts
from edgeweir.dev.scenario import Act, Expected
from schemas.base import Message
from schemas.commands import (
    Action,
    Command,
    CommandKind,
    Fence,
    MoveParams,
    MoveStep,
    Params,
    ScaleParams,
    Share,
    SpillParams,
    Target,
)
from schemas.decisions import CauseRef, Decision, HealthDecision, Reason, Resource
from schemas.decisions import Verdict as Word
from schemas.inventory import Steering
from schemas.statuses import CommandState, Hello, Result, Status
from schemas.telemetry import AppLoad, ServedBy

KICKOFF_MS = 1_000_000


@pytest.fixture
def ground() -> Ground:
    play = scenario.load("stadium").play
    acts = (
        Act(at_s=50, do="kill-site", site="harbour"),
        Act(at_s=70, do="cut", site="hill"),
        Act(at_s=80, do="heal", site="hill"),
    )
    return Ground(
        facts=Facts(),
        crowd=CrowdBook(),
        play=msgspec.structs.replace(play, acts=acts),
        command_ms=KICKOFF_MS - 8_000,
        kickoff_ms=KICKOFF_MS,
        zones={"quay": "harbour", "stand": "stadium"},
    )


def at(seconds: float) -> int:
    return KICKOFF_MS + round(seconds * 1000)


def say(ground: Ground, *messages: tuple[float, Message]) -> None:
    for seconds, message in messages:
        ground.facts.fold(message, at(seconds))


def expected(kind: Any, **fields: Any) -> Expected:
    return Expected(id="x", say="x", kind=kind, **({"made_by_s": 10, "done_by_s": 12} | fields))


def judged(ground: Ground, line: Expected, now_s: float = 100) -> Verdict:
    return verdict(line, KINDS[line.kind](line, ground, at(now_s)), ground)


def decision(name: str, verdict: Word, resource: str, final: int, reason: Reason = Reason.DEMAND_UP) -> Decision:
    return Decision(
        decision_id=name,
        kind="scaling",
        verdict=verdict,
        resource=Resource(type="replicas", id=resource),
        cause=CauseRef(topic="tick", partition=0, offset=0),
        decided_at_ms=0,
        reason=reason,
        final=final,
    )


def order(name: str, action: Action, resource: str, params: Params, *, of: str = "", site: str = "stadium") -> Command:
    return Command(
        command_id=name,
        kind=CommandKind.SCALING,
        action=action,
        resource=Resource(type="x", id=resource),
        target=Target(site_id=site),
        reply_key=site,
        reply_keyspace="site",
        params=params,
        generation=1,
        fence=Fence(owner="site/0", revision=1),
        issued_at_ms=0,
        decision_id=of,
        start_by_ms=1,
    )


def status(name: str, *, observed: int | None = None, entered_ms: int = 5, version: int = 3) -> Status:
    return Status(
        command_id=name,
        attempt=1,
        state=CommandState.SUCCEEDED,
        state_version=version,
        entered_at_ms=entered_ms,
        executor_id="e",
        resource_id="r",
        site_id="s",
        boot_id="b",
        result=Result(observed=observed),
    )


def scaled(to: int) -> ScaleParams:
    return ScaleParams(app_id="video", replicas=to)


def test_a_scale_out_that_is_carried_out_in_time_holds(ground: Ground) -> None:
    line = expected("scale", verdict="ScaleOut", resource="video@stadium", at_least=2)
    say(
        ground,
        (5, decision("d1", Word.SCALE_OUT, "video@stadium", 3)),
        (5.1, order("c1", Action.SCALE_OUT, "video@stadium", scaled(3), of="d1")),
        (6.5, status("c1", observed=3)),
    )
    found = judged(ground, line)
    assert (found.holds, found.made_s, found.done_s) == (True, 5.0, 6.5)
    assert "3 replicas answer" in found.effect


def test_a_late_decision_a_missing_effect_and_a_wrong_count_each_say_so(ground: Ground) -> None:
    line = expected("scale", verdict="ScaleOut", resource="video@stadium", at_least=2)
    assert judged(ground, line).fault == "never decided"
    say(ground, (5, decision("d1", Word.SCALE_OUT, "video@stadium", 3)))
    assert judged(ground, line).fault == "never carried out"
    say(ground, (5, order("c1", Action.SCALE_OUT, "video@stadium", scaled(3), of="d1")), (6, status("c1", observed=2)))
    assert judged(ground, line).fault == "3 wanted, 2 answer"
    late = msgspec.structs.replace(line, made_by_s=4)
    assert judged(ground, late).fault == "decided 1.0 s late"


def test_a_status_that_is_read_before_its_command_counts(ground: Ground) -> None:
    say(ground, (6, status("c1", observed=3)), (5, order("c1", Action.SCALE_OUT, "video@stadium", scaled(3))))
    assert ground.facts.commands["c1"].done_ms() == at(6)


def test_a_share_is_measured_at_the_ingress_and_may_be_five_points_off(ground: Ground) -> None:
    line = expected("spill", resource="video@stadium", made_by_s=20, done_by_s=22)
    shares = SpillParams(app_id="video", shares=(Share(site_id="hill", permille=400),), until_ms=at(90))
    say(ground, (15, order("c1", Action.OFFLOAD, "video@stadium", shares)), (15.5, status("c1")))
    assert judged(ground, line).fault == "share not yet measured"
    say(ground, *((s, load(s, requests=50, away=19)) for s in (18, 19, 20)))
    found = judged(ground, line)
    assert (found.holds, found.effect) == (True, "hill 40.0 %; ordered 40.0 %, measured 38.0 %")
    say(ground, *((s, load(s, requests=50, away=0)) for s in (21, 22, 23)))
    assert judged(ground, line).fault == "21.0 points off"


def load(at_s: float, *, requests: int, away: int) -> AppLoad:
    return AppLoad(
        site_id="stadium",
        app_id="video",
        ingress_id="i",
        observed_at_ms=at(at_s),
        interval_ms=1000,
        requests=requests,
        served_by=(ServedBy(site_id="hill", requests=away),),
    )


def activate(name: str, action: Action, session: str, source: str, target: str) -> Command:
    params = MoveParams(step=MoveStep.ACTIVATE, app_id="game", source_site=source, target_site=target)
    return order(name, action, session, params, site=target)


def test_sessions_move_without_a_gap_or_the_line_fails(ground: Ground) -> None:
    line = expected("moves", to="harbour", at_least=2)
    say(ground, (3, activate("c1", Action.MIGRATE_SESSION, "s1", "stadium", "harbour")), (4, status("c1")))
    assert judged(ground, line).fault == "1 of 2 sessions ordered"
    say(ground, (5, activate("c2", Action.MIGRATE_SESSION, "s2", "stadium", "harbour")), (6, status("c2")))
    assert judged(ground, line).holds
    ground.crowd.take(Line(repeats=1))
    assert judged(ground, line).fault == "0 gaps, 1 repeats"


def test_a_rescue_counts_only_what_left_the_dead_site(ground: Ground) -> None:
    line = expected("rescue", site="harbour", at_least=1)
    say(ground, (3, activate("c1", Action.EVACUATE, "s1", "hill", "stadium")), (4, status("c1")))
    assert not judged(ground, line).holds
    say(ground, (5, activate("c2", Action.EVACUATE, "s2", "harbour", "hill")), (6, status("c2")))
    assert judged(ground, line).holds


def test_a_suspect_is_done_when_its_zone_is_steered_away(ground: Ground) -> None:
    line = expected("health", site="harbour", to="suspect")
    said = HealthDecision(
        decision_id="h",
        site_id="harbour",
        region_id="bay",
        previous="alive",
        health="suspect",
        decided_at_ms=0,
        reason=Reason.SITE_SUSPECT,
    )
    say(ground, (5, said), (6, steered("stand", "hill")))
    assert judged(ground, line).fault == "never carried out"
    say(ground, (7, steered("quay", "hill")))
    assert (judged(ground, line).holds, judged(ground, line).done_s) == (True, 7.0)


def steered(zone: str, site: str) -> Steering:
    shares = (Share(site_id=site, permille=1000),)
    return Steering(generation=1, as_of_ms=0, app_id="video", zone_id=zone, sites=shares, until_ms=0)


def test_a_cut_site_is_left_alone_or_the_line_fails(ground: Ground) -> None:
    line = expected("quiet", site="hill", made_by_s=71, done_by_s=90)
    assert judged(ground, line).holds
    say(ground, (75, activate("c1", Action.EVACUATE, "s1", "hill", "stadium")))
    assert judged(ground, line).fault == "1 against it: Evacuate s1"


def test_after_a_hello_few_opening_orders_are_no_burst(ground: Ground) -> None:
    line = expected("hello", site="hill", at_most=1, made_by_s=85, done_by_s=90)
    assert not judged(ground, line).holds
    hello = Hello(executor_id="e", site_id="hill", boot_id="b", at_ms=0, owner_keyspace="site", why="back")
    say(ground, (81, hello), (82, order("c1", Action.SCALE_OUT, "video@hill", scaled(3), site="hill")))
    assert judged(ground, line).holds
    say(ground, (83, order("c2", Action.SCALE_OUT, "game@hill", scaled(3), site="hill")))
    assert judged(ground, line).fault == "a burst: 2 opening orders, at most 1"


def test_failures_are_excused_only_while_the_killed_site_dies(ground: Ground) -> None:
    line = expected("served", site="harbour", at_most=5, made_by_s=90, done_by_s=100)
    ground.crowd.take(Line(asked=100, failures=[Failure(at(52), "video", "harbour", "refused")]))
    assert judged(ground, line).holds
    ground.crowd.take(Line(asked=150, failures=[Failure(at(53), "game", "hill", "503")]))
    assert judged(ground, line).holds
    ground.crowd.take(Line(asked=200, failures=[Failure(at(53), "video", "stadium", "503")]))
    assert judged(ground, line).fault == "1 requests failed (first: video at stadium: 503)"
    ground.crowd.take(Line(asked=300, failures=[Failure(at(20), "video", "harbour", "503")]))
    assert judged(ground, line).fault.startswith("2 requests failed")


def test_a_command_said_twice_or_done_twice_is_told(ground: Ground) -> None:
    say(ground, (1, order("c1", Action.SCALE_OUT, "video@stadium", scaled(3))), (2, status("c1")), (3, status("c1")))
    assert doubled(ground.facts) == []
    say(ground, (3, status("c1", entered_ms=9, version=4)))
    assert doubled(ground.facts) == ["c1"]
    say(ground, *[(4, order("c2", Action.SCALE_OUT, "game@stadium", scaled(1)))] * 2)
    assert doubled(ground.facts) == ["c1", "c2"]


def test_a_command_that_nobody_acknowledges_is_told_unless_its_site_is_dead_or_it_is_fresh(ground: Ground) -> None:
    say(ground, (1, order("c1", Action.SCALE_OUT, "video@hill", scaled(3), site="hill")))
    assert unanswered(ground.facts, [], at(5), 15_000) == []
    assert unanswered(ground.facts, [], at(20), 15_000) == ["c1"]
    assert unanswered(ground.facts, ["hill"], at(20), 15_000) == []


def test_the_first_effect_is_timed_from_the_command(ground: Ground) -> None:
    line = expected("first", at_most=15)
    say(ground, (1, order("c1", Action.SCALE_OUT, "video@stadium", scaled(1))), (2, status("c1", observed=1)))
    assert judged(ground, line).holds
    assert "10.0 s after the command" in judged(ground, line).effect
    assert not judged(ground, msgspec.structs.replace(line, at_most=9)).holds
