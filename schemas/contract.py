"""The contract as JSON Schema (draft-07), made from the types: closed for who produces, open for who consumes.

Evolution (CONTRACTS 8): an optional field may be added; every other change needs a new type name `.vN`.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from .registry import TYPES

Schema = dict[str, Any]
LOCK_VERSION: Final = 1
DRAFT: Final = "http://json-schema.org/draft-07/schema#"
_NOT_MEANT: Final = ("title", "description")
_PYTHON_END: Final = r"\Z"


@lru_cache
def definitions(*, closed: bool, ref: str = "#/definitions/{name}") -> dict[str, Schema]:
    """Every type of the contract and all they are made of, by name; `closed` allows no unknown field.

    Made once: not to be changed.
    """
    _, found = msgspec.json.schema_components(list(dict.fromkeys(TYPES.values())), ref_template=ref)
    return {name: _plain(schema, closed=closed) for name, schema in sorted(found.items())}


def definition_name(type_name: str) -> str:
    """The definition that a short type name stands for (`node.telemetry.v1` -> `NodeTelemetry`)."""
    return TYPES[type_name].__name__


def schema_of(type_name: str, *, closed: bool) -> Schema:
    """One type's schema with only the definitions that it needs, for a file of its own or a schema registry."""
    known, name = definitions(closed=closed), definition_name(type_name)
    needed: dict[str, Schema] = {}
    _collect(name, known, needed)
    top = needed.pop(name)
    title = {"$schema": DRAFT, "$id": f"io.edgeweir.{type_name}"}
    return {**title, **top, **({"definitions": dict(sorted(needed.items()))} if needed else {})}


def lock() -> dict[str, Any]:
    """What is promised to the world: each type name with its definition, and all definitions without their texts."""
    names = {name: definition_name(name) for name in sorted(TYPES)}
    return {
        "lock": LOCK_VERSION,
        "types": names,
        "definitions": {name: _bare(schema) for name, schema in definitions(closed=False).items()},
    }


def incompatible(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Every change of the contract that its users could notice as a break; empty where only optional fields came."""
    faults = [f"type {name}: removed" for name in old["types"] if name not in new["types"]]
    faults += [
        f"type {name}: is {new['types'][name]}, was {kind}"
        for name, kind in old["types"].items()
        if name in new["types"] and new["types"][name] != kind
    ]
    for name, schema in old["definitions"].items():
        now = new["definitions"].get(name)
        if now is None:
            faults.append(f"{name}: removed")
        else:
            faults += [f"{name}{fault}" for fault in _breaks(schema, now)]
    return faults


def _breaks(old: Schema, new: Schema) -> Iterator[str]:
    fields, now = old.get("properties", {}), new.get("properties", {})
    for field, schema in fields.items():
        if field not in now:
            yield f".{field}: removed"
        elif now[field] != schema:
            yield f".{field}: changed"
    required, required_now = set(old.get("required", ())), set(new.get("required", ()))
    yield from (f".{field}: is required now" for field in sorted(required_now - required))
    yield from (f".{field}: is optional now" for field in sorted(required - required_now))
    rest = {key for key in {*old, *new} if key not in ("properties", "required") and old.get(key) != new.get(key)}
    yield from (f": {key} changed" for key in sorted(rest))


def _plain(schema: Schema, *, closed: bool) -> Schema:
    """Draft-07 as every tool reads it: no discriminator object, regular expressions of ECMA 262."""

    def change(node: Schema) -> None:
        node.pop("discriminator", None)
        if isinstance(node.get("description"), str):
            node["description"] = inspect.cleandoc(node["description"])
        if "prefixItems" in node:
            node["additionalItems"] = node.pop("items", False)
            node["items"] = node.pop("prefixItems")
        if "pattern" in node:
            node["pattern"] = node["pattern"].replace(_PYTHON_END, "$")
        if closed and "properties" in node:
            node["additionalProperties"] = False

    found = copy.deepcopy(schema)
    _visit(found, change)
    return found


def _bare(schema: Schema) -> Schema:
    def change(node: Schema) -> None:
        for text in _NOT_MEANT:
            if isinstance(node.get(text), str):
                del node[text]

    found = copy.deepcopy(schema)
    _visit(found, change)
    return found


def _visit(node: object, change: Callable[[Schema], None], *, named: bool = False) -> None:
    """Every schema inside a schema; the values of `properties` are schemas, `properties` itself is none."""
    if isinstance(node, dict):
        if not named:
            change(node)
        for key, child in list(node.items()):
            if named or key not in ("default", "const", "enum", "examples"):
                _visit(child, change, named=key in ("properties", "definitions") and not named)
    elif isinstance(node, list):
        for child in node:
            _visit(child, change)


def _collect(name: str, known: Mapping[str, Schema], needed: dict[str, Schema]) -> None:
    if name in needed:
        return
    needed[name] = known[name]

    def follow(node: Schema) -> None:
        if isinstance(node.get("$ref"), str):
            _collect(node["$ref"].rpartition("/")[2], known, needed)

    _visit(known[name], follow)
