"""How procedures go on and end: partners that fall ill, wishes that change, and what an end leaves behind."""

from __future__ import annotations

from typing import Final

from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Kind, Run, State
from edge_control.controllers.terminal_decisions import outcome
from edge_control.controllers.terminal_orders import Act
from edge_control.controllers.terminal_rows import Debt, MoveProcedure, Saved
from edge_control.controllers.terminal_wishes import accrue, best_choice, situation
from edge_control.policies.governor import Proposal, paused_by, scopes_of
from edge_control.policies.ranking import constraint
from schemas.decisions import Verdict
from schemas.inventory import Health
from schemas.location import Mobility

AVOID_MS: Final = 10_000
"""How long a target that refused or fell silent is not tried again."""
PERMIT: Final = "permit"
"""The step at which the budget speaks: what it refuses is not the target's fault."""
_MOVES_KEPT: Final = 64
_REACHABLE: Final = (Health.ALIVE, Health.UNKNOWN)


def run_of(act: Act, kinds: dict[str, Kind[Act]]) -> Run[Act]:
    """The session's procedure, ready to be advanced."""
    return Run(act.procedure, kinds[act.procedure.kind], act, act.now_ms)


def go_on(act: Act, kinds: dict[str, Kind[Act]]) -> list[Output]:
    """What a tick does to an open procedure: stop it if it must not go on, else look at its deadline."""
    if act.session.moving is None:
        return []
    run = run_of(act, kinds)
    why = _why_stop(act) if run.row.state is State.RUN and not run.is_past_return else ""
    outputs = run.abort(why) if why else run.elapse()
    return [*outputs, *finish(act)]


def refuse(act: Act, kinds: dict[str, Kind[Act]], why: str) -> list[Output]:
    """The permit that its step waits for is refused."""
    return [*run_of(act, kinds).refuse(f"{PERMIT} refused: {why}"), *finish(act)]


def _why_stop(act: Act) -> str:
    row, view, spec = act.procedure, act.view, act.spec
    if act.session.ended:
        return "session ended"
    if act.session.gone and row.kind == "move":
        return "source lost its copy"
    if view.health_of(row.target) not in _REACHABLE:
        return f"target {view.health_of(row.target)}"
    source = view.health_of(row.source)
    if row.kind == "rescue" and source is Health.ALIVE:
        return "site alive again"
    if row.kind != "rescue" and source not in _REACHABLE:
        return f"source {source}"
    if spec is None or _is_paused(act, row):
        return "paused" if spec else "no spec"
    return _why_forbidden(act, row) if spec.version != row.spec_version else ""


def _why_forbidden(act: Act, row: MoveProcedure) -> str:
    """A new spec stops what it no longer allows."""
    spec, site = act.spec, act.view.sites.get(row.target)
    assert spec is not None
    if row.kind == "move" and spec.mobility is Mobility.NOT_ALLOWED:
        return "mobility no longer allowed"
    return "site no longer allowed" if site is None or constraint(site.body, spec) else ""


def _is_paused(act: Act, row: MoveProcedure) -> bool:
    spec = act.spec
    assert spec is not None
    proposal = Proposal(
        verdict=Verdict.MIGRATE,
        kind="migration",
        resource_id=row.resource_id,
        site_id=row.source,
        target_site=row.target,
        app_id=spec.app_id,
        tenant=spec.tenant,
        region=act.view.region_of(row.source),
    )
    return bool(paused_by(scopes_of(proposal), act.view, act.now_ms))


def follow_or_stop(act: Act, kinds: dict[str, Kind[Act]]) -> list[Output]:
    """The user moved while a move is under way: go on if it still leads to the best place, else walk back."""
    row = act.session.moving
    if row is None or row.kind != "move" or row.state is not State.RUN or act.spec is None:
        return []
    run = run_of(act, kinds)
    accrue(act)
    choice = best_choice(act, situation(act))
    act.session.excess_rate_m = choice.excess_rate_m
    if choice.target != row.target:
        return [*run.abort("user elsewhere"), *finish(act)]
    if not row.early:
        return []
    row.early = False
    waits_for_user = run.step.name == "permit"
    return [*run.elapse(), *(run.reorder() if waits_for_user and run.step.name == "permit" else [])]


