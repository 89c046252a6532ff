"""Judges one app at one site: demand -> recommendation -> room -> gates -> order, overflow or Hold (PROCEDURES 4).

wanted = own + placed. Whatever is decided, `site_orders` brings what runs to what is wanted.
"""

from __future__ import annotations

import msgspec

from edge_control.controllers import site_decide, site_load, site_orders, site_reports, site_room
from edge_control.controllers.site_decide import Grounds, Standing
from edge_control.controllers.site_load import Measured
from edge_control.controllers.site_rows import AppRow
from edge_control.controllers.site_turn import Turn
from edge_control.inventory.amounts import NONE, PLENTY, larger
from edge_control.policies import scaling
from edge_control.policies.scaling import Recommendation, Situation
from schemas.apps import AppSpec
from schemas.base import capped
from schemas.decisions import InputRow, PolicyRef, Reason, Verdict
from schemas.policy import Mode, ScalingPolicy
from schemas.requests import Overflow, SiteReport
from topics.catalogue import Keyspace

_GATE_RETRY_MS = 5_000
_SHADOW_MS = 60_000
_APPROVAL_MS = 600_000


class Case(msgspec.Struct, kw_only=True):
    """One judging of one app: the rules that count, what was measured, and when to judge again."""

    row: AppRow
    spec: AppSpec
    policy: ScalingPolicy
    ref: PolicyRef
    mode: Mode
    measured: Measured
    now: Situation
    advice: Recommendation
    due: list[int]


def judge_app(turn: Turn, row: AppRow) -> None:
    """Bring what an app holds at its site to what it should hold, and say so."""
    spec = turn.spec(row.app_id)
    if spec is None:
        row.due_ms = site_decide.hold(turn, row, Reason.NO_SPEC)
        return
    _adopt(row, spec)
    case = _study(turn, row, spec)
    site_decide.check_outcome(turn, row)
    ceiling = _ceiling(turn, case)
    _overflow(turn, case, ceiling)
    _choose(turn, case, ceiling)
    case.due.append(site_orders.converge(turn, case.row, spec, _standing(case), case.ref))
    site_orders.answer_asks(turn, row)
    body = _report_of(turn, case)
    site_reports.report(turn, row, body)
    case.due.append(site_reports.report_due_ms(row, body))
    case.due += site_orders.due(row)
    row.due_ms = capped(min((at_ms for at_ms in case.due if at_ms > turn.now_ms), default=0))


def allowed_here(turn: Turn, spec: AppSpec, site_id: str) -> bool:
    """Whether the app's spec lets it run at this site at all."""
    where = spec.location
    if where.sites and site_id not in where.sites:
        return False
    site = turn.view.sites.get(site_id)
    if site is None:
        return not (where.regions or spec.tiers)
    place = site.body
    fits_tier = not spec.tiers or place.tier in spec.tiers
    fits_region = not where.regions or place.region in where.regions
    return fits_tier and fits_region and spec.class_ in place.classes


def _adopt(row: AppRow, spec: AppSpec) -> None:
    """Follow the spec's size: while replicas of an older version run, the larger of both counts."""
    unit = site_room.unit_of(spec)
    rolling = row.unit != NONE and row.accounted > 0 and row.spec_version != spec.version
    row.unit = larger(row.unit, unit) if rolling else unit
    row.spec_seen = spec.version


def _study(turn: Turn, row: AppRow, spec: AppSpec) -> Case:
    policy, ref, mode = turn.view.policies.find(ScalingPolicy, turn.scope(row.site_id, row.app_id, spec.tenant))
    measured = site_load.measure(row, spec, policy, turn.books.ledger.seats(row.key))
    now = _situation(turn, row, spec, policy, measured)
    advice = scaling.recommend(now, row.memory, policy, turn.now_ms)
    row.memory, row.demand_milli = advice.memory, measured.demand_milli
    due = [
        row.memory.panic_until_ms,
        row.memory.step_at_ms + policy.up_step_ms,
        measured.sampled_at_ms + now.stale_after_ms + 1,
        measured.sampled_at_ms + policy.fallback_after_ms + 1,
        *(at_ms + now.release_ms for at_ms, _ in row.memory.peaks),
    ]
    return Case(
        row=row, spec=spec, policy=policy, ref=ref, mode=mode, measured=measured, now=now, advice=advice, due=due
    )


