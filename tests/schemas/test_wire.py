"""Bytes and values: what the border refuses, what it says, and that nothing is lost on the way."""

from __future__ import annotations

import copy
import json
import math
import pickle
from enum import StrEnum

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import BadInput, Fault
from schemas.limits import BATCH, RECORD, Limits, check_border
from schemas.wire import decode, decode_row, decoder_for, encode_json, encode_row


class Colour(StrEnum):
    RED = "red"


class Part(msgspec.Struct, frozen=True):
    size: int
    colour: Colour = Colour.RED


class Thing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    count: int
    weight: float = 0.0
    parts: list[Part] = []
    notes: dict[str, str] = {}
    owner: str | None = None


texts = st.text(max_size=20)
things = st.builds(
    Thing,
    name=texts,
    count=st.integers(-(2**53), 2**53),
    weight=st.floats(allow_nan=False, allow_infinity=False),
    parts=st.lists(st.builds(Part, size=st.integers(0, 9)), max_size=3),
    notes=st.dictionaries(texts, texts, max_size=3),
    owner=st.none() | texts,
)


def refused(data: bytes, kind: type = Thing, limits: Limits = RECORD) -> BadInput:
    with pytest.raises(BadInput) as caught:
        decode(kind, data, limits)
    return caught.value


@given(things)
def test_a_value_comes_back_from_json_and_from_a_row_as_it_went(thing: Thing) -> None:
    assert decode(Thing, encode_json(thing)) == thing
    assert decode_row(Thing, encode_row(thing)) == thing


def test_equal_values_give_equal_bytes_whatever_the_order_of_their_keys() -> None:
    first = Thing(name="a", count=1, notes={"x": "1", "y": "2"})
    second = Thing(name="a", count=1, notes={"y": "2", "x": "1"})
    assert encode_json(first) == encode_json(second)
    assert encode_row(first) == encode_row(second)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_not_written_and_its_place_is_named(number: float) -> None:
    with pytest.raises(BadInput, match=r"not-finite: .*\$\.weight") as caught:
        encode_json(Thing(name="a", count=1, weight=number))
    assert caught.value.reason is Fault.NOT_FINITE
    with pytest.raises(BadInput, match=r"\$\.list\[1\]"):
        encode_json({"list": [0.5, number]})


def test_null_and_the_word_null_are_written() -> None:
    assert encode_json({"a": None, "b": "nullable"}) == b'{"a":null,"b":"nullable"}'


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity", b"1e400"])
def test_a_number_that_is_not_finite_is_not_read(literal: bytes) -> None:
    assert refused(b'{"name":"a","count":1,"weight":' + literal + b"}").reason in {Fault.NOT_JSON, Fault.SCHEMA}


@pytest.mark.parametrize("data", [b"", b"{", b'{"name":"a","count":1}x', b"\xef\xbb\xbf{}", b'{"name":"\\ud800"}'])
def test_malformed_json_is_refused(data: bytes) -> None:
    assert refused(data).reason is Fault.NOT_JSON


def test_bytes_that_are_not_utf8_are_refused_even_in_a_field_nobody_reads() -> None:
    assert refused(b'{"name":"a","count":1,"unread":"\xff"}').reason is Fault.BAD_UTF8
    assert refused(b'{"name":"a","count":1,"unread":"\xed\xa0\x80"}').reason is Fault.BAD_UTF8


def test_all_faulty_fields_are_named_at_once() -> None:
    fault = refused(b'{"count":"5","weight":"heavy","parts":[{"size":1},{"size":null}]}')
    assert fault.reason is Fault.SCHEMA
    assert fault.detail.split("; ") == [
        "name: missing",
        "count: Expected `int`, got `str`",
        "weight: Expected `float`, got `str`",
        "parts: Expected `int`, got `null` - at `$[1].size`",
    ]


def test_no_foreign_value_is_quoted() -> None:
    fault = refused(b'{"name":"a","count":1,"parts":[{"size":1,"colour":"+49 170 - at `$.x`"}]}')
    assert fault.detail == "parts: Invalid enum value - at `$[0].colour`"
    assert refused(b'"+49 170 - at `$.x`"', Colour).detail == "Invalid enum value"


def test_what_is_no_object_is_told_as_the_decoder_tells_it() -> None:
    assert refused(b"[1]").detail == "Expected `object`, got `array`"
    assert refused(b'["x"]', list[int]).detail == "Expected `int`, got `str` - at `$[0]`"


def test_the_last_of_duplicate_keys_counts() -> None:
    assert decode(Thing, b'{"name":"a","count":1,"count":2}').count == 2


def test_unknown_fields_are_ignored() -> None:
    assert decode(Thing, b'{"name":"a","count":1,"new":{"deep":[1]}}') == Thing(name="a", count=1)


