"""Writes declared things (estate, apps, policies, pauses) onto their compacted topics as an operator does."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable

from schemas.apps import AppSpec
from schemas.base import Message
from schemas.cloudevents import Envelope, headers
from schemas.documents import Document
from schemas.policy import Approval, MobilityModel, Pause, Policy
from schemas.registry import full_type, type_name
from schemas.wire import encode_json

from . import catalogue as cat
from .connect import Connect
from .topic import Topic

SOURCE = "/operator/cli"


def topic_of(body: Message) -> Topic:
    """The topic on which such a thing is declared."""
    if isinstance(body, AppSpec):
        return cat.APP
    return cat.POLICY if isinstance(body, Policy | Pause | Approval | MobilityModel) else cat.ESTATE


async def publish(connect: Connect, documents: Iterable[Document]) -> None:
    """Write all of them and wait until the broker has them; order within a topic is the order given."""
    producer = connect.producer("edgeweir-publish", linger_ms=5)
    await producer.start()
    try:
        sent = [
            await producer.send(
                connect.name(topic_of(document.body)),
                encode_json(document.body),
                key=document.key.encode(),
                headers=headers(_envelope(document)),
            )
            for document in documents
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def withdraw(connect: Connect, key: str, topic: Topic = cat.POLICY) -> None:
    """Take back what was declared under this key: a tombstone."""
    producer = connect.producer("edgeweir-publish")
    await producer.start()
    try:
        await producer.send_and_wait(connect.name(topic), None, key=key.encode())
    finally:
        await producer.stop()


def _envelope(document: Document) -> Envelope:
    return Envelope(id=str(uuid.uuid4()), source=SOURCE, type=full_type(type_name(document.body)), subject=document.key)
