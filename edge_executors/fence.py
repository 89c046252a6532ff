"""The newest fence seen per owner and resource: (incarnation, epoch, revision) only grows, and survives restarts."""

from __future__ import annotations

from typing import Final

from schemas import wire
from schemas.commands import Command, Fence

from .records import resource_key
from .store import Store

Order = tuple[int, int, int]
_LASTING: Final = ("replicas", "ingress")
"""Resources of the site itself; sessions and their rules come and go, and have new names each time."""


def order_of(fence: Fence) -> Order:
    """What fences of one owner are compared by."""
    return (fence.incarnation, fence.epoch, fence.revision)


class Fences:
    """High-water marks; they compare within one owner only (ARCHITECTURE 2)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def mark(self, command: Command) -> Order:
        """The newest fence of this owner for the resource; zeros where none was seen."""
        raw = self._store.get("fence", _key(command))
        return (0, 0, 0) if raw is None else order_of(wire.decode_row(Fence, raw))

    def is_stale(self, command: Command) -> bool:
        """Whether something newer was accepted already."""
        return order_of(command.fence) < self.mark(command)

    def raise_to(self, command: Command) -> None:
        """Remember this fence; never lowers a mark."""
        if order_of(command.fence) > self.mark(command):
            self._store.put("fence", _key(command), wire.encode_row(command.fence))

    def forget(self, command: Command) -> None:
        """Its resource was not spoken of since this command, which is too old to be overtaken by an older one."""
        if command.resource.type not in _LASTING and order_of(command.fence) >= self.mark(command):
            self._store.remove("fence", _key(command))


def _key(command: Command) -> str:
    return f"{command.fence.owner}|{command.target.site_id}|{resource_key(command.resource)}"
