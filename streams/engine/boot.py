"""Before work begins: are the topics there, and are they as the program needs them? Otherwise one clear sentence."""

from __future__ import annotations

from streams.engine.lost import StartRefused
from topics.catalogue import CATALOGUE, INPUTS, JOURNAL, Topic, enabled
from topics.connect import Connect
from topics.provision import Found, read_cluster


async def partition_counts(connect: Connect, client_id: str) -> dict[str, int]:
    """Partitions of every topic that must be here, by its plain name; StartRefused if the topics do not fit."""
    topics = (*CATALOGUE, *enabled(connect.settings.dialects))
    admin = connect.admin(client_id)
    await admin.start()
    try:
        found = await read_cluster(admin, [connect.name(topic) for topic in topics])
    finally:
        await admin.close()
    check_topics({topic: found.get(connect.name(topic)) for topic in topics})
    return {topic.name: found[connect.name(topic)].partitions for topic in topics}


def check_topics(found: dict[Topic, Found | None]) -> None:
    """Every topic is there, and the inputs, the journal and all other keyed topics have one partition count."""
    missing = [topic.name for topic, row in found.items() if row is None]
    if missing:
        raise StartRefused(f"topics are missing: {', '.join(missing)}; run `edgeweir topics apply`")
    counts = {topic.name: row.partitions for topic, row in found.items() if row is not None and not topic.single}
    wanted = counts[JOURNAL.name]
    differing = [f"{name} has {count}" for name, count in counts.items() if count != wanted]
    if differing:
        raise StartRefused(
            f"{JOURNAL.name} has {wanted} partitions, but {', '.join(differing)}: all keyed topics need one count"
            " (growing means a new prefix, see `edgeweir topics plan`)"
        )
    assert all(topic.name in counts for topic in INPUTS)
