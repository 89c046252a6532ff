"""Payloads that others published: the realistic ones pass with the coercions they need, placeholders are refused."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import msgspec
import pytest

from schemas.dialects.coercions import Coercion, Unused
from schemas.dialects.harvest import Harvest, Raw
from schemas.dialects.readers import read
from schemas.errors import BadInput, Fault
from schemas.location import LocationEvent, Movement, RadioEvent, SessionEvent
from schemas.parts import Quantity

SAMPLES = Path(os.environ.get("EDGEWEIR_SAMPLES") or Path(__file__).parents[3] / "shared" / "samples")
AT_MS = 1_700_000_000_000

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the published samples are not here (EDGEWEIR_SAMPLES)")


def harvest(name: str, key: str = "") -> Harvest:
    """What the reader of the sample's folder brings in; a sample that is a list of messages gives its first."""
    folder = "mec" if name.startswith("mec/") else name.split("/", maxsplit=1)[0]
    return read(folder, Raw(value=(SAMPLES / name).read_bytes(), key=key, at_ms=AT_MS))


PASSED: dict[str, tuple[Coercion, ...]] = {
    "otlp/kubelet_node.json": (Coercion.OLD_ATTRIBUTE_NAME,),
    "otlp/metrics_all_types.json": (),
    "telegraf/cloudevents_single.json": (Coercion.EVENTS_AS_ARRAY, Coercion.BARE_CLOUDEVENT, Coercion.CPU_TOTAL),
    "telegraf/cloudevents_batch-events.json": (
        Coercion.EVENTS_AS_ARRAY, Coercion.BARE_CLOUDEVENT, Coercion.CPU_TOTAL,
    ),
    "telegraf/cloudevents_single-sourcetag-overwrite.json": (
        Coercion.EVENTS_AS_ARRAY, Coercion.BARE_CLOUDEVENT, Coercion.CPU_TOTAL,
    ),
    "telegraf/json_single.json": (),
    "telegraf/json_batch.json": (),
    "metricbeat/system_cpu.json": (Coercion.NODE_FROM_KEY,),
    "mec/mec012_CellChangeNotification_advantedge.json": (
        Coercion.ECGI_OBJECT_FOR_LIST, Coercion.TS_NANOSECONDS_CASE,
    ),
    "mec/mec013v2_zonalPresenceNotification_zonalTraffic.json": (Coercion.TS_NANOSECONDS_CASE,),
    "mec/mec013v2_subscriptionNotification_circle.json": (
        Coercion.BOOL_AS_STRING, Coercion.OBJECT_FOR_LIST, Coercion.KEY_STRAY_QUOTE, Coercion.SCALAR_FOR_LIST,
        Coercion.ZONE_FROM_SUBSCRIPTION,
    ),
    "mec/mec013v2_subscriptionNotification_periodic.json": (
        Coercion.BOOL_AS_STRING, Coercion.OBJECT_FOR_LIST, Coercion.KEY_STRAY_QUOTE, Coercion.SCALAR_FOR_LIST,
    ),
    "mec/mec013v2_userTrackingSubscription.json": (),
    "mec/mec013v2_zonalTrafficSubscription.json": (),
    "mec/mec013v2_zoneStatusSubscription.json": (),
    "mec/mec013v2_circleNotificationSubscription.json": (),
    "mec/mec013v3_ZoneStatusNotification_userNum.json": (),
    "mec/mec013v3_ZoneStatusNotification_operationStatus.json": (),
    "mec/mec013v3_UserLocationPeriodicNotification.json": (),
    "mec/mec013v3_UserAreaNotification.json": (
        Coercion.TIME_FROM_RECORD, Coercion.LINK_AS_STRING, Coercion.ZONE_FROM_SUBSCRIPTION,
    ),
    "mec/mec021_RegistrationInfo.json": (Coercion.ENUM_AS_NAME, Coercion.TIME_FROM_RECORD),
    "camara/geofencing_area-left.json": (
        Coercion.BARE_CLOUDEVENT, Coercion.NUMBER_AS_NAME, Coercion.ZONE_FROM_SUBSCRIPTION,
    ),
    "camara/geofencing_subscription-started.json": (Coercion.BARE_CLOUDEVENT,),
    "camara/geofencing_subscription-ended.json": (Coercion.BARE_CLOUDEVENT,),
    "camara/geofencing_subscription-unprocessable.json": (Coercion.BARE_CLOUDEVENT,),
}  # fmt: skip

