"""Collectors speak of nodes: what OTLP, Telegraf, Prometheus and Metricbeat write becomes readings in our units."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.dialects.coercions import Coercion, Unused
from schemas.dialects.harvest import Harvest, Raw
from schemas.dialects.readers import read
from schemas.errors import BadInput, Fault

AT_MS = 1_700_000_000_000
NS = str(AT_MS * 1_000_000)


def told(dialect: str, value: object, key: str = "") -> Harvest:
    """What a reader makes of a value (a text is taken as it is)."""
    data = value if isinstance(value, str) else json.dumps(value)
    return read(dialect, Raw(value=data.encode(), key=key, at_ms=AT_MS + 5))


def readings(harvest: Harvest) -> dict[tuple[str, str], int]:
    """All readings by quantity and series."""
    return {(r.quantity.value, r.series): r.value for sample in harvest.samples.values() for r in sample.readings}


def refused(dialect: str, value: object, key: str = "") -> Fault:
    """The reason why a record is refused."""
    with pytest.raises(BadInput) as refusal:
        told(dialect, value, key)
    return refusal.value.reason


def export(metrics: list[Any], **resource: str) -> dict[str, Any]:
    """An OTLP export of one resource; attribute names are given with `_` for `.`."""
    attributes = [{"key": key.replace("_", "."), "value": {"stringValue": text}} for key, text in resource.items()]
    return {"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": [{"metrics": metrics}]}]}


def point(number: object, **attributes: str) -> dict[str, Any]:
    """A data point; attribute names are given with `_` for `.`."""
    named = [{"key": key.replace("__", "."), "value": {"stringValue": text}} for key, text in attributes.items()]
    return {"attributes": named, "timeUnixNano": NS, "asDouble": number}


def metric(name: str, *points: dict[str, Any], kind: str = "sum") -> dict[str, Any]:
    """A cumulative sum, or a gauge."""
    return {"name": name, kind: {"dataPoints": list(points), "aggregationTemporality": 2}}


def test_a_collectors_cpu_time_is_idle_milliseconds_of_each_cpu() -> None:
    times = metric(
        "system.cpu.time",
        point(100.5, cpu="cpu0", state="idle"),
        point(2, cpu="cpu0", state="wait"),
        point(55, cpu="cpu0", state="user"),
        point("90.25", cpu="cpu1", state="idle"),
    )
    brought = told("otlp", export([times], host_name="edge-17", edgeweir_site="bay-7"))
    assert readings(brought) == {
        ("cpu_idle_ms_total", "cpu0"): 100_500,
        ("cpu_idle_ms_total", "cpu0/iowait"): 2_000,
        ("cpu_idle_ms_total", "cpu1"): 90_250,
    }
    assert brought.unused == {Unused.OTHER_SERIES: 1}
    assert set(brought.coercions) == {Coercion.OLD_ATTRIBUTE_NAME, Coercion.NUMBER_AS_STRING}
    (sample,) = brought.samples.values()
    assert (sample.node_id, sample.site_hint, sample.at_ms) == ("edge-17", "bay-7", AT_MS)


def test_the_stable_attribute_names_need_no_coercion() -> None:
    times = metric("system.cpu.time", point(100, cpu__logical_number="0", cpu__mode="idle"))
    traffic = metric("system.network.io", point(7, network__interface__name="eth0", network__io__direction="receive"))
    brought = told("otlp", export([times, traffic], k8s_node_name="edge-17"))
    assert readings(brought) == {("cpu_idle_ms_total", "0"): 100_000, ("net_rx_bytes_total", "eth0"): 7}
    assert not brought.coercions


def test_memory_without_a_limit_is_inferred_from_usage_and_its_share() -> None:
    usage = metric("system.memory.usage", point(4_000, state="used"), point(11_000, state="free"))
    share = metric("system.memory.utilization", point(0.25, state="used"), point(0.6875, state="free"), kind="gauge")
    brought = told("otlp", export([usage, share], host_name="edge-17"))
    assert readings(brought) == {("mem_used_bytes", ""): 4_000, ("mem_total_about_bytes", ""): 16_000}
    assert Coercion.MEMORY_FROM_STATES in brought.coercions


def test_a_delta_counter_is_a_rate_over_its_own_interval() -> None:
    grown = point(5, cpu="cpu0", state="idle") | {"startTimeUnixNano": str((AT_MS - 10_000) * 1_000_000)}
    times = {"name": "system.cpu.time", "sum": {"dataPoints": [grown], "aggregationTemporality": 1}}
    brought = told("otlp", export([times], host_name="edge-17"))
    assert readings(brought) == {("cpu_idle_permille", "cpu0"): 500}
    assert Coercion.DELTA_TO_RATE in brought.coercions


def test_many_nodes_ride_in_one_export() -> None:
    whole: dict[str, Any] = {"resourceMetrics": []}
    for number in range(1_500):
        one = export([metric("k8s.node.cpu.usage", point(0.5), kind="gauge")], k8s_node_name=f"node-{number}")
        whole["resourceMetrics"] += one["resourceMetrics"]
    assert len(told("otlp", whole).samples) == 1_500
    whole["resourceMetrics"] *= 2
    assert len(told("otlp", whole).samples) == 1_500


def test_more_nodes_than_a_frame_may_hold_are_refused_and_not_dropped() -> None:
    one = '{"resource":{"attributes":[{"key":"host.id","value":{"stringValue":"%d"}}]},"scopeMetrics":[{"metrics":'
    one += '[{"name":"k8s.node.cpu.usage","gauge":{"dataPoints":[{"asDouble":1}]}}]}]}'
    many = '{"resourceMetrics":[' + ",".join(one % number for number in range(3_000)) + "]}"
    assert refused("otlp", many) is Fault.TOO_MANY_PARTS


def test_the_order_of_names_is_kept_and_nobody_is_made_up() -> None:
    used = metric("k8s.node.cpu.usage", point(0.5), kind="gauge")
    everything = {"k8s_node_name": "a", "host_id": "b", "host_name": "c"}
    for name in ("a", "b", "c"):
        (sample,) = told("otlp", export([used], **everything), key="d").samples.values()
        assert sample.node_id == name
        everything.pop(next(iter(everything)))
    assert set(told("otlp", export([used]), key="d").coercions) == {Coercion.NODE_FROM_KEY}
    assert refused("otlp", export([used])) is Fault.NO_NODE_IDENTITY
    assert refused("otlp", {"resourceMetrics": [{"scopeMetrics": [{"metrics": [used]}]}]}) is Fault.NO_NODE_IDENTITY


def test_traces_are_no_metrics() -> None:
    assert refused("otlp", {"resourceSpans": []}) is Fault.SCHEMA


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1", "1e400", "9" * 40, "", "x", -5, 1e300])
def test_a_number_that_is_none_costs_only_its_own_point(number: object) -> None:
    good, bad = metric("system.cpu.logical.count", point(4)), metric("system.memory.limit", point(number))
    brought = told("otlp", export([good, bad], host_name="edge-17"))
    assert readings(brought) == {("cpu_capacity_milli", ""): 4_000}
    assert brought.faults == {Fault.OUT_OF_RANGE: 1}
    assert refused("otlp", export([bad], host_name="edge-17")) is Fault.OUT_OF_RANGE


def test_a_point_without_a_time_takes_the_records() -> None:
    timeless = {"name": "system.cpu.logical.count", "gauge": {"dataPoints": [{"asInt": 4}]}}
    brought = told("otlp", export([timeless], host_name="edge-17"))
    assert {sample.at_ms for sample in brought.samples.values()} == {AT_MS + 5}
    assert set(brought.coercions) == {Coercion.TIME_FROM_RECORD, Coercion.INT64_AS_NUMBER}


TAGS = "host=edge-17,site=bay-7"


def test_telegrafs_lines_are_a_whole_node() -> None:
    lines = "\n".join([
        f"cpu,cpu=cpu-total,{TAGS} usage_idle=75.5,usage_iowait=0.5,usage_user=20 {NS}",
        f"cpu,cpu=cpu0,{TAGS} usage_idle=70 {NS}",
        f"mem,{TAGS} total=16000i,available=4000i,used_percent=75 {NS}",
        f"disk,{TAGS},path=/ total=900i,free=300i {NS}",
        f"disk,{TAGS},path=/boot total=90i,free=30i {NS}",
        f"net,{TAGS},interface=eth0 bytes_recv=12i,bytes_sent=13i {NS}",
        f"net,{TAGS},interface=all icmp_inmsgs=0i {NS}",
        f'system,{TAGS} n_cpus=4i,uptime_format="1 day, 2:03" {NS}',
        f"docker,{TAGS} n_images=3i {NS}",
    ])  # fmt: skip
    brought = told("telegraf", lines)
    assert readings(brought) == {
        ("cpu_idle_permille", ""): 755,
        ("cpu_idle_permille", "/iowait"): 5,
        ("cpu_idle_permille", "cpu0"): 700,
        ("mem_total_bytes", ""): 16_000,
        ("mem_available_bytes", ""): 4_000,
        ("fs_total_bytes", ""): 900,
        ("fs_free_bytes", ""): 300,
        ("net_rx_bytes_total", "eth0"): 12,
        ("net_tx_bytes_total", "eth0"): 13,
        ("cpu_capacity_milli", ""): 4_000,
    }
    (sample,) = brought.samples.values()
    assert (sample.node_id, sample.site_hint, sample.at_ms) == ("edge-17", "bay-7", AT_MS)
    assert set(brought.coercions) == {Coercion.CPU_TOTAL}


@pytest.mark.parametrize(("per_s", "is_usual"), [(1, True), (1_000, False), (1_000_000, False), (1_000_000_000, False)])
def test_the_unit_of_telegrafs_json_time_is_told_by_its_size(per_s: int, *, is_usual: bool) -> None:
    told_at = AT_MS // 1_000 * per_s
    metric_ = {"name": "system", "tags": {"host": "edge-17"}, "fields": {"n_cpus": 4}, "timestamp": told_at}
    brought = told("telegraf", metric_)
    assert {sample.at_ms for sample in brought.samples.values()} == {AT_MS}
    assert (Coercion.TIMESTAMP_UNIT not in brought.coercions) is is_usual
    assert readings(told("telegraf", {"metrics": [metric_]})) == readings(told("telegraf", [metric_]))


@pytest.mark.parametrize(
    "line",
    ["cpu", "cpu usage_idle", "cpu usage_idle=x 5", "cpu usage_idle=1 5 6", 'cpu a="b 5', "=", ",a=b c=1", "cpu a=1 1.5",
     "cpu,host a=1", "\\", "cpu\\ a=1", "cpu usage_idle=NaN"],
)  # fmt: skip
def test_what_is_no_line_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(BadInput) as refusal:
        told("telegraf", f"system,{TAGS} n_cpus=4i\n{line}")
    assert refusal.value.reason is Fault.NOT_A_LINE
    assert "line 2" in refusal.value.detail


def test_escapes_of_the_line_protocol_are_undone() -> None:
    brought = told("telegraf", r'system,host=edge\ 17\,x,k\=k=v n_cpus=4i,note="a \"b\", c=d"', key="edge-18")
    (sample,) = brought.samples.values()
    assert sample.node_id == "edge-18"  # a name with a blank is no id


def scrape(name: str, value: object = "1", at: str = "2023-11-14T22:13:20Z", **labels: str) -> dict[str, Any]:
    """One sample as prometheus-kafka-adapter writes it."""
    return {"name": name, "value": value, "timestamp": at, "labels": {"__name__": name, **labels}}


def test_a_scrape_target_names_its_node_without_the_port() -> None:
    idle = scrape("node_cpu_seconds_total", "10870.69", instance="10.0.0.7:9100", cpu="0", mode="idle", site="bay-7")
    brought = told("prometheus", idle)
    assert readings(brought) == {("cpu_idle_ms_total", "0"): 10_870_690}
    (sample,) = brought.samples.values()
    assert (sample.node_id, sample.site_hint, sample.at_ms) == ("10.0.0.7", "bay-7", AT_MS)
    assert set(brought.coercions) == {Coercion.VALUE_AS_STRING, Coercion.INSTANCE_PORT}


def test_kubernetes_names_the_node_itself() -> None:
    room = scrape("kube_node_status_allocatable", "3.92", node="edge-17", resource="cpu", instance="ksm:8080")
    ready = scrape("kube_node_status_condition", "1", node="edge-17", condition="Ready", status="true")
    gpu = scrape("DCGM_FI_DEV_GPU_UTIL", "55", gpu="0", Hostname="edge-17", instance="dcgm:9400")
    assert readings(told("prometheus", room)) == {("cpu_allocatable_milli", ""): 3_920}
    assert readings(told("prometheus", ready)) == {("ready", ""): 1}
    assert readings(told("prometheus", gpu)) == {("gpu_used_permille", "0"): 550}
    for record in (room, ready, gpu):
        assert {sample.node_id for sample in told("prometheus", record).samples.values()} == {"edge-17"}


def test_a_stale_marker_is_counted_and_infinity_is_refused() -> None:
    brought = told("prometheus", scrape("node_memory_MemTotal_bytes", "NaN", instance="a:1"))
    assert brought.unused == {Unused.NOT_RECORDED: 1}
    assert refused("prometheus", scrape("node_memory_MemTotal_bytes", "+Inf", instance="a:1")) is Fault.OUT_OF_RANGE
    assert refused("prometheus", scrape("node_memory_MemTotal_bytes", at="yesterday", instance="a")) is Fault.BAD_TIME


def test_what_no_sample_needs_is_counted() -> None:
    assert told("prometheus", scrape("go_goroutines", instance="a:1")).unused == {Unused.OTHER_METRIC: 1}


def test_a_beats_share_of_all_cores_is_divided_by_their_number() -> None:
    cpu = {"cores": 8, "total": {"pct": 2.0}}
    event = {"@timestamp": "2023-11-14T22:13:20.000Z", "host": {"name": "edge-17"}, "system": {"cpu": cpu}}
    brought = told("metricbeat", event)
    assert readings(brought) == {("cpu_capacity_milli", ""): 8_000, ("cpu_share_permille", ""): 250}
    assert set(brought.coercions) == {Coercion.PCT_OF_CORES}


def test_a_beat_writes_nested_or_dotted_names() -> None:
    memory = {"total": 16_000, "actual": {"used.bytes": 4_000}}
    event = {"@timestamp": "2023-11-14T22:13:20Z", "host": {"name": "edge-17"}, "system": {"memory": memory}}
    assert readings(told("metricbeat", event)) == {("mem_total_bytes", ""): 16_000, ("mem_used_bytes", ""): 4_000}
    assert refused("metricbeat", event | {"system": {"memory": {"total": "lots"}}}) is Fault.OUT_OF_RANGE
