"""What became of the events of a chunk; the accounting identity (FAULTS I9) is checked on it."""

from __future__ import annotations

import msgspec


class Tally(msgspec.Struct):
    """Counts of one fold: events = applied + duplicates + late + strays + tombstones + all refused.

    `foreign` counts what was met in records of raw topics, by dialect, kind (coercion, unused, fault) and name.
    """

    events: int = 0
    applied: int = 0
    duplicates: int = 0
    late: int = 0
    strays: int = 0
    tombstones: int = 0
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    foreign: dict[tuple[str, str, str], int] = msgspec.field(default_factory=dict)

    def refuse(self, reason: str) -> None:
        """One more dead letter."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def met(self, dialect: str, kind: str, name: str, times: int = 1) -> None:
        """Something with a name was met in a foreign record."""
        key = (dialect, kind, name)
        self.foreign[key] = self.foreign.get(key, 0) + times

    def no_news(self, duplicates: int, late: int) -> None:
        """So many of the events counted as applied told nothing new, said the controller."""
        self.duplicates += duplicates
        self.late += late
        self.applied -= duplicates + late

    @property
    def balances(self) -> bool:
        """Whether every event is accounted for."""
        known = self.applied + self.duplicates + self.late + self.strays + self.tombstones + sum(self.refused.values())
        return self.events == known
