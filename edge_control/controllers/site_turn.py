"""One turn of the site controller: the books of its partition, the input that is folded, and what is said of it."""

from __future__ import annotations

from typing import Any

from edge_control.controllers import outputs
from edge_control.controllers.events import Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.site_rows import AppRow, RouteRow, SiteRow
from edge_control.inventory.deadlines import Deadlines
from edge_control.inventory.ledger import EXPIRY_GRACE_MS, Ledger
from edge_control.inventory.nodes import NodeRow
from edge_control.inventory.parts import PartsRow
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from schemas.apps import AppSpec
from schemas.base import Message, derive_id
from schemas.policy import Scope
from schemas.registry import type_name
from topics.catalogue import Keyspace


class Books:
    """The tables of one partition and what is derived from them: rows per site, commands in flight, deadlines."""

    def __init__(self) -> None:
        """Nothing is known."""
        self.sites: Table[SiteRow] = Table("sites", SiteRow)
        self.nodes: Table[NodeRow] = Table("nodes", NodeRow)
        self.apps: Table[AppRow] = Table("apps", AppRow)
        self.routes: Table[RouteRow] = Table("routes", RouteRow)
        self.parts: Table[PartsRow] = Table("parts", PartsRow)
        self.ledger = Ledger()
        self.nodes_at: dict[str, dict[str, None]] = {}
        self.apps_at: dict[str, dict[str, None]] = {}
        self.routes_at: dict[str, dict[str, None]] = {}
        self.scalings: dict[str, str] = {}
        self.shifts: dict[str, str] = {}
        self.deadlines = Deadlines()

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """All tables, in a fixed order."""
        return (self.sites, self.nodes, self.apps, self.routes, self.ledger.table, self.parts)

    def rebuild(self) -> None:
        """Make everything derived again from the rows."""
        self.nodes_at, self.apps_at, self.routes_at = {}, {}, {}
        self.scalings, self.shifts, self.deadlines = {}, {}, Deadlines()
        self.ledger.rebuild()
        for key, node in self.nodes.items():
            self.nodes_at.setdefault(node.site_id, {})[key] = None
        for key, app in self.apps.items():
            self.apps_at.setdefault(app.site_id, {})[key] = None
            self.scalings.update((order.command_id, key) for order in app.orders)
            self.remind("app", key, app.due_ms)
        for key, route in self.routes.items():
            self.routes_at.setdefault(route.site_id, {})[key] = None
            self.shifts.update((shift.command_id, key) for shift in route.open)
            self.remind("route", key, route.due_ms)
        for key, held in self.ledger.table.items():
            if not held.committed:
                self.remind("room", key, held.until_ms + EXPIRY_GRACE_MS)
        for key, site in self.sites.items():
            self.remind("site", key, site.due_ms)
        for key, parts in self.parts.items():
            self.remind("parts", key, parts.forget_at_ms)

    def remind(self, kind: str, key: str, at_ms: int) -> None:
        """Be reminded of a row at a time; 0 forgets it."""
        if at_ms:
            self.deadlines.set(f"{kind}/{key}", at_ms)
        else:
            self.deadlines.clear(f"{kind}/{key}")

    def nodes_of(self, site_id: str) -> list[NodeRow]:
        """The nodes of a site, by name."""
        return [self.nodes[key] for key in sorted(self.nodes_at.get(site_id, ()))]

    def apps_of(self, site_id: str) -> list[AppRow]:
        """The apps at a site, by name."""
        return [self.apps[key] for key in sorted(self.apps_at.get(site_id, ()))]

    def routes_of(self, site_id: str) -> list[RouteRow]:
        """The routes of a site's ingress, by name."""
        return [self.routes[key] for key in sorted(self.routes_at.get(site_id, ()))]


class Turn:
    """The folding of one input: where rows are looked up, changes marked and outputs collected.

    Handlers change rows and mark what must be judged anew; the controller judges the marked apps, routes and sites
    once, when the handler is done.
    """

    def __init__(self, books: Books, partition: int, cause: Input, view: View) -> None:
        """Begin; `at_ms` is when the input happened, `now_ms` when it is folded."""
        self.books = books
        self.partition = partition
        self.cause = cause
        self.view = view
        self.now_ms = cause.now_ms
        self.at_ms = cause.now_ms if isinstance(cause, Tick) else cause.at_ms
        self.outputs: list[Output] = []
        self.changed_apps: dict[str, None] = {}
        self._scopes: dict[tuple[str, str, str], Scope] = {}
        self.touched_apps: dict[str, None] = {}
        self.touched_routes: dict[str, None] = {}
        self.touched_sites: dict[str, None] = {}

    def new_id(self, kind: str, resource: str, ordinal: int = 0) -> str:
        """The id of what follows from this input."""
        return derive_id(kind, resource, self.cause.cause_id, ordinal)

    def tell(self, keyspace: Keyspace, key: str, body: Message, about: str, correlation_id: str = "") -> None:
        """Send a request, reply or report; at most one of a type about one thing per turn."""
        event_id = self.new_id(type_name(body), f"{about}>{key}")
        self.outputs.append(outputs.message(keyspace, key, event_id, body, correlation_id=correlation_id))

    def observed_ms(self, stamp_ms: int) -> int:
        """An observation's time: a stamp from the future counts as now, none (0) as the record's own."""
        return min(stamp_ms or self.at_ms, self.now_ms)

    def site(self, site_id: str) -> SiteRow:
        """The row of a site, made on first sight."""
        row = self.books.sites.get(site_id)
        if row is None:
            row = self.books.sites[site_id] = SiteRow(site_id=site_id)
            self.expect_declared(site_id)
        self.touched_sites[site_id] = None
        return row

    def app(self, app_id: str, site_id: str) -> AppRow:
        """The row of an app at a site, made on first sight and marked to be judged."""
        key = f"{app_id}@{site_id}"
        row = self.books.apps.get(key)
        if row is None:
            row = self.books.apps[key] = AppRow(site_id=site_id, app_id=app_id)
            self.books.apps_at.setdefault(site_id, {})[key] = None
        self.touched_apps[key] = None
        return row

    def put_app(self, row: AppRow) -> None:
        """Keep a changed row; it is judged at the end of the turn."""
        self.books.apps[row.key] = row
        self.changed_apps[row.key] = None
        self.touched_apps[row.key] = None

    def put_route(self, row: RouteRow) -> None:
        """Keep a changed route; it is brought to its ingress at the end of the turn."""
        self.books.routes[row.key] = row
        self.books.routes_at.setdefault(row.site_id, {})[row.key] = None
        self.touched_routes[row.key] = None

    def expect_declared(self, site_id: str) -> None:
        """Apps whose spec names this site with a minimum are its matter before any load is seen."""
        for seen in self.view.apps.values():
            if seen.body.bounds.site_min and site_id in seen.body.location.sites:
                self.app(seen.body.app_id, site_id)

    def spec(self, app_id: str) -> AppSpec | None:
        """What the app asks for, if it is known."""
        seen = self.view.apps.get(app_id)
        return seen.body if seen else None

    def scope(self, site_id: str, app_id: str = "", tenant: str = "") -> Scope:
        """Where a policy is looked up for a site, and an app there."""
        key = (site_id, app_id, tenant)
        known = self._scopes.get(key)
        if known is None:
            site = self.view.sites.get(site_id)
            tier, region = (site.body.tier, site.body.region) if site else ("", "")
            known = Scope(app=app_id, tenant=tenant, tier=tier, region=region, site=site_id)
            self._scopes[key] = known
        return known
