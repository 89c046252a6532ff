"""What an owner of an app asks for, once: need, limits, costs (CONTRACTS 3, AppSpec)."""

from __future__ import annotations

from enum import StrEnum

from .base import Id, Message, Natural
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

    requests_per_s: Natural = 0
    sessions: Natural = 0


class Bounds(Message, frozen=True, kw_only=True):
    """Fewest and most replicas, over all sites and at one site."""

    min: Natural = 0
    max: Natural = 1000
    site_min: Natural = 0
    site_max: Natural = 1000


class Cost(Message, frozen=True, kw_only=True):
    """Prices: to hold or miss a replica for 15 s, to start one; of one move, in kilometre-minutes (`move_m`)."""

    hold: Natural = 1
    miss: Natural = 10
    start: Natural = 20
    move_m: Natural = 10


class Dependency(Message, frozen=True, kw_only=True):
    """An app that must be reachable within a round trip time."""

    app_id: Id
    max_rtt_us: Natural = 0


class TaskSpec(Message, frozen=True, kw_only=True):
    """A batch: how many completions by when."""

    completions: Natural = 1
    deadline_ms: Natural = 0
    retries: Natural = 0
    priority: Natural = 0


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
    version: Natural
    per_replica: PerReplica
    image: str = ""
    class_: WorkloadClass = WorkloadClass.CONTAINER
    bounds: Bounds = Bounds()
    tiers: tuple[Tier, ...] = ()
    max_latency_ns: Natural = 0
    location: LocationConstraint = LocationConstraint()
    depends_on: tuple[Dependency, ...] = ()
    state_bytes: Natural = 0
    mobility: Mobility = Mobility.WITHOUT_CONFIRMATION
    exactly_once: bool = False
    empty_start_ok: bool = False
    cost: Cost = Cost()
    startup_ms_hint: Natural = 2000
    drain_ms: Natural = 5000
    hostname: str = ""
    idle_after_ms: Natural = 0
    task: TaskSpec | None = None
    reconcile: Reconcile = Reconcile.KEEP_REPLACEMENT
    consent: bool = True

    @property
    def stateful(self) -> bool:
        """Whether its sessions carry state that must move with them."""
        return self.state_bytes > 0
