"""A small site controller with a fast lane, and the same without one: both must tell the same story."""

from __future__ import annotations

from edge_control.controllers.base import Controller
from edge_control.controllers.events import Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.inventory.tables import Row, Table
from edge_control.inventory.view import View
from schemas.telemetry import (
    Conditions,
    NodeReading,
    NodeSample,
    NodeTelemetry,
    NodeTelemetryBatch,
    ReplicaSample,
    SiteReading,
)
from topics.catalogue import Keyspace

Sample = NodeReading | NodeSample


class Known(Row):
    """All that a reading says of a node, and how often it was heard."""

    heard: int = 0
    observed_at_ms: int = 0
    amounts: tuple[int, ...] = ()
    boot_id: str = ""
    sequence: int = 0
    conditions: Conditions | None = None
    replicas: tuple[ReplicaSample, ...] = ()


class WholeSite(Controller):
    """Remembers each node's last sample; never absorbs."""

    keyspace = Keyspace.SITE

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self.nodes = Table("nodes", Known)
        self.absorbed = 0

    @property
    def tables(self) -> tuple[Table[Known]]:
        return (self.nodes,)

    def handle(self, event: Input, view: View) -> list[Output]:
        del view
        body = None if isinstance(event, Tick) else event.body
        if isinstance(body, NodeTelemetry):
            self._take(body.site_id, (body,))
        elif isinstance(body, NodeTelemetryBatch):
            self._take(body.site_id, body.nodes)
        return []

    def _take(self, site: str, samples: tuple[Sample, ...]) -> None:
        for said in samples:
            row = self.nodes.get(f"{site}/{said.node_id}") or Known()
            if said.sequence and (said.boot_id, said.sequence) == (row.boot_id, row.sequence):
                self.counts.duplicates += len(samples) == 1
                continue
            row.heard += 1
            row.observed_at_ms, row.boot_id, row.sequence = said.observed_at_ms, said.boot_id, said.sequence
            row.amounts = (
                said.cpu_used_milli,
                said.cpu_allocatable_milli,
                said.mem_used_bytes,
                said.mem_allocatable_bytes,
                said.gpu_used_milli,
                said.gpu_allocatable_milli,
                said.net_capacity_bps,
            )
            row.conditions, row.replicas = said.conditions, said.replicas
            self.nodes[f"{site}/{said.node_id}"] = row

    def rebuild(self) -> None:
        """Nothing is derived."""

    def public_rows(self) -> list[Output]:
        return []

    def validate(self) -> None:
        assert all(row.heard > 0 for _, row in self.nodes.items())


class FastSite(WholeSite):
    """Absorbs what its known nodes say."""

    def absorb(self, reading: NodeReading | SiteReading, offset: int, now_ms: int, view: View) -> bool:
        del offset, now_ms, view
        samples = reading.nodes if isinstance(reading, SiteReading) else (reading,)
        if not all(f"{reading.site_id}/{said.node_id}" in self.nodes for said in samples):
            return False
        self.absorbed += 1
        self._take(reading.site_id, samples)
        return True
