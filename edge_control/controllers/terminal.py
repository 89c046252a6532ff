"""The terminal controller: where terminals are, who hosts their sessions and devices, and that these follow them.

It owns sessions, virtual devices, their leases and the per-terminal rules. Moves are rows of the one step machine;
what is wanted beside them (rules, leases, drops) is said until it is so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from edge_control.controllers import outputs as out
from edge_control.controllers.base import Controller
from edge_control.controllers.events import Event, Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Kind
from edge_control.controllers.terminal_decisions import refused_wish
from edge_control.controllers.terminal_ends import follow_or_stop, go_on, hand_over_ended, is_due, refuse, run_of
from edge_control.controllers.terminal_events import (
    HAND_OVER_ENDED,
    HAND_OVER_PREPARED,
    Seen,
    expected_place,
    located,
    session_said,
    twin_said,
)
from edge_control.controllers.terminal_index import TerminalIndex
from edge_control.controllers.terminal_moves import KINDS
from edge_control.controllers.terminal_orders import Act
from edge_control.controllers.terminal_permits import Waiter, ask_for, is_spent, keep, may_ask, waiters
from edge_control.controllers.terminal_replies import carried_out, checkpointed, concerns, greeted, replied
from edge_control.controllers.terminal_rows import Boot, Head, Permit, Session, Terminal, Witnessed, note_boot
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
from edge_control.inventory.atlas import Atlas
from edge_control.inventory.cold import ColdTable
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from edge_control.policies.migration import model_for
from schemas.location import LocationEvent, RadioEvent, SessionEvent, TwinDesired, TwinReported
from schemas.requests import CheckpointReport, Committed, Lease, Reserved
from schemas.statuses import Hello, Status
from topics import catalogue as cat
from topics.catalogue import Keyspace

UNSENT_MS: Final = 15_000
"""So long before the last one, a public row may not have been sent by a worker that ended."""
_BIRTHS: Final = (LocationEvent, RadioEvent, SessionEvent, TwinReported, TwinDesired)


class TerminalController(Controller):
    """All terminals of one partition. `kinds` are the procedures it runs; tests may put worse ones in their place."""

    keyspace: ClassVar[Keyspace] = Keyspace.TERMINAL

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self.kinds: dict[str, Kind[Act]] = dict(KINDS)
        self.terminals: ColdTable[Terminal, Head] = ColdTable("terminals", Terminal, Head)
        self.permits: Table[Permit] = Table("permits", Permit)
        self.witnessed: Table[Witnessed] = Table("witnessed", Witnessed)
        self._index = TerminalIndex(self.terminals)
        self._atlas = Atlas()
        self._owner = f"{self.keyspace}/{partition}"

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Terminals, budget tokens in hand, user-plane witness words said."""
        return self.terminals, self.permits, self.witnessed

    def handle(self, event: Input, view: View) -> list[Output]:
        """Fold an event about one terminal, an answer to one of its orders, or a tick; then ask for permits."""
        outputs = self._tick(event, view) if isinstance(event, Tick) else self.fold(event, view)
        return [*outputs, *self.settle(event.now_ms, view)]

    def fold(self, event: Input, view: View) -> list[Output]:
        """Fold an event; what waits for a permit is asked for by `settle`."""
        if isinstance(event, Tick):
            return self._tick(event, view)
        body = event.body
        if isinstance(body, Lease) and (key := keep(self.permits, body, event.now_ms)) is not None:
            return self._serve(key, event, body, view)
        terminal = self.terminals.get(_name(event))
        if terminal is None:
            if not isinstance(body, _BIRTHS):
                return []
            terminal = Terminal(terminal_id=_name(event), revision=event.now_ms)
        elif isinstance(body, LocationEvent):
            return self._locate(terminal, event, body, view)
        terminal.heard_at_ms = event.now_ms
        before = face(terminal)
        return self._keep(terminal, before, self._hear(terminal, event, view), event, view)

    def settle(self, now_ms: int, view: View) -> list[Output]:  # noqa: ARG002 - who waits is known from the rows
        """Ask for a permit for each session that waits for one: once per target, and as many as wait."""
        waiting = self._index.waiting
        if not waiting:
            return []
        keys = [key for key in sorted(waiting) if may_ask(self.permits, key, now_ms)]
        return [output for key in keys for output in ask_for(self.permits, key, self._line(key), now_ms)]

    def rebuild(self) -> None:
        """Index the heads of all rows; no site is known to be dead."""
        self._index.rebuild()

    def public_rows(self) -> list[Output]:
        """The rows that may not have been sent before the worker changed: those of the last moments."""
        heads = [(name, head.published_at_ms) for name, head in self.terminals.heads() if head.published_at_ms]
        since_ms = max((at_ms for _, at_ms in heads), default=0) - UNSENT_MS
        return [out.row(published(self.terminals[name])) for name, at_ms in heads if at_ms >= since_ms]

    def validate(self) -> None:
        """Assert that rows and indexes agree and that no session contradicts itself."""
        self._index.check()
        for terminal in self.terminals.values():
            for session in terminal.sessions.values():
                check(terminal, session)
        assert all(permit.tokens >= 0 for permit in self.permits.values())

    def _locate(self, terminal: Terminal, event: Event, body: LocationEvent, view: View) -> list[Output]:
        """A known terminal says where it is: mostly where it was, and then only that is noted."""
        seen = located(terminal, body, view, event.now_ms)
        if seen is Seen.DOUBLED:
            self.counts.duplicates += 1
            return []
        terminal.heard_at_ms = event.now_ms
        if seen is Seen.STAYED or seen is Seen.LATE:
            self.counts.late += seen is Seen.LATE
            if not terminal.sessions:
                terminal.due_ms = next_due_ms(terminal)
            self.terminals[terminal.terminal_id] = terminal
            return []
        return self._keep(terminal, None, self._follow(terminal, seen, event, view), event, view)

    def _follow(self, terminal: Terminal, seen: Seen, event: Event, view: View) -> list[Output]:
        """Judge the sessions of a terminal in another place; another zone of the same site counts for models only."""
        outputs: list[Output] = []
        elsewhere = seen is Seen.OTHER_SITE or terminal.moving
        for act in self._acts(terminal, event, view):
            if elsewhere or (terminal.zone and model_for(view, act.session.app_id) is not None):
                outputs += follow_or_stop(act, self.kinds)
                outputs += wish(act, self.kinds)
        return outputs

    def _hear(self, terminal: Terminal, event: Event, view: View) -> list[Output]:
        match event.body:
            case LocationEvent() as body:
                return self._follow(terminal, located(terminal, body, view, event.now_ms), event, view)
            case RadioEvent() as body:
                return self._hand_over(terminal, event, body, view)
            case SessionEvent() as body:
                session = session_said(terminal, body, view, event.now_ms)
                words = witness_word(self.witnessed, event, body, view)
                if session is None:
                    return words
                return [*words, *wish(self._act(terminal, session, event, view), self.kinds)]
            case TwinReported() | TwinDesired() as body:
                why = twin_said(terminal, body)
                return [refused_wish(terminal.terminal_id, why, event)] if why else []
            case Reserved() | Committed() | Lease() as reply:
                return self._reply(terminal, event, reply, view)
            case Status() | Hello() | CheckpointReport():
                return self._report(terminal, event, view)
            case _:
                return []

    def _hand_over(self, terminal: Terminal, event: Event, body: RadioEvent, view: View) -> list[Output]:
        acts = self._acts(terminal, event, view)
        if body.ho_status in HAND_OVER_ENDED:
            return [output for act in acts for output in hand_over_ended(act, self.kinds)]
        site, zone = expected_place(body, view)
        if body.ho_status != HAND_OVER_PREPARED or not site:
            return []
        return [output for act in acts for output in prepare_early(act, site, zone, self.kinds)]

    def _reply(self, terminal: Terminal, event: Event, reply: Reserved | Committed | Lease, view: View) -> list[Output]:
        outputs: list[Output] = []
        for act in self._acts(terminal, event, view):
            if act.session.moving is not None and run_of(act, self.kinds).waits_for(reply.request_id):
                outputs += replied(act, reply, self.kinds)
        return outputs

    def _report(self, terminal: Terminal, event: Event, view: View) -> list[Output]:
        outputs: list[Output] = []
        boot = note_boot(terminal, event.body.site_id, event.body.boot_id) if isinstance(event.body, Hello) else None
        for act in self._acts(terminal, event, view):
            match event.body:
                case Status() as status if concerns(act, status.command_id):
                    terminal.boots.setdefault(status.site_id, [status.boot_id])
                    outputs += carried_out(act, status, self.kinds)
                case Hello() as hello if boot is not Boot.FORMER:
                    outputs += greeted(act, hello, self.kinds, newer_boot=boot is Boot.NEWER)
                case CheckpointReport() as report if report.resource_id == act.session.session_id:
                    checkpointed(act, report)
                case _:
                    pass
        return outputs

    def _serve(self, key: str, event: Event, lease: Lease, view: View) -> list[Output]:
        """A slice of the budget for those who wait: the first go on; a refusal that waiting does not mend ends all."""
        outputs: list[Output] = []
        if is_spent(lease):
            return outputs
        for _, name, session_id in self._line(key):
            if lease.granted and self.permits[key].tokens <= 0:
                break
            terminal = self.terminals[name]
            before, act = face(terminal), self._act(terminal, terminal.sessions[session_id], event, view)
            said = go_on(act, self.kinds) if lease.granted else refuse(act, self.kinds, lease.reason)
            outputs += self._keep(terminal, before, said, event, view)
        return outputs

    def _line(self, key: str) -> list[Waiter]:
        return waiters(key, [self.terminals[name] for name in self._index.waiting.get(key, ())])

    def _tick(self, tick: Tick, view: View) -> list[Output]:
        return [output for name in self._index.due(tick.now_ms, view) for output in self._look(name, tick, view)]

    def _look(self, name: str, tick: Tick, view: View) -> list[Output]:
        """What time does to one terminal; a look that changes nothing leaves no trace."""
        was, terminal = self.terminals.encoded(name), self.terminals[name]
        if is_forgotten(terminal, tick.now_ms):
            return self._forget(terminal)
        before, outputs = face(terminal), list[Output]()
        for act in self._acts(terminal, tick, view):
            outputs += go_on(act, self.kinds)
            if is_due(act):
                outputs += wish(act, self.kinds)
        outputs = self._finish(terminal, before, outputs, tick, view)
        if self.terminals.encoded(name) != was:
            self.terminals[name] = terminal
        else:
            self.terminals.load(name, was)
        return outputs

    def _keep(self, terminal: Terminal, before: Any, outputs: list[Output], event: Event, view: View) -> list[Output]:
        outputs = self._finish(terminal, before, outputs, event, view)
        self.terminals[terminal.terminal_id] = terminal
        return outputs

    def _finish(self, terminal: Terminal, before: Any, outputs: list[Output], event: Input, view: View) -> list[Output]:
        """Say what is wanted beside procedures, show what changed of the `face` before, and index the row."""
        for act in self._acts(terminal, event, view):
            outputs += keep_up(act)
        if any(is_over(session) for session in terminal.sessions.values()):
            terminal.sessions = {name: s for name, s in terminal.sessions.items() if not is_over(s)}
        terminal.unpublished = terminal.unpublished or not terminal.generation or face(terminal) != before
        outputs += publish(terminal, event.now_ms)
        self._index.note(terminal)
        return outputs

    def _forget(self, terminal: Terminal) -> list[Output]:
        name, generation = terminal.terminal_id, terminal.generation + 1
        self._index.forget(terminal)
        del self.terminals[name]
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
            owner=self._owner,
            permits=self.permits,
            atlas=self._atlas,
            ticking=isinstance(event, Tick),
        )


def _name(event: Event) -> str:
    """Whose row it is about: named in the body of what terminals say, the record's key for answers."""
    body = event.body
    return body.terminal_id if isinstance(body, _BIRTHS) else event.key
