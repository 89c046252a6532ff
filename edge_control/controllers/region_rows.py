"""What the region controller keeps: health rows with witnesses, regions with budgets, leases it gave."""

from __future__ import annotations

import msgspec

from edge_control.inventory.budgets import Bucket
from edge_control.inventory.tables import Row
from schemas.inventory import Health, SiteHealth, WitnessRow
from schemas.policy import FailoverPolicy


class Word(Row, kw_only=True):
    """The last word of one witness about a site."""

    alive: bool
    at_ms: int


class SiteRow(Row, kw_only=True):
    """One site as its region sees it; `watched_ms` is how long we ourselves watched it being suspect."""

    site_id: str
    region_id: str
    health: Health = Health.ALIVE
    since_ms: int = 0
    beat_at_ms: int = 0
    interval_ms: int = 5000
    evidenced: bool = False
    peers: dict[str, Word] = msgspec.field(default_factory=dict)
    kinds: dict[str, Word] = msgspec.field(default_factory=dict)
    watched_ms: int = 0
    watched_at_ms: int = 0
    drained_at_ms: int = 0

    def is_silent(self, policy: FailoverPolicy, now_ms: int) -> bool:
        """Whether it missed as many beats as the policy allows."""
        return now_ms - self.beat_at_ms > policy.silent_beats * self.interval_ms

    def peers_see_it(self, policy: FailoverPolicy, now_ms: int) -> bool:
        """Whether the latest word of any peer is fresh, newer than its last beat, and says that it answers."""
        return any(self._counts(word, policy, now_ms) for word in self.peers.values())

    def users_served(self, policy: FailoverPolicy, now_ms: int) -> bool:
        """Whether traffic it served was seen lately and after its last beat."""
        word = self.kinds.get("user-plane")
        return word is not None and self._counts(word, policy, now_ms)

    def published(self, now_ms: int) -> SiteHealth:
        """Its part of the public row, with one line per kind of witness."""
        seen = [("peer", word) for word in self.peers.values()] + list(self.kinds.items())
        latest: dict[str, Word] = {}
        for kind, word in seen:
            known = latest.get(kind)
            if known is None or (word.alive, word.at_ms) > (known.alive, known.at_ms):
                latest[kind] = word
        rows = (WitnessRow(kind=k, alive=w.alive, age_ms=max(0, now_ms - w.at_ms)) for k, w in latest.items())
        return SiteHealth(
            site_id=self.site_id,
            health=self.health,
            since_ms=self.since_ms,
            evidenced=self.evidenced,
            witnesses=tuple(rows),
        )

    def _counts(self, word: Word, policy: FailoverPolicy, now_ms: int) -> bool:
        return word.alive and word.at_ms > self.beat_at_ms and now_ms - word.at_ms <= policy.witness_fresh_ms


class RegionRow(Row, kw_only=True):
    """One region: the number of its public row, its buckets by name, whether it is cut."""

    region_id: str
    generation: int = 0
    cut: bool = False
    buckets: dict[str, Bucket] = msgspec.field(default_factory=dict)
    published_at_ms: int = 0


class LeaseRow(Row, kw_only=True):
    """A lease that was given: asked again with the same id it is answered again, not spent again."""

    region_id: str
    budget: str
    amount: int
    until_ms: int
    site_id: str = ""
