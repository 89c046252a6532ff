"""Settings are read once into one frozen object: command line > environment > TOML file > default.

Pure: the caller hands in the environment, the file's text and a reader of secret files. Every fault is collected, so a
start that fails says all that must be corrected. Thresholds are policy and arrive as data; they are never settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Generic, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from .errors import BadInput, Fault
from .sections import (
    HIDDEN,
    DevSettings,
    KafkaSettings,
    LogSettings,
    MetricsSettings,
    OtelSettings,
    RawSettings,
    Secret,
    Section,
)
from .settings_sources import (
    COMMAND_LINE,
    FILE,
    Given,
    Layer,
    from_command_line,
    from_environment,
    from_toml,
    known_keys,
    open_secret_files,
    variable,
)

__all__ = [
    "DevSettings",
    "Effective",
    "KafkaSettings",
    "LogSettings",
    "MetricsSettings",
    "OtelSettings",
    "RawSettings",
    "Section",
    "Shown",
    "read",
    "variable",
]

S = TypeVar("S", bound=msgspec.Struct)

DEFAULT: Final = "default"


class Shown(NamedTuple):
    """One effective setting for people: `kafka.bootstrap`, its text (secrets hidden), where it came from."""

    key: str
    text: str
    origin: str


class Effective(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """The settings of this process and, per `section.key`, their origin; what is not in `origins` is a default."""

    value: S
    origins: dict[str, str]

    def shown(self) -> tuple[Shown, ...]:
        """Every setting in declared order; an optional section that is absent is one line."""
        lines: list[Shown] = []
        for part in msgspec.structs.fields(self.value):
            section = getattr(self.value, part.name)
            if section is None:
                lines.append(Shown(part.name, "absent", DEFAULT))
                continue
            for field in msgspec.structs.fields(section):
                key = f"{part.name}.{field.name}"
                text = _text(getattr(section, field.name), is_secret=field.type == Secret)
                lines.append(Shown(key, text, self.origins.get(key, DEFAULT)))
        return tuple(lines)


def read(
    kind: type[S],
    *,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    toml_text: str | None = None,
    toml_name: str = "edgeweir.toml",
    read_file: Callable[[str], str] | None = None,
) -> Effective[S]:
    """The settings of a process kind: `kind` has one field per section (`Section`, or `Section | None`).

    `overrides` are the command line's, by `section.key` (None: not given). `read_file` returns a secret file's text.
    BadInput (`settings`) lists every fault, one per line.
    """
    parts = {part.name: part for part in msgspec.structs.fields(kind)}
    secrets = _secrets(parts)
    _check_declared(parts, secrets)
    faults: list[str] = []
    given: Layer = {}
    for layer in (
        from_toml(toml_text, toml_name, faults),
        from_environment(environ or {}, faults),
        from_command_line(overrides or {}, faults),
    ):
        open_secret_files(layer, secrets, read_file, faults)
        given |= layer
    sections = {name: _section(part, given, faults) for name, part in parts.items()}
    if faults:
        raise BadInput(Fault.SETTINGS, "\n  ".join([f"{len(faults)} wrong:", *faults]))
    known = {f"{name}.{key}" for name, part in parts.items() for key in _section_type(part).__struct_fields__}
    return Effective(value=kind(**sections), origins={k: v.origin for k, v in given.items() if k in known})


def _check_declared(parts: Mapping[str, msgspec.structs.FieldInfo], secrets: list[str]) -> None:
    """Our own mistake if broken: every process must know every other's keys."""
    keys = [f"{name}.{key}" for name, part in parts.items() for key in _section_type(part).__struct_fields__]
    absent = sorted({*keys, *(secret + FILE for secret in secrets)} - set(known_keys()))
    assert not absent, f"add to schemas.sections.VOCABULARY: {absent}"


def _section(part: msgspec.structs.FieldInfo, given: Layer, faults: list[str]) -> object:
    """One section over its declared default; after a fault the result is never used."""
    if part.default is None and not any(key.startswith(part.name + ".") for key in given):
        return None
    kind = _section_type(part)
    values = _declared(part.default)
    before = len(faults)
    for field in msgspec.structs.fields(kind):
        key = f"{part.name}.{field.name}"
        if key in given:
            values[field.name] = _converted(key, field.type, given[key], faults)
        elif field.required and field.name not in values:
            faults.append(f"{key} is needed: {variable(key)}")
    return None if len(faults) > before else _built(part.name, kind, values, faults)


def _declared(default: object) -> dict[str, object]:
    """The values of a section's default, where a process kind declared one of its own."""
    if not isinstance(default, msgspec.Struct):
        return {}
    return {name: getattr(default, name) for name in default.__struct_fields__}


def _built(
    name: str, kind: type[msgspec.Struct], values: dict[str, object], faults: list[str]
) -> msgspec.Struct | None:
    """The section; what its own check across keys refuses is a fault too."""
    try:
        return kind(**values)
    except ValueError as error:
        faults.append(f"{name}: {error}")
        return None


def _converted(key: str, kind: Any, held: Given, faults: list[str]) -> object:
    """The value in its type; texts become numbers and booleans, comma lists become sequences."""
    raw = held.raw
    if isinstance(raw, str) and get_origin(kind) in {tuple, list}:
        raw = [item for part in raw.split(",") if (item := part.strip())]
    try:
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError as error:
        where = key if held.origin == COMMAND_LINE else f"{key} ({held.origin})"
        faults.append(f"{where}: {error}")
        return None


def _section_type(part: msgspec.structs.FieldInfo) -> type[msgspec.Struct]:
    """The struct of a section, also of `Section | None`."""
    kinds = [kind for kind in get_args(part.type) or (part.type,) if kind is not type(None)]
    assert len(kinds) == 1, part.name
    kind: type[msgspec.Struct] = kinds[0]
    return kind


def _secrets(parts: Mapping[str, msgspec.structs.FieldInfo]) -> list[str]:
    return [
        f"{name}.{field.name}"
        for name, part in parts.items()
        for field in msgspec.structs.fields(_section_type(part))
        if field.type == Secret
    ]


def _text(value: object, *, is_secret: bool) -> str:
    if is_secret:
        return HIDDEN if value else ""
    if isinstance(value, tuple | list):
        return ",".join(_text(item, is_secret=False) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.value if isinstance(value, Enum) else "" if value is None else value)
