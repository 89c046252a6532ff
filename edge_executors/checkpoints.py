"""Keeps changed sessions' states where the site's death does not reach them, and tells each session's owner where."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from schemas.commands import StateRef
from schemas.requests import CheckpointReport

from .clock import Clock
from .control import Control, Held
from .copies import Copies, Copy
from .fleet import Backend, Fleet
from .state_client import Checkpointed, StateClient
from .states import REPEAT_S, StateFiles
from .targets.base import TargetError

_LOG: Final = logging.getLogger(__name__)
_BATCH: Final = 200
OnCheckpoint = Callable[[Copy, CheckpointReport], None]
Changed = list[tuple[Copy, Held]]


class Checkpointer:
    """One round: what changed since the last goes to our own files and to the peer; then it is reported."""

    def __init__(
        self,
        site_id: str,
        *,
        fleet: Fleet,
        copies: Copies,
        control: Control,
        files: StateFiles,
        client: StateClient,
        peer_url: Callable[[], str],
        on_checkpoint: OnCheckpoint,
        now_ms: Clock,
    ) -> None:
        self._site_id = site_id
        self._fleet = fleet
        self._copies = copies
        self._control = control
        self._files = files
        self._client = client
        self._peer_url = peer_url
        self._on_checkpoint = on_checkpoint
        self._now_ms = now_ms
        self._since: dict[str, int] = {}
        self._repeated_ms = now_ms()

    async def round(self) -> int:
        """How many states were kept at the peer; what could not be is tried in the next round."""
        if self._now_ms() - self._repeated_ms >= REPEAT_S * 1000:
            self._since, self._repeated_ms = {}, self._now_ms()
        there = {backend.instance_id for backend in self._fleet}
        self._since = {name: since for name, since in self._since.items() if name in there}
        return sum([await self._of(backend) for backend in self._fleet])

    async def _of(self, backend: Backend) -> int:
        since = self._since.get(backend.instance_id, 0)
        try:
            until, states = await self._control.changed(backend, since)
        except TargetError:
            return 0
        changed = [
            (copy, held)
            for resource_id, held in states.items()
            if (copy := self._copies.get(resource_id)) is not None and copy.backend is backend
        ]
        for copy, held in changed:
            copy.version = held.version
            self._files.put(self._site_id, copy.name.resource_id, held.version, held.data)
        try:
            kept = [await self._keep(changed[at : at + _BATCH]) for at in range(0, len(changed), _BATCH)]
        except ConnectionError as error:
            _LOG.warning("checkpoints wait for the peer: %s", error)
            return 0
        self._since[backend.instance_id] = until
        return sum(kept)

    async def _keep(self, changed: Changed) -> int:
        """Without a peer the states stay in our own files only, and nobody is told."""
        url = self._peer_url()
        if not url:
            return 0
        states = [
            Checkpointed(resource_id=c.name.resource_id, version=h.version, state=h.data.decode()) for c, h in changed
        ]
        at_ms = self._now_ms()
        refs = await self._client.keep(url, self._site_id, states)
        for (copy, _), ref in zip(changed, refs, strict=True):
            copy.checkpoint_ref = ref.ref
            self._on_checkpoint(copy, self._report(copy, ref, at_ms))
        return len(refs)

    def _report(self, copy: Copy, ref: StateRef, at_ms: int) -> CheckpointReport:
        return CheckpointReport(
            resource_id=copy.name.resource_id,
            app_id=copy.name.app_id,
            site_id=self._site_id,
            ref=ref.ref,
            sha256=ref.sha256,
            bytes=ref.bytes,
            version=ref.version,
            at_ms=at_ms,
        )
