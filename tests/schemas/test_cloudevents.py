"""Events on Kafka: binary out, binary, structured and bare in, and everything that is refused at the envelope."""

from __future__ import annotations

import base64
import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cloudevents import BARE_JSON, NO_CONTENT_TYPE, Envelope, Headers, Received, headers, read
from schemas.errors import BadInput, Fault

TELEMETRY = "io.edgeweir.node.telemetry.v1"


class Body(msgspec.Struct, frozen=True):
    cpu: int


def received(
    record_headers: Headers,
    value: bytes | None = b'{"cpu":5}',
    *,
    key: bytes | None = b"stadium",
    default_type: str = "",
) -> Received:
    return read(
        record_headers,
        value,
        key=key,
        topic="edge.node.telemetry.v1",
        partition=3,
        offset=42,
        timestamp_ms=1_000,
        default_type=default_type,
    )


def refused(record_headers: Headers, value: bytes | None = b"{}") -> BadInput:
    with pytest.raises(BadInput) as caught:
        received(record_headers, value)
    return caught.value


def structured(kind: str = "application/cloudevents+json", /, **members: object) -> tuple[Headers, bytes]:
    required = {"specversion": "1.0", "id": "1", "source": "/x", "type": TELEMETRY}
    return [("content-type", kind.encode())], json.dumps(required | members).encode()


MINIMAL: Headers = headers(Envelope(id="1", source="/x", type=TELEMETRY, time_ms=0))


def without(name: str) -> Headers:
    return [(header, raw) for header, raw in MINIMAL if header != name]


def test_telemetry_carries_the_required_six_and_nothing_else() -> None:
    assert headers(Envelope(id="e1", source="/edge/stadium/gateway", type=TELEMETRY, time_ms=1_522_900_584_007)) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e1"),
        ("ce_source", b"/edge/stadium/gateway"),
        ("ce_type", b"io.edgeweir.node.telemetry.v1"),
        ("content-type", b"application/json"),
        ("ce_time", b"2018-04-05T03:56:24.007Z"),
    ]


def test_a_command_adds_who_speaks_how_new_it_is_and_until_when_it_holds() -> None:
    command = Envelope(
        id="c1", source="/edge/stadium/site", type="io.edgeweir.command.scaling.v1", time_ms=0, subject="video@stadium",
        sequence=5_000_000_000, expirytime_ms=60_000, fenceepoch=2**40, fencerevision=0, keyspace="site",
        traceparent="00-a-b-01", hop_traceparent="00-a-c-01", extensions={"tenant": "harbour"},
    )  # fmt: skip
    assert dict(headers(command)[6:]) == {
        "ce_subject": b"video@stadium",
        "ce_sequence": b"00000000005000000000",
        "ce_expirytime": b"1970-01-01T00:01:00.000Z",
        "ce_fenceepoch": b"1099511627776",
        "ce_fencerevision": b"0",
        "ce_keyspace": b"site",
        "ce_traceparent": b"00-a-b-01",
        "traceparent": b"00-a-c-01",
        "ce_tenant": b"harbour",
    }


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
optional_words = st.just("") | words
millis = st.integers(-62_135_596_800_000, 253_402_300_799_999)
numbers = st.none() | st.integers(0, 2**63)
envelopes = st.builds(
    Envelope, id=words, source=words, type=words, time_ms=millis, subject=optional_words, partitionkey=optional_words,
    recordedtime_ms=st.none() | millis, sequence=numbers, dataschema=optional_words, correlationid=optional_words,
    causationid=optional_words, expirytime_ms=st.none() | millis, fenceepoch=numbers, fencerevision=numbers,
    keyspace=optional_words, traceparent=optional_words, hop_traceparent=optional_words,
    extensions=st.dictionaries(st.from_regex(r"x[a-z0-9]{1,19}", fullmatch=True), words, max_size=3),
)  # fmt: skip


@given(envelopes)
def test_an_envelope_comes_back_as_it_went(envelope: Envelope) -> None:
    assert received(headers(envelope)).envelope() == envelope


