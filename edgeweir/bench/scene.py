"""An estate whose loads and movements really cause commands: apps that sleep everywhere, and a game that follows users.

A first load of a sleeping app at a site wakes it: one event, one scaling command. A terminal with a session that enters
another site's zone is followed: location -> reserve -> granted -> prepare, three journal frames and one command.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from edge_emitters.atlas import zone_of
from edgeweir.bench.payloads import Fleet, Payload
from schemas.apps import AppKind, AppSpec, Bounds, Cost, LocationConstraint, PerReplica
from schemas.documents import Document
from schemas.location import LocationEvent, Movement, SessionEvent, SessionState
from schemas.policy import GovernorPolicy, Policy
from schemas.telemetry import AppLoad
from schemas.wire import encode_json
from topics.partition import partition_of

GAME: Final = "game"
GAME_SITES: Final = 40
_MIB: Final = 1_048_576
_INTERVAL_MS: Final = 5_000


class Scene:
    """Names and messages of that estate; the same arguments give the same names in every process."""

    def __init__(self, sites: int, nodes_per_site: int, apps: int, partitions: int = 8) -> None:
        self.fleet = Fleet(sites, nodes_per_site, partitions)
        self.site_ids = [site.site_id for site in self.fleet.world.sites]
        self.apps = [f"app{number:03d}" for number in range(apps)]
        self.game_sites = self.site_ids[: min(GAME_SITES, sites)]
        self._partitions = partitions

    @property
    def pairs(self) -> int:
        """How many app and site pairs can be woken."""
        return len(self.apps) * len(self.site_ids)

    def documents(self) -> list[Document]:
        """Apps and the policy: a budget of moves that a measurement does not use up."""
        per_replica = PerReplica(cpu_milli=20, mem_bytes=16 * _MIB, requests_per_s=100)
        specs = [
            # Nobody looks up a peer-to-peer app: what it costs to steer the users of all zones is another matter.
            AppSpec(app_id=name, tenant="t", kind=AppKind.P2P, version=1, per_replica=per_replica)
            for name in self.apps
        ]
        specs.append(
            AppSpec(
                app_id=GAME,
                tenant="t",
                kind=AppKind.SERVICE,
                version=1,
                per_replica=PerReplica(cpu_milli=100, mem_bytes=64 * _MIB, requests_per_s=100, sessions=1_000),
                bounds=Bounds(site_min=1, site_max=20),
                location=LocationConstraint(sites=tuple(self.game_sites)),
                state_bytes=100,
                cost=Cost(move_m=0),
            )
        )
        governor = GovernorPolicy(session_moves_per_s=20_000, session_moves_burst=40_000)
        policy = Policy(id="bench", version=1, governor=governor)
        return [Document("app", spec.app_id, spec) for spec in specs] + [Document("policy", "policy/bench", policy)]

    def pair(self, number: int) -> tuple[str, str]:
        """App and site of a pair."""
        return self.apps[number // len(self.site_ids)], self.site_ids[number % len(self.site_ids)]

    def load(self, app_id: str, site_id: str, at_ms: int, sequence: int) -> Payload:
        """An ingress's load of an app: enough for one replica."""
        body = AppLoad(
            site_id=site_id,
            app_id=app_id,
            ingress_id=f"{site_id}-ingress",
            observed_at_ms=at_ms,
            interval_ms=_INTERVAL_MS,
            requests=200,
            boot_id=app_id,
            sequence=sequence,
        )
        return Payload(partition_of(site_id, self._partitions), site_id.encode(), encode_json(body))

    def enters(self, terminal_id: str, site_id: str, at_ms: int, sequence: int) -> Payload:
        """A terminal enters the zone of a site."""
        body = LocationEvent(
            terminal_id=terminal_id,
            event=Movement.ENTER,
            zone_id=zone_of(site_id),
            observed_at_ms=at_ms,
            boot_id="feed",
            sequence=sequence,
        )
        return Payload(partition_of(terminal_id, self._partitions), terminal_id.encode(), encode_json(body))

    def host_of(self, player: int) -> str:
        """Where a player's session begins."""
        return self.game_sites[player % len(self.game_sites)]

    def goal_of(self, player: int) -> str:
        """Where a player goes."""
        return self.game_sites[(player + 1) % len(self.game_sites)]

    def begins(self, player: int, at_ms: int) -> Payload:
        """A player's session begins at its host."""
        body = SessionEvent(
            terminal_id=player_id(player),
            session_id=session_id(player),
            app_id=GAME,
            state=SessionState.STARTED,
            observed_at_ms=at_ms,
            at_site=self.host_of(player),
            boot_id="game",
            sequence=1,
        )
        return Payload(partition_of(player_id(player), self._partitions), player_id(player).encode(), encode_json(body))

    def arrivals(self, players: range) -> Iterator[Payload]:
        """Every player enters the zone of its host."""
        now_ms = time.time_ns() // 1_000_000
        return (self.enters(player_id(one), self.host_of(one), now_ms, 1) for one in players)


def player_id(number: int) -> str:
    """The terminal of a player."""
    return f"player{number:06d}"


def session_id(number: int) -> str:
    """The session of a player."""
    return f"session{number:06d}"


def walker_id(number: int) -> str:
    """A terminal without a session."""
    return f"walker{number:07d}"
