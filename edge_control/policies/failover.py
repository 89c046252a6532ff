"""When a site counts as cut off, suspect or dead: silence is judged by witnesses, never alone (PROCEDURES 6).

Sources of the rules: Lifeguard (a sick observer does not judge), OpenYurt and SuperEdge (peers as witnesses), and the
lesson of whole zones evicted at full rate (Kubernetes): many silent sites are one cut, not many deaths.
"""

from __future__ import annotations

import msgspec

from schemas.decisions import Reason
from schemas.inventory import Health
from schemas.policy import FailoverPolicy


class SiteSigns(msgspec.Struct, frozen=True, kw_only=True):
    """All that speaks for or against a site at one moment."""

    health: Health
    silent: bool
    evidenced: bool
    peers_see_it: bool
    users_served: bool
    watched_ms: int


class DomainSigns(msgspec.Struct, frozen=True, kw_only=True):
    """How the failure domain around it looks: sites known, silent or evidenced dead; whether the observer is sick."""

    sites: int
    silent: int
    observer_sick: bool = False


class Assessment(msgspec.Struct, frozen=True):
    """The health a site has now, and why."""

    health: Health
    reason: Reason


def assess(site: SiteSigns, domain: DomainSigns, policy: FailoverPolicy) -> Assessment:
    """A site's health from its signs; the table of PROCEDURES 6, first match wins."""
    if site.evidenced:
        return Assessment(Health.DEAD, Reason.LIFECYCLE_EVIDENCE)
    if not site.silent:
        return Assessment(Health.ALIVE, Reason.SITE_ALIVE)
    if domain.observer_sick:
        return Assessment(site.health, Reason.OBSERVER_SICK)
    if site.peers_see_it or site.users_served:
        return Assessment(Health.CUT_OFF, Reason.SITE_CUT_OFF)
    if domain_is_cut(domain, policy):
        return Assessment(Health.CUT_OFF, Reason.REGION_CUT)
    if domain.sites > 1 and domain.silent == domain.sites:
        return Assessment(Health.UNKNOWN, Reason.OBSERVER_SICK)
    return _ripen(site, policy)


def domain_is_cut(domain: DomainSigns, policy: FailoverPolicy) -> bool:
    """Whether so many sites fell silent together that the path, not the sites, must be broken."""
    enough = domain.silent >= policy.domain_silent_min
    return enough and domain.silent * 1000 >= policy.domain_silent_permille * domain.sites


def _ripen(site: SiteSigns, policy: FailoverPolicy) -> Assessment:
    ripe = site.health in (Health.SUSPECT, Health.DEAD) and site.watched_ms >= policy.evict_after_ms
    return Assessment(Health.DEAD, Reason.SITE_DEAD) if ripe else Assessment(Health.SUSPECT, Reason.SITE_SUSPECT)
