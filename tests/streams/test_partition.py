"""A fold moves rows, outputs and marks together; what is bad or not ours becomes an output as well."""

from __future__ import annotations

import json

import pytest

from edge_control.controllers.base import Controller
from edge_control.controllers.events import Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.inventory.view import View
from schemas.requests import Overflow
from streams.engine.cutter import Cutter
from streams.engine.envelopes import SOURCE_PREFIX
from streams.engine.frames import Frame, Kind
from streams.engine.packing import OUTBOX_KEY, ROWS_MARK, unpack_outbox, unpack_rows
from streams.engine.partition import Partition, Portion
from streams.engine.tally import Tally
from tests.kafka.toy import ToySite
from tests.streams.inputs import HOME, NOW, PARTITIONS, In, load, partition, said
from topics.catalogue import APP, COMMAND_SCALING, DEAD_LETTER, NODE_TELEMETRY, REQUEST, Keyspace, Topic

VIEW = View()


def handle(controller: Controller, event: Input, view: View) -> list[Output]:
    return controller.handle(event, view)


def fold(
    part: Partition, *records: In, topic: Topic = NODE_TELEMETRY, keyspace: Keyspace = Keyspace.SITE, now: int = NOW
) -> Tally:
    return part.fold(Portion(keyspace, topic, records, records[-1].offset), now, VIEW, handle)


def cut(part: Partition) -> Frame:
    frame = Cutter(part).cut({"edge.estate.v1": (4,)})
    assert frame is not None
    return frame


def test_one_frame_holds_the_rows_the_outputs_and_the_mark_of_a_fold() -> None:
    part = partition()
    fold(part, load(0, 600), load(1, 600))
    frame = cut(part)
    names = [(key.decode(), *unpack_rows(value)[0]) for key, value in frame.records if key[:1] == ROWS_MARK]
    assert names == [("Rsite/nodes/", "s1-n1"), ("Rsite/sites/", "s1")]
    assert [entry.topic for _, entry in frame.outputs] == [COMMAND_SCALING.name]
    assert [list(unpack_outbox(value)[0]) for key, value in frame.records if key == OUTBOX_KEY] == [[1]]
    assert frame.story.marks == {"edge.node.telemetry.v1/site": 1}
    assert [(f.first, f.last, f.at_ms) for f in frame.story.folded] == [(0, 1, NOW)]
    assert frame.story.views == {"edge.estate.v1": (4,)}
    assert not part.is_pending


def test_a_command_carries_the_owners_incarnation_and_epoch_and_its_sequence() -> None:
    part = partition(epoch=77)
    fold(part, load(0, 2000))
    ((sequence, entry, _),) = part.fresh
    names = dict(entry.headers)
    assert entry.value is not None
    assert json.loads(entry.value)["fence"] == {"owner": f"site/{HOME}", "revision": 1, "incarnation": 2, "epoch": 77}
    assert names["ce_sequence"] == b"%020d" % sequence
    assert names["ce_source"] == f"{SOURCE_PREFIX}{HOME}/2".encode()
    assert names["ce_fenceepoch"] == b"77"


def test_records_up_to_the_mark_are_not_folded_again() -> None:
    part = partition()
    fold(part, load(0), load(1))
    tally = fold(part, load(0), load(1), load(2))
    assert tally.events == tally.applied == 1
    assert part.mark(NODE_TELEMETRY, Keyspace.SITE) == 2


def test_bad_records_become_dead_letters_and_their_neighbours_are_folded() -> None:
    part = partition()
    tally = fold(
        part,
        load(0),
        In(offset=1, value=b"{", headers=load(1).headers),
        In(offset=2, key=None, value=b"{}"),
        In(offset=3, key=b"\xff", value=b"{}"),
        In(offset=4, value=b'{"cpu": NaN}'),
        load(5),
    )
    assert (tally.events, tally.applied, tally.balances) == (6, 2, True)
    assert sum(tally.refused.values()) == 4
    assert tally.refused["no-key"] == 2
    assert [entry.topic for _, entry, _ in part.fresh] == [DEAD_LETTER.name] * 4


