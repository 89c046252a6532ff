"""Where a run finds and keeps things: the settings `EDGEWEIR_DEV_*`, the cache folder and the state folder (XDG)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from schemas.settings import DevSettings, read

KAFKA_VERSION = DevSettings().kafka_version


class _DevOnly(msgspec.Struct, frozen=True):
    """What a process reads that needs nothing but the local broker, as tests do."""

    dev: DevSettings


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders and choices of the local broker.

    The cache (`kafka/VERSION/{download,jars,template,archive}`) may be deleted at any time; the state folder holds
    `runs/NAME`. `java`, `jars` and `maven_mirror` are the user's own choices and are never replaced by others.
    """

    cache: Path
    state: Path
    kafka_version: str = KAFKA_VERSION
    java: Path | None = None
    jars: Path | None = None
    maven_mirror: str | None = None
    java_home: Path | None = None

    @classmethod
    def of(cls, dev: DevSettings, environ: Mapping[str, str]) -> Self:
        """What the settings name, and the user's own folders (XDG) and `JAVA_HOME` where they name nothing."""
        home = Path(environ.get("HOME") or Path.home())
        return cls(
            cache=_path(dev.cache_dir) or (_path(environ.get("XDG_CACHE_HOME")) or home / ".cache") / "edgeweir",
            state=_path(dev.state_dir) or (_path(environ.get("XDG_STATE_HOME")) or home / ".local/state") / "edgeweir",
            kafka_version=dev.kafka_version,
            java=_path(dev.java),
            jars=_path(dev.jars),
            maven_mirror=dev.maven_mirror or None,
            java_home=_path(environ.get("JAVA_HOME")),
        )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """As the variables `EDGEWEIR_DEV_*` say; raises BadInput with every fault of the environment."""
        return cls.of(read(_DevOnly, environ=environ).value.dev, environ)

    @property
    def kafka(self) -> Path:
        """The cache's folder for this Kafka version."""
        return self.cache / "kafka" / self.kafka_version

    @property
    def runs(self) -> Path:
        """The folder that holds one folder per run."""
        return self.state / "runs"


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None
