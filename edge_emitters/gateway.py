"""The site's gateway: batches its nodes, witnesses its peers, takes load and session events, keeps what waits on disk.

It lives in one asyncio process with the site's executor and ingress: everything here is one object with start and stop,
and what is handed in never waits for the broker.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.location import SessionEvent
from schemas.telemetry import AppLoad, NodeLifecycle, NodeSample, NodeTelemetryBatch
from topics.connect import Connect

from .buffer import Buffer, Tally
from .clock import Clock, wall_ms
from .delivery import Delivery
from .probing import Peer, Probing
from .records import Record, Said, record_of
from .sender import Sender, Way

NodeSource = Callable[[], Iterable[NodeSample] | Awaitable[Iterable[NodeSample]]]
"""Samples of some nodes now; one that raises or is late is left out of the batch: its nodes are silent."""

_LOG: Final = logging.getLogger(__name__)
_SYNC_S: Final = 1.0
_GRACE_S: Final = 2.0
_SOURCE_DEADLINE_S: Final = 1.0


class GatewayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Whose gateway this is, how often it speaks, where and how much it may keep; `gateway_id` empty: `<site>-gw`."""

    site_id: str
    folder: Path
    interval_ms: int = 5_000
    buffer_bytes: int = 67_108_864
    gateway_id: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the gateway fares: connected, records and bytes that wait on disk, and what became of all others."""

    connected: bool
    waiting: int
    size_bytes: int
    tally: Tally


class Gateway:
    """`put_*` accept an event for good (True: on disk when they return) or refuse it (False: disk or buffer full)."""

    def __init__(
        self,
        connect: Connect,
        plan: GatewayPlan,
        sources: Sequence[NodeSource],
        peers: Callable[[], Sequence[Peer]] = tuple,
        *,
        clock: Clock = wall_ms,
        way: Way | None = None,
    ) -> None:
        self.boot_id = uuid.uuid4().hex
        self._plan = plan
        self._gateway_id = plan.gateway_id or f"{plan.site_id}-gw"
        self._sources = sources
        self._clock = clock
        self._sequences: Counter[str] = Counter()
        self._buffer = Buffer(plan.folder, plan.buffer_bytes)
        self._delivery = Delivery(self._buffer, way or Sender(connect, self._gateway_id, clock=clock), clock)
        self._probing = Probing(peers, plan.interval_ms / 1000)
        self._delivering: asyncio.Task[None] | None = None
        self._watching: list[asyncio.Task[None]] = []

    @property
    def standing(self) -> Standing:
        """How it fares now."""
        tally = msgspec.structs.replace(self._buffer.tally)
        buffer = self._buffer
        return Standing(
            connected=self._delivery.connected, waiting=buffer.waiting, size_bytes=buffer.size_bytes, tally=tally
        )

    async def start(self) -> None:
        """Begin to collect, probe and deliver; what an earlier process left behind goes first."""
        self._delivering = self._task(self._delivery.run(), "delivery")
        self._watching = [
            self._task(self._collect_for_ever(), "batches"),
            self._task(self._probing.run(), "probes"),
            self._task(self._sync_for_ever(), "sync"),
        ]

    async def stop(self, grace_s: float = _GRACE_S) -> None:
        """Stop collecting, deliver for the grace, close; what is not delivered waits on disk for the next start."""
        await _end(*self._watching)
        try:
            async with asyncio.timeout(grace_s):
                await self._delivery.drained()
        except TimeoutError:
            _LOG.warning("%d records wait on disk for the next start", self._buffer.waiting)
        finally:
            if self._delivering is not None:
                await _end(self._delivering)
            self._buffer.close()

    async def wait(self) -> None:
        """Until it is stopped; raises what ended one of its tasks (our fault: the process should end, too)."""
        tasks = [task for task in (self._delivering, *self._watching) if task is not None]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            if not task.cancelled():
                task.result()

    def put_load(self, load: AppLoad) -> bool:
        """Take what an ingress saw; one without a boot id gets this gateway's, numbered per ingress and app."""
        stream = f"{load.ingress_id}/{load.app_id}"
        return self._put_numbered(load, stream, "load")

    def put_session(self, event: SessionEvent) -> bool:
        """Take a session's event; one without a boot id gets this gateway's."""
        return self._put_numbered(event, "session", "session")

    def put_lifecycle(self, evidence: NodeLifecycle) -> bool:
        """Take evidence about a node; it is kept like a session event."""
        name = f"{evidence.node_id}/{evidence.phase}/{evidence.at_ms}"
        return self._buffer.put_event(self._record(evidence, "infrastructure", name))

    async def collect(self) -> bool:
        """Ask all sources now and take one batch; whether it was accepted."""
        found = await asyncio.gather(*(self._asked(source) for source in self._sources))
        batch = NodeTelemetryBatch(
            site_id=self._plan.site_id,
            gateway_id=self._gateway_id,
            boot_id=self.boot_id,
            sequence=self._next("batch"),
            observed_at_ms=self._clock(),
            nodes=tuple(sample for samples in found for sample in samples),
            interval_ms=self._plan.interval_ms,
            links=self._probing.links(),
            thinned=self._buffer.tally.thinned,
        )
        return self._buffer.put_telemetry(self._record(batch, "gateway", f"{batch.boot_id}/{batch.sequence}"))

    def _put_numbered(self, event: AppLoad | SessionEvent, stream: str, component: str) -> bool:
        if not event.boot_id:
            event = msgspec.structs.replace(event, boot_id=self.boot_id, sequence=self._next(stream))
        name = f"{stream}/{event.boot_id}/{event.sequence}"
        return self._buffer.put_event(self._record(event, component, name))

    def _record(self, body: Said, component: str, name: str) -> Record:
        source = f"/edge/{self._plan.site_id}/{component}"
        return record_of(body, source=source, event_id=name, accepted_ms=self._clock())

    def _next(self, stream: str) -> int:
        self._sequences[stream] += 1
        return self._sequences[stream]

    async def _asked(self, source: NodeSource) -> tuple[NodeSample, ...]:
        deadline_s = min(_SOURCE_DEADLINE_S, self._plan.interval_ms / 2000)
        try:
            answer = source()
            if inspect.isawaitable(answer):
                async with asyncio.timeout(deadline_s):
                    return tuple(await answer)
            return tuple(answer)
        except Exception as error:  # noqa: BLE001 - a node that cannot be asked is silent, its neighbours are not
            _LOG.warning("a source of nodes is left out: %s: %s", type(error).__name__, error)
            return ()

    async def _collect_for_ever(self) -> None:
        """One batch per interval on a steady beat; beats missed while the process stood still are not made up for."""
        interval_s = self._plan.interval_ms / 1000
        due_s = time.monotonic()
        while True:
            await self.collect()
            due_s = max(due_s + interval_s, time.monotonic())
            await asyncio.sleep(due_s - time.monotonic())

    async def _sync_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_S)
            await self._buffer.sync()

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=f"{self._gateway_id} {name}")
        task.add_done_callback(_tell)
        return task


def _tell(task: asyncio.Task[None]) -> None:
    """A task of the gateway that ends by an error is our fault: say so at once, not when it is collected."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.critical("%s ended", task.get_name(), exc_info=error)


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
