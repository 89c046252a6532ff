"""Moves copies out of a draining replica into the other replicas of the same site, so that no user loses a session."""

from __future__ import annotations

import asyncio
import contextlib

from edge_executors.control import Control, Held
from edge_executors.copies import Copies, Copy
from edge_executors.fleet import Backend, Fleet
from schemas.statuses import CopyState

from .base import TargetError


class HandingOver:
    """Each copy under its lock: frozen here, alive there, then forgotten here."""

    def __init__(self, copies: Copies, control: Control, fleet: Fleet) -> None:
        self._copies = copies
        self._control = control
        self._fleet = fleet
        self._under_way: asyncio.Future[None] | None = None

    async def empty(self, backend: Backend) -> bool:
        """Whether the replica holds no copy any more; False if there is no other replica that could take them."""
        for copy in self._copies.in_backend(backend):
            others = [b for b in self._fleet.of(copy.name.app_id) if not b.is_draining]
            if not others:
                return False
            per_instance = self._copies.per_instance()
            goal = min(others, key=lambda b: per_instance[b.instance_id])
            # Shielded: a newer order may call the drain off, but no copy is left frozen halfway.
            self._under_way = asyncio.ensure_future(self._hand_over(copy, goal))
            await asyncio.shield(self._under_way)
        return True

    async def _hand_over(self, copy: Copy, goal: Backend) -> None:
        async with self._copies.lock(copy.name.resource_id):
            state, source, resource_id = copy.state, copy.backend, copy.name.resource_id
            if self._copies.get(resource_id) is not copy:
                return
            copy.state = CopyState.FROZEN
            try:
                held = await self._control.freeze(source, resource_id)
                if held is not None:
                    await self._place(copy, goal, held, state)
            except TargetError:
                await self._serve_again(copy, state)
                raise
            if held is None:
                self._copies.remove(resource_id)
                return
            copy.backend, copy.state, copy.version = goal, state, held.version
            self._copies.put(copy)
            await self._control.drop(source, resource_id)

    async def _place(self, copy: Copy, goal: Backend, held: Held, state: CopyState) -> None:
        await self._control.put(
            goal,
            copy.name.resource_id,
            held.data,
            state,
            lease_until_ms=copy.lease_until_ms,
            prepared_until_ms=copy.prepared_until_ms,
        )

    async def _serve_again(self, copy: Copy, state: CopyState) -> None:
        """It failed: the copy goes on where it is."""
        copy.state = state
        if state is CopyState.ACTIVE:
            with contextlib.suppress(TargetError):
                await self._control.thaw(copy.backend, copy.name.resource_id, copy.lease_until_ms)
        self._copies.put(copy)
