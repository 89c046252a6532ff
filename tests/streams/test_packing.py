"""Packed records: what goes in comes out, in pieces that a reader can hold; what fits nowhere is named."""

from __future__ import annotations

import random

import pytest

from streams.engine.frames import Entry, Record, decode_entry
from streams.engine.packing import (
    LIMIT_BYTES,
    OUTBOX_KEY,
    RECORD_BYTES,
    pack_outbox,
    pack_rows,
    unpack_outbox,
    unpack_rows,
)


def unpacked(records: list[Record]) -> tuple[dict[str, bytes], list[str]]:
    rows: dict[str, bytes] = {}
    removed: list[str] = []
    for _, value in records:
        some, gone = unpack_rows(value)
        rows.update(some)
        removed += gone
    return rows, removed


def test_rows_of_a_table_come_back_from_one_record() -> None:
    ((key, value),) = pack_rows("site/nodes/", {"n1": b"1", "n2": b"2"}, ["n3"])
    assert key == b"Rsite/nodes/"
    assert unpack_rows(value) == ({"n1": b"1", "n2": b"2"}, ["n3"])


@pytest.mark.parametrize("seed", range(5))
def test_many_rows_of_any_size_are_cut_into_records_that_a_reader_can_hold(seed: int) -> None:
    dice = random.Random(seed)
    rows = {f"n{i}": bytes(dice.choice((10, 300, 9_000))) for i in range(dice.randrange(1, 2_000))}
    removed = [f"gone-{i}" * dice.randrange(1, 20) for i in range(dice.randrange(8_000))]
    records = pack_rows("site/nodes/", rows, removed)
    assert unpacked(records) == (rows, removed)
    assert all(len(value) <= RECORD_BYTES for _, value in records)
    assert len(records) < 3 + 3 * (sum(map(len, rows.values())) + sum(map(len, removed))) // RECORD_BYTES


def test_a_row_larger_than_a_record_has_one_of_its_own() -> None:
    rows = {"small": b"1", "large": bytes(2 * RECORD_BYTES), "last": b"2"}
    records = pack_rows("site/nodes/", rows, ["x"])
    assert unpacked(records) == (rows, ["x"])
    assert sum(len(value) > RECORD_BYTES for _, value in records) == 1


def test_a_row_that_no_journal_could_hold_is_named() -> None:
    rows = {"small": b"1", "huge-one": bytes(LIMIT_BYTES + 1)}
    with pytest.raises(AssertionError, match=r"Rsite/nodes/huge-one of 31\d+ bytes cannot be journalled"):
        pack_rows("site/nodes/", rows, [])


def test_outbox_entries_come_back_and_an_impossible_one_is_named() -> None:
    entries = {7: Entry("t", 0, b"k", b"v", (("a", None),)), 9: Entry("t", 1, None, None, ())}
    ((key, value),) = pack_outbox(entries, [1, 2])
    found, removed = unpack_outbox(value)
    assert (key, removed) == (OUTBOX_KEY, [1, 2])
    assert {sequence: decode_entry(data) for sequence, data in found.items()} == entries
    with pytest.raises(AssertionError, match="O9 of"):
        pack_outbox({9: Entry("t", 0, None, bytes(LIMIT_BYTES), ())}, [])
