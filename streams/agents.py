"""One thin agent per controller: take a chunk, fold it, let the journal have it."""

from __future__ import annotations

from collections.abc import Mapping

import faust
import mode

from edge_control.controllers.base import Controller
from streams.engine.chunk import Chunk
from streams.engine.engine import Engine
from topics.catalogue import Keyspace

Chunks = faust.StreamT[Chunk]


def make_agents(app: faust.App, engine: Engine, controllers: Mapping[Keyspace, type[Controller]]) -> None:
    """Register the four agents. An exception that is not bad input ends the worker: a supervisor starts it again."""

    @app.agent(engine.chunks("site"), name="site", supervisor_strategy=mode.CrashingSupervisor)
    async def site(chunks: Chunks) -> None:
        """Fuse what the sites report; decide what they run and carry."""
        async for chunk in chunks:
            await chunk.submit(chunk.fold(controllers[Keyspace.SITE].fold))

    @app.agent(engine.chunks("terminal"), name="terminal", supervisor_strategy=mode.CrashingSupervisor)
    async def terminal(chunks: Chunks) -> None:
        """Follow the users; decide where their sessions and devices live."""
        async for chunk in chunks:
            await chunk.submit(chunk.fold(controllers[Keyspace.TERMINAL].fold))

    @app.agent(engine.chunks("app"), name="app", supervisor_strategy=mode.CrashingSupervisor)
    async def app_(chunks: Chunks) -> None:
        """Fuse the demand of all ingresses; decide where an app's instances are."""
        async for chunk in chunks:
            await chunk.submit(chunk.fold(controllers[Keyspace.APP].fold))

    @app.agent(engine.chunks("region"), name="region", supervisor_strategy=mode.CrashingSupervisor)
    async def region(chunks: Chunks) -> None:
        """Weigh the witnesses of silent sites; lease what may be disrupted."""
        async for chunk in chunks:
            await chunk.submit(chunk.fold(controllers[Keyspace.REGION].fold))
