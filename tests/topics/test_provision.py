"""The catalogue against a cluster, without a broker: what differs, and what is refused."""

from __future__ import annotations

import msgspec
import pytest

from schemas.sections import KafkaSettings
from topics.catalogue import CATALOGUE, JOURNAL
from topics.provision import ChangeKind, Found, plan, wanted

GOAL = wanted(KafkaSettings(topic_prefix="t-", partitions=8))
AS_WANTED = {topic.name: Found(topic.partitions, topic.replication, dict(topic.configs)) for topic in GOAL}


def test_an_empty_cluster_lacks_every_topic_of_the_catalogue() -> None:
    changes = plan(GOAL, {})
    assert [change.topic for change in changes] == ["t-" + topic.name for topic in CATALOGUE]
    assert {change.kind for change in changes} == {ChangeKind.CREATE}


def test_a_cluster_as_wanted_needs_nothing_whatever_the_order_of_its_cleanup_words() -> None:
    name = "t-edge.inventory.terminal.v1"
    turned = AS_WANTED[name].configs | {"cleanup.policy": "delete,compact"}
    cluster = AS_WANTED | {name: msgspec.structs.replace(AS_WANTED[name], configs=turned)}
    assert plan(GOAL, cluster) == []


@pytest.mark.parametrize(("field", "value"), [("partitions", 4), ("replication", 0)])
def test_another_count_of_partitions_or_too_few_replicas_need_a_person(field: str, value: int) -> None:
    name = GOAL[0].name
    cluster = AS_WANTED | {name: msgspec.structs.replace(AS_WANTED[name], **{field: value})}
    (change,) = plan(GOAL, cluster)
    assert (change.kind, change.topic, change.what) == (ChangeKind.REFUSE, name, field)


def test_a_setting_that_differs_is_named_with_both_values() -> None:
    name = "t-" + JOURNAL.name
    changed = AS_WANTED[name].configs | {"retention.ms": "1000"}
    (change,) = plan(GOAL, AS_WANTED | {name: msgspec.structs.replace(AS_WANTED[name], configs=changed)})
    assert (change.kind, change.what, change.found, change.wanted) == (
        ChangeKind.CONFIGURE,
        "retention.ms",
        "1000",
        "-1",
    )


def test_the_journal_is_never_compacted_and_never_expires() -> None:
    journal = next(topic for topic in GOAL if topic.name.endswith(JOURNAL.name))
    assert journal.configs["cleanup.policy"] == "delete"
    assert (journal.configs["retention.ms"], journal.configs["retention.bytes"]) == ("-1", "-1")


def test_all_keyed_topics_have_one_partition_count_so_that_one_worker_owns_a_key_everywhere() -> None:
    counts = {topic.partitions for topic, line in zip(GOAL, CATALOGUE, strict=True) if not line.single}
    assert counts == {8}


def test_production_asks_for_two_in_sync_replicas_where_nothing_may_be_lost() -> None:
    goal = wanted(KafkaSettings(partitions=64, replication=3))
    safe = {topic.name for topic in goal if topic.configs.get("min.insync.replicas") == "2"}
    assert safe == {topic.name for topic in CATALOGUE if topic.durable}
