"""What all parts of an engine share: settings, clients, clock, view, metrics, and whom to tell of a loss."""

from __future__ import annotations

from collections.abc import Callable

from streams.engine.clock import BrokerClock
from streams.engine.journal import Journal
from streams.engine.owner import Owner
from streams.engine.producers import Producers
from streams.metrics import WorkerMetrics
from streams.settings import WorkerSettings
from streams.views import ViewReader
from topics.catalogue import CATALOGUE, enabled, inputs
from topics.connect import Connect


class Shell:
    """One worker's outer things, made once and handed to the parts that need them."""

    def __init__(
        self,
        settings: WorkerSettings,
        client_id: str,
        *,
        lost: Callable[[Owner, Exception], None],
        bug: Callable[[BaseException], None],
        checkpointed: Callable[[int, int], None],
    ) -> None:
        """`lost`: an ownership ended; `bug`: the worker must end; `checkpointed`: a checkpoint is complete."""
        self.settings, self.client_id = settings, client_id
        self.inputs = inputs(settings.kafka.dialects)
        self.topics = (*CATALOGUE, *enabled(settings.kafka.dialects))
        self.connect = Connect(settings.kafka)
        self.clock = BrokerClock()
        self.journal = Journal(self.connect, client_id, settings.worker.app_id)
        self.producers = Producers(self.connect, client_id)
        self.views = ViewReader(self.connect, client_id)
        self.metrics = WorkerMetrics()
        self.lost, self.bug, self.checkpointed = lost, bug, checkpointed
        self.crash: tuple[Owner, str] | None = None

    def crashed(self, owner: Owner, place: str) -> None:
        """A controller failed while folding: what it left must never be written; the place is journalled at the end."""
        if owner.writer is not None:
            owner.writer.is_broken = True
        self.crash = (owner, place)
