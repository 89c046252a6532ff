"""An emulated site in virtual time: nodes with room, replicas that take time to start, an ingress with shares.

It obeys commands as an executor does (absolute wanted state, generation, statuses) and is the plant of the simulator.
Everything here is emulated; nothing runs.
"""

from __future__ import annotations

import msgspec

from schemas.apps import PerReplica
from schemas.commands import Command, MoveParams, MoveStep, RenewParams, RuleParams, ScaleParams, SpillParams, StateRef
from schemas.requests import CheckpointReport
from schemas.statuses import CommandState, CopyState, Hello, Observed, Result, Status
from schemas.telemetry import AppLoad, LinkProbe, NodeSample, NodeTelemetryBatch, ReplicaSample, ServedBy


class Replicas(msgspec.Struct, kw_only=True):
    """One app's replicas at a site: wanted in all, and the times at which those that start will answer."""

    wanted: int = 0
    ready: int = 0
    starting_ms: list[int] = msgspec.field(default_factory=list)
    generation: int = 0
    need: PerReplica = PerReplica()
    order: Command | None = None


class Copy(msgspec.Struct, kw_only=True):
    """One copy of a session: its state, and how far its counter is."""

    state: CopyState
    app_id: str
    terminal_id: str
    counter: int = 0
    lease_until_ms: int = 0


