"""Plays the acts of a scenario at their times: plugs pulled, sites killed, evidence told, an uplink cut and healed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from edge_emitters.records import record_of
from edge_emitters.sender import Sender
from edgeweir.dev.children import Child
from edgeweir.dev.crew import Crew
from edgeweir.dev.relay import Relay
from edgeweir.dev.scenario import Act
from schemas.telemetry import NodeLifecycle, NodePhase

_SOURCE: Final = "/infrastructure/power"
_WORDS: Final = {
    "kill-node": "the plug of {node} at {site} is pulled",
    "kill-site": "kill -9 of everything at {site}",
    "evidence": "the infrastructure says: {site} is powered off",
    "cut": "the uplink of {site} is cut; its users are still served",
    "heal": "the uplink of {site} is there again",
}


class Player:
    """Does what the acts say; `killed` are the sites whose end is no accident."""

    def __init__(
        self,
        crew: Crew,
        sites: dict[str, Child],
        relays: dict[str, Relay],
        sender: Sender,
        tell: Callable[[str, str], None],
    ) -> None:
        self.killed: list[str] = []
        self._crew = crew
        self._sites = sites
        self._relays = relays
        self._sender = sender
        self._tell = tell

    async def play(self, acts: tuple[Act, ...], kickoff_ms: int) -> None:
        """Every act at its time; they are played in order of time."""
        for act in sorted(acts, key=lambda act: act.at_s):
            await asyncio.sleep(max(0.0, kickoff_ms / 1000 + act.at_s - time.time()))
            self._tell("act", _WORDS[act.do].format(site=act.site, node=act.node))
            await self._do(act)

    async def _do(self, act: Act) -> None:
        match act.do:
            case "kill-node":
                with self._crew.dead_nodes(act.site).open("a") as file:
                    file.write(f"{act.node}\n")
            case "kill-site":
                self.killed.append(act.site)
                await self._sites[act.site].kill()
            case "evidence":
                await self._sender.send([record_of(_evidence(act.site), source=_SOURCE, event_id=f"off/{act.site}")])
            case "cut":
                self._relays[act.site].cut()
            case "heal":
                self._relays[act.site].heal()


def _evidence(site: str) -> NodeLifecycle:
    return NodeLifecycle(
        node_id=f"{site}-all",
        site_id=site,
        phase=NodePhase.POWERED_OFF,
        at_ms=time.time_ns() // 1_000_000,
        source="power distribution",
        whole_site=True,
    )
