"""A few live sites on loopback, commands given to them by hand, and users that send real requests."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from edge_executors.http1 import Response
from edge_executors.http_client import Peer
from edge_executors.records import Delivery
from edge_executors.site import LiveSite, NodeConfig, PeerSite, SiteSettings
from edge_executors.voice import Saying
from schemas.apps import PerReplica
from schemas.commands import (
    Action,
    Command,
    CommandKind,
    Fence,
    MoveParams,
    MoveStep,
    Params,
    RuleParams,
    ScaleParams,
    Share,
    SpillParams,
    Target,
)
from schemas.decisions import Resource
from schemas.requests import CheckpointReport
from schemas.statuses import CommandState, Hello, Status

PER_REPLICA = PerReplica(cpu_milli=500, mem_bytes=64 * 1024**2, requests_per_s=100)


class Ear:
    """Hears what executors say."""

    def __init__(self) -> None:
        self.heard: list[Saying] = []

    async def say(self, sayings: Sequence[Saying]) -> None:
        self.heard.extend(sayings)

    def last(self, command_id: str) -> Status:
        return [s.body for s in self.heard if isinstance(s.body, Status) and s.body.command_id == command_id][-1]

    def hellos(self) -> list[tuple[str, Hello]]:
        return [(s.key, s.body) for s in self.heard if isinstance(s.body, Hello)]

    def checkpoints(self) -> list[CheckpointReport]:
        return [s.body for s in self.heard if isinstance(s.body, CheckpointReport)]


class Town:
    """Live sites that know each other; `order` gives a command and returns its last status."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ear = Ear()
        self.sites: dict[str, LiveSite] = {}
        self._numbers = itertools.count(1)

    async def open(self, *names: str, **fields: Any) -> None:
        for name in names:
            settings = SiteSettings(
                site_id=name,
                state_dir=self.folder / name,
                nodes=(NodeConfig(node_id=f"{name}-1"), NodeConfig(node_id=f"{name}-2")),
                peer_token="between us",
                **fields,
            )
            self.sites[name] = LiveSite(settings, voice=self.ear)
            await self.sites[name].start()
        self.introduce()

    def introduce(self) -> None:
        """Tell every site where the others are."""
        for site in self.sites.values():
            for other in self.sites.values():
                if other is not site:
                    peer = PeerSite(ingress_url=other.ingress_url, state_url=other.state_url)
                    site.peers[other.settings.site_id] = peer

    async def close(self) -> None:
        for site in self.sites.values():
            await site.stop()

    async def order(self, site_id: str, params: Params, kind: str, resource: str, **fields: Any) -> Status:
        number = next(self._numbers)
        command = Command(
            command_id=f"c{number}",
            kind=CommandKind.SCALING,
            action=Action.SCALE_OUT,
            resource=Resource(type=kind, id=resource),
            target=Target(site_id=site_id),
            reply_key="owner",
            reply_keyspace="site",
            params=params,
            generation=number,
            fence=Fence(owner="site/0", revision=number),
            issued_at_ms=0,
            decision_id="d",
        )
        command = msgspec.structs.replace(command, **fields)
        now_ms = time.time_ns() // 1_000_000
        delivery = Delivery(command=command, topic="t", partition=0, offset=number, append_ms=now_ms)
        executor = self.sites[site_id].executor
        executor.take([delivery])
        await executor.settled()
        return self.ear.last(command.command_id)

    async def scale(self, site_id: str, app_id: str, replicas: int, **fields: Any) -> Status:
        params = ScaleParams(app_id=app_id, replicas=replicas, spec_version=1, per_replica=PER_REPLICA, **fields)
        return await self.order(site_id, params, "replicas", f"{app_id}@{site_id}")

    async def spill(self, site_id: str, app_id: str, shares: dict[str, int], for_ms: int = 60_000) -> Status:
        until_ms = time.time_ns() // 1_000_000 + for_ms
        listed = tuple(Share(site_id=name, permille=permille) for name, permille in shares.items())
        params = SpillParams(app_id=app_id, shares=listed, until_ms=until_ms)
        return await self.order(site_id, params, "ingress", f"{app_id}@{site_id}")

    async def move(self, site_id: str, step: MoveStep, session: str, **fields: Any) -> Status:
        lease_until_ms = fields.pop("lease_until_ms", 0)
        params = MoveParams(step=step, app_id="game", terminal_id=f"t-{session}", session_id=session, **fields)
        return await self.order(site_id, params, "session", session, lease_until_ms=lease_until_ms)

    async def rule(self, site_id: str, session: str, host: str, *, present: bool = True) -> Status:
        until_ms = time.time_ns() // 1_000_000 + 60_000
        params = RuleParams(
            terminal_id=f"t-{session}",
            app_id="game",
            session_id=session,
            host_site=host,
            endpoint=self.sites[host].ingress_url if host in self.sites else "",
            until_ms=until_ms,
            present=present,
        )
        return await self.order(site_id, params, "rule", session)


class Users:
    """Clients of one ingress; `answers` counts what they got, `numbers` a session's counter as its user saw it."""

    def __init__(self, url: str) -> None:
        self.peer = Peer(url)
        self.answers: Counter[int] = Counter()
        self.served_by: Counter[str] = Counter()
        self.numbers: list[int] = []
        self.keep_going = True

    async def work(self, app_id: str, ms: int = 0, headers: dict[str, str] | None = None) -> Response:
        answer = await self.peer.ask("GET", f"/{app_id}/work?ms={ms}", headers=headers)
        self.answers[answer.status] += 1
        self.served_by[answer.headers.get("x-edgeweir-served-by", "").partition("/")[0]] += 1
        return answer

    async def next(self, session: str, *, resume: bool = False) -> Response:
        headers = {"x-edgeweir-session": session, "x-edgeweir-terminal": f"t-{session}"}
        if resume:
            headers["x-edgeweir-resume"] = "1"
        answer = await self.peer.ask("POST", f"/game/session/{session}/next", headers=headers)
        self.answers[answer.status] += 1
        if answer.status == 200:
            self.numbers.append(json.loads(answer.body)["n"])
        return answer

    async def keep_working(self, app_id: str, ms: int, pause_s: float) -> None:
        while self.keep_going:
            await self.work(app_id, ms)
            await asyncio.sleep(pause_s)

    async def keep_counting(self, session: str, pause_s: float) -> None:
        while self.keep_going:
            await self.next(session)
            await asyncio.sleep(pause_s)


def succeeded(status: Status) -> Status:
    """The status, if the command succeeded."""
    assert status.state is CommandState.SUCCEEDED, status
    return status
