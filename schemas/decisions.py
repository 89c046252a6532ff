"""What was decided and why, including decisions to do nothing (DECISIONS 1, CONTRACTS 4)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from .base import Id, Message, Millis, Natural, ResourceId
from .policy import Mode


class Verdict(StrEnum):
    """What a decision is."""

    SCALE_OUT = "ScaleOut"
    SCALE_IN = "ScaleIn"
    PLACE = "Place"
    RELEASE = "Release"
    MIGRATE = "Migrate"
    OFFLOAD = "Offload"
    BREAKOUT = "Breakout"
    REVERT = "Revert"
    DRAIN = "Drain"
    EVACUATE = "Evacuate"
    OVERFLOW = "Overflow"
    HEALTH = "Health"
    HOLD = "Hold"


class Reason(StrEnum):
    """Why: the words a user reads, one per rule."""

    DEMAND_UP = "demand-up"
    DEMAND_DOWN = "demand-down"
    PANIC = "panic"
    FORECAST = "forecast"
    ALREADY_RIGHT = "already-right"
    ALREADY_ORDERED = "already-ordered"
    WITHIN_DEAD_BAND = "within-dead-band"
    STABILIZING = "stabilizing"
    TELEMETRY_INCOMPLETE = "telemetry-incomplete"
    TELEMETRY_STALE = "telemetry-stale"
    TELEMETRY_MISSING = "telemetry-missing"
    AT_MAXIMUM = "at-maximum"
    AT_MINIMUM = "at-minimum"
    NO_ROOM = "no-room"
    NO_SPEC = "no-spec"
    NODE_LOST = "node-lost"
    REPLICA_LOST = "replica-lost"
    WAKE = "wake"
    IDLE = "idle"
    PLACED = "placed"
    SPEC_CHANGED = "spec-changed"
    USER_MOVED = "user-moved"
    STAY_CHEAPER = "stay-cheaper"
    PING_PONG = "ping-pong"
    MOBILITY_NOT_ALLOWED = "mobility-not-allowed"
    AWAITING_CONFIRMATION = "awaiting-confirmation"
    NO_CANDIDATE = "no-candidate"
    REFUSED_BY_TARGET = "refused-by-target"
    OVERLOAD = "overload"
    RELIEF = "relief"
    EXPIRED = "expired"
    LOCAL_BREAKOUT = "local-breakout"
    SITE_SUSPECT = "site-suspect"
    SITE_CUT_OFF = "site-cut-off"
    SITE_DEAD = "site-dead"
    SITE_ALIVE = "site-alive"
    REGION_CUT = "region-cut"
    LIFECYCLE_EVIDENCE = "lifecycle-evidence"
    OBSERVER_SICK = "observer-sick"
    NO_CHECKPOINT = "no-checkpoint"
    PAUSED = "paused"
    VIEW_STALE = "view-stale"
    EMPTY_SET = "empty-set"
    LOCKED = "locked"
    UNHEALTHY_TARGET = "unhealthy-target"
    BUDGET = "budget"
    FLAPPING = "flapping"
    BREAKER = "breaker"
    UNFIXABLE = "unfixable"
    DRAIN_LIMIT = "drain-limit"
    POLICY_OFF = "policy-off"
    SHADOW = "shadow"
    AWAITING_APPROVAL = "awaiting-approval"
    VERIFIED = "verified"


class GateName(StrEnum):
    """The six gates, in their order (DECISIONS 7)."""

    PAUSE = "pause"
    INPUTS = "inputs"
    TARGET = "target"
    BLAST_RADIUS = "blast-radius"
    BUDGET = "budget"
    RECHECK = "recheck"


class GateResult(StrEnum):
    """What a check did to the decision."""

    PASS = "pass"  # noqa: S105  # a verdict, no password
    LIMIT = "limit"
    STOP = "stop"


class GateNote(Message, frozen=True, kw_only=True):
    """One check of one gate, with the number it saw and the limit it holds."""

    gate: GateName
    check: str
    result: GateResult
    number: int = 0
    limit: int = 0


class Resource(Message, frozen=True, kw_only=True):
    """What a decision is about: `replicas` app@site, `session`, `device`, `instance`, `ingress`, `site`."""

    type: str
    id: ResourceId


class CauseRef(Message, frozen=True, kw_only=True):
    """The input that made us decide; a tick has topic `tick` and its time as offset."""

    topic: str
    partition: Natural
    offset: Natural
    event_id: str = ""


class PolicyRef(Message, frozen=True, kw_only=True):
    """The policy document that counted."""

    id: str = "default"
    version: Natural = 0


class InputRow(Message, frozen=True, kw_only=True):
    """An excerpt of a row that was read, and of when it is."""

    row: str
    as_of_ms: Millis
    values: dict[str, Any] = msgspec.field(default_factory=dict)


class Candidate(Message, frozen=True, kw_only=True):
    """One option with its score (smaller is better) and, if it fell out, by which filter."""

    id: str
    score: int = 0
    parts: dict[str, int] = msgspec.field(default_factory=dict)
    refused_by: str = ""


class Expected(Message, frozen=True, kw_only=True):
    """The effect that must show by a time (the outcome check)."""

    metric: str
    value: int
    by_ms: Millis


class Outcome(StrEnum):
    """Expected against measured effect."""

    EFFECTIVE = "Effective"
    INEFFECTIVE = "Ineffective"
    WORSE = "Worse"


class Decision(Message, frozen=True, kw_only=True):
    """One decision with all that a reader needs to judge it; a later record of the same id adds the outcome."""

    decision_id: Id
    kind: str
    verdict: Verdict
    resource: Resource
    cause: CauseRef
    decided_at_ms: Millis
    reason: Reason
    mode: Mode = Mode.ACTIVE
    policy: PolicyRef = PolicyRef()
    site_id: str = ""
    app_id: str = ""
    inputs: tuple[InputRow, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    raw: int = 0
    final: int = 0
    gates: tuple[GateNote, ...] = ()
    reason_history: tuple[Reason, ...] = ()
    expected: Expected | None = None
    expires_at_ms: Millis = 0
    supersedes: tuple[Id, ...] = ()
    command_id: str = ""
    outcome: Outcome | None = None
    measured: int | None = None
    text: str = ""


class HealthDecision(Message, frozen=True, kw_only=True):
    """A site's health changed, with the witnesses that said so."""

    decision_id: Id
    site_id: Id
    region_id: str
    previous: str
    health: str
    decided_at_ms: Millis
    reason: Reason
    evidence: tuple[str, ...] = ()
    cause: CauseRef | None = None
