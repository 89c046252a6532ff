"""What a topic is: its key, cleanup, time and types; and the four keyspaces."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


class Keyspace(StrEnum):
    """The four controllers and their keys (ARCHITECTURE 2)."""

    SITE = "site"
    TERMINAL = "terminal"
    APP = "app"
    REGION = "region"


class Cleanup(StrEnum):
    """Kafka's cleanup policies."""

    DELETE = "delete"
    COMPACT = "compact"
    COMPACT_DELETE = "compact,delete"


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic of the contract.

    `keyspace`: whose key partitions it (empty: a shared topic names it in a header, or only views read it).
    `single`: one partition. `view`: every worker reads it whole. `row`: the latest record of a key counts.
    `durable`: replicated with min ISR 2 in production. `default_type`: what a record without headers is taken for.
    `dialect`: foreign bytes under any key, which are read and said again on our topics (`schemas.dialects`).
    """

    name: str
    key: str
    types: tuple[str, ...]
    writers: str
    readers: str
    cleanup: Cleanup = Cleanup.DELETE
    retention_ms: int = DAY_MS
    log_append_time: bool = False
    keyspace: Keyspace | None = None
    shared: bool = False
    single: bool = False
    view: bool = False
    row: bool = False
    durable: bool = False
    default_type: str = ""
    compaction_lag_ms: int = 0
    max_message_bytes: int = 1_048_588
    urgent: bool = False
    dialect: str = ""
