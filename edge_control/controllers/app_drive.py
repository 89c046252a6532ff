"""Hires and placements on their way: begun, answered, walked back when a partner sickens, ended, judged by effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from edge_control.controllers.app_books import Turn
from edge_control.controllers.app_demand import touch
from edge_control.controllers.app_ledger import decide
from edge_control.controllers.app_rows import HireRow, at
from edge_control.controllers.app_spill import SPILL_STEP, note_spilled
from edge_control.controllers.app_steps import KINDS, PLACE_STEP, Act, held_at, order_id
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Run, State
from edge_control.policies.governor import paused_by
from edge_control.policies.ranking import constraint
from schemas.apps import AppSpec
from schemas.decisions import Outcome, Reason, Resource, Verdict
from schemas.inventory import Health
from schemas.requests import Placed, Reserved, Spilled

_LEAVE_ALONE_MS: Final = 10_000
_JUDGE_AFTER_MS: Final = 20_000
_TOLERANCE_PERMILLE: Final = 50

Move = Callable[[Run[Act]], list[Output]]


def begin(turn: Turn, spec: AppSpec, hire: HireRow) -> None:
    """Start a hire or a placement."""
    turn.books.put_hire(hire)
    move(turn, spec, hire, Run.begin)


def move(turn: Turn, spec: AppSpec, hire: HireRow, how: Move) -> None:
    """Move one hire on; its row is put back only if it changed."""
    before = msgspec.structs.astuple(hire)
    run = Run(hire, KINDS[hire.kind], Act(turn=turn, hire=hire, spec=spec), turn.now_ms)
    turn.say(how(run))
    if msgspec.structs.astuple(hire) == before:
        return
    if hire.state is State.HELD and not hire.held_at_ms:
        hire.held_at_ms = turn.now_ms
    if hire.state is State.ABORTED:
        _close(turn, spec, hire)
    turn.books.put_hire(hire)
    touch(turn.books, hire.app_id)


def fold_reserved(turn: Turn, app_id: str, reply: Reserved) -> None:
    """A host granted or refused the room."""
    for hire, spec in _waiting(turn, app_id, reply.request_id):
        if reply.granted:
            move(turn, spec, hire, Run.succeed)
        else:
            move(turn, spec, hire, lambda run: run.refuse(f"refused: {reply.reason}"))


def fold_placed(turn: Turn, app_id: str, reply: Placed) -> None:
    """Replicas answer at a host: that serves every order there that is no larger, whichever of them was answered."""
    for hire, spec in _waiting(turn, app_id, reply.request_id):
        if not reply.granted:
            move(turn, spec, hire, lambda run: run.refuse(f"refused: {reply.reason}"))
        elif hire.state is State.UNDO:
            move(turn, spec, hire, Run.succeed)
    known = turn.books.spec(app_id)
    if known is None or not reply.granted or reply.ready < held_at(turn, app_id, reply.site_id):
        return
    for hire in turn.books.hires_for(app_id):
        if hire.host == reply.site_id and hire.state is State.RUN and hire.step == PLACE_STEP:
            move(turn, known, hire, Run.succeed)


def fold_spilled(turn: Turn, app_id: str, reply: Spilled) -> None:
    """An ingress has applied shares: if they are the last ones said, every hire there that waited is served."""
    row, spec = turn.books.ingresses.get(at(app_id, reply.site_id)), turn.books.spec(app_id)
    if row is None or spec is None:
        return
    if not reply.granted:
        for hire, _spec in _waiting(turn, app_id, reply.request_id):
            move(turn, spec, hire, lambda run: run.refuse(f"refused: {reply.reason}"))
        return
    if note_spilled(turn, row, reply):
        for hire in turn.books.hires_for(app_id, reply.site_id):
            if hire.step == SPILL_STEP and hire.state in (State.RUN, State.UNDO):
                move(turn, spec, hire, Run.succeed)


def watch(turn: Turn, spec: AppSpec, *, gone: bool) -> None:
    """Let time pass for all hires of an app: end what lost its partner or permit, ask again what is unanswered."""
    for hire in turn.books.hires_for(spec.app_id):
        reason = Reason.NO_SPEC if gone else _lost(turn, spec, hire)
        if reason is not None and is_wanted(hire):
            stop(turn, spec, hire, reason)
        move(turn, spec, hire, Run.elapse)
        _judge(turn, spec, hire)


def stop(turn: Turn, spec: AppSpec, hire: HireRow, reason: Reason) -> None:
    """End a held hire, or walk back one that is not there yet; past its last step it is ended once it is held."""
    if hire.state is State.HELD:
        decide(turn, spec, Verdict.REVERT, _resource(hire), reason, **_named(hire), final=hire.replicas)
        move(turn, spec, hire, lambda run: run.end(str(reason)))
    else:
        move(turn, spec, hire, lambda run: run.abort(str(reason)))


def is_wanted(hire: HireRow) -> bool:
    """Whether a hire is on its way up or held."""
    return hire.state in (State.RUN, State.HELD)


def wanted_in_all(turn: Turn, app_id: str) -> int:
    """Replicas that the app wants over all sites that are not dead: the sites' own, the hired and the placed."""
    held: dict[str, int] = {}
    for hire in turn.books.hires_for(app_id):
        if is_wanted(hire):
            held[hire.host] = held.get(hire.host, 0) + hire.replicas
    wanted = dict(held)
    for row in turn.books.demands(app_id):
        wanted[row.site_id] = max(row.desired, row.own + held.get(row.site_id, 0))
    return sum(count for site, count in wanted.items() if turn.view.health_of(site) is not Health.DEAD)


