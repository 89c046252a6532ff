"""What a sender has already said: duplicates are told by boot and sequence, whatever their order of arrival."""

from __future__ import annotations

from typing import Final

import msgspec

from edge_control.inventory.tables import Row

_MAX_BOOTS: Final = 3
_MAX_SPANS: Final = 8


class Guard(Row):
    """Per boot of a sender (the last three) the spans of sequences heard, ascending and apart."""

    boots: dict[str, list[tuple[int, int]]] = msgspec.field(default_factory=dict)


def hear(guard: Guard, boot_id: str, sequence: int) -> bool:
    """Whether this is heard for the first time; notes it.

    Without a boot nothing can be told apart and all is new. Only eight spans are kept: what lies in a gap older
    than that counts as heard, so that a replay can never count twice.
    """
    if not boot_id:
        return True
    spans = guard.boots.get(boot_id)
    if spans is None:
        guard.boots[boot_id] = [(sequence, sequence)]
        while len(guard.boots) > _MAX_BOOTS:
            del guard.boots[next(iter(guard.boots))]
        return True
    low, high = spans[-1]
    if sequence == high + 1:
        spans[-1] = (low, sequence)
        return True
    if any(low <= sequence <= high for low, high in spans):
        return False
    forgotten = len(spans) >= _MAX_SPANS and sequence < spans[0][0]
    if not forgotten:
        _insert(spans, sequence)
    return not forgotten


def is_newest(guard: Guard, boot_id: str, sequence: int) -> bool:
    """Whether nothing later of this boot was heard."""
    spans = guard.boots.get(boot_id)
    return spans is None or sequence >= spans[-1][1]


def _insert(spans: list[tuple[int, int]], sequence: int) -> None:
    merged: list[tuple[int, int]] = []
    for low, high in sorted([*spans, (sequence, sequence)]):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    while len(merged) > _MAX_SPANS:
        merged[:2] = [(merged[0][0], merged[1][1])]
    spans[:] = merged
