"""A partition's site controller in virtual time, beside a twin that is reborn from its rows before every input.

Every input goes to both; outputs and rows must be equal, and what must hold is asserted after each.
"""

from __future__ import annotations

from typing import Any, TypeVar

from edge_control.controllers.events import Event, Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.site import SiteController
from edge_control.controllers.site_rows import AppRow
from edge_control.inventory.view import View
from schemas import estate
from schemas.apps import AppKind, AppSpec, Bounds, PerReplica
from schemas.base import Message
from schemas.commands import Command, ScaleParams
from schemas.decisions import Decision, Verdict
from schemas.policy import Policy
from schemas.requests import (
    Commit,
    PlaceReplicas,
    Purpose,
    ReleaseRoom,
    Reserve,
    Spill,
)
from schemas.statuses import CommandState, Hello, Observed, Result, Status
from schemas.telemetry import AppLoad, NodeSample, NodeTelemetryBatch
from topics import catalogue as cat
from topics.topic import Topic

M = TypeVar("M", bound=Message)
START_MS = 1_700_000_000_000
GIB = 1 << 30


def app(app_id: str = "video", **changes: Any) -> AppSpec:
    """An app whose replica takes one core and carries 100 requests per second."""
    fields: dict[str, Any] = {
        "app_id": app_id,
        "tenant": "t",
        "kind": AppKind.SERVICE,
        "version": 1,
        "per_replica": PerReplica(cpu_milli=1_000, mem_bytes=GIB, requests_per_s=100),
        "bounds": Bounds(site_min=0, site_max=100),
    }
    return AppSpec(**{**fields, **changes})


def node(node_id: str, at_ms: int, **changes: Any) -> NodeSample:
    """A node of eight cores and 64 GiB, ready."""
    fields: dict[str, Any] = {
        "cpu_used_milli": 1_000,
        "cpu_allocatable_milli": 8_000,
        "mem_used_bytes": GIB,
        "mem_allocatable_bytes": 64 * GIB,
    }
    return NodeSample(node_id=node_id, observed_at_ms=at_ms, **{**fields, **changes})


def bodies(outputs: list[Output], kind: type[M]) -> list[M]:
    """The messages of one type among what was said."""
    return [output.body for output in outputs if isinstance(output.body, kind)]


def scalings(outputs: list[Output]) -> list[tuple[str, int]]:
    """The scaling commands as (action, replicas in all)."""
    commands = bodies(outputs, Command)
    return [(c.action.value, c.params.replicas) for c in commands if isinstance(c.params, ScaleParams)]


def held(outputs: list[Output]) -> list[str]:
    """The reasons of decisions to do nothing."""
    return [d.reason.value for d in bodies(outputs, Decision) if d.verdict is Verdict.HOLD]


