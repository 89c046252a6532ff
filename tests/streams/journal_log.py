"""A journal partition in memory for pure tests: batches appended one after another, as a broker would keep them."""

from __future__ import annotations

from typing import NamedTuple

from streams.engine.fold import JournalFold
from streams.engine.frames import (
    HEAD_KEY,
    FenceNote,
    Header,
    Kind,
    Record,
    Story,
    encode_header,
)
from streams.engine.packing import pack_rows


class Line(NamedTuple):
    """One record with its place."""

    offset: int
    key: bytes | None
    value: bytes | None


class Log:
    """Appends batches; `lines` are what a reader sees."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.next = 0

    def append(self, header: Header, records: list[Record]) -> int:
        """Append one batch; its base offset."""
        base = self.next
        for key, value in [(HEAD_KEY, encode_header(header)), *records]:
            self.lines.append(Line(self.next, key, value))
            self.next += 1
        return base

    def fence(self) -> int:
        """A new owner; its epoch."""
        return self.append(Header(Kind.FENCE, -1, 0, 0, 1, 1, fence=FenceNote(0, 1, "m")), [])

    def frame(
        self,
        epoch: int,
        number: int,
        rows: dict[str, bytes | None],
        *,
        kind: Kind = Kind.ROWS,
        part: int = 0,
        parts: int = 1,
        marks: dict[str, int] | None = None,
    ) -> int:
        """One batch of a frame."""
        records: list[Record] = []
        for name, value in rows.items():
            space, table, key = name.split("/")
            kept, removed = ({}, [key]) if value is None else ({key: value}, [])
            records += pack_rows(f"{space}/{table}/", kept, removed)
        story = Story((), marks or {}, 0, 0, {}, {}) if part == 0 else None
        return self.append(Header(kind, epoch, number, part, parts, len(records) + 1, story=story), records)

    def note(self, kind: Kind, epoch: int, place: str) -> int:
        """A crash or an attempt."""
        return self.append(Header(kind, epoch, 0, 0, 1, 1, place=place), [])

    def trim(self, upto: int) -> None:
        """Remove everything below an offset."""
        self.lines = [line for line in self.lines if line.offset >= upto]

    def fold(self) -> JournalFold:
        """What a reader of all of it believes."""
        history = JournalFold()
        history.feed(self.lines, self.next)
        return history
