"""The process that plays the crowd: real requests, sessions and location events, one line about itself per second.

`python -m edgeweir.dev.crowd ORDER.json`; it learns where to go from the steering rows, as users' resolvers do.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
import uuid
from pathlib import Path

import msgspec

from edge_emitters.mec_feed import MecFeed, movements
from edge_emitters.sender import Sender
from edge_executors.http_client import Peers
from edgeweir.dev import scenario
from edgeweir.dev.crowd_requests import Requests
from edgeweir.dev.crowd_steering import Steered
from edgeweir.dev.crowd_tally import Tally
from edgeweir.dev.crowd_walkers import Walker, walks
from edgeweir.dev.orders import CrowdOrder, await_order
from schemas.sections import KafkaSettings
from topics.connect import Connect

_LINE_S = 1.0


async def play(order: CrowdOrder) -> None:
    """Play until the process is ended."""
    plan = scenario.load(order.scenario).play
    connect = Connect(KafkaSettings(bootstrap=order.bootstrap, topic_prefix=order.topic_prefix))
    steered, http, tally = Steered(), Peers(), Tally()
    feed = MecFeed(Sender(connect, "edgeweir-crowd"), source="/mec/location")
    walkers = [Walker(number, plan, steered, http, tally) for number in range(plan.walkers.count)]

    def clock() -> float:
        return time.time() - order.kickoff_ms / 1000

    async with asyncio.TaskGroup() as group:
        group.create_task(steered.follow(connect))
        group.create_task(feed.run(movements(walks(plan, order.kickoff_ms), boot_id=uuid.uuid4().hex)))
        group.create_task(Requests(plan.crowd, steered, http, tally).run(clock))
        group.create_task(_report(tally, walkers, Path(order.report)))
        for walker in walkers:
            group.create_task(walker.live(clock))


async def _report(tally: Tally, walkers: list[Walker], path: Path) -> None:
    with path.open("ab") as file:
        while True:
            await asyncio.sleep(_LINE_S)
            line = tally.line([walker.counter for walker in walkers])
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()


def main(path: Path) -> None:
    """Run the crowd of an order file; SIGTERM ends it at once."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    order = await_order(path, CrowdOrder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    asyncio.run(play(order))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
