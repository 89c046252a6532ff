"""What the terminal controller remembers: places, sessions and their hosts, rules, leases, debts, procedures."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from edge_control.controllers.procedures import Procedure, State
from edge_control.inventory.tables import Row
from edge_control.inventory.twin import Twin
from schemas.commands import StateRef
from schemas.location import Mobility


class MoveProcedure(Procedure, kw_only=True, array_like=True):
    """One move, rescue, restart or return of a session or device.

    `lease_until_ms` and `start_by_ms` are those of the last activate ordered; `final` is the exported state.
    `early`: prepared before the user arrived; it waits at the permit. `in_debt`: a debt covers what the target holds.
    `awaits` names the permit row whose next token it waits for, until it has one (`permit_until_ms`).
    """

    source: str
    target: str
    exactly_once: bool = False
    decision_id: str = ""
    evidenced: bool = False
    reservation_id: str = ""
    reserved_until_ms: int = 0
    committed: bool = False
    permit_until_ms: int = 0
    prepared_until_ms: int = 0
    final: StateRef | None = None
    start_by_ms: int = 0
    lease_until_ms: int = 0
    activated: bool = False
    early: bool = False
    in_debt: bool = False
    rpo_ms: int = 0
    revised_for: str = ""
    revision: int = 0
    distance_m: int = 0
    awaits: str = ""

    @property
    def waits_at(self) -> str:
        """The permit row whose token it needs to go on; empty when it needs none."""
        return self.awaits if self.state is State.RUN and not self.permit_until_ms else ""

    @property
    def is_past_commit(self) -> bool:
        """Whether source and target may be changing roles: the host is not renewed meanwhile."""
        return self.state.open and self.step > _COMMIT_STEP.get(self.kind, 0)


_COMMIT_STEP = {"move": 3, "rescue": 2, "restart": 0, "original": 0}


class Debt(Row, kw_only=True, array_like=True):
    """A copy that is to be dropped at a site, and the room (empty: none booked) that it takes until it is gone.

    Asleep: the site is dead; it wakes when the site says hello.
    """

    site_id: str
    reservation_id: str = ""
    asleep: bool = False
    command_id: str = ""
    again_at_ms: int = 0
    attempt: int = 0
    revision: int = 0


class Rule(Row, kw_only=True, array_like=True):
    """The wanted rule of a session at one ingress: to a host until then, or (host empty) absent."""

    ingress: str
    host: str
    until_ms: int = 0
    confirmed: bool = False
    command_id: str = ""
    again_at_ms: int = 0
    attempt: int = 0
    revision: int = 0


class Renewal(Row, kw_only=True, array_like=True):
    """The last `Renew` sent to the host: until when, and whether it was carried out."""

    site_id: str
    command_id: str
    until_ms: int
    again_at_ms: int
    confirmed: bool = False


class Saved(Row, kw_only=True, array_like=True):
    """The newest known copy of a session's state outside its host: a checkpoint, or what a former host froze."""

    ref: StateRef
    site_id: str
    at_ms: int
    is_frozen_copy: bool = False


class Session(Row, kw_only=True, array_like=True):
    """One session (or virtual device) of a terminal: where it lives and what is wanted of it.

    `room_id` is the reservation that holds its room at the host; empty where it began by itself.
    `leases` is the latest lease ever sent to each site, `wakes` until when an order sent there may still wake a copy:
    proof that a site is dead says nothing about what waits for it in the log.
    `excess` is in metre-milliseconds since the last move.
    `gone`: the host said that it has no copy. `probe`: we do not know whether it has an active one; `Renew` asks.
    """

    session_id: str
    app_id: str
    host: str
    began_at_ms: int
    type: str = "session"
    mobility: Mobility = Mobility.WITHOUT_CONFIRMATION
    confirmed: bool = False
    exactly_once: bool = False
    state_bytes: int = 0
    room_id: str = ""
    ended: bool = False
    gone: bool = False
    probe: bool = False
    leases: dict[str, int] = msgspec.field(default_factory=dict)
    wakes: dict[str, int] = msgspec.field(default_factory=dict)
    renewal: Renewal | None = None
    rules: list[Rule] = msgspec.field(default_factory=list)
    debts: list[Debt] = msgspec.field(default_factory=list)
    saved: Saved | None = None
    procedure: MoveProcedure | None = None
    wants_original: str = ""
    excess: int = 0
    excess_rate_m: int = 0
    excess_at_ms: int = 0
    look_at_ms: int = 0
    avoid: dict[str, int] = msgspec.field(default_factory=dict)
    moved_at_ms: list[int] = msgspec.field(default_factory=list)
    hold: str = ""
    hold_at_ms: int = 0
    approval: str = ""
    approved_target: str = ""

    @property
    def moving(self) -> MoveProcedure | None:
        """The open procedure, if there is one."""
        return self.procedure if self.procedure is not None and self.procedure.state.open else None

    def rule_at(self, ingress: str) -> Rule | None:
        """The rule wanted (present or absent) at this ingress."""
        return next((rule for rule in self.rules if rule.ingress == ingress), None)

    def debt_at(self, site_id: str) -> Debt | None:
        """The open debt at this site."""
        return next((debt for debt in self.debts if debt.site_id == site_id), None)

    @property
    def sites(self) -> list[str]:
        """Every site where a copy of it may be or come to be."""
        names = [self.host, *(debt.site_id for debt in self.debts)]
        if (moving := self.moving) is not None:
            names += [moving.source, moving.target]
        return list(dict.fromkeys(name for name in names if name))


