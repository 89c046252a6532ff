"""What is measured, fused and published: the rows users and views read (CONTRACTS 4)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from .base import Id, Message, Millis, Natural, Permille, Span
from .commands import Share


class Health(StrEnum):
    """A site's health as its region sees it (DECISIONS 6)."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    CUT_OFF = "cut-off"
    DEAD = "dead"
    UNKNOWN = "unknown"


class NodeCounts(Message, frozen=True, kw_only=True):
    """How many nodes a site has, and how many speak and can take work."""

    admitted: Natural = 0
    reporting: Natural = 0
    ready: Natural = 0
    cordoned: Natural = 0


class Room(Message, frozen=True, kw_only=True):
    """One resource of a site: capacity = used + reserved + free (committed counts as requested)."""

    resource: str
    capacity: Natural
    allocatable: Natural
    requested: Natural
    reserved: Natural
    used: Natural
    free: Natural
    watermark_permille: Natural = 0


class AppAtSite(Message, frozen=True, kw_only=True):
    """One app at one site."""

    app_id: Id
    desired: Natural
    ordered: Natural
    ready: Natural
    demand_milli: Natural
    served_elsewhere_permille: Permille = 0
    own: Natural = 0
    placed: Natural = 0


class SpillAtSite(Message, frozen=True, kw_only=True):
    """Traffic of one app that this site's ingress sends away."""

    app_id: Id
    to_site: Id
    permille: Permille
    until_ms: Millis


class Advice(Message, frozen=True, kw_only=True):
    """When a resource will be used up if things go on like this."""

    resource: str
    exhausted_in_s: Natural
    confidence_permille: Permille = 0


class PublicRow(Message, frozen=True, kw_only=True):
    """What every published row has: a number that grows with each change, and its time."""

    generation: Natural
    as_of_ms: Millis


class SiteInventory(PublicRow, frozen=True, kw_only=True):
    """One site, fused."""

    site_id: Id
    region_id: str = ""
    health: Health = Health.UNKNOWN
    tier: str = ""
    nodes: NodeCounts = NodeCounts()
    rooms: tuple[Room, ...] = ()
    apps: tuple[AppAtSite, ...] = ()
    spill: tuple[SpillAtSite, ...] = ()
    coverage_permille: Permille = 0
    input_age_ms: Span = 0
    advice: tuple[Advice, ...] = ()
    unadmitted: tuple[str, ...] = ()


class AppSiteShare(Message, frozen=True, kw_only=True):
    """One site's part of an app's demand and replicas."""

    site_id: Id
    demand_milli: Natural
    desired: Natural
    ready: Natural
    served_elsewhere_permille: Permille = 0


class AppBudget(Message, frozen=True, kw_only=True):
    """Replicas an app may hold over all sites, and holds."""

    max: Natural = 0
    used: Natural = 0
    leased: Natural = 0


class AppInventory(PublicRow, frozen=True, kw_only=True):
    """One app over all sites and ingresses: one demand view over all entries."""

    app_id: Id
    demand_milli: Natural = 0
    sites: tuple[AppSiteShare, ...] = ()
    budget: AppBudget = AppBudget()
    fusion_gain_permille: Natural = 1000
    unmet_milli: Natural = 0
    hires: tuple[SpillAtSite, ...] = ()


class WitnessRow(Message, frozen=True, kw_only=True):
    """One kind of witness of a site, and how old its word is."""

    kind: str
    alive: bool
    age_ms: Span


class SiteHealth(Message, frozen=True, kw_only=True):
    """The health of one site, since when, by whom."""

    site_id: Id
    health: Health
    since_ms: Millis
    evidenced: bool = False
    witnesses: tuple[WitnessRow, ...] = ()


class BudgetRow(Message, frozen=True, kw_only=True):
    """One disruption budget: tokens per second in thousandths, what is used and leased."""

    name: str
    rate_milli_per_s: Natural
    used: Natural
    leased: Natural


class RegionInventory(PublicRow, frozen=True, kw_only=True):
    """Health of a region's sites, and its budgets."""

    region_id: Id
    sites: tuple[SiteHealth, ...] = ()
    budgets: tuple[BudgetRow, ...] = ()
    cut: bool = False


class Steering(PublicRow, frozen=True, kw_only=True):
    """Where the users of a zone find an app, best first: there before the first packet."""

    app_id: Id
    zone_id: Id
    sites: tuple[Share, ...]
    until_ms: Millis


class NodeInventory(PublicRow, frozen=True, kw_only=True):
    """One node as last heard of."""

    node_id: Id
    site_id: Id
    condition: str
    cpu_used_milli: Natural = 0
    cpu_allocatable_milli: Natural = 0
    mem_used_bytes: Natural = 0
    mem_allocatable_bytes: Natural = 0
    admitted: bool = True


class SessionHost(Message, frozen=True, kw_only=True):
    """One session of a terminal and the site that hosts it."""

    session_id: Id
    app_id: Id
    host: str
    state: str = ""


class TwinView(Message, frozen=True, kw_only=True):
    """Desired, reported and what differs."""

    desired: dict[str, Any] = msgspec.field(default_factory=dict)
    reported: dict[str, Any] = msgspec.field(default_factory=dict)
    delta: dict[str, Any] = msgspec.field(default_factory=dict)
    desired_version: Natural = 0
    reported_version: Natural = 0


class TerminalInventory(PublicRow, frozen=True, kw_only=True):
    """One terminal: place, sessions, twin."""

    terminal_id: Id
    zone: str = ""
    site: str = ""
    since_ms: Millis = 0
    sessions: tuple[SessionHost, ...] = ()
    twin: TwinView = TwinView()
