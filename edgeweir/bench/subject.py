"""Our own contender: a real `python -m streams.worker`, frozen while it is not its turn."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edgeweir.bench.cores import used_s
from edgeweir.dev.children import Child
from edgeweir.dev.errors import NoAnswer
from edgeweir.dev.ports import LOOPBACK, free_port
from schemas.sections import KafkaSettings

Launch = Callable[[str, Sequence[str], Mapping[str, str]], Child]
_READY_WITHIN_S = 60.0
_POLL_S = 0.05
_RESTS, _REST_S = 3, 0.4
_FOR_EVER_S = "900"
"""A frozen worker's session must outlast the turns of all others."""


class Worker:
    """One worker process of an estate; `environ` are more of its variables, without `EDGEWEIR_`."""

    def __init__(self, kafka: KafkaSettings, instance: str, folder: Path, environ: Mapping[str, str]) -> None:
        self.name = f"{kafka.topic_prefix}{instance}"
        self._port = free_port()
        self._environ = {
            "EDGEWEIR_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "EDGEWEIR_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "EDGEWEIR_WORKER_APP_ID": f"{kafka.topic_prefix}app",
            "EDGEWEIR_WORKER_INSTANCE": instance,
            "EDGEWEIR_WORKER_DATA_DIR": str(folder),
            "EDGEWEIR_WORKER_SESSION_TIMEOUT_S": _FOR_EVER_S,
            "EDGEWEIR_WORKER_WATCHDOG_S": _FOR_EVER_S,
            "EDGEWEIR_METRICS_PORT": str(self._port),
            **{f"EDGEWEIR_{name}": value for name, value in environ.items()},
        }
        self._child: Child | None = None

    def launch(self, start: Launch) -> None:
        """Start the process; EDGEWEIR_BENCH_PROFILE names a file for a profile of it (cProfile), for its makers."""
        profile = os.environ.get("EDGEWEIR_BENCH_PROFILE")
        profiled = ["-m", "cProfile", "-o", f"{profile}.{self.name}"] if profile else []
        self._child = start(self.name, [sys.executable, *profiled, "-m", "streams.worker"], self._environ)

    @property
    def child(self) -> Child:
        """The process of the last start."""
        assert self._child is not None, "the worker was never started"
        return self._child

    @property
    def cpu_s(self) -> float:
        """Processor time it has used so far."""
        return used_s(self.child.pid)

    async def ready(self, partitions: int, within_s: float = _READY_WITHIN_S) -> None:
        """Return once it owns so many live partitions; NoAnswer when it ends or is late."""
        give_up = time.monotonic() + within_s
        while time.monotonic() < give_up:
            if self.child.returncode is not None:
                raise NoAnswer(f"worker {self.name} ended with exit code {self.child.returncode}", self.child.tail())
            series = await self.metrics()
            if series.get("edgeweir_ready") == 1 and series.get("edgeweir_partitions_owned") == partitions:
                return
            await asyncio.sleep(_POLL_S)
        raise NoAnswer(f"worker {self.name} was not ready within {within_s:.0f} s", self.child.tail())

    async def metrics(self) -> dict[str, float]:
        """Its series by name and labels; empty while it does not answer."""
        return await asyncio.to_thread(scrape, self._port)

    def freeze(self) -> None:
        """It is another's turn: no processor time until `thaw`."""
        self.child.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self.child.send(signal.SIGCONT)

    async def idle(self, within_s: float = _READY_WITHIN_S) -> None:
        """Return once it has folded all there is and rests."""
        give_up, before, rests = time.monotonic() + within_s, -1.0, 0
        while time.monotonic() < give_up and rests < _RESTS:
            await asyncio.sleep(_REST_S)
            series = await self.metrics()
            events = total(series, "edgeweir_events_total")
            rests = rests + 1 if events == before and not series.get("edgeweir_lag_seconds") else 0
            before = events

    async def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.thaw()
        return await self.child.stop()


def scrape(port: int) -> dict[str, float]:
    """The series of a metrics endpoint on loopback; empty when nothing answers."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=2) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return {}
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def total(series: Mapping[str, float], name: str, **labels: str) -> float:
    """The sum of a metric's series that carry these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        value for key, value in series.items() if key.partition("{")[0] == name and all(part in key for part in wanted)
    )
