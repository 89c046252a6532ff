"""One executor for many emulated sites; forged commands; hellos after copies were lost."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from pathlib import Path

from edge_executors.executor import Executor
from edge_executors.records import Delivery
from edge_executors.store import Store
from edge_executors.targets.simulated import SimulatedTarget
from edge_executors.voice import Saying
from schemas import wire
from schemas.commands import Action, Command, CommandKind, Fence, ScaleParams, Target
from schemas.decisions import Resource
from schemas.statuses import CommandState, Hello, Status

KEY = b"a key that only controllers have"


class Ear:
    def __init__(self) -> None:
        self.heard: list[Saying] = []

    async def say(self, sayings: Sequence[Saying]) -> None:
        self.heard.extend(sayings)


def delivery(site_id: str, number: int, *, signature: str = "") -> Delivery:
    command = Command(
        command_id=f"{site_id}-{number}",
        kind=CommandKind.SCALING,
        action=Action.SCALE_OUT,
        resource=Resource(type="replicas", id=f"video@{site_id}"),
        target=Target(site_id=site_id),
        reply_key=site_id,
        reply_keyspace="site",
        params=ScaleParams(app_id="video", replicas=number),
        generation=number,
        fence=Fence(owner="site/1", revision=number),
        issued_at_ms=0,
        decision_id="d",
    )
    raw = wire.encode_json(command)
    return Delivery(
        command=command, topic="t", partition=0, offset=number, append_ms=1, raw=raw, signature_header=signature
    )


def sign(raw: bytes) -> str:
    return hmac.new(KEY, raw, hashlib.sha256).hexdigest()


async def test_two_hundred_sites_share_one_executor_and_each_speaks_for_itself(tmp_path: Path) -> None:
    ear, names = Ear(), [f"e{n:03d}" for n in range(200)]
    targets = {name: [SimulatedTarget(name, startup_ms=0)] for name in names}
    executor = Executor(targets, Store(tmp_path / "store.db"), ear)
    await executor.start()
    executor.take([delivery(name, 1 + n % 3) for n, name in enumerate(names)])
    await executor.settled()
    hellos = [(saying.key, saying.body.executor_id) for saying in ear.heard if isinstance(saying.body, Hello)]
    assert hellos == [(name, f"{name}/executor") for name in names]
    done = [s.body for s in ear.heard if isinstance(s.body, Status) and s.body.state is CommandState.SUCCEEDED]
    assert {(status.site_id, status.resource_id) for status in done} == {(name, f"video@{name}") for name in names}
    assert [targets[name][0].replicas["video"] for name in names[:4]] == [1, 2, 3, 1]
    await executor.stop()


async def test_forged_and_tampered_commands_are_never_done_and_cost_little(tmp_path: Path) -> None:
    ear, site = Ear(), SimulatedTarget("a", startup_ms=0)
    executor = Executor(
        {"a": [site]},
        Store(tmp_path / "store.db"),
        ear,
        is_genuine=lambda d: hmac.compare_digest(sign(d.raw), d.signature_header),
    )
    await executor.start()
    good = delivery("a", 1)
    forged = [delivery("a", 9, signature=sign(b"something else") if n % 2 else "") for n in range(2000)]
    begun = time.perf_counter()
    executor.take(forged)
    assert (time.perf_counter() - begun) / len(forged) < 0.001
    executor.take([delivery("a", 1, signature=sign(good.raw))])
    await executor.settled()
    assert executor.counts["forged"] == 2000
    assert site.replicas == {"video": 1}
    assert {s.body.command_id for s in ear.heard if isinstance(s.body, Status)} == {"a-1"}
    await executor.stop()
