"""This host as a node, through psutil."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Sequence
from typing import Final

import psutil

from schemas.telemetry import Conditions, NodeSample, NodeTelemetry, ReplicaSample

from .clock import Clock, wall_ms

_DISK_PRESSURE_PERMILLE: Final = 900
_MEM_PRESSURE_PERMILLE: Final = 950
_BITS_PER_MBIT: Final = 1_000_000


class Host:
    """Samples of this host: CPU used is the mean since the sample before (the first covers the time since creation).

    `replicas` says which app replicas run here, if someone knows. A host without sensors reports none.
    """

    def __init__(
        self,
        node_id: str = "",
        *,
        replicas: Callable[[], Sequence[ReplicaSample]] = tuple,
        clock: Clock = wall_ms,
        disk: str = "/",
    ) -> None:
        self.node_id = node_id or socket.gethostname()
        self._boot_id = uuid.uuid4().hex
        self._sequence = 0
        self._replicas = replicas
        self._clock = clock
        self._disk = disk
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
        psutil.cpu_percent(interval=None)

    def __call__(self) -> tuple[NodeSample, ...]:
        """A source of nodes for a gateway."""
        return (self.sample(),)

    def sample(self) -> NodeSample:
        """What this host uses and has, now."""
        self._sequence += 1
        memory, disk = psutil.virtual_memory(), psutil.disk_usage(self._disk)
        traffic = psutil.net_io_counters()
        used_permille = min(1000, round(psutil.cpu_percent(interval=None) * 10))
        return NodeSample(
            node_id=self.node_id,
            boot_id=self._boot_id,
            sequence=self._sequence,
            observed_at_ms=self._clock(),
            cpu_used_milli=used_permille * self._cores,
            cpu_allocatable_milli=1000 * self._cores,
            mem_used_bytes=memory.total - memory.available,
            mem_allocatable_bytes=memory.total,
            fs_used_bytes=disk.used,
            fs_allocatable_bytes=disk.total,
            net_rx_bytes_total=traffic.bytes_recv,
            net_tx_bytes_total=traffic.bytes_sent,
            net_capacity_bps=_link_bps(),
            temperature_milli_cel=_hottest_milli_cel(),
            conditions=Conditions(
                ready=True,
                disk_pressure=disk.used * 1000 > disk.total * _DISK_PRESSURE_PERMILLE,
                mem_pressure=(memory.total - memory.available) * 1000 > memory.total * _MEM_PRESSURE_PERMILLE,
            ),
            replicas=tuple(self._replicas()),
        )

    def telemetry(self, site_id: str) -> NodeTelemetry:
        """A sample that says its site itself: for a host that has no gateway."""
        sample = self.sample()
        return NodeTelemetry(site_id=site_id, **{name: getattr(sample, name) for name in sample.__struct_fields__})


def _link_bps() -> int:
    """Speed of all links that are up, less loopback; 0 where the system does not say (virtual links)."""
    links = psutil.net_if_stats().items()
    return sum(link.speed for name, link in links if link.isup and not name.startswith("lo")) * _BITS_PER_MBIT


def _hottest_milli_cel() -> int:
    """The hottest sensor, in thousandths of a degree Celsius; 0 where there is none."""
    if not hasattr(psutil, "sensors_temperatures"):
        return 0
    held = [sensor.current for sensors in psutil.sensors_temperatures().values() for sensor in sensors]
    return round(1000 * max(held, default=0))
