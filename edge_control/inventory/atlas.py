"""Which sites lie near which, what specs allow there and what runs there: worked out once and kept while it holds.

Nothing here is state: it is what the view says, so it may be lost at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from edge_control.inventory.geography import distance_m, rtt_us
from edge_control.inventory.view import Seen, View
from schemas import estate
from schemas.apps import AppSpec


class Place(msgspec.Struct, frozen=True, gc=False):
    """A site as seen from another: metres and microseconds there and back."""

    site_id: str
    distance_m: int
    rtt_us: int


class Atlas:
    """What was worked out of one view."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._view: View | None = None
        self._revision = -1
        self._near: dict[tuple[str, str], tuple[Place, ...]] = {}
        self._allowed: dict[tuple[str, str], tuple[Seen[Any], AppSpec, str]] = {}
        self._ready: dict[str, tuple[Seen[Any], dict[str, None]]] = {}

    def near(self, view: View, site_id: str, other_site: str) -> tuple[Place, ...]:
        """The sites of the regions of two sites, the nearest to the first one first."""
        revision = view.revision_of("sites", "links")
        if view is not self._view or revision != self._revision:
            self._view, self._revision, self._near = view, revision, {}
        regions = (view.region_of(site_id), view.region_of(other_site))
        key = (site_id, regions[1])
        found = self._near.get(key)
        if found is None:
            found = self._near[key] = _ranked(view, site_id, regions)
        return found

    def refusal(self, view: View, site_id: str, spec: AppSpec, judge: Callable[[estate.Site, AppSpec], str]) -> str:
        """Why a spec forbids a declared site, by this judge; empty when it does not."""
        seen, key = view.sites[site_id], (site_id, spec.app_id)
        known = self._allowed.get(key)
        if known is None or known[0] is not seen or known[1] is not spec:
            known = self._allowed[key] = (seen, spec, judge(seen.body, spec))
        return known[2]

    def is_ready(self, view: View, site_id: str, app_id: str) -> bool:
        """Whether the site's row shows a ready replica of the app."""
        seen = view.site_rows.get(site_id)
        if seen is None:
            return False
        known = self._ready.get(site_id)
        if known is None or known[0] is not seen:
            ready = dict.fromkeys(app.app_id for app in seen.body.apps if app.ready > 0)
            known = self._ready[site_id] = (seen, ready)
        return app_id in known[1]


def _ranked(view: View, site_id: str, regions: tuple[str, ...]) -> tuple[Place, ...]:
    names = {name: None for region in regions for name in view.sites_of_region.get(region, {})}
    ranked = sorted((distance_m(view, site_id, name), name) for name in names)
    return tuple(Place(name, metres, rtt_us(view, site_id, name)) for metres, name in ranked)
