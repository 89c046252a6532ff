"""The disk buffer keeps what it accepted, in order, within its bound, and tells damage from truth."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_emitters.buffer import Buffer, BufferTaken, opened
from edge_emitters.lane import Lane
from edge_emitters.records import Record, marked_buffered, record_of
from edge_emitters.segment import Frame, pack, scan
from schemas.location import SessionEvent, SessionState
from schemas.telemetry import NodeTelemetryBatch

MIB = 1_048_576


def session(number: int) -> Record:
    event = SessionEvent(
        terminal_id=f"t-{number}", session_id=f"s-{number}", app_id="video", state=SessionState.STARTED,
        observed_at_ms=number, boot_id="b", sequence=number,
    )  # fmt: skip
    return record_of(event, source="/edge/a/session", event_id=f"b/{number}", accepted_ms=number)


def batch(number: int, padding: int = 0) -> Record:
    body = NodeTelemetryBatch(
        site_id="a", gateway_id="g" + "x" * padding, boot_id="b", sequence=number, observed_at_ms=number, nodes=()
    )
    return record_of(body, source="/edge/a/gateway", event_id=f"b/{number}", accepted_ms=number)


def drained(lane: Lane) -> list[str]:
    """Event ids in the order in which the lane gives them out, each acknowledged."""
    seen: list[str] = []
    while frames := lane.peek(10, MIB):
        seen += [record.event_id for record in opened(frames)]
        lane.advance(frames[-1].number)
    return seen


def names(numbers: range) -> list[str]:
    return [f"b/{number}" for number in numbers]


def test_what_was_accepted_comes_out_in_order_also_after_a_restart_without_goodbye(tmp_path: Path) -> None:
    first = Buffer(tmp_path, MIB)
    assert all(first.put_event(session(number)) for number in range(2_000))
    kept = first.events.peek(700, MIB)
    first.events.advance(kept[-1].number)
    first.events.note()
    _lose(first)

    second = Buffer(tmp_path, MIB)
    assert second.put_event(session(2_000))
    assert drained(second.events) == names(range(len(kept), 2_001))
    assert second.waiting == 0


def test_a_mark_that_lags_gives_the_same_records_again_and_a_lost_mark_all_that_is_there(tmp_path: Path) -> None:
    first = Buffer(tmp_path, MIB)
    for number in range(5):
        first.put_event(session(number))
    first.events.advance(3)
    _lose(first)
    (tmp_path / "events" / "mark").write_bytes(b"\0\0")

    assert drained(Buffer(tmp_path, MIB).events) == names(range(5))


def test_segments_leave_the_disk_as_they_are_acknowledged(tmp_path: Path) -> None:
    buffer = Buffer(tmp_path, MIB)
    for number in range(2_000):
        buffer.put_event(session(number))
    full = buffer.size_bytes
    drained(buffer.events)
    buffer.put_event(session(2_000))
    assert full > 6 * MIB // 16
    assert buffer.size_bytes < 2 * MIB // 16


def test_when_full_the_oldest_telemetry_thins_out_and_every_event_stays(tmp_path: Path) -> None:
    buffer = Buffer(tmp_path, MIB)
    for number in range(3_000):
        assert buffer.put_telemetry(batch(number, padding=300))
        if number % 4 == 0:
            assert buffer.put_event(session(number))
        assert buffer.size_bytes <= MIB
    assert buffer.tally.thinned > 1_000
    assert drained(buffer.events) == names(range(0, 3_000, 4))

    kept = [int(name.removeprefix("b/")) for name in drained(buffer.telemetry)]
    assert kept == sorted(kept)
    assert len(kept) == 3_000 - buffer.tally.thinned
    assert kept[-50:] == list(range(2_950, 3_000))
    middle = kept[len(kept) // 3]
    assert sum(number < middle for number in kept) / middle < 0.6, "the older half is thinner"


def test_a_buffer_full_of_events_refuses_new_ones_to_their_face(tmp_path: Path) -> None:
    buffer = Buffer(tmp_path, MIB)
    accepted = [buffer.put_event(session(number)) for number in range(8_000)]
    assert accepted.index(False) == sum(accepted), "once full it stays full"
    assert buffer.tally.refused == 8_000 - sum(accepted)
    assert not buffer.put_telemetry(batch(1))
    assert buffer.size_bytes <= MIB
    assert drained(buffer.events) == names(range(sum(accepted)))
    assert buffer.put_event(session(9_000)), "room again"


@pytest.mark.parametrize("cut", [1, 11, 40])
def test_a_torn_tail_is_set_aside_and_counted_and_nothing_before_it_is_lost(tmp_path: Path, cut: int) -> None:
    first = Buffer(tmp_path, MIB)
    for number in range(10):
        first.put_event(session(number))
    _lose(first)
    (path,) = (tmp_path / "events").glob("*.seg")
    path.write_bytes(path.read_bytes()[:-cut])

    second = Buffer(tmp_path, MIB)
    assert second.tally.damaged == 1
    assert len(list((tmp_path / "aside").iterdir())) == 1
    second.put_event(session(10))
    assert drained(second.events) == [*names(range(9)), "b/10"]
    assert reopened(second, tmp_path).tally.damaged == 0


def test_a_flipped_bit_costs_one_record_and_its_bytes_are_kept(tmp_path: Path) -> None:
    first = Buffer(tmp_path, MIB)
    for number in range(10):
        first.put_event(session(number))
    _lose(first)
    (path,) = (tmp_path / "events").glob("*.seg")
    data = bytearray(path.read_bytes())
    data[data.index(b"s-4")] ^= 1
    path.write_bytes(data)

    second = Buffer(tmp_path, MIB)
    assert drained(second.events) == [*names(range(4)), *names(range(5, 10))]
    assert second.tally.damaged == 1
    assert b"r-4" in next((tmp_path / "aside").iterdir()).read_bytes()


def test_frames_are_found_again_behind_any_garbage() -> None:
    frames = [Frame(number, b"\xedEW\x01" * number) for number in range(1, 6)]
    whole = b"".join(b"\xedEW\x01\0\0\0\x09junk" + pack(frame) for frame in frames)
    found = scan(whole)
    assert found.frames == frames
    assert len(found.damaged) == 5


def test_a_thinning_that_was_cut_short_leaves_no_record_twice(tmp_path: Path) -> None:
    first = Buffer(tmp_path, MIB)
    for number in range(1_500):
        first.put_telemetry(batch(number, padding=100))
    whole = sorted((tmp_path / "telemetry").glob("*-0.seg"))[1]
    saved = whole.read_bytes()
    first.telemetry.thin()
    assert not whole.exists()
    whole.write_bytes(saved)
    _lose(first)

    out = drained(Buffer(tmp_path, MIB).telemetry)
    assert len(out) == len(set(out)) < 1_500


def test_two_gateways_cannot_share_a_folder(tmp_path: Path) -> None:
    held = Buffer(tmp_path, MIB)
    with pytest.raises(BufferTaken):
        Buffer(tmp_path, MIB)
    held.close()
    Buffer(tmp_path, MIB).close()


def test_a_record_that_waited_says_so_and_keeps_its_identity() -> None:
    said = marked_buffered(session(3))
    assert b'"buffered":true' in said.value
    assert (said.event_id, said.key, said.at_ms) == ("b/3", "t-3", 3)


def _lose(buffer: Buffer) -> None:
    """The process is gone: its lock is free, nothing was flushed or noted."""
    os.close(buffer._lock)


def reopened(buffer: Buffer, folder: Path) -> Buffer:
    buffer.close()
    return Buffer(folder, MIB)
