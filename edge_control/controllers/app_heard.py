"""What sites, executors and the region say about an app's instances: answers, hellos, checkpoints."""

from __future__ import annotations

from collections.abc import Iterator

from edge_control.controllers.app_books import Turn
from edge_control.controllers.app_care import run, settle_debt
from edge_control.controllers.app_instance_rows import InstanceDebt, InstanceRow, SavedState
from edge_control.controllers.app_orders import Care, renew
from edge_control.controllers.app_rescue import return_to
from edge_control.controllers.procedures import Run, State
from schemas.apps import Reconcile
from schemas.commands import StateRef
from schemas.requests import CheckpointReport, Committed, Lease, Reserved
from schemas.statuses import CommandState, CopyState, Hello, Observed, Status

_NO_STATE = "no-state"


def fold_answer(turn: Turn, app_id: str, reply: Reserved | Committed | Lease) -> None:
    """A site or the region granted or refused what an instance's procedure asked."""
    for care in _cares(turn, app_id):
        move = care.row.moving
        if move is None or move.asked != reply.request_id or move.state not in (State.RUN, State.UNDO):
            continue
        if isinstance(reply, Lease) and reply.granted:
            move.permit_until_ms = reply.until_ms
        if reply.granted:
            run(care, Run.succeed)
        else:
            run(care, lambda steps: steps.refuse(f"refused: {reply.reason}"))
        turn.books.put_instance(care.row)


def fold_status(turn: Turn, app_id: str, status: Status) -> None:
    """An executor ended a command on an instance."""
    row = turn.books.instances.get(status.resource_id)
    spec = turn.books.spec(app_id)
    if row is None or spec is None or not status.state.terminal:
        return
    care = Care(turn=turn, row=row, spec=spec)
    debt = next((debt for debt in row.debts if debt.command_id == status.command_id), None)
    done = status.state is CommandState.SUCCEEDED
    lost = status.error is not None and status.error.code == _NO_STATE
    if row.moving is not None and row.moving.asked == status.command_id:
        closed = done or (lost and row.moving.state is State.UNDO)
        run(care, Run.succeed if closed else (lambda steps: steps.refuse(_why(status))))
    elif debt is not None and (done or lost):
        settle_debt(care, debt)
    elif debt is not None:
        debt.command_id = ""
    elif status.command_id == row.renewal_id and (done or lost):
        row.gone, row.probe = lost, False
    turn.books.put_instance(row)


def fold_hello(turn: Turn, app_id: str, hello: Hello) -> None:
    """An executor shows what it runs of this app: debts wake, sleeping copies are renewed.

    A copy that is not shown is asked for (`Renew`): a hello may be older than what was started since.
    """
    there = {item.resource_id: item for item in hello.observed}
    for care in _cares(turn, app_id):
        row, found = care.row, there.get(care.row.instance_id)
        debt = next((debt for debt in row.debts if debt.site_id == hello.site_id), None)
        if debt is not None:
            _wake(care, debt, found)
        elif row.host == hello.site_id and row.moving is None:
            row.gone, row.probe = row.gone and found is None, found is None
            if found is None or found.state in (CopyState.FROZEN, CopyState.PARKED):
                turn.say([renew(care)])
        else:
            continue
        turn.books.put_instance(row)


def fold_checkpoint(turn: Turn, report: CheckpointReport) -> None:
    """The newest state that outlives its host."""
    row = turn.books.instances.get(report.resource_id)
    if row is None or (row.saved is not None and row.saved.ref.version > report.version):
        return
    ref = StateRef(ref=report.ref, sha256=report.sha256, bytes=report.bytes, version=report.version)
    row.saved = SavedState(ref=ref, site_id=report.site_id, at_ms=min(report.at_ms, turn.now_ms))
    turn.books.put_instance(row)


def _wake(care: Care, debt: InstanceDebt, found: Observed | None) -> None:
    """The site is back: its old copy goes on if the app wants that, else it is dropped."""
    if found is not None and debt.asleep and care.row.moving is None and _is_original_wanted(care.row, care, found):
        return_to(care, debt)
    elif care.row.moving is None or care.row.moving.target != debt.site_id:
        debt.asleep = False


def _is_original_wanted(row: InstanceRow, care: Care, found: Observed) -> bool:
    wish = care.spec.reconcile
    better = row.saved is None or found.version > row.saved.ref.version
    return bool(row.host) and (wish is Reconcile.KEEP_ORIGINAL or (wish is Reconcile.BEST_SCORE and better))


def _cares(turn: Turn, app_id: str) -> Iterator[Care]:
    spec = turn.books.spec(app_id)
    if spec is not None:
        for row in turn.books.instances_with(app_id):
            yield Care(turn=turn, row=row, spec=spec)


def _why(status: Status) -> str:
    return status.error.code if status.error is not None else str(status.state)