REFUSED: dict[str, Fault] = {
    "mec/mec021_AdjacentAppInfoNotification.json": Fault.SCHEMA,  # "sample string" everywhere
    "mec/mec012_CellChangeNotification_etsi.json": Fault.NO_TERMINAL_IDENTITY,  # the IPv4 address is "somevalue"
    "mec/mec012_MeasTaNotification.json": Fault.NO_TERMINAL_IDENTITY,
    "mec/mec012_NrMeasRepUeNotification.json": Fault.NO_TERMINAL_IDENTITY,
    # Bodies of requests and responses: no events.
    "mec/mec010_2_GrantRequest_instantiate.json": Fault.UNKNOWN_TYPE,
    "mec/mec010_2_OperateAppRequest.json": Fault.UNKNOWN_TYPE,
    "mec/mec010_2_TerminateAppRequest.json": Fault.UNKNOWN_TYPE,
    "mec/mec011_ServiceInfo.json": Fault.UNKNOWN_TYPE,
    "mec/mec011_ServiceInfoPost.json": Fault.UNKNOWN_TYPE,
    "mec/mec011_appTerminationNotification.json": Fault.UNKNOWN_TYPE,
    "mec/mec011_dnsRules_list.json": Fault.SCHEMA,
    "mec/mec013v3_UserLocationEventSubscription.json": Fault.UNKNOWN_TYPE,
    "mec/mec016_AppContext.json": Fault.UNKNOWN_TYPE,
    "camara/eam_deployment_merge-patch.json": Fault.SCHEMA,
    "camara/oed_request.json": Fault.SCHEMA,
    "camara/qod_create-session.json": Fault.SCHEMA,
    "camara/qod_session_unavailable.json": Fault.SCHEMA,
    "camara/sed_closest-zone_response.json": Fault.SCHEMA,
}


def test_every_published_sample_has_its_word_here() -> None:
    folders = ("otlp", "telegraf", "metricbeat", "mec", "camara")
    found = {str(path.relative_to(SAMPLES)) for folder in folders for path in (SAMPLES / folder).glob("*.json")}
    assert found == PASSED.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", PASSED)
def test_a_realistic_sample_passes_with_its_coercions_and_no_fault(name: str) -> None:
    brought = harvest(name, key="edge-17")
    assert set(brought.coercions) == set(PASSED[name])
    assert not brought.faults
    assert brought.samples or brought.events or brought.unused


@pytest.mark.parametrize("name", REFUSED)
def test_a_placeholder_or_a_foreign_body_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        harvest(name)
    assert refused.value.reason is REFUSED[name]
    assert "10.0.0.1" not in refused.value.detail
    assert "sample" not in refused.value.detail


def test_a_sample_without_a_host_needs_its_records_key() -> None:
    with pytest.raises(BadInput) as refused:
        harvest("metricbeat/system_cpu.json")
    assert refused.value.reason is Fault.NO_NODE_IDENTITY


def test_the_kubelet_tells_cpu_memory_disk_and_traffic() -> None:
    (sample,) = harvest("otlp/kubelet_node.json").samples.values()
    told = {(reading.quantity, reading.series): reading.value for reading in sample.readings}
    assert sample.node_id == "minikube"
    assert told[Quantity.CPU_USED, ""] == 166
    assert told[Quantity.CPU_BUSY_TOTAL, ""] == 263_475
    assert told[Quantity.MEM_USED, ""] == 1_234_567_890
    assert told[Quantity.MEM_AVAILABLE, ""] == 2_620_624_896
    assert told[Quantity.FS_TOTAL, ""] == 17_361_125_376
    assert told[Quantity.NET_RX_TOTAL, "eth0"] == 948_305_524


def test_telegrafs_cpus_are_told_one_by_one() -> None:
    samples = harvest("telegraf/cloudevents_batch-events.json").samples.values()
    cpus = {reading.series for sample in samples for reading in sample.readings}
    assert {sample.node_id for sample in samples} == {"Hugin"}
    assert {"", "/iowait", "cpu0", "cpu0/iowait", "cpu1"} <= cpus
    assert {sample.at_ms for sample in samples} == {1_682_613_051_000}


