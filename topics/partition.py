"""Which partition a key belongs to: murmur2 as Java's and aiokafka's default partitioner compute it."""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=200_000)
def partition_of(key: str, partitions: int) -> int:
    """The partition of a key in every keyspace (all have the same count)."""
    return (int(murmur2(key.encode())) & 0x7FFFFFFF) % partitions
