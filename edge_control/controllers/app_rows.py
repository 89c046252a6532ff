"""The private rows of the app controller: apps, their demand and overflow per ingress, drains, steering."""

from __future__ import annotations

import msgspec

from edge_control.controllers.procedures import Procedure
from edge_control.inventory.tables import Row
from schemas.apps import AppSpec
from schemas.base import Message
from schemas.commands import Share
from schemas.decisions import Reason


class Bucket(Message, frozen=True, kw_only=True):
    """The highest demand of one span of time, which began at `start_ms`."""

    start_ms: int
    peak_milli: int


class SpecRow(Row):
    """The newest spec of an app; `seen` once the view had it too; `gone` when it is no longer there: all of it ends."""

    app_id: str
    spec: AppSpec
    seen: bool = False
    gone: bool = False


class AppRow(Row):
    """What changes often about an app: its public row, its pooled demand, how it was steered last.

    `changed` and `urgent` say whether the public row is behind, `drift_milli` by how much demand. `lots` counts
    placements, `refused` are sites that said no to one, and until when they are left alone.
    """

    app_id: str
    generation: int = 0
    published_at_ms: int = 0
    changed: bool = False
    urgent: bool = False
    drift_milli: int = 0
    pooled: tuple[Bucket, ...] = ()
    signature: int = -1
    steered_at_ms: int = 0
    placed_at_ms: int = 0
    lots: int = 0
    refused: dict[str, int] = msgspec.field(default_factory=dict)


class DemandRow(Row):
    """What a site last said about an app, and its peaks over the window."""

    app_id: str
    site_id: str
    at_ms: int = 0
    demand_milli: int = 0
    desired: int = 0
    ready: int = 0
    own: int = 0
    placed: int = 0
    served_elsewhere_permille: int = 0
    peaks: tuple[Bucket, ...] = ()


class IngressRow(Row):
    """The overflow of an ingress as its site said it last, and what of its traffic other sites were told to take.

    `missing` is in replicas; `permille` is the last share above zero, so that a relief does not move traffic before
    it is believed; `less_since_ms` is since when fewer hires would do (0: they would not). `refused` are hosts that
    said no, and until when they are left alone. `shares` are the last ones sent, with their request, times and end;
    `spilled` once the ingress has applied them. `held_until_ms` is the latest end of any rule for a host that may
    still be in force.
    """

    app_id: str
    site_id: str
    at_ms: int = 0
    missing_milli: int = 0
    missing: int = 0
    permille: int = 0
    less_since_ms: int = 0
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    lots: int = 0
    shares: tuple[Share, ...] = ()
    request_id: str = ""
    sent_at_ms: int = 0
    changed_at_ms: int = 0
    until_ms: int = 0
    spilled: bool = True
    held_until_ms: dict[str, int] = msgspec.field(default_factory=dict)


class HireRow(Procedure, kw_only=True):
    """Replicas that this app holds at a site: hired for the overflow of an ingress, or placed (no ingress).

    It never changes size. `reservation_id` is the id of the request that asked for the room. `retiring`: the spec no
    longer allows the host, so another one is to take over. `decision_id` is what opened it; `judged` once its outcome
    is in the ledger.
    """

    app_id: str
    host: str
    lot: int
    replicas: int
    opened_at_ms: int
    ingress: str = ""
    reservation_id: str = ""
    decision_id: str = ""
    held_at_ms: int = 0
    retiring: bool = False
    judged: bool = False

    @property
    def key(self) -> str:
        """Its name in the table of hires."""
        return f"{self.app_id}|{self.ingress}|{self.host}|{self.lot}"


class DrainRow(Row):
    """A site whose region asks for no traffic to it until then."""

    app_id: str
    site_id: str
    until_ms: int
    at_ms: int


class SteeringRow(Row):
    """Where the users of a zone are sent, as published."""

    app_id: str
    zone_id: str
    shares: tuple[Share, ...]
    until_ms: int
    generation: int
    as_of_ms: int


class HoldRow(Row):
    """Why nothing was done for a resource, when that was last said, and in how many decisions so far."""

    reason: Reason
    said_at_ms: int


def at(app_id: str, site_id: str) -> str:
    """The name of an app's replicas, ingress or demand at a site."""
    return f"{app_id}@{site_id}"
