"""Terminal, site and region controllers together: real ledgers, real permits, real health; only executors are played."""

from __future__ import annotations

import heapq
import itertools

from edge_control.controllers.base import Controller
from edge_control.controllers.events import Event, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.region import RegionController
from edge_control.controllers.site import SiteController
from edge_control.controllers.terminal import TerminalController
from edge_control.controllers.terminal_rows import Session
from edge_control.inventory.view import View
from schemas import estate
from schemas.apps import AppKind, AppSpec, Bounds, Cost, PerReplica
from schemas.base import Message
from schemas.commands import Command, ScaleParams
from schemas.decisions import Decision, Verdict
from schemas.inventory import PublicRow
from schemas.location import LocationEvent, Movement, SessionEvent, SessionState
from schemas.requests import CheckpointReport
from schemas.statuses import CommandState, CopyState, Result, Status
from schemas.telemetry import AppLoad, NodeLifecycle, NodePhase, NodeSample, NodeTelemetryBatch
from tests.edge_control.move_sites import Copy, Executor, Peers
from topics import catalogue as cat
from topics.catalogue import Keyspace

SITES = ("a", "b", "c")
STEP_MS = 250


class Town:
    """Three sites with two nodes each; one user with one session at `a`."""

    def __init__(self) -> None:
        self.view, self.now_ms, self.numbers = View(), 1_000_000_000, itertools.count()
        self.controllers: dict[Keyspace, Controller] = {
            Keyspace.SITE: SiteController(0),
            Keyspace.REGION: RegionController(0),
            Keyspace.TERMINAL: TerminalController(0),
        }
        self.mail: list[tuple[int, int, Keyspace, str, Message]] = []
        self.decisions: list[Decision] = []
        self.peers = Peers()
        self.dead: list[str] = []
        for number, name in enumerate(SITES):
            self.peers.executors[name] = Executor(name, set(), 0)
            site = estate.Site(id=name, region="bay", tier=estate.Tier.ACCESS, lat_e7=number * 100_000, lon_e7=0)
            self.view.apply(cat.ESTATE, f"site/{name}", site, self.now_ms)
            self.view.apply(cat.ESTATE, f"zone/z{name}", estate.Zone(id=f"z{name}", site=name), self.now_ms)
        self.view.apply(cat.APP, "video", _video(), self.now_ms)

    def run(self, seconds: int) -> None:
        """Let time pass: sites report every 5 s, executors do what they are told."""
        for _ in range(seconds * 1000 // STEP_MS):
            if self.now_ms % 5_000 == 0:
                self._report()
            self.now_ms += STEP_MS
            while self.mail and self.mail[0][0] <= self.now_ms:
                _, _, keyspace, key, body = heapq.heappop(self.mail)
                self.tell(keyspace, key, body)
            for keyspace in self.controllers:
                self._take(self.controllers[keyspace].handle(Tick(self.now_ms, 0), self.view))

    def tell(self, keyspace: Keyspace, key: str, body: Message) -> None:
        """One event for a controller."""
        number = next(self.numbers)
        event = Event(body, key, "test", 0, number, f"m{number}", self.now_ms, self.now_ms)
        self._take(self.controllers[keyspace].handle(event, self.view))
        self.controllers[keyspace].validate()

    def enter(self, site: str) -> None:
        """The user walks."""
        event = LocationEvent(terminal_id="ann", event=Movement.ENTER, zone_id=f"z{site}", observed_at_ms=self.now_ms)
        self.tell(Keyspace.TERMINAL, "ann", event)

    def begin(self) -> None:
        """The session begins at `a`."""
        self.peers.executors["a"].copies["s1"] = Copy(CopyState.ACTIVE, 5, settled=True)
        begun = SessionEvent(
            terminal_id="ann",
            session_id="s1",
            app_id="video",
            state=SessionState.STARTED,
            observed_at_ms=self.now_ms,
            at_site="a",
        )
        self.tell(Keyspace.TERMINAL, "ann", begun)

    @property
    def session(self) -> Session:
        """The one session."""
        controller = self.controllers[Keyspace.TERMINAL]
        assert isinstance(controller, TerminalController)
        return controller.terminals["ann"].sessions["s1"]

    def active(self) -> list[str]:
        """Where the session is active."""
        return [name for name in SITES if self.peers.executors[name].active("s1", self.now_ms)]

    def _report(self) -> None:
        for site in (name for name in SITES if name not in self.dead):
            nodes = tuple(_node(f"{site}{n}", self.now_ms) for n in range(2))
            batch = NodeTelemetryBatch(
                site_id=site,
                gateway_id=f"g-{site}",
                boot_id="g",
                sequence=self.now_ms,
                observed_at_ms=self.now_ms,
                nodes=nodes,
            )
            self.tell(Keyspace.SITE, site, batch)
            load = AppLoad(
                site_id=site,
                app_id="video",
                ingress_id=f"i-{site}",
                observed_at_ms=self.now_ms,
                interval_ms=5_000,
                requests=200,
                boot_id="i",
                sequence=self.now_ms,
            )
            self.tell(Keyspace.SITE, site, load)

    def _take(self, outputs: list[Output]) -> None:
        for output in outputs:
            body = output.body
            if isinstance(body, Command):
                self._execute(body)
            elif isinstance(body, PublicRow):
                self.view.apply(output.topic, output.key, body, self.now_ms)
            elif isinstance(body, Decision):
                self.decisions.append(body)
            elif body is not None and output.keyspace in self.controllers:
                self._post(Keyspace(output.keyspace), output.key, body)

    def _post(self, keyspace: Keyspace, key: str, body: Message) -> None:
        heapq.heappush(self.mail, (self.now_ms + 100, next(self.numbers), keyspace, key, body))

    def _execute(self, command: Command) -> None:
        if command.target.site_id in self.dead:
            return
        executor = self.peers.executors[command.target.site_id]
        status = _scaled(command) if isinstance(command.params, ScaleParams) else None
        status = status or executor.hear(command, self.peers, self.now_ms)
        self._post(Keyspace(command.reply_keyspace), command.reply_key, status)


def _video() -> AppSpec:
    return AppSpec(
        app_id="video",
        tenant="t",
        kind=AppKind.SERVICE,
        version=1,
        per_replica=PerReplica(cpu_milli=500, mem_bytes=1 << 28, requests_per_s=100, sessions=50),
        bounds=Bounds(min=0, max=50, site_min=1, site_max=10),
        state_bytes=100,
        cost=Cost(move_m=0),
    )


def _node(name: str, now_ms: int) -> NodeSample:
    return NodeSample(
        node_id=name,
        observed_at_ms=now_ms,
        cpu_used_milli=100,
        cpu_allocatable_milli=8_000,
        mem_used_bytes=1 << 30,
        mem_allocatable_bytes=16 << 30,
        boot_id="n",
        sequence=now_ms,
    )


def _scaled(command: Command) -> Status:
    assert isinstance(command.params, ScaleParams)
    return Status(
        command_id=command.command_id,
        attempt=command.attempt,
        state=CommandState.SUCCEEDED,
        state_version=3,
        entered_at_ms=0,
        executor_id="x",
        resource_id=command.resource.id,
        site_id=command.target.site_id,
        boot_id="1",
        observed_generation=command.generation,
        result=Result(observed=command.params.replicas),
    )


def settled_town() -> Town:
    town = Town()
    town.enter("a")
    town.run(20)
    town.begin()
    town.run(5)
    return town


def test_a_session_follows_its_user_through_real_ledgers_and_budgets_and_leaves_no_room_behind() -> None:
    town = settled_town()
    town.enter("b")
    town.run(5)
    assert (town.session.host, town.active()) == ("b", ["b"])
    assert town.peers.executors["b"].copies["s1"].version == 5
    town.enter("a")
    town.run(10)
    assert (town.session.host, town.active()) == ("a", ["a"])
    assert town.session.debts == []
    assert [n for n in SITES if "s1" in town.peers.executors[n].copies] == ["a"]


def test_a_session_of_a_site_that_is_proven_dead_is_rescued_with_the_regions_permit() -> None:
    town = settled_town()
    report = CheckpointReport(
        resource_id="s1",
        app_id="video",
        site_id="a",
        ref="http://c/state",
        sha256="aa",
        bytes=1,
        version=4,
        at_ms=town.now_ms,
    )
    town.tell(Keyspace.TERMINAL, "ann", report)
    town.dead.append("a")
    town.peers.executors["a"].powered = False
    proof = NodeLifecycle(
        node_id="a0", site_id="a", phase=NodePhase.POWERED_OFF, at_ms=town.now_ms, source="operator", whole_site=True
    )
    town.tell(Keyspace.SITE, "a", proof)
    town.run(20)
    assert Verdict.EVACUATE in [d.verdict for d in town.decisions if d.kind == "migration"]
    assert (town.session.host, town.active()) == ("b", ["b"])
