"""What the replicas of each node really use, asked from the operating system."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

import psutil

from schemas.telemetry import Conditions, NodeSample, ReplicaSample

from .copies import Copies
from .targets.nodes import NodeConfig, Running


class NodeSampler:
    """Remembers each process's last processor time, so that use is of the time since the last sample."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._last: dict[int, tuple[float, float]] = {}

    def sample(self, nodes: Iterable[NodeConfig], running: Iterable[Running], now_ms: int) -> list[NodeSample]:
        """One sample per node that is there; a dead node says nothing."""
        replicas = tuple(running)
        sessions = self._copies.per_instance()
        samples = []
        for node in nodes:
            mine = [self._replica(r, sessions[r.instance_id]) for r in replicas if r.node_id == node.node_id]
            samples.append(
                NodeSample(
                    node_id=node.node_id,
                    observed_at_ms=now_ms,
                    cpu_used_milli=sum(r.cpu_used_milli for r in mine),
                    cpu_allocatable_milli=node.cpu_milli,
                    mem_used_bytes=sum(r.mem_used_bytes for r in mine),
                    mem_allocatable_bytes=node.mem_bytes,
                    conditions=Conditions(ready=True),
                    replicas=tuple(mine),
                )
            )
        self._forget({r.process.pid for r in replicas if r.process is not None})
        return samples

    def _replica(self, replica: Running, sessions: int) -> ReplicaSample:
        cpu_milli, mem_bytes = (0, 0) if replica.process is None else self._use(replica.process.pid)
        return ReplicaSample(
            app_id=replica.app_id,
            instance_id=replica.instance_id,
            ready=replica.is_serving,
            cpu_used_milli=cpu_milli,
            mem_used_bytes=mem_bytes,
            sessions=sessions,
        )

    def _use(self, pid: int) -> tuple[int, int]:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            times, mem = process.cpu_times(), int(process.memory_info().rss)
            used, at = times.user + times.system, time.monotonic()
            before, since = self._last.get(pid, (used, at))
            self._last[pid] = (used, at)
            passed = at - since
            return (int((used - before) / passed * 1000) if passed > 0 else 0, mem)
        return (0, 0)

    def _forget(self, alive: set[int]) -> None:
        self._last = {pid: held for pid, held in self._last.items() if pid in alive}
