"""What a controller may know about the rest: estate, apps, policies, pauses and the published rows of all sites.

The view is advice and read-only for controllers; the reservation is the truth.
The engine advances it between frames only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from edge_control.inventory.policybook import PolicyBook
from schemas import apps, estate, inventory, policy
from schemas.base import Message
from topics import catalogue as cat
from topics.catalogue import Topic

T = TypeVar("T")


class Seen(msgspec.Struct, Generic[T], frozen=True):
    """A row and the broker's time at which it was written."""

    body: T
    learned_at_ms: int

    def age_ms(self, now_ms: int) -> int:
        """How old what we know is."""
        return max(0, now_ms - self.learned_at_ms)


class View:
    """All views of one worker. Missing keys are simply absent; nothing here is ever guessed.

    `revision` grows with every record taken, `revisions` with those of one collection, named as its attribute (also
    `policies`; `health` changes only with `region_rows` and `sites`): what was worked out at a revision still holds
    while it is the same. They tell no two workers the same, so they belong in caches and never in a row.
    """

    def __init__(self) -> None:
        """Knows nothing yet."""
        self.regions: dict[str, Seen[estate.Region]] = {}
        self.sites: dict[str, Seen[estate.Site]] = {}
        self.zones: dict[str, Seen[estate.Zone]] = {}
        self.aps: dict[str, Seen[estate.AccessPoint]] = {}
        self.links: dict[str, Seen[estate.Link]] = {}
        self.nodes: dict[str, Seen[estate.Node]] = {}
        self.tenants: dict[str, Seen[estate.Tenant]] = {}
        self.apps: dict[str, Seen[apps.AppSpec]] = {}
        self.models: dict[str, Seen[policy.MobilityModel]] = {}
        self.pauses: dict[str, Seen[policy.Pause]] = {}
        self.approvals: dict[str, Seen[policy.Approval]] = {}
        self.site_rows: dict[str, Seen[inventory.SiteInventory]] = {}
        self.app_rows: dict[str, Seen[inventory.AppInventory]] = {}
        self.region_rows: dict[str, Seen[inventory.RegionInventory]] = {}
        self.health: dict[str, inventory.SiteHealth] = {}
        self.policies = PolicyBook()
        self.sites_of_region: dict[str, dict[str, None]] = {}
        self.revision = 0
        self.revisions: dict[str, int] = {}

    def apply(self, topic: Topic, key: str, body: Message | None, learned_at_ms: int) -> None:
        """Take one record of a view topic; None removes what the key named."""
        self.revision += 1
        if body is None:
            self._remove(topic, key)
            return
        place = _PLACES.get(type(body))
        if place is not None:
            rows, name = place
            getattr(self, rows)[name(key, body)] = Seen(body, learned_at_ms)
            self._note(rows)
        self._index(body)

    def revision_of(self, *collections: str) -> int:
        """How often any of these collections changed."""
        return sum(self.revisions.get(name, 0) for name in collections)

    def site_of_zone(self, zone_id: str) -> str:
        """The site that serves a zone first; empty when unknown."""
        zone = self.zones.get(zone_id)
        return zone.body.site if zone else ""

    def health_of(self, site_id: str) -> inventory.Health:
        """The region controller's word on a site; unknown when it has not spoken."""
        row = self.health.get(site_id)
        return row.health if row else inventory.Health.UNKNOWN

    def region_of(self, site_id: str) -> str:
        """The region of a site; empty when unknown."""
        site = self.sites.get(site_id)
        return site.body.region if site else ""

    def _index(self, body: Message) -> None:
        match body:
            case estate.Site():
                self._take_out(body.id)
                self.sites_of_region.setdefault(body.region, {})[body.id] = None
                self._hear(body.region, body.id)
            case inventory.RegionInventory():
                for row in body.sites:
                    if self.region_of(row.site_id) in ("", body.region_id):
                        self.health[row.site_id] = row
            case policy.Policy():
                self.policies.put(body)
                self._note("policies")
            case _:
                pass

    def _hear(self, region_id: str, site_id: str) -> None:
        """Take the word of the site's own region, whichever was read first; a former region's word counts no more."""
        self.health.pop(site_id, None)
        region = self.region_rows.get(region_id)
        self.health.update({row.site_id: row for row in region.body.sites if row.site_id == site_id} if region else {})

    def _remove(self, topic: Topic, key: str) -> None:
        if topic is cat.APP:
            self.apps.pop(key, None)
            self._note("apps")
            return
        kind, _, name = key.partition("/")
        if kind == "policy":
            self.policies.remove(name)
            self._note("policies")
        rows = _REMOVABLE.get(kind)
        if rows is not None and name:
            getattr(self, rows).pop(name, None)
            self._note(rows)
        if kind == "site":
            self._take_out(name)

    def _note(self, collection: str) -> None:
        self.revisions[collection] = self.revisions.get(collection, 0) + 1

    def _take_out(self, site_id: str) -> None:
        """It is a member of no region: gone, or about to be one of another."""
        for members in self.sites_of_region.values():
            members.pop(site_id, None)


def _by_id(_key: str, body: Any) -> str:
    return str(body.id)


def _by_key_tail(key: str, _body: Any) -> str:
    return key.partition("/")[2]


_PLACES: dict[type[Message], tuple[str, Callable[[str, Any], str]]] = {
    estate.Region: ("regions", _by_id),
    estate.Site: ("sites", _by_id),
    estate.Zone: ("zones", _by_id),
    estate.AccessPoint: ("aps", _by_id),
    estate.Link: ("links", _by_id),
    estate.Node: ("nodes", _by_id),
    estate.Tenant: ("tenants", _by_id),
    apps.AppSpec: ("apps", lambda _key, body: str(body.app_id)),
    policy.MobilityModel: ("models", _by_id),
    policy.Pause: ("pauses", _by_key_tail),
    policy.Approval: ("approvals", _by_key_tail),
    inventory.SiteInventory: ("site_rows", lambda _key, body: str(body.site_id)),
    inventory.AppInventory: ("app_rows", lambda _key, body: str(body.app_id)),
    inventory.RegionInventory: ("region_rows", lambda _key, body: str(body.region_id)),
}
_REMOVABLE = {
    "region": "regions",
    "site": "sites",
    "zone": "zones",
    "ap": "aps",
    "link": "links",
    "node": "nodes",
    "tenant": "tenants",
    "model": "models",
    "pause": "pauses",
    "approval": "approvals",
}
