"""What a live site is made of, put together: fleet, copies, routes, states, processes, and who knows whom."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from schemas.sections import KafkaSettings

from .checkpoints import Checkpointer, OnCheckpoint
from .clock import Clock
from .control import Control
from .copies import Copies
from .fleet import Fleet
from .http_client import Peers
from .ingress_sessions import OnSession, SessionRouter
from .news import News
from .routes import Routes
from .state_client import PeerSite, StateClient
from .state_endpoint import StateEndpoint
from .states import StateFiles
from .targets.moving import Mover
from .targets.nodes import NodeConfig
from .targets.process import CopiesLost, ProcessTarget


class SiteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one live site is. Ports of 0 are chosen by the system; `checkpoint_peer` is the site that keeps our states.

    Without `kafka` nothing is read or said: commands are given to the executor by hand.
    """

    site_id: str
    state_dir: Path
    nodes: tuple[NodeConfig, ...]
    region_id: str = ""
    kafka: KafkaSettings | None = None
    host: str = "127.0.0.1"
    ingress_port: int = 0
    state_port: int = 0
    peers: dict[str, PeerSite] = {}
    checkpoint_peer: str = ""
    peer_token: str = ""
    load_interval_ms: int = 1_000
    checkpoint_ms: int = 5_000
    session_idle_ms: int = 60_000
    queue_ms: int = 10_000
    absence_ms: int = 15_000
    dry_run: bool = False


class SiteParts:
    """Everything below executor and ingress; `peers` may be filled after the start."""

    def __init__(
        self,
        settings: SiteSettings,
        peers: Mapping[str, PeerSite],
        *,
        on_session: OnSession,
        on_lost: CopiesLost,
        now_ms: Clock,
    ) -> None:
        self._settings = settings
        self._peers = peers
        self._now_ms = now_ms
        self._control = Control(secrets.token_hex(16))
        self.news = News()
        self.fleet, self.copies = Fleet(self.news), Copies(self.news)
        self.files = StateFiles(settings.state_dir / "states")
        self.client = StateClient(self.files, peers, settings.peer_token)
        self.http = Peers()
        self.routes = Routes(settings.site_id, peers, self.news, now_ms)
        self.processes = ProcessTarget(
            settings.site_id,
            settings.nodes,
            fleet=self.fleet,
            control=self._control,
            files=self.files,
            mover=self._mover,
            on_lost=on_lost,
        )
        self.endpoint = StateEndpoint(settings.site_id, self.files, self.copies, self._control, settings.peer_token)
        self.router = SessionRouter(
            self.routes, self.copies, self.processes.mover, self.client, self.http, on_session=on_session, now_ms=now_ms
        )

    def checkpointer(self, on_checkpoint: OnCheckpoint) -> Checkpointer:
        """Keeps states at the peer that the settings name, as soon as its address is known."""
        peer = self._settings.checkpoint_peer
        return Checkpointer(
            self._settings.site_id,
            fleet=self.fleet,
            copies=self.copies,
            control=self._control,
            files=self.files,
            client=self.client,
            peer_url=lambda: self._peers.get(peer, PeerSite()).state_url,
            on_checkpoint=on_checkpoint,
            now_ms=self._now_ms,
        )

    def close(self) -> None:
        """Close connections to peers."""
        self.client.close()
        self.http.close()

    def _mover(self, target: ProcessTarget) -> Mover:
        return Mover(
            self._settings.site_id,
            copies=self.copies,
            control=self._control,
            files=self.files,
            client=self.client,
            wake=target.wake,
            now_ms=self._now_ms,
        )
