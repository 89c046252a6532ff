"""What is seen of a terminal from outside: its public row, when it is due or forgotten, what must hold of it."""

from __future__ import annotations

from typing import Any, Final

from edge_control.controllers import outputs as out
from edge_control.controllers.events import Event
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import NEVER_MS, State
from edge_control.controllers.terminal_rows import Session, Terminal, Witnessed
from edge_control.controllers.terminal_upkeep import due_ms
from edge_control.inventory.tables import Table
from edge_control.inventory.twin import shown
from edge_control.inventory.view import View
from schemas.inventory import SessionHost, TerminalInventory
from schemas.location import SessionEvent, SessionState
from schemas.requests import Witness, WitnessKind
from topics.catalogue import Keyspace

FORGET_MS: Final = 6 * 3_600_000
"""A terminal without sessions that was not heard of for so long is forgotten."""
PUBLISH_EVERY_MS: Final = 1_000
_WITNESS_EVERY_MS: Final = 5_000


def face(terminal: Terminal) -> Any:
    """What readers of the public row can see; a change of it is published."""
    twin = terminal.twin
    sessions = [(name, s.host, s.app_id, _state(s)) for name, s in sorted(terminal.sessions.items())]
    versions = (twin.desired_version, twin.reported_version) if twin else ()
    return terminal.zone, terminal.site, terminal.since_ms, sessions, versions


def published(terminal: Terminal) -> TerminalInventory:
    """The public row."""
    return TerminalInventory(
        generation=terminal.generation,
        as_of_ms=terminal.published_at_ms,
        terminal_id=terminal.terminal_id,
        zone=terminal.zone,
        site=terminal.site,
        since_ms=terminal.since_ms,
        sessions=tuple(
            SessionHost(session_id=name, app_id=s.app_id, host=s.host, state=_state(s))
            for name, s in sorted(terminal.sessions.items())
        ),
        twin=shown(terminal.twin),
    )


def _state(session: Session) -> str:
    if session.ended:
        return "ending"
    if session.moving is not None:
        return f"{session.moving.kind} {session.moving.state}"
    return "gone" if session.gone else "active"


def publish(terminal: Terminal, now_ms: int) -> list[Output]:
    """The public row if it changed and the last one is old enough."""
    if not terminal.unpublished or now_ms < terminal.published_at_ms + PUBLISH_EVERY_MS:
        return []
    terminal.unpublished = False
    terminal.generation += 1
    terminal.published_at_ms = now_ms
    return [out.row(published(terminal))]


def next_due_ms(terminal: Terminal) -> int:
    """When the terminal must be looked at again, by its row alone."""
    at_ms = NEVER_MS if terminal.sessions else terminal.heard_at_ms + FORGET_MS
    if terminal.unpublished:
        at_ms = min(at_ms, terminal.published_at_ms + PUBLISH_EVERY_MS)
    for session in terminal.sessions.values():
        at_ms = min(at_ms, due_ms(session), _wish_due_ms(session))
    return at_ms


def _wish_due_ms(session: Session) -> int:
    """When its procedure's patience ends (a step without a deadline is looked at always), or its wish is judged."""
    row = session.moving
    if row is not None:
        return 0 if row.state is State.UNDO or row.deadline_ms >= NEVER_MS else row.deadline_ms
    return session.look_at_ms or (0 if session.gone or session.wants_original else NEVER_MS)


def is_forgotten(terminal: Terminal, now_ms: int) -> bool:
    """Whether nothing is left to know of it."""
    return not terminal.sessions and now_ms >= terminal.heard_at_ms + FORGET_MS


def witness_word(said: Table[Witnessed], event: Event, body: SessionEvent, view: View) -> list[Output]:
    """Users are served at a site: told to its region at most every 5 s and partition."""
    site_id, region_id = body.at_site, view.region_of(body.at_site)
    if not region_id or body.buffered or body.state is SessionState.ENDED:
        return []
    last = said.get(site_id)
    if last is not None and event.now_ms < last.at_ms + _WITNESS_EVERY_MS:
        return []
    said[site_id] = Witnessed(at_ms=event.now_ms)
    word = Witness(
        site_id=site_id,
        region_id=region_id,
        kind=WitnessKind.USER_PLANE,
        alive=True,
        at_ms=min(body.observed_at_ms, event.now_ms),
        by=f"terminal/{event.partition}",
    )
    return [out.message(Keyspace.REGION, region_id, f"{event.cause_id}/witness", word)]


def check(terminal: Terminal, session: Session) -> None:
    """Assert what must hold of one session."""
    where = (terminal.terminal_id, session.session_id)
    debts = [debt.site_id for debt in session.debts]
    ingresses = [rule.ingress for rule in session.rules]
    assert len(set(debts)) == len(debts), (where, debts)
    assert len(set(ingresses)) == len(ingresses), (where, ingresses)
    assert session.host or session.ended, where
    assert session.host not in debts, (where, debts)
    assert sum(bool(rule.host) for rule in session.rules) <= 1, (where, session.rules)
    moving = session.moving
    if moving is None:
        assert session.procedure is None, where
        return
    assert (moving.source == moving.target) == (moving.kind == "restart"), (where, moving)
    assert moving.source == session.host, (where, moving)
    assert moving.revision <= terminal.revision, (where, moving)
