"""`edgeweir watch`: one line per decision, command, status, row or dead letter, newest last, until Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from edgeweir.cli import configured
from edgeweir.cli.faults import CommandError, Exit
from edgeweir.cli.shown import print_json
from schemas.base import Message
from schemas.cloudevents import Received, read
from schemas.commands import Command
from schemas.decisions import Decision, HealthDecision
from schemas.errors import BadInput
from schemas.instants import to_rfc3339
from schemas.registry import TYPES
from schemas.sections import KafkaSettings
from schemas.statuses import Status
from topics import catalogue as cat
from topics.topic import Topic

FEEDS: Final[dict[str, tuple[Topic, ...]]] = {
    "decisions": tuple(cat.DECISIONS.values()),
    "commands": tuple(cat.COMMANDS.values()),
    "statuses": (cat.STATUS,),
    "inventory": (cat.INVENTORY, cat.STEERING),
    "dead-letters": (cat.DEAD_LETTER,),
}


def follow(what: str, bootstrap: str | None, since_s: int, *, as_json: bool) -> None:
    """Print the feed until the user ends it; CommandError for a feed that does not exist."""
    if what not in FEEDS:
        raise CommandError(f"there is nothing called {what} to watch; there are {', '.join(FEEDS)}", Exit.USAGE)
    asyncio.run(_follow(configured.kafka(bootstrap), FEEDS[what], since_s, show=_show_json if as_json else _show))


async def _follow(
    settings: KafkaSettings, topics: tuple[Topic, ...], since_s: int, *, show: Callable[[Any], None]
) -> None:
    from topics.connect import Connect  # a client costs 0.2 s to import
    from topics.tail import tail  # as above

    async for record in tail(Connect(settings), topics, since_s=since_s):
        show(record)


def body_of(record: Any) -> tuple[Received, Message | None]:
    """The envelope and, where its type is ours, the decoded message of a record."""
    got = read(
        record.headers,
        record.value,
        key=record.key,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
    )
    kind = TYPES.get(got.short_type)
    return got, got.body(kind) if kind is not None and got.data is not None else None


def line_of(at_ms: int, body: Message | None, key: str) -> str:
    """One line for a person: when, what, about what, why."""
    match body:
        case Decision():
            change = f"{body.raw} -> {body.final}" if body.raw != body.final else str(body.final)
            text = f"{body.verdict:<10} {body.resource.id:<32} {change:<10} {body.reason}  {body.decision_id}"
        case HealthDecision():
            text = f"Health     {body.site_id:<32} {body.previous} -> {body.health}  {body.reason}  {body.decision_id}"
        case Command():
            text = f"{body.action:<14} {body.resource.id:<32} g{body.generation}  {body.command_id}"
        case Status():
            text = f"{body.state:<11} {body.resource_id:<32} by {body.executor_id}  {body.command_id}"
        case None:
            text = f"{key}  (removed)"
        case _:
            text = f"{key}  {msgspec.json.encode(body).decode()}"
    return f"{to_rfc3339(at_ms)}  {text}"


def _show(record: Any) -> None:
    key = (record.key or b"").decode(errors="replace")
    if record.topic.endswith(cat.DEAD_LETTER.name):
        said = {
            name: (value or b"").decode(errors="replace") for name, value in record.headers if name.startswith("dlq-")
        }
        notes = "  ".join(f"{name.removeprefix('dlq-')}={value}" for name, value in said.items())
        text = f"{to_rfc3339(record.timestamp)}  {key}  {notes}"
    else:
        text = _readable(record, key)
    sys.stdout.write("".join(sign if sign.isprintable() else "?" for sign in text) + "\n")
    sys.stdout.flush()


def _readable(record: Any, key: str) -> str:
    """The line of a record; one that is none of ours is shown as that."""
    try:
        return line_of(record.timestamp, body_of(record)[1], key)
    except BadInput as error:
        return f"{to_rfc3339(record.timestamp)}  {key}  unreadable, {error}"


def _show_json(record: Any) -> None:
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "at_ms": record.timestamp}
    key = (record.key or b"").decode(errors="replace")
    if record.topic.endswith(cat.DEAD_LETTER.name):
        headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
        print_json(place | {"key": key, "headers": headers})
        return
    try:
        got, body = body_of(record)
    except BadInput as error:
        print_json(place | {"key": key, "unreadable": str(error)})
        return
    print_json(place | {"key": key, "type": got.short_type, "id": got.id, "body": body})
