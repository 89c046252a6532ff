"""An app's least number of replicas over all sites: what is missing is placed, what may not stay is replaced.

Placed is what the sites' own demand does not already hold. A dependent waits until its dependencies are in reach.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from edge_control.controllers.app_books import Turn, where
from edge_control.controllers.app_drive import begin, is_wanted, stop, wanted_in_all
from edge_control.controllers.app_hire import less_pending
from edge_control.controllers.app_ledger import decide, hold, may_act, ruling_on
from edge_control.controllers.app_rows import HireRow, at
from edge_control.controllers.app_steps import PLACE, patience_ms
from edge_control.policies.facts import Proposal, facts_from_view
from edge_control.policies.offload import Pick, plan
from edge_control.policies.placement import choose, quota_left, topological
from edge_control.policies.ranking import Need, Ranking
from schemas.apps import AppSpec
from schemas.base import derive_id
from schemas.decisions import Expected, Reason, Resource, Verdict
from schemas.inventory import Health
from schemas.policy import Mode, PlacementPolicy

_TRY_EVERY_MS: Final = 3_000
_EFFECT_MS: Final = 20_000


def keep_minimum(turn: Turn, spec: AppSpec) -> None:
    """Place what is missing to the app's minimum; end placements that are too many or stand where they may not."""
    placed = [hire for hire in turn.books.hires_for(spec.app_id, "") if is_wanted(hire)]
    staying = [hire for hire in placed if not hire.retiring]
    total = wanted_in_all(turn, spec.app_id) - sum(hire.replicas for hire in placed if hire.retiring)
    if total < spec.bounds.min:
        _try_to_place(turn, spec, spec.bounds.min - total)
        return
    for hire in placed:
        if hire.retiring:
            stop(turn, spec, hire, Reason.SPEC_CHANGED)
    held = sum(hire.replicas for hire in staying)
    for hire in reversed(staying):
        if held - hire.replicas >= spec.bounds.min:
            held -= hire.replicas
            stop(turn, spec, hire, Reason.SPEC_CHANGED)


def _try_to_place(turn: Turn, spec: AppSpec, missing: int) -> None:
    """Once in a while: what found no place is asked for again, but not on every tick."""
    app = turn.books.app(spec.app_id)
    if app.placed_at_ms and turn.now_ms - app.placed_at_ms < _TRY_EVERY_MS:
        return
    app.placed_at_ms = turn.now_ms
    turn.books.apps[spec.app_id] = app
    policy, ref, mode = turn.view.policies.find(PlacementPolicy, where(spec, "", turn.view))
    ranking = _ranking(turn, spec, policy)
    allowed = min(missing, quota_left(turn.view, spec))
    picks = plan(allowed, ranking.options) if allowed > 0 else []
    said: dict[str, Any] = {
        "kind": "scaling",
        "candidates": ranking.candidates,
        "inputs": ranking.inputs,
        "raw": missing,
        "policy": ref,
    }
    cycle = spec.app_id in topological({name: seen.body for name, seen in turn.view.apps.items()})[1]
    if cycle or not picks:
        reason = Reason.NO_CANDIDATE if cycle else _why_none(turn, ranking, allowed)
        text = "its dependencies form a circle" if cycle else ""
        hold(turn, spec, Resource(type="app", id=spec.app_id), reason, text=text, **said)
        return
    for pick in picks:
        _propose(turn, spec, pick, mode, said)


def _ranking(turn: Turn, spec: AppSpec, policy: PlacementPolicy) -> Ranking:
    refused = turn.books.app(spec.app_id).refused
    avoid = dict.fromkeys((site for site, until in refused.items() if until > turn.now_ms), "refused lately")
    avoid.update(dict.fromkeys(turn.drained(spec.app_id), "drained"))
    near = max(turn.books.demands(spec.app_id), key=lambda row: (row.demand_milli, row.site_id), default=None)
    need = Need(spec=spec, near=near.site_id if near is not None and near.demand_milli else "", avoid=avoid)
    ranking = choose(turn.view, need, policy, turn.now_ms)
    return msgspec.structs.replace(ranking, options=less_pending(turn, spec.app_id, ranking.options))


def _propose(turn: Turn, spec: AppSpec, pick: Pick, mode: Mode, said: dict[str, Any]) -> None:
    resource = Resource(type="replicas", id=at(spec.app_id, pick.site_id))
    proposal = Proposal(
        verdict=Verdict.PLACE,
        kind="scaling",
        resource_id=resource.id,
        site_id=pick.site_id,
        app_id=spec.app_id,
        tenant=spec.tenant,
        raw=pick.replicas,
    )
    ruling = ruling_on(turn, spec, proposal, facts_from_view(proposal, turn.view, turn.now_ms))
    lot = turn.books.app(spec.app_id).lots + 1
    decision_id = derive_id("place", resource.id, str(lot))
    said = {**said, "gates": ruling.notes, "decision_id": decision_id, "site_id": pick.site_id, "final": pick.replicas}
    stopped = ruling.reason if ruling.reason is not None else may_act(turn, mode, decision_id)
    if stopped is None:
        _open(turn, spec, pick, lot, said)
    elif stopped in (Reason.SHADOW, Reason.AWAITING_APPROVAL):
        hold(turn, spec, resource, stopped, verdict=Verdict.PLACE, mode=mode, **said)
    else:
        hold(turn, spec, resource, stopped, **said)


def _open(turn: Turn, spec: AppSpec, pick: Pick, lot: int, said: dict[str, Any]) -> None:
    resource, app = Resource(type="replicas", id=at(spec.app_id, pick.site_id)), turn.books.app(spec.app_id)
    app.lots = lot
    turn.books.apps[spec.app_id] = app
    hire = HireRow(
        procedure_id=turn.new_id("procedure", resource.id),
        kind=PLACE.name,
        resource_id=resource.id,
        spec_version=spec.version,
        app_id=spec.app_id,
        host=pick.site_id,
        lot=lot,
        replicas=pick.replicas,
        opened_at_ms=turn.now_ms,
        decision_id=said["decision_id"],
    )
    by_ms = turn.now_ms + 2 * patience_ms(spec) + _EFFECT_MS
    expected = Expected(metric="ready", value=pick.replicas, by_ms=by_ms)
    said = {**said, "expected": expected, "text": f"{pick.replicas} at {pick.site_id}"}
    lost = any(turn.view.health_of(row.site_id) is Health.DEAD for row in turn.books.demands(spec.app_id))
    decide(turn, spec, Verdict.PLACE, resource, Reason.SITE_DEAD if lost else Reason.AT_MINIMUM, **said)
    begin(turn, spec, hire)


def _why_none(turn: Turn, ranking: Ranking, allowed: int) -> Reason:
    if allowed <= 0:
        return Reason.BUDGET
    if not turn.view.sites:
        return Reason.EMPTY_SET
    refusals = [candidate.refused_by for candidate in ranking.candidates]
    if "view-age" in refusals:
        return Reason.VIEW_STALE
    return Reason.NO_ROOM if ranking.options or "room" in refusals else Reason.NO_CANDIDATE
