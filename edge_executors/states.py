"""States of sessions as files: exports of our own copies and checkpoints of our peers, each named by its sha256.

A reference is `{state_url}/state/{site}/{resource}/{version}-{sha256}`; the newest few versions of a resource are kept.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from schemas import wire
from schemas.commands import StateRef
from schemas.errors import BadInput

_PREFIX: Final = "/state/"
_KEPT: Final = 3
_REF_PARTS: Final = 3
_ABOUT: Final = "about"
REPEAT_S: Final = 6 * 3600
"""How often a state that does not change is written again, here and at the peer: what stays is wanted."""
_KEPT_PEERS_S: Final = 4 * REPEAT_S
_KEPT_OWN_S: Final = 7 * 24 * 3600


class CopyName(msgspec.Struct, frozen=True, kw_only=True):
    """Of what a copy is: `kind` is session, device or instance."""

    resource_id: str
    kind: str
    app_id: str
    terminal_id: str


class StateFiles:
    """One folder of states; `base_url` is set once the endpoint that serves it listens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.base_url = ""

    def put(self, site_id: str, resource_id: str, version: int, state: bytes) -> StateRef:
        """Keep a state; the reference that others can pull it by."""
        digest = hashlib.sha256(state).hexdigest()
        folder = self._of(site_id, resource_id)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{version}-{digest}"
        draft = path.with_suffix(".part")
        draft.write_bytes(state)
        draft.replace(path)
        for old in self._versions(folder)[_KEPT:]:
            old.unlink(missing_ok=True)
        place = f"{_PREFIX}{quote(site_id, safe='')}/{quote(resource_id, safe='')}/{path.name}"
        return StateRef(ref=self.base_url + place, sha256=digest, bytes=len(state), version=version)

    def read(self, ref: str) -> bytes | None:
        """The state of one of our references (a URL or its path), if we still have it and it is whole."""
        parts = urlsplit(ref).path.removeprefix(_PREFIX).split("/")
        if len(parts) != _REF_PARTS:
            return None
        site_id, resource_id, name = unquote(parts[0]), unquote(parts[1]), parts[2]
        path = self._of(site_id, resource_id) / name
        if not path.is_file():
            return None
        state = path.read_bytes()
        return state if hashlib.sha256(state).hexdigest() == name.partition("-")[2] else None

    def newest(self, site_id: str, resource_id: str) -> tuple[int, bytes] | None:
        """The newest whole state that is kept of a resource."""
        for path in self._versions(self._of(site_id, resource_id)):
            state = path.read_bytes()
            version, _, digest = path.name.partition("-")
            if hashlib.sha256(state).hexdigest() == digest:
                return int(version), state
        return None

    def forget(self, site_id: str, resource_id: str) -> None:
        """Drop all states of a resource."""
        shutil.rmtree(self._of(site_id, resource_id), ignore_errors=True)

    def forget_older(self, own_site: str) -> None:
        """Drop states that nobody has written for long: peers never take their checkpoints back, but repeat them.

        Our own states are dropped by order; those that nobody has ordered away for a week have no owner any more.
        """
        own, now_s = _file_name(own_site), time.time()
        for folder in self._folder.glob("*/*"):
            kept_s = _KEPT_OWN_S if folder.parent.name == own else _KEPT_PEERS_S
            if folder.stat().st_mtime < now_s - kept_s:
                shutil.rmtree(folder, ignore_errors=True)

    def resources(self, site_id: str) -> tuple[str, ...]:
        """Resources of a site of which a state is kept."""
        folder = self._folder / _file_name(site_id)
        return tuple(sorted(unquote(path.name[1:]) for path in folder.iterdir())) if folder.is_dir() else ()

    def describe(self, site_id: str, resource_id: str, about: CopyName) -> None:
        """Keep what a later boot must know to wake a state: whose it is."""
        folder = self._of(site_id, resource_id)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _ABOUT).write_bytes(wire.encode_row(about))

    def about(self, site_id: str, resource_id: str) -> CopyName | None:
        """Whose state it is, if that was kept."""
        path = self._of(site_id, resource_id) / _ABOUT
        try:
            return wire.decode_row(CopyName, path.read_bytes())
        except (OSError, BadInput):
            return None

    def _of(self, site_id: str, resource_id: str) -> Path:
        return self._folder / _file_name(site_id) / _file_name(resource_id)

    def _versions(self, folder: Path) -> list[Path]:
        """Newest first."""
        if not folder.is_dir():
            return []
        named = [p for p in folder.iterdir() if p.name.partition("-")[0].isdecimal() and not p.suffix]
        return sorted(named, key=lambda path: int(path.name.partition("-")[0]), reverse=True)


def _file_name(identifier: str) -> str:
    """A name that is no path: identifiers may hold slashes and dots."""
    return "_" + quote(identifier, safe="")
