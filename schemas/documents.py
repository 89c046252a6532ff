"""Estate, apps and policies as a person writes them (TOML): read whole or not at all, every fault with its place."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from .apps import AppSpec
from .base import Message
from .checks import contradictions
from .errors import BadInput, Fault
from .estate import AccessPoint, Link, Node, Region, Site, Tenant, Zone
from .policy import Policy

KINDS: Final[dict[str, type[Message]]] = {
    "region": Region,
    "site": Site,
    "zone": Zone,
    "ap": AccessPoint,
    "link": Link,
    "node": Node,
    "tenant": Tenant,
    "app": AppSpec,
    "policy": Policy,
}
_REFERS: Final[dict[str, dict[str, str]]] = {
    "site": {"region": "region"},
    "zone": {"site": "site"},
    "ap": {"zone": "zone"},
    "node": {"site": "site"},
    "link": {"from_site": "site", "to_site": "site"},
    "app": {"tenant": "tenant"},
}


class Document(msgspec.Struct, frozen=True):
    """One item as it will be written: its kind, its key on the topic, itself."""

    kind: str
    key: str
    body: Message


def read_documents(text: str, name: str, known: frozenset[str] = frozenset()) -> list[Document]:
    """All items of a TOML text (`[[site]]`, `[[app]]`, ...); `known` are keys that exist already (`site/a`).

    BadInput lists every fault of the file, one per line, each with the item and the field.
    """
    faults: list[str] = []
    documents = list(_documents(_parsed(text, name), faults))
    faults += _repeated(documents)
    faults += _dangling(documents, known)
    if faults:
        head = f"{name}: {len(faults)} wrong, nothing was taken:"
        raise BadInput(Fault.DOCUMENT, "\n  ".join([head, *faults]))
    return documents


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(Fault.DOCUMENT, f"{name} is no TOML: {error}") from None


def _documents(tree: dict[str, Any], faults: list[str]) -> Iterator[Document]:
    for kind, items in tree.items():
        struct = KINDS.get(kind)
        if struct is not None and not isinstance(items, list):
            faults.append(f"{kind}: write each as a table of its own: [[{kind}]]")
            continue
        if struct is None:
            faults.append(f"[[{kind}]]: no such kind{_nearest(kind, KINDS)}; there are {', '.join(KINDS)}")
            continue
        for number, raw in enumerate(items, 1):
            body = _body(struct, raw, f"{kind} {_label(raw, number)}", faults)
            if body is not None:
                yield Document(kind, _key(kind, body), body)


def _body(struct: type[Message], raw: Any, place: str, faults: list[str]) -> Message | None:
    if not isinstance(raw, dict):
        faults.append(f"{place}: wanted a table, found {type(raw).__name__}")
        return None
    found = [f"{place}: {fault}" for fault in _field_faults(struct, raw)]
    faults += found
    body = _converted(struct, _without_faults(struct, raw) if found else raw)
    if body is not None:
        faults += [f"{place}: {sentence}" for sentence in contradictions(body)]
    return body


def _without_faults(struct: type[Any], raw: dict[str, Any]) -> dict[str, Any]:
    """What is sound of a faulty table: its contradictions and references are told in the same breath."""
    kept: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        if field.encode_name in raw:
            value, nested = raw[field.encode_name], _struct_in(field.type)
            if nested is not None and isinstance(value, dict):
                value = _without_faults(nested, value)
            if not any(_value_faults(field.type, value, "")):
                kept[field.encode_name] = value
    return kept


def _converted(struct: type[Message], raw: dict[str, Any]) -> Message | None:
    """The item, or None while a field that it needs is faulty."""
    try:
        return msgspec.convert(raw, struct)
    except msgspec.ValidationError:
        return None


def _field_faults(struct: type[Any], raw: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every unknown, missing or wrong field, also of nested tables."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name in [name for name in raw if name not in fields]:
        yield f"{path}{name}: no such field{_nearest(name, fields)}"
    for name, field in fields.items():
        if name not in raw:
            if field.required:
                yield f"{path}{name}: missing"
        else:
            yield from _value_faults(field.type, raw[name], f"{path}{name}")


def _value_faults(kind: Any, value: Any, path: str) -> Iterator[str]:
    nested = _struct_in(kind)
    if nested is not None and isinstance(value, dict):
        yield from _field_faults(nested, value, f"{path}.")
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        yield f"{path}: {str(error).replace(' - at `$`', '')}"


def _struct_in(kind: Any) -> type[Any] | None:
    options = getattr(kind, "__args__", ()) or (kind,)
    structs = [option for option in options if isinstance(option, type) and issubclass(option, msgspec.Struct)]
    plain = len(structs) == 1 and getattr(kind, "__origin__", None) not in (tuple, list, dict)
    return structs[0] if plain else None


def _label(raw: Any, number: int) -> str:
    names = [str(raw[name]) for name in ("id", "app_id") if isinstance(raw, dict) and name in raw]
    return names[0] if names else f"number {number}"


def _key(kind: str, body: Message) -> str:
    return str(body.app_id) if isinstance(body, AppSpec) else f"{kind}/{getattr(body, 'id')}"  # noqa: B009  # by kind


def _repeated(documents: list[Document]) -> Iterator[str]:
    seen: dict[tuple[str, str], int] = {}
    for document in documents:
        place = (document.kind, document.key)
        seen[place] = seen.get(place, 0) + 1
    return (f"{kind} {key}: said {count} times" for (kind, key), count in seen.items() if count > 1)


def _dangling(documents: list[Document], known: frozenset[str]) -> Iterator[str]:
    """References to what neither the file nor the estate has."""
    here = known | {document.key for document in documents}
    for document in documents:
        for field, kind in _REFERS.get(document.kind, {}).items():
            name = getattr(document.body, field)
            if f"{kind}/{name}" not in here:
                yield f"{document.kind} {document.key}: {field} names {kind} {name}, which does not exist"


def _nearest(word: str, words: Any) -> str:
    near = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
