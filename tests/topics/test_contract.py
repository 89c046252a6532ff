"""The contract: what is promised stands in the lock, document and code say the same, examples are what they show."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas import wire
from schemas.checks import contradictions
from schemas.contract import incompatible, lock, schema_of
from schemas.examples import example
from schemas.registry import TYPES, type_name
from schemas.sections import KafkaSettings
from topics.asyncapi import document
from topics.catalogue import CATALOGUE, JOURNAL
from topics.provision import wanted

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


def generated() -> dict[Path, str]:
    from contracts import made  # type: ignore[import-not-found]  # tools/ is no package

    found: dict[Path, str] = made()
    return found


def test_what_is_generated_is_what_is_committed() -> None:
    for path, text in generated().items():
        assert path.read_text("utf-8") == text, f"{path.name}: run `make contracts`"


@pytest.mark.parametrize("name", TYPES)
def test_an_example_is_a_sound_message_of_its_type_and_fits_the_closed_schema(name: str) -> None:
    message = example(name)
    data = wire.encode_json(message)
    assert wire.decode(TYPES[name], data) == message
    assert list(contradictions(message)) == []
    assert type_name(message) == name
    jsonschema.Draft7Validator(schema_of(name, closed=True)).validate(json.loads(data))


@pytest.mark.parametrize("name", TYPES)
def test_producers_are_closed_and_consumers_open(name: str) -> None:
    data = json.loads(wire.encode_json(example(name))) | {"unheard_of": 1}
    assert not jsonschema.Draft7Validator(schema_of(name, closed=True)).is_valid(data)
    assert jsonschema.Draft7Validator(schema_of(name, closed=False)).is_valid(data)
    assert wire.decode(TYPES[name], json.dumps(data).encode()) == example(name)


def test_every_schema_is_draft_07_without_what_other_tools_refuse() -> None:
    for name in TYPES:
        schema = schema_of(name, closed=True)
        jsonschema.Draft7Validator.check_schema(schema)
        text = json.dumps(schema)
        assert '"discriminator"' not in text
        assert "\\Z" not in text
        assert "$defs" not in text


def test_the_document_names_every_public_topic_with_the_settings_that_the_broker_gets() -> None:
    settings = KafkaSettings(topic_prefix="acme.", partitions=64, replication=3)
    channels = document(settings)["channels"]
    assert set(channels) == {topic.name for topic in CATALOGUE} - {JOURNAL.name}
    for shape in wanted(settings, [topic for topic in CATALOGUE if topic is not JOURNAL]):
        channel = channels[shape.name.removeprefix("acme.")]
        kafka = channel["bindings"]["kafka"]
        assert channel["address"] == kafka["topic"] == shape.name
        assert (kafka["partitions"], kafka["replicas"]) == (shape.partitions, shape.replication)
        assert ",".join(kafka["topicConfiguration"]["cleanup.policy"]) == shape.configs["cleanup.policy"]


def test_every_reference_of_the_document_leads_somewhere() -> None:
    whole = document()

    def follow(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                place: Any = whole
                for step in node["$ref"].removeprefix("#/").split("/"):
                    place = place[step.replace("~1", "/").replace("~0", "~")]
            for child in node.values():
                follow(child)
        elif isinstance(node, list):
            for child in node:
                follow(child)

    follow(whole)


def a_change(change: Any) -> list[str]:
    old = lock()
    new = copy.deepcopy(old)
    change(new["definitions"]["AppLoad"], new)
    return incompatible(old, new)


def test_an_optional_field_more_breaks_nobody() -> None:
    assert a_change(lambda load, _: load["properties"].update(extra={"type": "integer", "default": 0})) == []


def test_every_other_change_is_named_as_a_break() -> None:
    assert a_change(lambda load, _: load["properties"].pop("queued")) == ["AppLoad.queued: removed"]
    assert a_change(lambda load, _: load["required"].append("queued")) == ["AppLoad.queued: is required now"]
    assert a_change(lambda load, _: load["required"].remove("requests")) == ["AppLoad.requests: is optional now"]
    assert a_change(lambda load, _: load["properties"]["requests"].update(maximum=5)) == ["AppLoad.requests: changed"]
    assert a_change(lambda _, new: new["types"].pop("app.load.v1")) == ["type app.load.v1: removed"]
    assert a_change(lambda _, new: new["definitions"].pop("AppLoad")) == ["AppLoad: removed"]
