"""Holds the wanted number of replicas of each app: starts, undrains, drains and stops processes; heals nothing itself.

A replica that dies is only told of: what should be done about it is the site controller's to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

from edge_executors.copies import Copies
from edge_executors.fleet import Backend, Fleet
from schemas.commands import ScaleParams

from .base import TargetError
from .launching import launch
from .nodes import Nodes, Running

_AT_ONCE: Final = 4
"""Replicas started side by side: more only fight for the same processors."""

HandOver = Callable[[Backend], Awaitable[bool]]
Lost = Callable[[Backend], None]


class Scaler:
    """The replicas of one site. `hand_over` moves a draining replica's sessions; `lost` hears of one that died."""

    def __init__(
        self, nodes: Nodes, fleet: Fleet, copies: Copies, token: str, *, hand_over: HandOver, lost: Lost
    ) -> None:
        self.nodes = nodes
        self.running: dict[str, Running] = {}
        self._fleet = fleet
        self._copies = copies
        self._token = token
        self._hand_over = hand_over
        self._lost = lost
        self._starts = asyncio.Semaphore(_AT_ONCE)
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._wakes: dict[str, asyncio.Lock] = {}

    def of(self, app_id: str) -> list[Running]:
        """Replicas of an app that serve."""
        return [r for r in self.running.values() if r.app_id == app_id and r.is_serving]

    async def hold(self, params: ScaleParams) -> None:
        """Make it so many; may be cancelled at any point and called again with another number."""
        self._adopt(params)
        self._undrain(params)
        serving = self.of(params.app_id)
        await self._start(params, params.replicas - len(serving))
        stale = [r for r in self.of(params.app_id) if not _fits(r, params)]
        for old in stale:
            if len(self.of(params.app_id)) - self._left(stale) < params.replicas:
                await self._start(params, 1)
            await self._drain(old, params.drain_ms)
        surplus = self._surplus(params)
        await asyncio.gather(*(self._drain(r, params.drain_ms) for r in surplus))

    async def wake(self, app_id: str) -> Backend:
        """A replica for a session that arrives where none of its app runs; starts one if need be."""
        async with self._wakes.setdefault(app_id, asyncio.Lock()):
            per_instance = self._copies.per_instance()
            serving = [b for b in self._fleet.of(app_id) if not b.is_draining]
            if serving:
                return min(serving, key=lambda b: per_instance[b.instance_id])
            await self._start(ScaleParams(app_id=app_id, replicas=1), 1)
            backend = self._fleet.choose(app_id)
            if backend is None:
                raise TargetError("start-failed", f"no replica of {app_id} answers")
            return backend

    def kill_node(self, node_id: str) -> None:
        """The node and everything on it is gone at once."""
        self.nodes.kill(node_id)
        for replica in tuple(self.running.values()):
            if replica.node_id == node_id and replica.process is not None:
                replica.process.kill()

    async def close(self) -> None:
        """End all replicas."""
        for task in self._watches.values():
            task.cancel()
        ending = [r.process.end() for r in self.running.values() if r.process is not None]
        await asyncio.gather(*ending)
        self.running.clear()

    def _adopt(self, params: ScaleParams) -> None:
        """One that a session woke before any order came counts as ordered from now on."""
        for replica in self.running.values():
            if replica.app_id == params.app_id and not replica.spec_version:
                replica.spec_version, replica.per_replica = params.spec_version, params.per_replica

    def _undrain(self, params: ScaleParams) -> None:
        """What still runs need not be started again."""
        for replica in self.running.values():
            if len(self.of(params.app_id)) >= params.replicas:
                return
            process = replica.process
            is_draining = process is not None and process.is_alive and process.backend.is_draining
            if process is not None and replica.app_id == params.app_id and is_draining and _fits(replica, params):
                self._fleet.drain(process.backend, is_draining=False)

    def _left(self, stale: Sequence[Running]) -> int:
        return sum(r.is_serving for r in stale)

    def _surplus(self, params: ScaleParams) -> list[Running]:
        """Those with the fewest sessions go first, then the youngest."""
        sessions = self._copies.per_instance()
        serving = self.of(params.app_id)
        order = sorted(enumerate(serving), key=lambda item: (sessions[item[1].instance_id], -item[0]))
        draining = [r for r in self.running.values() if r.app_id == params.app_id and r.process and not r.is_serving]
        return [*draining, *(r for _, r in order[: max(0, len(serving) - params.replicas)])]

    async def _start(self, params: ScaleParams, count: int) -> None:
        """Start so many side by side; what fits is started even if not all do."""
        placed = [self._place(params) for _ in range(max(0, count))]
        results = await asyncio.gather(*(self._launch(r) for r in placed if r), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        if None in placed:
            raise TargetError("no-room", f"{placed.count(None)} replicas of {params.app_id} fit on no node")

    def _place(self, params: ScaleParams) -> Running | None:
        avoid: Collection[str] = params.avoid_nodes
        node_id = self.nodes.place(params.per_replica, self.running.values(), avoid)
        if node_id is None:
            return None
        instance_id = f"{params.app_id}-{secrets.token_hex(4)}"
        replica = Running(
            app_id=params.app_id,
            instance_id=instance_id,
            node_id=node_id,
            per_replica=params.per_replica,
            spec_version=params.spec_version,
        )
        self.running[instance_id] = replica
        return replica

    async def _launch(self, replica: Running) -> None:
        try:
            async with self._starts:
                process = await launch(replica.app_id, replica.instance_id, replica.node_id, self._token)
        except BaseException:
            self.running.pop(replica.instance_id, None)
            raise
        replica.process = process
        if replica.node_id not in {node.node_id for node in self.nodes.alive()}:
            process.kill()
        self._fleet.add(process.backend)
        watch = asyncio.get_running_loop().create_task(self._watch(replica), name=f"watch {replica.instance_id}")
        self._watches[replica.instance_id] = watch

    async def _watch(self, replica: Running) -> None:
        """Notice the end of a process, ordered or not."""
        assert replica.process is not None
        await replica.process.ended()
        self.running.pop(replica.instance_id, None)
        self._watches.pop(replica.instance_id, None)
        self._fleet.remove(replica.process.backend)
        self._lost(replica.process.backend)

    async def _drain(self, replica: Running, drain_ms: int) -> None:
        """Weight 0, sessions elsewhere, no request in hand or time over, stop."""
        process = replica.process
        if process is None or not process.is_alive:
            return
        backend = process.backend
        self._fleet.drain(backend, is_draining=True)
        if not await self._hand_over(backend):
            self._fleet.drain(backend, is_draining=False)
            raise TargetError("holds-sessions", f"{backend.instance_id} holds sessions that no other replica can take")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_ms / 1000):
                await backend.at_rest()
        self._fleet.remove(backend)
        await process.end()


def _fits(replica: Running, params: ScaleParams) -> bool:
    """Whether it may count: not on an avoided node, and not of an older spec."""
    return replica.node_id not in params.avoid_nodes and replica.spec_version >= params.spec_version
