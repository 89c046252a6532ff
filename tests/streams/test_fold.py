"""Which batches of a journal count: fences, numbers, parts, trims."""

from __future__ import annotations

import pytest

from streams.engine.fold import JournalFold
from streams.engine.frames import Kind, batches
from streams.engine.trimming import Trimming
from tests.streams.journal_log import Log


def test_what_a_deposed_owner_appends_after_the_fence_is_void() -> None:
    log = Log()
    old = log.fence()
    log.frame(old, 1, {"site/a/x": b"1"})
    new = log.fence()
    log.frame(old, 2, {"site/a/x": b"zombie", "site/a/y": b"zombie"})
    log.frame(new, 1, {"site/a/z": b"3"})
    history = log.fold()
    assert history.rows == {"site/a/x": b"1", "site/a/z": b"3"}
    assert history.skipped_batches == 1


def test_after_a_missing_frame_nothing_of_its_owner_counts() -> None:
    log = Log()
    epoch = log.fence()
    log.frame(epoch, 1, {"site/a/x": b"1"})
    log.frame(epoch, 3, {"site/a/x": b"3"})
    log.frame(epoch, 4, {"site/a/x": b"4"})
    assert log.fold().rows == {"site/a/x": b"1"}


def test_a_null_value_removes_a_row() -> None:
    log = Log()
    epoch = log.fence()
    log.frame(epoch, 1, {"site/a/x": b"1", "site/a/y": b"1"})
    log.frame(epoch, 2, {"site/a/x": None})
    assert log.fold().rows == {"site/a/y": b"1"}


def test_a_frame_of_three_batches_counts_only_whole() -> None:
    log = Log()
    epoch = log.fence()
    log.frame(epoch, 1, {"site/a/x": b"1"}, part=0, parts=3, marks={"t/site": 5})
    log.frame(epoch, 1, {"site/a/y": b"1"}, part=1, parts=3)
    cut = log.fold()
    assert cut.rows == {}
    assert cut.story is None
    log.frame(epoch, 1, {"site/a/z": b"1"}, part=2, parts=3)
    whole = log.fold()
    assert set(whole.rows) == {"site/a/x", "site/a/y", "site/a/z"}
    assert whole.story is not None
    assert whole.story.marks == {"t/site": 5}


def test_an_older_writers_garbage_between_two_parts_does_no_harm_but_a_fence_does() -> None:
    log = Log()
    old = log.fence()
    epoch = log.fence()
    log.frame(epoch, 1, {"site/a/x": b"1"}, part=0, parts=2)
    log.frame(old, 7, {"site/a/x": b"zombie"})
    log.frame(epoch, 1, {"site/a/y": b"1"}, part=1, parts=2)
    assert set(log.fold().rows) == {"site/a/x", "site/a/y"}
    fenced = Log()
    epoch = fenced.fence()
    fenced.frame(epoch, 1, {"site/a/x": b"1"}, part=0, parts=2)
    fenced.fence()
    fenced.frame(epoch, 1, {"site/a/y": b"1"}, part=1, parts=2)
    assert fenced.fold().rows == {}


def test_an_incomplete_frame_voids_all_that_its_owner_wrote_after_it() -> None:
    log = Log()
    epoch = log.fence()
    log.frame(epoch, 1, {"site/a/x": b"1"}, part=0, parts=2)
    log.frame(epoch, 2, {"site/a/y": b"2"})
    assert log.fold().rows == {}


def test_at_the_start_of_a_trimmed_log_begin_stands_for_the_fence() -> None:
    log = Log()
    epoch = log.fence()
    log.frame(epoch, 1, {"site/a/gone": b"1"})
    begin = log.frame(epoch, 2, {}, kind=Kind.BEGIN, marks={"t/site": 9})
    log.frame(epoch, 3, {"site/a/kept": b"1"}, kind=Kind.END)
    log.frame(epoch, 4, {"site/a/more": b"1"})
    log.trim(begin)
    history = log.fold()
    assert set(history.rows) == {"site/a/kept", "site/a/more"}
    assert history.begin == begin


