"""The same day at a site, folded in processes with different hash seeds, gives the same rows and words to the byte."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from schemas.commands import Share
from schemas.requests import DrainSite
from schemas.telemetry import LinkProbe, NodeLifecycle, NodePhase, ServedBy
from tests.edge_control.site_world import SiteWorld, app, node
from topics import catalogue as cat

ROOT = Path(__file__).resolve().parents[2]


def day() -> str:
    """A crowd, hosted neighbours, a spill, a drain, a dead node, a quiet night: the digest of all that came of it."""
    site = SiteWorld(*(app(name) for name in ("video", "mail", "game")), sites=("a", "b", "c"))
    site.hello()
    for name in ("video", "mail", "game"):
        site.traffic(240, 6, app_id=name, served_by=(ServedBy(site_id="b", requests=9),))
    site.reserve("r1", replicas=2)
    site.obey(site.place("p1", 2, reservation="r1"))
    site.obey(site.spill("s1", Share(site_id="b", permille=300), Share(site_id="c", permille=100)))
    site.give(DrainSite(site_id="b", until_ms=site.now_ms + 5_000))
    site.batch(node("a1", site.now_ms), links=(LinkProbe(to_site="b"), LinkProbe(to_site="c", rtt_us=700)))
    gone = NodeLifecycle(node_id="a2", site_id="a", phase=NodePhase.FENCED, at_ms=site.now_ms, source="bmc")
    site.give(gone, cat.NODE_TELEMETRY)
    site.traffic(5_000, 12)
    site.wait(120_000, step_ms=1_000)
    said = [(output.topic.name, output.key, output.event_id, output.body) for output in site.said]
    return hashlib.sha256(msgspec.msgpack.encode([said, site.rows()])).hexdigest()


def test_two_hash_seeds_give_the_same_bytes() -> None:
    def told(seed: str) -> str:
        code = "from tests.edge_control.test_site_replay import day; print(day())"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert told("1") == told("77") == day()
