"""Toy controllers for the engine's tests: small rules whose right answer a few lines of plain Python can tell.

Run as a program (`python -m tests.kafka.toy worker ..`) it is a stream worker of these controllers, settings from the
environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from edge_control.controllers import outputs
from edge_control.controllers.base import Controller
from edge_control.controllers.events import Event, Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.inventory.tables import Row, Table
from edge_control.inventory.view import View
from schemas.base import derive_id
from schemas.commands import Action, Command, CommandKind, Fence, ScaleParams, Target
from schemas.decisions import Resource
from schemas.inventory import Health, Room, SiteInventory
from schemas.requests import Overflow
from schemas.telemetry import NodeTelemetry
from streams.app import make_app
from streams.engine.boot import partition_counts
from streams.engine.replay import replay
from streams.settings import WorkerSettings, read_settings
from topics.catalogue import JOURNAL, Keyspace
from topics.connect import Connect

STEP = 1000
QUIET_MS = 700
POISON_CPU = 666_666


class NodeRow(Row):
    """What is known of a node."""

    events: int = 0
    cpu_sum: int = 0
    last: int = -1
    out_of_order: int = 0


class SiteRow(Row):
    """What is known of a site: its events, the reports it was told, and whether it has gone quiet."""

    events: int = 0
    told: int = 0
    missing: int = 0
    revision: int = 0
    last_ms: int = 0
    quiet: int = 0
    price_known_at_ms: int = 0


class ToySite(Controller):
    """Sums the load of nodes; orders a replica at every full thousand; tells the app when a node reports a multiple of 7."""

    keyspace = Keyspace.SITE

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self.nodes, self.sites = Table("nodes", NodeRow), Table("sites", SiteRow)
        self._awake: dict[str, None] = {}

    @property
    def tables(self) -> tuple[Table[NodeRow], Table[SiteRow]]:
        return (self.nodes, self.sites)

    def handle(self, event: Input, view: View) -> list[Output]:
        if isinstance(event, Tick):
            return self._grow_quiet(event)
        match event.body:
            case NodeTelemetry():
                return self._load(event, event.body, view)
            case Overflow():
                row = self.sites.get(event.key) or SiteRow()
                row.told, row.missing = row.told + 1, row.missing + event.body.missing_milli
                self.sites[event.key] = row
                return []
            case _:
                return []

    def _load(self, event: Event, body: NodeTelemetry, view: View) -> list[Output]:
        if body.cpu_used_milli == POISON_CPU:
            raise RuntimeError("a bug of the controller")
        node = self.nodes.get(body.node_id) or NodeRow()
        node.out_of_order += body.sequence != node.last + 1
        before, node.last, node.events = node.cpu_sum, body.sequence, node.events + 1
        node.cpu_sum += body.cpu_used_milli
        self.nodes[body.node_id] = node
        site = self.sites.get(event.key) or SiteRow()
        site.events, site.last_ms, site.revision = site.events + 1, event.now_ms, site.revision + 1
        known = view.sites.get(event.key)
        site.price_known_at_ms = known.learned_at_ms if known else 0
        self.sites[event.key] = site
        self._awake[event.key] = None
        said: list[Output] = []
        if before // STEP != node.cpu_sum // STEP:
            said.append(self._order(event, body, node.cpu_sum // STEP, site.revision))
        if body.cpu_used_milli % 7 == 0:
            told = Overflow(
                site_id=event.key, app_id=f"a{body.sequence % 16}", missing_milli=body.cpu_used_milli, permille=1
            )
            cause = derive_id("overflow", body.node_id, event.cause_id)
            said.append(outputs.message(Keyspace.APP, told.app_id, cause, told))
        return said

    def _order(self, event: Event, body: NodeTelemetry, replicas: int, revision: int) -> Output:
        return outputs.command(
            Command(
                command_id=derive_id("scale", body.node_id, event.cause_id),
                kind=CommandKind.SCALING,
                action=Action.SCALE_OUT,
                resource=Resource(type="replicas", id=f"{body.node_id}@{event.key}"),
                target=Target(site_id=event.key),
                reply_key=event.key,
                reply_keyspace="site",
                params=ScaleParams(app_id=body.node_id, replicas=replicas),
                generation=revision,
                fence=Fence(owner=f"site/{self.partition}", revision=revision),
                issued_at_ms=event.now_ms,
                decision_id=derive_id("decision", body.node_id, event.cause_id),
            )
        )

    def _grow_quiet(self, tick: Tick) -> list[Output]:
        said: list[Output] = []
        for key in list(self._awake):
            row = self.sites[key]
            if tick.now_ms - row.last_ms > QUIET_MS:
                del self._awake[key]
                row.quiet, row.revision, row.last_ms = row.quiet + 1, row.revision + 1, tick.now_ms
                self.sites[key] = row
                said.append(outputs.row(inventory(key, row)))
        return said

    def rebuild(self) -> None:
        self._awake = {key: None for key, row in self.sites.items() if not row.quiet}

    def public_rows(self) -> list[Output]:
        return [outputs.row(inventory(key, row)) for key, row in self.sites.items() if row.quiet]

    def validate(self) -> None:
        assert all(row.events >= 0 for _, row in self.sites.items())


class ToyApp(Controller):
    """Sends every overflow on to another site, so that a request makes two hops."""

    keyspace = Keyspace.APP

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self.apps = Table("apps", SiteRow)

    @property
    def tables(self) -> tuple[Table[SiteRow], ...]:
        return (self.apps,)

    def handle(self, event: Input, view: View) -> list[Output]:
        del view
        if isinstance(event, Tick) or not isinstance(event.body, Overflow):
            return []
        row = self.apps.get(event.key) or SiteRow()
        row.told, row.missing = row.told + 1, row.missing + event.body.missing_milli
        self.apps[event.key] = row
        to = f"s{event.body.missing_milli % 20}"
        return [outputs.message(Keyspace.SITE, to, derive_id("hop", event.key, event.cause_id), event.body)]

    def rebuild(self) -> None:
        """Nothing is derived."""

    def public_rows(self) -> list[Output]:
        return []

    def validate(self) -> None:
        """Nothing can be wrong."""


class Silent(Controller):
    """A controller without an opinion."""

    def __init__(self, partition: int) -> None:
        super().__init__(partition)

    @property
    def tables(self) -> tuple[Table[SiteRow], ...]:
        return ()

    def handle(self, event: Input, view: View) -> list[Output]:
        del event, view
        return []

    def rebuild(self) -> None:
        """Nothing is derived."""

    def public_rows(self) -> list[Output]:
        return []

    def validate(self) -> None:
        """Nothing can be wrong."""


class SilentTerminal(Silent):
    """As Silent."""

    keyspace = Keyspace.TERMINAL


class SilentRegion(Silent):
    """As Silent."""

    keyspace = Keyspace.REGION


CONTROLLERS: dict[Keyspace, type[Controller]] = {
    Keyspace.SITE: ToySite,
    Keyspace.TERMINAL: SilentTerminal,
    Keyspace.APP: ToyApp,
    Keyspace.REGION: SilentRegion,
}


def inventory(key: str, row: SiteRow) -> SiteInventory:
    """The public row of a toy site."""
    room = Room(resource="cpu", capacity=1, allocatable=1, requested=0, reserved=0, used=0, free=1)
    return SiteInventory(
        site_id=key, generation=row.revision, as_of_ms=row.last_ms, health=Health.ALIVE, tier="access", rooms=(room,)
    )


async def replayed(settings: WorkerSettings) -> dict[str, object]:
    """Every partition folded again: rows as hex and ids of outputs, in one value that can be compared."""
    connect = Connect(settings.kafka)
    counts = await partition_counts(connect, "replay")
    found: dict[str, object] = {}
    for number in range(counts[JOURNAL.name]):
        result = await replay(connect, settings.worker.app_id, number, counts, CONTROLLERS)
        rows = {name: data.hex() for name, data in result.rows.items()}
        found[str(number)] = {"rows": rows, "ids": result.ids}
    return found


def main() -> None:
    """`worker ..`: run a worker of the toy controllers; `replay`: print what folding again gives."""
    settings = read_settings(os.environ)
    if sys.argv[1] == "replay":
        print(json.dumps(asyncio.run(replayed(settings)), sort_keys=True))
    else:
        make_app(settings, CONTROLLERS).main()


if __name__ == "__main__":
    main()