def hand_over_ended(act: Act, kinds: dict[str, Kind[Act]]) -> list[Output]:
    """The user stays after all: what was prepared early is given back."""
    row = act.session.moving
    if row is None or not row.early:
        return []
    return [*run_of(act, kinds).abort("user elsewhere"), *finish(act)]


def is_due(act: Act) -> bool:
    """Whether a tick must ask what the session wants: its time has come, or its host or copy is lost."""
    session = act.session
    lost = session.gone or bool(session.wants_original) or act.view.health_of(session.host) is Health.DEAD
    return lost or 0 < session.look_at_ms <= act.now_ms


def finish(act: Act) -> list[Output]:
    """When the procedure has ended: flip the host or go back to how it was, and say how it went."""
    session, row = act.session, act.session.procedure
    if row is None or row.state.open or row.state is State.HELD:
        return []
    session.look_at_ms = act.now_ms + 1
    session.procedure = None
    if row.state is State.ABORTED:
        _undone(act, row)
        return [outcome(act, row, done=False)]
    _ENDS[row.kind](act, row)
    session.gone, session.renewal = False, None
    session.excess = session.excess_rate_m = 0
    session.moved_at_ms = [*session.moved_at_ms, act.now_ms][-_MOVES_KEPT:]
    _forget_lapsed(act)
    return [outcome(act, row, done=True)]


def _forget_lapsed(act: Act) -> None:
    """What lapsed, skew included, says as much as nothing: a session that travels far keeps a small row."""
    session, settled_ms = act.session, act.now_ms - act.skew_ms
    session.leases = {site: until_ms for site, until_ms in session.leases.items() if until_ms >= settled_ms}
    session.wakes = {site: until_ms for site, until_ms in session.wakes.items() if until_ms >= settled_ms}


def _undone(act: Act, row: MoveProcedure) -> None:
    """It stays where it was; `Renew` finds out whether it is active there."""
    session = act.session
    if row.kind != "move" or row.prepared_until_ms:
        session.probe, session.renewal = True, None
    if row.kind == "restart":
        session.gone = False
    elif row.kind == "original":
        session.wants_original = ""
    elif row.reason.startswith(PERMIT):
        session.look_at_ms = act.now_ms + AVOID_MS
    elif row.reason != "user elsewhere":
        session.avoid = {site: until_ms for site, until_ms in session.avoid.items() if until_ms > act.now_ms}
        session.avoid[row.target] = act.now_ms + AVOID_MS


def _moved(act: Act, row: MoveProcedure) -> None:
    session = act.session
    dead = act.view.health_of(row.source) is Health.DEAD
    _owe(act, row.source, session.room_id, asleep=dead)
    session.host, session.room_id, session.confirmed = row.target, row.reservation_id, False
    if row.final is not None:
        session.saved = Saved(ref=row.final, site_id=row.source, at_ms=act.now_ms, is_frozen_copy=True)


def _rescued(act: Act, row: MoveProcedure) -> None:
    session = act.session
    _owe(act, row.source, session.room_id, asleep=act.view.health_of(row.source) is Health.DEAD)
    session.host, session.room_id = row.target, row.reservation_id


def _restarted(_act: Act, _row: MoveProcedure) -> None:
    """It lives where it lived."""


def _returned(act: Act, row: MoveProcedure) -> None:
    session = act.session
    session.debts = [debt for debt in session.debts if debt.site_id != row.target]
    _owe(act, row.source, session.room_id, asleep=False)
    session.host, session.room_id, session.wants_original = row.target, row.reservation_id, ""
    session.saved = None


def _owe(act: Act, site_id: str, reservation_id: str, *, asleep: bool) -> None:
    assert act.session.debt_at(site_id) is None, (site_id, act.session)
    act.session.debts.append(Debt(site_id=site_id, reservation_id=reservation_id, asleep=asleep))


_ENDS: Final = {"move": _moved, "rescue": _rescued, "restart": _restarted, "original": _returned}
