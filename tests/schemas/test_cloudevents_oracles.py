"""Our thin codec against two judges: the binding's conformance scenarios and the SDK of CloudEvents."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from schemas.cloudevents import Envelope, Received, headers, read
from schemas.instants import from_rfc3339, to_rfc3339

SAMPLES = Path(os.environ.get("EDGEWEIR_SAMPLES") or Path(__file__).parents[3] / "shared" / "samples")
FEATURE = SAMPLES / "cloudevents" / "kafka-protocol-binding.feature"


def received(record_headers: list[tuple[str, bytes]], value: bytes | None) -> Received:
    return read(record_headers, value, key=None, topic="t", partition=0, offset=0, timestamp_ms=0)


def scenarios(feature: str) -> Iterator[str]:
    """Each scenario's text; an outline once per example."""
    for text in re.split(r"\n\s*Scenario(?: Outline)?: ", feature)[1:]:
        steps, _, examples = text.partition("Examples:")
        rows = [line.strip().strip("|").strip() for line in examples.splitlines() if "|" in line]
        yield from [steps.replace(f"<{rows[0]}>", row) for row in rows[1:]] if rows else [steps]


def table_after(step: str, scenario: str) -> dict[str, str]:
    rows = scenario.partition(step)[2].split("\n    And ")[0].split("\n    When ")[0].splitlines()
    cells = [
        [cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows if row.strip().startswith("|")
    ]
    return dict(cells[1:])


def test_the_official_scenarios_of_the_kafka_binding_hold() -> None:
    if not FEATURE.is_file():
        pytest.skip("the conformance feature file is not here (EDGEWEIR_SAMPLES)")
    played = list(scenarios(FEATURE.read_text()))
    assert len(played) == 3
    for scenario in played:
        payload, data = re.findall(r'"""\n(.*?)"""', scenario, re.DOTALL)
        given_headers = [(name, text.encode()) for name, text in table_after("Kafka headers:", scenario).items()]
        event = received(given_headers, payload.encode())
        wanted = table_after("the attributes are:", scenario)
        assert wanted.pop("datacontenttype") == event.content_type
        assert wanted == {name: event.attribute(name) for name in wanted}
        assert json.loads(event.data or b"") == json.loads(data)


words = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=("Cc", "Cs", "Zs", "Cn")),
                min_size=1, max_size=30)  # fmt: skip
extensions = st.dictionaries(st.from_regex(r"x[a-z0-9]{1,19}", fullmatch=True), words, max_size=3)
bodies = st.dictionaries(words, st.integers() | st.text() | st.lists(st.booleans(), max_size=3), max_size=4)
envelopes = st.builds(
    Envelope, id=words, source=words, type=words, time_ms=st.integers(0, 253_402_300_799_999), subject=words,
    extensions=extensions,
)  # fmt: skip


@given(envelopes, bodies)
def test_the_sdk_reads_what_we_write(ours: Envelope, body: dict[str, object]) -> None:
    message = KafkaMessage(headers=dict(headers(ours)), key=None, value=json.dumps(body).encode())
    theirs = from_kafka(message, JSONFormat(), CloudEvent)
    assert (theirs.get_id(), theirs.get_source(), theirs.get_type()) == (ours.id, ours.source, ours.type)
    assert theirs.get_time() == datetime.fromisoformat(to_rfc3339(ours.time_ms or 0))
    assert (theirs.get_subject(), theirs.get_datacontenttype()) == (ours.subject, "application/json")
    assert {name: theirs.get_extension(name) for name in ours.extensions} == ours.extensions
    assert theirs.get_data() == body


@given(envelopes, bodies, st.sampled_from([to_binary, to_structured]))
def test_we_read_what_the_sdk_writes_in_both_modes(
    ours: Envelope, body: dict[str, object], write: Callable[[CloudEvent, JSONFormat], KafkaMessage]
) -> None:
    seconds, millis = divmod(ours.time_ms or 0, 1000)
    attributes = {
        "id": ours.id, "source": ours.source, "type": ours.type, "specversion": "1.0", "subject": ours.subject,
        "time": datetime.fromtimestamp(seconds, UTC).replace(microsecond=millis * 1000),
        "datacontenttype": "application/json", **ours.extensions,
    }  # fmt: skip
    message = write(CloudEvent(attributes=attributes, data=body), JSONFormat())
    event = received(list(message.headers.items()), message.value)
    assert event.envelope() == ours
    assert json.loads(event.data or b"") == body


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_an_instant_comes_back_from_its_text(at_ms: int) -> None:
    assert from_rfc3339(to_rfc3339(at_ms)) == at_ms
