"""A checkpoint may be cut at any point; reading from it gives what reading everything gives."""

from __future__ import annotations

import random

from edge_control.controllers.base import Controller
from edge_control.controllers.events import Input
from edge_control.controllers.outputs import Output
from edge_control.inventory.view import View
from streams.engine.cutter import Cutter
from streams.engine.fold import JournalFold
from streams.engine.frames import Frame, Header, Kind, batches
from streams.engine.partition import Partition, Portion
from tests.kafka.town import sample
from tests.streams.inputs import HOME, NOW, In, partition
from tests.streams.journal_log import Log
from topics.catalogue import NODE_TELEMETRY, Keyspace


def handle(controller: Controller, event: Input, view: View) -> list[Output]:
    return controller.handle(event, view)


class Writing:
    """A partition that is folded, cut and appended to a log without an engine."""

    def __init__(self, slice_keys: int) -> None:
        self.log, self.partition = Log(), partition()
        self.cutter = Cutter(self.partition, slice_keys)
        self.epoch, self.number, self.offset = self.log.fence(), 0, 0
        self.dice = random.Random(3)

    def fold(self, count: int) -> None:
        """Fold so many samples of ten nodes."""
        records = []
        for _ in range(count):
            key, value, attributes = sample(
                "s1", f"s1-n{self.dice.randrange(10)}", self.offset, self.dice.randrange(400)
            )
            records.append(In(offset=self.offset, key=key.encode(), value=value, headers=attributes))
            self.offset += 1
        portion = Portion(Keyspace.SITE, NODE_TELEMETRY, records, self.offset - 1)
        self.partition.fold(portion, NOW, View(), handle)

    def write(self, frame: Frame | None) -> int:
        """Append a frame; the offset of its first batch."""
        assert frame is not None
        self.number += 1
        parts = list(batches(frame.records, limit_bytes=700))
        offsets = [
            self.log.append(
                Header(
                    frame.kind, self.epoch, self.number, i, len(parts), len(part) + 1, story=None if i else frame.story
                ),
                part,
            )
            for i, part in enumerate(parts)
        ]
        for sequence, _ in frame.outputs[::2]:
            self.partition.take_out(sequence)
        return offsets[0]

    def checkpoint(self) -> int:
        """Begin one; the place of BEGIN."""
        return [self.write(frame) for frame in self.cutter.begin({})][-1]


def read(log: Log, start: int) -> JournalFold:
    history = JournalFold()
    history.feed([line for line in log.lines if line.offset >= start], log.next)
    return history


def loaded(history: JournalFold) -> Partition:
    part = partition(HOME)
    part.load(history)
    return part


def test_reading_from_begin_gives_what_reading_everything_gives() -> None:
    writing = Writing(slice_keys=3)
    for _ in range(5):
        writing.fold(20)
        writing.write(writing.cutter.cut({}))
    begin = writing.checkpoint()
    while writing.cutter.in_checkpoint:
        writing.fold(2)
        writing.write(writing.cutter.cut({}))
    writing.fold(7)
    writing.write(writing.cutter.cut({}))
    whole, short = read(writing.log, 0), read(writing.log, begin)
    assert short.rows == whole.rows
    assert short.outbox == whole.outbox
    assert short.story == whole.story
    assert len(whole.outbox) > 3
    assert set(loaded(short).outbox) - set(writing.partition.outbox) == set(writing.partition.removed)


def test_begin_stands_alone_and_end_closes_the_last_slice() -> None:
    writing = Writing(slice_keys=4)
    writing.fold(50)
    kinds = [frame.kind for frame in writing.cutter.begin({})]
    while writing.cutter.in_checkpoint:
        frame = writing.cutter.cut({})
        assert frame is not None
        kinds.append(frame.kind)
    assert kinds[:2] == [Kind.ROWS, Kind.BEGIN]
    assert kinds[-1] is Kind.END
    assert set(kinds[2:-1]) == {Kind.SLICE}
    assert len(kinds) > 4


def test_an_empty_partition_can_be_checkpointed() -> None:
    writing = Writing(slice_keys=4)
    begin = writing.checkpoint()
    writing.write(writing.cutter.cut({}))
    assert read(writing.log, begin).rows == {}
    assert not writing.cutter.in_checkpoint


def test_a_loaded_partition_goes_on_where_the_journal_ends() -> None:
    writing = Writing(slice_keys=4)
    writing.fold(60)
    writing.write(writing.cutter.cut({}))
    again = loaded(writing.log.fold())
    assert again.marks == writing.partition.marks
    assert (again.sequence, again.time_ms) == (writing.partition.sequence, writing.partition.time_ms)
    assert {p + k: t.encoded(k) for p, t in again.named_tables for k in t} == {
        p + k: t.encoded(k) for p, t in writing.partition.named_tables for k in t
    }
