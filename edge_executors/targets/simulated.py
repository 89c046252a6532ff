"""A site as numbers, for emulated sites and fast tests: replicas with a start-up delay, sessions and rules as data.

It is never taken for the real thing: everything it reports about itself says `emulated`.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

import msgspec

from edge_executors.clock import Clock, wall_ms
from schemas.commands import (
    Command,
    MoveParams,
    MoveStep,
    RenewParams,
    RuleParams,
    ScaleParams,
    SpillParams,
    StateRef,
)
from schemas.statuses import CopyState, Observed, Result
from topics.topic import Keyspace

from .base import Found, Reading, TargetError, replicas_found

LABEL: Final = "emulated"
_FIRST_CUT_MS: Final = 5_000


class SimulatedCopy(msgspec.Struct, kw_only=True):
    """One copy of a stateful resource."""

    resource_id: str
    kind: str
    terminal_id: str
    state: CopyState
    version: int = 0
    lease_until_ms: int = 0
    prepared_until_ms: int = 0


class SimulatedTarget:
    """One emulated site. `room` is how many replicas fit in all; more is refused as `no-room`."""

    def __init__(
        self, site_id: str, *, startup_ms: int = 500, drain_ms: int = 100, room: int = 1000, now_ms: Clock = wall_ms
    ) -> None:
        self.site_id = site_id
        self.replicas: dict[str, int] = {}
        self.shares: dict[str, SpillParams] = {}
        self.rules: dict[str, RuleParams] = {}
        self.copies: dict[str, SimulatedCopy] = {}
        self._startup_s = startup_ms / 1000
        self._drain_s = drain_ms / 1000
        self._room = room
        self._now_ms = now_ms

    def takes(self, command: Command) -> bool:
        """All but hellos, which are the executor's own."""
        return isinstance(command.params, ScaleParams | SpillParams | RuleParams | MoveParams | RenewParams)

    async def plan(self, command: Command) -> tuple[str, ...]:
        """One line where something would change."""
        reading = await self.read_back(command)
        return () if reading.holds else (f"{LABEL}: {command.action} {command.resource.id}",)

    async def apply(self, command: Command) -> None:
        """Set the numbers, after the time that the real thing would take."""
        params = command.params
        if isinstance(params, ScaleParams):
            await self._scale(params)
        elif isinstance(params, SpillParams):
            self.shares[params.app_id] = params
        elif isinstance(params, RuleParams):
            self._rule(command.resource.id, params)
        elif isinstance(params, MoveParams):
            self._move(command, params)
        elif isinstance(params, RenewParams):
            self._renew(params, command.lease_until_ms)

    async def read_back(self, command: Command) -> Reading:
        """Compare the numbers with what is wanted."""
        params = command.params
        if isinstance(params, ScaleParams):
            there = self.replicas.get(params.app_id, 0)
            names = tuple(f"{LABEL}-{params.app_id}-{n}" for n in range(there))
            return Reading(holds=there == params.replicas, result=Result(observed=there, instance_ids=names))
        if isinstance(params, SpillParams):
            return Reading(holds=self.shares.get(params.app_id) == params)
        if isinstance(params, RuleParams):
            return Reading(holds=(command.resource.id in self.rules) == params.present)
        if isinstance(params, MoveParams):
            return self._copy_reading(command.resource.id, params)
        return Reading(holds=True)

    async def survey(self) -> tuple[Found, ...]:
        """Replicas of every app and every copy."""
        replicas = [replicas_found(self.site_id, app, n) for app, n in self.replicas.items()]
        return (*replicas, *(self._found(copy) for copy in self._live()))

    async def close(self) -> None:
        """Nothing is held."""

    async def _scale(self, params: ScaleParams) -> None:
        there = self.replicas.get(params.app_id, 0)
        others = sum(n for app, n in self.replicas.items() if app != params.app_id)
        if others + params.replicas > self._room:
            raise TargetError("no-room", f"{LABEL}: {self._room} replicas fit")
        await asyncio.sleep(self._startup_s if params.replicas > there else self._drain_s)
        self.replicas[params.app_id] = params.replicas

    def _rule(self, rule_id: str, params: RuleParams) -> None:
        if params.present:
            self.rules[rule_id] = params
        else:
            self.rules.pop(rule_id, None)

    def _move(self, command: Command, params: MoveParams) -> None:
        copy = self.copies.get(command.resource.id)
        if params.step in (MoveStep.DISCARD, MoveStep.DROP):
            self.copies.pop(command.resource.id, None)
        elif params.step is MoveStep.PREPARE:
            if copy is None:
                self.copies[command.resource.id] = self._new(command, params, CopyState.PREPARED)
        elif params.step is MoveStep.ACTIVATE:
            self.copies[command.resource.id] = self._new(command, params, CopyState.ACTIVE)
        elif copy is None or copy.state is CopyState.PREPARED:
            raise TargetError("no-state", retryable=False)
        else:
            copy.state = CopyState.FROZEN if params.step is MoveStep.FREEZE else CopyState.ACTIVE
            copy.lease_until_ms = command.lease_until_ms

    def _new(self, command: Command, params: MoveParams, state: CopyState) -> SimulatedCopy:
        return SimulatedCopy(
            resource_id=command.resource.id,
            kind=command.resource.type,
            terminal_id=params.terminal_id,
            state=state,
            version=max(params.version, params.state.version if params.state else 0),
            lease_until_ms=command.lease_until_ms,
            prepared_until_ms=params.prepared_until_ms,
        )

    def _renew(self, params: RenewParams, until_ms: int) -> None:
        alive = {copy.resource_id: copy for copy in self._live() if copy.state is not CopyState.PREPARED}
        for resource_id in params.resources:
            if resource_id in alive:
                alive[resource_id].state = CopyState.ACTIVE
                alive[resource_id].lease_until_ms = until_ms
        gone = [name for name in params.resources if name not in alive]
        if gone:
            raise TargetError("no-state", ",".join(gone), retryable=False)

    def _copy_reading(self, resource_id: str, params: MoveParams) -> Reading:
        copy = next((c for c in self._live() if c.resource_id == resource_id), None)
        if params.step in (MoveStep.DISCARD, MoveStep.DROP):
            return Reading(holds=copy is None)
        wanted = CopyState.FROZEN if params.step is MoveStep.FREEZE else CopyState.ACTIVE
        holds = copy is not None and (params.step is MoveStep.PREPARE or copy.state is wanted)
        ref = None if copy is None else self._ref(copy)
        return Reading(holds=holds, result=Result(state=ref, moot=copy is None))

    def _ref(self, copy: SimulatedCopy) -> StateRef:
        digest = hashlib.sha256(f"{copy.resource_id}/{copy.version}".encode()).hexdigest()
        return StateRef(ref=f"{LABEL}:{self.site_id}/{copy.resource_id}", sha256=digest, version=copy.version)

    def _live(self) -> tuple[SimulatedCopy, ...]:
        """Copies as time has left them: prepared ones delete themselves, leases that ended park."""
        now_ms = self._now_ms()
        for copy in tuple(self.copies.values()):
            if copy.state is CopyState.PREPARED and 0 < copy.prepared_until_ms <= now_ms + _FIRST_CUT_MS:
                del self.copies[copy.resource_id]
            elif copy.state is CopyState.ACTIVE and 0 < copy.lease_until_ms < now_ms:
                copy.state = CopyState.PARKED
        return tuple(self.copies.values())

    def _found(self, copy: SimulatedCopy) -> Found:
        observed = Observed(resource_id=copy.resource_id, state=copy.state, version=copy.version)
        keyspace = Keyspace.APP if copy.kind == "instance" else Keyspace.TERMINAL
        return Found(kind=copy.kind, observed=observed, owner_key=copy.terminal_id, owner_keyspace=str(keyspace))
