"""The private rows of the site controller: a site, an app at a site, the routes of an ingress."""

from __future__ import annotations

import msgspec

from edge_control.inventory.amounts import NONE
from edge_control.inventory.guard import Guard
from edge_control.inventory.load_window import IngressWindow
from edge_control.inventory.nodes import SiteTotals
from edge_control.inventory.tables import Row
from edge_control.policies.forecast import Trend
from edge_control.policies.scaling import Memory
from schemas.apps import Resources
from schemas.commands import Share
from schemas.decisions import CauseRef, Reason, Verdict
from schemas.inventory import SiteInventory
from schemas.requests import SiteReport


class SiteRow(Row):
    """One site: what its nodes add up to, who speaks for it, and what was told to whom when.

    `told`: when something rate-limited was last said, by name (`beat`, `ack`, `peer/ID`, `user/ID`). `seen`: whether
    a peer answered last. `drains`: peers to which nothing is sent, until when. `dead_ms`: evidence that all is gone.
    """

    site_id: str
    gateways: dict[str, Guard] = msgspec.field(default_factory=dict)
    batch_ms: int = 0
    interval_ms: int = 5_000
    totals: SiteTotals = msgspec.field(default_factory=SiteTotals)
    duplicates: int = 0
    late: int = 0
    misdirected: int = 0
    boot_id: str = ""
    boot_before: str = ""
    told: dict[str, int] = msgspec.field(default_factory=dict)
    seen: dict[str, bool] = msgspec.field(default_factory=dict)
    drains: dict[str, int] = msgspec.field(default_factory=dict)
    dead_ms: int = 0
    published: SiteInventory | None = None
    due_ms: int = 0


class Order(Row):
    """A command on an app at a site that is not yet known to be over."""

    generation: int
    replicas: int
    command_id: str
    issued_ms: int
    deadline_ms: int
    spec_version: int = 0


class Ask(Row):
    """A request of the app controller that waits for replicas to answer."""

    request_id: str
    reply_key: str
    reply_keyspace: str
    replicas: int
    told: int = -1


class Expectation(Row):
    """A decision whose effect must show by a time."""

    decision_id: str
    verdict: Verdict
    reason: Reason
    cause: CauseRef
    decided_ms: int
    before: int
    value: int
    by_ms: int


class AppRow(Row):
    """One app at one site.

    `own`: replicas for the site's own ingress; `placed`: held for the app controller; together what is wanted.
    `observed`: replicas that answer, as the executor read back. `generation`: of the newest order; `applied`: of the
    newest order known to be carried out; `ordered`: the number that the newest order asked for. `unit`: what one
    replica takes. `node_demand_milli`: demand as the nodes' CPU suggests it, where no ingress speaks. `listed`: the
    observed number as the nodes last listed it whole; `short`: batches in a row that listed fewer.
    """

    site_id: str
    app_id: str
    own: int = 0
    placed: int = 0
    observed: int = 0
    listed: int = 0
    short: int = 0
    generation: int = 0
    applied: int = 0
    ordered: int = 0
    spec_version: int = 0
    unit: Resources = NONE
    orders: list[Order] = msgspec.field(default_factory=list)
    endpoints: tuple[str, ...] = ()
    failures: int = 0
    retry_ms: int = 0
    ingresses: dict[str, IngressWindow] = msgspec.field(default_factory=dict)
    cpu: list[tuple[int, int]] = msgspec.field(default_factory=list)
    node_demand_milli: int = 0
    node_demand_ms: int = 0
    demand_milli: int = 0
    memory: Memory = Memory()
    trend: Trend = msgspec.field(default_factory=Trend)
    startups_ms: list[int] = msgspec.field(default_factory=list)
    asks: list[Ask] = msgspec.field(default_factory=list)
    hold_reason: Reason | None = None
    hold_ms: int = 0
    missing: int = 0
    missing_said: int = 0
    missing_said_ms: int = 0
    report: SiteReport | None = None
    expectation: Expectation | None = None
    decision_id: str = ""
    waiting_id: str = ""
    waiting_for: int = 0
    acts: list[int] = msgspec.field(default_factory=list)
    spec_seen: int = 0
    due_ms: int = 0

    @property
    def key(self) -> str:
        """The resource's name."""
        return f"{self.app_id}@{self.site_id}"

    @property
    def wanted(self) -> int:
        """Replicas wanted in all."""
        return self.own + self.placed

    @property
    def accounted(self) -> int:
        """Replicas whose room counts as used: wanted, observed or still ordered, whichever is most."""
        return max(self.wanted, self.observed, *(order.replicas for order in self.orders), 0)

    @property
    def ready_for_others(self) -> int:
        """Replicas that answer beyond the site's own, as far as they were placed."""
        return min(self.placed, max(0, self.observed - self.own))


class Shift(Row):
    """A command on an ingress's weights that is not yet known to be over."""

    generation: int
    command_id: str
    deadline_ms: int


class SpillAsk(Row):
    """A spill request that is answered once the ingress has applied this generation or a later one."""

    request_id: str
    reply_key: str
    reply_keyspace: str
    generation: int


class RouteRow(Row):
    """The traffic of one app that leaves one ingress.

    `shares`: as asked for by the app controller until `until_ms`; `sent`: as last commanded (a drained peer has 0).
    `asks`: requests to be answered once the ingress has applied a generation.
    """

    site_id: str
    app_id: str
    shares: tuple[Share, ...] = ()
    until_ms: int = 0
    sent: tuple[Share, ...] = ()
    sent_until_ms: int = 0
    generation: int = 0
    applied: int = 0
    open: list[Shift] = msgspec.field(default_factory=list)
    asks: list[SpillAsk] = msgspec.field(default_factory=list)
    failures: int = 0
    due_ms: int = 0
    decision_id: str = ""

    @property
    def key(self) -> str:
        """The resource's name."""
        return f"{self.app_id}@{self.site_id}"
