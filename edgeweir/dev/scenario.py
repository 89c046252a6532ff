"""A scenario as data: its world (documents), its play (crowd, walkers, acts) and what must come of it.

Both are TOML files beside this module; a play that contradicts its world is refused with every fault named.
"""

from __future__ import annotations

from importlib import resources
from typing import Final, Literal

import msgspec

from schemas import estate
from schemas.documents import Document, read_documents
from schemas.errors import BadInput, Fault

_FOLDER: Final = "scenarios"


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a play; a misspelt field is a fault."""


class EmulatedApp(Part, frozen=True, kw_only=True):
    """An app with emulated users: requests per second at a busy site, share of the sites that have it."""

    app_id: str
    requests_per_s: int
    sites_permille: int


class Emulated(Part, frozen=True, kw_only=True):
    """The emulated sites: how many, their nodes in all, how often they report, what their users ask for."""

    sites: int
    nodes: int
    interval_ms: int
    seed: int
    apps: tuple[EmulatedApp, ...] = ()


class LiveSite(Part, frozen=True, kw_only=True):
    """One live site: so many nodes, each with this much of virtual capacity."""

    site: str
    nodes: int
    cpu_milli: int
    mem_mib: int

    @property
    def node_ids(self) -> tuple[str, ...]:
        """Names of its nodes."""
        return tuple(f"{self.site}-n{number}" for number in range(1, self.nodes + 1))


class Knot(Part, frozen=True, kw_only=True):
    """Requests per second by zone at one moment."""

    at_s: float
    rates: dict[str, float]


class Crowd(Part, frozen=True, kw_only=True):
    """Who asks for the stateless app; one request takes `work_ms` at its replica."""

    app: str
    work_ms: int
    knots: tuple[Knot, ...]


class Leg(Part, frozen=True, kw_only=True):
    """From `at_s` on the walkers enter a zone, one after the other over `over_s`."""

    at_s: float
    zone: str
    over_s: float


class Walkers(Part, frozen=True, kw_only=True):
    """Terminals with one session each: where they walk, how often they ask, when they go home."""

    app: str
    count: int
    every_ms: int
    start_s: float
    home_s: float
    handover_ms: int
    path: tuple[Leg, ...]


class Act(Part, frozen=True, kw_only=True):
    """What is done to the world at a moment."""

    at_s: float
    do: Literal["kill-node", "kill-site", "evidence", "cut", "heal"]
    site: str
    node: str = ""


class Expected(Part, frozen=True, kw_only=True):
    """One thing that must be decided, carried out and seen to work; seconds count from the kick-off.

    `kind` chooses how it is judged (expect_kinds.py); `resource` and `site` say about what.
    """

    id: str
    say: str
    kind: Literal["first", "scale", "spill", "moves", "rescue", "health", "quiet", "hello", "served", "once"]
    from_s: float = 0
    made_by_s: float
    done_by_s: float
    resource: str = ""
    site: str = ""
    to: str = ""
    verdict: str = ""
    reason: str = ""
    at_least: int = 1
    at_most: int = 0


class Play(Part, frozen=True, kw_only=True):
    """All that happens; `whistle_s` is when it is over."""

    title: str
    whistle_s: float
    emulated: Emulated
    live: tuple[LiveSite, ...]
    crowd: Crowd
    walkers: Walkers
    acts: tuple[Act, ...]
    expect: tuple[Expected, ...] = ()


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A play and the world in which it is played."""

    name: str
    documents: tuple[Document, ...]
    play: Play

    def of(self, kind: str) -> dict[str, Document]:
        """The documents of one kind, by key."""
        return {document.key: document for document in self.documents if document.kind == kind}


def names() -> list[str]:
    """The scenarios there are."""
    files = (resources.files("edgeweir.dev") / _FOLDER).iterdir()
    return sorted(f.name.removesuffix(".play.toml") for f in files if f.name.endswith(".play.toml"))


def load(name: str) -> Scenario:
    """The scenario of that name; BadInput for one that does not exist or contradicts itself."""
    if name not in names():
        raise BadInput(Fault.DOCUMENT, f"there is no scenario {name}; there are {', '.join(names())}")
    play = _play(_text(f"{name}.play.toml"), f"{name}.play.toml")
    documents = read_documents(_text(f"{name}.toml"), f"{name}.toml")
    if faults := _contradictions(play, documents):
        raise BadInput(Fault.DOCUMENT, "\n  ".join([f"{name}.play.toml: {len(faults)} wrong:", *faults]))
    return Scenario(name=name, documents=tuple(documents), play=play)


def _text(file: str) -> str:
    return (resources.files("edgeweir.dev") / _FOLDER / file).read_text("utf-8")


def _play(text: str, name: str) -> Play:
    try:
        return msgspec.toml.decode(text, type=Play)
    except msgspec.MsgspecError as error:
        raise BadInput(Fault.DOCUMENT, f"{name}: {error}") from None


def _contradictions(play: Play, documents: list[Document]) -> list[str]:
    keys = {document.key for document in documents}
    live = {d.body.id for d in documents if isinstance(d.body, estate.Site) and d.body.live}
    played = {site.site for site in play.live}
    zones = [zone for knot in play.crowd.knots for zone in knot.rates] + [leg.zone for leg in play.walkers.path]
    faults = [f"live site {name} is played, but not declared live" for name in sorted(played - live)]
    faults += [f"site {name} is declared live, but not played" for name in sorted(live - played)]
    faults += [f"zone {zone} does not exist" for zone in dict.fromkeys(zones) if f"zone/{zone}" not in keys]
    apps = (play.crowd.app, play.walkers.app, *(app.app_id for app in play.emulated.apps))
    faults += [f"app {app} does not exist" for app in apps if app not in keys]
    faults += [f"act {act.do} names {act.site}, which is not live" for act in play.acts if act.site not in played]
    return faults