def test_a_transfer_between_access_points_is_told_with_both() -> None:
    (event,) = harvest("mec/mec013v2_zonalPresenceNotification_zonalTraffic.json").events
    assert isinstance(event, LocationEvent)
    assert (event.event, event.zone_id, event.ap_id, event.prev_ap_id) == (Movement.TRANSFER, "zone01", "ap2", "ap1")
    assert (event.observed_at_ms, event.time_source) == (1_483_231_138_000, "payload")


def test_a_circle_is_the_zone_of_its_subscription() -> None:
    (event,) = harvest("mec/mec013v2_subscriptionNotification_circle.json").events
    assert isinstance(event, LocationEvent)
    assert (event.event, event.zone_id) == (Movement.ENTER, "sub123")
    assert event.geo is not None
    assert (event.geo.lat_e7, event.geo.lon_e7, event.geo.accuracy_m) == (-808_630_200, 412_773_060, 100)


def test_one_device_has_one_name_in_two_apis() -> None:
    (radio,) = harvest("mec/mec012_CellChangeNotification_advantedge.json").events
    assert isinstance(radio, RadioEvent)
    assert (radio.terminal_id, radio.ho_status, radio.src_cell) == ("10.100.0.1", 1, "00101-ACBDEFA")
    first, second = harvest("mec/mec021_RegistrationInfo.json").events
    assert isinstance(first, SessionEvent)
    assert isinstance(second, SessionEvent)
    assert (first.terminal_id, second.terminal_id) == ("192.168.1.100", "2001:db8:85a3::8a2e:370:7334")
    assert (first.state, second.state) == ("started", "confirmed")


def test_what_others_generated_to_break_readers_is_refused_by_all() -> None:
    for path in sorted((SAMPLES / "vector").glob("*.json")):
        for dialect in ("otlp", "telegraf", "prometheus", "metricbeat", "mec", "camara"):
            with pytest.raises(BadInput):
                read(dialect, Raw(value=path.read_bytes(), key="k", at_ms=AT_MS))


LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def test_node_exporters_own_fixture_becomes_a_whole_node() -> None:
    seen: dict[Quantity, set[str]] = {}
    unused: dict[Unused, int] = {}
    for line in (SAMPLES / "prometheus" / "node_exporter_e2e.txt").read_text("utf-8").splitlines():
        found = LINE.match(line)
        if found is None:
            continue
        labels = {
            "__name__": found[1],
            "instance": "edge-17:9100",
            "job": "node",
            **dict(LABEL.findall(found[2] or "")),
        }
        told = {"name": found[1], "labels": labels, "value": found[3], "timestamp": "2024-05-01T10:00:00Z"}
        brought = read("prometheus", Raw(value=json.dumps(told).encode(), at_ms=AT_MS))
        for sample in brought.samples.values():
            assert sample.node_id == "edge-17"
            for reading in sample.readings:
                seen.setdefault(reading.quantity, set()).add(reading.series)
        for why, count in brought.unused.items():
            unused[why] = unused.get(why, 0) + count
    assert len(seen[Quantity.CPU_IDLE_TOTAL]) == 16
    assert seen[Quantity.MEM_TOTAL] == {""}
    assert seen[Quantity.MEM_IDLE] == {"free", "buffers", "cached"}  # its kernel is older than MemAvailable
    assert "temp1" in seen[Quantity.TEMPERATURE]
    assert Quantity.FS_TOTAL not in seen  # it has no root file system
    assert unused[Unused.OTHER_METRIC] > 1_000


def test_a_list_of_events_is_read_as_its_events_one_by_one() -> None:
    events = msgspec.json.decode(
        (SAMPLES / "telegraf" / "cloudevents_single.json").read_bytes(), type=list[msgspec.Raw]
    )
    headers = {"content-type": b"application/cloudevents+json; charset=UTF-8"}
    brought = read("telegraf", Raw(value=bytes(events[0]), at_ms=AT_MS, headers=headers))
    assert set(brought.coercions) == {Coercion.CPU_TOTAL}