class SiteWorld:
    """One site `a` (more on demand) of region `bay` with its gateway, ingress and executor played by the test."""

    def __init__(self, *specs: AppSpec, policy: Policy | None = None, sites: tuple[str, ...] = ("a", "b")) -> None:
        self.view = View()
        self.controller, self.twin = SiteController(0), SiteController(0)
        self.now_ms = START_MS
        self.said: list[Output] = []
        self.offset = 0
        self.batches: dict[str, int] = {}
        self.loads: dict[str, int] = {}
        self.obedient = True
        for site in sites:
            self.declare(
                cat.ESTATE,
                f"site/{site}",
                estate.Site(
                    id=site, region="bay", tier=estate.Tier.ACCESS, lat_e7=0, lon_e7=0, ingress_url=f"http://{site}"
                ),
            )
        for spec in specs:
            self.declare(cat.APP, spec.app_id, spec)
        if policy is not None:
            self.declare(cat.POLICY, f"policy/{policy.id}", policy)

    def declare(self, topic: Topic, key: str, body: Message) -> None:
        """Write an estate item, spec, policy or row that views read."""
        self.view.apply(topic, key, body, self.now_ms)

    def give(self, body: Message, topic: Topic = cat.REQUEST, key: str = "a", cause: str = "") -> list[Output]:
        """Fold one message now."""
        self.offset += 1
        return self._fold(
            Event(
                body=body,
                key=key,
                topic=topic.name,
                partition=0,
                offset=self.offset,
                cause_id=cause or f"{topic.name}/0/{self.offset}",
                at_ms=self.now_ms,
                now_ms=self.now_ms,
            )
        )

    def wait(self, ms: int, *, step_ms: int = 250) -> list[Output]:
        """Let time pass in ticks; what was said in it."""
        said: list[Output] = []
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.now_ms = min(end_ms, self.now_ms + step_ms)
            said += self._fold(Tick(now_ms=self.now_ms, partition=0))
        return said

    def batch(self, *nodes: NodeSample, site: str = "a", **changes: Any) -> list[Output]:
        """The gateway of a site reports; by default its two nodes."""
        self.batches[site] = self.batches.get(site, 0) + 1
        fields: dict[str, Any] = {
            "gateway_id": f"gw-{site}",
            "boot_id": "g1",
            "sequence": self.batches[site],
            "observed_at_ms": self.now_ms,
        }
        usual = (node(f"{site}1", self.now_ms), node(f"{site}2", self.now_ms))
        body = NodeTelemetryBatch(site_id=site, nodes=nodes or usual, **{**fields, **changes})
        return self.give(body, cat.NODE_TELEMETRY, site)

    def load(self, rps: int, app_id: str = "video", site: str = "a", **changes: Any) -> list[Output]:
        """The ingress of a site reports one second of an app's traffic."""
        name = f"{app_id}@{site}"
        self.loads[name] = self.loads.get(name, 0) + 1
        fields: dict[str, Any] = {
            "ingress_id": f"in-{site}",
            "boot_id": "i1",
            "sequence": self.loads[name],
            "observed_at_ms": self.now_ms,
            "interval_ms": 1_000,
            "requests": rps,
        }
        return self.give(AppLoad(site_id=site, app_id=app_id, **{**fields, **changes}), cat.APP_LOAD, site)

    def traffic(self, rps: int, seconds: int, **changes: Any) -> list[Output]:
        """Steady traffic, seen each second, under a gateway that reports every five; orders are carried out at once."""
        said: list[Output] = []
        for second in range(seconds):
            heard = self.batch() if second % 5 == 0 else []
            heard += self.load(rps, **changes)
            heard += self.wait(1_000)
            said += heard
            if self.obedient:
                said += self.obey(heard)
        return said

    def answer(
        self,
        command: Command,
        state: CommandState = CommandState.SUCCEEDED,
        observed: int | None = None,
        **changes: Any,
    ) -> list[Output]:
        """The executor reports on a command."""
        if observed is None and isinstance(command.params, ScaleParams) and state is CommandState.SUCCEEDED:
            observed = command.params.replicas
        fields: dict[str, Any] = {
            "attempt": 1,
            "state_version": 3,
            "entered_at_ms": self.now_ms,
            "executor_id": "x",
            "site_id": command.target.site_id,
            "boot_id": "x1",
            "observed_generation": command.generation,
            "result": None if observed is None else Result(observed=observed),
        }
        body = Status(
            command_id=command.command_id, state=state, resource_id=command.resource.id, **{**fields, **changes}
        )
        return self.give(body, cat.STATUS, command.reply_key)

    def obey(self, outputs: list[Output]) -> list[Output]:
        """The executor carries out what these commands want."""
        return [said for command in bodies(outputs, Command) for said in self.answer(command)]

    def hello(self, *observed: Observed, boot: str = "x1", site: str = "a") -> list[Output]:
        """The executor of a site says what it runs."""
        body = Hello(
            executor_id="x", site_id=site, boot_id=boot, at_ms=self.now_ms, owner_keyspace="site", observed=observed
        )
        return self.give(body, cat.STATUS, site)

    def reserve(self, name: str, *, replicas: int = 0, seats: int = 0, **changes: Any) -> list[Output]:
        """Somebody asks for room at `a` for ten seconds."""
        fields: dict[str, Any] = {
            "site_id": "a",
            "app_id": "video",
            "resource_id": name,
            "purpose": Purpose.SPILL,
            "for_ms": 10_000,
        }
        return self.give(
            Reserve(replicas=replicas, seats=seats, **{**self._asked(name), **fields, **changes}), cause=name
        )

    def commit(self, name: str, reservation: str) -> list[Output]:
        """The holder of a reservation turns it into used room."""
        ask = self._asked(name)
        return self.give(Commit(**ask, site_id="a", reservation_id=reservation, resource_id=name), cause=name)

    def release(self, reservation: str) -> list[Output]:
        """Its holder gives room back."""
        return self.give(ReleaseRoom(site_id="a", reservation_id=reservation, resource_id=reservation))

    def place(self, name: str, replicas: int, reservation: str = "") -> list[Output]:
        """The app's controller wants so many replicas at `a` in all."""
        ask = self._asked(name)
        return self.give(
            PlaceReplicas(**ask, site_id="a", app_id="video", replicas=replicas, reservation_id=reservation),
            cause=name,
        )

    def spill(self, name: str, *shares: Any, for_ms: int = 60_000) -> list[Output]:
        """The app's controller wants these shares of a's ingress to go elsewhere."""
        ask = self._asked(name)
        body = Spill(**ask, site_id="a", app_id="video", shares=shares, until_ms=self.now_ms + for_ms)
        return self.give(body, cause=name)

    def row(self, name: str = "video@a") -> AppRow:
        """An app at a site as the controller keeps it."""
        return self.controller.books.apps[name]

    def rows(self) -> dict[str, bytes | None]:
        """All rows as journalled."""
        return rows_of(self.controller)

    def _asked(self, name: str) -> dict[str, Any]:
        return {
            "request_id": name,
            "reply_key": "video",
            "reply_keyspace": "app",
            "expires_at_ms": self.now_ms + 10_000,
        }

    def _fold(self, event: Input) -> list[Output]:
        before = self.rows()
        outputs = self.controller.handle(event, self.view)
        self.controller.validate()
        changes = [table.take_changes() for table in self.controller.tables]
        dirty = [key for rows, removed in changes for key in (*rows, *removed)]
        if isinstance(event, Tick) and not outputs and self.rows() == before:
            assert not dirty, f"a tick that changed nothing marked {dirty}"
        self.twin = reborn(self.twin)
        assert self.twin.handle(event, self.view) == outputs, "a takeover changed what is said"
        assert rows_of(self.twin) == self.rows(), "a takeover changed what is known"
        self.said += outputs
        return outputs


def rows_of(controller: SiteController) -> dict[str, bytes | None]:
    """All rows of a controller as journalled."""
    return {f"{table.name}/{key}": table.encoded(key) for table in controller.tables for key in table}


def reborn(controller: SiteController) -> SiteController:
    """A new owner of the partition that has only the rows, loaded in another order."""
    fresh = SiteController(controller.partition)
    for old, new in zip(controller.tables, fresh.tables, strict=True):
        for key in sorted(old, reverse=True):
            new.load(key, old.encoded(key))
    fresh.rebuild()
    return fresh
