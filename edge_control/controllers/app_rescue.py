"""Stateful instances of an app: started, rescued from a dead site to reserved room, restarted in place, let go.

A rescue names the checkpoint its state comes from; without one it is refused, unless the app may start empty.
"""

from __future__ import annotations

from typing import Any, Final

from edge_control.controllers.app_books import Turn, where
from edge_control.controllers.app_care import is_forbidden, pay, run
from edge_control.controllers.app_instance_rows import InstanceDebt, InstanceMove, InstanceRow, has_instances
from edge_control.controllers.app_ledger import decide, hold, ruling_on
from edge_control.controllers.app_moves import ORIGINAL, RESCUE, RESTART, START
from edge_control.controllers.app_orders import Care, renew
from edge_control.controllers.procedures import Run
from edge_control.policies.facts import Proposal, facts_from_view
from edge_control.policies.placement import choose
from edge_control.policies.ranking import Need, Ranking
from schemas.apps import AppSpec
from schemas.decisions import Expected, Reason, Resource, Verdict
from schemas.inventory import Health
from schemas.policy import PlacementPolicy

_TRY_EVERY_MS: Final = 3_000
_ASK_AGAIN_MS: Final = 5_000
_EFFECT_MS: Final = 30_000
_WELL: Final = (Health.ALIVE, Health.UNKNOWN)


def tend_instances(turn: Turn, spec: AppSpec, *, gone: bool) -> None:
    """Let time pass for the app's instances; there are as many as its minimum says."""
    wanted = spec.bounds.min if has_instances(spec) and not gone else 0
    names = dict.fromkeys(f"{spec.app_id}/{number}" for number in range(wanted))
    for name in names:
        if name not in turn.books.instances:
            turn.books.put_instance(InstanceRow(instance_id=name, app_id=spec.app_id))
    for row in turn.books.instances_with(spec.app_id):
        before = turn.books.instances.encoded(row.instance_id)
        row.retired = row.instance_id not in names
        _look(Care(turn=turn, row=row, spec=spec))
        if row.retired and not (row.host or row.debts or row.moving):
            turn.books.instances.discard(row.instance_id)
            turn.books.instances_of[row.app_id].pop(row.instance_id, None)
        elif turn.books.instances.encoded(row.instance_id) != before:
            turn.books.put_instance(row)


def return_to(care: Care, debt: InstanceDebt) -> None:
    """The site of the original is back with its copy, and the app wants that one: freeze the replacement, wake it."""
    said = {"site_id": debt.site_id, "text": f"the original at {debt.site_id} goes on"}
    _begin(care, ORIGINAL.name, debt.site_id, Verdict.MIGRATE, Reason.SITE_ALIVE, said)
    care.move.reservation_id = debt.reservation_id


def _look(care: Care) -> None:
    row, turn = care.row, care.turn
    if row.moving is not None:
        _go_on(care)
    pay(care)
    if row.moving is not None:
        return
    health = turn.view.health_of(row.host) if row.host else Health.UNKNOWN
    if row.retired:
        _let_go(care)
    elif not row.host:
        _seek(care, Verdict.PLACE, Reason.AT_MINIMUM)
    elif health is Health.DEAD:
        _rescue(care)
    elif row.gone and health in _WELL:
        _restart(care)
    elif _is_renewal_due(care):
        turn.say([renew(care)])


def _is_renewal_due(care: Care) -> bool:
    """A lease is kept up; a question whether the copy is there is asked until it is answered."""
    waited_ms = care.turn.now_ms - care.row.renewed_at_ms
    asks = care.row.probe and waited_ms >= _ASK_AGAIN_MS
    return asks or (care.spec.exactly_once and waited_ms >= care.policy.lease_renew_ms)


def _go_on(care: Care) -> None:
    move, turn = care.move, care.turn
    back = move.kind == RESCUE.name and turn.view.health_of(move.source) is not Health.DEAD
    if back or turn.view.health_of(move.target) not in _WELL:
        run(care, lambda steps: steps.abort(str(Reason.SITE_ALIVE if back else Reason.UNHEALTHY_TARGET)))
    elif is_forbidden(care):
        run(care, lambda steps: steps.abort(str(Reason.PAUSED)))
    if care.row.moving is not None:
        run(care, Run.elapse)


def _let_go(care: Care) -> None:
    """No longer wanted: its copy is a debt."""
    row = care.row
    if row.host:
        dead = care.turn.view.health_of(row.host) is Health.DEAD
        row.debts.append(InstanceDebt(site_id=row.host, reservation_id=row.room_id, asleep=dead))
        decide(
            care.turn, care.spec, Verdict.RELEASE, _resource(row), Reason.SPEC_CHANGED, kind="scaling", site_id=row.host
        )
        row.host, row.room_id, row.probe = "", "", False


