"""The region controller: health of sites by witnesses, drain and evacuation prompts, leases of disruption budgets.

Silence permits nothing destructive: the only permit is a lease given from this controller's own row at that moment.
"""

from __future__ import annotations

from typing import Any, ClassVar

from edge_control.controllers import outputs as out
from edge_control.controllers.base import Controller
from edge_control.controllers.events import Event, Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.region_budget import answer_lease
from edge_control.controllers.region_health import announce, published
from edge_control.controllers.region_rows import LeaseRow, RegionRow, SiteRow, Word
from edge_control.inventory.deadlines import Deadlines
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from edge_control.policies.failover import Assessment, DomainSigns, SiteSigns, assess, domain_is_cut
from schemas.decisions import Reason
from schemas.inventory import Health
from schemas.policy import FailoverPolicy, Scope
from schemas.requests import AskLease, SiteBeat, Witness, WitnessKind
from topics.catalogue import Keyspace

_WATCH_EVERY_MS = 1_000
_QUIET = DomainSigns(sites=0, silent=0)
"""Word of a site that speaks, in a region that is not cut: the other sites need not be looked at."""


class RegionController(Controller):
    """All sites and budgets of the regions of one partition."""

    keyspace: ClassVar[Keyspace] = Keyspace.REGION

    def __init__(self, partition: int) -> None:
        """Knows no site yet."""
        super().__init__(partition)
        self.sites: Table[SiteRow] = Table("sites", SiteRow)
        self.regions: Table[RegionRow] = Table("regions", RegionRow)
        self.leases: Table[LeaseRow] = Table("leases", LeaseRow)
        self._due = Deadlines()
        self._lease_ends = Deadlines()
        self._members: dict[str, dict[str, None]] = {}
        self._watched: dict[str, None] = {}

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Health rows, regions, leases."""
        return self.sites, self.regions, self.leases

    def handle(self, event: Input, view: View) -> list[Output]:
        """Fold a beat, a witness's word, a wish for a lease, or a tick."""
        if isinstance(event, Tick):
            return self._tick(event, view)
        match event.body:
            case SiteBeat() as beat:
                return self._beat(event, beat, view)
            case Witness() as witness:
                return self._witness(event, witness, view)
            case AskLease() as ask:
                return self._lease(event, ask, view)
            case _:
                return []

    def rebuild(self) -> None:
        """Index the sites by region, watch the sick ones, await the silence of the others."""
        self._due, self._lease_ends = Deadlines(), Deadlines()
        self._members, self._watched = {}, {}
        for site_id, site in self.sites.items():
            self._members.setdefault(site.region_id, {})[site_id] = None
            self._await_silence(site)
            if site.health is not Health.ALIVE:
                self._watched[site_id] = None
        for request_id, lease in self.leases.items():
            self._lease_ends.set(request_id, lease.until_ms)

    def public_rows(self) -> list[Output]:
        """The row of every region."""
        return [out.row(published(row, self._sites_of(row.region_id))) for row in self.regions.values()]

    def validate(self) -> None:
        """Assert that rows and indexes agree, and that no bucket is overdrawn."""
        for site_id, site in self.sites.items():
            assert site_id in self._members[site.region_id], site_id
            assert (site.health is not Health.ALIVE) == (site_id in self._watched), site_id
            assert site.health is Health.DEAD or not site.evidenced, site_id
        for region in self.regions.values():
            assert all(bucket.tokens_milli >= 0 for bucket in region.buckets.values())

    def _beat(self, event: Event, beat: SiteBeat, view: View) -> list[Output]:
        site = self._site(beat.site_id, beat.region_id, event.now_ms)
        site.beat_at_ms = max(site.beat_at_ms, event.at_ms)
        site.interval_ms = max(1, beat.interval_ms)
        site.evidenced = beat.lifecycle_dead
        self.sites[site.site_id] = site
        self._await_silence(site)
        return self._judge(site, event, view)

    def _witness(self, event: Event, witness: Witness, view: View) -> list[Output]:
        site = self.sites.get(witness.site_id)
        if site is None:
            return []
        words = site.peers if witness.kind is WitnessKind.PEER else site.kinds
        name = witness.by if witness.kind is WitnessKind.PEER else str(witness.kind)
        words[name] = Word(alive=witness.alive, at_ms=event.at_ms)
        if witness.kind is WitnessKind.LIFECYCLE:
            site.evidenced = not witness.alive
        self.sites[site.site_id] = site
        return self._judge(site, event, view)

    def _lease(self, event: Event, ask: AskLease, view: View) -> list[Output]:
        region = self._region(ask.region_id, event.now_ms)
        reply = answer_lease(ask, event, region, self._sites_of(ask.region_id), self.leases, view)
        self.regions[region.region_id] = region
        if reply.granted:
            self._lease_ends.set(ask.request_id, reply.until_ms)
        body_id = f"{ask.request_id}/lease"
        return [out.message(Keyspace(ask.reply_keyspace), ask.reply_key, body_id, reply, correlation_id=ask.request_id)]

    def _tick(self, tick: Tick, view: View) -> list[Output]:
        for request_id in self._lease_ends.due(tick.now_ms):
            self.leases.discard(request_id)
        outputs: list[Output] = []
        domains: dict[str, DomainSigns] = {}
        for site_id in sorted({*self._due.due(tick.now_ms), *self._watched}):
            site = self.sites[site_id]
            self._watch(site, tick, view)
            if site.region_id not in domains:
                domains[site.region_id] = self._domain(site.region_id, tick, self._policy(site.region_id, view))
            outputs += self._judge(site, tick, view, domains[site.region_id])
            if site.health is Health.ALIVE:
                self._due.sooner(site_id, tick.now_ms + site.interval_ms)
        return outputs

    def _watch(self, site: SiteRow, tick: Tick, view: View) -> None:
        """Count our own watching of a suspect: time in which we did not tick, or were sick, does not count."""
        gap_ms = tick.now_ms - site.watched_at_ms
        if site.health is not Health.SUSPECT or gap_ms < _WATCH_EVERY_MS:
            return
        policy = self._policy(site.region_id, view)
        if not _is_sick(tick, policy):
            site.watched_ms += min(gap_ms, policy.max_tick_gap_ms)
        site.watched_at_ms = tick.now_ms
        self.sites[site.site_id] = site

    def _judge(self, site: SiteRow, event: Input, view: View, domain: DomainSigns | None = None) -> list[Output]:
        policy = self._policy(site.region_id, view)
        region, signs = self._region(site.region_id, event.now_ms), self._signs(site, policy, event.now_ms)
        if domain is None:
            speaks = not (signs.silent or signs.evidenced)
            domain = _QUIET if speaks and not region.cut else self._domain(site.region_id, event, policy)
        found = assess(signs, domain, policy)
        cut = domain_is_cut(domain, policy)
        if found.health is site.health and cut == region.cut:
            return self._redrain(site, event, view, policy)
        region.cut = cut
        return self._change(site, region, found, event, view, policy)

    def _change(  # noqa: PLR0917  # one place where a row, its reasons and its readers meet
        self, site: SiteRow, region: RegionRow, found: Assessment, event: Input, view: View, policy: FailoverPolicy
    ) -> list[Output]:
        previous = site.health
        if found.health is not previous:
            site.health, site.since_ms = found.health, event.now_ms
            site.watched_ms = site.watched_ms if found.health is Health.DEAD else 0
            site.watched_at_ms = event.now_ms
        self._watched.pop(site.site_id, None)
        if site.health is not Health.ALIVE:
            self._watched[site.site_id] = None
        self.sites[site.site_id] = site
        region.generation += 1
        region.published_at_ms = event.now_ms
        self.regions[region.region_id] = region
        row = out.row(published(region, self._sites_of(region.region_id)))
        if found.health is previous:
            return [row]
        return [row, *announce(site, previous, found, event, view, self._members[site.region_id], policy)]

    def _redrain(self, site: SiteRow, event: Input, view: View, policy: FailoverPolicy) -> list[Output]:
        """Renew the drain of a suspect before it ends."""
        due = site.health is Health.SUSPECT and event.now_ms - site.drained_at_ms >= policy.drain_ttl_ms // 3
        if not due:
            return []
        found = Assessment(Health.SUSPECT, Reason.SITE_SUSPECT)
        outputs = announce(site, Health.SUSPECT, found, event, view, self._members[site.region_id], policy)
        self.sites[site.site_id] = site
        return outputs

    def _signs(self, site: SiteRow, policy: FailoverPolicy, now_ms: int) -> SiteSigns:
        return SiteSigns(
            health=site.health,
            silent=site.is_silent(policy, now_ms),
            evidenced=site.evidenced,
            peers_see_it=site.peers_see_it(policy, now_ms),
            users_served=site.users_served(policy, now_ms),
            watched_ms=site.watched_ms,
        )

    def _domain(self, region_id: str, event: Input, policy: FailoverPolicy) -> DomainSigns:
        sites = self._sites_of(region_id)
        silent = sum(site.evidenced or site.is_silent(policy, event.now_ms) for site in sites)
        sick = isinstance(event, Tick) and _is_sick(event, policy)
        return DomainSigns(sites=len(sites), silent=silent, observer_sick=sick)

    def _site(self, site_id: str, region_id: str, now_ms: int) -> SiteRow:
        site = self.sites.get(site_id)
        if site is None:
            self._members.setdefault(region_id, {})[site_id] = None
            return SiteRow(site_id=site_id, region_id=region_id, health=Health.UNKNOWN, since_ms=now_ms)
        return site

    def _region(self, region_id: str, now_ms: int) -> RegionRow:
        return self.regions.get(region_id) or RegionRow(region_id=region_id, published_at_ms=now_ms)

    def _sites_of(self, region_id: str) -> list[SiteRow]:
        return [self.sites[site_id] for site_id in sorted(self._members.get(region_id, {})) if site_id in self.sites]

    def _await_silence(self, site: SiteRow) -> None:
        self._due.set(site.site_id, site.beat_at_ms + 3 * site.interval_ms + 1)

    def _policy(self, region_id: str, view: View) -> FailoverPolicy:
        return view.policies.of(FailoverPolicy, Scope(region=region_id))


def _is_sick(tick: Tick, policy: FailoverPolicy) -> bool:
    return tick.lag_ms > policy.max_own_lag_ms or tick.view_age_ms > policy.max_own_view_age_ms
