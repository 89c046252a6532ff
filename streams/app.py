"""The Faust app of a worker: agents, channels, services and CLI are Faust's; the data plane is the engine's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import faust
from faust.app.base import BootStrategy
from mode.types import ServiceT

from edge_control.controllers.base import Controller
from streams.agents import make_agents
from streams.engine.engine import Engine
from streams.logs import configure_logs
from streams.settings import WorkerSettings
from topics.catalogue import Keyspace

ENV_PREFIX = "EDGEWEIR_FAUST_"
"""Faust reads the environment itself, and it beats the code: only variables with this prefix are its business."""


class Boot(BootStrategy):
    """Faust without its consumer, producer and tables; the engine starts after the agents and stops before them."""

    enable_kafka = False
    enable_kafka_consumer = False
    enable_kafka_producer = False

    def server(self) -> Iterable[ServiceT]:
        """The services of a worker."""
        assert isinstance(self.app, App)
        return self._chain(super().server(), [self.app.engine])


class App(faust.App):
    """A Faust app with an engine."""

    BootStrategy = Boot
    engine: Engine


def controller_types() -> dict[Keyspace, type[Controller]]:
    """The four controllers of the product."""
    from edge_control.controllers.app import AppController
    from edge_control.controllers.region import RegionController
    from edge_control.controllers.site import SiteController
    from edge_control.controllers.terminal import TerminalController

    return {
        Keyspace.SITE: SiteController,
        Keyspace.TERMINAL: TerminalController,
        Keyspace.APP: AppController,
        Keyspace.REGION: RegionController,
    }


def make_app(settings: WorkerSettings, controllers: Mapping[Keyspace, type[Controller]] | None = None) -> App:
    """The app of one worker; tests may give it controllers of their own."""
    types = controllers if controllers is not None else controller_types()
    worker = settings.worker
    configure_logs(settings.log)
    app = App(
        worker.app_id,
        broker=f"kafka://{settings.kafka.bootstrap}",
        env_prefix=ENV_PREFIX,
        store="memory://",
        web_enabled=False,
        web_bind="127.0.0.1",
        worker_redirect_stdouts=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        broker_session_timeout=worker.session_timeout_s,
        broker_heartbeat_interval=worker.heartbeat_s,
        datadir=worker.data_dir or None,
    )
    app.engine = Engine(app, settings, types)
    make_agents(app, app.engine, types)
    return app
