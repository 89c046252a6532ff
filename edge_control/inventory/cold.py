"""Tables of very many rows that are seldom read: a row is an object only from its first reading to the next frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from edge_control.inventory.tables import Table

R = TypeVar("R", bound=msgspec.Struct)
H = TypeVar("H", bound=msgspec.Struct)


class ColdTable(Table[R], Generic[R, H]):
    """A table whose rows go back to the bytes that were journalled, and whose heads are read without the rest.

    Rows and heads are arrays (`array_like`), and the fields of a head are the first ones of the row: what indexes need
    of a million rows after a takeover costs a fraction of decoding them.
    """

    def __init__(self, name: str, row_type: type[R], head_type: type[H]) -> None:
        super().__init__(name, row_type)
        self._fields = head_type.__struct_fields__
        self._head_type = head_type
        self._decode_head = msgspec.msgpack.Decoder(head_type).decode
        assert row_type.__struct_fields__[: len(self._fields)] == self._fields, (row_type, head_type)

    def take_changes(self) -> tuple[dict[str, bytes], list[str]]:
        """As any table's; what was encoded is kept as it is."""
        kept, removed = super().take_changes()
        self._rows.update(kept)
        return kept, removed

    def head(self, key: str) -> H | None:
        """The head of one row, None when it is gone."""
        row = self._rows.get(key)
        return None if row is None else self._head_of(row)

    def heads(self) -> Iterator[tuple[str, H]]:
        """Keys and heads of all rows; the table must not change meanwhile."""
        for key, row in self._rows.items():
            yield key, self._head_of(row)

    def _head_of(self, row: R | bytes) -> H:
        if isinstance(row, bytes):
            return self._decode_head(memoryview(row)[1:])
        return self._head_type(*[getattr(row, name) for name in self._fields])
