"""One system under test: a broker of its own, a relay before each worker, workers, executors, and who restarts them."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported there without being named so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from edgeweir.dev.broker import Broker
from edgeweir.dev.kit import Kit
from edgeweir.dev.ports import LOOPBACK, any_pair, free_port
from edgeweir.dev.relay import Relay
from edgeweir.dev.runs import Run
from edgeweir.dev.server_properties import FIXED, TEST_SETTINGS
from tests.chaos import effects
from tests.chaos.history import History
from tests.kafka.town import ROOT, SITES, Town, until
from topics.topic import Topic

WORKERS: Final = ("w0", "w1", "w2")
EXECUTORS: Final = "executors"
SESSION_S: Final = 3.0
"""Session timeout of the workers of a town."""


class Doors:
    """A listener of the broker for each worker, whose clients are told to come through that worker's relay."""

    def __init__(self) -> None:
        self.kafka = any_pair()
        self.listeners = {name: free_port() for name in WORKERS}
        self.relays = {name: free_port() for name in WORKERS}

    def settings(self) -> dict[str, str]:
        kafka, controller = self.kafka
        listeners = [f"PLAINTEXT://{LOOPBACK}:{kafka}", f"CONTROLLER://{LOOPBACK}:{controller}"]
        told = [f"PLAINTEXT://{LOOPBACK}:{kafka}"]
        protocols = [FIXED["listener.security.protocol.map"]]
        for name in WORKERS:
            listeners.append(f"{name.upper()}://{LOOPBACK}:{self.listeners[name]}")
            told.append(f"{name.upper()}://{LOOPBACK}:{self.relays[name]}")
            protocols.append(f"{name.upper()}:PLAINTEXT")
        return {
            **TEST_SETTINGS,
            "listeners": ",".join(listeners),
            "advertised.listeners": ",".join(told),
            "listener.security.protocol.map": ",".join(protocols),
        }

    def broker(self, run: Run, kit: Kit, name: str, more: dict[str, str] | None = None) -> Broker:
        """A broker with these doors, to be started."""
        settings = {**self.settings(), **(more or {})}
        return Broker(run, kit, name=name, settings=settings, choose_ports=partial(_same, self.kafka))


def _same(ports: tuple[int, int]) -> tuple[int, int]:
    return ports


class ChaosTown(Town):
    """A town whose workers reach the broker through relays of their own."""

    doors: Doors

    def environ(self, name: str) -> dict[str, str]:
        given = super().environ(name)
        if name in self.doors.relays:
            given["EDGEWEIR_KAFKA_BOOTSTRAP"] = f"{LOOPBACK}:{self.doors.relays[name]}"
        return given


class Rig:
    """Everything a fault may hit. `wanted` are the processes that are started again whenever they end."""

    def __init__(self, broker: Broker, doors: Doors, prefix: str, folder: Path, seed: int = 0) -> None:
        self.broker, self.folder = broker, folder
        self.history = History()
        self.town = ChaosTown(broker.bootstrap, prefix, folder)
        self.town.doors = doors
        self.relays = {name: Relay(doors.listeners[name], seed=seed) for name in WORKERS}
        self.wanted: dict[str, dict[str, str]] = {}
        self.sites = [f"s{number}" for number in range(SITES)]
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Topics and relays are there; nothing runs yet."""
        await self.town.open()
        for name, relay in self.relays.items():
            await relay.start(self.town.doors.relays[name])
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End everything; the broker stays."""
        self.wanted.clear()
        if self._keeper is not None:
            self._keeper.cancel()
        self.town.close()
        for relay in self.relays.values():
            await relay.stop()

    async def up(self, *workers: str, **env: str) -> None:
        """Executors and these workers run and own all partitions."""
        self.want(EXECUTORS)
        for name in workers:
            self.want(name, **env)
        await until(lambda: effects.READY in self.said(EXECUTORS), 20, "no executors")
        await until(lambda: all("partition taken over" in self.said(name) for name in workers), 30, "no workers")

    def want(self, name: str, **env: str) -> None:
        """Start it, and again whenever it ends."""
        self.wanted[name] = {}
        self.start(name, **env)

    def start(self, name: str, **env: str) -> None:
        """Start a process once."""
        self.history.write(name, "info", "started", " ".join(f"{key}={value}" for key, value in env.items()))
        if name != EXECUTORS:
            self.town.start(name, **env)
            return
        log = (self.folder / f"{name}.log").open("ab")
        self.town.workers[name] = process = subprocess.Popen(
            [sys.executable, "-m", effects.__name__],
            cwd=ROOT,
            env=effects.environ(self.town.settings, self.folder, self.sites),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.town._started.append(process)

    def process(self, name: str) -> subprocess.Popen[bytes]:
        return self.town.workers[name]

    def is_alive(self, name: str) -> bool:
        return name in self.town.workers and self.process(name).poll() is None

    def said(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text("utf-8", errors="replace") if path.exists() else ""

    async def kill(self, name: str, away_s: float) -> None:
        """SIGKILL, and back after a while."""
        env = self.wanted.pop(name, {})
        self.process(name).kill()
        await asyncio.to_thread(self.process(name).wait)
        await asyncio.sleep(away_s)
        self.want(name, **env)

    async def freeze(self, name: str, for_s: float) -> None:
        """SIGSTOP for a while."""
        process = self.process(name)
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            process.send_signal(signal.SIGCONT)

    async def stop(self, name: str) -> tuple[int, float]:
        """SIGTERM; its exit code and how many seconds it took."""
        self.wanted.pop(name, None)
        process, started = self.process(name), time.monotonic()
        process.terminate()
        code = await asyncio.to_thread(process.wait, 30)
        return code, time.monotonic() - started

    async def configure(self, topic: Topic, name: str, value: str | None) -> None:
        """Set a topic's setting on the broker, or give it back its own value."""
        how = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
        entry = ConfigEntry(name, value, incremental_operation=how)
        where = ConfigResource(ResourceType.TOPIC, self.town.connect.name(topic), incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
        for done in admin.incremental_alter_configs([where]).values():
            await asyncio.to_thread(done.result, 10)

    async def heal(self) -> None:
        """Fine weather, a broker that answers, everybody awake."""
        for relay in self.relays.values():
            relay.heal()
        if not self.broker.is_running:
            await self.broker.start()
        self.broker.thaw()
        for name in self.wanted:
            if self.is_alive(name):
                self.process(name).send_signal(signal.SIGCONT)

    async def _keep(self) -> None:
        while True:
            for name in list(self.wanted):
                if not self.is_alive(name):
                    self.history.write(name, "info", "ended", str(self.process(name).returncode))
                    self.start(name)
            await asyncio.sleep(0.1)


async def eventually(look: Callable[[], bool], within_s: float) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + within_s
    while not look():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True
