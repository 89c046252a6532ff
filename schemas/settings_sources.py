"""Where settings come from: TOML file, environment, command line, secret files; each says what it does not know."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from .sections import VOCABULARY

PREFIX: Final = "EDGEWEIR_"
COMMAND_LINE: Final = "command line"
FILE: Final = "_file"
_EXEMPT: Final = ("EDGEWEIR_CONFIG", "EDGEWEIR_DATA", "EDGEWEIR_SAMPLES")
_EXEMPT_PREFIXES: Final = ("EDGEWEIR_TEST_", "EDGEWEIR_FAUST_")


class Given(NamedTuple):
    """A value that somebody gave, and where."""

    raw: object
    origin: str


Layer = dict[str, Given]
"""What one source gave, by `section.key`."""


def variable(key: str) -> str:
    """The environment variable of a `section.key`."""
    return PREFIX + key.replace(".", "_").upper()


def known_keys() -> list[str]:
    """Every `section.key` of the vocabulary."""
    return [f"{section}.{key}" for section, keys in VOCABULARY.items() for key in keys]


def from_toml(text: str | None, name: str, faults: list[str]) -> Layer:
    """The file's values; unknown sections and keys become faults with the nearest name."""
    layer: Layer = {}
    for section, held in _parse_toml(text, name, faults).items():
        if section in VOCABULARY and not isinstance(held, dict):
            faults.append(f"{name}: {section} must be a section: [{section}]")
            continue
        if section not in VOCABULARY:
            faults.append(f"{name}: unknown section [{section}]{_nearest(section, list(VOCABULARY))}")
            continue
        for key, raw in held.items():
            if key in VOCABULARY[section]:
                layer[f"{section}.{key}"] = Given(raw, name)
            else:
                hint = _nearest(key, VOCABULARY[section])
                faults.append(f"{name}: unknown key {section}.{key}{hint}")
    return layer


def _parse_toml(text: str | None, name: str, faults: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(text or "")
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{name}: {error}")
        return {}


def from_environment(environ: Mapping[str, str], faults: list[str]) -> Layer:
    """The values of EDGEWEIR_* variables; an unknown one becomes a fault, a neighbour's does not."""
    names = {variable(key): key for key in known_keys()}
    layer: Layer = {}
    for name in sorted(environ):
        if name in names:
            layer[names[name]] = Given(environ[name], name)
        elif name.startswith(PREFIX) and name not in _EXEMPT and not name.startswith(_EXEMPT_PREFIXES):
            faults.append(f"unknown variable {name}{_nearest(name, list(names), PREFIX)}")
    return layer


def from_command_line(overrides: Mapping[str, object], faults: list[str]) -> Layer:
    """The command line's values by `section.key`; None means that the option was not given."""
    known = known_keys()
    faults += [f"unknown setting {key}{_nearest(key, known)}" for key in overrides if key not in known]
    return {key: Given(raw, COMMAND_LINE) for key, raw in overrides.items() if raw is not None and key in known}


def open_secret_files(
    layer: Layer, secrets: list[str], read_file: Callable[[str], str] | None, faults: list[str]
) -> None:
    """Replace each `secret_file` by what the file holds, without its last line end."""
    for key in secrets:
        path = layer.pop(key + FILE, None)
        if path is None:
            continue
        if key in layer:
            faults.append(f"{key} is given twice: {layer[key].origin} and {path.origin}")
        elif read_file is None:
            faults.append(f"{key}{FILE} ({path.origin}): no files are read here")
        else:
            _open_one(layer, key, path, read_file, faults)


def _open_one(layer: Layer, key: str, path: Given, read_file: Callable[[str], str], faults: list[str]) -> None:
    try:
        layer[key] = Given(read_file(str(path.raw)).rstrip("\r\n"), path.origin)
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{key}{FILE} ({path.origin}): cannot be read: {type(error).__name__}")


def _nearest(word: str, known: list[str] | tuple[str, ...], prefix: str = "") -> str:
    """A hint; what all names begin with is left out of the comparison, or everything would look alike."""
    found = get_close_matches(word.removeprefix(prefix), [name.removeprefix(prefix) for name in known], n=1)
    return f", did you mean {prefix}{found[0]}?" if found else ""
