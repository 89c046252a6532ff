"""A live site as a process of its own, for tests that kill it: commands come in on stdin, what it says goes to stdout.

Run: python lone_site.py SITE FOLDER PEERS_JSON. One JSON command per line in; `hang` as a first word makes every apply
hang after its effect, so that a kill falls between intent and result.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge_executors.records import Delivery
from edge_executors.site import LiveSite, NodeConfig, PeerSite, SiteSettings
from edge_executors.targets.base import Reading
from edge_executors.voice import Saying
from schemas.commands import Command
from schemas.registry import type_name


class Stdout:
    """Says everything as JSON lines."""

    async def say(self, sayings: Sequence[Saying]) -> None:
        for saying in sayings:
            told = {"type": type_name(saying.body), "body": msgspec.to_builtins(saying.body)}
            sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


async def run(site_id: str, folder: Path, peers: dict[str, PeerSite]) -> None:
    settings = SiteSettings(
        site_id=site_id,
        state_dir=folder,
        nodes=(NodeConfig(node_id=f"{site_id}-1"),),
        peers=peers,
        peer_token="between us",
        checkpoint_peer=next(iter(peers), ""),
        checkpoint_ms=100,
    )
    site = LiveSite(settings, voice=Stdout())
    await site.start()
    told = {"type": "site", "body": {"ingress": site.ingress_url, "state": site.state_url}}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().strip():
        if line == "hang":
            hang(site)
            continue
        now_ms = time.time_ns() // 1_000_000
        command = msgspec.json.decode(line, type=Command)
        site.executor.take([Delivery(command=command, topic="t", partition=0, offset=0, append_ms=now_ms)])
    await site.stop()


def hang(site: LiveSite) -> None:
    """From now on effects happen and are never verified."""

    async def never(command: Command) -> Reading:
        sys.stdout.write(json.dumps({"type": "effect", "body": {"command_id": command.command_id}}) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(3600)
        raise AssertionError

    site.processes.read_back = never  # type: ignore[method-assign] # the crash point of this test


if __name__ == "__main__":
    known = msgspec.convert(json.loads(sys.argv[3]), dict[str, PeerSite])
    asyncio.run(run(sys.argv[1], Path(sys.argv[2]), known))
