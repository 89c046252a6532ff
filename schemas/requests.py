"""What controllers say to each other: requests, replies, reports (CONTRACTS 3, last table).

Every request carries a `request_id` derived from its cause, the key and keyspace its reply goes to, and an expiry.
"""

from __future__ import annotations

from enum import StrEnum

from .apps import Resources
from .base import (
    Amount,
    Count,
    Id,
    IdOrNone,
    KeyspaceName,
    Message,
    Millis,
    Natural,
    Permille,
    Replicas,
    ResourceId,
    Span,
    Version,
)
from .commands import Share


class Purpose(StrEnum):
    """For what room is asked; only evacuation may use the headroom."""

    SPILL = "spill"
    MOVE = "move"
    EVACUATE = "evacuate"
    PLACE = "place"


class Request(Message, frozen=True, kw_only=True):
    """What every request has."""

    request_id: Id
    reply_key: Id
    reply_keyspace: KeyspaceName
    expires_at_ms: Millis


class Reply(Message, frozen=True, kw_only=True):
    """What every reply has: the request it answers, and how."""

    request_id: Id
    granted: bool
    reason: str = ""


class Reserve(Request, frozen=True, kw_only=True):
    """Hold room at a site: for `seats` sessions or `replicas` of an app; expires by itself after `for_ms`."""

    site_id: Id
    app_id: Id
    resource_id: ResourceId
    purpose: Purpose
    for_ms: Span
    seats: Count = 0
    replicas: Replicas = 0
    resources: Resources = Resources()


class Reserved(Reply, frozen=True, kw_only=True):
    """Granted until, or refused with the room there is."""

    site_id: Id
    until_ms: Millis = 0
    room: Resources = Resources()


class Commit(Request, frozen=True, kw_only=True):
    """Turn a reservation into used room; counts by its own append time."""

    site_id: Id
    reservation_id: Id
    resource_id: ResourceId


class Committed(Reply, frozen=True, kw_only=True):
    """Committed, or refused with reason `expired`."""

    site_id: Id


class ReleaseRoom(Message, frozen=True, kw_only=True):
    """Give room back, reserved or committed; needs no answer, may be said unheard and twice."""

    site_id: Id
    reservation_id: Id
    resource_id: ResourceId


class Overflow(Message, frozen=True, kw_only=True):
    """What an ingress's site cannot carry itself, in all (absolute; 0 ends it)."""

    site_id: Id
    app_id: Id
    missing_milli: Natural
    permille: Permille
    missing_replicas: Count = 0
    at_ms: Millis = 0


class PlaceReplicas(Request, frozen=True, kw_only=True):
    """Hold this many replicas for this app controller at the site, in all; the reservation becomes an order."""

    site_id: Id
    app_id: Id
    replicas: Replicas
    spec_version: Version = 0
    reservation_id: IdOrNone = ""
    scale: bool = False


class Placed(Reply, frozen=True, kw_only=True):
    """So many replicas answer at the site."""

    site_id: Id
    app_id: Id
    ready: Count = 0
    endpoints: tuple[str, ...] = ()


class Spill(Request, frozen=True, kw_only=True):
    """Shares of one app's traffic at an ingress that other sites take, all of them; ends at `until_ms`."""

    site_id: Id
    app_id: Id
    shares: tuple[Share, ...]
    until_ms: Millis


class Spilled(Reply, frozen=True, kw_only=True):
    """The ingress has applied the shares of this request."""

    site_id: Id
    app_id: Id
    generation: Natural = 0


class SiteReport(Message, frozen=True, kw_only=True):
    """What a site tells an app's controller about that app, at most once a second."""

    site_id: Id
    app_id: Id
    at_ms: Millis
    demand_milli: Natural
    desired: Count
    ready: Count
    own: Count = 0
    placed: Count = 0
    served_elsewhere_permille: Permille = 0
    coverage_permille: Permille = 1000
    age_ms: Span = 0
    capacity_milli: Natural = 0


class SiteBeat(Message, frozen=True, kw_only=True):
    """What a site tells its region's controller: it reports, so many of its nodes do."""

    site_id: Id
    region_id: Id
    at_ms: Millis
    nodes: Count
    reporting: Count
    interval_ms: Span = 5000
    lifecycle_dead: bool = False


class WitnessKind(StrEnum):
    """Who saw a site."""

    PEER = "peer"
    USER_PLANE = "user-plane"
    ACK = "ack"
    LIFECYCLE = "lifecycle"


class Witness(Message, frozen=True, kw_only=True):
    """Somebody saw, or failed to see, a site: folded to one per witness, site and 5 s."""

    site_id: Id
    region_id: Id
    kind: WitnessKind
    alive: bool
    at_ms: Millis
    by: str = ""
    count: Count = 1


class DrainSite(Message, frozen=True, kw_only=True):
    """Send no traffic to this site until then; reversible, renewed while the site is suspect (`until_ms` 0 ends it)."""

    site_id: Id
    until_ms: Millis
    evidence: tuple[str, ...] = ()
    at_ms: Millis = 0


class EvacuateSite(Message, frozen=True, kw_only=True):
    """A site is dead with evidence: a prompt to look for what it held; the permit is a lease."""

    site_id: Id
    at_ms: Millis
    evidence: tuple[str, ...] = ()


class Budget(StrEnum):
    """Which budget a lease draws from."""

    SESSIONS = "sessions"
    WORKLOADS = "workloads"


class AskLease(Request, frozen=True, kw_only=True):
    """A slice of a budget; with `site_id` the permit for a rescue, granted only while the region's row says dead."""

    region_id: Id
    budget: Budget
    amount: Count
    site_id: IdOrNone = ""
    target_site: IdOrNone = ""
    resource_id: str = ""


class Lease(Reply, frozen=True, kw_only=True):
    """So much may be done until then."""

    region_id: Id
    budget: Budget
    amount: Count = 0
    until_ms: Millis = 0
    site_id: IdOrNone = ""


class CheckpointReport(Message, frozen=True, kw_only=True):
    """An executor stored a copy of a resource's state where its site's death does not reach it."""

    resource_id: ResourceId
    app_id: Id
    site_id: Id
    ref: str
    sha256: str
    bytes: Amount
    version: Version
    at_ms: Millis
