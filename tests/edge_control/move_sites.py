"""The world around the terminal controller in the simulation: ledgers of sites, executors with leases, a region."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from schemas.commands import Command, MoveParams, MoveStep, RenewParams, RuleParams, StateRef
from schemas.requests import Commit, Committed, ReleaseRoom, Reserve, Reserved
from schemas.statuses import CommandState, CopyState, Fault, Observed, Result, Status

ANSWERED = (CommandState.SUCCEEDED, "")


class Room(msgspec.Struct):
    """One reservation at a site."""

    session: str
    until_ms: int
    committed: bool = False


class Ledger:
    """The room of one site: granted, committed, released; judged by the time of appending."""

    def __init__(self, site: str, seats: int) -> None:
        self.site = site
        self.seats = seats
        self.rooms: dict[str, Room] = {}
        self.released: dict[str, None] = {}

    def expire(self, now_ms: int) -> None:
        """Reservations that were not committed in time are gone."""
        for name in [n for n, room in self.rooms.items() if not room.committed and room.until_ms < now_ms]:
            del self.rooms[name]

    def hear(self, body: Any, now_ms: int) -> Reserved | Committed | None:
        """Answer a request."""
        self.expire(now_ms)
        match body:
            case Reserve():
                return self._reserve(body, now_ms)
            case Commit():
                room = self.rooms.get(body.reservation_id)
                granted = room is not None and (room.committed or now_ms <= body.expires_at_ms)
                if room is not None and granted:
                    room.committed = True
                reason = "" if granted else "expired"
                return Committed(request_id=body.request_id, granted=granted, reason=reason, site_id=self.site)
            case ReleaseRoom():
                self.rooms.pop(body.reservation_id, None)
                self.released[body.reservation_id] = None
        return None

    def _reserve(self, body: Reserve, now_ms: int) -> Reserved:
        room = self.rooms.get(body.request_id)
        fits = len(self.rooms) < self.seats and now_ms <= body.expires_at_ms and body.request_id not in self.released
        if room is None and fits:
            room = self.rooms[body.request_id] = Room(session=body.resource_id, until_ms=now_ms + body.for_ms)
        if room is None:
            return Reserved(request_id=body.request_id, granted=False, reason="no-room", site_id=self.site)
        return Reserved(request_id=body.request_id, granted=True, site_id=self.site, until_ms=room.until_ms)


class Copy(msgspec.Struct):
    """One copy of a session at a site; times are those of the site's clock."""

    state: CopyState
    version: int
    lease_until_ms: int = 0
    prepared_until_ms: int = 0
    procedure: str = ""
    settled: bool = False