def _situation(turn: Turn, row: AppRow, spec: AppSpec, policy: ScalingPolicy, measured: Measured) -> Situation:
    site = turn.books.sites[row.site_id]
    nodes_are_stale = turn.now_ms - site.batch_ms > policy.stale_intervals * max(site.interval_ms, 1)
    return Situation(
        own=row.own,
        ready=max(0, row.observed - row.placed),
        demand_milli=measured.demand_milli,
        panic_milli=measured.panic_milli,
        forecast_milli=site_load.follow_trend(row, measured, policy, site_orders.startup_ms(row, spec)),
        sampled_at_ms=measured.sampled_at_ms,
        age_ms=max(0, turn.now_ms - measured.sampled_at_ms) if measured.sampled_at_ms else 0,
        stale_after_ms=policy.stale_intervals * measured.interval_ms,
        coverage_permille=0 if nodes_are_stale else site.totals.coverage_permille,
        minimum=spec.bounds.site_min if allowed_here(turn, spec, row.site_id) else 0,
        maximum=spec.bounds.site_max,
        release_ms=scaling.release_ms(policy, spec.cost, spec.idle_after_ms, measured.demand_milli),
        in_flight=bool(row.orders),
    )


def _ceiling(turn: Turn, case: Case) -> int:
    """The most own replicas the site can hold: never fewer than it holds, as room already given stays given."""
    row, needed = case.row, case.advice.needed
    if not allowed_here(turn, case.spec, row.site_id):
        return 0
    most = max(case.spec.bounds.site_max, row.own)
    if max(case.advice.replicas, needed or 0) <= row.own:
        return most
    spare = row.accounted - row.wanted
    room = row.own + spare + site_room.fits(turn, row, row.unit)
    return max(row.own, min(room, most))


def _left_of_all(turn: Turn, row: AppRow) -> int:
    """The most own replicas that the app's budget over all sites leaves here, as its controller last published it."""
    seen = turn.view.app_rows.get(row.app_id)
    if seen is None or not seen.body.budget.max:
        return PLENTY
    here = sum(share.desired for share in seen.body.sites if share.site_id == row.site_id)
    return max(row.own, seen.body.budget.max - (seen.body.budget.used - here) - row.placed)


def _overflow(turn: Turn, case: Case, ceiling: int) -> None:
    """Say what does not fit, in all: at once when it changes, again every few seconds, once when it ends."""
    row, needed = case.row, case.advice.needed
    if needed is None or not _has_room_data(turn, row):
        return
    missing = max(0, needed - ceiling)
    again_ms = row.missing_said_ms + case.policy.overflow_repeat_ms
    row.missing = missing
    if missing == row.missing_said and (not missing or turn.now_ms < again_ms):
        case.due.append(again_ms if missing else 0)
        return
    row.missing_said, row.missing_said_ms = missing, turn.now_ms
    body = Overflow(
        site_id=row.site_id,
        app_id=row.app_id,
        missing_milli=missing * 1000,
        permille=missing * 1000 // needed if missing else 0,
        missing_replicas=missing,
        at_ms=turn.now_ms,
    )
    turn.tell(Keyspace.APP, row.app_id, body, row.key)
    case.due.append(turn.now_ms + case.policy.overflow_repeat_ms if missing else 0)


