"""What an emitter is told at its start: whose site it speaks for, how often, how much it may keep on disk."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Final

import msgspec

from schemas.sections import Count, Section

MIB: Final = 1_048_576
_NOT_ID: Final = re.compile(r"[^A-Za-z0-9._:/@-]")


class EmitterSettings(Section, frozen=True):
    """The section `emitter`: an empty `site_id` is this host's name, an empty `buffer_dir` the user's state folder."""

    site_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:/@-]{0,200}\Z")] = ""
    interval_ms: Annotated[int, msgspec.Meta(ge=50, le=600_000)] = 5_000
    buffer_mib: Count = 64
    buffer_dir: str = ""

    @property
    def site(self) -> str:
        """The site spoken for; a host name's foreign letters become dashes."""
        return self.site_id or _NOT_ID.sub("-", socket.gethostname()) or "host"

    @property
    def buffer_bytes(self) -> int:
        """The bound of the disk buffer."""
        return self.buffer_mib * MIB

    @property
    def buffer_folder(self) -> Path:
        """Where this site's gateway keeps what the broker has not taken yet."""
        if self.buffer_dir:
            return Path(self.buffer_dir)
        state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        return Path(state) / "edgeweir" / "gateways" / self.site.replace("/", "-")
