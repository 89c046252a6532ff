"""The whole estate of a scenario: what its file declares, where its live sites answer, and an emulated world around."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from edge_emitters.atlas import estate as synthetic_estate
from edge_emitters.synthetic import SyntheticApp, World, WorldPlan
from edge_executors.state_client import PeerSite
from edgeweir.dev.scenario import Emulated, Scenario
from schemas.documents import Document
from schemas.estate import AccessPoint, Node, Site, Zone


def world_of(emulated: Emulated) -> World:
    """The synthetic world of a play."""
    apps = tuple(
        SyntheticApp(app_id=app.app_id, requests_per_s=app.requests_per_s, sites_permille=app.sites_permille)
        for app in emulated.apps
    )
    return World(
        WorldPlan(
            seed=emulated.seed,
            sites=emulated.sites,
            nodes=emulated.nodes,
            interval_ms=emulated.interval_ms,
            apps=apps,
        )
    )


def documents(scenario: Scenario, doors: dict[str, PeerSite]) -> list[Document]:
    """Everything to be declared, what is referred to first; what the file declares wins over the emulated world."""
    declared = {(d.kind, d.key): _with_doors(d, doors) for d in scenario.documents}
    around = {(d.kind, d.key): d for d in _emulated(scenario)}
    return list((around | declared).values())


def regions(scenario: Scenario) -> dict[str, str]:
    """The region of every emulated site, those of the file that are not live included."""
    world = world_of(scenario.play.emulated)
    named = {s.site_id: s.place.region for s in world.sites}
    return named | {s.id: s.region for d in scenario.documents if isinstance(s := d.body, Site) and not s.live}


def zones(scenario: Scenario) -> dict[str, str]:
    """The home site of every zone that the file declares."""
    return {d.body.id: d.body.site for d in scenario.documents if isinstance(d.body, Zone)}


def _emulated(scenario: Scenario) -> Iterator[Document]:
    """Nobody walks among the emulated sites: their zones and access points are left out."""
    for document in synthetic_estate(world_of(scenario.play.emulated)):
        if not isinstance(document.body, Zone | AccessPoint | Node):
            yield document


def _with_doors(document: Document, doors: dict[str, PeerSite]) -> Document:
    body = document.body
    if not isinstance(body, Site) or body.id not in doors:
        return document
    door = doors[body.id]
    sited = msgspec.structs.replace(body, ingress_url=door.ingress_url, state_url=door.state_url)
    return Document(document.kind, document.key, sited)
