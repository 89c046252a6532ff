"""The catalogue against a cluster: what is missing, what differs, what must never be changed by itself.

`plan` is pure; `read_cluster` and `apply` ask the broker. `apply` creates and sets; it never deletes and never shrinks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from schemas.sections import KafkaSettings

from .catalogue import CATALOGUE, enabled
from .topic import Cleanup, Topic

_MIN_ISR_FROM: Final = 3
_TOPIC_EXISTS: Final = 36
_VISIBLE_WITHIN_S: Final = 15
_LOOK_AGAIN_S: Final = 0.05


class Wanted(msgspec.Struct, frozen=True):
    """One topic as the catalogue wants it on this cluster."""

    name: str
    partitions: int
    replication: int
    configs: dict[str, str]


class Found(msgspec.Struct, frozen=True):
    """One topic as the broker has it; `configs` are those set on the topic or differing from the default."""

    partitions: int
    replication: int
    configs: dict[str, str]


class ChangeKind(StrEnum):
    """What a difference asks for; `refuse` needs a person (growing partitions re-keys every key)."""

    CREATE = "create"
    CONFIGURE = "configure"
    REFUSE = "refuse"


class Change(msgspec.Struct, frozen=True):
    """One difference between the catalogue and the cluster."""

    kind: ChangeKind
    topic: str
    what: str
    found: str
    wanted: str


def wanted(settings: KafkaSettings, topics: Iterable[Topic] | None = None) -> list[Wanted]:
    """These topics, else all of the catalogue and those of the enabled dialects, for this cluster."""
    if topics is None:
        topics = (*CATALOGUE, *enabled(settings.dialects))
    return [_wanted(topic, settings) for topic in topics]


def plan(goal: Iterable[Wanted], cluster: Mapping[str, Found]) -> list[Change]:
    """All differences, in the catalogue's order; empty when the cluster is as the catalogue wants it."""
    changes: list[Change] = []
    for topic in goal:
        found = cluster.get(topic.name)
        if found is None:
            shape = f"{topic.partitions} partitions, replication {topic.replication}"
            changes.append(Change(ChangeKind.CREATE, topic.name, "topic", "absent", shape))
        else:
            changes += _differences(topic, found)
    return changes


async def read_cluster(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, Found]:
    """What the broker has of these topics."""
    described = await admin.describe_topics(names)
    here = {row["topic"]: row["partitions"] for row in described if row["error_code"] == 0}
    configs = await _read_configs(admin, list(here))
    return {
        name: Found(len(partitions), len(partitions[0]["replicas"]), configs[name]) for name, partitions in here.items()
    }


async def apply(admin: AIOKafkaAdminClient, goal: list[Wanted], changes: list[Change]) -> None:
    """Create what is missing and set what differs; RefusedChange when any change needs a person (nothing is done)."""
    refused = [change for change in changes if change.kind is ChangeKind.REFUSE]
    if refused:
        raise RefusedChange(refused)
    named = {topic.name: topic for topic in goal}
    missing = [named[change.topic] for change in changes if change.kind is ChangeKind.CREATE]
    if missing:
        await _create(admin, missing)
    differing = dict.fromkeys(change.topic for change in changes if change.kind is ChangeKind.CONFIGURE)
    if differing:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, named[name].configs) for name in differing]
        await admin.alter_configs(resources)


class RefusedChange(ValueError):
    """Changes that only a person may make: partition or replica counts differ."""

    def __init__(self, changes: list[Change]) -> None:
        """Name every one of them."""
        lines = (f"{c.topic}: {c.what} is {c.found}, wanted {c.wanted}" for c in changes)
        super().__init__("; ".join(lines))
        self.changes = changes


def _wanted(topic: Topic, settings: KafkaSettings) -> Wanted:
    partitions = 1 if topic.single else settings.partitions
    name = settings.topic_prefix + topic.name
    return Wanted(name, partitions, settings.replication, _configs(topic, settings.replication))


def _configs(topic: Topic, replication: int) -> dict[str, str]:
    configs = {
        "cleanup.policy": str(topic.cleanup),
        "message.timestamp.type": "LogAppendTime" if topic.log_append_time else "CreateTime",
        "max.message.bytes": str(topic.max_message_bytes),
    }
    if topic.cleanup is not Cleanup.COMPACT:
        configs["retention.ms"] = str(topic.retention_ms)
    if topic.retention_ms < 0:
        configs["retention.bytes"] = "-1"
    if topic.compaction_lag_ms:
        configs["min.compaction.lag.ms"] = str(topic.compaction_lag_ms)
    if topic.durable and replication >= _MIN_ISR_FROM:
        configs["min.insync.replicas"] = "2"
    return configs


def _differences(topic: Wanted, found: Found) -> Iterable[Change]:
    if found.partitions != topic.partitions:
        yield Change(ChangeKind.REFUSE, topic.name, "partitions", str(found.partitions), str(topic.partitions))
    if found.replication < topic.replication:
        yield Change(ChangeKind.REFUSE, topic.name, "replication", str(found.replication), str(topic.replication))
    for key, value in topic.configs.items():
        have = found.configs.get(key, "")
        if ",".join(sorted(have.split(","))) != ",".join(sorted(value.split(","))):
            yield Change(ChangeKind.CONFIGURE, topic.name, key, have, value)


async def _create(admin: AIOKafkaAdminClient, topics: list[Wanted]) -> None:
    new = [NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=topic.configs) for topic in topics]
    answer = await admin.create_topics(new)
    failed = [(name, code, text) for name, code, text in answer.topic_errors if code not in (0, _TOPIC_EXISTS)]
    if failed:
        name, code, text = failed[0]
        raise for_code(code)(f"{name}: {text}")
    await _await_visible(admin, [topic.name for topic in topics])


async def _await_visible(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Wait until the broker shows what its controller made: it answers the creation a moment before it knows itself."""
    async with asyncio.timeout(_VISIBLE_WITHIN_S):
        while any(row["error_code"] for row in await admin.describe_topics(names)):  # noqa: ASYNC110  # no event tells
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _read_configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    configs: dict[str, dict[str, str]] = {}
    for answer in answers:
        for resource in answer.resources:
            configs[resource[3]] = {entry[0]: str(entry[1]) for entry in _entries(resource)}
    return configs


def _entries(resource: Any) -> Iterable[Any]:
    """The config entries of one described resource (error code, message, type, name, entries)."""
    return resource[4]  # type: ignore[no-any-return]  # the client's answer has no types
