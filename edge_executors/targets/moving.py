"""The copies of sessions, devices and instances at a live site: prepare, freeze, activate, thaw, discard, drop, renew.

The steps are PROCEDURES 3. State travels edge to edge: the target pulls it from the source's state endpoint and proves
it by its sha256. What a copy was is kept as a file as well, so that a copy whose replica died is parked, not gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

from edge_executors.clock import Clock
from edge_executors.control import Control, Held
from edge_executors.copies import Copies, Copy
from edge_executors.fleet import Backend
from edge_executors.state_client import StateClient
from edge_executors.states import CopyName, StateFiles
from schemas.commands import Command, MoveParams, MoveStep, RenewParams, StateRef
from schemas.statuses import CopyState

from .base import TargetError

SELF_DELETE_EARLY_MS: Final = 5_000
"""A prepared copy deletes itself so long before its time: its owner's clock may be behind."""
Wake = Callable[[str], Awaitable[Backend]]


class Mover:
    """Changes copies, each under its lock. `wake` gives a replica of an app that can take one more."""

    def __init__(
        self,
        site_id: str,
        *,
        copies: Copies,
        control: Control,
        files: StateFiles,
        client: StateClient,
        wake: Wake,
        now_ms: Clock,
    ) -> None:
        self.site_id = site_id
        self.copies = copies
        self._control = control
        self._files = files
        self._client = client
        self._wake = wake
        self._now_ms = now_ms

    async def apply(self, command: Command, params: MoveParams) -> None:
        """One step on one copy."""
        name = CopyName(
            resource_id=command.resource.id,
            kind=command.resource.type,
            app_id=params.app_id,
            terminal_id=params.terminal_id,
        )
        async with self.copies.lock(name.resource_id):
            if params.step is MoveStep.PREPARE:
                await self._prepare(name, params)
            elif params.step is MoveStep.FREEZE:
                await self._freeze(name)
            elif params.step is MoveStep.ACTIVATE and params.mode != "own":
                await self._activate(name, params, command.lease_until_ms)
            elif params.step in (MoveStep.ACTIVATE, MoveStep.THAW):
                await self._be_active(name, command.lease_until_ms)
            else:
                await self._drop(name)

    async def renew(self, params: RenewParams, lease_until_ms: int) -> list[str]:
        """Copies may be active until then: wakes frozen and parked ones. Returns those that are not here."""
        gone: list[str] = []
        for resource_id in params.resources:
            async with self.copies.lock(resource_id):
                about = self._about(resource_id)
                if about is None or not await self._was_woken(about, lease_until_ms):
                    gone.append(resource_id)
        return gone

    async def start(self, name: CopyName) -> bool:
        """A new session of a user of this site's ingress, from nothing; False if a copy is there already."""
        async with self.copies.lock(name.resource_id):
            if self.copies.get(name.resource_id) is not None:
                return False
            copy = await self._import(name, b"", CopyState.ACTIVE)
            copy.is_rooted = True
            return True

    async def end(self, resource_id: str) -> Copy | None:
        """The session is over."""
        async with self.copies.lock(resource_id):
            copy = self.copies.get(resource_id)
            if copy is not None:
                await self._drop(copy.name)
            return copy

    async def restore(self, lost: Copy) -> None:
        """A copy whose replica died here goes on from its newest kept state, in another replica of this site."""
        async with self.copies.lock(lost.name.resource_id):
            if self.copies.get(lost.name.resource_id) is None:
                await self._be_active(lost.name, 0)
                copy = self._live(lost.name.resource_id)
                copy.is_rooted = lost.is_rooted

    def sweep(self) -> None:
        """What time does to copies, their replicas do themselves; here it is noted."""
        now_ms = self._now_ms()
        for copy in self.copies:
            if copy.state is CopyState.PREPARED and 0 < copy.prepared_until_ms - SELF_DELETE_EARLY_MS < now_ms:
                self.copies.remove(copy.name.resource_id)
            elif copy.state is CopyState.ACTIVE and 0 < copy.lease_until_ms < now_ms:
                copy.state = CopyState.PARKED
                self.copies.put(copy)

    async def _prepare(self, name: CopyName, params: MoveParams) -> None:
        """A copy of the running state, so that the final pull is small and the replica is warm."""
        copy = self.copies.get(name.resource_id)
        if copy is not None and copy.state is not CopyState.PREPARED:
            return
        if params.state is not None:
            data = await self._client.pull(params.state)
        elif params.source_site:
            data = await self._client.running(params.source_site, name.resource_id)
        else:
            data = b""
        await self._import(name, data, CopyState.PREPARED, prepared_until_ms=params.prepared_until_ms)

    async def _freeze(self, name: CopyName) -> None:
        copy = self._live(name.resource_id)
        earlier, copy.state = copy.state, CopyState.FROZEN
        try:
            held = await self._control.freeze(copy.backend, name.resource_id)
        except TargetError:
            copy.state = earlier
            raise
        if held is None:
            self.copies.remove(name.resource_id)
            raise TargetError("no-state", "its replica has it no more", retryable=False)
        self._keep(copy, held)
        self.copies.put(copy)

    async def _activate(self, name: CopyName, params: MoveParams, lease_until_ms: int) -> None:
        """From the final state; the same state twice is one activation, so that a counter never goes back."""
        copy = self.copies.get(name.resource_id)
        wanted = params.state.sha256 if params.state else ""
        if copy is not None and wanted and copy.origin == wanted and copy.state is not CopyState.PREPARED:
            await self._be_active(name, lease_until_ms)
            return
        data = await self._final_state(params, copy)
        await self._import(name, data, CopyState.ACTIVE, lease_until_ms=lease_until_ms)

    async def _final_state(self, params: MoveParams, copy: Copy | None) -> bytes:
        """The named state from where it lies, else a copy here if it is the same; without a name, what is here."""
        if params.state is None and copy is None and params.source_site:
            raise TargetError("no-state", "no state is named and none was prepared", retryable=False)
        if params.state is None:
            return b"" if copy is None else await self._exported(copy)
        try:
            return await self._client.pull(params.state)
        except TargetError:
            if copy is not None and params.state.sha256 and copy.origin == params.state.sha256:
                return await self._exported(copy)
            raise

    async def _exported(self, copy: Copy) -> bytes:
        held = await self._control.export(copy.backend, copy.name.resource_id)
        if held is None:
            raise TargetError("no-state", "the prepared copy has deleted itself", retryable=False)
        return held.data

    async def _be_active(self, name: CopyName, lease_until_ms: int) -> None:
        """Serve until the lease ends (0: for ever): wakes frozen and parked copies, never prepared ones."""
        copy = self.copies.get(name.resource_id)
        if copy is None:
            kept = self._files.newest(self.site_id, name.resource_id)
            if kept is None:
                raise TargetError("no-state", "nothing of it is here", retryable=False)
            await self._import(name, kept[1], CopyState.ACTIVE, lease_until_ms=lease_until_ms)
            return
        if copy.state is CopyState.PREPARED:
            raise TargetError("no-state", "only a prepared copy is here", retryable=False)
        held = await self._control.thaw(copy.backend, name.resource_id, lease_until_ms)
        if held is None:
            self.copies.remove(name.resource_id)
            raise TargetError("no-state", "its replica has it no more", retryable=False)
        copy.state, copy.lease_until_ms = CopyState.ACTIVE, lease_until_ms
        self.copies.put(copy)

    async def _was_woken(self, name: CopyName, lease_until_ms: int) -> bool:
        try:
            await self._be_active(name, lease_until_ms)
        except TargetError:
            return False
        return True

    async def _drop(self, name: CopyName) -> None:
        copy = self.copies.get(name.resource_id)
        if copy is not None:
            await self._control.drop(copy.backend, name.resource_id)
        self.copies.remove(name.resource_id)
        self._files.forget(self.site_id, name.resource_id)

    async def _import(
        self, name: CopyName, data: bytes, state: CopyState, *, lease_until_ms: int = 0, prepared_until_ms: int = 0
    ) -> Copy:
        """Put a state into a replica; a copy that is here is replaced in its own replica."""
        there = self.copies.get(name.resource_id)
        backend = there.backend if there is not None else await self._wake(name.app_id)
        held = await self._control.put(
            backend,
            name.resource_id,
            data,
            state,
            lease_until_ms=lease_until_ms,
            prepared_until_ms=prepared_until_ms,
        )
        copy = Copy(name, backend, state, version=held.version, now_ms=self._now_ms())
        copy.lease_until_ms, copy.prepared_until_ms = lease_until_ms, prepared_until_ms
        copy.origin = hashlib.sha256(data).hexdigest()
        self.copies.put(copy)
        if state is CopyState.ACTIVE:
            self._files.describe(self.site_id, name.resource_id, name)
        return copy

    def lost(self, backend: Backend) -> list[Copy]:
        """A replica died: its copies are gone from here; they are parked as far as a state was kept."""
        gone = list(self.copies.in_backend(backend))
        for copy in gone:
            self.copies.remove(copy.name.resource_id)
        return gone

    def _keep(self, copy: Copy, held: Held) -> StateRef:
        copy.version = held.version
        copy.origin = hashlib.sha256(held.data).hexdigest()
        return self._files.put(self.site_id, copy.name.resource_id, held.version, held.data)

    def _live(self, resource_id: str) -> Copy:
        copy = self.copies.get(resource_id)
        if copy is None or copy.state is CopyState.PREPARED:
            raise TargetError("no-state", "no copy that has served is here", retryable=False)
        return copy

    def _about(self, resource_id: str) -> CopyName | None:
        copy = self.copies.get(resource_id)
        return copy.name if copy is not None else self._files.about(self.site_id, resource_id)
