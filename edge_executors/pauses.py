"""The red button as executors see it: which opening commands are withheld now (PROCEDURES 7)."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.commands import Command
from schemas.policy import Pause


class Pauses:
    """The pauses in force, by record key; scopes of tenants are the controllers' matter: commands name none."""

    def __init__(self, regions: Mapping[str, str] | None = None) -> None:
        """`regions`: region of each site served here."""
        self._regions = dict(regions or {})
        self._held: dict[str, Pause] = {}

    def put(self, key: str, pause: Pause | None) -> None:
        """A pause was set, or (None) lifted."""
        if pause is None:
            self._held.pop(key, None)
        else:
            self._held[key] = pause

    def covering(self, command: Command, now_ms: int) -> Pause | None:
        """The pause that withholds this command now; closing steps always pass."""
        if not self._held or not command.opening:
            return None
        scopes = self._scopes(command)
        return next((p for p in self._held.values() if p.until_ms > now_ms and p.scope in scopes), None)

    def _scopes(self, command: Command) -> tuple[str, ...]:
        site = command.target.site_id
        app = getattr(command.params, "app_id", "")
        return ("all", f"site/{site}", f"kind/{command.kind}", f"app/{app}", f"region/{self._regions.get(site, '?')}")
