"""One seeded schedule: chaos, then everything is mended and the world must come to rest.

Faults: crashes of executors (with and without their backlog), sites cut off or without power (with and without
evidence, sometimes without their disk), outages of the owner (it comes back from its rows), slow messages.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from schemas.inventory import Health
from schemas.location import LocationEvent, Movement, SessionEvent, SessionState
from schemas.requests import CheckpointReport
from schemas.statuses import CopyState
from tests.edge_control.move_checks import Broken, check, unrest
from tests.edge_control.move_sites import Copy
from tests.edge_control.move_world import SESSIONS, SITES, START_MS, Site, World

CHAOS_MS: Final = 90_000
REST_MS: Final = 300_000
TICK_MS: Final = 1_000
SUSPECT_MS: Final = 8_000
DEAD_MS: Final = 25_000
_FOREVER: Final = 1 << 50


class Simulation(World):
    """One seeded schedule of faults over the world, and users who walk and ask."""

    def run(self) -> None:
        """Begin, let chaos rule, mend everything, come to rest."""
        for number in range(SESSIONS):
            self._begin_session(f"t{number}", f"s{number}", SITES[number % len(SITES)])
        for at_ms in sorted(self.rng.randrange(CHAOS_MS) for _ in range(26)):
            self.at(at_ms, self._chaos)
        for lane, period, act in (("", TICK_MS, self._tick), ("", 700, self._live), ("", 1_000, self._watch)):
            self.at(period, self._every, period, act, lane=lane)
        self.at(CHAOS_MS, self._mend)
        touching = (self._apply, self._request, self._every, self._power, self._kill)
        while self.queue:
            self.now_ms, _, act, args = heapq.heappop(self.queue)
            if self.now_ms > START_MS + CHAOS_MS + REST_MS:
                raise Broken(f"no rest: {unrest(self)}")
            act(*args)
            if act in touching:
                check(self)
            if act == self._every and self.now_ms > START_MS + CHAOS_MS + 20_000 and not unrest(self):
                break

    def _every(self, period_ms: int, act: Callable[[], None]) -> None:
        act()
        self.at(period_ms, self._every, period_ms, act)

    # --- faults -------------------------------------------------------------------------------------------------

    def _chaos(self) -> None:
        site = self.sites[self.rng.choice(SITES)]
        what = self.rng.choices(("walk", "end", "owner", "crash", "cut", "kill"), weights=(24, 1, 4, 4, 4, 4))[0]
        if what == "walk":
            self._walk()
        elif what == "end":
            self._end()
        elif what == "owner":
            self._owner_away()
        elif site.reachable and site.executor.powered:
            {"crash": self._crash, "cut": self._cut, "kill": self._kill}[what](site)

    def _end(self) -> None:
        """A user says good-bye."""
        number = self.rng.randrange(SESSIONS)
        place = self.users.pop(f"s{number}", "")
        event = SessionEvent(
            terminal_id=f"t{number}",
            session_id=f"s{number}",
            app_id="app",
            state=SessionState.ENDED,
            observed_at_ms=self.now_ms,
            at_site=place,
        )
        self.at(self.delay(), self.tell, event, f"t{number}", lane="owner")

    def _walk(self) -> None:
        number = self.rng.randrange(SESSIONS)
        place = self.rng.choice(SITES)
        if f"s{number}" in self.users:
            self.users[f"s{number}"] = place
        event = LocationEvent(
            terminal_id=f"t{number}", event=Movement.ENTER, zone_id=f"z{place}", observed_at_ms=self.now_ms
        )
        self.at(self.delay(), self.tell, event, f"t{number}", lane="owner")

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
        self.sites[place].executor.copies[session] = Copy(CopyState.ACTIVE, 0, lease_until_ms=_FOREVER, settled=True)
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
