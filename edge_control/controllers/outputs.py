"""What a controller issues, as values: the engine journals them, and sends them once they are history."""

from __future__ import annotations

import msgspec

from schemas.base import Message
from schemas.commands import Command
from schemas.decisions import Decision, HealthDecision
from schemas.inventory import (
    AppInventory,
    NodeInventory,
    PublicRow,
    RegionInventory,
    SiteInventory,
    Steering,
    TerminalInventory,
)
from topics import catalogue as cat
from topics.catalogue import Keyspace, Topic


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One message to be sent.

    `event_id` becomes ce_id and must derive from the cause. `keyspace` says whose it is on shared topics. A `row` is
    not kept in the outbox: after a takeover the current rows are published again. `body` None is a tombstone.
    `opening` outputs are withheld while their scope is paused.
    """

    topic: Topic
    key: str
    event_id: str
    body: Message | None
    subject: str = ""
    keyspace: Keyspace | None = None
    correlation_id: str = ""
    causation_id: str = ""
    expires_at_ms: int = 0
    row: bool = False
    opening: bool = False


def command(body: Command) -> Output:
    """A command to the executor of its target site."""
    return Output(
        topic=cat.COMMANDS[body.kind],
        key=body.target.site_id,
        event_id=f"{body.command_id}/{body.attempt}",
        body=body,
        subject=body.resource.id,
        correlation_id=body.command_id,
        causation_id=body.decision_id,
        expires_at_ms=body.start_by_ms,
        opening=body.opening,
    )


def decision(body: Decision | HealthDecision) -> Output:
    """A decision for the ledger that users read; an outcome record has its own event id."""
    if isinstance(body, HealthDecision):
        return Output(
            topic=cat.DECISION_HEALTH,
            key=body.site_id,
            event_id=body.decision_id,
            body=body,
            subject=body.site_id,
        )
    event_id = body.decision_id if body.outcome is None else f"{body.decision_id}/outcome"
    return Output(
        topic=cat.DECISIONS[body.kind],
        key=body.resource.id,
        event_id=event_id,
        body=body,
        subject=body.resource.id,
    )


def message(
    keyspace: Keyspace,
    key: str,
    event_id: str,
    body: Message,
    *,
    correlation_id: str = "",
) -> Output:
    """A request, reply or report to another controller."""
    return Output(
        topic=cat.REQUEST,
        key=key,
        keyspace=keyspace,
        event_id=event_id,
        body=body,
        subject=key,
        correlation_id=correlation_id,
    )


def row(body: PublicRow) -> Output:
    """A public row."""
    topic, key = _place(body)
    return Output(
        topic=topic,
        key=key,
        event_id=f"{key}/{body.generation}",
        body=body,
        subject=key,
        row=True,
    )


def tombstone(topic: Topic, key: str, generation: int) -> Output:
    """The end of a public row."""
    return Output(
        topic=topic,
        key=key,
        event_id=f"{key}/{generation}",
        body=None,
        subject=key,
        row=True,
    )


def _place(body: PublicRow) -> tuple[Topic, str]:
    match body:
        case SiteInventory():
            return cat.INVENTORY, body.site_id
        case AppInventory():
            return cat.INVENTORY, body.app_id
        case RegionInventory():
            return cat.INVENTORY, body.region_id
        case NodeInventory():
            return cat.INVENTORY_NODE, body.node_id
        case TerminalInventory():
            return cat.INVENTORY_TERMINAL, body.terminal_id
        case Steering():
            return cat.STEERING, f"{body.app_id}/{body.zone_id}"
        case _:
            msg = f"{type(body).__name__} is no public row"
            raise TypeError(msg)
