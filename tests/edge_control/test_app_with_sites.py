"""The app controller and real site controllers on a slow, lossy bus: overflow, hire, spill, renewal, relief, revert."""

from __future__ import annotations

import heapq
import random

import pytest

from edge_control.controllers.app import AppController
from edge_control.controllers.base import Controller
from edge_control.controllers.events import Event, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.site import SiteController
from edge_control.inventory.view import View
from schemas.base import Message
from schemas.commands import Command, ScaleParams, SpillParams
from schemas.decisions import Decision, Outcome, Reason, Verdict
from schemas.estate import Link, Site, Tier
from schemas.inventory import AppInventory, Health, PublicRow, RegionInventory, SiteHealth
from schemas.policy import OffloadPolicy, Policy, ScalingPolicy
from schemas.requests import Placed, Reserved, Spill, Spilled
from schemas.statuses import CommandState, Result, Status
from schemas.telemetry import AppLoad, NodeSample, NodeTelemetryBatch, ServedBy
from tests.edge_control.app_world import spec
from topics import catalogue as cat
from topics.catalogue import Keyspace

STEP_MS = 250
CORES = {"stadium": 8, "harbour": 6, "hill": 24}
POLICY = Policy(
    id="demo",
    version=1,
    scaling=ScalingPolicy(window_ms=30_000, bucket_ms=5_000, release_ms=20_000, forecast=False),
    offload=OffloadPolicy(revert_ms=10_000),
)