def test_a_stray_record_is_sent_to_its_partition_as_it_came_and_touches_nothing() -> None:
    part = partition((HOME + 1) % PARTITIONS)
    record = load(0, partition=part.number)
    tally = fold(part, record)
    assert (tally.strays, tally.applied) == (1, 0)
    ((_, entry, is_row),) = part.fresh
    assert (entry.topic, entry.partition, entry.value, is_row) == (NODE_TELEMETRY.name, HOME, record.value, False)
    assert list(entry.headers) == list(record.headers)


def test_a_second_copy_of_another_partitions_request_is_dropped_for_ever() -> None:
    part, sender = partition(), f"{SOURCE_PREFIX}0/0"
    told = Overflow(site_id="s1", app_id="a", missing_milli=7, permille=1)
    first = fold(part, said(0, told, source=sender, sequence=5), topic=REQUEST)
    again = fold(
        part,
        said(1, told, source=sender, sequence=5),
        said(2, told, source=sender, sequence=4),
        said(3, told, source=sender, sequence=6),
        said(4, told, source=f"{SOURCE_PREFIX}1/0", sequence=1),
        topic=REQUEST,
    )
    assert first.applied == 1
    assert (again.duplicates, again.applied) == (2, 2)
    site = part.controllers[Keyspace.SITE]
    assert isinstance(site, ToySite)
    assert site.sites["s1"].told == 3


def test_a_shared_record_that_names_no_controller_is_the_first_controllers_dead_letter() -> None:
    part = partition()
    told = Overflow(site_id="s1", app_id="a", missing_milli=7, permille=1)
    tally = fold(part, said(0, told, keyspace="moon"), topic=REQUEST)
    assert tally.refused == {"no-keyspace": 1}


def test_a_tombstone_of_a_row_topic_is_passed_over() -> None:
    part = partition()
    key = next(f"a{i}" for i in range(100) if partition_is_home(f"a{i}"))
    tally = fold(part, In(offset=0, key=key.encode()), topic=APP, keyspace=Keyspace.APP)
    assert (tally.tombstones, tally.balances) == (1, True)


def test_a_tick_that_changes_nothing_is_not_noted() -> None:
    part = partition()
    site = part.controllers[Keyspace.SITE]
    assert not part.tick(Keyspace.SITE, Tick(NOW, HOME), VIEW, site.handle)
    assert not part.is_pending
    fold(part, load(0))
    cut(part)
    assert part.tick(Keyspace.SITE, Tick(NOW + 5000, HOME, 12, 34), VIEW, site.handle)
    frame = cut(part)
    assert [(f.topic, f.at_ms, f.lag_ms, f.view_age_ms) for f in frame.story.folded] == [("", NOW + 5000, 12, 34)]


def test_time_never_goes_back_for_a_partition() -> None:
    part = partition()
    fold(part, load(0), now=NOW + 500)
    fold(part, load(1), now=NOW)
    assert [f.at_ms for f in cut(part).story.folded] == [NOW + 500, NOW + 500]


def test_a_row_is_sent_but_never_kept_in_the_outbox() -> None:
    part = partition()
    fold(part, load(0))
    part.tick(Keyspace.SITE, Tick(NOW + 5000, HOME), VIEW, part.controllers[Keyspace.SITE].handle)
    frame = cut(part)
    assert len(frame.outputs) == 1
    assert part.outbox == {}
    assert not [key for key, _ in frame.records if key == OUTBOX_KEY]


def test_reading_goes_on_behind_the_least_mark_of_a_shared_topic() -> None:
    part = partition()
    for keyspace in (Keyspace.SITE, Keyspace.TERMINAL, Keyspace.APP):
        part.skip(REQUEST, keyspace, 9)
    assert part.start_of(REQUEST) == 0
    part.skip(REQUEST, Keyspace.REGION, 4)
    assert part.start_of(REQUEST) == 5


def test_a_bug_of_a_controller_is_not_caught() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        fold(partition(), load(0, 666_666))


def test_an_acknowledged_output_leaves_the_outbox_with_a_later_frame() -> None:
    part = partition()
    fold(part, load(0, 2000))
    assert cut(part).kind is Kind.ROWS
    part.take_out(1)
    part.take_out(1)
    ((key, value),) = cut(part).records
    assert (key, *unpack_outbox(value)) == (OUTBOX_KEY, {}, [1])


def partition_is_home(key: str) -> bool:
    from topics.partition import partition_of

    return partition_of(key, PARTITIONS) == HOME
