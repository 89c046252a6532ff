"""The four real controllers over emulated sites in virtual time: one log per topic, one view, no broker.

What is decided is decided by the very code that the stream agents run. Messages take `latency_ms`, keep their order
within a topic as in one Kafka partition, and may be lost on the way to or from a site whose uplink is cut.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import msgspec

from edge_control.controllers.base import Controller
from edge_control.controllers.events import Event, Tick
from edge_control.controllers.outputs import Output
from edge_control.inventory.view import View
from edgeweir.lab.plant import Copy, Plant
from schemas.base import Message
from schemas.commands import Command
from schemas.requests import CheckpointReport
from schemas.statuses import Status
from topics import catalogue as cat
from topics.catalogue import Keyspace
from topics.topic import Topic

BEAT_MS = 1000


class Sent(msgspec.Struct, frozen=True):
    """One message on its way, to a controller or (keyspace None) to a site's executor."""

    topic: Topic
    keyspace: Keyspace | None
    key: str
    event_id: str
    body: Message


class World:
    """Controllers, plants, users; `run` lets time pass, `said` keeps everything that was sent."""

    def __init__(self, controllers: dict[Keyspace, Controller], *, latency_ms: int = 20, tick_ms: int = 250) -> None:
        self.controllers = controllers
        self.view = View()
        self.plants: dict[str, Plant] = {}
        self.users: dict[tuple[str, str], int] = {}
        self.said: list[tuple[int, Output]] = []
        self.states: dict[str, Copy] = {}
        self.now_ms = 1_000_000
        self._latency_ms, self._tick_ms = latency_ms, tick_ms
        self._way: list[tuple[int, int, Sent]] = []
        self._count = 0
        self._offsets: dict[str, int] = {}
        self._orders: dict[str, Command] = {}

    def declare(self, topic: Topic, key: str, body: Message) -> None:
        """Write an estate item, app or policy."""
        self.view.apply(topic, key, body, self.now_ms)
        if topic is cat.APP:
            self.send(Sent(topic, Keyspace.APP, key, f"{key}@{self.now_ms}", body))

    def send(self, sent: Sent, *, delay_ms: int = 0) -> None:
        """Put a message on its way."""
        self._count += 1
        heapq.heappush(self._way, (self.now_ms + self._latency_ms + delay_ms, self._count, sent))

    def run(self, ms: int) -> None:
        """Let time pass in steps of one tick; sites report once a second."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.now_ms += self._tick_ms
            self._deliver()
            if self.now_ms % BEAT_MS == 0:
                self._beat()
            for plant in self._working():
                self._report(plant, plant.advance(self.now_ms))
            for keyspace, controller in self.controllers.items():
                self._take(keyspace, controller.handle(Tick(now_ms=self.now_ms, partition=0), self.view))

    def commands(self) -> Iterator[Command]:
        """All commands that were sent, in order."""
        return (output.body for _, output in self.said if isinstance(output.body, Command))

    def _working(self) -> list[Plant]:
        return [plant for plant in self.plants.values() if plant.alive]

    def _beat(self) -> None:
        for plant in self._working():
            peers = {other.site_id: other.alive for other in self.plants.values() if other is not plant}
            self._from_site(plant, cat.NODE_TELEMETRY, plant.batch(self.now_ms, peers, BEAT_MS))
            for (site_id, app_id), rate in self.users.items():
                if site_id == plant.site_id:
                    self._from_site(plant, cat.APP_LOAD, plant.load(app_id, rate, self.now_ms, BEAT_MS))
            for session_id, copy in plant.copies.items():
                if copy.state == "active":
                    copy.counter += 1
                    report = plant.checkpoint(session_id, self.now_ms)
                    self._checkpoint(plant, copy.terminal_id, report)

    def _checkpoint(self, plant: Plant, terminal_id: str, report: CheckpointReport) -> None:
        if plant.uplink:
            event_id = f"{report.resource_id}/{report.version}/{plant.site_id}"
            self.send(Sent(cat.REQUEST, Keyspace.TERMINAL, terminal_id, event_id, report))

    def _from_site(self, plant: Plant, topic: Topic, body: Message) -> None:
        if plant.uplink:
            self.send(Sent(topic, Keyspace.SITE, plant.site_id, f"{topic.name}/{self._count}", body))

    def _report(self, plant: Plant, statuses: list[Status]) -> None:
        for status in statuses:
            command = self._orders[status.command_id]
            event_id = f"{status.command_id}/{status.state}/{status.attempt}"
            keyspace = Keyspace(command.reply_keyspace)
            if plant.uplink:
                self.send(Sent(cat.STATUS, keyspace, command.reply_key, event_id, status))

    def _deliver(self) -> None:
        while self._way and self._way[0][0] <= self.now_ms:
            _, _, sent = heapq.heappop(self._way)
            if sent.keyspace is None:
                self._to_site(sent)
            elif sent.keyspace in self.controllers:
                controller = self.controllers[sent.keyspace]
                self._take(sent.keyspace, controller.handle(self._event(sent), self.view))

    def _to_site(self, sent: Sent) -> None:
        plant = self.plants.get(sent.key)
        if plant is not None and plant.alive and plant.uplink and isinstance(sent.body, Command):
            self._orders[sent.body.command_id] = sent.body
            self._report(plant, plant.obey(sent.body, self.now_ms, self.states))

    def _event(self, sent: Sent) -> Event:
        offset = self._offsets[sent.topic.name] = self._offsets.get(sent.topic.name, -1) + 1
        cause = sent.event_id if sent.topic.shared else f"{sent.topic.name}/0/{offset}"
        return Event(sent.body, sent.key, sent.topic.name, 0, offset, cause, self.now_ms, self.now_ms)

    def _take(self, keyspace: Keyspace, outputs: list[Output]) -> None:
        self.controllers[keyspace].validate()
        for output in outputs:
            self.said.append((self.now_ms, output))
            if output.row:
                self.view.apply(output.topic, output.key, output.body, self.now_ms)
            elif output.topic.shared and output.body is not None:
                self.send(Sent(output.topic, output.keyspace, output.key, output.event_id, output.body))
            elif isinstance(output.body, Command):
                self.send(Sent(output.topic, None, output.key, output.event_id, output.body))
