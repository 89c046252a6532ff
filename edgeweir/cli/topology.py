"""`edgeweir topology`: what the stream application consists of, from the same catalogue that it runs on."""

from __future__ import annotations

from typing import Any

from topics.catalogue import CATALOGUE, INPUTS, JOURNAL, VIEWS, Keyspace
from topics.topic import Topic


def controllers() -> list[dict[str, Any]]:
    """One entry per controller: its key, inputs, tables, journal and the topics that it writes."""
    return [_controller(keyspace) for keyspace in Keyspace]


def _controller(keyspace: Keyspace) -> dict[str, Any]:
    from streams.app import controller_types  # floor 4 is heavy

    made = controller_types()[keyspace](0)
    return {
        "controller": str(keyspace),
        "key": f"{keyspace}Id",
        "inputs": [topic.name for topic in INPUTS if topic.keyspace is keyspace or topic.shared],
        "views": [topic.name for topic in VIEWS],
        "tables": [table.name for table in made.tables],
        "journal": JOURNAL.name,
        "outputs": [topic.name for topic in CATALOGUE if _writes(topic, keyspace)],
    }


def _writes(topic: Topic, keyspace: Keyspace) -> bool:
    """Whether the catalogue names this controller among the writers, or all of them by naming none."""
    words = topic.writers.replace(",", " ").split()
    named = [other for other in Keyspace if str(other) in words]
    return ("controllers" in words or "controller" in words) and (not named or keyspace in named)
