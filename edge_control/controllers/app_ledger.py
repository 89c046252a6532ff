"""What the app controller writes into the ledger of decisions: acts, and why nothing was done."""

from __future__ import annotations

from typing import Any

from edge_control.controllers import outputs as out
from edge_control.controllers.app_books import Turn
from edge_control.controllers.app_rows import HoldRow
from edge_control.policies.facts import Facts, Proposal
from edge_control.policies.governor import Ruling, judge
from schemas.apps import AppSpec
from schemas.decisions import Decision, Reason, Resource, Verdict
from schemas.policy import GovernorPolicy, Mode, Scope


def decide(turn: Turn, spec: AppSpec, verdict: Verdict, resource: Resource, reason: Reason, **parts: Any) -> str:
    """Write one decision that acts; `parts` are further fields of it. Gives its id."""
    _forget_hold(turn, resource)
    return _write(turn, spec, resource, reason, verdict=verdict, **parts)


def hold(turn: Turn, spec: AppSpec, resource: Resource, reason: Reason, **parts: Any) -> None:
    """Say why nothing is done, when the reason changes and at most once a minute for a resource."""
    policy = governor_policy(turn, spec)
    row = turn.books.holds.get(resource.id)
    if row is not None and (row.reason is reason or turn.now_ms - row.said_at_ms < policy.hold_repeat_ms):
        return
    turn.books.holds[resource.id] = HoldRow(reason=reason, said_at_ms=turn.now_ms)
    _write(turn, spec, resource, reason, **{"verdict": Verdict.HOLD, **parts})


def _write(turn: Turn, spec: AppSpec, resource: Resource, reason: Reason, **parts: Any) -> str:
    decision_id = parts.pop("decision_id", "") or turn.new_id("decision", resource.id)
    body = Decision(
        decision_id=decision_id,
        kind=parts.pop("kind", "offload"),
        resource=resource,
        cause=turn.cause.cause,
        decided_at_ms=turn.now_ms,
        reason=reason,
        app_id=spec.app_id,
        **parts,
    )
    turn.say([out.decision(body)])
    return decision_id


def ruling_on(turn: Turn, spec: AppSpec, proposal: Proposal, facts: Facts) -> Ruling:
    """The governor's word on a proposal of this app."""
    return judge(proposal, facts, governor_policy(turn, spec))


def governor_policy(turn: Turn, spec: AppSpec) -> GovernorPolicy:
    """The governor's limits for this app."""
    return turn.view.policies.of(GovernorPolicy, Scope(app=spec.app_id, tenant=spec.tenant))


def may_act(turn: Turn, mode: Mode, decision_id: str) -> Reason | None:
    """What the policy's mode, or a missing approval, holds against acting; None when nothing does."""
    if mode is Mode.ACTIVE:
        return None
    if mode is Mode.OFF:
        return Reason.POLICY_OFF
    if mode is Mode.SHADOW:
        return Reason.SHADOW
    approval = turn.view.approvals.get(decision_id)
    return None if approval is not None and approval.body.granted else Reason.AWAITING_APPROVAL


def _forget_hold(turn: Turn, resource: Resource) -> None:
    """An act ends the reason for which nothing was done: the same reason later is news again."""
    row = turn.books.holds.get(resource.id)
    if row is not None and row.reason is not Reason.VERIFIED:
        turn.books.holds[resource.id] = HoldRow(reason=Reason.VERIFIED, said_at_ms=row.said_at_ms)
