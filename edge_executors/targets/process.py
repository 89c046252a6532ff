"""The live target: replicas are OS processes on the site's nodes, copies of sessions live in them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from edge_executors.control import Control, Listed
from edge_executors.copies import Copy
from edge_executors.fleet import Backend, Fleet
from edge_executors.http_client import BrokenError, UnsentError
from edge_executors.states import StateFiles
from schemas.commands import Command, MoveParams, MoveStep, RenewParams, ScaleParams, StateRef
from schemas.statuses import CopyState, Observed, Result
from topics.topic import Keyspace

from .base import Found, Reading, TargetError, replicas_found
from .handing_over import HandingOver
from .moving import Mover
from .nodes import NodeConfig, Nodes
from .scaling import Scaler

_LOG: Final = logging.getLogger(__name__)
_OK: Final = 200
CopiesLost = Callable[[Sequence[Copy]], Awaitable[None]]


class ProcessTarget:
    """Scales and moves. `on_lost` hears of copies that died with their replica and could not be restored here."""

    def __init__(
        self,
        site_id: str,
        nodes: Sequence[NodeConfig],
        *,
        fleet: Fleet,
        control: Control,
        files: StateFiles,
        mover: Callable[[ProcessTarget], Mover],
        on_lost: CopiesLost,
    ) -> None:
        self._site_id = site_id
        self._fleet = fleet
        self._control = control
        self._files = files
        self._on_lost = on_lost
        self._restoring: list[asyncio.Task[None]] = []
        self.mover = mover(self)
        self.scaler = Scaler(
            Nodes(nodes),
            fleet,
            self.mover.copies,
            control.token,
            hand_over=HandingOver(self.mover.copies, control, fleet).empty,
            lost=self._lost,
        )

    async def wake(self, app_id: str) -> Backend:
        """A replica of the app that can take one more session."""
        return await self.scaler.wake(app_id)

    def takes(self, command: Command) -> bool:
        """Scaling, moves and renewals."""
        return isinstance(command.params, ScaleParams | MoveParams | RenewParams)

    async def plan(self, command: Command) -> tuple[str, ...]:
        """The difference, in words."""
        params = command.params
        if isinstance(params, ScaleParams):
            there = len(self.scaler.of(params.app_id))
            return () if there == params.replicas else (f"{params.app_id}: {there} -> {params.replicas} replicas",)
        reading = await self.read_back(command)
        return () if reading.holds else (f"{command.action} {command.resource.id}",)

    async def apply(self, command: Command) -> None:
        """Make it so."""
        params = command.params
        if isinstance(params, ScaleParams):
            await self.scaler.hold(params)
        elif isinstance(params, MoveParams):
            await self.mover.apply(command, params)
        elif isinstance(params, RenewParams):
            gone = await self.mover.renew(params, command.lease_until_ms)
            if gone:
                raise TargetError("no-state", ",".join(gone), retryable=False)

    async def read_back(self, command: Command) -> Reading:
        """Ask the replicas themselves."""
        params = command.params
        if isinstance(params, ScaleParams):
            return await self._read_replicas(params)
        if isinstance(params, MoveParams):
            return await self._read_copy(command.resource.id, params)
        if isinstance(params, RenewParams):
            here = tuple(r for r in params.resources if (c := self.mover.copies.get(r)) and c.state is CopyState.ACTIVE)
            return Reading(holds=len(here) == len(params.resources), result=Result(instance_ids=here))
        return Reading(holds=False)

    async def survey(self) -> tuple[Found, ...]:
        """Replicas of every app that was ever here, copies as their replicas have them, parked states on disk."""
        self.mover.sweep()
        replicas = [replicas_found(self._site_id, app, len(self.scaler.of(app))) for app in self._fleet.apps()]
        listed: dict[str, Listed] = {}
        for backend in self._fleet:
            try:
                listed.update(await self._control.listed(backend))
            except TargetError:
                continue
        copies = [self._found(copy, listed) for copy in self.mover.copies if copy.name.resource_id in listed]
        return (*replicas, *copies, *self._parked())

    async def close(self) -> None:
        """End all replicas."""
        for task in self._restoring:
            task.cancel()
        await self.scaler.close()

    async def _read_replicas(self, params: ScaleParams) -> Reading:
        backends = [r.process.backend for r in self.scaler.of(params.app_id) if r.process is not None]
        healthy = [b for b, ok in zip(backends, await asyncio.gather(*map(_answers, backends)), strict=True) if ok]
        result = Result(
            observed=len(healthy),
            instance_ids=tuple(b.instance_id for b in healthy),
            endpoints=tuple(b.url for b in healthy),
        )
        return Reading(holds=len(healthy) == params.replicas, result=result)

    async def _read_copy(self, resource_id: str, params: MoveParams) -> Reading:
        copy = self.mover.copies.get(resource_id)
        if params.step in (MoveStep.DISCARD, MoveStep.DROP):
            return Reading(holds=copy is None, result=Result(moot=copy is None))
        if copy is None:
            return Reading(holds=False)
        held = await self._control.export(copy.backend, resource_id)
        if held is None:
            return Reading(holds=False)
        ref = self._kept_ref(copy) if held.state is CopyState.FROZEN else None
        names = (copy.backend.instance_id,)
        result = Result(state=ref or _about(copy, len(held.data)), instance_ids=names)
        is_prepared = params.step is MoveStep.PREPARE  # Whatever copy is here will be replaced when it is activated.
        wanted = CopyState.FROZEN if params.step is MoveStep.FREEZE else CopyState.ACTIVE
        return Reading(holds=is_prepared or held.state is wanted, result=result)

    def _kept_ref(self, copy: Copy) -> StateRef | None:
        kept = self._files.newest(self._site_id, copy.name.resource_id)
        return None if kept is None else self._files.put(self._site_id, copy.name.resource_id, *kept)

    def _found(self, copy: Copy, listed: dict[str, Listed]) -> Found:
        there = listed[copy.name.resource_id]
        observed = Observed(
            resource_id=copy.name.resource_id,
            state=there.state,
            version=there.version,
            checkpoint_ref=copy.checkpoint_ref,
        )
        return _found(copy.name.kind, observed, copy.name.terminal_id)

    def _parked(self) -> list[Found]:
        """States whose copy is gone: a thaw, a renewal or an activation of its own wakes them."""
        found = []
        for resource_id in self._files.resources(self._site_id):
            about = self._files.about(self._site_id, resource_id)
            kept = self._files.newest(self._site_id, resource_id)
            if about is None or kept is None or self.mover.copies.get(resource_id) is not None:
                continue
            observed = Observed(resource_id=resource_id, state=CopyState.PARKED, version=kept[0])
            found.append(_found(about.kind, observed, about.terminal_id))
        return found

    def _lost(self, backend: Backend) -> None:
        gone = self.mover.lost(backend)
        if gone:
            self._restoring = [task for task in self._restoring if not task.done()]
            self._restoring.append(asyncio.get_running_loop().create_task(self._recover(gone)))

    async def _recover(self, gone: Sequence[Copy]) -> None:
        """Without a lease the host may go on by itself; with one, its owner must say so."""
        lost: list[Copy] = []
        for copy in gone:
            if copy.lease_until_ms or copy.state is not CopyState.ACTIVE:
                lost.append(copy)
                continue
            try:
                await self.mover.restore(copy)
            except TargetError as error:
                _LOG.warning("%s is parked: %s", copy.name.resource_id, error)
                lost.append(copy)
        if lost:
            await self._on_lost(lost)


def _found(kind: str, observed: Observed, terminal_id: str) -> Found:
    """Sessions and devices are their terminal's; instances are known to their app through its orders only."""
    owner = "" if kind == "instance" else terminal_id
    return Found(kind=kind, observed=observed, owner_key=owner, owner_keyspace=str(Keyspace.TERMINAL))


def _about(copy: Copy, size: int) -> StateRef:
    return StateRef(ref=f"copy:{copy.name.resource_id}", sha256=copy.origin, bytes=size, version=copy.version)


async def _answers(backend: Backend) -> bool:
    try:
        return (await backend.ask("GET", "/healthz", timeout_s=2.0)).status == _OK
    except (UnsentError, BrokenError):
        return False
