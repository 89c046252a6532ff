"""The terminal controller: where terminals are, who hosts their sessions and devices, and that these follow them.

It owns sessions, virtual devices, their leases and the per-terminal rules. Moves are rows of the one step machine;
what is wanted beside them (rules, leases, drops) is said until it is so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final

import msgspec

from edge_control.controllers import outputs as out
from edge_control.controllers.base import Controller
from edge_control.controllers.events import Event, Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Kind
from edge_control.controllers.terminal_decisions import refused_wish
from edge_control.controllers.terminal_ends import follow_or_stop, go_on, hand_over_ended, is_due, run_of
from edge_control.controllers.terminal_events import (
    HAND_OVER_ENDED,
    HAND_OVER_PREPARED,
    expected_place,
    located,
    session_said,
    twin_said,
)
from edge_control.controllers.terminal_moves import KINDS
from edge_control.controllers.terminal_orders import Act
from edge_control.controllers.terminal_replies import (
    carried_out,
    checkpointed,
    concerns,
    greeted,
    is_newer_boot,
    keep_tokens,
    replied,
)
from edge_control.controllers.terminal_rows import Permit, Session, Terminal, Witnessed
from edge_control.controllers.terminal_shown import (
    check,
    face,
    is_forgotten,
    next_due_ms,
    publish,
    published,
    witness_word,
)
from edge_control.controllers.terminal_upkeep import is_over, keep_up
from edge_control.controllers.terminal_wishes import prepare_early, wish
from edge_control.inventory.deadlines import Deadlines
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from schemas.inventory import Health
from schemas.location import LocationEvent, RadioEvent, SessionEvent, TwinDesired, TwinReported
from schemas.requests import CheckpointReport, Committed, Lease, Reserved
from schemas.statuses import Hello, Status
from topics import catalogue as cat
from topics.catalogue import Keyspace

_encode: Final = msgspec.msgpack.Encoder().encode
_BIRTHS: Final = (LocationEvent, RadioEvent, SessionEvent, TwinReported, TwinDesired)


class TerminalController(Controller):
    """All terminals of one partition. `kinds` are the procedures it runs; tests may put worse ones in their place."""

    keyspace: ClassVar[Keyspace] = Keyspace.TERMINAL

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self.kinds: dict[str, Kind[Act]] = dict(KINDS)
        self.terminals: Table[Terminal] = Table("terminals", Terminal)
        self.permits: Table[Permit] = Table("permits", Permit)
        self.witnessed: Table[Witnessed] = Table("witnessed", Witnessed)
        self._due = Deadlines()
        self._hosted: dict[str, dict[str, None]] = {}
        self._hosts_of: dict[str, list[str]] = {}
        self._moving: dict[str, None] = {}
        self._dead: dict[str, int] = {}

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Terminals, budget tokens in hand, user-plane witness words said."""
        return self.terminals, self.permits, self.witnessed

    def handle(self, event: Input, view: View) -> list[Output]:
        """Fold an event about one terminal, an answer to one of its orders, or a tick."""
        if isinstance(event, Tick):
            return self._tick(event, view)
        terminal = self.terminals.get(_name(event))
        if terminal is None:
            if not isinstance(event.body, _BIRTHS):
                return []
            terminal = Terminal(terminal_id=_name(event), revision=event.now_ms)
        terminal.heard_at_ms = event.now_ms
        before = face(terminal)
        outputs = self._fold(terminal, event, view)
        outputs += self._keep_up(terminal, event, view)
        outputs += self._show(terminal, before, event.now_ms)
        self.terminals[terminal.terminal_id] = terminal
        self._index(terminal)
        return outputs

    def rebuild(self) -> None:
        """Index the sessions by host, the terminals that move, and when each is due; no site is known to be dead."""
        self._due, self._hosted, self._hosts_of, self._moving, self._dead = Deadlines(), {}, {}, {}, {}
        for terminal in self.terminals.values():
            self._index(terminal)

    def public_rows(self) -> list[Output]:
        """The row of every terminal."""
        return [out.row(published(terminal)) for terminal in self.terminals.values() if terminal.generation]

    def validate(self) -> None:
        """Assert that rows and indexes agree and that no session contradicts itself."""
        for name, terminal in self.terminals.items():
            hosts = [s.host for s in terminal.sessions.values() if s.host]
            assert all(name in self._hosted[host] for host in hosts), name
            assert (name in self._moving) == any(s.moving for s in terminal.sessions.values()), name
            for session in terminal.sessions.values():
                check(terminal, session)
        assert all(permit.tokens >= 0 for permit in self.permits.values())

    def _fold(self, terminal: Terminal, event: Event, view: View) -> list[Output]:
        match event.body:
            case LocationEvent() as body:
                return self._place(terminal, event, body, view)
            case RadioEvent() as body:
                return self._hand_over(terminal, event, body, view)
            case SessionEvent() as body:
                session = session_said(terminal, body, view, event.now_ms)
                words = witness_word(self.witnessed, event, body, view)
                return (
                    words if session is None else [*words, *wish(self._act(terminal, session, event, view), self.kinds)]
                )
            case TwinReported() | TwinDesired() as body:
                why = twin_said(terminal, body)
                return [refused_wish(terminal.terminal_id, why, event)] if why else []
            case Reserved() | Committed() | Lease() as reply:
                return self._reply(terminal, event, reply, view)
            case Status() | Hello() | CheckpointReport():
                return self._report(terminal, event, view)
            case _:
                return []

    def _place(self, terminal: Terminal, event: Event, body: LocationEvent, view: View) -> list[Output]:
        if not located(terminal, body, view, event.now_ms):
            return []
        outputs: list[Output] = []
        for act in self._acts(terminal, event, view):
            outputs += follow_or_stop(act, self.kinds)
            outputs += wish(act, self.kinds)
        return outputs

    def _hand_over(self, terminal: Terminal, event: Event, body: RadioEvent, view: View) -> list[Output]:
        acts = self._acts(terminal, event, view)
        if body.ho_status in HAND_OVER_ENDED:
            return [output for act in acts for output in hand_over_ended(act, self.kinds)]
        site, zone = expected_place(body, view)
        if body.ho_status != HAND_OVER_PREPARED or not site:
            return []
        return [output for act in acts for output in prepare_early(act, site, zone, self.kinds)]

    def _reply(self, terminal: Terminal, event: Event, reply: Reserved | Committed | Lease, view: View) -> list[Output]:
        slice_of_budget = isinstance(reply, Lease) and keep_tokens(self.permits, reply, event.now_ms)
        outputs: list[Output] = []
        for act in self._acts(terminal, event, view):
            if act.session.moving is None or not run_of(act, self.kinds).waits_for(reply.request_id):
                continue
            outputs += go_on(act, self.kinds) if slice_of_budget else replied(act, reply, self.kinds)
        return outputs

    def _report(self, terminal: Terminal, event: Event, view: View) -> list[Output]:
        outputs: list[Output] = []
        newer_boot = isinstance(event.body, Hello) and is_newer_boot(terminal, event.body)
        for act in self._acts(terminal, event, view):
            match event.body:
                case Status() as status if concerns(act, status.command_id):
                    terminal.boots.setdefault(status.site_id, status.boot_id)
                    outputs += carried_out(act, status, self.kinds)
                case Hello() as hello:
                    outputs += greeted(act, hello, self.kinds, newer_boot=newer_boot)
                case CheckpointReport() as report if report.resource_id == act.session.session_id:
                    checkpointed(act, report)
                case _:
                    pass
        return outputs

    def _tick(self, tick: Tick, view: View) -> list[Output]:
        names = dict.fromkeys([*self._due.due(tick.now_ms), *self._moving, *self._bereft(view)])
        return [output for name in sorted(names) for output in self._look(name, tick, view)]

    def _bereft(self, view: View) -> list[str]:
        """Terminals at sites that have died since the last tick; when to look again is said by their rows."""
        rows = {site_id: view.health.get(site_id) for site_id in self._hosted}
        dead = {site_id: row.since_ms for site_id, row in rows.items() if row and row.health is Health.DEAD}
        news = [site_id for site_id, since_ms in dead.items() if self._dead.get(site_id) != since_ms]
        self._dead = dead
        return [name for site_id in news for name in self._hosted[site_id]]

    def _look(self, name: str, tick: Tick, view: View) -> list[Output]:
        """What time does to one terminal; a look that changes nothing leaves no trace."""
        terminal = self.terminals[name]
        if is_forgotten(terminal, tick.now_ms):
            return self._forget(terminal)
        was, before = _encode(terminal), face(terminal)
        outputs: list[Output] = []
        for act in self._acts(terminal, tick, view):
            outputs += go_on(act, self.kinds)
            if is_due(act):
                outputs += wish(act, self.kinds)
        outputs += self._keep_up(terminal, tick, view)
        outputs += self._show(terminal, before, tick.now_ms)
        if _encode(terminal) != was:
            self.terminals[name] = terminal
        self._index(terminal)
        return outputs

    def _keep_up(self, terminal: Terminal, event: Input, view: View) -> list[Output]:
        outputs = [output for act in self._acts(terminal, event, view) for output in keep_up(act)]
        terminal.sessions = {name: s for name, s in terminal.sessions.items() if not is_over(s)}
        return outputs

    def _show(self, terminal: Terminal, before: Any, now_ms: int) -> list[Output]:
        terminal.unpublished = terminal.unpublished or face(terminal) != before or not terminal.generation
        return publish(terminal, now_ms)

    def _forget(self, terminal: Terminal) -> list[Output]:
        name, generation = terminal.terminal_id, terminal.generation + 1
        del self.terminals[name]
        self._unindex(name)
        return [out.tombstone(cat.INVENTORY_TERMINAL, name, generation)]

    def _acts(self, terminal: Terminal, event: Input, view: View) -> Iterator[Act]:
        for _, session in sorted(terminal.sessions.items()):
            yield self._act(terminal, session, event, view)

    def _act(self, terminal: Terminal, session: Session, event: Input, view: View) -> Act:
        return Act(
            terminal=terminal,
            session=session,
            view=view,
            now_ms=event.now_ms,
            cause=event.cause,
            owner=f"{self.keyspace}/{self.partition}",
            permits=self.permits,
            ticking=isinstance(event, Tick),
        )

    def _index(self, terminal: Terminal) -> None:
        name = terminal.terminal_id
        self._unindex(name)
        hosts = [session.host for _, session in sorted(terminal.sessions.items()) if session.host]
        self._hosts_of[name] = hosts
        for host in hosts:
            self._hosted.setdefault(host, {})[name] = None
        if any(session.moving is not None for session in terminal.sessions.values()):
            self._moving[name] = None
        self._due.set(name, next_due_ms(terminal))

    def _unindex(self, name: str) -> None:
        for host in self._hosts_of.pop(name, ()):
            self._hosted[host].pop(name, None)
        self._moving.pop(name, None)
        self._due.clear(name)


def _name(event: Event) -> str:
    """Whose row it is about: named in the body of what terminals say, the record's key for answers."""
    body = event.body
    return body.terminal_id if isinstance(body, _BIRTHS) else event.key