class Executor:
    """One site's executor: durable store of seen commands, fences and copies; a clock of its own.

    `up`: the process runs. `powered`: the site has power, so copies run. Leases are enforced where the state is.
    """

    def __init__(self, site: str, leased: set[str], clock_offset_ms: int) -> None:
        self.site = site
        self.leased = leased
        self.offset_ms = clock_offset_ms
        self.boot = 1
        self.up = True
        self.powered = True
        self.copies: dict[str, Copy] = {}
        self.exports: dict[str, int] = {}
        self.rules: dict[str, tuple[str, int]] = {}
        self.seen: dict[str, tuple[CommandState, str, int]] = {}
        self.fences: dict[str, int] = {}

    def active(self, session: str, now_ms: int) -> Copy | None:
        """The copy, if it may serve at this (true) time."""
        copy = self.copies.get(session)
        if copy is None or copy.state is not CopyState.ACTIVE or not self.powered:
            return None
        lapsed = session in self.leased and now_ms + self.offset_ms >= copy.lease_until_ms
        return None if lapsed else copy

    def forget_prepared(self, now_ms: int) -> None:
        """Prepared copies delete themselves in time."""
        local = now_ms + self.offset_ms
        for name in [
            n for n, c in self.copies.items() if c.state is CopyState.PREPARED and c.prepared_until_ms - 5_000 <= local
        ]:
            del self.copies[name]

    def lose_power(self, rng: random.Random) -> None:
        """What ran is parked on disk; what was prepared is gone; sometimes the disk is, too."""
        self.powered = self.up = False
        if rng.random() < 0.3:
            self.copies, self.exports, self.seen, self.fences, self.rules = {}, {}, {}, {}, {}
            return
        self.copies = {name: c for name, c in self.copies.items() if c.state is not CopyState.PREPARED}
        for copy in self.copies.values():
            copy.state = CopyState.FROZEN if copy.state is CopyState.FROZEN else CopyState.PARKED

    def hear(self, command: Command, peers: Peers, now_ms: int) -> Status:
        """Seen id before expired before fence before effect; the answer is stored with the effect."""
        stored = self.seen.get(command.command_id)
        if stored is None:
            stored = (*self._judge(command, peers, now_ms), self._version(command))
            self.seen[command.command_id] = stored
        return self._status(command, stored)

    def _version(self, command: Command) -> int:
        copy = self.copies.get(command.resource.id)
        return copy.version if copy else 0

    def _judge(self, command: Command, peers: Peers, now_ms: int) -> tuple[CommandState, str]:
        if 0 < command.start_by_ms < now_ms + self.offset_ms:
            return CommandState.EXPIRED, ""
        if command.fence.revision < self.fences.get(command.resource.id, 0):
            return CommandState.REJECTED, "fence"
        self.fences[command.resource.id] = command.fence.revision
        match command.params:
            case RuleParams() as rule:
                self.rules.pop(rule.session_id, None)
                if rule.present:
                    self._settle(rule)
                return ANSWERED
            case RenewParams():
                return self._wake(command)
            case MoveParams() as move:
                return self._step(command, move, peers)
        raise AssertionError(command)

    def _settle(self, rule: RuleParams) -> None:
        """A copy that came by a move is served at its own ingress once a rule has pointed to it, never before."""
        self.rules[rule.session_id] = (rule.host_site, rule.until_ms)
        copy = self.copies.get(rule.session_id)
        if rule.host_site == self.site and copy is not None:
            copy.settled = True

    def _wake(self, command: Command) -> tuple[CommandState, str]:
        copy = self.copies.get(command.resource.id)
        if copy is None or copy.state is CopyState.PREPARED:
            return CommandState.FAILED, "no-state"
        copy.state, copy.lease_until_ms = CopyState.ACTIVE, command.lease_until_ms
        return ANSWERED

    def _step(self, command: Command, move: MoveParams, peers: Peers) -> tuple[CommandState, str]:
        session, copy = command.resource.id, self.copies.get(command.resource.id)
        match move.step:
            case MoveStep.PREPARE:
                version = peers.running(move.source_site, self.site, session)
                if version is None or copy is not None:
                    return CommandState.FAILED, "no-source" if copy is None else "occupied"
                self.copies[session] = Copy(CopyState.PREPARED, version, prepared_until_ms=move.prepared_until_ms)
            case MoveStep.FREEZE:
                if copy is None:
                    return CommandState.FAILED, "no-state"
                copy.state = CopyState.FROZEN
                self.exports[session] = copy.version
            case MoveStep.THAW:
                return self._wake(command)
            case MoveStep.DISCARD | MoveStep.DROP:
                self.copies.pop(session, None)
                self.exports.pop(session, None)
                if peers.began.get(session) == self.site:
                    del peers.began[session]
            case MoveStep.ACTIVATE:
                return self._activate(command, move, peers)
        return ANSWERED

    def _activate(self, command: Command, move: MoveParams, peers: Peers) -> tuple[CommandState, str]:
        session, copy = command.resource.id, self.copies.get(command.resource.id)
        procedure = command.procedure.id if command.procedure else ""
        if copy is not None and copy.procedure == procedure:
            return self._wake(command)
        if move.mode != "move":
            peers.wounds[session] = peers.wounds.get(session, 0) + 1
        if move.mode == "own":
            return self._wake(command)
        version = move.state.version if move.state else 0
        if move.mode == "move":
            prepared = copy is not None and copy.version == version
            if not prepared and peers.exported(move.source_site, self.site, session) != version:
                return CommandState.FAILED, "no-source"
        fresh = Copy(CopyState.ACTIVE, version, lease_until_ms=command.lease_until_ms, procedure=procedure)
        self.copies[session] = fresh
        return ANSWERED

    def _status(self, command: Command, stored: tuple[CommandState, str, int]) -> Status:
        state, error, version = stored
        ref = StateRef(ref=f"{self.site}/{command.resource.id}", sha256="00", version=version)
        return Status(
            command_id=command.command_id,
            attempt=command.attempt,
            state=state,
            state_version=1,
            entered_at_ms=0,
            executor_id=f"x-{self.site}",
            resource_id=command.resource.id,
            site_id=self.site,
            boot_id=str(self.boot),
            result=Result(state=ref) if state is CommandState.SUCCEEDED else None,
            error=Fault(code=error, retryable=False) if error else None,
        )

    def observed(self, session: str) -> tuple[Observed, ...]:
        """What a hello says about one session."""
        copy = self.copies.get(session)
        return () if copy is None else (Observed(resource_id=session, state=copy.state, version=copy.version),)


class Peers:
    """How executors reach each other, edge to edge, unless a site is cut off or without power."""

    def __init__(self) -> None:
        self.executors: dict[str, Executor] = {}
        self.unreachable: dict[str, None] = {}
        self.wounds: dict[str, int] = {}
        self.began: dict[str, str] = {}

    def _source(self, site: str, asker: str) -> Executor | None:
        source = self.executors[site]
        reachable = site not in self.unreachable and asker not in self.unreachable
        return source if reachable and source.powered and source.up else None

    def running(self, site: str, asker: str, session: str) -> int | None:
        """The version that runs there now."""
        source = self._source(site, asker)
        copy = source.copies.get(session) if source else None
        return copy.version if copy else None

    def exported(self, site: str, asker: str, session: str) -> int | None:
        """The final version that was frozen there."""
        source = self._source(site, asker)
        return source.exports.get(session) if source else None
