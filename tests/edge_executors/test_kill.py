"""kill -9 of a live site: nothing is left behind, intents are verified, sessions go on from their checkpoints."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from edge_executors.http_client import Peer
from schemas.commands import (
    Action,
    Command,
    CommandKind,
    Fence,
    MoveStep,
    Params,
    RuleParams,
    ScaleParams,
    StateRef,
    Target,
)
from schemas.decisions import Resource
from tests.edge_executors.town import Town, Users, succeeded

ROOT = Path(__file__).resolve().parents[2]


class LoneSite:
    """The process, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: asyncio.subprocess.Process | None = None
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.urls: dict[str, str] = {}

    async def start(self, peers: dict[str, dict[str, str]]) -> None:
        self.said.clear()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "tests/edge_executors/lone_site.py",
            *("c", str(self.folder), json.dumps(peers)),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.urls = await self.hear("site")

    async def hear(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next thing of a kind that it says, with these fields."""
        assert self.process is not None
        assert self.process.stdout is not None
        async with asyncio.timeout(15):
            while True:
                told = json.loads(await self.process.stdout.readline())
                self.said.append((told["type"], told["body"]))
                if _is(*self.said[-1], kind, fields):
                    return self.said[-1][1]

    async def heard(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The same, if it said so since its start, or the next."""
        said = [body for told, body in self.said if _is(told, body, kind, fields)]
        return said[0] if said else await self.hear(kind, **fields)

    def give(self, name: str, params: Params, kind: str, resource: str) -> None:
        command = Command(
            command_id=name,
            kind=CommandKind.SCALING,
            action=Action.SCALE_OUT,
            resource=Resource(type=kind, id=resource),
            target=Target(site_id="c"),
            reply_key="owner",
            reply_keyspace="site",
            params=params,
            generation=1,
            fence=Fence(owner="site/0", revision=1),
            issued_at_ms=0,
            decision_id="d",
        )
        self.tell(msgspec.json.encode(command).decode())

    def tell(self, line: str) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


def _is(told: str, body: dict[str, Any], kind: str, fields: dict[str, Any]) -> bool:
    return told == kind and all(body.get(name) == value for name, value in fields.items())


@pytest.fixture
async def lone(tmp_path: Path) -> AsyncIterator[LoneSite]:
    site = LoneSite(tmp_path / "c")
    yield site
    if site.process is not None and site.process.returncode is None:
        await site.kill()


async def test_no_replica_outlives_its_site(lone: LoneSite) -> None:
    await lone.start({})
    lone.give("c1", ScaleParams(app_id="video", replicas=3), "replicas", "video@c")
    await lone.hear("command.status.v1", state="SUCCEEDED")
    assert lone.process is not None
    children = psutil.Process(lone.process.pid).children()
    assert len(children) == 3
    await lone.kill()
    _, left = psutil.wait_procs(children, timeout=3)
    assert not left


async def test_an_intent_without_a_result_is_verified_after_the_restart(lone: LoneSite) -> None:
    await lone.start({})
    lone.tell("hang")
    lone.give("c1", ScaleParams(app_id="video", replicas=2), "replicas", "video@c")
    rule = RuleParams(terminal_id="t", app_id="video", session_id="s", host_site="c", endpoint="", until_ms=1)
    lone.give("c2", rule, "rule", "s")
    await lone.hear("effect")
    await lone.kill()
    await lone.start({})
    hello = await lone.heard("executor.hello.v1")
    gone = {"resource_id": "video@c", "generation": 1}
    assert hello["observed"] == [gone], "its replicas died with it, and it says so before it does anything"
    done = await lone.heard("command.status.v1", state="SUCCEEDED")
    assert (done["command_id"], done["result"]["observed"]) == ("c1", 2)
    lone.give("c1", ScaleParams(app_id="video", replicas=2), "replicas", "video@c")
    again = await lone.hear("command.status.v1", command_id="c1")
    assert again["state_version"] == done["state_version"], "answered from the store"


async def test_a_session_is_rescued_from_its_checkpoint_when_its_site_is_killed(lone: LoneSite, tmp_path: Path) -> None:
    town = Town(tmp_path)
    await town.open("a", "b")
    succeeded(await town.scale("b", "game", 1))
    peers = {"a": {"ingress_url": town.sites["a"].ingress_url, "state_url": town.sites["a"].state_url}}
    await lone.start(peers)
    lone.give("c1", ScaleParams(app_id="game", replicas=1), "replicas", "game@c")
    users = Users(lone.urls["ingress"])
    for _ in range(7):
        await users.next("s1")
    kept = await lone.hear("report.checkpoint.v1", version=7)
    await lone.kill()
    named = StateRef(ref=kept["ref"], sha256=kept["sha256"], version=7)
    assert named.ref.startswith(town.sites["a"].state_url), "where its site's death does not reach it"
    succeeded(await town.move("b", MoveStep.ACTIVATE, "s1", source_site="c", state=named, mode="rescue"))
    succeeded(await town.rule("b", "s1", "b"))
    users.peer = Peer(town.sites["b"].ingress_url)
    await users.next("s1", resume=True)
    assert users.numbers == list(range(1, 9))
    await town.close()


async def test_a_site_that_comes_back_says_what_it_kept_and_serves_it_only_when_told(
    lone: LoneSite, tmp_path: Path
) -> None:
    town = Town(tmp_path)
    await town.open("a")
    peers = {"a": {"ingress_url": town.sites["a"].ingress_url, "state_url": town.sites["a"].state_url}}
    await lone.start(peers)
    lone.give("c1", ScaleParams(app_id="game", replicas=1), "replicas", "game@c")
    users = Users(lone.urls["ingress"])
    for _ in range(3):
        await users.next("s1")
    await lone.hear("report.checkpoint.v1", version=3)
    await lone.kill()
    await lone.start(peers)
    hello = await lone.heard("executor.hello.v1", owner_keyspace="terminal")
    assert (hello["observed"][0]["resource_id"], hello["observed"][0]["state"]) == ("s1", "parked")
    await town.close()
