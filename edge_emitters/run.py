"""What `edgeweir emit` runs: this host, or a synthetic world; both end after their time or when cancelled, cleanly."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from schemas.telemetry import AppLoad, NodeTelemetryBatch
from topics.connect import Connect

from .clock import Clock, wall_ms
from .gateway import Gateway, GatewayPlan
from .host import Host
from .probing import Peer
from .records import Record, record_of
from .sender import Sender, Unsent
from .settings import EmitterSettings
from .synthetic import Replicas, SyntheticSite, World

Alter = Callable[[NodeTelemetryBatch | AppLoad], NodeTelemetryBatch | AppLoad | None]
"""A scenario's hand: another message in its place, or None for silence."""

_BEAT_S: Final = 0.05
_REPORT_S: Final = 1.0


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """How far an emitter is: records acknowledged, node samples in them, what waits, whether the broker answers."""

    records: int
    samples: int
    waiting: int
    connected: bool


Progress = Callable[[Sent], None]


async def run_host(
    connect: Connect,
    settings: EmitterSettings,
    *,
    node_id: str = "",
    for_s: float | None = None,
    peers: Callable[[], Sequence[Peer]] = tuple,
    progress: Progress | None = None,
) -> Sent:
    """This host as the one node of a site, through a gateway with its buffer; returns how it ended.

    Raises BufferTaken when another gateway of this site runs on this host.
    """
    plan = GatewayPlan(
        site_id=settings.site,
        folder=settings.buffer_folder,
        interval_ms=settings.interval_ms,
        buffer_bytes=settings.buffer_bytes,
    )
    gateway = Gateway(connect, plan, [Host(node_id)], peers)
    await gateway.start()
    watched = asyncio.ensure_future(gateway.wait())
    try:
        ends_s = time.monotonic() + (for_s if for_s is not None else float("inf"))
        while (left_s := ends_s - time.monotonic()) > 0 and not watched.done():
            await asyncio.wait({watched}, timeout=min(left_s, _REPORT_S))
            if progress:
                progress(_of_gateway(gateway))
        if watched.done():
            watched.result()
    finally:
        watched.cancel()
        await gateway.stop()
    return _of_gateway(gateway)


async def run_synthetic(
    connect: Connect,
    world: World,
    *,
    for_s: float | None = None,
    progress: Progress | None = None,
    alter: Alter | None = None,
    replicas: Replicas | None = None,
    clock: Clock = wall_ms,
) -> Sent:
    """All sites of a world, each once per interval, spread evenly over it; returns how it ended.

    While the broker is away nothing is kept: synthetic sites are silent then, as sites without a gateway would be.
    """
    crier = _Crier(world, Sender(connect, "edgeweir-synthetic", clock=clock), clock, alter, replicas)
    ends_s = time.monotonic() + (for_s if for_s is not None else float("inf"))
    report_s = time.monotonic() + _REPORT_S
    try:
        while time.monotonic() < ends_s:
            await crier.say_what_is_due()
            if progress and time.monotonic() >= report_s:
                report_s += _REPORT_S
                progress(crier.sent())
            await asyncio.sleep(min(_BEAT_S, max(0.0, ends_s - time.monotonic())))
    finally:
        await crier.sender.stop()
    return crier.sent()


class _Crier:
    """Keeps when each site speaks next."""

    def __init__(
        self, world: World, sender: Sender, clock: Clock, alter: Alter | None, replicas: Replicas | None
    ) -> None:
        self.sender = sender
        self._world = world
        self._clock = clock
        self._alter = alter
        self._replicas = replicas
        self._records = 0
        self._samples = 0
        self._connected = False
        interval_ms = world.plan.interval_ms
        started_ms = clock() // interval_ms * interval_ms
        count = len(world.sites)
        self._due = [(started_ms + number * interval_ms // count, number) for number in range(count)]

    def sent(self) -> Sent:
        return Sent(records=self._records, samples=self._samples, waiting=0, connected=self._connected)

    async def say_what_is_due(self) -> None:
        """All sites whose time has come; intervals slept through are left out."""
        now_ms, interval_ms = self._clock(), self._world.plan.interval_ms
        records: list[Record] = []
        samples = 0
        while self._due[0][0] <= now_ms:
            at_ms, number = self._due[0]
            at_ms += (now_ms - at_ms) // interval_ms * interval_ms
            heapq.heapreplace(self._due, (at_ms + interval_ms, number))
            site = self._world.sites[number]
            records += self._told(site, at_ms)
            samples += len(site.nodes)
        if not records:
            return
        try:
            await self.sender.send(records)
        except Unsent:
            self._connected = False
            return
        self._connected = True
        self._records += len(records)
        self._samples += samples

    def _told(self, site: SyntheticSite, at_ms: int) -> list[Record]:
        said: list[NodeTelemetryBatch | AppLoad] = [
            self._world.batch(site, at_ms, self._replicas),
            *self._world.loads(site, at_ms),
        ]
        return [record for body in said if (record := self._altered(body)) is not None]

    def _altered(self, body: NodeTelemetryBatch | AppLoad) -> Record | None:
        kept = self._alter(body) if self._alter else body
        return _record(kept) if kept is not None else None


def _record(body: NodeTelemetryBatch | AppLoad) -> Record:
    stream = body.app_id if isinstance(body, AppLoad) else "batch"
    name = f"{stream}/{body.boot_id}/{body.sequence}"
    return record_of(body, source=f"/edge/{body.site_id}/synthetic", event_id=name)


def _of_gateway(gateway: Gateway) -> Sent:
    standing = gateway.standing
    acknowledged = standing.tally.acknowledged
    return Sent(records=acknowledged, samples=acknowledged, waiting=standing.waiting, connected=standing.connected)
