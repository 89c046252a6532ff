"""Reading a journal partition: which batches count, and what they leave behind (ENGINE 2.3, 2.6).

Rules. A batch counts only if its epoch is that of the latest FENCE before it and its number follows; at the log's start
a BEGIN stands for the trimmed FENCE. A frame of several batches counts only whole. Offsets are dense: a jump means that
the log was trimmed under the reader, who then begins again from empty.
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.engine.frames import (
    HEAD_KEY,
    TROUBLE,
    FenceNote,
    Header,
    Kind,
    Record,
    Story,
    decode_header,
)
from streams.engine.lost import StartRefused
from streams.engine.packing import OUTBOX_KEY, ROWS_MARK, unpack_outbox, unpack_rows
from streams.records import Written


class JournalFold:
    """What valid history says so far: rows and outbox as bytes, and the last frame's story."""

    def __init__(self, *, keep_stories: bool = False) -> None:
        """Nothing read yet; `keep_stories` keeps the story of every frame (for replay)."""
        self.restarts = self.skipped_batches = self.records_read = self.changes_read = 0
        self.next: int | None = None
        self.is_headless = False
        """Whether what was read begins neither at the very start nor with a checkpoint: then it says nothing."""
        self._keep_stories = keep_stories
        self._reset()

    def _reset(self) -> None:
        self.tables: dict[str, dict[str, bytes]] = {}
        self.outbox: dict[int, bytes] = {}
        self.story: Story | None = None
        self.stories: list[Story] = []
        self.origin: JournalFold | None = None
        """With stories, of a trimmed log: what its first checkpoint holds; the stories are those after it."""
        self.crashes: dict[str, int] = {}
        self.fence: int | None = None
        self.fence_note: FenceNote | None = None
        self.number = self.barren_fences = 0
        self.begin: int | None = None
        self.complete: tuple[int, int] | None = None
        """Of the last complete checkpoint: where its BEGIN stands, and the time it tells."""
        self._begun_ms = 0
        self._header: Header | None = None
        self._is_trimmed = False
        self._left = 0
        self._staged: list[Record] = []
        self._awaited: tuple[int, int] | None = None
        self._begun_at = -1
        self._told: Story | None = None

    @property
    def rows(self) -> dict[str, bytes]:
        """All rows as journalled, by `space/table/key`."""
        return {prefix + key: data for prefix, rows in self.tables.items() for key, data in rows.items()}

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return sum(map(len, self.tables.values()))

    def feed(self, records: Iterable[Written], upto: int) -> bool:
        """Fold records below offset `upto`; True once that place is reached."""
        for record in records:
            if record.offset >= upto:
                return True
            if record.offset != self.next:
                self._enter(record)
            self.next = record.offset + 1
            self.records_read += 1
            if self._left:
                self._content((record.key or b"", record.value or b""))
            elif record.key == HEAD_KEY and record.value is not None:
                self._head(record.offset, decode_header(record.value))
        return self.next is not None and self.next >= upto

    def _enter(self, record: Written) -> None:
        """The first record, or one behind a hole: the log was trimmed under us."""
        if self.next is not None:
            self.restarts += 1
            self._reset()
        self.is_headless = record.offset > 0 and not _is_begin(record)

    def _head(self, offset: int, header: Header) -> None:
        self._left = header.records - 1
        self._header = None
        if header.kind == Kind.FENCE:
            self._fenced(offset, header)
        elif header.kind in (Kind.CRASH, Kind.ATTEMPT):
            self._crashed(header)
        elif self._counts(header):
            self._header = header
            self._opened(offset, header)
        else:
            self.skipped_batches += 1

    def _fenced(self, offset: int, header: Header) -> None:
        self.fence, self.fence_note, self.number = offset, header.fence, 0
        self._staged, self._awaited = [], None
        self.barren_fences += 1

    def _crashed(self, header: Header) -> None:
        if header.epoch == self.fence:
            self.crashes[header.place] = self.crashes.get(header.place, 0) + TROUBLE[Kind(header.kind)]

    def _counts(self, header: Header) -> bool:
        if self.fence is None and header.kind == Kind.BEGIN:
            self.fence, self.number, self._is_trimmed = header.epoch, header.number - 1, True
        if header.epoch != self.fence:
            return False
        if header.part:
            return self._awaited == (header.number, header.part)
        return header.number == self.number + 1 and self._awaited is None

    def _opened(self, offset: int, header: Header) -> None:
        """The first or a further part of a frame that may count."""
        if header.story is not None:
            self._told = header.story
            self._begun_at = offset
        self._awaited = (header.number, header.part + 1) if header.part < header.parts - 1 else None
        if not self._left:
            self._closed()

    def _content(self, record: Record) -> None:
        self._left -= 1
        header = self._header
        if header is None:
            return
        if header.parts == 1:
            self._apply(record)
        else:
            self._staged.append(record)
        if not self._left:
            self._closed()

    def _closed(self) -> None:
        """All records of a batch were seen; with its last batch the frame is history."""
        header = self._header
        if header is None or self._awaited is not None:
            return
        for record in self._staged:
            self._apply(record)
        self._staged = []
        assert self._told is not None
        self.number, self.story, self.barren_fences = header.number, self._told, 0
        self._forget_passed_crashes(self._told)
        if self._keep_stories:
            self.stories.append(self._told)
        if header.kind == Kind.BEGIN:
            self.begin, self._begun_ms, self.changes_read = self._begun_at, self._told.time_ms, 0
        elif header.kind == Kind.END and self.begin is not None:
            self._completed(self.begin)

    def _completed(self, begin: int) -> None:
        """All rows were seen since BEGIN."""
        self.complete = begin, self._begun_ms
        self.changes_read = max(0, self.changes_read - self.row_count)  # copies are no changes
        if self._keep_stories and self._is_trimmed and self.origin is None:
            origin = self.origin = JournalFold()
            origin.tables = {prefix: dict(rows) for prefix, rows in self.tables.items()}
            origin.outbox, origin.crashes, origin.story = dict(self.outbox), dict(self.crashes), self.story
            self.stories = []

    def _apply(self, record: Record) -> None:
        name, value = record
        if name == OUTBOX_KEY:
            entries, gone = unpack_outbox(value)
            self.outbox.update(entries)
            for sequence in gone:
                self.outbox.pop(sequence, None)
            self.changes_read += len(entries) + len(gone)
            return
        if name[:1] != ROWS_MARK:
            raise StartRefused("the journal was written by another version of edgeweir: give the estate a new prefix")
        rows, removed = unpack_rows(value)
        known = self.tables.setdefault(name[1:].decode(), {})
        known.update(rows)
        for key in removed:
            known.pop(key, None)
        self.changes_read += len(rows) + len(removed)

    def _forget_passed_crashes(self, story: Story) -> None:
        """A place that a mark has passed is no trouble any more; counts of a checkpoint come with its story."""
        merged = {**story.crashes, **self.crashes}
        self.crashes = {place: n for place, n in merged.items() if _is_ahead(place, story.marks)}


def _is_begin(record: Written) -> bool:
    return record.key == HEAD_KEY and record.value is not None and decode_header(record.value).kind == Kind.BEGIN


def _is_ahead(place: str, marks: dict[str, int]) -> bool:
    name, _, offset = place.rpartition("/")
    return int(offset) > marks.get(name, -1)
