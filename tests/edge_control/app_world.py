"""A small world for the app controller: sites on a map, a clock that the test moves, and the words of its partners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from edge_control.controllers.app import AppController
from edge_control.controllers.events import Event, Tick
from edge_control.controllers.outputs import Output
from edge_control.inventory.view import View
from schemas.apps import AppKind, AppSpec, Bounds, PerReplica
from schemas.base import Message
from schemas.decisions import Decision, Reason, Verdict
from schemas.estate import Site, Tier, Zone
from schemas.inventory import Health, RegionInventory, Room, SiteHealth, SiteInventory
from schemas.requests import (
    Overflow,
    Placed,
    PlaceReplicas,
    Request,
    Reserve,
    Reserved,
    SiteReport,
    Spill,
    Spilled,
)
from topics import catalogue as cat

M = TypeVar("M", bound=Message)
DEGREE_E7 = 10_000_000


def spec(app_id: str = "video", **parts: Any) -> AppSpec:
    """A service whose replica takes one core and carries 100 requests a second."""
    told: dict[str, Any] = {
        "tenant": "acme",
        "kind": AppKind.SERVICE,
        "version": 1,
        "per_replica": PerReplica(cpu_milli=1000, mem_bytes=1 << 20, requests_per_s=100),
        "bounds": Bounds(max=100),
        "startup_ms_hint": 2000,
    }
    return AppSpec(app_id=app_id, **{**told, **parts})


def rooms(cores: int) -> tuple[Room, ...]:
    """So many cores free at a site of 40, and plenty of memory."""
    cpu = Room(
        resource="cpu_milli", capacity=40_000, allocatable=40_000, requested=0, reserved=0, used=0, free=cores * 1000
    )
    mem = Room(
        resource="mem_bytes", capacity=1 << 40, allocatable=1 << 40, requested=0, reserved=0, used=0, free=1 << 40
    )
    return (cpu, mem)


class AppWorld:
    """Sites in a row, one degree of longitude apart, each with a zone; an app controller; what it said so far."""

    def __init__(self, *sites: str, cores: int = 14) -> None:
        self.app, self.view = AppController(0), View()
        self.now_ms, self.offset, self.said = 1_000_000, 0, list[Output]()
        self.states: dict[str, SiteHealth] = {}
        for place, name in enumerate(sites):
            self.declare(name, place)
            self.has_room(name, cores)
            self.is_now(name, Health.ALIVE)

    def declare(self, name: str, place: int, **parts: Any) -> None:
        told: dict[str, Any] = {"region": "bay", "tier": Tier.ACCESS, "ingress_url": f"http://{name}"}
        site = Site(id=name, lat_e7=0, lon_e7=place * DEGREE_E7, **{**told, **parts})
        self.put(cat.ESTATE, f"site/{name}", site)
        self.put(cat.ESTATE, f"zone/z-{name}", Zone(id=f"z-{name}", site=name))

    def has_room(self, name: str, cores: int, **parts: Any) -> None:
        row = SiteInventory(
            site_id=name, generation=1, as_of_ms=self.now_ms, region_id="bay", rooms=rooms(cores), **parts
        )
        self.put(cat.INVENTORY, name, row)

    def is_now(self, name: str, health: Health, *, evidenced: bool = False) -> None:
        self.states[name] = SiteHealth(site_id=name, health=health, since_ms=self.now_ms, evidenced=evidenced)
        row = RegionInventory(region_id="bay", generation=1, as_of_ms=self.now_ms, sites=tuple(self.states.values()))
        self.put(cat.INVENTORY, "bay", row)

    def put(self, topic: cat.Topic, key: str, body: Message | None) -> None:
        self.view.apply(topic, key, body, self.now_ms)

    def has_app(self, app: AppSpec) -> None:
        self.put(cat.APP, app.app_id, app)
        self.hear(app, app.app_id)

    def hear(self, body: Message, key: str = "video") -> list[Output]:
        """Fold one message now."""
        self.offset += 1
        event = Event(
            body=body,
            key=key,
            topic=cat.REQUEST.name,
            partition=0,
            offset=self.offset,
            cause_id=f"m{self.offset}",
            at_ms=self.now_ms,
            now_ms=self.now_ms,
        )
        return self._keep(self.app.handle(event, self.view))

    def tick(self) -> list[Output]:
        return self._keep(self.app.handle(Tick(now_ms=self.now_ms, partition=0), self.view))

    def run(self, ms: int, *, fresh: bool = True) -> list[Output]:
        """Let time pass, a second at a time; the rows of the sites stay fresh unless said otherwise."""
        said: list[Output] = []
        for _ in range(ms // 1000):
            self.now_ms += 1000
            if fresh:
                for name, seen in tuple(self.view.site_rows.items()):
                    self.put(cat.INVENTORY, name, seen.body)
            said += self.tick()
        return said

    def overflows(self, site: str, replicas: int, permille: int) -> list[Output]:
        body = Overflow(
            site_id=site,
            app_id="video",
            missing_milli=replicas * 100_000,
            missing_replicas=replicas,
            permille=permille,
            at_ms=self.now_ms,
        )
        return self.hear(body)

    def reports(self, site: str, demand_milli: int, replicas: int, **parts: Any) -> list[Output]:
        told: dict[str, Any] = {"desired": replicas, "ready": replicas, "own": replicas, **parts}
        return self.hear(SiteReport(site_id=site, app_id="video", at_ms=self.now_ms, demand_milli=demand_milli, **told))

    def grants(self, ask: Request, *, reason: str = "") -> list[Output]:
        """The site's answer to a reserve."""
        assert isinstance(ask, Reserve)
        until_ms = self.now_ms + ask.for_ms
        return self.hear(
            Reserved(
                request_id=ask.request_id,
                granted=not reason,
                reason=reason,
                site_id=ask.site_id,
                until_ms=until_ms,
            )
        )

    def answers(self, ask: Request, *, ready: int | None = None) -> list[Output]:
        """The answer to a place or a spill."""
        if isinstance(ask, Spill):
            return self.hear(Spilled(request_id=ask.request_id, granted=True, site_id=ask.site_id, app_id=ask.app_id))
        assert isinstance(ask, PlaceReplicas)
        count = ask.replicas if ready is None else ready
        return self.hear(
            Placed(request_id=ask.request_id, granted=True, site_id=ask.site_id, app_id=ask.app_id, ready=count)
        )

    def hires(self, ingress: str, replicas: int, permille: int) -> Spill:
        """An overflow that goes all the way: one host, asked, granted, placed, spilled."""
        ask = one(self.overflows(ingress, replicas, permille), Reserve)
        order = one(self.grants(ask), PlaceReplicas)
        spill = one(self.answers(order), Spill)
        self.answers(spill)
        return spill

    def _keep(self, outputs: list[Output]) -> list[Output]:
        self.app.validate()
        self.said += outputs
        return outputs


def bodies(outputs: list[Output], kind: type[M]) -> list[M]:
    """The messages of a kind among these outputs."""
    return [output.body for output in outputs if isinstance(output.body, kind)]


def one(outputs: list[Output], kind: type[M]) -> M:
    """The only message of its kind."""
    found = bodies(outputs, kind)
    assert len(found) == 1, found
    return found[0]


def decided(outputs: list[Output]) -> list[tuple[Verdict, Reason]]:
    """Verdicts and reasons, without the records of outcomes."""
    return [(d.verdict, d.reason) for d in bodies(outputs, Decision) if d.outcome is None]


def rows_of(app: AppController) -> Iterator[tuple[str, str, bytes | None]]:
    """All rows as the journal would hold them."""
    for table in app.tables:
        for key in sorted(table):
            yield table.name, key, table.encoded(key)


def reborn(app: AppController) -> AppController:
    """Another controller that takes over from the journal."""
    fresh = AppController(app.partition)
    for old, new in zip(app.tables, fresh.tables, strict=True):
        for key in old:
            new.load(key, old.encoded(key))
    fresh.rebuild()
    return fresh


def with_region(site: Site, region: str) -> Site:
    """The same site in another region."""
    return msgspec.structs.replace(site, region=region)