def _waiting(turn: Turn, app_id: str, request_id: str) -> list[tuple[HireRow, AppSpec]]:
    """The hire whose order in hand this answers, with the app's spec; none if the answer is late."""
    spec, asked = turn.books.spec(app_id), order_id(request_id)
    hires = turn.books.hires_for(app_id)
    waiting = [hire for hire in hires if hire.asked == asked and hire.state in (State.RUN, State.UNDO)]
    return [(hire, spec) for hire in waiting] if spec is not None else []


def _lost(turn: Turn, spec: AppSpec, hire: HireRow) -> Reason | None:
    """Why a hire may not go on: a dead partner; until it is held also a sick one, a pause or a spec that forbids."""
    healths = [turn.view.health_of(site) for site in (hire.host, hire.ingress) if site]
    if Health.DEAD in healths:
        return Reason.SITE_DEAD
    if hire.state is State.HELD:
        _note_retiring(turn, spec, hire)
        return None
    if healths[0] not in (Health.ALIVE, Health.UNKNOWN) or Health.SUSPECT in healths:
        return Reason.UNHEALTHY_TARGET
    if hire.spec_version != spec.version and not _is_allowed(turn, spec, hire):
        return Reason.SPEC_CHANGED
    scopes = ("all", f"site/{hire.host}", f"site/{hire.ingress}", f"app/{spec.app_id}", f"tenant/{spec.tenant}")
    regions = tuple(f"region/{turn.view.region_of(site)}" for site in (hire.host, hire.ingress) if site)
    return Reason.PAUSED if paused_by((*scopes, *regions, "kind/offload"), turn.view, turn.now_ms) else None


def _note_retiring(turn: Turn, spec: AppSpec, hire: HireRow) -> None:
    retiring = not _is_allowed(turn, spec, hire)
    if retiring != hire.retiring:
        hire.retiring = retiring
        turn.books.put_hire(hire)


def _is_allowed(turn: Turn, spec: AppSpec, hire: HireRow) -> bool:
    site = turn.view.sites.get(hire.host)
    return site is None or not constraint(site.body, spec)


def _judge(turn: Turn, spec: AppSpec, hire: HireRow) -> None:
    """Compare the share that the ingress measured with the ordered one, once, when it shows or is overdue."""
    if hire.judged or hire.state is not State.HELD:
        return
    wanted, measured = _effect(turn, hire)
    shows, overdue = measured >= wanted, turn.now_ms - hire.held_at_ms >= _JUDGE_AFTER_MS
    if shows or overdue:
        _conclude(turn, spec, hire, Outcome.EFFECTIVE if shows else Outcome.INEFFECTIVE, measured)


def _effect(turn: Turn, hire: HireRow) -> tuple[int, int]:
    """What must show, and what does: the share served elsewhere, or for a placement the replicas that answer."""
    if not hire.ingress:
        row = turn.books.demand.get(at(hire.app_id, hire.host))
        return hire.replicas, row.ready if row else 0
    ingress = turn.books.ingresses[at(hire.app_id, hire.ingress)]
    row = turn.books.demand.get(at(hire.app_id, hire.ingress))
    ordered = sum(share.permille for share in ingress.shares)
    return max(1, ordered - _TOLERANCE_PERMILLE), row.served_elsewhere_permille if row else 0


def _conclude(turn: Turn, spec: AppSpec, hire: HireRow, outcome: Outcome, measured: int) -> None:
    hire.judged = True
    turn.books.put_hire(hire)
    verdict = Verdict.OFFLOAD if hire.ingress else Verdict.PLACE
    reason = Reason.VERIFIED if outcome is Outcome.EFFECTIVE else Reason.EXPIRED
    named = {**_named(hire), "decision_id": hire.decision_id, "outcome": outcome, "measured": measured}
    decide(turn, spec, verdict, _resource(hire), reason, final=hire.replicas, **named)


def _close(turn: Turn, spec: AppSpec, hire: HireRow) -> None:
    """A hire is over: leave a host that refused it alone for a while; one that never worked out was ineffective."""
    if not hire.judged:
        _conclude(turn, spec, hire, Outcome.INEFFECTIVE, 0)
    if hire.held_at_ms:
        return
    until_ms = turn.now_ms + _LEAVE_ALONE_MS
    if hire.ingress:
        row = turn.books.ingresses[at(hire.app_id, hire.ingress)]
        row.refused[hire.host] = until_ms
        turn.books.ingresses[at(hire.app_id, hire.ingress)] = row
    else:
        app = turn.books.app(hire.app_id)
        app.refused = {site: until for site, until in app.refused.items() if until > turn.now_ms}
        app.refused[hire.host] = until_ms
        turn.books.apps[hire.app_id] = app


def _resource(hire: HireRow) -> Resource:
    if hire.ingress:
        return Resource(type="ingress", id=at(hire.app_id, hire.ingress))
    return Resource(type="replicas", id=at(hire.app_id, hire.host))


def _named(hire: HireRow) -> dict[str, str]:
    text = f"{hire.replicas} at {hire.host}" + (f" for {hire.ingress}" if hire.ingress else "")
    kind = "offload" if hire.ingress else "scaling"
    return {"kind": kind, "site_id": hire.ingress or hire.host, "text": f"{text} {hire.reason}".strip()}