def _rescue(care: Care) -> None:
    if care.row.saved is None and not care.spec.empty_start_ok:
        said = {"site_id": care.row.host, "kind": "migration"}
        hold(care.turn, care.spec, _resource(care.row), Reason.NO_CHECKPOINT, **said)
        return
    _seek(care, Verdict.EVACUATE, Reason.SITE_DEAD)


def _restart(care: Care) -> None:
    row = care.row
    if not _is_time_to_try(care):
        return
    if row.saved is None and not care.spec.empty_start_ok:
        hold(care.turn, care.spec, _resource(row), Reason.NO_CHECKPOINT, site_id=row.host, kind="migration")
        return
    _begin(care, RESTART.name, row.host, Verdict.PLACE, Reason.REPLICA_LOST, {"site_id": row.host})


def _seek(care: Care, verdict: Verdict, reason: Reason) -> None:
    """Find a place and begin there, if the gates let it."""
    if not _is_time_to_try(care):
        return
    turn, row = care.turn, care.row
    ranking = _ranking(care, headroom=verdict is not Verdict.EVACUATE)
    said: dict[str, Any] = {
        "kind": "migration",
        "site_id": row.host,
        "candidates": ranking.candidates,
        "inputs": ranking.inputs,
    }
    if not ranking.options:
        full = any(candidate.refused_by == "room" for candidate in ranking.candidates)
        hold(turn, care.spec, _resource(row), Reason.NO_ROOM if full else Reason.NO_CANDIDATE, **said)
        return
    target = ranking.options[0].site.id
    proposal = Proposal(
        verdict=verdict,
        kind="migration",
        resource_id=row.instance_id,
        site_id=row.host or target,
        target_site=target,
        app_id=row.app_id,
        tenant=care.spec.tenant,
        raw=1,
    )
    ruling = ruling_on(turn, care.spec, proposal, facts_from_view(proposal, turn.view, turn.now_ms))
    said["gates"] = ruling.notes
    if ruling.reason is not None:
        hold(turn, care.spec, _resource(row), ruling.reason, **said)
        return
    _begin(care, RESCUE.name if verdict is Verdict.EVACUATE else START.name, target, verdict, reason, said)


def _ranking(care: Care, *, headroom: bool) -> Ranking:
    turn, row = care.turn, care.row
    avoid = dict.fromkeys((debt.site_id for debt in row.debts), "owes a copy")
    avoid.update(dict.fromkeys(turn.drained(row.app_id), "drained"))
    avoid.update(dict.fromkeys((site for site, until in row.refused.items() if until > turn.now_ms), "refused lately"))
    policy = turn.view.policies.of(PlacementPolicy, where(care.spec, row.host, turn.view))
    need = Need(spec=care.spec, near=row.host, avoid=avoid)
    return choose(turn.view, need, policy, turn.now_ms, headroom=headroom)


def _begin(  # noqa: PLR0917  # what, where, why, and what the decision shows
    care: Care, kind: str, target: str, verdict: Verdict, reason: Reason, said: dict[str, Any]
) -> None:
    row, turn, saved = care.row, care.turn, care.row.saved
    origin = saved.ref if saved is not None and kind != ORIGINAL.name else None
    rpo_ms = turn.now_ms - saved.at_ms if saved is not None and origin is not None else 0
    names = f"{target} from checkpoint {origin.version}, {rpo_ms} ms old" if origin else f"{target}, empty"
    said = {"kind": "migration", "text": names, **said}
    row.lots += 1
    row.move = InstanceMove(
        procedure_id=turn.new_id("procedure", row.instance_id),
        kind=kind,
        resource_id=row.instance_id,
        spec_version=care.spec.version,
        source=row.host,
        target=target,
        decision_id=turn.new_id("decision", row.instance_id),
        origin=origin,
        rpo_ms=rpo_ms,
    )
    expected = Expected(metric="active", value=1, by_ms=turn.now_ms + _EFFECT_MS)
    decide(
        turn, care.spec, verdict, _resource(row), reason, decision_id=row.move.decision_id, expected=expected, raw=1,
        final=1, **said,
    )  # fmt: skip
    run(care, Run.begin)


def _is_time_to_try(care: Care) -> bool:
    row, now_ms = care.row, care.turn.now_ms
    if row.tried_at_ms and now_ms - row.tried_at_ms < _TRY_EVERY_MS:
        return False
    row.tried_at_ms = now_ms
    return True


def _resource(row: InstanceRow) -> Resource:
    return Resource(type="instance", id=row.instance_id)
