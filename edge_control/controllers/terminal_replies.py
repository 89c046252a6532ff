"""What answers do: of sites and regions to requests, of executors to commands, and their hellos (PROCEDURES 3, 8)."""

from __future__ import annotations

from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Kind, State
from edge_control.controllers.terminal_ends import finish, run_of
from edge_control.controllers.terminal_orders import Act
from edge_control.controllers.terminal_rows import Debt, Saved
from edge_control.controllers.terminal_upkeep import debt_paid, lease_confirmed, rule_confirmed
from edge_control.inventory.geography import distance_m
from schemas.apps import Reconcile
from schemas.commands import StateRef
from schemas.requests import CheckpointReport, Committed, Lease, Reserved
from schemas.statuses import CommandState, CopyState, Hello, Observed, Status

Kinds = dict[str, Kind[Act]]
_NO_STATE = "no-state"
_RULE = "rule"
"""A session's rule at an ingress has the session's id."""


def replied(act: Act, reply: Reserved | Committed | Lease, kinds: Kinds) -> list[Output]:
    """A site or region answered the question in hand."""
    run = run_of(act, kinds)
    if not reply.granted:
        return [*run.refuse(f"{run.step.name} refused: {reply.reason}"), *finish(act)]
    match reply:
        case Reserved():
            act.procedure.reserved_until_ms = reply.until_ms
        case Lease():
            act.procedure.permit_until_ms = reply.until_ms
        case Committed():
            pass
    return [*run.succeed(), *finish(act)]


def concerns(act: Act, command_id: str) -> bool:
    """Whether a command that this session still cares about has this id."""
    session = act.session
    ids = [rule.command_id for rule in session.rules] + [debt.command_id for debt in session.debts]
    if session.renewal is not None:
        ids.append(session.renewal.command_id)
    if session.moving is not None:
        ids += [session.moving.asked, session.moving.asked_before]
    return command_id in ids


def carried_out(act: Act, status: Status, kinds: Kinds) -> list[Output]:
    """A command came to its end; the first end counts, for its id is forgotten then."""
    session = act.session
    if not status.state.terminal:
        return []
    if session.moving is not None and _answers(act, status, kinds):
        return [*_step_ended(act, status, kinds), *finish(act)]
    for debt in session.debts:
        if debt.command_id == status.command_id:
            return _drop_ended(act, debt, status)
    for rule in session.rules:
        if rule.command_id == status.command_id and not rule.confirmed:
            if status.state is CommandState.SUCCEEDED:
                rule_confirmed(act, rule)
            elif status.state is CommandState.REJECTED:
                rule.command_id = ""
            return []
    return _renewal_ended(act, status)


def _answers(act: Act, status: Status, kinds: Kinds) -> bool:
    """To the order in hand; or that it was done before we asked anew, said by the executor as it runs now."""
    row = act.procedure
    if run_of(act, kinds).waits_for(status.command_id):
        return True
    before = bool(row.asked_before) and row.asked_before == status.command_id and row.state is State.RUN
    runs_now = act.terminal.boots.get(status.site_id, [])[:1] == [status.boot_id]
    return before and runs_now and status.state is CommandState.SUCCEEDED


def _step_ended(act: Act, status: Status, kinds: Kinds) -> list[Output]:
    run, row = run_of(act, kinds), act.procedure
    done = status.state is CommandState.SUCCEEDED
    state = status.result.state if status.result else None
    if row.state is State.UNDO:
        return run.succeed() if done or _is_gone(act, status) else run.refuse(row.reason)
    if not done:
        code = status.error.code if status.error else ""
        return run.refuse(f"{run.step.name} {status.state} {code}".rstrip())
    if run.step.name == "freeze" and row.kind == "move":
        if state is None:
            return run.refuse("freeze exported no state")
        row.final = state
    row.activated = run.step.name == "activate"
    return run.succeed()


def _is_gone(act: Act, status: Status) -> bool:
    """An undo that found nothing to undo is done; a source without a copy starts again from a checkpoint."""
    moot = status.result is not None and status.result.moot
    gone = status.error is not None and status.error.code == _NO_STATE
    if gone and status.site_id == act.session.host and act.procedure.source == act.session.host:
        act.session.gone = True
    return moot or gone


