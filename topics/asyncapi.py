"""The contract as one AsyncAPI 3 document: channels with their Kafka settings, messages, operations and replies."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from schemas.contract import definition_name, definitions
from schemas.examples import example
from schemas.registry import TYPES, full_type
from schemas.sections import KafkaSettings

from .catalogue import APP, CATALOGUE, COMMANDS, ESTATE, JOURNAL, POLICY, REQUEST, STATUS
from .provision import Wanted, wanted
from .topic import Topic

Document = dict[str, Any]
VERSION: Final = "1.0.0"
_BINDING: Final = "0.5.0"
_REPLIED: Final = {topic.name: STATUS for topic in COMMANDS.values()} | {REQUEST.name: REQUEST}
_NUMBERS: Final = ("retention.ms", "retention.bytes", "max.message.bytes")
_HEADERS: Final[Document] = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "Unique for its source; the same cause gives the same id."},
        "ce_source": {"type": "string", "description": "/edge/SITE/COMPONENT, or a controller's partition."},
        "ce_type": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_correlationid": {"type": "string", "description": "The request or command that is answered."},
        "ce_sequence": {"type": "string", "description": "20 digits; per source and topic it only grows."},
        "ce_keyspace": {"type": "string", "description": "Whose controller a shared topic's record is for."},
        "content-type": {"const": "application/json"},
    },
}


def document(settings: KafkaSettings | None = None) -> Document:
    """The whole contract; the journal is nobody's business and not in it."""
    public = [topic for topic in CATALOGUE if topic is not JOURNAL]
    shapes = {shape.name: shape for shape in wanted(settings or KafkaSettings(topic_prefix=""), public)}
    prefix = settings.topic_prefix if settings else ""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edgeweir",
            "version": VERSION,
            "description": "Telemetry and location in; decisions, commands, statuses and inventory out.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic, shapes[prefix + topic.name]) for topic in public},
        "operations": dict(_operation(topic) for topic in public),
        "components": {
            "schemas": definitions(closed=True, ref="#/components/schemas/{name}"),
            "messages": {name: _message(name) for name in TYPES},
        },
    }


def _channel(topic: Topic, shape: Wanted) -> Document:
    configs: Document = {
        name: int(value) if name in _NUMBERS else value
        for name, value in shape.configs.items()
        if name in ("cleanup.policy", *_NUMBERS)
    }
    configs["cleanup.policy"] = shape.configs["cleanup.policy"].split(",")
    return {
        "address": shape.name,
        "description": f"Key: {topic.key}. Written by {topic.writers}; read by {topic.readers}.",
        "messages": {_slug(name): {"$ref": f"#/components/messages/{name}"} for name in topic.types},
        "bindings": {
            "kafka": {
                "topic": shape.name,
                "partitions": shape.partitions,
                "replicas": shape.replication,
                "topicConfiguration": configs,
                "bindingVersion": _BINDING,
            }
        },
    }


def _operation(topic: Topic) -> tuple[str, Document]:
    """What edgeweir does with a channel; commands are answered on the status topic, requests on their own."""
    receives = topic.keyspace is not None or topic in (ESTATE, APP, POLICY, STATUS)
    action = "receive" if receives else "send"
    body: Document = {"action": action, "channel": {"$ref": f"#/channels/{_escaped(topic.name)}"}}
    answered = _REPLIED.get(topic.name)
    if answered is not None:
        body["reply"] = {"channel": {"$ref": f"#/channels/{_escaped(answered.name)}"}}
    return f"{action}-{topic.name.replace('.', '-')}", body


def _message(name: str) -> Document:
    kind = TYPES[name]
    return {
        "name": full_type(name),
        "title": definition_name(name),
        "summary": (kind.__doc__ or "").strip().partition("\n")[0],
        "contentType": "application/json",
        "headers": _HEADERS,
        "payload": {"$ref": f"#/components/schemas/{definition_name(name)}"},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "examples": [{"payload": msgspec.to_builtins(example(name))}],
    }


def _slug(name: str) -> str:
    return name.replace(".", "-")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
