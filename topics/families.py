"""Topics that come in families: one per kind of decision, of command, and per foreign format."""

from __future__ import annotations

from .topic import DAY_MS, HOUR_MS, Keyspace, Topic


def decision(kind: str, key: str, writers: str) -> Topic:
    """The ledger of one kind of decision."""
    return Topic(
        name=f"edge.decision.{kind}.v1",
        key=key,
        types=(f"decision.{kind}.v1",),
        writers=writers,
        readers="users, console, lab",
        retention_ms=30 * DAY_MS,
        log_append_time=True,
    )


def command(kind: str, writers: str) -> Topic:
    """Commands of one kind, to executors."""
    return Topic(
        name=f"edge.command.{kind}.v1",
        key="target siteId",
        types=(f"command.{kind}.v1",),
        writers=writers,
        readers="executors",
        retention_ms=7 * DAY_MS,
        log_append_time=True,
        durable=True,
    )


def raw(dialect: str, keyspace: Keyspace) -> Topic:
    """Records of a foreign format, under any key."""
    return Topic(
        name=f"edge.raw.{dialect}.v1",
        key="any",
        keyspace=keyspace,
        dialect=dialect,
        types=(),
        writers="collectors",
        readers="normaliser",
        retention_ms=6 * HOUR_MS,
        max_message_bytes=1_500_000,
    )
