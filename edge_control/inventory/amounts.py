"""Arithmetic on amounts of capacity; nothing here ever goes below zero, or above what travels exactly."""

from __future__ import annotations

from typing import Final

from schemas.apps import Resources
from schemas.base import capped

NONE: Final = Resources()
PLENTY: Final = 1_000_000


def plus(left: Resources, right: Resources) -> Resources:
    """Both together."""
    return Resources(
        cpu_milli=capped(left.cpu_milli + right.cpu_milli),
        mem_bytes=capped(left.mem_bytes + right.mem_bytes),
        gpu_milli=capped(left.gpu_milli + right.gpu_milli),
        net_bps=capped(left.net_bps + right.net_bps),
    )


def minus(left: Resources, right: Resources) -> Resources:
    """What remains of the left, never below zero."""
    return Resources(
        cpu_milli=max(0, left.cpu_milli - right.cpu_milli),
        mem_bytes=max(0, left.mem_bytes - right.mem_bytes),
        gpu_milli=max(0, left.gpu_milli - right.gpu_milli),
        net_bps=max(0, left.net_bps - right.net_bps),
    )


def times(unit: Resources, count: int) -> Resources:
    """So many of the unit."""
    return Resources(
        cpu_milli=capped(unit.cpu_milli * count),
        mem_bytes=capped(unit.mem_bytes * count),
        gpu_milli=capped(unit.gpu_milli * count),
        net_bps=capped(unit.net_bps * count),
    )


def larger(left: Resources, right: Resources) -> Resources:
    """The larger of both, resource by resource."""
    return Resources(
        cpu_milli=max(left.cpu_milli, right.cpu_milli),
        mem_bytes=max(left.mem_bytes, right.mem_bytes),
        gpu_milli=max(left.gpu_milli, right.gpu_milli),
        net_bps=max(left.net_bps, right.net_bps),
    )


def permille_of(amount: Resources, permille: int) -> Resources:
    """A share of it, in thousandths."""
    return Resources(
        cpu_milli=amount.cpu_milli * permille // 1000,
        mem_bytes=amount.mem_bytes * permille // 1000,
        gpu_milli=amount.gpu_milli * permille // 1000,
        net_bps=amount.net_bps * permille // 1000,
    )


def smaller(left: Resources, right: Resources) -> Resources:
    """The smaller of both, resource by resource."""
    return Resources(
        cpu_milli=min(left.cpu_milli, right.cpu_milli),
        mem_bytes=min(left.mem_bytes, right.mem_bytes),
        gpu_milli=min(left.gpu_milli, right.gpu_milli),
        net_bps=min(left.net_bps, right.net_bps),
    )


def covers(room: Resources, need: Resources) -> bool:
    """Whether the need fits into the room; a need of zero always does."""
    return (
        need.cpu_milli <= room.cpu_milli
        and need.mem_bytes <= room.mem_bytes
        and need.gpu_milli <= room.gpu_milli
        and need.net_bps <= room.net_bps
    )


def count_in(room: Resources, unit: Resources) -> int:
    """How many whole units fit; a unit of nothing fits plenty of times."""
    pairs = (
        (room.cpu_milli, unit.cpu_milli),
        (room.mem_bytes, unit.mem_bytes),
        (room.gpu_milli, unit.gpu_milli),
        (room.net_bps, unit.net_bps),
    )
    return min((have // need for have, need in pairs if need), default=PLENTY)
