"""One process per live site: gateway, executor and ingress together; `python -m edgeweir.dev.live_site ORDER.json`.

A node dies when its name appears in the order's `dead_nodes` file: that is how the scenario pulls a plug.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_emitters.gateway import Gateway, GatewayPlan
from edge_emitters.probing import Peer
from edge_executors.site import LiveSite, SiteSettings
from edgeweir.dev.orders import SiteOrder, await_order
from schemas.location import SessionEvent
from schemas.sections import KafkaSettings
from schemas.telemetry import AppLoad
from topics.connect import Connect

_LOG = logging.getLogger(__name__)
_LOOK_S = 0.2


async def serve(order: SiteOrder) -> None:
    """Run the site until SIGTERM."""
    kafka = KafkaSettings(bootstrap=order.bootstrap, topic_prefix=order.topic_prefix, partitions=order.partitions)
    site = LiveSite(_settings(order, kafka))
    gateway = Gateway(
        Connect(kafka),
        GatewayPlan(site_id=order.site, folder=Path(order.folder) / "gateway", interval_ms=order.interval_ms),
        [site.node_samples],
        lambda: [Peer(name, peer.ingress_url) for name, peer in order.peers.items()],
    )
    _connect(site, gateway)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await site.start()
    await gateway.start()
    plugs = asyncio.get_running_loop().create_task(_pull_plugs(site, Path(order.dead_nodes)))
    watched = asyncio.ensure_future(gateway.wait())
    await asyncio.wait({watched, asyncio.ensure_future(ended.wait())}, return_when=asyncio.FIRST_COMPLETED)
    plugs.cancel()
    if not watched.done():
        watched.cancel()
    await gateway.stop(0.5)
    await site.stop()


def _settings(order: SiteOrder, kafka: KafkaSettings) -> SiteSettings:
    return SiteSettings(
        site_id=order.site,
        region_id=order.region,
        state_dir=Path(order.folder),
        nodes=tuple(order.nodes),
        kafka=kafka,
        ingress_port=order.ingress_port,
        state_port=order.state_port,
        peers=order.peers,
        checkpoint_peer=order.checkpoint_peer,
        peer_token=order.peer_token,
        load_interval_ms=order.interval_ms,
        checkpoint_ms=order.checkpoint_ms,
        absence_ms=order.absence_ms,
    )


def _connect(site: LiveSite, gateway: Gateway) -> None:
    """What the ingress sees goes through the gateway's buffer, so that a cut loses nothing."""

    def loads(seen: Sequence[AppLoad]) -> None:
        for load in seen:
            gateway.put_load(load)

    def session(event: SessionEvent) -> None:
        gateway.put_session(event)

    site.on_load(loads)
    site.on_session(session)


async def _pull_plugs(site: LiveSite, path: Path) -> None:
    dead: list[str] = []
    while True:
        await asyncio.sleep(_LOOK_S)
        for node in _named_in(path):
            if node not in dead:
                dead.append(node)
                site.kill_node(node)
                _LOG.warning("node %s is gone", node)


def _named_in(path: Path) -> list[str]:
    return path.read_text("utf-8").split() if path.exists() else []


def main(path: Path) -> None:
    """Run the site of an order file."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(serve(await_order(path, SiteOrder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