class Plant(msgspec.Struct, kw_only=True):
    """One emulated site."""

    site_id: str
    nodes: int = 2
    node_cpu_milli: int = 2000
    startup_ms: int = 2000
    boot: int = 1
    alive: bool = True
    uplink: bool = True
    sequence: int = 0
    apps: dict[str, Replicas] = msgspec.field(default_factory=dict)
    shares: dict[str, tuple[SpillParams, int]] = msgspec.field(default_factory=dict)
    rules: dict[str, RuleParams] = msgspec.field(default_factory=dict)
    copies: dict[str, Copy] = msgspec.field(default_factory=dict)
    seen: dict[str, Status] = msgspec.field(default_factory=dict)

    def kill_node(self) -> None:
        """One node and its share of the replicas are gone."""
        lost = {app_id: row.ready // max(1, self.nodes) for app_id, row in self.apps.items()}
        self.nodes -= 1
        for app_id, row in self.apps.items():
            row.ready -= lost[app_id]

    def advance(self, now_ms: int) -> list[Status]:
        """Let replicas come up; the statuses of orders that are now carried out."""
        done = []
        for row in self.apps.values():
            row.ready += sum(at_ms <= now_ms for at_ms in row.starting_ms)
            row.starting_ms = [at_ms for at_ms in row.starting_ms if at_ms > now_ms]
            if row.order is not None and not row.starting_ms:
                done.append(self._status(row.order, CommandState.SUCCEEDED, now_ms, Result(observed=row.ready)))
                row.order = None
        return done

    def obey(self, command: Command, now_ms: int, states: dict[str, Copy]) -> list[Status]:
        """Carry out one command; `states` are the exported session states reachable from here, by reference."""
        known = self.seen.get(command.command_id)
        if known is not None:
            return [msgspec.structs.replace(known, attempt=command.attempt)]
        if command.start_by_ms and now_ms > command.start_by_ms:
            return [self._status(command, CommandState.EXPIRED, now_ms, Result())]
        match command.params:
            case ScaleParams() as scale:
                return self._scale(command, scale, now_ms)
            case SpillParams() as spill:
                self.shares[spill.app_id] = (spill, spill.until_ms)
            case RuleParams() as rule:
                self._rule(rule)
            case MoveParams() as move:
                return [self._move(command, move, now_ms, states)]
            case RenewParams() as renew:
                self._renew(renew, command.lease_until_ms)
            case _:
                pass
        return [self._status(command, CommandState.SUCCEEDED, now_ms, Result())]

    def share_away(self, app_id: str, now_ms: int) -> dict[str, int]:
        """Permille of an app's traffic that this ingress sends to each other site now."""
        spill, until_ms = self.shares.get(app_id, (None, 0))
        if spill is None or until_ms <= now_ms:
            return {}
        return {share.site_id: share.permille for share in spill.shares if share.permille}

    def batch(self, now_ms: int, peers: dict[str, bool], interval_ms: int) -> NodeTelemetryBatch:
        """One report of all nodes, with what the gateway sees of its peers."""
        self.sequence += 1
        return NodeTelemetryBatch(
            site_id=self.site_id,
            gateway_id=f"{self.site_id}-gateway",
            boot_id=f"b{self.boot}",
            sequence=self.sequence,
            observed_at_ms=now_ms,
            interval_ms=interval_ms,
            nodes=tuple(self._node(number, now_ms) for number in range(self.nodes)),
            links=tuple(LinkProbe(to_site=peer, rtt_us=900 if up else None, probes=1) for peer, up in peers.items()),
        )

    def load(self, app_id: str, requests_per_s: int, now_ms: int, interval_ms: int) -> AppLoad:
        """What the ingress saw of one app's users in one interval, with where it sent them."""
        self.sequence += 1
        requests = requests_per_s * interval_ms // 1000
        away = {site: requests * permille // 1000 for site, permille in self.share_away(app_id, now_ms).items()}
        return AppLoad(
            site_id=self.site_id,
            app_id=app_id,
            ingress_id=f"{self.site_id}-ingress",
            observed_at_ms=now_ms,
            interval_ms=interval_ms,
            boot_id=f"b{self.boot}",
            sequence=self.sequence,
            requests=requests,
            served_elsewhere=sum(away.values()),
            served_by=tuple(ServedBy(site_id=site, requests=count) for site, count in away.items()),
        )

    def hello(self, now_ms: int) -> Hello:
        """What the executor says to its site's owner when it comes up."""
        rows = self.apps.items()
        return Hello(
            executor_id=f"{self.site_id}-executor",
            site_id=self.site_id,
            boot_id=f"b{self.boot}",
            at_ms=now_ms,
            owner_keyspace="site",
            observed=tuple(
                Observed(resource_id=f"{app_id}@{self.site_id}", generation=row.generation, replicas=row.ready)
                for app_id, row in rows
            ),
        )

    def checkpoint(self, session_id: str, now_ms: int) -> CheckpointReport:
        """Where the session's state is kept besides this site."""
        copy = self.copies[session_id]
        return CheckpointReport(
            resource_id=session_id,
            app_id=copy.app_id,
            site_id=self.site_id,
            ref=f"checkpoint/{session_id}/{copy.counter}",
            sha256=_digest(copy.counter),
            bytes=8,
            version=copy.counter,
            at_ms=now_ms,
        )

    def _node(self, number: int, now_ms: int) -> NodeSample:
        replicas = [
            ReplicaSample(app_id=app_id, instance_id=f"{app_id}-{self.site_id}-{index}")
            for app_id, row in self.apps.items()
            for index in range(row.ready)
            if index % self.nodes == number
        ]
        used = sum(self.apps[replica.app_id].need.cpu_milli for replica in replicas)
        return NodeSample(
            node_id=f"{self.site_id}-n{number}",
            boot_id=f"b{self.boot}",
            sequence=self.sequence,
            observed_at_ms=now_ms,
            cpu_used_milli=used // 2,
            cpu_allocatable_milli=self.node_cpu_milli,
            mem_used_bytes=len(replicas) << 20,
            mem_allocatable_bytes=8 << 30,
            replicas=tuple(replicas),
        )

    def _scale(self, command: Command, scale: ScaleParams, now_ms: int) -> list[Status]:
        row = self.apps.setdefault(scale.app_id, Replicas())
        row.wanted, row.generation, row.need = scale.replicas, command.generation, scale.per_replica
        growth = scale.replicas - row.ready - len(row.starting_ms)
        if growth >= 0:
            row.starting_ms += [now_ms + self.startup_ms] * growth
        else:
            row.starting_ms = row.starting_ms[: max(0, len(row.starting_ms) + growth)]
            row.ready = min(row.ready, scale.replicas)
        row.order = command
        return [self._status(command, CommandState.ACCEPTED, now_ms, Result()), *self.advance(now_ms)]

    def _rule(self, rule: RuleParams) -> None:
        if rule.present:
            self.rules[rule.session_id] = rule
        else:
            self.rules.pop(rule.session_id, None)

    def _renew(self, renew: RenewParams, lease_until_ms: int) -> None:
        for session_id in renew.resources:
            copy = self.copies.get(session_id)
            if copy is not None and copy.state in (CopyState.FROZEN, CopyState.PARKED):
                copy.state, copy.lease_until_ms = CopyState.ACTIVE, lease_until_ms

    def _move(self, command: Command, move: MoveParams, now_ms: int, states: dict[str, Copy]) -> Status:
        session_id, here = command.resource.id, self.copies.get(command.resource.id)
        match move.step:
            case MoveStep.PREPARE:
                self.copies.setdefault(
                    session_id,
                    Copy(state=CopyState.PREPARED, app_id=move.app_id, terminal_id=move.terminal_id),
                )
            case MoveStep.FREEZE if here is not None:
                here.state = CopyState.FROZEN
                ref = f"{self.site_id}/{session_id}/{here.counter}"
                states[ref] = msgspec.structs.replace(here)
                state = StateRef(ref=ref, sha256=_digest(here.counter), bytes=8, version=here.counter)
                return self._status(command, CommandState.SUCCEEDED, now_ms, Result(state=state))
            case MoveStep.ACTIVATE:
                counter = int(move.state.ref.rsplit("/", 1)[1]) if move.state else 0
                self.copies[session_id] = Copy(
                    state=CopyState.ACTIVE,
                    app_id=move.app_id,
                    terminal_id=move.terminal_id,
                    counter=counter,
                    lease_until_ms=command.lease_until_ms,
                )
            case MoveStep.THAW if here is not None:
                here.state = CopyState.ACTIVE
            case MoveStep.DISCARD | MoveStep.DROP:
                self.copies.pop(session_id, None)
            case _:
                return self._status(command, CommandState.FAILED, now_ms, Result())
        return self._status(command, CommandState.SUCCEEDED, now_ms, Result())

    def _status(self, command: Command, state: CommandState, now_ms: int, result: Result) -> Status:
        status = Status(
            command_id=command.command_id,
            attempt=command.attempt,
            state=state,
            state_version=2 if state.terminal else 1,
            entered_at_ms=now_ms,
            executor_id=f"{self.site_id}-executor",
            resource_id=command.resource.id,
            site_id=self.site_id,
            boot_id=f"b{self.boot}",
            observed_fence=command.fence,
            result=result,
            observed_generation=command.generation,
        )
        if state.terminal:
            self.seen[command.command_id] = status
        return status


def _digest(counter: int) -> str:
    return f"{counter:064x}"
