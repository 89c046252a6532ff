"""A whole system in virtual time: one owner, sites, executors, a region, walking users, and everything that can go wrong.

Messages are never lost and keep their order per addressee; they wait while it cannot be reached. Faults: crashes of
executors (with and without their backlog), sites cut off or without power (with and without evidence), outages of the
owner (it comes back from its rows) and of ledgers. Then all is mended, and the world must come to rest.
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
from schemas.apps import AppKind, AppSpec, Cost, PerReplica
from schemas.commands import Command
from schemas.decisions import Decision
from schemas.inventory import Health
from schemas.location import LocationEvent, Movement, SessionEvent, SessionState
from schemas.policy import GovernorPolicy, MigrationPolicy, Policy
from schemas.requests import AskLease, CheckpointReport, Lease
from schemas.statuses import CopyState, Hello
from tests.edge_control.move_checks import Broken, check, unrest
from tests.edge_control.move_sites import Copy, Executor, Ledger, Peers
from topics import catalogue as cat
from topics.catalogue import Keyspace

SITES: Final = ("a", "b", "c", "d")
SESSIONS: Final = 4
CHAOS_MS: Final = 90_000
REST_MS: Final = 300_000
TICK_MS: Final = 1_000
START_MS: Final = 1_000_000_000
SUSPECT_MS: Final = 8_000
DEAD_MS: Final = 25_000
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


class Simulation:
    """One seeded schedule; `kinds` and `release_on_order` put naive rules in the place of ours."""

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
        self.users: dict[str, str] = {}
        self.counters: dict[str, int] = {}
        self.excused: dict[str, int] = {}
        self.touching = (self._apply, self._request, self._every, self._power, self._kill)
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
        )
        apps = {"app": app, "once": msgspec.structs.replace(app, app_id="once", exactly_once=True)}
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

    def run(self) -> None:
        """Begin, let chaos rule, mend everything, come to rest."""
        for number in range(SESSIONS):
            self._begin_session(f"t{number}", f"s{number}", SITES[number % len(SITES)])
        for at_ms in sorted(self.rng.randrange(CHAOS_MS) for _ in range(26)):
            self.at(at_ms, self._chaos)
        for lane, period, act in (("", TICK_MS, self._tick), ("", 700, self._live), ("", 1_000, self._watch)):
            self.at(period, self._every, period, act, lane=lane)
        self.at(CHAOS_MS, self._mend)
        while self.queue:
            self.now_ms, _, act, args = heapq.heappop(self.queue)
            if self.now_ms > START_MS + CHAOS_MS + REST_MS:
                raise Broken(f"no rest: {unrest(self)}")
            act(*args)
            if act in self.touching:
                check(self)
            if act == self._every and self.now_ms > START_MS + CHAOS_MS + 20_000 and not unrest(self):
                break

    def _every(self, period_ms: int, act: Callable[[], None]) -> None:
        act()
        self.at(period_ms, self._every, period_ms, act)

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

    # --- faults -------------------------------------------------------------------------------------------------

    def _chaos(self) -> None:
        site = self.sites[self.rng.choice(SITES)]
        what = self.rng.choices(("walk", "owner", "crash", "cut", "kill"), weights=(12, 2, 2, 2, 2))[0]
        if what == "walk":
            self._walk()
        elif what == "owner":
            self._owner_away()
        elif site.reachable and site.executor.powered:
            {"crash": self._crash, "cut": self._cut, "kill": self._kill}[what](site)

    def _walk(self) -> None:
        number = self.rng.randrange(SESSIONS)
        self.users[f"s{number}"] = place = self.rng.choice(SITES)
        event = LocationEvent(
            terminal_id=f"t{number}", event=Movement.ENTER, zone_id=f"z{place}", observed_at_ms=self.now_ms
        )
        self.at(self.delay(), self.tell, event, f"t{number}", lane="owner")

    def _crash(self, site: Site) -> None:
        site.executor.up = False
        self.at(self.rng.randint(200, 12_000), self._restart, site)

    def _restart(self, site: Site) -> None:
        if not site.executor.powered:
            return
        site.executor.up = True
        site.executor.boot += 1
        self._reconnect(site, lose_backlog=self.rng.random() < 0.3)

    def _cut(self, site: Site) -> None:
        site.cut, site.peers_see_it = True, self.rng.random() < 0.4
        self.peers.unreachable[site.name] = None
        self.at(self.rng.randint(1_000, 60_000), self._heal, site)

    def _heal(self, site: Site) -> None:
        if site.cut:
            site.cut = False
            self.peers.unreachable.pop(site.name, None)
            self._reconnect(site, lose_backlog=False)

    def _kill(self, site: Site) -> None:
        site.evidenced = self.rng.random() < 0.5
        site.executor.lose_power(self.rng)
        self.at(self.rng.randint(5_000, 60_000), self._power, site)

    def _power(self, site: Site) -> None:
        if not site.executor.powered:
            site.executor.powered, site.evidenced = True, False
            self._restart(site)

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

    def _mend(self) -> None:
        for site in self.sites.values():
            self._power(site)
            self._heal(site)
            if not site.executor.up:
                self._restart(site)
        if not self.owner_up:
            self._owner_back()

    # --- what goes on by itself ---------------------------------------------------------------------------------

    def _begin_session(self, terminal: str, session: str, place: str) -> None:
        self.users[session] = place
        self.counters[session] = self.excused[session] = 0
        lease = self.now_ms + POLICY.first_lease_ms
        self.sites[place].executor.copies[session] = Copy(CopyState.ACTIVE, 0, lease_until_ms=lease, settled=True)
        self.peers.began[session] = place
        app = "once" if session in self.leased else "app"
        place_event = LocationEvent(
            terminal_id=terminal, event=Movement.ENTER, zone_id=f"z{place}", observed_at_ms=self.now_ms
        )
        self.tell(place_event, terminal)
        begun = SessionEvent(
            terminal_id=terminal,
            session_id=session,
            app_id=app,
            state=SessionState.STARTED,
            observed_at_ms=self.now_ms,
            at_site=place,
        )
        self.tell(begun, terminal)

    def _live(self) -> None:
        """Every user asks once; prepared copies age; sometimes a checkpoint is written to a neighbour."""
        for site in self.sites.values():
            site.executor.forget_prepared(self.now_ms)
        for session, place in self.users.items():
            copy = self._served_by(session, place)
            if copy is None:
                continue
            copy.version += 1
            self._count(session, copy.version)
            if self.rng.random() < 0.2:
                self._checkpoint(session, copy.version)

    def _served_by(self, session: str, place: str) -> Copy | None:
        """The user's ingress follows its rule, else serves by itself; a request that finds nothing waits."""
        ingress = self.sites[place]
        if not ingress.executor.powered:
            return None
        host, until_ms = ingress.executor.rules.get(session, (place, 0))
        if until_ms < self.now_ms:
            host = place
        if host != place and (ingress.cut or self.sites[host].cut):
            return None
        copy = self.sites[host].executor.active(session, self.now_ms)
        return copy if copy is not None and (copy.settled or until_ms >= self.now_ms) else None

    def _count(self, session: str, number: int) -> None:
        """Without a gap or a repeat, unless a copy died since and an older state took over."""
        wounds = self.peers.wounds.get(session, 0)
        forked = wounds > 0 and session not in self.leased
        if number != self.counters[session] + 1 and self.excused[session] == wounds and not forked:
            raise Broken(f"{session} counts {number} after {self.counters[session]}")
        self.counters[session], self.excused[session] = number, wounds

    def _checkpoint(self, session: str, version: int) -> None:
        report = CheckpointReport(
            resource_id=session,
            app_id="app",
            site_id="store",
            ref=f"store/{session}/{version}",
            sha256="00",
            bytes=1,
            version=version,
            at_ms=self.now_ms,
        )
        self.at(self.delay(), self.tell, report, f"t{session[1:]}", lane="owner")

    def _watch(self) -> None:
        """The region: silence, peers, evidence, each second."""
        changed = False
        for site in self.sites.values():
            silent = site.cut or not site.executor.powered
            site.silent_since_ms = (
                (site.silent_since_ms if site.silent_since_ms >= 0 else self.now_ms) if silent else -1
            )
            health = self._judge_health(site)
            changed, site.health = changed or health is not site.health, health
        if changed:
            self.at(self.delay(), self._publish_health, lane="view")

    def _judge_health(self, site: Site) -> Health:
        if site.silent_since_ms < 0:
            return Health.ALIVE
        silent_ms = self.now_ms - site.silent_since_ms
        if site.evidenced:
            return Health.DEAD
        if site.cut and site.peers_see_it:
            return Health.CUT_OFF if silent_ms >= SUSPECT_MS else site.health
        if silent_ms >= DEAD_MS:
            return Health.DEAD
        return Health.SUSPECT if silent_ms >= SUSPECT_MS else site.health

    def _publish_health(self) -> None:
        rows = tuple(
            inventory.SiteHealth(site_id=s.name, health=s.health, since_ms=self.now_ms, evidenced=s.evidenced)
            for s in self.sites.values()
        )
        row = inventory.RegionInventory(generation=1, as_of_ms=self.now_ms, region_id="r", sites=rows)
        self.view.apply(cat.INVENTORY, "r", row, self.now_ms)
