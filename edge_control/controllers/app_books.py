"""The tables and indexes of the app controller, and one turn at them: a cause, its outputs, ids that derive from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edge_control.controllers import outputs as out
from edge_control.controllers.app_instance_rows import InstanceRow
from edge_control.controllers.app_rows import (
    AppRow,
    DemandRow,
    DrainRow,
    HireRow,
    HoldRow,
    IngressRow,
    SpecRow,
    SteeringRow,
    at,
)
from edge_control.controllers.events import Input
from edge_control.controllers.outputs import Output
from edge_control.inventory.deadlines import Deadlines
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from schemas.apps import AppSpec
from schemas.base import Message, derive_id
from schemas.inventory import Health
from schemas.policy import Scope
from topics.catalogue import Keyspace


class AppBooks:
    """All that is known of the apps of one partition."""

    def __init__(self, partition: int) -> None:
        """Knows no app."""
        self.partition = partition
        self.specs: Table[SpecRow] = Table("specs", SpecRow)
        self.apps: Table[AppRow] = Table("apps", AppRow)
        self.demand: Table[DemandRow] = Table("demand", DemandRow)
        self.ingresses: Table[IngressRow] = Table("ingresses", IngressRow)
        self.hires: Table[HireRow] = Table("hires", HireRow)
        self.instances: Table[InstanceRow] = Table("instances", InstanceRow)
        self.drains: Table[DrainRow] = Table("drains", DrainRow)
        self.steering: Table[SteeringRow] = Table("steering", SteeringRow)
        self.holds: Table[HoldRow] = Table("holds", HoldRow)
        self.renewals = Deadlines()
        self.sites_of: dict[str, dict[str, None]] = {}
        self.ingresses_of: dict[str, dict[str, None]] = {}
        self.hires_of: dict[str, dict[str, None]] = {}
        self.instances_of: dict[str, dict[str, None]] = {}
        self.zones_of: dict[str, dict[str, None]] = {}

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """All tables."""
        return (
            self.specs,
            self.apps,
            self.demand,
            self.ingresses,
            self.hires,
            self.instances,
            self.drains,
            self.steering,
            self.holds,
        )

    def rebuild(self) -> None:
        """Index the rows again; all that is due is derived from them."""
        self.renewals = Deadlines()
        self.sites_of, self.ingresses_of, self.hires_of, self.instances_of, self.zones_of = {}, {}, {}, {}, {}
        for demand in self.demand.values():
            self.sites_of.setdefault(demand.app_id, {})[demand.site_id] = None
        for ingress in self.ingresses.values():
            self.ingresses_of.setdefault(ingress.app_id, {})[ingress.site_id] = None
        for key, hire in self.hires.items():
            self.hires_of.setdefault(hire.app_id, {})[key] = None
        for key, instance in self.instances.items():
            self.instances_of.setdefault(instance.app_id, {})[key] = None
        for key, row in self.steering.items():
            self.await_renewal(key, row)

    def spec(self, app_id: str) -> AppSpec | None:
        """The newest spec of the app."""
        row = self.specs.get(app_id)
        return row.spec if row else None

    def app(self, app_id: str) -> AppRow:
        """The app's row, a new one if it was not known."""
        return self.apps.get(app_id) or AppRow(app_id=app_id)

    def demands(self, app_id: str) -> list[DemandRow]:
        """What the sites said of the app, in order of their ids."""
        return [self.demand[at(app_id, site_id)] for site_id in sorted(self.sites_of.get(app_id, {}))]

    def ingresses_with(self, app_id: str) -> list[IngressRow]:
        """The app's ingresses that ever overflowed, in order of their sites."""
        return [self.ingresses[at(app_id, site_id)] for site_id in sorted(self.ingresses_of.get(app_id, {}))]

    def hires_for(self, app_id: str, ingress: str | None = None) -> list[HireRow]:
        """The app's hires and placements (of one ingress), oldest first."""
        rows = (self.hires[key] for key in self.hires_of.get(app_id, {}))
        chosen = (row for row in rows if ingress is None or row.ingress == ingress)
        return sorted(chosen, key=lambda row: (row.opened_at_ms, row.key))

    def put_hire(self, row: HireRow) -> None:
        """Keep a hire; one that has ended is forgotten."""
        if row.state.open:
            self.hires[row.key] = row
            self.hires_of.setdefault(row.app_id, {})[row.key] = None
        else:
            self.hires.discard(row.key)
            self.hires_of.get(row.app_id, {}).pop(row.key, None)

    def instances_with(self, app_id: str) -> list[InstanceRow]:
        """The app's stateful instances, in order of their ids."""
        return [self.instances[key] for key in sorted(self.instances_of.get(app_id, {}))]

    def put_instance(self, row: InstanceRow) -> None:
        """Keep an instance."""
        self.instances[row.instance_id] = row
        self.instances_of.setdefault(row.app_id, {})[row.instance_id] = None

    def await_renewal(self, key: str, row: SteeringRow) -> None:
        """Renew a steering row when half of its life is over."""
        self.zones_of.setdefault(row.app_id, {})[row.zone_id] = None
        self.renewals.set(key, (row.as_of_ms + row.until_ms) // 2)


class Turn:
    """One input being folded: where its outputs gather and its ids come from."""

    def __init__(self, books: AppBooks, cause: Input, view: View) -> None:
        """Nothing is said yet."""
        self.books = books
        self.cause = cause
        self.view = view
        self.now_ms = cause.now_ms
        self.outputs: list[Output] = []
        self._given = 0

    def new_id(self, kind: str, resource: str) -> str:
        """An id that the same input gives again on every replay."""
        self._given += 1
        return derive_id(kind, resource, self.cause.cause_id, self._given)

    def drained(self, app_id: str) -> dict[str, None]:
        """Sites that their region drains now, as it told this app; its newer word that one is alive ends that."""
        rows = (row for row in self.books.drains.values() if row.app_id == app_id and row.until_ms > self.now_ms)
        return dict.fromkeys(sorted(row.site_id for row in rows if not self._is_alive_since(row)))

    def say(self, outputs: Iterable[Output]) -> None:
        """Send these."""
        self.outputs.extend(outputs)

    def ask(self, keyspace: Keyspace, key: str, body: Message, request_id: str, attempt: int = 1) -> None:
        """Send a request to another controller; asking again has the same request id and another event id."""
        event_id = f"{request_id}/{attempt}"
        self.outputs.append(out.message(keyspace, key, event_id, body, correlation_id=request_id))

    def _is_alive_since(self, row: DrainRow) -> bool:
        health = self.view.health.get(row.site_id)
        return health is not None and health.health is Health.ALIVE and health.since_ms > row.at_ms


def where(spec: AppSpec, site_id: str, view: View) -> Scope:
    """The place for which a policy is looked up: the app, its tenant, and the site if there is one."""
    site = view.sites.get(site_id)
    if site is None:
        return Scope(app=spec.app_id, tenant=spec.tenant, site=site_id)
    return Scope(app=spec.app_id, tenant=spec.tenant, tier=site.body.tier, region=site.body.region, site=site_id)