def _drop_ended(act: Act, debt: Debt, status: Status) -> list[Output]:
    gone = status.error is not None and status.error.code == _NO_STATE
    if status.state is CommandState.SUCCEEDED or gone:
        return debt_paid(act, debt)
    debt.command_id, debt.attempt = "", 0
    return []


def _renewal_ended(act: Act, status: Status) -> list[Output]:
    session, renewal = act.session, act.session.renewal
    if renewal is None or renewal.command_id != status.command_id or renewal.confirmed:
        return []
    if status.state is CommandState.SUCCEEDED:
        lease_confirmed(act)
    elif status.error is not None and status.error.code == _NO_STATE:
        session.gone, session.probe = True, False
    return []


def checkpointed(act: Act, report: CheckpointReport) -> None:
    """A newer copy of the state lies outside its host."""
    known = act.session.saved
    if known is not None and report.version < known.ref.version:
        return
    ref = StateRef(ref=report.ref, sha256=report.sha256, bytes=report.bytes, version=report.version)
    act.session.saved = Saved(ref=ref, site_id=report.site_id, at_ms=report.at_ms)


def greeted(act: Act, hello: Hello, kinds: Kinds, *, newer_boot: bool) -> list[Output]:
    """An executor says what it runs: what it lost is ordered anew, what it keeps for us is judged."""
    session, site_id = act.session, hello.site_id
    seen = next((o for o in hello.observed if o.resource_id == session.session_id and o.kind != _RULE), None)
    outputs = _greet_procedure(act, site_id, kinds) if newer_boot else []
    for rule in session.rules:
        if rule.ingress == site_id:
            rule.confirmed, rule.command_id, rule.attempt = False, "", 0
            rule.again_at_ms = act.now_ms
    if site_id == session.host:
        _greet_host(act, seen, newer_boot=newer_boot)
    elif session.moving is None or site_id not in (session.moving.source, session.moving.target):
        _greet_former(act, site_id, seen, newer_boot=newer_boot)
    return [*outputs, *finish(act)]


def _greet_procedure(act: Act, site_id: str, kinds: Kinds) -> list[Output]:
    """The order in hand may be lost with the executor's memory: a new id.

    What the hello does not show is no proof of absence: an order sent before may still wait in the executor's backlog,
    and is carried out before the new one is answered.
    """
    row = act.session.moving
    if row is None:
        return []
    run = run_of(act, kinds)
    addressee = {"target executor": row.target, "source executor": row.source}.get(run.step.to)
    return run.reorder() if addressee == site_id else []


def _greet_host(act: Act, seen: Observed | None, *, newer_boot: bool) -> None:
    """`Renew` wakes what sleeps there, and finds out whether what is not shown is gone (a hello may be old)."""
    session = act.session
    if session.moving is not None and session.moving.is_past_commit:
        return
    if seen is None or seen.state is not CopyState.ACTIVE or newer_boot:
        session.probe, session.renewal, session.gone = True, None, False


def _greet_former(act: Act, site_id: str, seen: Observed | None, *, newer_boot: bool) -> None:
    """A site that once hosted it, or never should have: its copy is dropped, or the session returns to it."""
    session, debt = act.session, act.session.debt_at(site_id)
    if debt is None:
        if seen is not None:
            session.debts.append(Debt(site_id=site_id))
        return
    if newer_boot:
        debt.command_id, debt.attempt = "", 0
    if debt.asleep:
        debt.asleep = False
        debt.again_at_ms = act.now_ms
        if seen is not None and _original_is_better(act, site_id):
            session.wants_original = site_id


def _original_is_better(act: Act, site_id: str) -> bool:
    spec, user_site = act.spec, act.terminal.site
    if spec is None or spec.reconcile is Reconcile.KEEP_REPLACEMENT:
        return False
    if spec.reconcile is Reconcile.KEEP_ORIGINAL:
        return True
    return distance_m(act.view, user_site, site_id) < distance_m(act.view, user_site, act.session.host)
