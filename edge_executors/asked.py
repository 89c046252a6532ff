"""One request at an ingress, read once: which app, session and terminal, how often it was passed on already."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from .http1 import Request, Response

HOPS: Final = "x-edgeweir-hops"
SERVED_BY: Final = "x-edgeweir-served-by"
INSTANCE: Final = "x-edgeweir-instance"
SESSION_STATE: Final = "x-edgeweir-session-state"
_TERMINAL: Final = "x-edgeweir-terminal"
_SESSION: Final = "x-edgeweir-session"
_RESUME: Final = "x-edgeweir-resume"
_IDEMPOTENT: Final = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
_PRIVATE: Final = ("x-edgeweir-token", "x-edgeweir-peer-token")


class Asked:
    """A user's request. `is_resumed`: the client says that its session exists, so it must never be begun anew."""

    __slots__ = ("app_id", "hops", "is_resumed", "path", "request", "session_id", "terminal_id")

    def __init__(self, request: Request) -> None:
        headers = request.headers
        self.request = request
        first, _, self.path = request.target[1:].partition("?")[0].partition("/")
        self.app_id = unquote(first)
        hops = headers.get(HOPS, "0")
        self.hops = int(hops) if hops.isdecimal() else 0
        self.session_id = headers.get(_SESSION, "") or _session_in(self.path)
        self.terminal_id = headers.get(_TERMINAL, "") or self.session_id
        self.is_resumed = headers.get(_RESUME, "") == "1"

    @property
    def is_idempotent(self) -> bool:
        """Whether it may be sent again when it is unknown what became of it."""
        return self.request.method in _IDEMPOTENT

    @property
    def ends_session(self) -> bool:
        """Whether the user closes the session itself."""
        return self.request.method == "DELETE" and self.path.count("/") == 1 and self.path.startswith("session/")

    def onward(self) -> dict[str, str]:
        """Headers for the next hop: one hop more, the session and terminal named."""
        headers = {name: value for name, value in self.request.headers.items() if name not in _PRIVATE}
        headers[HOPS] = str(self.hops + 1)
        if self.session_id:
            headers[_SESSION], headers[_TERMINAL] = self.session_id, self.terminal_id
        return headers

    def inward(self) -> dict[str, str]:
        """Headers for a replica here; it must not see, or be able to use, what is between executors."""
        return {name: value for name, value in self.request.headers.items() if name not in _PRIVATE}


def served(response: Response, site_id: str) -> Response:
    """An answer of a replica here, with who served it."""
    response.headers[SERVED_BY] = f"{site_id}/{response.headers.pop(INSTANCE, '')}"
    return response


def server_site(response: Response) -> str:
    """The site that served an answer; empty if it does not say."""
    return response.headers.get(SERVED_BY, "").partition("/")[0]


def _session_in(path: str) -> str:
    parts = path.split("/")
    return unquote(parts[1]) if parts[0] == "session" and len(parts) > 1 else ""
