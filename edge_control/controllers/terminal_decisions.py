"""How the terminal controller's decisions are told: moves, evacuations, rules, and doing nothing with a reason."""

from __future__ import annotations

import msgspec

from edge_control.controllers import outputs as out
from edge_control.controllers.events import Event
from edge_control.controllers.outputs import Output
from edge_control.controllers.terminal_orders import Act
from edge_control.controllers.terminal_rows import MoveProcedure, Rule
from edge_control.inventory.geography import distance_m
from schemas.base import derive_id
from schemas.decisions import Candidate, Decision, Expected, GateNote, InputRow, Outcome, Reason, Resource, Verdict
from schemas.policy import GovernorPolicy, MigrationPolicy, Mode

EFFECT_WITHIN_MS = 30_000
"""By when a move must show in the distance between user and host."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision says beside who decided when: the target, options, gates, and words for a reader."""

    verdict: Verdict
    reason: Reason
    target: str = ""
    candidates: tuple[Candidate, ...] = ()
    gates: tuple[GateNote, ...] = ()
    text: str = ""
    mode: Mode = Mode.ACTIVE
    acts: bool = True


def decide(act: Act, told: Told) -> Decision:
    """The decision as it is written down; its id follows from the cause."""
    _, policy, _ = act.view.policies.find(MigrationPolicy, act.scope)
    session, revision = act.session, act.terminal.next_revision()
    expected = None
    if told.target:
        metres = distance_m(act.view, act.terminal.site, told.target)
        expected = Expected(metric="distance_m", value=metres, by_ms=act.now_ms + EFFECT_WITHIN_MS)
    return Decision(
        decision_id=derive_id(f"decision/{told.verdict}", session.session_id, act.cause.event_id, revision),
        kind="migration",
        verdict=told.verdict,
        resource=act.resource,
        cause=act.cause,
        decided_at_ms=act.now_ms,
        reason=told.reason,
        mode=told.mode,
        policy=policy,
        site_id=told.target or session.host,
        app_id=session.app_id,
        inputs=_inputs(act, told.target),
        candidates=told.candidates,
        raw=int(bool(told.target)),
        final=int(bool(told.target) and told.acts),
        gates=told.gates,
        expected=expected,
        text=told.text,
    )


def _inputs(act: Act, target: str) -> tuple[InputRow, ...]:
    terminal, session = act.terminal, act.session
    place = InputRow(
        row=f"terminal/{terminal.terminal_id}",
        as_of_ms=terminal.located_at_ms,
        values={"zone": terminal.zone, "site": terminal.site, "host": session.host, "excess_m_ms": session.excess},
    )
    row = act.view.site_rows.get(target)
    if row is None:
        return (place,)
    age = {"age_ms": row.age_ms(act.now_ms), "generation": row.body.generation}
    return place, InputRow(row=f"site/{target}", as_of_ms=row.body.as_of_ms, values=age)


def hold(act: Act, told: Told) -> list[Output]:
    """Doing nothing, and why: told when the reason changes, else at most once in a while."""
    if is_told(act, told.reason):
        return []
    act.session.hold, act.session.hold_at_ms = told.reason, act.now_ms
    return [out.decision(decide(act, told))]


def is_told(act: Act, reason: Reason) -> bool:
    """Whether this reason for doing nothing was told a moment ago."""
    session = act.session
    if session.hold != reason:
        return False
    return act.now_ms < session.hold_at_ms + act.view.policies.of(GovernorPolicy, act.scope).hold_repeat_ms


def breakout(act: Act, rule: Rule) -> Output:
    """A new rule of a session at the ingress of its user (local breakout)."""
    local = rule.host == rule.ingress
    revision = act.terminal.next_revision()
    body = Decision(
        decision_id=derive_id("decision/Breakout", act.session.session_id, act.cause.event_id, revision),
        kind="offload",
        verdict=Verdict.BREAKOUT,
        resource=Resource(type="rule", id=act.session.session_id),
        cause=act.cause,
        decided_at_ms=act.now_ms,
        reason=Reason.LOCAL_BREAKOUT if local else Reason.STAY_CHEAPER,
        site_id=rule.ingress,
        app_id=act.session.app_id,
        candidates=(Candidate(id=rule.host, score=distance_m(act.view, rule.ingress, rule.host)),),
        raw=1,
        final=1,
        expires_at_ms=rule.until_ms,
        text=f"{act.session.session_id}: traffic at {rule.ingress} goes to {rule.host}",
    )
    return out.decision(body)


def outcome(act: Act, row: MoveProcedure, *, done: bool) -> Output:
    """What became of a move: the distance that was promised against the one there is now."""
    measured = distance_m(act.view, act.terminal.site, act.session.host)
    kept = done and measured <= row.distance_m
    body = Decision(
        decision_id=row.decision_id,
        kind="migration",
        verdict=Verdict.EVACUATE if row.kind in ("rescue", "restart") else Verdict.MIGRATE,
        resource=act.resource,
        cause=act.cause,
        decided_at_ms=act.now_ms,
        reason=Reason.VERIFIED if kept else Reason.REFUSED_BY_TARGET if not done else Reason.USER_MOVED,
        site_id=row.target,
        app_id=act.session.app_id,
        outcome=Outcome.EFFECTIVE if kept else Outcome.INEFFECTIVE,
        measured=measured,
        text=f"{row.kind} {row.source} -> {row.target}: {row.reason or 'done'}",
    )
    return out.decision(body)


def refused_wish(terminal_id: str, why: str, event: Event) -> Output:
    """A twin's part was refused: somebody else was first, or it is too large."""
    body = Decision(
        decision_id=derive_id("decision/twin", terminal_id, event.cause_id),
        kind="migration",
        verdict=Verdict.HOLD,
        resource=Resource(type="device", id=terminal_id),
        cause=event.cause,
        decided_at_ms=event.now_ms,
        reason=Reason.LOCKED,
        text=why,
    )
    return out.decision(body)
