"""The procedures of a stateful instance, as data (PROCEDURES 3): start, rescue, restart in place, back to the original.

Nothing becomes active before its room is committed; a rescue also waits until no copy at the dead site can be active,
and needs a lease that the region gives from its own row at that moment.
"""

from __future__ import annotations

from typing import Final

from edge_control.controllers import outputs as out
from edge_control.controllers.app_instance_rows import InstanceDebt
from edge_control.controllers.app_orders import Care, is_evidenced, order, release
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Ask, Kind, Step
from schemas.commands import MoveStep
from schemas.inventory import Health
from schemas.requests import AskLease, Budget, Commit, Purpose, Reserve
from topics.catalogue import Keyspace

_SITE_MS: Final = 2_000
_ACTIVATE_MS: Final = 3_000
_DISCARDS_BEFORE_DEBT: Final = 3


def _reserve(care: Care, ask: Ask) -> list[Output]:
    move = care.move
    move.reservation_id = ask.id
    body = Reserve(
        request_id=ask.id,
        reply_key=care.row.app_id,
        reply_keyspace=str(Keyspace.APP),
        expires_at_ms=ask.at_ms + 3 * _SITE_MS,
        site_id=move.target,
        app_id=care.row.app_id,
        resource_id=care.row.instance_id,
        purpose=Purpose.EVACUATE if move.kind == "rescue" else Purpose.PLACE,
        for_ms=care.policy.reserve_for_ms,
        seats=1,
    )
    return [out.message(Keyspace.SITE, move.target, f"{ask.id}/{ask.attempt}", body, correlation_id=ask.id)]


def _unreserve(care: Care, ask: Ask) -> list[Output]:
    return [] if care.move.in_debt else [release(care, care.move.target, care.move.reservation_id, ask.id)]


def _commit(care: Care, ask: Ask) -> list[Output]:
    move = care.move
    move.committed = True
    body = Commit(
        request_id=ask.id,
        reply_key=care.row.app_id,
        reply_keyspace=str(Keyspace.APP),
        expires_at_ms=ask.at_ms + 3 * _SITE_MS,
        site_id=move.target,
        reservation_id=move.reservation_id,
        resource_id=care.row.instance_id,
    )
    return [out.message(Keyspace.SITE, move.target, f"{ask.id}/{ask.attempt}", body, correlation_id=ask.id)]


def _permit(care: Care, ask: Ask) -> list[Output]:
    """A token of the workload budget; for a rescue it is the region's word that the site is dead now."""
    move = care.move
    region_id = care.turn.view.region_of(move.source or move.target)
    body = AskLease(
        request_id=ask.id,
        reply_key=care.row.app_id,
        reply_keyspace=str(Keyspace.APP),
        expires_at_ms=ask.at_ms + 2 * _SITE_MS,
        region_id=region_id,
        budget=Budget.WORKLOADS,
        amount=1,
        site_id=move.source if move.kind == "rescue" else "",
        target_site=move.target if move.kind != "rescue" else "",
        resource_id=care.row.instance_id,
    )
    return [out.message(Keyspace.REGION, region_id, f"{ask.id}/{ask.attempt}", body, correlation_id=ask.id)]


def _freeze(care: Care, ask: Ask) -> list[Output]:
    start_by_ms = min(ask.at_ms + 2 * _SITE_MS, care.move.permit_until_ms)
    return [order(care, ask, MoveStep.FREEZE, care.move.source, start_by_ms=start_by_ms)]


def _thaw(care: Care, ask: Ask) -> list[Output]:
    lease_ms = care.policy.first_lease_ms if care.spec.exactly_once else 0
    return [order(care, ask, MoveStep.THAW, care.move.source, lease_ms=lease_ms)]


def _activate(care: Care, ask: Ask) -> list[Output]:
    move = care.move
    move.start_by_ms = ask.at_ms + 2 * _ACTIVATE_MS
    lease_ms = care.policy.first_lease_ms if care.spec.exactly_once else 0
    move.lease_until_ms = ask.at_ms + lease_ms if lease_ms else 0
    return [order(care, ask, MoveStep.ACTIVATE, move.target, start_by_ms=move.start_by_ms, lease_ms=lease_ms)]


def _discard(care: Care, ask: Ask) -> list[Output]:
    return [order(care, ask, MoveStep.DISCARD, care.move.target)]


def _is_lease_over(care: Care) -> bool:
    """Whether no copy at the dead site can be or become active: no lease counts, or the last one sent has lapsed.

    With proof of death it is enough that no order sent before can still wake a copy if the site comes back.
    """
    source = care.move.source
    if not care.spec.exactly_once:
        return True
    last = care.row.wakes if is_evidenced(care.turn, source) else care.row.leases
    return last.get(source, 0) + care.skew_ms < care.turn.now_ms


def _cannot_count(care: Care) -> bool:
    """What was ordered is too late to start, and proof or its lapsed lease says that nothing runs there.

    A silent target without leases is left to a debt after a few questions: else it would hold the instance for ever.
    """
    move, settled_ms = care.move, care.turn.now_ms - care.skew_ms
    if move.start_by_ms >= settled_ms:
        return False
    if care.spec.exactly_once and move.lease_until_ms < settled_ms:
        return True
    leaves_debt = not care.spec.exactly_once and move.kind != "original" and move.tries >= _DISCARDS_BEFORE_DEBT
    return leaves_debt or is_evidenced(care.turn, move.target)


def _book_debt(care: Care) -> None:
    """What the target may still hold is dropped later; until then its room stays taken."""
    move = care.move
    if move.kind in ("start", "rescue") and move.committed and not move.in_debt:
        move.in_debt = True
        dead = care.turn.view.health_of(move.target) is Health.DEAD
        care.row.debts.append(InstanceDebt(site_id=move.target, reservation_id=move.reservation_id, asleep=dead))


def _is_source_dead(care: Care) -> bool:
    return care.turn.view.health_of(care.move.source) is Health.DEAD


def _never(_care: Care) -> bool:
    return False


_RESERVE = Step[Care](
    name="reserve", to="target site", do=_reserve, undo=_unreserve, deadline_ms=_SITE_MS, tries=3, undo_waits=_never
)
_COMMIT = Step[Care](name="commit", to="target site", do=_commit, deadline_ms=_SITE_MS, tries=3)
_WAIT = Step[Care](name="wait", to="", passes=_is_lease_over)
_PERMIT = Step[Care](name="permit", to="region", do=_permit, deadline_ms=_SITE_MS, tries=2)
_FREEZE = Step[Care](
    name="freeze", to="source executor", do=_freeze, undo=_thaw, deadline_ms=_SITE_MS, tries=2, moot=_is_source_dead
)
_ACTIVATE = Step[Care](
    name="activate", to="target executor", do=_activate, undo=_discard, deadline_ms=_ACTIVATE_MS, tries=2,
    moot=_cannot_count, settle=_book_debt,
)  # fmt: skip
_WAKE = Step[Care](name="activate", to="target executor", do=_activate, deadline_ms=_ACTIVATE_MS, tries=2)
START: Final = Kind[Care](name="start", steps=(_RESERVE, _COMMIT, _ACTIVATE))
RESCUE: Final = Kind[Care](name="rescue", steps=(_RESERVE, _COMMIT, _WAIT, _PERMIT, _ACTIVATE))
RESTART: Final = Kind[Care](name="restart", steps=(_PERMIT, _WAKE))
ORIGINAL: Final = Kind[Care](name="original", steps=(_PERMIT, _FREEZE, _ACTIVATE))
MOVES: Final = {kind.name: kind for kind in (START, RESCUE, RESTART, ORIGINAL)}
