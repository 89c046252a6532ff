"""Cutting frames: all that is pending, and in their turn the slices of a checkpoint (ENGINE 2.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from streams.engine.frames import Frame, Kind, Story
from streams.engine.packing import pack_outbox, pack_rows
from streams.engine.partition import Partition

SLICE_BYTES: Final = 262_144
"""Rows of a checkpoint in one frame: more would make the frame's outputs wait."""


class Slices(msgspec.Struct):
    """What a running checkpoint has still to copy: keys of rows by table, and numbers of outbox entries."""

    keys: dict[str, list[str]]
    outbox: list[int]

    @property
    def is_empty(self) -> bool:
        """Whether everything was copied."""
        return not self.outbox and not any(self.keys.values())


class Cutter:
    """Makes frames of a partition. A cut is one synchronous step, as a fold is."""

    def __init__(self, partition: Partition, slice_keys: int = 1_000) -> None:
        """No checkpoint runs; `slice_keys` of its rows ride in one frame."""
        self.partition = partition
        self._slice_keys = slice_keys
        self._slices: Slices | None = None

    @property
    def in_checkpoint(self) -> bool:
        """Whether slices are still to be written."""
        return self._slices is not None

    def cut(self, views: Mapping[str, tuple[int, ...]]) -> Frame | None:
        """The next frame, or None when nothing waits; while a checkpoint runs it carries a slice."""
        partition, slices = self.partition, self._slices
        if not partition.is_pending and slices is None:
            return None
        frame = self._frame(Kind.ROWS, views)
        self._cut_rows(frame, slices)
        self._cut_outbox(frame, slices)
        frame.outputs = [(sequence, entry) for sequence, entry, _ in partition.fresh]
        if slices is not None:
            frame.kind = Kind.END if slices.is_empty else Kind.SLICE
            self._slices = None if slices.is_empty else slices
        partition.folded, partition.fresh, partition.removed, partition.moved = [], [], [], False
        return frame

    def begin(self, views: Mapping[str, tuple[int, ...]]) -> list[Frame]:
        """Start a checkpoint: what is pending first, then BEGIN alone in its frame."""
        assert self._slices is None, "a checkpoint runs already"
        pending = self.cut(views)
        self._slices = Slices(
            {prefix: list(table) for prefix, table in self.partition.named_tables}, list(self.partition.outbox)
        )
        begin = self._frame(Kind.BEGIN, views)
        return [begin] if pending is None else [pending, begin]

    def _cut_rows(self, frame: Frame, slices: Slices | None) -> None:
        """Changed rows, and rows of the slice that are not among them."""
        left, left_bytes = self._slice_keys, SLICE_BYTES
        for prefix, table in self.partition.named_tables:
            keys = slices.keys[prefix] if slices is not None and left > 0 and left_bytes > 0 else None
            if not table.dirty and not keys:
                continue
            rows, removed = table.take_changes()
            changed = len(rows)
            if keys:
                taken, size = table.copy(keys, rows, most=left, limit_bytes=left_bytes)
                left, left_bytes = left - taken, left_bytes - size
            frame.changes += changed + len(removed)
            frame.copies += len(rows) - changed
            if rows or removed:
                frame.records += pack_rows(prefix, rows, removed)

    def _cut_outbox(self, frame: Frame, slices: Slices | None) -> None:
        """New entries, those that went, and the slice's turn of those that stand."""
        partition = self.partition
        entries = {sequence: entry for sequence, entry, is_row in partition.fresh if not is_row}
        removed, changed = partition.removed, len(entries)
        if slices is not None and slices.outbox and not any(slices.keys.values()):
            turn, slices.outbox = slices.outbox[: self._slice_keys], slices.outbox[self._slice_keys :]
            entries.update((number, partition.outbox[number]) for number in turn if number in partition.outbox)
        if entries or removed:
            frame.records += pack_outbox(entries, removed)
        frame.changes += changed + len(removed)
        frame.copies += len(entries) - changed

    def _frame(self, kind: Kind, views: Mapping[str, tuple[int, ...]]) -> Frame:
        partition = self.partition
        story = Story(
            folded=tuple(partition.folded),
            marks=dict(partition.marks),
            sequence=partition.sequence,
            time_ms=partition.time_ms,
            views=dict(views),
            crashes=partition.crashes,
        )
        return Frame(kind=kind, records=[], story=story, outputs=[])
