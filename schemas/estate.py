"""What is declared: regions, sites, zones, access points, links, nodes, tenants (CONTRACTS 3, Estate)."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from .base import Amount, Id, IdOrNone, Message, Natural


class Tier(StrEnum):
    """How far up a site stands, from the antenna to the cloud."""

    ACCESS = "access"
    CAMPUS = "campus"
    AGGREGATION = "aggregation"
    CORE = "core"
    CLOUD = "cloud"


class WorkloadClass(StrEnum):
    """In what a replica runs."""

    VM = "vm"
    CONTAINER = "container"
    SECURE_CONTAINER = "secure-container"
    DEVICE = "device"


class Region(Message, frozen=True, kw_only=True):
    """A failure domain and the scope of budgets."""

    id: Id
    parent: IdOrNone = ""
    name: str = ""


class Price(Message, frozen=True, kw_only=True):
    """Price of a resource's unit per hour, in thousandths of the estate's currency."""

    cpu: Amount = 0
    mem: Amount = 0
    gpu: Amount = 0
    net: Amount = 0


class Site(Message, frozen=True, kw_only=True):
    """One room of nodes: where it is, how its ingress and its state store are reached by its peers."""

    id: Id
    region: Id
    tier: Tier
    lat_e7: int
    lon_e7: int
    name: str = ""
    ingress_url: str = ""
    state_url: str = ""
    operator: str = ""
    price_milli: Price = Price()
    classes: tuple[WorkloadClass, ...] = (WorkloadClass.CONTAINER,)
    live: bool = False


class Zone(Message, frozen=True, kw_only=True):
    """An area of access points (MEC 013) and the site that serves it first."""

    id: Id
    site: Id


class AccessPoint(Message, frozen=True, kw_only=True):
    """One radio access point of a zone."""

    id: Id
    zone: Id
    connection_type: str = ""


class Link(Message, frozen=True, kw_only=True):
    """A path between two sites."""

    from_site: Id
    to_site: Id
    rtt_us: Amount = 0
    capacity_bps: Amount = 0
    paid: bool = False

    @property
    def id(self) -> str:
        """The link's name on the estate topic."""
        return f"{self.from_site}/{self.to_site}"


class Node(Message, frozen=True, kw_only=True, rename={"class_": "class"}):
    """One machine, declared or admitted."""

    id: Id
    site: Id
    class_: WorkloadClass = WorkloadClass.CONTAINER
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    admitted: bool = True


class Tenant(Message, frozen=True, kw_only=True):
    """Who pays, and how much they may hold: budget name -> limit."""

    id: Id
    budgets: dict[str, Natural] = msgspec.field(default_factory=dict)


EstateItem = Region | Site | Zone | AccessPoint | Link | Node | Tenant