class Town:
    """Three sites whose executors and ingresses do what they are told a moment later, and users at the stadium."""

    def __init__(self, seed: int = 0, loss: float = 0.0) -> None:
        self.dice, self.loss = random.Random(seed), loss
        self.app, self.sites, self.view = AppController(0), SiteController(0), View()
        self.now_ms, self.number, self.rps = 1_000_000, 0, 0
        self.mail: list[tuple[int, int, Controller, str, Message]] = []
        self.said: list[Output] = []
        self.last_ms: dict[tuple[Controller, str], int] = {}
        self.running, self.away = dict.fromkeys(CORES, 0), dict[str, int]()
        self.away_until_ms = 0
        self.declare()

    def declare(self) -> None:
        for name in CORES:
            tier = Tier.AGGREGATION if name == "hill" else Tier.ACCESS
            site = Site(id=name, region="bay", tier=tier, lat_e7=0, lon_e7=0, live=True, ingress_url=f"http://{name}")
            self.view.apply(cat.ESTATE, f"site/{name}", site, self.now_ms)
        for name, rtt in (("hill", 2000), ("harbour", 5000)):
            link = Link(from_site="stadium", to_site=name, rtt_us=rtt)
            self.view.apply(cat.ESTATE, f"link/{link.id}", link, self.now_ms)
        self.is_now(dict.fromkeys(CORES, Health.ALIVE))
        self.view.apply(cat.POLICY, "policy/demo", POLICY, self.now_ms)
        self.view.apply(cat.APP, "video", spec(), self.now_ms)
        self.deliver(self.app, "video", spec())

    def is_now(self, health: dict[str, Health]) -> None:
        rows = tuple(SiteHealth(site_id=n, health=h, since_ms=self.now_ms) for n, h in health.items())
        row = RegionInventory(region_id="bay", generation=1, as_of_ms=self.now_ms, sites=rows)
        self.view.apply(cat.INVENTORY, "bay", row, self.now_ms)

    def run(self, seconds: int) -> list[Decision]:
        """Let time pass; the decisions that were made in it."""
        before = len(self.said)
        for _ in range(seconds * 1000 // STEP_MS):
            self.now_ms += STEP_MS
            if self.now_ms % 1000 == 0:
                self.measure()
            while self.mail and self.mail[0][0] <= self.now_ms:
                _, _, who, key, body = heapq.heappop(self.mail)
                self.deliver(who, key, body)
            for who in (self.sites, self.app):
                self.take(who.handle(Tick(now_ms=self.now_ms, partition=0), self.view))
        return [output.body for output in self.said[before:] if isinstance(output.body, Decision)]

    def deliver(self, who: Controller, key: str, body: Message) -> None:
        self.number += 1
        event = Event(
            body=body,
            key=key,
            topic=cat.REQUEST.name,
            partition=0,
            offset=self.number,
            cause_id=f"m{self.number}",
            at_ms=self.now_ms,
            now_ms=self.now_ms,
        )
        self.take(who.handle(event, self.view))
        who.validate()

    def post(self, who: Controller, key: str, body: Message, delay_ms: int = 0) -> None:
        """Late, but in order: a partition keeps it."""
        self.number += 1
        at_ms = self.now_ms + delay_ms + self.dice.randrange(20, 200)
        at_ms = self.last_ms[who, key] = max(at_ms, self.last_ms.get((who, key), 0))
        heapq.heappush(self.mail, (at_ms, self.number, who, key, body))

    def take(self, outputs: list[Output]) -> None:
        self.said += outputs
        for output in outputs:
            body = output.body
            if isinstance(body, Command):
                self.execute(body)
            elif isinstance(body, PublicRow):
                self.view.apply(output.topic, output.key, body, self.now_ms)
            elif body is not None and output.keyspace in (Keyspace.SITE, Keyspace.APP):
                lost = isinstance(body, Reserved | Placed | Spilled) and self.dice.random() < self.loss
                if not lost:
                    self.post(self.sites if output.keyspace is Keyspace.SITE else self.app, output.key, body)

    def execute(self, command: Command) -> None:
        """An executor: replicas take a second to start; weights count at once."""
        site = command.target.site_id
        result = Result()
        if isinstance(command.params, ScaleParams):
            self.running[site] = command.params.replicas
            result = Result(observed=command.params.replicas)
        elif isinstance(command.params, SpillParams) and site == "stadium":
            self.away = {share.site_id: share.permille for share in command.params.shares}
            self.away_until_ms = command.params.until_ms
        status = Status(
            command_id=command.command_id,
            attempt=1,
            state=CommandState.SUCCEEDED,
            state_version=1,
            entered_at_ms=self.now_ms,
            executor_id=site,
            resource_id=command.resource.id,
            site_id=site,
            boot_id="b",
            result=result,
            observed_generation=command.generation,
        )
        self.post(self.sites, command.reply_key, status, 1000)

    def measure(self) -> None:
        """Nodes say what they have, the stadium's ingress what it saw and where it sent it."""
        for name, cores in CORES.items():
            node = NodeSample(
                node_id=f"n-{name}",
                observed_at_ms=self.now_ms,
                cpu_used_milli=0,
                cpu_allocatable_milli=cores * 1000,
                mem_used_bytes=0,
                mem_allocatable_bytes=1 << 34,
            )
            batch = NodeTelemetryBatch(
                site_id=name,
                gateway_id="g",
                boot_id="b",
                sequence=self.now_ms,
                observed_at_ms=self.now_ms,
                nodes=(node,),
                interval_ms=1000,
            )
            self.post(self.sites, name, batch)
        if self.now_ms >= self.away_until_ms:
            self.away = {}
        served = tuple(ServedBy(site_id=n, requests=self.rps * p // 1000) for n, p in self.away.items())
        load = AppLoad(
            site_id="stadium",
            app_id="video",
            ingress_id="i",
            observed_at_ms=self.now_ms,
            interval_ms=1000,
            requests=self.rps,
            served_elsewhere=sum(one.requests for one in served),
            served_by=served,
            boot_id="b",
            sequence=self.now_ms,
        )
        self.post(self.sites, "stadium", load)

    @property
    def hired(self) -> list[tuple[str, str, int]]:
        return [(h.host, str(h.state), h.replicas) for h in self.app.books.hires_for("video")]


def of_app(decisions: list[Decision]) -> list[tuple[Verdict, Reason]]:
    """What the app's controller decided, without outcomes; its decisions on an ingress name candidates or a hire."""
    ours = (Verdict.OFFLOAD, Verdict.REVERT, Verdict.DRAIN)
    return [(d.verdict, d.reason) for d in decisions if d.verdict in ours and d.outcome is None]


def test_a_full_stadium_hires_the_hill_spills_to_it_renews_and_lets_go_when_the_crowd_goes_home() -> None:
    town = Town()
    town.rps = 300
    assert of_app(town.run(20)) == []
    town.rps = 900
    decisions = town.run(30)
    offloads = [d for d in decisions if d.verdict is Verdict.OFFLOAD and d.candidates]
    assert offloads
    assert offloads[0].candidates[0].id == "hill"
    assert town.running["stadium"] == 6
    assert town.running["hill"] == sum(replicas for _, _, replicas in town.hired)
    assert abs(town.away["hill"] - 500) <= 50
    assert [d.outcome for d in decisions if d.outcome and d.candidates == () and d.kind == "offload"]
    town.run(120)
    assert town.away, "renewed before it lapsed"
    assert all(state == "held" for _, state, _ in town.hired)
    row = town.view.app_rows["video"].body
    assert (row.unmet_milli, row.hires[0].to_site) == (0, "hill")
    town.rps = 200
    reverted = town.run(120)
    assert (Verdict.REVERT, Reason.RELIEF) in of_app(reverted)
    assert town.hired == []
    assert (town.away, town.running["hill"]) == ({}, 0)


@pytest.mark.parametrize("seed", range(4))
def test_lost_replies_delay_it_but_leave_nothing_wrong_and_nothing_behind(seed: int) -> None:
    town = Town(seed, loss=0.3)
    town.rps = 900
    town.run(120)
    assert 400 <= sum(town.away.values()) <= 600
    town.rps = 0
    town.run(400)
    assert town.hired == []
    assert (town.away, town.running["hill"], town.running["harbour"]) == ({}, 0, 0)
    assert len(town.sites.books.ledger.table) == 0


def test_a_suspect_hill_is_drained_and_a_dead_one_is_replaced_by_the_harbour() -> None:
    town = Town()
    town.rps = 900
    town.run(60)
    well = dict.fromkeys(CORES, Health.ALIVE)
    town.is_now({**well, "hill": Health.SUSPECT})
    assert (Verdict.DRAIN, Reason.SITE_SUSPECT) in of_app(town.run(5))
    assert "hill" not in town.away
    town.is_now({**well, "hill": Health.DEAD})
    town.run(60)
    assert {host for host, _, _ in town.hired} == {"harbour"}
    assert set(town.away) == {"harbour"}


def test_no_spill_says_shares_of_more_than_all_traffic_and_every_outcome_is_written_once() -> None:
    town = Town(3, loss=0.2)
    for rps in (900, 300, 1200, 0, 700):
        town.rps = rps
        town.run(90)
    spills = [output.body for output in town.said if isinstance(output.body, Spill)]
    assert all(sum(share.permille for share in spill.shares) <= 1000 for spill in spills)
    judged = [o.body for o in town.said if isinstance(o.body, Decision) and o.body.outcome and o.body.reason]
    ids = [(d.decision_id, d.outcome) for d in judged if d.kind == "offload" and d.outcome is not Outcome.WORSE]
    assert len(ids) == len({decision_id for decision_id, _ in ids})
    assert isinstance(town.view.app_rows["video"].body, AppInventory)
