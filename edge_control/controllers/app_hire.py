"""Hires: what an ingress's site cannot carry goes to neighbours with room, for as long as it is missing (PROCEDURES 5).

A hire never changes size: more overflow opens another one, less ends the newest as long as the rest still covers.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from edge_control.controllers.app_books import AppBooks, Turn, where
from edge_control.controllers.app_demand import touch
from edge_control.controllers.app_drive import begin, is_wanted, wanted_in_all
from edge_control.controllers.app_ledger import decide, hold, may_act, ruling_on
from edge_control.controllers.app_rows import HireRow, IngressRow, at
from edge_control.controllers.app_spill import is_sick, policy_of, published
from edge_control.controllers.app_steps import HIRE, PLACE_STEP, patience_ms
from edge_control.controllers.procedures import State
from edge_control.policies.facts import Proposal, facts_from_view
from edge_control.policies.governor import Ruling
from edge_control.policies.offload import Pick, neighbours, plan
from edge_control.policies.placement import quota_left
from edge_control.policies.ranking import Need, Ranking, SiteOption
from schemas.apps import AppSpec
from schemas.base import derive_id
from schemas.decisions import Expected, Reason, Resource, Verdict
from schemas.inventory import Health, SpillAtSite
from schemas.policy import Mode, OffloadPolicy, PlacementPolicy
from schemas.requests import Overflow

_EFFECT_MS: Final = 20_000


def fold_overflow(turn: Turn, overflow: Overflow, at_ms: int) -> None:
    """Take what an ingress's site says it cannot carry, and hire for what nobody covers yet."""
    key = at(overflow.app_id, overflow.site_id)
    row = turn.books.ingresses.get(key) or IngressRow(app_id=overflow.app_id, site_id=overflow.site_id)
    said_ms = min(overflow.at_ms or at_ms, turn.now_ms)
    if said_ms < row.at_ms:
        return
    spec = turn.books.spec(overflow.app_id)
    row.at_ms, row.missing_milli, row.missing = said_ms, overflow.missing_milli, _missing(overflow)
    if row.missing and overflow.permille:
        row.permille = overflow.permille
    row.refused = {site: until for site, until in row.refused.items() if until > turn.now_ms}
    turn.books.ingresses[key] = row
    turn.books.ingresses_of.setdefault(row.app_id, {})[row.site_id] = None
    touch(turn.books, row.app_id)
    if spec is not None and not turn.books.specs[row.app_id].gone:
        _consider(turn, spec, row)


def covered(turn: Turn, row: IngressRow) -> int:
    """Replicas hired for an ingress that carry or soon will: not those at sick hosts, nor those to be replaced."""
    drained = turn.drained(row.app_id)
    hires = (hire for hire in turn.books.hires_for(row.app_id, row.site_id) if is_wanted(hire))
    return sum(hire.replicas for hire in hires if not hire.retiring and not is_sick(turn, hire.host, drained))


def summary(books: AppBooks, app_id: str) -> tuple[tuple[SpillAtSite, ...], int, int]:
    """What the app's public row says of hires: the shares given away, the load nobody carries, the replicas held."""
    hires = [hire for hire in books.hires_for(app_id) if is_wanted(hire)]
    unmet, spills = 0, []
    for row in books.ingresses_with(app_id):
        hired = sum(hire.replicas for hire in hires if hire.ingress == row.site_id and hire.state is State.HELD)
        unmet += row.missing_milli * max(0, row.missing - hired) // max(1, row.missing)
        spills += published(row)
    return tuple(spills), unmet, sum(hire.replicas for hire in hires)


def resource_of(row: IngressRow) -> Resource:
    """The ingress as decisions name it."""
    return Resource(type="ingress", id=at(row.app_id, row.site_id))