def test_a_decoder_is_made_once() -> None:
    assert decoder_for(Thing) is decoder_for(Thing)


@pytest.mark.parametrize("data", [b"", b"\x02\x80", b"\x01", b"\x01\xc1", b"\x01\x80", b"\x01\x81\xa1a\xa1\xff"])
def test_a_row_of_another_version_or_shape_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        decode_row(Thing, data)
    assert caught.value.reason is Fault.ROW


def test_a_row_keeps_every_bit_of_a_float() -> None:
    assert math.isnan(decode_row(Thing, encode_row(Thing(name="a", count=1, weight=math.nan))).weight)


def test_a_fault_survives_copying_and_pickling() -> None:
    fault = BadInput(Fault.SCHEMA, "name: missing")
    for again in (copy.copy(fault), pickle.loads(pickle.dumps(fault))):  # noqa: S301 - our own bytes
        assert (again.reason, again.detail, str(again)) == (Fault.SCHEMA, "name: missing", "schema: name: missing")


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + closing * depth


def test_the_byte_limit_is_the_records_or_the_batchs() -> None:
    data = b" " * RECORD.max_bytes + b"1"
    assert refused(data, int).reason is Fault.TOO_LARGE
    assert decode(int, data, BATCH) == 1
    assert refused(b" " * BATCH.max_bytes + b"1", int, BATCH).reason is Fault.TOO_LARGE


def test_sixteen_levels_pass_and_seventeen_do_not() -> None:
    check_border(nested(16))
    check_border(b'{"k":' * 16 + b"1" + b"}" * 16)
    with pytest.raises(BadInput, match="too-deep"):
        check_border(nested(17))
    with pytest.raises(BadInput, match="too-deep"):
        check_border(b'[{"k":' * 8 + b"[1]" + b"}]" * 8)


def test_many_shallow_brackets_are_not_deep() -> None:
    check_border(b"[" + b",".join([b'{"a":[1]}'] * 500) + b"]")


def test_brackets_and_escaped_quotes_inside_strings_do_not_count() -> None:
    check_border(json.dumps({"a": "[" * 40, "b": '\\"[[[[[[[[[[[[[[[[[[[[\\', "c": "\\\\"}).encode())


def test_keys_are_counted_per_object() -> None:
    wide = {f"k{i}": {"x": 1} for i in range(512)}
    check_border(json.dumps([wide, wide]).encode())
    with pytest.raises(BadInput, match="too-many-keys"):
        check_border(json.dumps([{**wide, "one": "more"}]).encode())
    with pytest.raises(BadInput, match="too-many-keys"):
        check_border(b"{" + b",".join([b'"":0'] * 513) + b"}")


def test_a_string_or_key_may_have_4096_bytes_as_written() -> None:
    check_border(json.dumps({"k" * 4096: "v" * 4096}).encode())
    check_border(b'["' + b'\\"' * 2048 + b'"]')
    for data in (json.dumps(["v" * 4097]), json.dumps({"k" * 4097: 1}), '["' + '\\"' * 2049 + '"]'):
        with pytest.raises(BadInput, match="string-too-long"):
            check_border(data.encode())


@pytest.mark.parametrize("data", [nested(3000)[:3000], b"]" * 40, b'"' * 41, b"{:}" * 50, nested(5000) * 20])
def test_malformed_or_monstrous_bytes_end_in_a_fault_and_never_in_a_crash(data: bytes) -> None:
    assert refused(data, object).reason in {Fault.NOT_JSON, Fault.TOO_DEEP}
    assert refused(b'{"count":"x","unread":' + data).reason in {Fault.NOT_JSON, Fault.TOO_DEEP, Fault.SCHEMA}


SMALL = Limits(max_depth=3, max_keys=2, max_string_bytes=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=25,
)


def depth_of(value: object) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(depth_of, children), default=0)


def widest(value: object) -> int:
    if isinstance(value, dict):
        return max(len(value), *map(widest, value.values()), 0)
    return max(map(widest, value), default=0) if isinstance(value, list) else 0


def longest(value: object) -> int:
    if isinstance(value, str):
        return len(json.dumps(value)) - 2
    if isinstance(value, dict):
        return max((longest(part) for pair in value.items() for part in pair), default=0)
    return max(map(longest, value), default=0) if isinstance(value, list) else 0


@given(json_values)
def test_the_check_on_bytes_says_what_a_walk_over_the_parsed_value_says(value: object) -> None:
    within = depth_of(value) <= 3 and widest(value) <= 2 and longest(value) <= 8
    try:
        check_border(json.dumps(value).encode(), SMALL)
    except BadInput:
        assert not within
    else:
        assert within
