"""The bench really measures: a tiny run on a Kafka of its own, counted by everybody who took part."""

from __future__ import annotations

import json
import os

import pytest

from edgeweir.bench.foreign import Foreign
from edgeweir.bench.options import Options, Section
from edgeweir.bench.payloads import Fleet
from edgeweir.bench.results import Report, Row
from edgeweir.bench.run import run
from edgeweir.dev.places import Places
from schemas.telemetry import NodeTelemetry, NodeTelemetryBatch
from schemas.wire import decode, encode_json


@pytest.mark.kafka
@pytest.mark.slow
def test_everybody_reads_the_same_records_and_the_report_is_json_with_ratios(broker_kit: object) -> None:
    options = Options(
        sections=(Section.THROUGHPUT,),
        rounds=2,
        events=1_000,
        sites=10,
        nodes_per_site=4,
        only=("edgeweir", "edgeweir-batches", "aiokafka-*"),
    )
    report = json.loads(encode_json(run(options, Places.from_environ(os.environ))))
    rows = {row["name"]: row for row in report["rows"]}
    assert rows.keys() == {"edgeweir", "edgeweir-batches", "aiokafka-read", "aiokafka-durable"}
    assert [rows[name]["events"] for name in ("edgeweir", "aiokafka-read", "aiokafka-durable")] == [1_000] * 3
    assert rows["edgeweir-batches"]["events"] == 2_000
    assert all(row["rounds"] == 2 and row["value"] > 0 and row["cpu_us"] > 0 for row in rows.values())
    assert {"durable_vs_bare_aiokafka", "batches_vs_bar"} <= report["ratios"].keys()
    assert report["machine"]["kafka"]


def test_rendered_messages_are_what_our_emitters_send_and_their_numbers_only_grow() -> None:
    fleet = Fleet(sites=3, nodes_per_site=2)
    samples = [decode(NodeTelemetry, one.value) for one in fleet.samples(18, 1_700_000_000_000)]
    seen: dict[str, int] = {}
    for sample in samples:
        assert sample.sequence > seen.get(sample.node_id, 0)
        seen[sample.node_id] = sample.sequence
    assert len(seen) == fleet.nodes
    batches = [decode(NodeTelemetryBatch, one.value) for one in fleet.batches(3, 1_700_000_000_000)]
    assert sorted(len(batch.nodes) for batch in batches) == [2, 2, 2]


def test_a_contender_that_is_not_installed_says_what_would_help() -> None:
    absent = Foreign(name="x", does="nothing", mode="read", module="x", needs="no_such_package")
    assert "pip install 'edgeweir[bench]'" in absent.missing


def test_a_report_keeps_the_rows_and_ratios_of_all_its_sections() -> None:
    report = Report(rows=[Row(section="a", name="one", unit="ms", value=1)], ratios={"x": 1.0})
    report.take(Report(rows=[Row(section="b", name="two", unit="ms", value=2)], ratios={"y": 2.0}))
    assert (report.value("a", "one"), report.value("b", "two")) == (1, 2)
    assert report.ratios == {"x": 1.0, "y": 2.0}
