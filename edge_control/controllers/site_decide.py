"""Writes down what is decided about an app at a site, and why: acts, holds with their reason, and outcomes."""

from __future__ import annotations

import msgspec

from edge_control.controllers import outputs
from edge_control.controllers.site_rows import AppRow, Expectation
from edge_control.controllers.site_turn import Turn
from edge_control.policies.facts import Proposal, facts_from_view
from edge_control.policies.governor import Ruling, judge
from schemas.decisions import (
    Decision,
    Expected,
    GateNote,
    InputRow,
    Outcome,
    PolicyRef,
    Reason,
    Resource,
    Verdict,
)
from schemas.policy import GovernorPolicy, Mode

_HOUR_MS = 3_600_000
_MOST_ACTS = 64
_GROWTH = (Verdict.SCALE_OUT, Verdict.PLACE)


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision about an app at a site stands on."""

    verdict: Verdict
    reason: Reason
    raw: int
    final: int
    policy: PolicyRef
    mode: Mode = Mode.ACTIVE
    gates: tuple[GateNote, ...] = ()
    history: tuple[Reason, ...] = ()
    inputs: tuple[InputRow, ...] = ()


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the gates are told about the inputs of a decision."""

    tenant: str
    age_ms: int = 0
    max_age_ms: int = 0
    coverage_permille: int = 1000
    min_coverage_permille: int = 0
    in_flight: Verdict | None = None


def rule(turn: Turn, row: AppRow, verdict: Verdict, wanted: int, standing: Standing) -> Ruling:
    """Send the wish to hold `wanted` replicas in all through the gates."""
    proposal = Proposal(
        verdict=verdict,
        kind="scaling",
        resource_id=row.key,
        site_id=row.site_id,
        app_id=row.app_id,
        tenant=standing.tenant,
        region=turn.view.region_of(row.site_id),
        raw=wanted,
        current=row.wanted,
    )
    recent = [at_ms for at_ms in row.acts if at_ms > turn.now_ms - _HOUR_MS]
    facts = msgspec.structs.replace(
        facts_from_view(proposal, turn.view, turn.now_ms),
        input_age_ms=standing.age_ms,
        max_input_age_ms=standing.max_age_ms,
        coverage_permille=standing.coverage_permille,
        min_coverage_permille=standing.min_coverage_permille,
        in_flight=standing.in_flight,
        acts_last_hour=len(recent),
        quiet_for_ms=turn.now_ms - recent[-1] if recent else _HOUR_MS,
    )
    scope = turn.scope(row.site_id, row.app_id, standing.tenant)
    return judge(proposal, facts, turn.view.policies.of(GovernorPolicy, scope))


def hold(turn: Turn, row: AppRow, reason: Reason, grounds: Grounds | None = None) -> int:
    """Do nothing, and say why: when the reason changed, at most once per minute and resource.

    Returns when a reason that was not written should be written, 0 when nothing waits.
    """
    scope = turn.scope(row.site_id, row.app_id)
    repeat_ms = turn.view.policies.of(GovernorPolicy, scope).hold_repeat_ms
    if reason is row.hold_reason:
        return 0
    if row.hold_ms and turn.now_ms < row.hold_ms + repeat_ms:
        return row.hold_ms + repeat_ms
    row.hold_reason, row.hold_ms = reason, turn.now_ms
    body = _body(turn, row, grounds or _bare(row, reason), turn.new_id("hold", row.key, row.generation))
    body = msgspec.structs.replace(
        body, verdict=Verdict.HOLD, reason=reason, final=row.wanted, text=f"stays at {row.wanted}: {reason}"
    )
    turn.outputs.append(outputs.decision(body))
    return 0


def advise(turn: Turn, row: AppRow, grounds: Grounds, expires_ms: int) -> str:
    """Write a decision that does not act (shadow, or waiting for approval); its id."""
    decision_id = turn.new_id(f"decision/{grounds.mode}", row.key, row.generation)
    body = _body(turn, row, grounds, decision_id)
    turn.outputs.append(outputs.decision(msgspec.structs.replace(body, expires_at_ms=expires_ms)))
    return decision_id


def act(turn: Turn, row: AppRow, grounds: Grounds, command_id: str, *, before: int, by_ms: int) -> str:
    """Write a decision that acts, and remember what must show by when; its id."""
    decision_id = turn.new_id("decision", row.key, row.generation)
    body = msgspec.structs.replace(
        _body(turn, row, grounds, decision_id),
        command_id=command_id,
        expected=Expected(metric="replicas-ready", value=grounds.final, by_ms=by_ms),
        expires_at_ms=by_ms,
        supersedes=(row.decision_id,) if row.expectation is not None else (),
        text=f"replicas {before} -> {grounds.final}: {grounds.reason}",
    )
    turn.outputs.append(outputs.decision(body))
    row.decision_id = decision_id
    row.hold_reason = None
    row.acts = [at_ms for at_ms in row.acts[1 - _MOST_ACTS :] if at_ms > turn.now_ms - _HOUR_MS]
    row.acts.append(turn.now_ms)
    row.expectation = Expectation(
        decision_id=decision_id,
        verdict=grounds.verdict,
        reason=grounds.reason,
        cause=turn.cause.cause,
        decided_ms=turn.now_ms,
        before=row.observed,
        value=grounds.final,
        by_ms=by_ms,
    )
    return decision_id


def check_outcome(turn: Turn, row: AppRow) -> None:
    """Compare what a decision expected with what is measured: as soon as it shows, or when its time has passed."""
    due = row.expectation
    if due is None:
        return
    grows = due.verdict in _GROWTH
    met = row.observed >= due.value if grows else row.observed <= due.value
    if not met and turn.now_ms < due.by_ms:
        return
    worse = row.observed < due.before if grows else row.observed > due.before
    outcome = Outcome.EFFECTIVE if met else Outcome.WORSE if worse else Outcome.INEFFECTIVE
    row.expectation = None
    body = Decision(
        decision_id=due.decision_id,
        kind="scaling",
        verdict=due.verdict,
        resource=Resource(type="replicas", id=row.key),
        cause=due.cause,
        decided_at_ms=due.decided_ms,
        reason=due.reason,
        site_id=row.site_id,
        app_id=row.app_id,
        final=due.value,
        expected=Expected(metric="replicas-ready", value=due.value, by_ms=due.by_ms),
        outcome=outcome,
        measured=row.observed,
    )
    turn.outputs.append(outputs.decision(body))


def _body(turn: Turn, row: AppRow, grounds: Grounds, decision_id: str) -> Decision:
    return Decision(
        decision_id=decision_id,
        kind="scaling",
        verdict=grounds.verdict,
        resource=Resource(type="replicas", id=row.key),
        cause=turn.cause.cause,
        decided_at_ms=turn.now_ms,
        reason=grounds.reason,
        mode=grounds.mode,
        policy=grounds.policy,
        site_id=row.site_id,
        app_id=row.app_id,
        inputs=grounds.inputs,
        raw=grounds.raw,
        final=grounds.final,
        gates=grounds.gates,
        reason_history=grounds.history,
    )


def _bare(row: AppRow, reason: Reason) -> Grounds:
    return Grounds(verdict=Verdict.HOLD, reason=reason, raw=row.wanted, final=row.wanted, policy=PolicyRef())
