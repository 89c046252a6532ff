"""Which terminals must be looked at when time passes or the world changes: derived from the heads of their rows."""

from __future__ import annotations

from edge_control.controllers.procedures import NEVER_MS, State
from edge_control.controllers.terminal_rows import Head, Session, Terminal
from edge_control.controllers.terminal_shown import next_due_ms
from edge_control.inventory.calendar import Calendar
from edge_control.inventory.cold import ColdTable
from edge_control.inventory.view import View
from schemas.inventory import Health


class TerminalIndex:
    """Indexes over the rows of one partition; a takeover makes them again from the heads alone."""

    def __init__(self, terminals: ColdTable[Terminal, Head]) -> None:
        """Of an empty table."""
        self._terminals = terminals
        self.clear()

    def clear(self) -> None:
        """Know nothing; no site is known to be dead, and nothing of the view was seen."""
        self._calendar = Calendar()
        self._hosted: dict[str, dict[str, None]] = {}
        self._moving: dict[str, None] = {}
        self._dead: dict[str, int] = {}
        self._revision = -1
        self.waiting: dict[str, dict[str, None]] = {}

    def rebuild(self) -> None:
        """Read the head of every row."""
        self.clear()
        for name, head in self._terminals.heads():
            if head.due_ms < NEVER_MS:
                self._calendar.remind(name, head.due_ms)
            for host in head.hosts:
                self._hosted.setdefault(host, {})[name] = None
            for key in head.awaits:
                self.waiting.setdefault(key, {})[name] = None
            if head.moving:
                self._moving[name] = None

    def note(self, terminal: Terminal) -> None:
        """The row changed: make its head anew, and follow it."""
        name, sessions = terminal.terminal_id, terminal.sessions
        hosts, awaits, moving = _gist(sessions) if sessions else ([], [], False)
        if hosts != terminal.hosts:
            terminal.hosts = _follow(self._hosted, name, terminal.hosts, hosts)
        if awaits != terminal.awaits:
            terminal.awaits = _follow(self.waiting, name, terminal.awaits, awaits)
        if moving:
            self._moving[name] = None
        elif terminal.moving:
            del self._moving[name]
        terminal.moving, terminal.due_ms = moving, next_due_ms(terminal)
        if terminal.due_ms < NEVER_MS:
            self._calendar.remind(name, terminal.due_ms)

    def forget(self, terminal: Terminal) -> None:
        """The row goes."""
        _follow(self._hosted, terminal.terminal_id, terminal.hosts, [])
        _follow(self.waiting, terminal.terminal_id, terminal.awaits, [])
        self._moving.pop(terminal.terminal_id, None)

    def due(self, now_ms: int, view: View) -> list[str]:
        """Whom time or the view gives a reason to look at, in order of their names."""
        names = dict.fromkeys(self._ripe(now_ms))
        revision = view.revision_of("region_rows", "sites", "apps", "pauses", "policies")
        if revision != self._revision:
            self._revision = revision
            names.update(self._moving)
            names.update(dict.fromkeys(self._bereft(view)))
        return sorted(names)

    def check(self) -> None:
        """Assert that rows and indexes agree."""
        for name, terminal in self._terminals.items():
            assert (terminal.hosts, terminal.awaits, terminal.moving) == _gist(terminal.sessions), name
            assert all(name in self._hosted[host] for host in terminal.hosts), name
            assert all(name in self.waiting[key] for key in terminal.awaits), name
            assert (name in self._moving) == terminal.moving, name

    def _ripe(self, now_ms: int) -> list[str]:
        """Names whose rows say that it is time; those that were reminded too early wait on."""
        ripe: list[str] = []
        for name in self._calendar.due(now_ms):
            head = self._terminals.head(name)
            if head is not None and head.due_ms <= now_ms:
                ripe.append(name)
            elif head is not None and head.due_ms < NEVER_MS:
                self._calendar.remind(name, head.due_ms)
        return ripe

    def _bereft(self, view: View) -> list[str]:
        """Terminals at sites that have died since the last look; when to look again is said by their rows."""
        rows = {site_id: view.health.get(site_id) for site_id in self._hosted}
        dead = {site_id: row.since_ms for site_id, row in rows.items() if row and row.health is Health.DEAD}
        news = [site_id for site_id, since_ms in dead.items() if self._dead.get(site_id) != since_ms]
        self._dead = dead
        return [name for site_id in news for name in self._hosted[site_id]]


def _gist(sessions: dict[str, Session]) -> tuple[list[str], list[str], bool]:
    """Hosts of the sessions, permits they wait for, and whether any moves."""
    hosts, awaits, moving = dict[str, None](), dict[str, None](), False
    for _, session in sorted(sessions.items()):
        if session.host:
            hosts[session.host] = None
        procedure = session.procedure
        if procedure is not None and procedure.state.open:
            moving = True
            if procedure.state is State.RUN and procedure.waits_at:
                awaits[procedure.waits_at] = None
    return [*hosts], [*awaits], moving


def _follow(index: dict[str, dict[str, None]], name: str, before: list[str], now: list[str]) -> list[str]:
    for key in before:
        if key not in now:
            del index[key][name]
            if not index[key]:
                del index[key]
    for key in now:
        index.setdefault(key, {})[name] = None
    return now
