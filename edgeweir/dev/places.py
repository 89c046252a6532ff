"""Where a run finds and keeps things: the settings `EDGEWEIR_DEV_*`, the cache folder and the state folder (XDG)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

KAFKA_VERSION = "4.4.0"


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
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read `EDGEWEIR_DEV_*`, `XDG_*_HOME` and `JAVA_HOME`; an empty value counts as unset."""
        home = Path(environ.get("HOME") or Path.home())
        return cls(
            cache=_path(environ, "EDGEWEIR_DEV_CACHE_DIR") or _xdg(environ, "XDG_CACHE_HOME", home / ".cache"),
            state=_path(environ, "EDGEWEIR_DEV_STATE_DIR") or _xdg(environ, "XDG_STATE_HOME", home / ".local/state"),
            kafka_version=environ.get("EDGEWEIR_DEV_KAFKA_VERSION") or KAFKA_VERSION,
            java=_path(environ, "EDGEWEIR_DEV_JAVA"),
            jars=_path(environ, "EDGEWEIR_DEV_JARS"),
            maven_mirror=environ.get("EDGEWEIR_DEV_MAVEN_MIRROR") or None,
            java_home=_path(environ, "JAVA_HOME"),
        )

    @property
    def kafka(self) -> Path:
        """The cache's folder for this Kafka version."""
        return self.cache / "kafka" / self.kafka_version

    @property
    def runs(self) -> Path:
        """The folder that holds one folder per run."""
        return self.state / "runs"


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name)
    return Path(value).expanduser() if value else None


def _xdg(environ: Mapping[str, str], name: str, otherwise: Path) -> Path:
    return (_path(environ, name) or otherwise) / "edgeweir"
