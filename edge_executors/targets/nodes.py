"""The nodes of one live site: what each can hold, what runs on it, whether it is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from schemas.apps import PerReplica

from .launching import ReplicaProcess


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the site: its name and what replicas may use of it."""

    node_id: str
    cpu_milli: int = 2000
    mem_bytes: int = 2 * 1024**3


class Running(msgspec.Struct, kw_only=True, eq=False):
    """One replica that is being started, runs or drains; `process` is None until it answers."""

    app_id: str
    instance_id: str
    node_id: str
    per_replica: PerReplica
    spec_version: int
    process: ReplicaProcess | None = None

    @property
    def is_serving(self) -> bool:
        """Whether users may be sent to it."""
        return self.process is not None and self.process.is_alive and not self.process.backend.is_draining


class Nodes:
    """Where there is room. A dead node holds nothing and takes nothing until it is revived."""

    def __init__(self, configs: Sequence[NodeConfig]) -> None:
        self._configs = {config.node_id: config for config in configs}
        self._dead: list[str] = []
        self._turn = 0

    def place(self, per_replica: PerReplica, running: Iterable[Running], avoid: Collection[str]) -> str | None:
        """The next node in turn with room for one more; None if there is none."""
        running = tuple(running)
        names = tuple(self._configs)
        for step in range(len(names)):
            at = (self._turn + step) % len(names)
            if names[at] not in avoid and self._fits(names[at], per_replica, running):
                self._turn = at + 1
                return names[at]
        return None

    def kill(self, node_id: str) -> None:
        """The node is gone."""
        if node_id not in self._configs:
            raise KeyError(node_id)
        if node_id not in self._dead:
            self._dead.append(node_id)

    def revive(self, node_id: str) -> None:
        """The node is back, empty."""
        if node_id in self._dead:
            self._dead.remove(node_id)

    def alive(self) -> tuple[NodeConfig, ...]:
        """Nodes that are there."""
        return tuple(config for name, config in self._configs.items() if name not in self._dead)

    def _fits(self, node_id: str, need: PerReplica, running: Sequence[Running]) -> bool:
        if node_id in self._dead:
            return False
        there = [r.per_replica for r in running if r.node_id == node_id]
        config = self._configs[node_id]
        cpu = sum(r.cpu_milli for r in there) + need.cpu_milli
        mem = sum(r.mem_bytes for r in there) + need.mem_bytes
        return cpu <= config.cpu_milli and mem <= config.mem_bytes
