"""Who takes part in a demo: workers, live sites, emulated sites, the crowd; each a child of the run with its orders."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final

import msgspec

from edge_executors.state_client import PeerSite
from edge_executors.targets.nodes import NodeConfig
from edgeweir.dev.children import Child
from edgeweir.dev.orders import CrowdOrder, EmulatedOrder, SiteOrder, WorkerOrder, give
from edgeweir.dev.ports import LOOPBACK, free_port
from edgeweir.dev.runs import Rank, Run
from edgeweir.dev.scenario import LiveSite, Scenario
from schemas.estate import Site

_FIRST_METRICS_PORT: Final = 19_100
_FIRST_SITE_PORT: Final = 19_180
_MIB: Final = 1_048_576
_TICK_MS: Final = "250"
_SESSION_S: Final = "6"
_HEARTBEAT_S: Final = "1.5"


def _main_of(module: str, order: Path) -> None:
    import_module(f"edgeweir.dev.{module}").main(order)


_MODULES: Final = ("worker", "live_site", "emulated", "crowd")
_MAINS: Final[dict[str, Callable[[Path], None]]] = {module: partial(_main_of, module) for module in _MODULES}


def load_code() -> None:
    """Load what every child will run; slow, so it is done beside the start of the broker."""
    for module in _MODULES:
        import_module(f"edgeweir.dev.{module}")


class Crew:
    """Starts every process of a demo but the broker; each waits for its order.

    `uplinks`: sites that reach the broker through another address.
    """

    def __init__(self, run: Run, scenario: Scenario) -> None:
        self.doors = _doors(scenario)
        self.workers: dict[int, Child] = {}
        self.sites: dict[str, Child] = {}
        self._run = run
        self._scenario = scenario
        self._token = secrets.token_hex(16)
        self._metrics: dict[int, int] = {}
        self._bootstrap = ""

    @property
    def report(self) -> Path:
        """Where the crowd writes about itself."""
        return self._run.folder / "crowd.jsonl"

    def start(self, workers: int) -> None:
        """Start workers, live sites and emulated sites; each waits for its order. Main thread, no loop may run."""
        # A kept run still holds the orders and the report of the run before.
        shutil.rmtree(self._run.folder / "orders", ignore_errors=True)
        self.report.unlink(missing_ok=True)
        for number in range(1, workers + 1):
            self._metrics[number] = free_port(_FIRST_METRICS_PORT + number)
            self.workers[number] = self._start(f"worker-{number}", "worker", Rank.WORKER, early=True)
        for live in self._scenario.play.live:
            self.sites[live.site] = self._start(f"site-{live.site}", "live_site", Rank.EXECUTOR, early=True)
        self._start("emulated", "emulated", Rank.EXECUTOR, early=True)
        self._start("crowd", "crowd", Rank.EMITTER, early=True)

    def give_orders(self, bootstrap: str, uplinks: dict[str, str]) -> None:
        """The broker is there: workers and live sites begin."""
        self._bootstrap = bootstrap
        for number in self.workers:
            self._give(f"worker-{number}", self._worker_order(number))
            self._run.note_port(f"worker-{number} metrics", self._metrics[number])
        for live in self._scenario.play.live:
            self._give(f"site-{live.site}", self._site_order(live, uplinks.get(live.site, bootstrap)))
            self._run.note_port(f"{live.site} ingress", _port(self.doors[live.site].ingress_url))

    def restart_worker(self, number: int) -> None:
        """Start a worker again that ended; its order still lies there, so its slot in the group stays the same."""
        self.workers[number] = self._start(f"worker-{number}", "worker", Rank.WORKER)

    def begin_emulated(self) -> None:
        """The one process of all emulated sites begins."""
        folder = str(self._run.folder / "emulated")
        self._give("emulated", EmulatedOrder(bootstrap=self._bootstrap, scenario=self._scenario.name, folder=folder))

    def kick_off(self, kickoff_ms: int) -> None:
        """The crowd begins at that time."""
        order = CrowdOrder(
            bootstrap=self._bootstrap,
            scenario=self._scenario.name,
            kickoff_ms=kickoff_ms,
            report=str(self.report),
        )
        self._give("crowd", order)

    def dead_nodes(self, site_id: str) -> Path:
        """The file in which a site reads which of its nodes have died."""
        return self._run.folder / "orders" / f"{site_id}.dead"

    def is_ready(self, number: int) -> bool:
        """Whether a worker says that all its partitions are live."""
        series = scrape(self._metrics[number])
        return series.get("edgeweir_ready") == 1 and series.get("edgeweir_partitions_owned", 0) > 0

    def partitions_of(self, number: int) -> int:
        """How many partitions a worker owns now."""
        return int(scrape(self._metrics[number]).get("edgeweir_partitions_owned", 0))

    def _worker_order(self, number: int) -> WorkerOrder:
        name = f"worker-{number}"
        return WorkerOrder(
            environ={
                "EDGEWEIR_KAFKA_BOOTSTRAP": self._bootstrap,
                "EDGEWEIR_WORKER_INSTANCE": name,
                "EDGEWEIR_WORKER_DATA_DIR": str(self._run.folder / name),
                "EDGEWEIR_WORKER_TICK_MS": _TICK_MS,
                "EDGEWEIR_WORKER_SESSION_TIMEOUT_S": _SESSION_S,
                "EDGEWEIR_WORKER_HEARTBEAT_S": _HEARTBEAT_S,
                "EDGEWEIR_METRICS_PORT": str(self._metrics[number]),
            }
        )

    def _site_order(self, live: LiveSite, bootstrap: str) -> SiteOrder:
        door = self.doors[live.site]
        mem_bytes = live.mem_mib * _MIB
        return SiteOrder(
            bootstrap=bootstrap,
            site=live.site,
            region=self._site(live.site).region,
            folder=str(self._run.folder / live.site),
            nodes=[NodeConfig(node_id=n, cpu_milli=live.cpu_milli, mem_bytes=mem_bytes) for n in live.node_ids],
            ingress_port=_port(door.ingress_url),
            state_port=_port(door.state_url),
            peers={name: peer for name, peer in self.doors.items() if name != live.site},
            checkpoint_peer=self._checkpoint_peer(live.site),
            peer_token=self._token,
            dead_nodes=str(self.dead_nodes(live.site)),
        )

    def _checkpoint_peer(self, site_id: str) -> str:
        """Who keeps a site's states: the next live site that is not at the access, else the next one."""
        others = [live.site for live in self._scenario.play.live if live.site != site_id]
        return next((name for name in others if self._site(name).tier != "access"), others[0])

    def _site(self, site_id: str) -> Site:
        body = self._scenario.of("site")[f"site/{site_id}"].body
        assert isinstance(body, Site)
        return body

    def _give(self, name: str, order: msgspec.Struct) -> None:
        give(self._run.folder / "orders" / f"{name}.json", order)

    def _start(self, name: str, module: str, rank: Rank, *, early: bool = False) -> Child:
        """Early ones are forked where that can be: their code is loaded here once for all of them."""
        path = self._run.folder / "orders" / f"{name}.json"
        if early and sys.platform == "linux":
            return self._run.fork(name, partial(_MAINS[module], path), rank=rank, env=_quiet_environ())
        argv = [sys.executable, "-m", f"edgeweir.dev.{module}", str(path)]
        return self._run.start(name, argv, rank=rank, env=_quiet_environ())


def scrape(port: int) -> dict[str, float]:
    """The plain series (without labels) of a process on this host; empty while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=1) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError, ValueError):
        return {}
    pairs = (line.split() for line in text.splitlines() if not line.startswith("#") and "{" not in line)
    return {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2}  # noqa: PLR2004  # a name and its value


def _doors(scenario: Scenario) -> dict[str, PeerSite]:
    """Ports are chosen here, so that the estate can name them before the sites are started."""
    doors: dict[str, PeerSite] = {}
    taken: list[int] = []
    for place, live in enumerate(scenario.play.live):
        ports = []
        for part in (0, 1):
            port = free_port(_FIRST_SITE_PORT + 2 * place + part)
            while port in taken:
                port = free_port()
            taken.append(port)
            ports.append(port)
        doors[live.site] = PeerSite(
            ingress_url=f"http://{LOOPBACK}:{ports[0]}", state_url=f"http://{LOOPBACK}:{ports[1]}"
        )
    return doors


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _quiet_environ() -> dict[str, str]:
    """This environment without settings of ours: children get theirs from their orders."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGEWEIR_")}
    return kept | {"PYTHONUNBUFFERED": "1", "EDGEWEIR_CONFIG": os.devnull}
