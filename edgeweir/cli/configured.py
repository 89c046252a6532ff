"""Where a command's settings come from: its options, the environment, and the first settings file there is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from edgeweir.cli.faults import CommandError, Exit
from edgeweir.cli.files import read_text
from schemas.settings import DevSettings, Effective, KafkaSettings, LogSettings, MetricsSettings, read

S = TypeVar("S", bound=msgspec.Struct)


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What commands that only talk to Kafka need."""

    kafka: KafkaSettings = KafkaSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    dev: DevSettings = DevSettings()


def effective(kind: type[S], overrides: Mapping[str, object] | None = None) -> Effective[S]:
    """Settings with their origins; BadInput lists every fault."""
    text, name = _file()
    return read(
        kind,
        overrides=overrides,
        environ=os.environ,
        toml_text=text,
        toml_name=name,
        read_file=lambda path: Path(path).read_text(encoding="utf-8"),
    )


def kafka(bootstrap: str | None = None) -> KafkaSettings:
    """The cluster that this command talks to."""
    return effective(ClientSettings, {"kafka.bootstrap": bootstrap}).value.kafka


def _file() -> tuple[str | None, str]:
    """The settings file's text and name: the named one must exist, the usual ones may."""
    named = os.environ.get("EDGEWEIR_CONFIG")
    if named and not Path(named).is_file():
        raise CommandError(f"EDGEWEIR_CONFIG names {named}, which is no file", Exit.MISSING)
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for path in [Path(named)] if named else [Path("edgeweir.toml"), home / "edgeweir" / "edgeweir.toml"]:
        if path.is_file():
            return read_text(path), str(path)
    return None, "edgeweir.toml"
