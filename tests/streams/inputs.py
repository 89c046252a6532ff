"""Records of input topics for pure tests."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas import wire
from schemas.base import Message
from schemas.cloudevents import Envelope, headers
from schemas.registry import full_type, type_name
from streams.engine.envelopes import Speaker
from streams.engine.partition import Partition
from tests.kafka.town import sample
from tests.kafka.toy import CONTROLLERS
from topics.partition import partition_of

PARTITIONS = 4
HOME = partition_of("s1", PARTITIONS)
NOW = 1_800_000_000_000


class In(msgspec.Struct, frozen=True, kw_only=True):
    """A record as a consumer returns it."""

    offset: int
    key: bytes | None = b"s1"
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int = HOME
    timestamp: int = NOW
    timestamp_type: int = 0


def load(offset: int, cpu: int = 5, *, sequence: int | None = None, partition: int = HOME) -> In:
    """A good sample of node s1-n1."""
    key, value, attributes = sample("s1", "s1-n1", offset if sequence is None else sequence, cpu)
    return In(offset=offset, key=key.encode(), value=value, headers=attributes, partition=partition)


def said(
    offset: int, body: Message, *, keyspace: str = "site", key: str = "s1", source: str = "/edge/x", sequence: int = 0
) -> In:
    """A record of a shared topic."""
    envelope = Envelope(
        id=f"{source}#{sequence}",
        source=source,
        type=full_type(type_name(body)),
        time_ms=1,
        keyspace=keyspace,
        sequence=sequence or None,
    )
    return In(
        offset=offset, key=key.encode(), value=wire.encode_json(body), headers=headers(envelope), timestamp_type=1
    )


def partition(number: int = HOME, *, epoch: int = 3) -> Partition:
    """An empty partition of the toy controllers."""
    speaker = Speaker(partition=number, partitions=PARTITIONS, incarnation=2, epoch=epoch)
    return Partition(speaker, {keyspace: make(number) for keyspace, make in CONTROLLERS.items()})
