"""What the topics of a running demo say, kept for the view and for the judgement of what was expected.

It folds records as any user could: decisions, commands, statuses, rows, loads. Times are the broker's.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec

from schemas.base import Message
from schemas.cloudevents import read
from schemas.commands import Command
from schemas.decisions import Decision, HealthDecision
from schemas.errors import BadInput
from schemas.inventory import AppInventory, RegionInventory, SiteHealth, SiteInventory, Steering, TerminalInventory
from schemas.registry import TYPES
from schemas.statuses import CommandState, Hello, Status
from schemas.telemetry import AppLoad
from topics import catalogue as cat
from topics.topic import Topic

TOPICS: Final[tuple[Topic, ...]] = (
    *cat.DECISIONS.values(),
    *cat.COMMANDS.values(),
    cat.STATUS,
    cat.INVENTORY,
    cat.INVENTORY_TERMINAL,
    cat.STEERING,
    cat.APP_LOAD,
    cat.NODE_TELEMETRY,
    cat.LOCATION,
    cat.SESSION,
    cat.DEAD_LETTER,
)
_ONLY_TIMES: Final = {cat.NODE_TELEMETRY.name, cat.LOCATION.name, cat.SESSION.name}
_LATEST_EVENTS: Final = 20_000


class Decided(msgspec.Struct):
    """A decision, when the broker had it, and when its cause came (0: a tick, or unknown)."""

    decision: Decision
    at_ms: int
    event_ms: int = 0


class Ordered(msgspec.Struct):
    """A command, when it was first on its topic, how often it was said at each attempt, and what came of it."""

    command: Command
    at_ms: int
    said: dict[int, int] = {}
    statuses: list[tuple[int, Status]] = []

    def done_ms(self) -> int | None:
        """When its success was told; None before."""
        return next((at_ms for at_ms, s in self.statuses if s.state is CommandState.SUCCEEDED), None)

    def success(self) -> Status | None:
        """The status that told it."""
        return next((s for _, s in self.statuses if s.state is CommandState.SUCCEEDED), None)

    def is_over(self) -> bool:
        """Whether any terminal status came."""
        return any(status.state.terminal for _, status in self.statuses)


class Facts:
    """Everything that was said since `since_ms`, and every row: a kept run begins with those of the run before."""

    def __init__(self, since_ms: int = 0) -> None:
        self._since_ms = since_ms
        self.decisions: dict[str, Decided] = {}
        self.healths: list[tuple[int, HealthDecision]] = []
        self.commands: dict[str, Ordered] = {}
        self.early: dict[str, list[tuple[int, Status]]] = {}
        self.hellos: list[tuple[int, Hello]] = []
        self.loads: dict[tuple[str, str], list[AppLoad]] = {}
        self.sites: dict[str, SiteInventory] = {}
        self.apps: dict[str, AppInventory] = {}
        self.health: dict[str, SiteHealth] = {}
        self.terminals: dict[str, TerminalInventory] = {}
        self.steering: list[tuple[int, Steering]] = []
        self.steered: dict[tuple[str, str], Steering] = {}
        self.dead_letters = 0
        self.records = 0
        self._events: dict[tuple[str, int, int], int] = {}
        self._newest: deque[tuple[str, int, int]] = deque()

    def take(self, record: Any, *, prefix: str = "") -> Message | None:
        """Fold one record as the client gave it; returns its message where it has one of ours."""
        self.records += 1
        name = record.topic.removeprefix(prefix)
        self._note_event((name, record.partition, record.offset), record.timestamp)
        if name in _ONLY_TIMES or (record.timestamp < self._since_ms and not cat.BY_NAME[name].row):
            return None
        if name == cat.DEAD_LETTER.name:
            self.dead_letters += 1
            return None
        body = body_of(record)
        if body is not None:
            self.fold(body, record.timestamp)
        return body

    def fold(self, body: Message, at_ms: int) -> None:  # one line per kind of message
        """Take one message that the broker had at that time."""
        match body:
            case Decision():
                self._decision(body, at_ms)
            case HealthDecision():
                self.healths.append((at_ms, body))
            case Command():
                self._command(body, at_ms)
            case Status():
                self._status(body, at_ms)
            case Hello():
                self.hellos.append((at_ms, body))
            case AppLoad():
                self.loads.setdefault((body.site_id, body.app_id), []).append(body)
            case _:
                self._row(body, at_ms)

    def _row(self, body: Message, at_ms: int) -> None:
        match body:
            case SiteInventory():
                self.sites[body.site_id] = body
            case AppInventory():
                self.apps[body.app_id] = body
            case RegionInventory():
                self.health.update({row.site_id: row for row in body.sites})
            case TerminalInventory():
                self.terminals[body.terminal_id] = body
            case Steering():
                self.steering.append((at_ms, body))
                self.steered[body.app_id, body.zone_id] = body
            case _:
                pass

    def _decision(self, decision: Decision, at_ms: int) -> None:
        known = self.decisions.get(decision.decision_id)
        if known is not None:
            known.decision = msgspec.structs.replace(
                known.decision, outcome=decision.outcome, measured=decision.measured
            )
            return
        cause = decision.cause
        event_ms = self._events.get((cause.topic, cause.partition, cause.offset), 0)
        self.decisions[decision.decision_id] = Decided(decision, at_ms, event_ms)

    def _command(self, command: Command, at_ms: int) -> None:
        known = self.commands.get(command.command_id)
        if known is None:
            known = self.commands[command.command_id] = Ordered(command, at_ms)
            known.statuses = self.early.pop(command.command_id, [])
        known.said = {**known.said, command.attempt: known.said.get(command.attempt, 0) + 1}

    def _status(self, status: Status, at_ms: int) -> None:
        """Topics are read side by side: a status may come before its command."""
        known = self.commands.get(status.command_id)
        told = known.statuses if known is not None else self.early.setdefault(status.command_id, [])
        told.append((at_ms, status))

    def _note_event(self, place: tuple[str, int, int], at_ms: int) -> None:
        self._events[place] = at_ms
        self._newest.append(place)
        if len(self._newest) > _LATEST_EVENTS:
            self._events.pop(self._newest.popleft(), None)


def body_of(record: Any) -> Message | None:
    """The message of a record, if it is one of ours; what is not is some user's and no matter here."""
    try:
        got = read(
            record.headers,
            record.value,
            key=record.key,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
        )
        kind = TYPES.get(got.short_type)
        return got.body(kind) if kind is not None and got.data is not None else None
    except BadInput:
        return None
