"""One partition's state: the four controllers' tables, outbox and marks, which move together into one pending frame.

Synchronous and without a clock: a fold is one step, and what is cut afterwards holds everything folded so far, so no
row can ever hold an event whose mark it lacks. The same object folds live inputs and replays journalled ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from edge_control.controllers.base import Controller
from edge_control.controllers.events import Event, Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.inventory.tables import Row, Table
from edge_control.inventory.view import View
from schemas.errors import BadInput
from streams.engine.deadletter import dead_letter, sent_home
from streams.engine.decode import HANDLER_CRASH, Arrived, Passed, Refused, Stray, decode, within_a_day
from streams.engine.envelopes import Speaker, entry_of
from streams.engine.fold import JournalFold
from streams.engine.frames import QUARANTINE_AT, Entry, Folded, decode_entry
from streams.engine.lane import Lane
from streams.engine.normalise import REFUSED, Normaliser
from streams.engine.tally import Tally
from streams.records import Record
from topics.catalogue import INPUTS, NODE_TELEMETRY, Keyspace, Topic

Handle = Callable[[Controller, Input, View], list[Output]]
"""A controller's door, unbound (`SiteController.fold`)."""
ENGINE_SPACE = "engine"


class Heard(Row):
    """The greatest sequence number folded from one sending partition on one topic and keyspace."""

    sequence: int = 0


class Portion(msgspec.Struct, frozen=True):
    """Records for one controller; after them it knows the topic up to offset `last`."""

    keyspace: Keyspace
    topic: Topic
    records: Sequence[Record]
    last: int


class Turn(msgspec.Struct, frozen=True):
    """When, on which view and by which door a portion is folded."""

    now_ms: int
    view: View
    handle: Handle


