"""What an owner of an app asks for, once: need, limits, costs (CONTRACTS 3, AppSpec)."""

from __future__ import annotations

from enum import StrEnum

from .base import Amount, Count, Id, Message, Natural, Replicas, Span, Version
from .estate import Tier, WorkloadClass
from .location import Mobility


class AppKind(StrEnum):
    """What sort of work it is."""

    TASK = "task"
    SERVICE = "service"
    DEVICE = "device"
    MEC = "mec"
    P2P = "p2p"


class Reconcile(StrEnum):
    """Which copy lives on when an evacuated site comes back."""

    KEEP_ORIGINAL = "keep_original"
    KEEP_REPLACEMENT = "keep_replacement"
    BEST_SCORE = "best_score"


class Resources(Message, frozen=True, kw_only=True):
    """An amount of each capacity; what one replica needs, or what a site has."""

    cpu_milli: Natural = 0
    mem_bytes: Natural = 0
    gpu_milli: Natural = 0
    net_bps: Natural = 0


class PerReplica(Resources, frozen=True, kw_only=True):
    """What one replica needs, and what it can carry within its SLO."""

    cpu_milli: Amount = 0
    mem_bytes: Amount = 0
    gpu_milli: Amount = 0
    net_bps: Amount = 0
    requests_per_s: Count = 0
    sessions: Count = 0


class Bounds(Message, frozen=True, kw_only=True):
    """Fewest and most replicas, over all sites and at one site."""

    min: Replicas = 0
    max: Replicas = 1000
    site_min: Replicas = 0
    site_max: Replicas = 1000


class Cost(Message, frozen=True, kw_only=True):
    """Prices: to hold or miss a replica for 15 s, to start one; of one move, in kilometre-minutes (`move_m`)."""

    hold: Count = 1
    miss: Count = 10
    start: Count = 20
    move_m: Count = 10


class Dependency(Message, frozen=True, kw_only=True):
    """An app that must be reachable within a round trip time."""

    app_id: Id
    max_rtt_us: Amount = 0


class TaskSpec(Message, frozen=True, kw_only=True):
    """A batch: how many completions by when."""

    completions: Count = 1
    deadline_ms: Span = 0
    retries: Count = 0
    priority: Count = 0


class LocationConstraint(Message, frozen=True, kw_only=True):
    """Where it may run; empty lists allow everywhere."""

    regions: tuple[Id, ...] = ()
    sites: tuple[Id, ...] = ()
    country: str = ""


class AppSpec(Message, frozen=True, kw_only=True, rename={"class_": "class"}):
    """One app: who owns it, what a replica needs, where it may run, what decisions about it cost."""

    app_id: Id
    tenant: Id
    kind: AppKind
    version: Version
    per_replica: PerReplica
    image: str = ""
    class_: WorkloadClass = WorkloadClass.CONTAINER
    bounds: Bounds = Bounds()
    tiers: tuple[Tier, ...] = ()
    max_latency_ns: Amount = 0
    location: LocationConstraint = LocationConstraint()
    depends_on: tuple[Dependency, ...] = ()
    state_bytes: Amount = 0
    mobility: Mobility = Mobility.WITHOUT_CONFIRMATION
    exactly_once: bool = False
    empty_start_ok: bool = False
    cost: Cost = Cost()
    startup_ms_hint: Span = 2000
    drain_ms: Span = 5000
    hostname: str = ""
    idle_after_ms: Span = 0
    task: TaskSpec | None = None
    reconcile: Reconcile = Reconcile.KEEP_REPLACEMENT
    consent: bool = True

    @property
    def keeps_instances(self) -> bool:
        """Whether its replicas are instances with a state of their own: it keeps state, but none per terminal."""
        return self.kind is AppKind.SERVICE and self.stateful and self.per_replica.sessions == 0

    @property
    def stateful(self) -> bool:
        """Whether its sessions carry state that must move with them."""
        return self.state_bytes > 0
