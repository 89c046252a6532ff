"""What holds of every dialect: no input crashes a reader, every name has its sentence, the page is up to date."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import MOST
from schemas.dialects.coercions import SENTENCES, UNUSED_SENTENCES, Coercion, Unused
from schemas.dialects.harvest import MOST_PARTS, Harvest, Raw
from schemas.dialects.identity import terminal_name
from schemas.dialects.readers import READERS, read
from schemas.dialects.reference import page
from schemas.errors import BadInput
from schemas.parts import LOWEST
from schemas.wire import decode, encode_json

NAME = partial(terminal_name, salt=b"salt")
AT_MS = 1_700_000_000_000
GOOD: dict[str, tuple[Any, ...]] = {
    "otlp": (
        {"resourceMetrics": [{
            "resource": {"attributes": [{"key": "host.name", "value": {"stringValue": "n1"}}]},
            "scopeMetrics": [{"metrics": [
                {"name": "system.cpu.time", "sum": {"aggregationTemporality": 1, "dataPoints": [
                    {"asDouble": 5.5, "timeUnixNano": "1700000000000000000", "startTimeUnixNano": "1699999990000000000",
                     "attributes": [{"key": "cpu", "value": {"stringValue": "0"}},
                                    {"key": "state", "value": {"stringValue": "idle"}}]}]}},
                {"name": "system.memory.usage", "sum": {"dataPoints": [
                    {"asInt": "7", "attributes": [{"key": "state", "value": {"stringValue": "used"}}]}]}},
                {"name": "system.memory.utilization", "gauge": {"dataPoints": [
                    {"asDouble": 0.5, "attributes": [{"key": "state", "value": {"stringValue": "used"}}]}]}},
            ]}],
        }]},
    ),
    "telegraf": (
        {"name": "cpu", "tags": {"host": "n1", "cpu": "cpu0"}, "fields": {"usage_idle": 5.5}, "timestamp": 1_700_000_000},
        {"specversion": "1.0", "data": {"name": "mem", "tags": {"host": "n1"}, "fields": {"total": 5}, "timestamp": 5}},
        {"metrics": [{"name": "net", "tags": {"host": "n1", "interface": "eth0"}, "fields": {"bytes_recv": 5}}]},
    ),
    "prometheus": (
        {"name": "node_cpu_seconds_total", "value": "5.5", "timestamp": "2024-05-01T10:00:00Z",
         "labels": {"instance": "n1:9100", "cpu": "0", "mode": "idle"}},
    ),
    "metricbeat": (
        {"@timestamp": "2024-05-01T10:00:00Z", "host": {"name": "n1"}, "system": {
            "cpu": {"cores": 4, "total": {"pct": 1.5}},
            "memory": {"total": 5, "actual": {"used": {"bytes": 3}}},
            "network": {"name": "eth0", "in": {"bytes": 3}},
            "filesystem": {"mount_point": "/", "total": 9},
        }},
    ),
    "mec": (
        {"zonalPresenceNotification": {"zoneId": "z", "address": "acr:10.0.0.1", "userEventType": "Entering",
                                       "timestamp": {"seconds": 5, "nanoseconds": 0}}},
        {"subscriptionNotification": {"enteringLeavingCriteria": "Entering", "link": {"href": "a/b"},
                                      "terminalLocation": {"address": "10.0.0.1", "currentLocation": {"latitude": 1.5}}}},
        {"notificationType": "UserAreaNotification", "address": "10.0.0.1", "userLocationEvent": "LEAVING_AREA_EVENT",
         "_links": {"subscription": {"href": "a/b"}}, "locationInfo": {"latitude": [1], "longitude": [2]}},
        {"notificationType": "CellChangeNotification", "hoStatus": 2, "associateId": [{"type": 1, "value": "10.0.0.1"}],
         "srcEcgi": {"plmn": {"mcc": "1", "mnc": "1"}, "cellId": "A"},
         "trgEcgi": [{"plmn": {"mcc": "1", "mnc": "1"}, "cellId": "B"}]},
        {"notificationType": "MeasRepUeNotification", "rsrp": 5, "associateId": [{"type": "UE_IPV4_ADDRESS", "value": "10.0.0.1"}],
         "ecgi": {"plmn": {"mcc": "1", "mnc": "1"}, "cellId": "A"}},
        {"serviceConsumerId": {"appInstanceId": "a"}, "deviceInformation": [
            {"associateId": {"type": 1, "value": "10.0.0.1"}, "appMobilityServiceLevel": 2}]},
        {"notificationType": "MobilityProcedureNotification", "mobilityStatus": 1},
    ),
    "camara": (
        {"specversion": "1.0", "id": "1", "source": "s", "time": "2024-05-01T10:00:00Z",
         "type": "org.camaraproject.geofencing-subscriptions.v0.area-left",
         "data": {"subscriptionId": 5, "device": {"phoneNumber": 49123456}, "area": {
             "center": {"latitude": 5, "longitude": 5}, "radius": 5}}},
    ),
}  # fmt: skip
BAD: list[object] = [
    None, True, False, 0, -1, 2**31, 2**63, -(2**64), 10**30, 1e300, -1e300, 0.5, "", "x", "NaN", "+Inf", "-1", "1e999",
    "9" * 500, "\x00", "ä" * 300, [], {}, [[]], [None], {"a": {}}, ["1"] * 50, {"": ""}, "2024-13-99T99:99:99Z",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], held: object) -> Any:
    """A copy with another value at this place."""
    if not path:
        return held
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], held)
    return copy


def survives(dialect: str, data: bytes) -> Harvest | None:
    """Read it: a harvest that keeps its promises, or None where it was refused."""
    try:
        brought = read(dialect, Raw(value=data, key="k", at_ms=AT_MS, terminal_name=NAME))
    except BadInput:
        return None
    for sample in brought.samples.values():
        assert sample.readings
        assert 0 <= sample.at_ms < 2**47
        for reading in sample.readings:
            assert isinstance(reading.value, int)
            assert LOWEST <= reading.value <= MOST
            assert len(reading.series) <= 64
    assert len(brought.events) <= MOST_PARTS
    for event in brought.events:
        assert decode(type(event), encode_json(event)) == event  # what we say ourselves must be sound
    return brought


@pytest.mark.parametrize("dialect", READERS)
def test_one_strange_value_anywhere_never_crashes_a_reader(dialect: str) -> None:
    for good in GOOD[dialect]:
        brought = survives(dialect, json.dumps(good).encode())
        assert brought is not None
        assert brought.samples or brought.events or brought.unused
        for place in places(good):
            for held in BAD:
                survives(dialect, json.dumps(changed(good, place, held)).encode())


@pytest.mark.parametrize("dialect", READERS)
@settings(max_examples=80, deadline=None)
@given(data=st.binary(max_size=200), cut=st.integers(0, 400), at=st.integers(0, 400), byte=st.integers(0, 255))
def test_torn_and_random_bytes_never_crash_a_reader(dialect: str, data: bytes, cut: int, at: int, byte: int) -> None:
    survives(dialect, data)
    for good in GOOD[dialect]:
        whole = json.dumps(good).encode()
        survives(dialect, whole[:cut])
        survives(dialect, whole[:at] + bytes([byte]) + whole[at + 1 :])


@settings(max_examples=200, deadline=None)
@given(line=st.text(alphabet=st.sampled_from('ab,= "\\\n1.5eitf#\0é'), max_size=60))
def test_no_text_crashes_the_line_reader(line: str) -> None:
    survives("telegraf", b"cpu,host=a " + line.encode())
    survives("telegraf", line.encode())


@pytest.mark.parametrize(
    "line", ['cpu a="' + "x" * 200_000, "cpu a=" + '"' * 99_999, "c" + "," * 200_000, "\\" * 200_001]
)
def test_a_long_wrong_line_is_refused_in_no_time(line: str) -> None:
    assert survives("telegraf", line.encode()) is None


@pytest.mark.parametrize("dialect", READERS)
def test_what_is_too_large_or_too_deep_is_refused(dialect: str) -> None:
    assert survives(dialect, b"[" * 100_000 + b"]" * 100_000) is None
    assert survives(dialect, b'{"name":"' + b"x" * 2_000_000 + b'"}') is None
    assert survives(dialect, b"") is None


def test_every_coercion_and_every_leaving_has_one_sentence() -> None:
    assert set(SENTENCES) == set(Coercion)
    assert set(UNUSED_SENTENCES) == set(Unused)
    assert all(sentence.endswith(".") for sentence in (*SENTENCES.values(), *UNUSED_SENTENCES.values()))


def test_every_coercion_is_used_somewhere() -> None:
    code = "".join(path.read_text("utf-8") for path in Path("schemas/dialects").glob("*.py"))
    idle = [
        coercion for coercion in (*Coercion, *Unused) if code.count(f"{type(coercion).__name__}.{coercion.name}") < 2
    ]
    assert not idle


def test_the_page_is_up_to_date() -> None:
    written = Path(__file__).parents[2] / "docs" / "dialects.md"
    assert written.read_text("utf-8") == page(), "run tools/dialects.py"
