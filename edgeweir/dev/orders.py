"""What the supervisor tells its children: each is started early and waits for the file with its order."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TypeVar

import msgspec

from edge_executors.state_client import PeerSite
from edge_executors.targets.nodes import NodeConfig

T = TypeVar("T")
_LOOK_S = 0.02


class WorkerOrder(msgspec.Struct, kw_only=True):
    """What a stream worker is told: its environment (`EDGEWEIR_*`)."""

    environ: dict[str, str]


class SiteOrder(msgspec.Struct, kw_only=True):
    """What a live site is told: who it is, its doors, its peers, the cluster as this site reaches it.

    A node dies when its name appears in the file `dead_nodes`.
    """

    bootstrap: str
    site: str
    region: str
    folder: str
    nodes: list[NodeConfig]
    ingress_port: int
    state_port: int
    peers: dict[str, PeerSite]
    checkpoint_peer: str
    peer_token: str
    dead_nodes: str
    topic_prefix: str = ""
    partitions: int = 8
    interval_ms: int = 1_000
    checkpoint_ms: int = 2_000
    absence_ms: int = 5_000


class EmulatedOrder(msgspec.Struct, kw_only=True):
    """What the process of the emulated sites is told."""

    bootstrap: str
    scenario: str
    folder: str
    topic_prefix: str = ""
    partitions: int = 8


class CrowdOrder(msgspec.Struct, kw_only=True):
    """What the crowd is told: the cluster, the scenario, when it is kicked off, where to report."""

    bootstrap: str
    topic_prefix: str = ""
    scenario: str
    kickoff_ms: int
    report: str


def give(path: Path, order: msgspec.Struct) -> None:
    """Write an order in one step: nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(order))
    draft.replace(path)


def await_order(path: Path, kind: type[T]) -> T:
    """The order, once it is there; the supervisor's death ends the wait with this process."""
    while not path.exists():
        time.sleep(_LOOK_S)
    return msgspec.json.decode(path.read_bytes(), type=kind)
