"""One example of every message, made from its type: every required field, with values as they look in life."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import inspect

from .base import Message
from .registry import TYPES

_AT_MS: Final = 1_790_000_000_000
_NAMED: Final[dict[str, Any]] = {
    "app_id": "video",
    "boot_id": "2f6a",
    "by": "ops",
    "condition": "ready",
    "cpu_allocatable_milli": 4_000,
    "cpu_used_milli": 2_100,
    "dialect": "otlp",
    "for_ms": 30_000,
    "from_site": "bay-7",
    "gateway_id": "bay-7-gw",
    "health": "suspect",
    "ingress_id": "bay-7-in",
    "interval_ms": 5_000,
    "kind": "vehicle",
    "lat_e7": 377_749_000,
    "lon_e7": -1_224_194_000,
    "mem_allocatable_bytes": 8_589_934_592,
    "mem_used_bytes": 3_221_225_472,
    "node_id": "bay-7-n1",
    "owner_keyspace": "app",
    "partition": 3,
    "permille": 250,
    "previous": "healthy",
    "ref": "state/session-1",
    "region": "bay",
    "region_id": "bay",
    "replicas": 3,
    "reply_keyspace": "site",
    "requests": 420,
    "resource_id": "video@bay-7",
    "scope": "site/bay-7",
    "sha256": "",
    "site": "bay-7",
    "site_id": "bay-7",
    "source": "bmc",
    "step_ms": 60_000,
    "tenant": "acme",
    "terminal_id": "terminal-17",
    "to_site": "bay-9",
    "topic": "tick",
    "why": "maintenance",
    "zone": "zone-4",
    "zone_id": "zone-4",
}
_KINDS: Final = ("scaling", "migration", "offload")
_ADDED: Final[dict[str, dict[str, Any]]] = {
    "node.parts.v1": {
        "parts": [
            {"node_id": "bay-7-n1", "observed_at_ms": _AT_MS, "readings": [{"quantity": "mem_used_bytes", "value": 1}]}
        ]
    },
    "app.spec.v1": {"kind": "service", "per_replica": {"cpu_milli": 500, "mem_bytes": 268_435_456}},
    "policy.v1": {"version": 2, "scaling": {}},
}
"""What makes sense only together with fields that a type alone does not ask for."""


def example(type_name: str) -> Message:
    """An example message of a short type name; the same at every call."""
    kind = TYPES[type_name]
    data: dict[str, Any] = _struct(inspect.type_info(kind))
    family, _, rest = type_name.partition(".")
    if family in ("command", "decision") and rest.partition(".")[0] in _KINDS:
        data["kind"] = rest.partition(".")[0]
    return msgspec.convert(data | _ADDED.get(type_name, {}), kind)


def _struct(info: inspect.Type) -> dict[str, Any]:
    assert isinstance(info, inspect.StructType)
    tag = {info.tag_field: info.tag} if info.tag_field else {}
    return tag | {field.encode_name: _value(field.encode_name, field.type) for field in info.fields if field.required}


def _value(name: str, info: inspect.Type) -> Any:
    match info:
        case inspect.StructType():
            return _struct(info)
        case inspect.EnumType(cls=members):
            return next(iter(members)).value
        case inspect.UnionType(types=kinds):
            return _value(name, kinds[0])
        case inspect.VarTupleType(item_type=item):
            return [_value(name, item)]
        case inspect.DictType():
            return {}
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return _NAMED.get(name, _AT_MS if name.endswith("_ms") else 1)
        case _:
            return _NAMED.get(name, f"{name.removesuffix('_id').replace('_', '-')}-1")