def _choose(turn: Turn, case: Case, ceiling: int) -> None:
    row, advice = case.row, case.advice
    left = _left_of_all(turn, row)
    target, reason = min(advice.replicas, ceiling, left), advice.reason
    if advice.replicas > row.own and not _has_room_data(turn, row):
        target, reason = row.own, Reason.TELEMETRY_MISSING
    elif target < advice.replicas and target == row.own:
        reason = Reason.AT_MAXIMUM if left < ceiling else Reason.NO_ROOM
    grounds = _grounds(case, target, reason)
    if target == row.own:
        case.due.append(site_decide.hold(turn, row, reason, grounds))
        return
    ruling = site_decide.rule(turn, row, grounds.verdict, grounds.final, _standing(case))
    grounds = msgspec.structs.replace(grounds, gates=ruling.notes)
    if not ruling.allowed:
        case.due += [
            site_decide.hold(turn, row, ruling.reason or reason, grounds),
            turn.now_ms + _GATE_RETRY_MS,
        ]
        return
    if case.mode is not Mode.ACTIVE and not _is_approved(turn, case, grounds):
        return
    before = row.wanted
    if target > row.own:
        row.memory = scaling.stepped(row.memory, row.own, case.policy, turn.now_ms)
    row.own = target
    site_orders.order(turn, row, case.spec, grounds, before)


def _is_approved(turn: Turn, case: Case, grounds: Grounds) -> bool:
    """Whether an operator said yes to this value; else it is written down once and waits (shadow waits for ever)."""
    row = case.row
    if case.mode is Mode.OFF:
        case.due.append(site_decide.hold(turn, row, Reason.POLICY_OFF, grounds))
        return False
    if not row.waiting_id or row.waiting_for != grounds.final:
        row.waiting_for = grounds.final
        waits_ms = _APPROVAL_MS if case.mode is Mode.APPROVE else _SHADOW_MS
        row.waiting_id = site_decide.advise(
            turn, row, msgspec.structs.replace(grounds, mode=case.mode), turn.now_ms + waits_ms
        )
    said = turn.view.approvals.get(row.waiting_id)
    yes = case.mode is Mode.APPROVE and said is not None and said.body.granted
    if yes:
        row.waiting_id = ""
    elif case.mode is Mode.APPROVE:
        case.due.append(turn.now_ms + _GATE_RETRY_MS)
    return yes


def _has_room_data(turn: Turn, row: AppRow) -> bool:
    return turn.books.sites[row.site_id].totals.admitted > 0


def _standing(case: Case) -> Standing:
    row, policy = case.row, case.policy
    flying = Verdict.SCALE_OUT if row.orders and row.orders[-1].replicas > row.observed else Verdict.SCALE_IN
    shrinking = case.advice.replicas < row.own
    return Standing(
        tenant=case.spec.tenant,
        age_ms=case.now.age_ms if shrinking else 0,
        max_age_ms=case.now.stale_after_ms if shrinking else 0,
        coverage_permille=case.now.coverage_permille,
        min_coverage_permille=policy.min_coverage_permille,
        in_flight=flying if shrinking and row.orders else None,
    )


def _grounds(case: Case, target: int, reason: Reason) -> Grounds:
    row, measured = case.row, case.measured
    values = {
        "demand_milli": measured.demand_milli,
        "panic_milli": measured.panic_milli,
        "own": row.own,
        "placed": row.placed,
        "ready": row.observed,
        "coverage_permille": case.now.coverage_permille,
        "age_ms": case.now.age_ms,
        **{f"demand_{name}_milli": milli for name, milli in measured.parts.items()},
    }
    return Grounds(
        verdict=Verdict.SCALE_OUT if target > row.own else Verdict.SCALE_IN,
        reason=reason,
        raw=case.advice.raw,
        final=target + row.placed,
        policy=case.ref,
        history=case.advice.history,
        inputs=(InputRow(row=row.key, as_of_ms=measured.sampled_at_ms, values=values),),
    )


def _report_of(turn: Turn, case: Case) -> SiteReport:
    row = case.row
    return SiteReport(
        site_id=row.site_id,
        app_id=row.app_id,
        at_ms=turn.now_ms,
        demand_milli=case.measured.demand_milli,
        desired=row.wanted,
        ready=row.observed,
        own=row.own,
        placed=row.placed,
        served_elsewhere_permille=site_load.elsewhere_permille(row),
        coverage_permille=case.now.coverage_permille,
        age_ms=case.now.age_ms,
        capacity_milli=row.observed * 1000,
    )
