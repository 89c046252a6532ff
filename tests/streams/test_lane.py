"""The fast lane and the whole way tell one story: the same rows, the same tallies, the same dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_control.controllers.base import Controller
from edge_control.controllers.events import Input
from edge_control.controllers.outputs import Output
from edge_control.inventory.view import View
from schemas import wire
from schemas.base import Message
from schemas.cloudevents import Envelope, headers
from schemas.registry import full_type, type_name
from schemas.telemetry import Conditions, NodeSample, NodeTelemetry, NodeTelemetryBatch, ReplicaSample
from streams.engine import lane
from streams.engine.decode import homed
from streams.engine.envelopes import SOURCE_PREFIX, Speaker
from streams.engine.partition import Partition, Portion
from streams.engine.tally import Tally
from tests.kafka.toy import CONTROLLERS
from tests.streams.fast_site import FastSite, WholeSite
from tests.streams.inputs import HOME, NOW, PARTITIONS, In
from topics.catalogue import NODE_TELEMETRY, Keyspace

VIEW = View()
amounts = st.integers(0, 2**46 - 1)
texts = st.sampled_from(["", "b1", "b2", "bö"])
replicas = st.builds(
    ReplicaSample,
    app_id=st.sampled_from(["a1", "a/2"]),
    instance_id=st.just("i1"),
    ready=st.booleans(),
    sessions=st.integers(0, 9),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "node_id": st.sampled_from(["s1-n1", "s1-n2", "s1-n3"]),
    "observed_at_ms": st.integers(0, 2 * NOW),
    "cpu_used_milli": amounts,
    "cpu_allocatable_milli": amounts,
    "mem_used_bytes": amounts,
    "mem_allocatable_bytes": amounts,
    "gpu_used_milli": amounts,
    "boot_id": texts,
    "sequence": st.integers(0, 3),
    "fs_used_bytes": amounts,
    "temperature_milli_cel": st.integers(-273_150, 100_000),
    "conditions": st.builds(Conditions, ready=st.booleans(), cordoned=st.booleans()),
    "replicas": st.lists(replicas, max_size=2).map(tuple),
}
samples = st.builds(NodeSample, **FIELDS)
singles = st.builds(NodeTelemetry, site_id=st.sampled_from(["s1", "s1", "s1", "s2"]), **FIELDS)
batches = st.builds(
    NodeTelemetryBatch,
    site_id=st.just("s1"),
    gateway_id=st.just("gw1"),
    boot_id=texts,
    sequence=st.integers(0, 3),
    observed_at_ms=st.integers(0, 2 * NOW),
    nodes=st.lists(samples, max_size=3).map(tuple),
)


def bare(body: Message) -> dict[str, Any]:
    return {"value": wire.encode_json(body)}


def binary(body: Message, source: str = "/edge/s1/gw", **more: Any) -> dict[str, Any]:
    envelope = Envelope(id="s1#1", source=source, type=full_type(type_name(body)), time_ms=NOW, **more)
    return {"value": wire.encode_json(body), "headers": headers(envelope)}


def structured(body: Message) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": "s1#1",
        "source": "/edge/s1/gw",
        "type": full_type(type_name(body)),
        "data": msgspec.to_builtins(body),
    }
    return {"value": msgspec.json.encode(event), "headers": [("content-type", b"application/cloudevents+json")]}


def from_engine(body: Message) -> dict[str, Any]:
    return binary(body, source=f"{SOURCE_PREFIX}0/0", sequence=7)


SHAPES = (bare, binary, binary, structured, from_engine, lambda body: binary(body, subject="s1"))
well_formed = st.lists(st.tuples(st.sampled_from(SHAPES), singles | batches), max_size=12)


def handle(controller: Controller, event: Input, view: View) -> list[Output]:
    return controller.fold(event, view)


def told(
    site: type[WholeSite], records: Sequence[In]
) -> tuple[dict[str, bytes | None], list[Tally], list[Any], WholeSite]:
    """Rows, tallies and outputs after the records, in portions of three."""
    kinds = {**CONTROLLERS, Keyspace.SITE: site}
    part = Partition(
        Speaker(partition=HOME, partitions=PARTITIONS), {space: make(HOME) for space, make in kinds.items()}
    )
    tallies = [
        part.fold(Portion(Keyspace.SITE, NODE_TELEMETRY, some, some[-1].offset), NOW, VIEW, handle)
        for some in (records[at : at + 3] for at in range(0, len(records), 3))
    ]
    rows = {prefix + key: table.encoded(key) for prefix, table in part.named_tables for key in table}
    found = part.controllers[Keyspace.SITE]
    assert isinstance(found, WholeSite)
    assert all(tally.balances for tally in tallies)
    return rows, tallies, part.fresh, found


def assert_one_story(records: Sequence[In]) -> WholeSite:
    *fast, site = told(FastSite, records)
    *whole, _ = told(WholeSite, records)
    assert fast == whole
    return site


def numbered(said: Sequence[dict[str, Any]]) -> list[In]:
    return [In(offset=offset, **one) for offset, one in enumerate(said)]


@given(well_formed)
@settings(max_examples=150, deadline=None)
def test_both_ways_leave_the_same_rows_and_tallies(said: list[tuple[Any, Message]]) -> None:
    assert_one_story(numbered([shape(body) for shape, body in said]))


LEAN = NodeTelemetry(
    node_id="s1-n1",
    site_id="s1",
    observed_at_ms=NOW,
    cpu_used_milli=5,
    cpu_allocatable_milli=10,
    mem_used_bytes=5,
    mem_allocatable_bytes=10,
    boot_id="b1",
    conditions=Conditions(ready=True, cordoned=True),
    replicas=(ReplicaSample(app_id="a", instance_id="i"),),
)
"""Every field of it is read by a decision."""
edits = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(["cut", "drop", "put"]), st.binary(min_size=1, max_size=2))
)


def mangled(value: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
    for place, how, with_bytes in changes:
        at = place % (len(value) + 1)
        value = {
            "cut": value[:at],
            "drop": value[:at] + value[at + 1 :],
            "put": value[:at] + with_bytes + value[at + len(with_bytes) :],
        }[how]
    return value


@given(edits, st.sampled_from([bare, binary]))
@settings(max_examples=300, deadline=None)
def test_what_is_broken_ends_the_same_on_both_ways(changes: list[tuple[int, str, bytes]], shape: Any) -> None:
    good = shape(LEAN)
    assert_one_story(numbered([good, {**good, "value": mangled(good["value"], changes)}, good]))


@pytest.mark.parametrize(
    "change",
    [
        {"key": None},
        {"key": b"\xff"},
        {"key": b"s 1"},
        {"key": b"s2"},
        {"key": b"s3"},
        {"value": None},
        {"value": b""},
        {"value": b'{"node_id":"s1-n1"}'},
        {"value": b"[" * 3000},
        {"value": bare(LEAN)["value"].replace(b'"b1"', b'"' + b"b" * 5000 + b'"')},
        {"value": bare(LEAN)["value"].replace(b'"b1"', b'"\xff"')},
        {"value": bare(LEAN)["value"] + b" " * 300_000},
        {"headers": [*binary(LEAN)["headers"][:1], ("ce_id", None), *binary(LEAN)["headers"][2:]]},
        {"headers": [*binary(LEAN)["headers"][:1], ("ce_id", b"i" * 513), *binary(LEAN)["headers"][2:]]},
        {"headers": [*binary(LEAN)["headers"][:1], ("ce_id", b"\xff"), *binary(LEAN)["headers"][2:]]},
        {"headers": [*binary(LEAN)["headers"][:2], ("ce_source", b"\xff"), *binary(LEAN)["headers"][3:]]},
        {
            "headers": [
                *binary(LEAN)["headers"][:3],
                ("ce_type", b"io.edgeweir.app.load.v1"),
                *binary(LEAN)["headers"][4:],
            ]
        },
        {"headers": [*binary(LEAN)["headers"][:4], ("content-type", b"text/plain"), *binary(LEAN)["headers"][5:]]},
        {"headers": [*binary(LEAN)["headers"][:5], ("ce_TIME", b"x")]},
        {"headers": [*binary(LEAN)["headers"][:5], ("ce_time", None)]},
        {"headers": list(reversed(binary(LEAN)["headers"]))},
        {"headers": binary(LEAN)["headers"][1:]},
        {"headers": [("trace", b"1")]},
    ],
)
def test_a_record_that_is_not_plain_gets_the_verdict_of_the_whole_way(change: dict[str, Any]) -> None:
    good = binary(LEAN)
    assert_one_story(numbered([good, {**good, **change}, good]))


def a_batch(nodes: int, **change: Any) -> NodeTelemetryBatch:
    sample = msgspec.convert(msgspec.to_builtins(LEAN), NodeSample)
    said = {"site_id": "s1", "gateway_id": "gw1", "boot_id": "b", "sequence": 1, "observed_at_ms": NOW, **change}
    return NodeTelemetryBatch(nodes=(sample,) * nodes, **said)


def test_known_nodes_pass_by_the_fast_lane_alone_or_in_a_batch() -> None:
    for shape in (bare, binary):
        assert assert_one_story(numbered([shape(LEAN)] * 3)).absorbed == 2
    assert assert_one_story(numbered([binary(a_batch(100))] * 3)).absorbed == 2


@pytest.mark.parametrize("change", [{"gateway_id": "no name"}, {"boot_id": "b" * 4097}, {"boot_id": "b" * 9000}])
def test_a_batch_with_a_name_that_is_none_or_too_long_is_refused_as_ever(change: dict[str, Any]) -> None:
    site = assert_one_story(numbered([binary(a_batch(30)), binary(a_batch(30, **change))]))
    assert site.absorbed == 0


def test_fields_that_no_decision_reads_are_not_judged_on_the_lane() -> None:
    value = bare(LEAN)["value"].replace(b'"boot_id"', b'"power_mw":-1,"boot_id"')
    *_, first = told(FastSite, numbered([{"value": value}]))
    *_, known = told(FastSite, numbered([bare(LEAN), {"value": value}]))
    assert (len(first.nodes), known.nodes["s1/s1-n1"].heard) == (0, 2)


def test_a_strangers_names_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_MOST_NAMES", 4)
    monkeypatch.setattr(lane, "homed", few := lru_cache(maxsize=4)(homed.__wrapped__))
    road = lane.Lane(HOME, PARTITIONS)
    for offset in range(50):
        road.read(In(offset=offset, **binary(LEAN, source=f"/x/{offset}")))
        road.read(In(offset=offset, key=b"k%d" % offset, **bare(LEAN)))
    assert len(road._sources) <= 4
    assert few.cache_info().currsize <= 4
    assert homed.cache_info().maxsize is not None