def test_the_hot_path_gives_type_identity_and_data() -> None:
    event = received(MINIMAL)
    assert (event.short_type, event.identity, event.coercions) == ("node.telemetry.v1", ("/x", "1", TELEMETRY), ())
    assert event.body(Body) == Body(cpu=5)


def test_an_event_without_a_time_happened_when_it_was_recorded() -> None:
    assert received(without("ce_time")).time_ms == 1_000
    assert received(MINIMAL).time_ms == 0


def test_a_null_value_is_a_tombstone_with_or_without_attributes() -> None:
    assert received(MINIMAL, None).data is None
    bare = received([], None)
    assert (bare.data, bare.type, bare.source, bare.coercions) == (None, "", "stadium", (BARE_JSON,))
    with pytest.raises(BadInput, match="no-data"):
        bare.body(Body)


def test_bare_json_is_taken_as_the_topics_default_type() -> None:
    event = received([("user-agent", b"kcat")], default_type="node.telemetry.v1")
    assert event.identity == ("stadium", "edge.node.telemetry.v1/3/42", TELEMETRY)
    assert (event.time_ms, event.coercions, event.body(Body)) == (1_000, (BARE_JSON,), Body(cpu=5))
    assert event.envelope() == Envelope(id=event.id, source="stadium", type=TELEMETRY, time_ms=1_000)


def test_bare_json_without_a_key_comes_from_its_topic() -> None:
    assert received([], key=None, default_type="node.telemetry.v1").source == "edge.node.telemetry.v1"
    assert received([], key=b"\xff", default_type="node.telemetry.v1").source == "\\xff"


def test_bare_json_on_a_topic_without_a_default_type_is_refused() -> None:
    assert refused([]).detail == "no ce_ headers, and the topic has no default type"


def test_every_missing_attribute_is_named_and_a_wrong_version_too() -> None:
    assert refused([("ce_time", b"x")]).detail == (
        "missing ce_specversion; missing ce_id; missing ce_source; missing ce_type"
    )
    assert refused([("ce_specversion", b"0.3"), ("ce_id", b""), ("ce_type", b"t"), ("ce_source", None)]).detail == (
        "missing ce_id; missing ce_source; ce_specversion is not 1.0"
    )
    assert refused([*without("ce_specversion"), ("ce_specversion", b"0.3")]).detail == "ce_specversion is not 1.0"


def test_a_body_that_says_nothing_of_its_kind_is_read_as_json_and_counted() -> None:
    event = received(without("content-type"))
    assert (event.content_type, event.coercions) == ("application/json", (NO_CONTENT_TYPE,))


@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=latin-1", "application/x-protobuf"])
def test_a_body_of_another_kind_is_refused_only_when_it_is_read(kind: str) -> None:
    event = received([*without("content-type"), ("content-type", kind.encode())])
    with pytest.raises(BadInput) as caught:
        event.body(Body)
    assert caught.value.reason is Fault.CONTENT_TYPE


@pytest.mark.parametrize("kind", ["application/vnd.x+json", "TEXT/JSON", 'application/json; charset="UTF-8"'])
def test_a_body_of_a_json_kind_is_read(kind: str) -> None:
    assert received([*without("content-type"), ("content-type", kind.encode())]).body(Body) == Body(cpu=5)


def test_of_headers_with_one_name_the_last_counts() -> None:
    assert received([*MINIMAL, ("ce_id", b"2")]).id == "2"


def test_attributes_may_have_64_kib_and_names_512_bytes() -> None:
    assert received([*MINIMAL, ("ce_big", b"x" * 65_000), ("other", b"x" * 90_000)]).attribute("big") == "x" * 65_000
    assert "at most 65536" in refused([*MINIMAL, ("ce_big", b"x" * 65_536)]).detail
    for name in ("ce_id", "ce_source", "ce_type", "content-type"):
        assert refused([*without(name), (name, b"x" * 513)]).detail == f"{name} of 513 bytes, at most 512"


