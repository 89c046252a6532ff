"""Cutting frames: all that is pending, and in their turn the slices of a checkpoint (ENGINE 2.6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from streams.engine.frames import (
    Frame,
    Kind,
    Record,
    Story,
    encode_entry,
    outbox_key,
    row_key,
)
from streams.engine.partition import Partition

_Key = tuple[str, str] | int


class Cutter:
    """Makes frames of a partition. A cut is one synchronous step, as a fold is."""

    def __init__(self, partition: Partition, slice_keys: int = 1_000) -> None:
        """No checkpoint runs; `slice_keys` of its rows ride in one frame."""
        self.partition = partition
        self._slice_keys = slice_keys
        self._slices: deque[_Key] | None = None

    @property
    def in_checkpoint(self) -> bool:
        """Whether slices are still to be written."""
        return self._slices is not None

    def cut(self, views: Mapping[str, tuple[int, ...]]) -> Frame | None:
        """The next frame, or None when nothing waits; while a checkpoint runs it carries a slice."""
        partition = self.partition
        if not partition.is_pending and self._slices is None:
            return None
        kind = Kind.ROWS
        records = self._rows()
        records += [(outbox_key(sequence), None) for sequence in partition.removed]
        outputs = [(sequence, entry) for sequence, entry, _ in partition.fresh]
        kept = [(sequence, entry) for sequence, entry, is_row in partition.fresh if not is_row]
        records += [(outbox_key(sequence), encode_entry(entry)) for sequence, entry in kept]
        if self._slices is not None:
            records += self._slice({key for key, _ in records})
            kind = Kind.SLICE if self._slices else Kind.END
            self._slices = self._slices or None
        frame = Frame(kind=kind, records=records, story=self._story(views), outputs=outputs)
        partition.folded, partition.fresh, partition.removed, partition.moved = [], [], [], False
        return frame

    def begin(self, views: Mapping[str, tuple[int, ...]]) -> list[Frame]:
        """Start a checkpoint: what is pending first, then BEGIN alone in its frame."""
        assert self._slices is None, "a checkpoint runs already"
        pending = self.cut(views)
        rows: list[_Key] = [(prefix, key) for prefix, table in self.partition.named_tables for key in table]
        self._slices = deque([*rows, *self.partition.outbox])
        begin = Frame(kind=Kind.BEGIN, records=[], story=self._story(views), outputs=[])
        return [begin] if pending is None else [pending, begin]

    def _rows(self) -> list[Record]:
        return [
            (row_key(prefix + key), table.encoded(key))
            for prefix, table in self.partition.named_tables
            for key in table.take_dirty()
        ]

    def _slice(self, written: set[bytes]) -> list[Record]:
        """The next rows and outbox entries as they are now; what is gone or written in this frame needs no copy."""
        assert self._slices is not None
        tables = dict(self.partition.named_tables)
        records: list[Record] = []
        for _ in range(min(self._slice_keys, len(self._slices))):
            found = self._slices.popleft()
            record = self._copy(found) if isinstance(found, int) else None
            if not isinstance(found, int):
                prefix, key = found
                record = (row_key(prefix + key), tables[prefix].encoded(key))
            if record is not None and record[1] is not None and record[0] not in written:
                records.append(record)
        return records

    def _copy(self, sequence: int) -> Record | None:
        entry = self.partition.outbox.get(sequence)
        return None if entry is None else (outbox_key(sequence), encode_entry(entry))

    def _story(self, views: Mapping[str, tuple[int, ...]]) -> Story:
        partition = self.partition
        return Story(
            folded=tuple(partition.folded),
            marks=dict(partition.marks),
            sequence=partition.sequence,
            time_ms=partition.time_ms,
            views=dict(views),
            crashes=partition.crashes,
        )
