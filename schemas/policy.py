"""Policies as data (DECISIONS 8): parameters with their defaults, scopes, modes; pauses; models; approvals.

Every threshold of the product stands here with its default and unit, and nowhere else.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from .base import Count, Id, Message, Millis, Permille, Span, Version


class Mode(StrEnum):
    """How far a policy's decisions go."""

    OFF = "off"
    SHADOW = "shadow"
    APPROVE = "approve"
    ACTIVE = "active"


class ScalingPolicy(Message, frozen=True, kw_only=True):
    """How many replicas an app holds at a site (DECISIONS 2)."""

    target_use_permille: Permille = 800
    window_ms: Span = 300_000
    bucket_ms: Span = 15_000
    panic_window_ms: Span = 6_000
    panic_permille: Count = 2_000
    panic_hold_ms: Span = 60_000
    release_ms: Span = 300_000
    dead_band_permille: Permille = 100
    up_step_min: Count = 4
    up_step_permille: Count = 1_000
    up_step_ms: Span = 15_000
    min_coverage_permille: Permille = 900
    stale_intervals: Count = 3
    fallback_after_ms: Span = 180_000
    headroom_permille: Permille = 100
    headroom_replicas: Count = 2
    forecast: bool = True
    overflow_repeat_ms: Span = 3_000


class PlacementPolicy(Message, frozen=True, kw_only=True):
    """Where an instance goes (DECISIONS 3)."""

    latency_first: bool = True
    max_view_age_ms: Span = 15_000
    max_candidates: Count = 8


class MigrationPolicy(Message, frozen=True, kw_only=True):
    """When a session or device follows its user (DECISIONS 4, PROCEDURES 3)."""

    ping_pong_ms: Span = 300_000
    ping_pong_factor_permille: Count = 3_000
    ping_pong_hold_ms: Span = 600_000
    max_view_age_ms: Span = 15_000
    rule_repeat_ms: Span = 3_000
    rule_ttl_ms: Span = 60_000
    lease_ms: Span = 900_000
    lease_renew_ms: Span = 300_000
    first_lease_ms: Span = 10_000
    reserve_for_ms: Span = 30_000
    savings_permille: Count = 500


class OffloadPolicy(Message, frozen=True, kw_only=True):
    """When an ingress sends traffic elsewhere (DECISIONS 5, PROCEDURES 5)."""

    spill_at_permille: Permille = 800
    min_change_permille: Permille = 50
    min_change_ms: Span = 10_000
    revert_ms: Span = 30_000
    spill_ttl_ms: Span = 60_000
    spill_renew_ms: Span = 20_000
    weak_view_age_ms: Span = 5_000
    max_view_age_ms: Span = 15_000
    steering_ttl_ms: Span = 60_000


class FailoverPolicy(Message, frozen=True, kw_only=True):
    """When a node or site counts as lost (DECISIONS 6, PROCEDURES 6)."""

    beat_ms: Span = 5_000
    silent_beats: Count = 3
    node_silent_intervals: Count = 3
    evict_after_ms: Span = 640_000
    domain_silent_permille: Permille = 550
    domain_silent_min: Count = 3
    max_tick_gap_ms: Span = 1_500
    max_own_lag_ms: Span = 5_000
    max_own_view_age_ms: Span = 15_000
    witness_fresh_ms: Span = 15_000
    drain_ttl_ms: Span = 60_000


class GovernorPolicy(Message, frozen=True, kw_only=True):
    """What holds decisions back (DECISIONS 7)."""

    zone_unhealthy_permille: Permille = 550
    zone_unhealthy_min: Count = 3
    zone_slow_permille: Permille = 100
    unfixable_permille: Permille = 400
    unfixable_sites: Count = 10
    breaker_permille: Permille = 200
    drain_limit_permille: Permille = 500
    workload_moves_milli_per_s: Count = 500
    workload_moves_burst: Count = 10
    session_moves_per_s: Count = 200
    session_moves_burst: Count = 400
    budget_raise_milli_per_min: Count = 50
    lease_ms: Span = 10_000
    flap_per_hour: Count = 60
    flap_quiet_ms: Span = 0
    skew_ms: Span = 5_000
    hold_repeat_ms: Span = 60_000


class AdmissionPolicy(Message, frozen=True, kw_only=True):
    """Whether an unknown node is taken with the site its event names (`auto`) or waits for an operator (`approve`)."""

    mode: str = "auto"


class Scope(Message, frozen=True, kw_only=True):
    """For what a policy counts; an empty field matches all, more filled fields win over fewer."""

    app: str = ""
    tenant: str = ""
    tier: str = ""
    region: str = ""
    site: str = ""

    @property
    def weight(self) -> int:
        """How specific the scope is."""
        return sum(bool(part) for part in (self.app, self.tenant, self.tier, self.region, self.site))


class Policy(Message, frozen=True, kw_only=True):
    """One policy document: it replaces the default parameters of the kinds it names, within its scope."""

    id: Id
    version: Version
    scope: Scope = Scope()
    mode: Mode = Mode.ACTIVE
    owner: str = ""
    canary: bool = False
    scaling: ScalingPolicy | None = None
    placement: PlacementPolicy | None = None
    migration: MigrationPolicy | None = None
    offload: OffloadPolicy | None = None
    failover: FailoverPolicy | None = None
    governor: GovernorPolicy | None = None
    admission: AdmissionPolicy | None = None


class Pause(Message, frozen=True, kw_only=True):
    """The red button: no new opening command in the scope until it ends.

    `scope` is `all` or one of `region/ID`, `site/ID`, `app/ID`, `tenant/ID`, `kind/scaling|migration|offload`.
    """

    scope: str
    until_ms: Millis
    why: str
    by: str


class CellMove(Message, frozen=True, kw_only=True):
    """How often terminals of one zone went on to another."""

    to_zone: Id
    permille: Permille


class MobilityModel(Message, frozen=True, kw_only=True):
    """A Markov model over zones and its value function in cost units (DECISIONS 4.1), solved off the hot path."""

    id: Id
    at_ms: Millis
    step_ms: Span
    moves: dict[str, tuple[CellMove, ...]] = msgspec.field(default_factory=dict)
    values_milli: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)


class Approval(Message, frozen=True, kw_only=True):
    """An operator's yes or no to a decision that waits."""

    decision_id: Id
    granted: bool
    by: str
    at_ms: Millis
