"""A whole system in virtual time: one owner, sites with ledgers and executors, a region, and messages between them.

Messages are never lost and keep their order per addressee; they wait while it cannot be reached.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from edge_control.controllers.events import Event, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Kind
from edge_control.controllers.terminal import TerminalController
from edge_control.controllers.terminal_orders import Act
from edge_control.inventory.view import Seen, View
from schemas import estate, inventory
from schemas.apps import AppKind, AppSpec, Cost, PerReplica, Reconcile
from schemas.commands import Command
from schemas.decisions import Decision
from schemas.inventory import Health
from schemas.policy import GovernorPolicy, MigrationPolicy, Policy
from schemas.requests import AskLease, Lease
from schemas.statuses import Hello
from tests.edge_control.move_sites import Executor, Ledger, Peers
from topics import catalogue as cat
from topics.catalogue import Keyspace

SITES: Final = ("a", "b", "c", "d")
SESSIONS: Final = 4
START_MS: Final = 1_000_000_000
POLICY: Final = MigrationPolicy(lease_ms=40_000, lease_renew_ms=12_000)
_FOREVER: Final = 1 << 50


class Site:
    """The truth about one site."""

    def __init__(self, name: str, rng: random.Random, leased: set[str]) -> None:
        self.name = name
        self.ledger = Ledger(name, seats=SESSIONS)
        self.executor = Executor(name, leased, rng.randint(-1_500, 1_500))
        self.cut = False
        self.silent_since_ms = -1
        self.evidenced = False
        self.peers_see_it = False
        self.health = Health.ALIVE
        self.backlog: list[Command] = []
        self.unsent: list[Any] = []

    @property
    def reachable(self) -> bool:
        """Whether its executor hears and speaks."""
        return self.executor.up and not self.cut


class World:
    """One owner and its sites at one seed; `kinds` and `release_on_order` put naive rules in the place of ours."""

    def __init__(self, seed: int, kinds: dict[str, Kind[Act]] | None = None, *, release_on_order: bool = False) -> None:
        self.rng = random.Random(seed)
        self.kinds = kinds
        self.release_on_order = release_on_order
        self.now_ms = START_MS
        self.offset = 0
        self.queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self.order = 0
        self.last_at: dict[str, int] = {}
        self.leased = {f"s{n}" for n in range(0, SESSIONS, 2)}
        self.sites = {name: Site(name, self.rng, self.leased) for name in SITES}
        self.peers = Peers()
        self.peers.executors = {name: site.executor for name, site in self.sites.items()}
        self.count = SESSIONS
        self.users: dict[str, str] = {}
        self.counters: dict[str, int] = {}
        self.excused: dict[str, int] = {}
        self.tally: Counter[str] = Counter()
        self.view = View()
        self.owner = self._new_owner()
        self.owner_up = True
        self.inbox: list[tuple[Any, str]] = []
        self._declare()

    def _new_owner(self) -> TerminalController:
        owner = TerminalController(0)
        if self.kinds is not None:
            owner.kinds = self.kinds
        return owner

    def _declare(self) -> None:
        app = AppSpec(
            app_id="app",
            tenant="t",
            kind=AppKind.SERVICE,
            version=1,
            per_replica=PerReplica(sessions=10),
            state_bytes=1,
            cost=Cost(move_m=0),
            empty_start_ok=True,
            reconcile=Reconcile.KEEP_ORIGINAL if self.rng.random() < 0.5 else Reconcile.KEEP_REPLACEMENT,
        )
        apps = {
            "app": app,
            "once": msgspec.structs.replace(app, app_id="once", exactly_once=True, reconcile=Reconcile.BEST_SCORE),
        }
        self.view.apps = {name: Seen(spec, START_MS) for name, spec in apps.items()}
        at_site = tuple(
            inventory.AppAtSite(app_id=name, desired=1, ordered=1, ready=1, demand_milli=0) for name in apps
        )
        governor = GovernorPolicy(breaker_permille=1000, unfixable_permille=1000, flap_per_hour=10_000)
        self.view.policies.put(Policy(id="p", version=1, migration=POLICY, governor=governor))
        for number, name in enumerate(SITES):
            body = estate.Site(id=name, region="r", tier=estate.Tier.ACCESS, lat_e7=number * 100_000, lon_e7=0)
            self.view.apply(cat.ESTATE, f"site/{name}", body, START_MS)
            self.view.apply(cat.ESTATE, f"zone/z{name}", estate.Zone(id=f"z{name}", site=name), START_MS)
            row = inventory.SiteInventory(generation=1, as_of_ms=START_MS, site_id=name, apps=at_site)
            self.view.site_rows[name] = Seen(row, _FOREVER)
        self._publish_health()

    # --- time ---------------------------------------------------------------------------------------------------

    def at(self, delay_ms: int, act: Callable[..., None], *args: Any, lane: str = "") -> None:
        """Let something happen later; what goes to one lane keeps its order."""
        when = self.now_ms + delay_ms
        if lane:
            when = self.last_at[lane] = max(when, self.last_at.get(lane, 0))
        self.order += 1
        heapq.heappush(self.queue, (when, self.order, act, args))

    def delay(self) -> int:
        """How long a message takes: mostly little, sometimes seconds."""
        return self.rng.choice((20, 50, 100, 300, 800, 2_500))

    # --- the owner ----------------------------------------------------------------------------------------------

    def tell(self, body: Any, key: str) -> None:
        """An input of the owner arrives; it waits while the owner is away."""
        self.inbox.append((body, key))
        if self.owner_up:
            self._drain()

    def _drain(self) -> None:
        while self.inbox:
            body, key = self.inbox.pop(0)
            self.offset += 1
            event = Event(body, key, "sim", 0, self.offset, f"sim/{self.offset}", self.now_ms, self.now_ms)
            self._send(self.owner.handle(event, self.view))

    def _tick(self) -> None:
        if self.owner_up:
            self._send(self.owner.handle(Tick(self.now_ms, 0), self.view))
            self.owner.validate()

    def _owner_away(self) -> None:
        if not self.owner_up:
            return
        self.owner_up = False
        self.at(self.rng.randint(500, 15_000), self._owner_back)

    def _owner_back(self) -> None:
        """Another worker takes over: from the rows, as the journal has them."""
        before, self.owner = self.owner, self._new_owner()
        for old, new in zip(before.tables, self.owner.tables, strict=True):
            for key in old:
                new.load(key, old.encoded(key))
        self.owner.rebuild()
        self.owner_up = True
        self._drain()

    def _send(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output.body, Decision) and output.body.outcome is not None:
                ended = "done" if output.body.text.endswith(": done") else "undone"
                self.tally[f"{output.body.text.split()[0]} {ended}"] += 1
            if isinstance(output.body, Command):
                lane = f"x/{output.key}"
                self.at(self.delay(), self._command, output.body, lane=lane)
                if self.release_on_order and output.body.procedure is None:
                    self._release_at_once(output.body)
            elif output.keyspace is Keyspace.SITE:
                self.at(self.delay(), self._request, output.key, output.body, lane=f"l/{output.key}")
            elif output.keyspace is Keyspace.REGION and isinstance(output.body, AskLease):
                self.at(self.delay(), self._ask_region, output.body, lane="region")

    def _release_at_once(self, body: Command) -> None:
        """The naive rule: an order to drop frees the room."""
        ledger = self.sites[body.target.site_id].ledger
        if getattr(body.params, "step", "") == "drop":
            ledger.rooms = {n: room for n, room in ledger.rooms.items() if room.session != body.resource.id}

    # --- sites --------------------------------------------------------------------------------------------------

    def _request(self, site: str, body: Any) -> None:
        reply = self.sites[site].ledger.hear(body, self.now_ms)
        if reply is not None:
            self.at(self.delay(), self.tell, reply, body.reply_key, lane="owner")

    def _ask_region(self, ask: AskLease) -> None:
        site = self.sites.get(ask.site_id)
        granted = (site is None or site.health is Health.DEAD) and self.rng.random() > 0.05
        reply = Lease(
            request_id=ask.request_id,
            granted=granted,
            region_id=ask.region_id,
            budget=ask.budget,
            amount=ask.amount if granted else 0,
            until_ms=self.now_ms + 10_000,
            site_id=ask.site_id,
        )
        self.at(self.delay(), self.tell, reply, ask.reply_key, lane="owner")

    def _command(self, body: Command) -> None:
        site = self.sites[body.target.site_id]
        if not site.reachable:
            site.backlog.append(body)
            return
        self.at(
            self.rng.choice((10, 50, 200, 1_000)), self._apply, site, body, site.executor.boot, lane=f"w/{site.name}"
        )

    def _apply(self, site: Site, body: Command, boot: int) -> None:
        if not site.executor.up or site.executor.boot != boot:
            return
        status = site.executor.hear(body, self.peers, self.now_ms)
        if self.rng.random() < 0.02:
            self._crash(site)
            return
        self._report(site, status, body.reply_key)

    def _report(self, site: Site, body: Any, key: str) -> None:
        if site.cut:
            site.unsent.append((body, key))
        else:
            self.at(self.delay(), self.tell, body, key, lane="owner")

    def _greet(self, site: Site) -> None:
        for number in range(SESSIONS):
            hello = Hello(
                executor_id=f"x-{site.name}",
                site_id=site.name,
                boot_id=str(site.executor.boot),
                at_ms=self.now_ms,
                owner_keyspace="terminal",
                observed=site.executor.observed(f"s{number}"),
            )
            self._report(site, hello, f"t{number}")

    def _crash(self, site: Site) -> None:
        site.executor.up = False
        self.at(self.rng.randint(200, 12_000), self._restart, site)

    def _restart(self, site: Site) -> None:
        if not site.executor.powered:
            return
        site.executor.up = True
        site.executor.boot += 1
        self._reconnect(site, lose_backlog=self.rng.random() < 0.3)

    def _reconnect(self, site: Site, *, lose_backlog: bool) -> None:
        if not site.reachable:
            return
        unsent, site.unsent = site.unsent, []
        for body, key in unsent:
            self._report(site, body, key)
        self._greet(site)
        backlog, site.backlog = site.backlog, []
        for body in [] if lose_backlog else backlog:
            self._command(body)

    def _publish_health(self) -> None:
        rows = tuple(
            inventory.SiteHealth(site_id=s.name, health=s.health, since_ms=self.now_ms, evidenced=s.evidenced)
            for s in self.sites.values()
        )
        row = inventory.RegionInventory(generation=1, as_of_ms=self.now_ms, region_id="r", sites=rows)
        self.view.apply(cat.INVENTORY, "r", row, self.now_ms)