def test_a_reader_whose_log_is_trimmed_under_it_begins_again_from_empty() -> None:
    log = Log()
    epoch = log.fence()
    log.frame(epoch, 1, {"site/a/deleted-later": b"1"})
    history = JournalFold()
    assert not history.feed(log.lines, 1 << 60)
    log.frame(epoch, 2, {"site/a/deleted-later": None})
    begin = log.frame(epoch, 3, {}, kind=Kind.BEGIN)
    log.frame(epoch, 4, {"site/a/kept": b"1"}, kind=Kind.END)
    log.trim(begin)
    assert history.feed(log.lines, log.next)
    assert history.rows == {"site/a/kept": b"1"}
    assert history.restarts == 1


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_how_the_reader_cuts_its_fetches_makes_no_difference(size: int) -> None:
    log = Log()
    old = log.fence()
    log.frame(old, 1, {f"site/a/{i}": b"1" for i in range(5)})
    epoch = log.fence()
    log.frame(old, 2, {f"site/a/{i}": b"zombie" for i in range(5)})
    log.frame(epoch, 1, {"site/a/3": b"2"}, part=0, parts=2)
    log.frame(epoch, 1, {"site/a/4": None}, part=1, parts=2)
    history = JournalFold()
    reached = [history.feed(log.lines[start : start + size], log.next) for start in range(0, len(log.lines), size)]
    assert reached[-1]
    assert history.rows == log.fold().rows == {"site/a/0": b"1", "site/a/1": b"1", "site/a/2": b"1", "site/a/3": b"2"}


def test_crashes_count_until_a_mark_passes_their_place() -> None:
    log = Log()
    first = log.fence()
    log.note(Kind.CRASH, first, "t/site/7")
    second = log.fence()
    log.note(Kind.CRASH, first, "t/site/7")
    log.note(Kind.ATTEMPT, second, "t/site/7")
    history = log.fold()
    assert history.crashes == {"t/site/7": 3}
    assert history.barren_fences == 2
    log.frame(second, 1, {}, marks={"t/site": 6})
    assert log.fold().crashes == {"t/site/7": 3}
    log.frame(second, 2, {}, marks={"t/site": 7})
    assert log.fold().crashes == {}
    assert log.fold().barren_fences == 0


def test_records_are_packed_into_as_few_batches_as_fit() -> None:
    records: list[tuple[bytes, bytes]] = [(b"k", b"x" * 1000) for _ in range(10)]
    parts = list(batches(records, limit_bytes=3500))
    assert [len(part) for part in parts] == [3, 3, 3, 1]
    assert [record for part in parts for record in part] == records
    assert list(batches([])) == [[]]


def test_a_log_that_begins_with_neither_its_first_record_nor_a_checkpoint_says_nothing() -> None:
    log = Log()
    epoch = log.fence()
    cut = log.frame(epoch, 1, {"site/a/x": b"1"})
    begin = log.frame(epoch, 2, {}, kind=Kind.BEGIN)
    log.frame(epoch, 3, {"site/a/x": b"1"}, kind=Kind.END)
    assert not log.fold().is_headless
    log.trim(cut)
    assert log.fold().is_headless
    log.trim(begin)
    assert not log.fold().is_headless


def test_with_stories_a_trimmed_log_tells_its_first_checkpoint_and_what_came_after() -> None:
    log = Log()
    epoch = log.fence()
    begin = log.frame(epoch, 1, {}, kind=Kind.BEGIN, marks={"t/site": 1})
    log.frame(epoch, 2, {"site/a/x": b"1"}, kind=Kind.SLICE, marks={"t/site": 2})
    log.frame(epoch, 3, {"site/a/y": b"1"}, kind=Kind.END, marks={"t/site": 3})
    log.frame(epoch, 4, {"site/a/x": b"2"}, marks={"t/site": 4})
    whole = JournalFold(keep_stories=True)
    whole.feed(log.lines, log.next)
    assert (whole.origin, len(whole.stories)) == (None, 4)
    log.trim(begin)
    history = JournalFold(keep_stories=True)
    history.feed(log.lines, log.next)
    assert history.origin is not None
    assert history.origin.rows == {"site/a/x": b"1", "site/a/y": b"1"}
    assert [story.marks["t/site"] for story in history.stories] == [4]
    assert history.complete == (begin, 0)


def test_a_journal_is_trimmed_to_the_newest_checkpoint_before_the_horizon_and_never_when_all_is_kept() -> None:
    trimming = Trimming(keep_ms=1000)
    for begin in (10, 20, 30):
        trimming.completed(begin, begun_at_ms=begin * 100)
    assert trimming.due(2000) is None
    assert trimming.due(3500) == 20
    assert trimming.due(3500) is None
    assert trimming.due(9000) == 30
    everything = Trimming(keep_ms=0)
    everything.completed(10, 1)
    assert everything.due(1 << 50) is None