class Partition:
    """All that the owner of a partition knows; see the module."""

    def __init__(
        self, speaker: Speaker, controllers: Mapping[Keyspace, Controller], normaliser: Normaliser | None = None
    ) -> None:
        """Empty: nothing was ever folded."""
        self.speaker = speaker
        self.controllers = controllers
        self.heard: Table[Heard] = Table("heard", Heard)
        self.marks: dict[str, int] = {}
        self.outbox: dict[int, Entry] = {}
        self.sequence = self.time_ms = 0
        self.at = -1
        self.crashes: dict[str, int] = {}
        self.folded: list[Folded] = []
        self.fresh: list[tuple[int, Entry, bool]] = []
        self.removed: list[int] = []
        self.moved = False
        self._normaliser = normaliser or Normaliser()
        self._lane = Lane(speaker.partition, speaker.partitions)
        self._counted: dict[Keyspace, tuple[int, int]] = {}
        spaces: dict[str, tuple[Table[Any], ...]] = {
            ENGINE_SPACE: (self.heard,),
            **{str(space): controller.tables for space, controller in controllers.items()},
        }
        self.named_tables: tuple[tuple[str, Table[Any]], ...] = tuple(
            (f"{space}/{table.name}/", table) for space, tables in spaces.items() for table in tables
        )
        """Every table with the prefix of its rows in the journal, in a fixed order."""

    @property
    def number(self) -> int:
        """Which partition this is."""
        return self.speaker.partition

    def load(self, history: JournalFold) -> None:
        """Take what the journal says, undecoded; indexes are made again."""
        tables = dict(self.named_tables)
        for prefix, rows in history.tables.items():
            tables[prefix].load_all(rows)
        self.outbox = {sequence: decode_entry(history.outbox[sequence]) for sequence in sorted(history.outbox)}
        self.crashes = dict(history.crashes)
        if history.story is not None:
            self.marks = dict(history.story.marks)
            self.sequence, self.time_ms = history.story.sequence, history.story.time_ms
        for controller in self.controllers.values():
            controller.rebuild()

    def mark(self, topic: Topic, keyspace: Keyspace) -> int:
        """The last folded offset; -1 before the first."""
        return self.marks.get(f"{topic.name}/{keyspace}", -1)

    def start_of(self, topic: Topic) -> int:
        """Where reading a topic goes on: behind the least mark of its keyspaces; -1 when some have none."""
        return min(self.mark(topic, keyspace) for keyspace in keyspaces_of(topic)) + 1

    @property
    def pending_rows(self) -> int:
        """How much the next frame would carry."""
        return sum(len(table.dirty) for _, table in self.named_tables) + len(self.fresh)

    @property
    def is_urgent(self) -> bool:
        """Whether something waits that others wait for (marks and removals alone may wait)."""
        return bool(self.fresh) or any(table.dirty for _, table in self.named_tables)

    @property
    def is_pending(self) -> bool:
        """Whether there is anything to journal."""
        return self.moved or bool(self.removed) or self.is_urgent

    def fold(self, portion: Portion, now_ms: int, view: View, handle: Handle) -> Tally:
        """Fold a portion: rows, outputs and the mark move together.

        An exception means a bug in `handle`: this object must then be thrown away, never written.
        """
        now_ms = self.time_ms = max(now_ms, self.time_ms)
        keyspace, topic = portion.keyspace, portion.topic
        done, tally, controller = self.mark(topic, keyspace), Tally(), self.controllers[keyspace]
        skipped = self._fold_all(portion, done, Turn(now_ms, view, handle), tally)
        self._offer(controller.settle(now_ms, view), now_ms)
        self._account(keyspace, tally)
        if portion.last > done:
            first = max(done + 1, portion.records[0].offset) if portion.records else portion.last
            self._note(Folded(keyspace, topic.name, first, portion.last, now_ms, skipped))
        return tally

    def _fold_all(self, portion: Portion, done: int, turn: Turn, tally: Tally) -> tuple[int, ...]:
        """Each record by the fast lane if it can, else the whole way; the offsets that were quarantined."""
        controller, skipped = self.controllers[portion.keyspace], list[int]()
        records, now_ms, view = _behind(done, portion.records), turn.now_ms, turn.view
        read = self._lane.read if self._is_fast(portion.topic, controller) else None
        absorb = controller.absorb
        for record in records:
            self.at = offset = record.offset
            if read is not None:
                reading = read(record)
                if reading is not None and absorb(reading, offset, now_ms, view):
                    tally.applied += 1
                    continue
            if self.is_quarantined(portion.topic, portion.keyspace, offset):
                skipped.append(offset)
                self._refuse(portion.topic, record, Refused(HANDLER_CRASH, "the controller crashed on it"), tally)
                continue
            if portion.topic.dialect:
                self._say_again(portion.topic, record, turn, tally)
                continue
            event = self._event(portion, record, now_ms, tally)
            if event is not None:
                tally.applied += 1
                self._offer(turn.handle(controller, event, view), now_ms)
        tally.events += len(records)
        return tuple(skipped)

    def _is_fast(self, topic: Topic, controller: Controller) -> bool:
        """Whether records of the topic may take the fast lane; where a crash is remembered each one is looked at."""
        return topic is NODE_TELEMETRY and not self.crashes and type(controller).absorb is not Controller.absorb

    def _account(self, keyspace: Keyspace, tally: Tally) -> None:
        """What the controller found to be no news was not applied."""
        counts = self.controllers[keyspace].counts
        before, now = self._counted.get(keyspace, (0, 0)), (counts.duplicates, counts.late)
        if now != before:
            self._counted[keyspace] = now
            tally.no_news(now[0] - before[0], now[1] - before[1])

    def tick(self, keyspace: Keyspace, tick: Tick, view: View, handle: Callable[[Input, View], list[Output]]) -> bool:
        """Let time pass for one controller; False, and nothing noted, if that changed nothing."""
        self.time_ms = max(self.time_ms, tick.now_ms)
        outputs = handle(tick, view)
        self._offer(outputs, tick.now_ms)
        if not outputs and not any(table.dirty for table in self.controllers[keyspace].tables):
            return False
        self.folded.append(Folded(keyspace, "", 0, 0, tick.now_ms, (), tick.lag_ms, tick.view_age_ms))
        return True

    def skip(self, topic: Topic, keyspace: Keyspace, last: int) -> None:
        """Nothing up to this offset is for this controller: only its mark moves."""
        if last > self.mark(topic, keyspace):
            self.marks[f"{topic.name}/{keyspace}"] = last
            self.moved = True

    def is_quarantined(self, topic: Topic, keyspace: Keyspace, offset: int) -> bool:
        """Whether folding this record has crashed too often."""
        return bool(self.crashes) and self.crashes.get(f"{topic.name}/{keyspace}/{offset}", 0) >= QUARANTINE_AT

    def publish_rows(self, now_ms: int) -> None:
        """Offer every public row again (after a takeover, and with a checkpoint)."""
        for controller in self.controllers.values():
            self._offer(controller.public_rows(), max(now_ms, self.time_ms))

    def take_out(self, sequence: int) -> None:
        """An output was acknowledged, or withheld for good: its entry goes with a later frame."""
        if self.outbox.pop(sequence, None) is not None:
            self.removed.append(sequence)

    def _event(self, portion: Portion, record: Record, now_ms: int, tally: Tally) -> Event | None:
        topic = portion.topic
        outcome = decode(topic, record, self.speaker.partitions, now_ms)
        match outcome:
            case Arrived():
                if outcome.sender and not self._is_news(portion, outcome):
                    tally.duplicates += 1
                    return None
                return outcome.event
            case Refused():
                self._refuse(topic, record, outcome, tally)
            case Stray():
                tally.strays += 1
                self._add(sent_home(topic, record, outcome.partition))
            case Passed():
                tally.tombstones += 1
        return None

    def _say_again(self, topic: Topic, record: Record, turn: Turn, tally: Tally) -> None:
        """A foreign record becomes ours, on its way to its site or terminal; it touches no state here."""
        try:
            said = self._normaliser.normalise(topic, record, within_a_day(record.timestamp, turn.now_ms), turn.view)
        except BadInput as error:
            tally.met(topic.dialect, REFUSED, error.reason.value)
            self._refuse(topic, record, Refused(error.reason.value, error.detail), tally)
            return
        tally.applied += 1
        for kind, name, times in said.met:
            tally.met(topic.dialect, kind, name, times)
        self._offer(said.outputs, turn.now_ms)

    def _is_news(self, portion: Portion, arrived: Arrived) -> bool:
        """Sequence numbers of one sender only grow within a partition: what is not greater is a copy."""
        key = f"{portion.keyspace}{arrived.sender}#{portion.topic.name}"
        heard = self.heard.get(key)
        if heard is not None and arrived.sequence <= heard.sequence:
            return False
        self.heard[key] = Heard(sequence=arrived.sequence)
        return True

    def _refuse(self, topic: Topic, record: Record, refused: Refused, tally: Tally) -> None:
        tally.refuse(refused.reason)
        self._add(dead_letter(topic, record, refused, self.speaker.partitions))

    def _offer(self, outputs: list[Output], now_ms: int) -> None:
        for output in outputs:
            self._add(entry_of(output, self.sequence + 1, now_ms, self.speaker), is_row=output.row)

    def _add(self, entry: Entry, *, is_row: bool = False) -> None:
        self.sequence += 1
        self.fresh.append((self.sequence, entry, is_row))
        if not is_row:
            self.outbox[self.sequence] = entry

    def _note(self, folded: Folded) -> None:
        self.folded.append(folded)
        self.marks[f"{folded.topic}/{folded.keyspace}"] = folded.last
        self.moved = True


def _behind(done: int, records: Sequence[Record]) -> Sequence[Record]:
    """The records that were not folded before; usually all."""
    if not records or records[0].offset > done:
        return records
    return [record for record in records if record.offset > done]


def keyspaces_of(topic: Topic) -> tuple[Keyspace, ...]:
    """The controllers that fold an input topic."""
    return tuple(Keyspace) if topic.keyspace is None else (topic.keyspace,)


def fence_with(partition: Partition, epoch: int) -> None:
    """The epoch is known: from now on commands carry it."""
    partition.speaker = msgspec.structs.replace(partition.speaker, epoch=epoch)


ALL_MARKS: tuple[tuple[Topic, Keyspace], ...] = tuple(
    (topic, keyspace) for topic in INPUTS for keyspace in keyspaces_of(topic)
)
"""Every (topic, keyspace) that has a mark."""
