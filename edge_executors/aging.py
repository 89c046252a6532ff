"""Forgets ended commands that nobody can ask for any more, oldest first and a few at a time, with their fences."""

from __future__ import annotations

from collections import deque
from typing import Final

from schemas import wire

from .fence import Fences
from .records import Known, Phase, known_of
from .store import Store

KEEP_MS: Final = 24 * 3_600_000
"""How long an ended command can be asked for again: longer than an owner is ever away."""


class Aging:
    """The ids of all known commands by age; a command that has not ended waits for another round."""

    def __init__(self, store: Store, fences: Fences) -> None:
        self._store = store
        self._fences = fences
        held = [wire.decode_row(Known, raw) for _, raw in store.items("command")]
        self._oldest = deque(sorted((known.append_ms, known.command.command_id) for known in held))

    def note(self, known: Known) -> None:
        """A command became known."""
        self._oldest.append((known.append_ms, known.command.command_id))

    def forget(self, now_ms: int) -> None:
        """Drop what is old enough; durable with the store's next commit."""
        while self._oldest and self._oldest[0][0] < now_ms - KEEP_MS:
            _, command_id = self._oldest.popleft()
            known = known_of(self._store.get("command", command_id))
            if known is None:
                continue
            if known.phase is not Phase.DONE:
                self._oldest.append((now_ms, command_id))
                continue
            self._store.remove("command", command_id)
            self._fences.forget(known.command)