class Boot(Enum):
    """Which start of an executor speaks: the one we know, a newer one, or one before it, whose word is old."""

    PRESENT = "present"
    NEWER = "newer"
    FORMER = "former"


class Head(msgspec.Struct, array_like=True, gc=False):
    """What is needed of every terminal: when to look at it, whether it moves, its hosts, the permits it waits for."""

    due_ms: int
    moving: bool
    hosts: list[str]
    awaits: list[str]
    published_at_ms: int


class Terminal(Row, kw_only=True, array_like=True):
    """One terminal. `site` serves its present zone, or its last one; `former` are zones left lately, with the time.

    The first fields are its `Head`; the first four of them are derived from the rest. `seen` holds its latest senders,
    each as the hash of its name and the highest sequence taken. `boots` are the last two boots heard of each executor,
    the latest first. `revision` fences all its commands; it starts at the time of the row's birth, so that it grows
    even over a row that was forgotten and came back.
    """

    due_ms: int = 0
    moving: bool = False
    hosts: list[str] = msgspec.field(default_factory=list)
    awaits: list[str] = msgspec.field(default_factory=list)
    published_at_ms: int = 0
    terminal_id: str
    zone: str = ""
    site: str = ""
    since_ms: int = 0
    located_at_ms: int = 0
    heard_at_ms: int = 0
    former: dict[str, int] = msgspec.field(default_factory=dict)
    ping_pong_until_ms: int = 0
    seen: list[int] = msgspec.field(default_factory=list)
    boots: dict[str, list[str]] = msgspec.field(default_factory=dict)
    sessions: dict[str, Session] = msgspec.field(default_factory=dict)
    twin: Twin | None = None
    revision: int = 0
    generation: int = 0
    unpublished: bool = False

    def next_revision(self) -> int:
        """The next number that fences a command; it only grows."""
        self.revision += 1
        return self.revision


class Permit(Row, kw_only=True, array_like=True):
    """Tokens of a budget lease in hand for moves to one site, and the question on its way for more.

    `asked` is its id (empty: none is on its way), `asked_at_ms` when it was first put, `attempt` how often. Nothing is
    asked before `again_at_ms`. `lots` counts questions, so that each has its own id.
    """

    region_id: str
    tokens: int = 0
    until_ms: int = 0
    asked: str = ""
    asked_at_ms: int = 0
    attempt: int = 0
    again_at_ms: int = 0
    lots: int = 0


class Witnessed(Row, kw_only=True, array_like=True):
    """When this partition last told a region that users are served at a site."""

    at_ms: int


MAX_SENDERS: Final = 8
MAX_BOOTS: Final = 16
"""Of so many sites that are no hosts the boots are remembered: whoever travels keeps a small row."""


def is_news(terminal: Terminal, stream: str, boot_id: str, sequence: int) -> bool:
    """Whether an event was not taken before; senders that name no boot are trusted to say things once."""
    if not boot_id:
        return True
    seen, sender = terminal.seen, _hash_of(stream, boot_id)
    for place in range(0, len(seen), 2):
        if seen[place] == sender:
            newer = sequence > seen[place + 1]
            seen[place + 1] = max(sequence, seen[place + 1])
            return newer
    terminal.seen = [*seen[2 - 2 * MAX_SENDERS :], sender, sequence]
    return True


@lru_cache(maxsize=65_536)
def _hash_of(stream: str, boot_id: str) -> int:
    """64 bits that stand for a boot of a sender: eight of them stay small in a million rows."""
    return int.from_bytes(blake2b(f"{stream}/{boot_id}".encode(), digest_size=8).digest())


def note_boot(terminal: Terminal, site_id: str, boot_id: str) -> Boot:
    """Which boot of a site's executor speaks, compared with the last two; the newest is noted."""
    known = terminal.boots.get(site_id, [])
    if boot_id in known:
        return Boot.PRESENT if boot_id == known[0] else Boot.FORMER
    terminal.boots[site_id] = [boot_id, *known[:1]]
    if len(terminal.boots) > MAX_BOOTS:
        del terminal.boots[next(site for site in terminal.boots if site not in (site_id, *terminal.hosts))]
    return Boot.NEWER if known else Boot.PRESENT
