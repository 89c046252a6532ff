"""One live site in one asyncio process: executor, real replicas, ingress and state endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from schemas.location import SessionEvent, SessionState
from schemas.requests import CheckpointReport
from schemas.statuses import CopyState
from schemas.telemetry import AppLoad, NodeSample
from topics.connect import Connect
from topics.topic import Keyspace

from .clock import Clock, wall_ms
from .copies import Copy
from .executor import Executor
from .ingress import Ingress, IngressParts
from .ingress_load import LoadMeter
from .kafka_voice import KafkaVoice
from .node_samples import NodeSampler
from .reading import Reading
from .site_parts import SiteParts, SiteSettings
from .state_client import PeerSite
from .states import CopyName
from .store import Store
from .targets.ingress import IngressTarget
from .targets.nodes import NodeConfig
from .voice import Voice

_LOG: Final = logging.getLogger(__name__)
_SWEEP_S: Final = 0.5
_RETRY_S: Final = 1.0
_TIDY_S: Final = 3600.0
OnLoad = Callable[[Sequence[AppLoad]], None]
OnSession = Callable[[SessionEvent], None]

__all__ = ["LiveSite", "NodeConfig", "PeerSite", "SiteSettings"]


class LiveSite:
    """Start it, stop it, ask it for samples. It serves users whether or not a broker answers."""

    def __init__(self, settings: SiteSettings, *, voice: Voice | None = None, now_ms: Clock = wall_ms) -> None:
        self.settings = settings
        self.peers = dict(settings.peers)
        self._now_ms = now_ms
        self._connect = None if settings.kafka is None else Connect(settings.kafka)
        self._kafka_voice = None if self._connect is None else KafkaVoice(self._connect, f"{settings.site_id}-executor")
        self._reading: Reading | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._on_load: list[OnLoad] = []
        self._on_session: list[OnSession] = []
        self._session_sequence = 0
        self._parts = parts = SiteParts(
            settings, self.peers, on_session=self._session_changed, on_lost=self._tell_owners, now_ms=now_ms
        )
        self.fleet, self.copies, self.routes = parts.fleet, parts.copies, parts.routes
        self.processes = parts.processes
        self.executor = Executor(
            {settings.site_id: (parts.processes, IngressTarget(parts.routes, parts.copies))},
            Store(settings.state_dir / "executor.db"),
            voice or self._kafka_voice or _Silence(),
            now_ms=now_ms,
            regions={settings.site_id: settings.region_id},
            dry_run=settings.dry_run,
        )
        self._meter = LoadMeter(settings.site_id, self.executor.boot_id)
        self._sampler = NodeSampler(self.copies)
        self._ingress = Ingress(
            IngressParts(parts.routes, parts.fleet, parts.router, self._meter, parts.http, parts.news),
            queue_ms=settings.queue_ms,
        )
        self._checkpointer = parts.checkpointer(self._report_checkpoint)

    @property
    def ingress_url(self) -> str:
        """Where users' requests go in."""
        return f"http://{self.settings.host}:{self._ingress.server.port}"

    @property
    def state_url(self) -> str:
        """Where peers pull states."""
        return f"http://{self.settings.host}:{self._parts.endpoint.server.port}"

    def on_load(self, callback: OnLoad) -> None:
        """Hear every AppLoad, once per interval."""
        self._on_load.append(callback)

    def on_session(self, callback: OnSession) -> None:
        """Hear every session that begins or ends here."""
        self._on_session.append(callback)

    async def start(self) -> None:
        """Listen, say hello, begin to read commands as soon as a broker answers."""
        settings = self.settings
        await self._parts.endpoint.server.start(settings.host, settings.state_port)
        self._parts.files.base_url = self.state_url
        await self._ingress.server.start(settings.host, settings.ingress_port)
        await self.executor.start()
        loop = asyncio.get_running_loop()
        rounds = {
            "load": (settings.load_interval_ms / 1000, self._tell_load),
            "checkpoints": (settings.checkpoint_ms / 1000, self._checkpoint),
            "sweep": (_SWEEP_S, self._sweep),
            "tidy": (_TIDY_S, self._tidy),
        }
        self._tasks = [loop.create_task(_every(every_s, act), name=name) for name, (every_s, act) in rounds.items()]
        if self._connect is not None:
            self._reading = self._reader(self._connect)
            self._tasks.append(loop.create_task(self._read(self._reading), name="reading"))

    async def stop(self) -> None:
        """End everything this process holds, replicas too."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._reading is not None:
            await self._reading.stop()
        await self._ingress.server.stop()
        await self.executor.stop()
        await self._parts.endpoint.server.stop()
        await self.processes.close()
        if self._kafka_voice is not None:
            await self._kafka_voice.stop()
        self._parts.close()

    def node_samples(self) -> list[NodeSample]:
        """One sample of each node that is there: real use of its replicas, what they may use."""
        scaler = self.processes.scaler
        return self._sampler.sample(scaler.nodes.alive(), scaler.running.values(), self._now_ms())

    def kill_node(self, node_id: str) -> None:
        """The node dies with all its replicas, and reports no more; KeyError for a node that is not ours."""
        self.processes.scaler.kill_node(node_id)

    def revive_node(self, node_id: str) -> None:
        """The node comes back empty."""
        self.processes.scaler.nodes.revive(node_id)

    def _reader(self, connect: Connect) -> Reading:
        bury = None if self._kafka_voice is None else self._kafka_voice.bury
        name, absence_ms = f"{self.settings.site_id}-commands", self.settings.absence_ms
        return Reading(connect, self.executor, name, bury=bury, absence_ms=absence_ms)

    async def _read(self, reading: Reading) -> None:
        """A site without a broker goes on; it reads commands once there is one."""
        while True:
            try:
                await reading.start()
            except (OSError, RuntimeError) as error:
                _LOG.warning("no commands yet: %s", error)
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _tell_load(self) -> None:
        interval_ms = self.settings.load_interval_ms
        loads = self._meter.report(self.fleet.apps(), self.copies.active, self._now_ms(), interval_ms)
        for callback in self._on_load:
            callback(loads)

    async def _checkpoint(self) -> None:
        await self._checkpointer.round()

    async def _tidy(self) -> None:
        """What nobody wants any more on this site's disk."""
        await asyncio.to_thread(self._parts.files.forget_older, self.settings.site_id)

    async def _sweep(self) -> None:
        """What time ends: prepared copies, leases, sessions that nobody uses."""
        self._parts.router.forget()
        self.processes.mover.sweep()
        idle_before_ms = self._now_ms() - self.settings.session_idle_ms
        for copy in self.copies:
            is_idle = copy.state is CopyState.ACTIVE and copy.touched_ms < idle_before_ms
            if is_idle and copy.name.kind == "session":
                await self.processes.mover.end(copy.name.resource_id)
                self._session_changed(copy.name, SessionState.ENDED)

    def _session_changed(self, name: CopyName, state: SessionState) -> None:
        self._session_sequence += 1
        event = SessionEvent(
            terminal_id=name.terminal_id,
            session_id=name.resource_id,
            app_id=name.app_id,
            state=state,
            observed_at_ms=self._now_ms(),
            at_site=self.settings.site_id,
            boot_id=self.executor.boot_id,
            sequence=self._session_sequence,
        )
        for callback in self._on_session:
            callback(event)

    def _report_checkpoint(self, copy: Copy, report: CheckpointReport) -> None:
        key, keyspace = _owner_of(copy.name)
        event_id = f"{self.executor.boot_id}/{report.resource_id}/{report.version}/{report.at_ms}"
        self.executor.report(self.settings.site_id, key, keyspace, event_id, report)

    async def _tell_owners(self, lost: Sequence[Copy]) -> None:
        for key, keyspace in dict.fromkeys(_owner_of(copy.name) for copy in lost):
            await self.executor.hello(self.settings.site_id, "copy-lost", (key, str(keyspace)))


def _owner_of(name: CopyName) -> tuple[str, Keyspace]:
    """Sessions and devices are their terminal's, instances their app's."""
    return (name.app_id, Keyspace.APP) if name.kind == "instance" else (name.terminal_id, Keyspace.TERMINAL)


class _Silence:
    async def say(self, sayings: Sequence[object]) -> None:
        """Nobody listens: a site by itself."""


async def _every(every_s: float, act: Callable[[], Awaitable[None]]) -> None:
    """Do it in each interval; one round may fail, the next comes all the same."""
    while True:
        await asyncio.sleep(every_s)
        with contextlib.suppress(ConnectionError, TimeoutError):
            try:
                await act()
            except Exception:  # noqa: BLE001 - a site goes on serving whatever fails beside it
                _LOG.exception("a round failed")
