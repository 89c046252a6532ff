"""What nodes, ingresses and the infrastructure under them observed (CONTRACTS 3)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from .base import Amount, Count, Id, Message, Millis, Natural, Permille, Span, Version


class Conditions(Message, frozen=True, kw_only=True):
    """Whether the node can take work, in its own eyes."""

    ready: bool
    disk_pressure: bool = False
    mem_pressure: bool = False
    net_unavailable: bool = False
    cordoned: bool = False


class Checkpoint(Message, frozen=True, kw_only=True):
    """Where a copy of a stateful resource's state lies, how large and how old it is."""

    ref: str
    at_ms: Millis
    bytes: Amount = 0
    sha256: str = ""
    version: Version = 0


class ReplicaSample(Message, frozen=True, kw_only=True):
    """One replica of an app as its node sees it."""

    app_id: Id
    instance_id: Id
    ready: bool = True
    cpu_used_milli: Amount = 0
    mem_used_bytes: Amount = 0
    sessions: Count = 0
    checkpoint: Checkpoint | None = None


class NodeSample(Message, frozen=True, kw_only=True):
    """One sample of one node's load, as the node saw it; its site is said by the batch."""

    node_id: Id
    observed_at_ms: Millis
    cpu_used_milli: Amount
    cpu_allocatable_milli: Amount
    mem_used_bytes: Amount
    mem_allocatable_bytes: Amount
    boot_id: str = ""
    sequence: Natural = 0
    gpu_used_milli: Amount = 0
    gpu_allocatable_milli: Amount = 0
    gpu_mem_used_bytes: Amount = 0
    fs_used_bytes: Amount = 0
    fs_allocatable_bytes: Amount = 0
    net_rx_bytes_total: Natural = 0
    net_tx_bytes_total: Natural = 0
    net_capacity_bps: Amount = 0
    temperature_milli_cel: Annotated[int, msgspec.Meta(ge=-273_150, le=10_000_000)] = 0
    power_mw: Amount = 0
    conditions: Conditions = Conditions(ready=True)
    replicas: tuple[ReplicaSample, ...] = ()
    time_source: str = "payload"


class NodeTelemetry(NodeSample, frozen=True, kw_only=True):
    """One sample of one node's load that says its site itself; a bare record may omit boot and sequence."""

    site_id: Id


class LinkProbe(Message, frozen=True, kw_only=True):
    """What a site's gateway sees of a peer site: round trip time, or no answer."""

    to_site: Id
    rtt_us: Amount | None = None
    loss_permille: Permille = 0
    probes: Count = 0


class NodeTelemetryBatch(Message, frozen=True, kw_only=True):
    """All nodes of one site in one interval, and the site's witness of its peers.

    `thinned`: batches of this boot that the gateway had given up, for want of room, when it took this sample.
    """

    site_id: Id
    gateway_id: Id
    boot_id: str
    sequence: Natural
    observed_at_ms: Millis
    nodes: tuple[NodeSample, ...]
    interval_ms: Span = 5000
    buffered: bool = False
    links: tuple[LinkProbe, ...] = ()
    thinned: Count = 0


class NodeReading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What decisions read of a node's sample: the fast lane's view of `NodeTelemetry` and `NodeSample`.

    Names are not matched against the id pattern: the lane takes only nodes that are known already.
    """

    node_id: str
    observed_at_ms: Millis
    cpu_used_milli: Amount
    cpu_allocatable_milli: Amount
    mem_used_bytes: Amount
    mem_allocatable_bytes: Amount
    site_id: str = ""
    boot_id: str = ""
    sequence: Natural = 0
    gpu_used_milli: Amount = 0
    gpu_allocatable_milli: Amount = 0
    net_capacity_bps: Amount = 0
    conditions: Conditions = Conditions(ready=True)
    replicas: tuple[ReplicaSample, ...] = ()


class SiteReading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fast lane's view of `NodeTelemetryBatch`."""

    site_id: str
    gateway_id: str
    boot_id: str
    sequence: Natural
    observed_at_ms: Millis
    nodes: tuple[NodeReading, ...]
    interval_ms: Span = 5000
    buffered: bool = False
    links: tuple[LinkProbe, ...] = ()
    thinned: Count = 0


class NodePhase(StrEnum):
    """What the infrastructure says became of a node."""

    POWERED_OFF = "powered-off"
    FENCED = "fenced"
    REBOOTED = "rebooted"
    REMOVED = "removed"
    MAINTENANCE = "maintenance"
    RETURNED = "returned"

    @property
    def proves_death(self) -> bool:
        """Whether nothing can still run there."""
        return self in (NodePhase.POWERED_OFF, NodePhase.FENCED, NodePhase.REMOVED)


class NodeLifecycle(Message, frozen=True, kw_only=True):
    """Evidence about a node (or, with `whole_site`, about all nodes of its site), as opposed to silence."""

    node_id: Id
    site_id: Id
    phase: NodePhase
    at_ms: Millis
    source: str
    whole_site: bool = False


class ServedBy(Message, frozen=True, kw_only=True):
    """Requests of this ingress that another site answered."""

    site_id: Id
    requests: Count


class AppLoad(Message, frozen=True, kw_only=True):
    """What one ingress saw of one app's traffic in one interval.

    `requests` are those of its own users, wherever they were answered; `hosted_for_others` came from other ingresses
    and are not among them.
    """

    site_id: Id
    app_id: Id
    ingress_id: Id
    observed_at_ms: Millis
    interval_ms: Span
    requests: Count
    boot_id: str = ""
    sequence: Natural = 0
    buffered: bool = False
    errors: Count = 0
    sessions: Count = 0
    p50_us: Amount = 0
    p95_us: Amount = 0
    queued: Count = 0
    rejected: Count = 0
    served_elsewhere: Count = 0
    hosted_for_others: Count = 0
    bytes_in: Natural = 0
    bytes_out: Natural = 0
    served_by: tuple[ServedBy, ...] = ()
