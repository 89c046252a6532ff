"""The governor: six gates in a fixed order (DECISIONS 7); each check may stop a decision and leaves its number.

Pure: a proposal and the facts go in, a ruling comes out; every check is in its notes, also when all pass.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from edge_control.policies.facts import Facts, Proposal, facts_from_view, paused_by, scopes_of
from schemas.decisions import GateName, GateNote, GateResult, Reason, Verdict
from schemas.inventory import Health
from schemas.policy import GovernorPolicy

__all__ = ["Facts", "Proposal", "facts_from_view", "paused_by", "scopes_of"]

_WHOLE_TOKEN_MILLI = 1_000
_RANK = {
    Verdict.EVACUATE: 5,
    Verdict.OFFLOAD: 4,
    Verdict.DRAIN: 4,
    Verdict.BREAKOUT: 4,
    Verdict.SCALE_OUT: 3,
    Verdict.SCALE_IN: 3,
    Verdict.PLACE: 3,
    Verdict.MIGRATE: 2,
}


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it may be done, with how much of it, and every check with its number; `reason` says what stopped it."""

    allowed: bool
    final: int
    reason: Reason | None
    notes: tuple[GateNote, ...]


class _Check(msgspec.Struct, frozen=True):
    """One check's finding; `stop` names the reason when it stops."""

    gate: GateName
    name: str
    number: int = 0
    limit: int = 0
    stop: Reason | None = None


def judge(proposal: Proposal, facts: Facts, policy: GovernorPolicy) -> Ruling:
    """Send a proposal through the gates; the first stop ends it."""
    notes: list[GateNote] = []
    for check in _checks(proposal, facts, policy):
        result = GateResult.STOP if check.stop else GateResult.PASS
        notes.append(
            GateNote(
                gate=check.gate,
                check=check.name,
                result=result,
                number=check.number,
                limit=check.limit,
            )
        )
        if check.stop:
            return Ruling(
                allowed=False,
                final=proposal.current,
                reason=check.stop,
                notes=tuple(notes),
            )
    return Ruling(allowed=True, final=proposal.raw, reason=None, notes=tuple(notes))


def _checks(proposal: Proposal, facts: Facts, policy: GovernorPolicy) -> Iterator[_Check]:
    yield from _pause(proposal, facts)
    yield from _inputs(proposal, facts)
    yield from _target(proposal, facts)
    yield from _blast_radius(proposal, facts, policy)
    yield from _budget(proposal, facts, policy)
    stale = Reason.VIEW_STALE if not facts.fresh else None
    yield _Check(GateName.RECHECK, "inputs-unchanged", int(facts.fresh), 1, stale)


def _pause(proposal: Proposal, facts: Facts) -> Iterator[_Check]:
    paused = proposal.opening and bool(facts.pauses)
    yield _Check(
        GateName.PAUSE,
        "paused",
        len(facts.pauses),
        0,
        Reason.PAUSED if paused else None,
    )


def _inputs(proposal: Proposal, facts: Facts) -> Iterator[_Check]:
    yield _Check(
        GateName.INPUTS,
        "not-empty",
        int(not facts.empty_inputs),
        1,
        Reason.EMPTY_SET if facts.empty_inputs else None,
    )
    too_old = 0 < facts.max_input_age_ms < facts.input_age_ms
    yield _Check(
        GateName.INPUTS,
        "age",
        facts.input_age_ms,
        facts.max_input_age_ms,
        Reason.VIEW_STALE if too_old else None,
    )
    thin = proposal.destructive and facts.coverage_permille < facts.min_coverage_permille
    stop = Reason.TELEMETRY_INCOMPLETE if thin else None
    yield _Check(
        GateName.INPUTS,
        "coverage",
        facts.coverage_permille,
        facts.min_coverage_permille,
        stop,
    )


def _target(proposal: Proposal, facts: Facts) -> Iterator[_Check]:
    held, wanted = (
        _RANK.get(facts.in_flight, 0) if facts.in_flight else 0,
        _RANK.get(proposal.verdict, 1),
    )
    yield _Check(
        GateName.TARGET,
        "lock",
        held,
        wanted,
        Reason.LOCKED if held >= wanted and held > 0 else None,
    )
    sick = proposal.opening and not proposal.destructive and facts.target_health not in (Health.ALIVE, Health.UNKNOWN)
    yield _Check(
        GateName.TARGET,
        "target-alive",
        int(not sick),
        1,
        Reason.UNHEALTHY_TARGET if sick else None,
    )
    cut = proposal.destructive and facts.site_health is Health.CUT_OFF
    yield _Check(
        GateName.TARGET,
        "not-cut-off",
        int(not cut),
        1,
        Reason.SITE_CUT_OFF if cut else None,
    )
    bare = facts.needs_grant and not facts.granted
    yield _Check(
        GateName.TARGET,
        "granted",
        int(facts.granted),
        1,
        Reason.REFUSED_BY_TARGET if bare else None,
    )


def _blast_radius(proposal: Proposal, facts: Facts, policy: GovernorPolicy) -> Iterator[_Check]:
    gate, evacuation = GateName.BLAST_RADIUS, proposal.verdict is Verdict.EVACUATE
    silent = evacuation and (facts.region_silent or facts.region_cut)
    yield _Check(gate, "region-speaks", int(not silent), 1, Reason.REGION_CUT if silent else None)
    permille = facts.region_unhealthy * 1000 // facts.region_sites if facts.region_sites else 0
    many = permille > policy.unfixable_permille and facts.region_unhealthy >= policy.zone_unhealthy_min
    unfixable = evacuation and (many or facts.region_unhealthy > policy.unfixable_sites)
    yield _Check(
        gate,
        "fixable",
        permille,
        policy.unfixable_permille,
        Reason.UNFIXABLE if unfixable else None,
    )
    broken = proposal.voluntary and permille > policy.breaker_permille
    yield _Check(
        gate,
        "breaker",
        permille,
        policy.breaker_permille,
        Reason.BREAKER if broken else None,
    )
    over = proposal.voluntary and facts.moving_permille > policy.drain_limit_permille
    yield _Check(
        gate,
        "drain-limit",
        facts.moving_permille,
        policy.drain_limit_permille,
        Reason.DRAIN_LIMIT if over else None,
    )


def _budget(proposal: Proposal, facts: Facts, policy: GovernorPolicy) -> Iterator[_Check]:
    spent = proposal.opening and facts.budget_milli < _WHOLE_TOKEN_MILLI
    yield _Check(
        GateName.BUDGET,
        "tokens",
        facts.budget_milli,
        1_000,
        Reason.BUDGET if spent else None,
    )
    flapping = proposal.voluntary and facts.acts_last_hour >= policy.flap_per_hour
    yield _Check(
        GateName.BUDGET,
        "flap",
        facts.acts_last_hour,
        policy.flap_per_hour,
        Reason.FLAPPING if flapping else None,
    )
    loud = proposal.voluntary and facts.quiet_for_ms < policy.flap_quiet_ms
    quiet = min(facts.quiet_for_ms, policy.flap_quiet_ms)
    yield _Check(
        GateName.BUDGET,
        "quiet-time",
        quiet,
        policy.flap_quiet_ms,
        Reason.FLAPPING if loud else None,
    )
