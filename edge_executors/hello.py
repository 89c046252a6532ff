"""Hellos: who the executor is and what it runs, one to each owner and one for the site (PROCEDURES 9.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from schemas import wire
from schemas.commands import Command
from schemas.statuses import Hello, Observed
from topics.catalogue import STATUS, Keyspace

from .records import Owner, resource_key
from .statuses import Identity
from .store import Store
from .targets.base import Found
from .voice import Saying

OwnerName = tuple[str, str]
"""Key and keyspace."""
_REPLICAS: Final = "replicas/"
_KEPT: Final = (_REPLICAS, "ingress/")
"""Their owner is the site's controller, which hears every hello."""


class Hellos:
    """Sorts what was found by owner; owners that are known from the store but own nothing any more hear that too."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note_owner(self, command: Command) -> None:
        """Remember who ordered this resource, and which generation was ordered last."""
        row = Owner(key=command.reply_key, keyspace=command.reply_keyspace, generation=command.generation)
        self._store.put("owner", f"{command.target.site_id}|{resource_key(command.resource)}", wire.encode_row(row))

    def greet(
        self, who: Identity, found: Sequence[Found], why: str, now_ms: int, only: OwnerName | None = None
    ) -> list[Saying]:
        """The hellos to say now: to all owners and for the site, or only to one who asked."""
        owners = self._owners(who.site_id)
        by_owner: dict[OwnerName, list[Observed]] = {(row.key, row.keyspace): [] for row in owners.values()}
        site: OwnerName = (who.site_id, str(Keyspace.SITE))
        by_owner.setdefault(site, [])
        unmanaged: list[str] = []
        for item in found:
            owner = self._owner_of(item, owners)
            if owner is None:
                unmanaged.append(item.observed.resource_id)
            else:
                by_owner.setdefault(owner, []).append(_with_generation(item, owners))
        there = {_key(item) for item in found}
        for name, row in owners.items():
            if name.startswith(_REPLICAS) and name not in there:
                none_left = Observed(resource_id=name.removeprefix(_REPLICAS), generation=row.generation)
                by_owner[(row.key, row.keyspace)].append(none_left)
        if only is not None:
            by_owner = {only: by_owner.get(only, [])}
        self._forget_gone(who.site_id, owners, there)
        return [
            _saying(who, owner, _body(who, owner, observed, unmanaged if owner == site else [], why=why, now_ms=now_ms))
            for owner, observed in by_owner.items()
        ]

    def _owners(self, site_id: str) -> dict[str, Owner]:
        head = f"{site_id}|"
        return {
            key[len(head) :]: wire.decode_row(Owner, raw)
            for key, raw in self._store.items("owner")
            if key.startswith(head)
        }

    def _owner_of(self, item: Found, owners: dict[str, Owner]) -> OwnerName | None:
        row = owners.get(_key(item))
        if row is not None:
            return (row.key, row.keyspace)
        return (item.owner_key, item.owner_keyspace) if item.owner_key else None

    def _forget_gone(self, site_id: str, owners: dict[str, Owner], there: set[str]) -> None:
        """Who was told once that nothing is left need not be told for ever; replicas may be 0 and stay known."""
        for resource in owners:
            if resource not in there and not resource.startswith(_KEPT):
                self._store.remove("owner", f"{site_id}|{resource}")


def _body(
    who: Identity, owner: OwnerName, observed: Sequence[Observed], unmanaged: Sequence[str], *, why: str, now_ms: int
) -> Hello:
    return Hello(
        executor_id=who.executor_id,
        site_id=who.site_id,
        boot_id=who.boot_id,
        at_ms=now_ms,
        owner_keyspace=owner[1],
        last_applied={item.resource_id: item.generation for item in observed},
        observed=tuple(observed),
        unmanaged=tuple(unmanaged),
        why=why,
    )


def _saying(who: Identity, owner: OwnerName, body: Hello) -> Saying:
    return Saying(
        topic=STATUS,
        key=owner[0],
        keyspace=owner[1],
        event_id=f"{who.boot_id}/{owner[1]}/{owner[0]}/{body.at_ms}",
        source=f"/edge/{who.site_id}/executor",
        body=body,
        subject=who.site_id,
    )


def _key(item: Found) -> str:
    return f"{item.kind}/{item.observed.resource_id}"


def _with_generation(item: Found, owners: dict[str, Owner]) -> Observed:
    row = owners.get(_key(item))
    return item.observed if row is None else msgspec.structs.replace(item.observed, generation=row.generation)