def _missing(overflow: Overflow) -> int:
    """Replicas in the overflow: as said, or from the missing load, which counts in thousandths of a replica."""
    return overflow.missing_replicas or -(-overflow.missing_milli // 1000)


def _consider(turn: Turn, spec: AppSpec, row: IngressRow) -> None:
    gap = row.missing - covered(turn, row)
    if gap <= 0:
        return
    policy, ref, mode = turn.view.policies.find(OffloadPolicy, where(spec, row.site_id, turn.view))
    ranking = _ranking(turn, spec, row, policy)
    allowed = min(gap, spec.bounds.max - wanted_in_all(turn, spec.app_id), quota_left(turn.view, spec))
    picks = plan(allowed, ranking.options) if allowed > 0 else []
    said: dict[str, Any] = {
        "site_id": row.site_id,
        "candidates": ranking.candidates,
        "inputs": ranking.inputs,
        "raw": gap,
        "policy": ref,
    }
    if not picks:
        hold(turn, spec, resource_of(row), _why_none(turn, row, ranking, allowed), **said)
    for pick in picks:
        _propose(turn, spec, row, pick, mode, said)


def _propose(turn: Turn, spec: AppSpec, row: IngressRow, pick: Pick, mode: Mode, said: dict[str, Any]) -> None:  # noqa: PLR0917  # one pick with all that its decision shows
    ruling = _ruling(turn, spec, row, pick)
    decision_id = derive_id("hire", resource_of(row).id, str(row.lots + 1))
    said = {**said, "gates": ruling.notes, "decision_id": decision_id}
    if ruling.reason is not None:
        hold(turn, spec, resource_of(row), ruling.reason, **said)
        return
    stop = may_act(turn, mode, decision_id)
    if stop is None:
        _open(turn, spec, row, pick, said)
    elif stop is Reason.POLICY_OFF:
        hold(turn, spec, resource_of(row), stop, **said)
    else:
        hold(turn, spec, resource_of(row), stop, verdict=Verdict.OFFLOAD, mode=mode, final=pick.replicas, **said)


def _open(turn: Turn, spec: AppSpec, row: IngressRow, pick: Pick, said: dict[str, Any]) -> None:
    row.lots += 1
    turn.books.ingresses[at(row.app_id, row.site_id)] = row
    hire = HireRow(
        procedure_id=turn.new_id("procedure", at(row.app_id, row.site_id)),
        kind=HIRE.name,
        resource_id=f"{row.app_id}|{row.site_id}|{pick.site_id}|{row.lots}",
        spec_version=spec.version,
        app_id=row.app_id,
        ingress=row.site_id,
        host=pick.site_id,
        lot=row.lots,
        replicas=pick.replicas,
        opened_at_ms=turn.now_ms,
        decision_id=said["decision_id"],
    )
    share = row.permille * pick.replicas // max(1, row.missing)
    by_ms = turn.now_ms + 2 * patience_ms(spec) + _EFFECT_MS
    expected = Expected(metric="served_elsewhere_permille", value=share, by_ms=by_ms)
    text = f"{pick.replicas} at {pick.site_id} for {row.site_id}"
    decide(
        turn, spec, Verdict.OFFLOAD, resource_of(row), Reason.OVERLOAD, final=pick.replicas, expected=expected,
        text=text, **said,
    )  # fmt: skip
    begin(turn, spec, hire)


def _ranking(turn: Turn, spec: AppSpec, row: IngressRow, policy: OffloadPolicy) -> Ranking:
    need = Need(spec=spec, near=row.site_id, avoid=_avoided(turn, row))
    limit = turn.view.policies.of(PlacementPolicy, where(spec, row.site_id, turn.view)).max_candidates
    ranking = neighbours(turn.view, need, policy, turn.now_ms, limit)
    return msgspec.structs.replace(ranking, options=less_pending(turn, spec.app_id, ranking.options))


def _avoided(turn: Turn, row: IngressRow) -> dict[str, str]:
    """Hosts that are never hired: overflowing themselves, drained, or having said no lately."""
    avoid: dict[str, str] = {}
    for name, seen in turn.view.site_rows.items():
        if any(spill.app_id == row.app_id for spill in seen.body.spill):
            avoid[name] = "overflowing"
    for other in turn.books.ingresses_with(row.app_id):
        if other.missing > 0:
            avoid[other.site_id] = "overflowing"
    avoid.update(dict.fromkeys(turn.drained(row.app_id), "drained"))
    avoid.update(dict.fromkeys((site for site, until in row.refused.items() if until > turn.now_ms), "refused lately"))
    return avoid


def less_pending(turn: Turn, app_id: str, options: tuple[SiteOption, ...]) -> tuple[SiteOption, ...]:
    """The options without the room for which this app has just asked: their rows cannot show it yet."""
    pending: dict[str, int] = {}
    for hire in turn.books.hires_for(app_id):
        if hire.state is State.RUN and hire.step <= PLACE_STEP:
            pending[hire.host] = pending.get(hire.host, 0) + hire.replicas
    left = (msgspec.structs.replace(o, room=o.room - pending.get(o.site.id, 0)) for o in options)
    return tuple(option for option in left if option.room > 0)


def _ruling(turn: Turn, spec: AppSpec, row: IngressRow, pick: Pick) -> Ruling:
    proposal = Proposal(
        verdict=Verdict.OFFLOAD,
        kind="offload",
        resource_id=at(row.app_id, row.site_id),
        site_id=row.site_id,
        target_site=pick.site_id,
        app_id=spec.app_id,
        tenant=spec.tenant,
        raw=pick.replicas,
    )
    known = facts_from_view(proposal, turn.view, turn.now_ms)
    policy = policy_of(turn, spec, row.site_id)
    facts = msgspec.structs.replace(
        known, input_age_ms=turn.now_ms - row.at_ms, max_input_age_ms=policy.max_view_age_ms
    )
    return ruling_on(turn, spec, proposal, facts)


def _why_none(turn: Turn, row: IngressRow, ranking: Ranking, allowed: int) -> Reason:
    if turn.view.health_of(row.site_id) in (Health.SUSPECT, Health.DEAD):
        return Reason.SITE_SUSPECT
    if allowed <= 0:
        return Reason.AT_MAXIMUM
    refusals = [candidate.refused_by for candidate in ranking.candidates]
    if "view-age" in refusals:
        return Reason.VIEW_STALE
    return Reason.NO_ROOM if ranking.options or "room" in refusals else Reason.NO_CANDIDATE
