"""Procedures of instances on their way: answered by sites, executors and the region; what they leave behind is paid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge_control.controllers.app_instance_rows import InstanceDebt, InstanceRow
from edge_control.controllers.app_ledger import decide
from edge_control.controllers.app_moves import MOVES, ORIGINAL, RESCUE, RESTART
from edge_control.controllers.app_orders import Care, drop, release, renew
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Run, State
from edge_control.policies.governor import paused_by
from schemas.decisions import Outcome, Reason, Resource, Verdict
from schemas.inventory import Health

_DROP_AGAIN_MS: Final = 5_000
_LEAVE_ALONE_MS: Final = 10_000
_WAKE_AFTER_MS: Final = 30_000


def run(care: Care, how: Callable[[Run[Care]], list[Output]]) -> None:
    """Move the instance's procedure on, and see to its end."""
    move = care.move
    steps = Run(move, MOVES[move.kind], care, care.turn.now_ms)
    care.turn.say(how(steps))
    if move.state is State.DONE:
        _arrive(care)
    elif move.state is State.ABORTED:
        _give_up(care)


def is_forbidden(care: Care) -> bool:
    """Whether a pause covers the procedure; past its last step it only closes and goes on."""
    move, view = care.move, care.turn.view
    sites = [site for site in (move.source, move.target) if site]
    scopes = ["all", f"app/{care.row.app_id}", f"tenant/{care.spec.tenant}", "kind/migration"]
    scopes += [f"site/{site}" for site in sites] + [f"region/{view.region_of(site)}" for site in sites]
    return bool(paused_by(tuple(scopes), view, care.turn.now_ms))


def pay(care: Care) -> None:
    """Drop what is owed, as long as the site can hear; a debt sleeps while its site is dead."""
    for debt in care.row.debts:
        _wake_or_sleep(care, debt)
        if not debt.asleep and (not debt.attempt or care.turn.now_ms - debt.asked_at_ms >= _DROP_AGAIN_MS):
            care.turn.say([drop(care, debt)])


def settle_debt(care: Care, debt: InstanceDebt) -> None:
    """The copy is gone: its room is given back."""
    care.row.debts.remove(debt)
    if debt.reservation_id:
        event_id = care.turn.new_id("release", f"{care.row.instance_id}@{debt.site_id}")
        care.turn.say([release(care, debt.site_id, debt.reservation_id, event_id)])


def conclude(care: Care, outcome: Outcome) -> None:
    """Write what became of the decision that began the procedure."""
    move = care.move
    verdict = {RESCUE.name: Verdict.EVACUATE, ORIGINAL.name: Verdict.MIGRATE}.get(move.kind, Verdict.PLACE)
    reason = Reason.VERIFIED if outcome is Outcome.EFFECTIVE else Reason.EXPIRED
    decide(
        care.turn,
        care.spec,
        verdict,
        Resource(type="instance", id=care.row.instance_id),
        reason,
        kind="migration",
        decision_id=move.decision_id,
        site_id=move.target,
        outcome=outcome,
        measured=int(outcome is Outcome.EFFECTIVE),
        text=move.reason,
    )


def _wake_or_sleep(care: Care, debt: InstanceDebt) -> None:
    """A hello wakes a debt; so does a site that has been well for a while, for an executor may have lost its memory."""
    health = care.turn.view.health.get(debt.site_id)
    if health is None:
        return
    if health.health is Health.DEAD:
        debt.asleep = True
    elif debt.asleep and health.health is Health.ALIVE:
        debt.asleep = care.turn.now_ms - health.since_ms < _WAKE_AFTER_MS


def _arrive(care: Care) -> None:
    """The instance is active at its target; what it left behind is owed."""
    row, move = care.row, care.move
    if move.kind in (RESCUE.name, ORIGINAL.name):
        asleep = move.kind == RESCUE.name
        row.debts = [debt for debt in row.debts if debt.site_id != move.target]
        row.debts.append(InstanceDebt(site_id=move.source, reservation_id=row.room_id, asleep=asleep))
    if move.kind != RESTART.name:
        row.host, row.room_id = move.target, move.reservation_id
    row.gone = row.probe = False
    conclude(care, Outcome.EFFECTIVE)
    row.move = None
    if care.spec.exactly_once:
        care.turn.say([renew(care)])


def _give_up(care: Care) -> None:
    row, move = care.row, care.move
    if move.kind != RESTART.name:
        _leave_alone(row, move.target, care.turn.now_ms)
    conclude(care, Outcome.INEFFECTIVE)
    row.move = None


def _leave_alone(row: InstanceRow, site_id: str, now_ms: int) -> None:
    row.refused = {site: until for site, until in row.refused.items() if until > now_ms}
    row.refused[site_id] = now_ms + _LEAVE_ALONE_MS
