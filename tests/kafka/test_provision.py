"""Topics on a real broker: applied once they are as wanted, and a second apply has nothing to do."""

from __future__ import annotations

import pytest

from schemas.sections import KafkaSettings
from topics import provision
from topics.connect import Connect

pytestmark = pytest.mark.kafka


async def test_after_apply_the_broker_is_as_the_catalogue_wants_it(broker: str, topic_prefix: str) -> None:
    settings = KafkaSettings(bootstrap=broker, topic_prefix=topic_prefix, partitions=2)
    admin = Connect(settings).admin("test")
    await admin.start()
    try:
        goal = provision.wanted(settings)
        names = [topic.name for topic in goal]
        before = provision.plan(goal, await provision.read_cluster(admin, names))
        await provision.apply(admin, goal, before)
        after = provision.plan(goal, await provision.read_cluster(admin, names))
    finally:
        await admin.close()
    assert len(before) == len(goal)
    assert after == []


async def test_a_changed_setting_is_mended_and_a_changed_partition_count_is_refused(
    broker: str, topic_prefix: str
) -> None:
    small = KafkaSettings(bootstrap=broker, topic_prefix=topic_prefix, partitions=2)
    large = KafkaSettings(bootstrap=broker, topic_prefix=topic_prefix, partitions=4)
    admin = Connect(small).admin("test")
    await admin.start()
    try:
        goal, names = provision.wanted(small), [topic.name for topic in provision.wanted(small)]
        await provision.apply(admin, goal, provision.plan(goal, {}))
        wider = provision.plan(provision.wanted(large), await provision.read_cluster(admin, names))
        with pytest.raises(provision.RefusedChange, match="partitions is 2, wanted 4"):
            await provision.apply(admin, provision.wanted(large), wider)
    finally:
        await admin.close()