@pytest.mark.parametrize("name", ["ce_", "ce_Upper", "ce_with-dash", "ce_" + "a" * 21, "ce_ümlaut"])
def test_a_misnamed_attribute_is_refused(name: str) -> None:
    assert refused([*MINIMAL, (name, b"x")]).detail == f"attribute name {name!r}"


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type", "content-type"])
def test_attributes_are_utf8(name: str) -> None:
    assert refused([*without(name), (name, b"\xff")]).reason is Fault.BAD_UTF8


def test_attributes_read_late_name_all_their_faults() -> None:
    event = received([*without("ce_time"), ("ce_time", b"noon"), ("ce_sequence", b"-1"), ("ce_x", b"\xff")])
    with pytest.raises(BadInput) as caught:
        event.envelope()
    assert caught.value.detail == (
        "ce_time: not an RFC 3339 time; ce_sequence: not a decimal number of at most 20 digits; ce_x: not UTF-8"
    )
    with pytest.raises(BadInput, match="bad-time"):
        _ = event.time_ms


def test_a_structured_event_equals_its_binary_twin() -> None:
    record_headers, value = structured(
        time="1970-01-01T00:00:00Z", subject="s", flag=True, number=-5, unset=None, data={"cpu": 5}
    )
    event = received([*record_headers, ("ce_id", b"ignored")], value)
    assert event.envelope() == Envelope(
        id="1", source="/x", type=TELEMETRY, time_ms=0, subject="s", extensions={"flag": "true", "number": "-5"}
    )
    assert event.body(Body) == Body(cpu=5)


def test_structured_data_may_be_base64_text_or_absent() -> None:
    def data(**members: object) -> bytes | None:
        return received(*structured(**members)).data

    assert data(data_base64=base64.b64encode(b'{"cpu":5}').decode()) == b'{"cpu":5}'
    assert data(data="a,b", datacontenttype="text/csv") == b"a,b"
    assert data(data="a,b") == b'"a,b"'
    assert data() is None
    assert data(data=None) is None


@pytest.mark.parametrize(
    "kind",
    ["application/cloudevents-batch+json", "application/cloudevents+avro", "application/cloudevents",
     "application/cloudevents+json; charset=latin-1", "application/cloudevents+json;" + "x" * 512],
)  # fmt: skip
def test_batches_and_other_formats_are_refused(kind: str) -> None:
    assert refused(*structured(kind)).reason is Fault.CONTENT_TYPE


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Fault.NO_DATA),
        (b"{", Fault.NOT_JSON),
        (b"[]", Fault.NOT_JSON),
        (b'{"a":"\xff"}', Fault.BAD_UTF8),
        (b"[" * 18 + b"]" * 18, Fault.TOO_DEEP),
        (structured(list=[1])[1], Fault.ENVELOPE),
        (structured(half=0.5)[1], Fault.ENVELOPE),
        (structured(BadName="x")[1], Fault.ENVELOPE),
        (structured(specversion="0.3")[1], Fault.ENVELOPE),
        (structured(data=1, data_base64="MQ==")[1], Fault.ENVELOPE),
        (structured(data_base64="*")[1], Fault.ENVELOPE),
        (structured(data_base64=5)[1], Fault.ENVELOPE),
        (b'{"specversion":"1.0","id":"1"}', Fault.ENVELOPE),
    ],
)
def test_a_structured_event_that_is_none_is_refused(value: bytes | None, reason: Fault) -> None:
    assert refused([("Content-Type", b"x"), ("content-type", b"APPLICATION/CloudEvents+JSON")], value).reason is reason


@given(st.lists(st.tuples(st.sampled_from([*map(str, dict(MINIMAL)), "ce_x", "y"]), st.binary(max_size=30))),
       st.none() | st.binary(max_size=60))  # fmt: skip
def test_any_bytes_end_in_an_event_or_a_fault(record_headers: list[tuple[str, bytes]], value: bytes | None) -> None:
    with suppress(BadInput):
        assert received(record_headers, value, default_type="node.telemetry.v1").envelope().id
