"""What the topics told of one decision or one resource, put together: why, by what, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from edgeweir.cli import configured
from edgeweir.cli.shown import note
from edgeweir.cli.watch import body_of
from schemas.base import Message
from schemas.commands import Command
from schemas.decisions import Decision, HealthDecision
from schemas.errors import BadInput
from schemas.sections import KafkaSettings
from schemas.statuses import Status
from topics import catalogue as cat
from topics.topic import Topic

TOLD: Final[tuple[Topic, ...]] = (*cat.DECISIONS.values(), *cat.COMMANDS.values(), cat.STATUS)
_SLOW_S: Final = 2.0


class Said(msgspec.Struct, frozen=True):
    """One message with the broker's time and its place."""

    at_ms: int
    place: str
    body: Message


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One decision (its last record: it holds the outcome), its commands and their statuses, oldest first."""

    decision: Decision | HealthDecision
    said_at_ms: int
    place: str
    commands: tuple[Said, ...] = ()
    statuses: tuple[Said, ...] = ()


def read_all(bootstrap: str | None, since_s: int, topics: Iterable[Topic] = TOLD) -> list[Said]:
    """All readable messages of these topics of the last `since_s` seconds, by the broker's time."""
    return asyncio.run(_read(configured.kafka(bootstrap), tuple(topics), since_s))


async def _read(settings: KafkaSettings, topics: tuple[Topic, ...], since_s: int) -> list[Said]:
    from topics.connect import Connect  # a client costs 0.2 s to import
    from topics.tail import tail  # as above

    found: list[Said] = []
    slow = asyncio.get_running_loop().call_later(_SLOW_S, note, f"reading the last {since_s} s of {len(topics)} topics")
    try:
        async for record in tail(Connect(settings), topics, since_s=since_s, until_end=True):
            said = _said(record)
            if said is not None:
                found.append(said)
    finally:
        slow.cancel()
    return sorted(found, key=lambda said: said.at_ms)


def _said(record: Any) -> Said | None:
    try:
        _, body = body_of(record)
    except BadInput:
        return None
    return None if body is None else Said(record.timestamp, f"{record.topic}/{record.partition}/{record.offset}", body)


def put_together(said: Iterable[Said]) -> list[Told]:
    """Every decision with what followed from it, in the order of the decisions."""
    decisions: dict[str, Said] = {}
    commands: dict[str, list[Said]] = {}
    statuses: dict[str, list[Said]] = {}
    for one in said:
        match one.body:
            case Decision() | HealthDecision():
                decisions[one.body.decision_id] = one
            case Command():
                commands.setdefault(one.body.decision_id, []).append(one)
            case Status():
                statuses.setdefault(one.body.command_id, []).append(one)
    return [_told(one, commands, statuses) for one in decisions.values()]


def _told(one: Said, commands: dict[str, list[Said]], statuses: dict[str, list[Said]]) -> Told:
    assert isinstance(one.body, Decision | HealthDecision)
    orders = tuple(commands.get(one.body.decision_id, ()))
    heard = [said for order in orders for said in statuses.get(order.body.command_id, ())]  # type: ignore[attr-defined]  # commands by construction
    return Told(
        decision=one.body,
        said_at_ms=one.at_ms,
        place=one.place,
        commands=orders,
        statuses=tuple(sorted(heard, key=lambda said: said.at_ms)),
    )


def concerns(resource: str) -> Callable[[Told], bool]:
    """Whether a decision is about a resource: itself (`app@site`, a session), its site, its app, or a part of it."""

    def matches(told: Told) -> bool:
        decision = told.decision
        if isinstance(decision, HealthDecision):
            return resource in (decision.site_id, decision.region_id)
        names = (decision.resource.id, decision.site_id, decision.app_id, *decision.resource.id.split("/"))
        return resource in names or any(_is_at(order.body, resource) for order in told.commands)

    return matches


def _is_at(order: Message, site_id: str) -> bool:
    return isinstance(order, Command) and order.target.site_id == site_id
