"""Sections of settings that several kinds of process share, and the vocabulary of all sections.

A process kind composes its own struct from sections; sections of its own are declared beside it, their keys here, so
that every process can tell a misspelt variable from one that is meant for a neighbour.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec

Secret = Annotated[str, msgspec.Meta(extra_json_schema={"writeOnly": True})]
"""A value that is never shown; it may also be given as the path of a file (`*_FILE`)."""
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
"""A TCP port; 0 lets the system choose."""
Count = Annotated[int, msgspec.Meta(ge=1)]
"""How many, at least one."""
DialectName = Literal["otlp", "telegraf", "prometheus", "metricbeat", "mec", "camara"]
"""A foreign format that we read (`schemas.dialects.readers`)."""
HIDDEN: Final = "***"


_LONGEST_SALT: Final = 64
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):([0-9]{1,5})\Z")


def _is_address(text: str) -> bool:
    found = _ADDRESS.match(text.strip())
    return found is not None and 0 < int(found[2]) <= 65_535  # noqa: PLR2004  # the last TCP port


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One section of settings: frozen, its secrets hidden even from `repr`."""

    def __repr__(self) -> str:
        held = (
            f"{field.name}={HIDDEN if field.type == Secret else repr(getattr(self, field.name))}"
            for field in msgspec.structs.fields(self)
        )
        return f"{type(self).__name__}({', '.join(held)})"


class Security(StrEnum):
    """How brokers are spoken to."""

    PLAINTEXT = "plaintext"
    TLS = "tls"
    SASL_PLAINTEXT = "sasl-plaintext"
    SASL_TLS = "sasl-tls"


class KafkaSettings(Section, frozen=True):
    """Where the brokers are and how we log in; partitions and replication serve `topics plan/apply` only.

    `dialects`: foreign formats whose raw topics exist here and are read (docs/dialects.md).
    """

    bootstrap: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1:19092"
    security: Security = Security.PLAINTEXT
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-256"
    username: str = ""
    password: Secret = ""
    ca_file: str = ""
    topic_prefix: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9.-]{0,100}\Z")] = ""
    partitions: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 8
    replication: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    dialects: tuple[DialectName, ...] = ()

    def __post_init__(self) -> None:
        """What cannot work is said at the start, not at the first connection."""
        if not all(map(_is_address, self.bootstrap.split(","))):
            raise ValueError("kafka.bootstrap must be HOST:PORT, or several with commas")
        if self.security.startswith("sasl") and not (self.username and self.password):
            raise ValueError(f"security {self.security} needs kafka.username and kafka.password (or its file)")


class LogSettings(Section, frozen=True):
    """How loud and in which shape; `auto` = for people on a terminal, JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class MetricsSettings(Section, frozen=True):
    """Where this process is scraped; above `site_limit` sites their labels are folded together."""

    bind: str = "127.0.0.1"
    port: Port = 19_100
    site_limit: Count = 500


class OtelSettings(Section, frozen=True):
    """Whether spans are exported (extra `otel`); the exporter's own OTEL_* variables apply."""

    enabled: bool = False


class RawSettings(Section, frozen=True):
    """How foreign records are read: the site of nodes that none names, the key of terminals' names (at most 64 bytes).

    The salt is fixed while sessions live; every process that names terminals needs the same.
    """

    site: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[A-Za-z0-9._:/@-]*\Z")] = ""
    salt: Secret = ""

    def __post_init__(self) -> None:
        """BLAKE2b takes no longer key."""
        if len(self.salt.encode()) > _LONGEST_SALT:
            raise ValueError(f"raw.salt is longer than {_LONGEST_SALT} bytes")


class DevSettings(Section, frozen=True):
    """The local broker and demo; an empty text means: find it (user's cache and state folder, `java`, our jars)."""

    cache_dir: str = ""
    state_dir: str = ""
    java: str = ""
    jars: str = ""
    maven_mirror: str = ""
    kafka_version: Annotated[str, msgspec.Meta(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+\Z")] = "4.4.0"


VOCABULARY: Final[dict[str, tuple[str, ...]]] = {
    "kafka": (*KafkaSettings.__struct_fields__, "password_file"),
    "log": LogSettings.__struct_fields__,
    "metrics": MetricsSettings.__struct_fields__,
    "otel": OtelSettings.__struct_fields__,
    "dev": DevSettings.__struct_fields__,
    "worker": (
        "app_id",
        "instance",
        "session_timeout_s",
        "heartbeat_s",
        "data_dir",
        "tick_ms",
        "incarnation",
        "checkpoint_every",
        "checkpoint_slice",
        "journal_keep_s",
        "watchdog_s",
    ),
    "raw": (*RawSettings.__struct_fields__, "salt_file"),
    "console": ("bind", "port", "history"),
    "executor": ("targets", "dry_run"),
    "emitter": ("site_id", "interval_ms", "buffer_mib", "buffer_dir"),
    "haproxy": ("socket",),
    "dns": ("server", "zone", "key_name", "key_file"),
    "nft": ("table", "netns"),
    "process": ("root",),
}
"""Every section and key of every process kind (RUNNING 10). A key that is not here is a spelling mistake."""
