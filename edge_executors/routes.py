"""Where an ingress sends traffic, as data set by commands: shares per app, rules per session; each ends by itself."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.commands import RuleParams, Share, SpillParams

from .clock import Clock
from .news import News
from .state_client import PeerSite

_WHOLE = 1000
_HERE = ""
RuleName = tuple[str, str, str]
"""Terminal, app and session: two sessions of one app on one terminal may live at different sites."""


class Weights:
    """Smooth weighted round robin: exact over every full turn, and even within it."""

    def __init__(self) -> None:
        self._credit: dict[str, int] = {}

    def pick(self, weights: Mapping[str, int]) -> str:
        """The next choice; weights may change at any time, choices that are gone lose their credit."""
        self._credit = {name: self._credit.get(name, 0) + weight for name, weight in weights.items()}
        chosen = max(self._credit, key=lambda name: self._credit[name])
        self._credit[chosen] -= sum(weights.values())
        return chosen


class Routes:
    """Shares and rules in force now. `peers` says where other sites' ingresses are when a command does not."""

    def __init__(self, site_id: str, peers: Mapping[str, PeerSite], news: News, now_ms: Clock) -> None:
        self.site_id = site_id
        self._peers = peers
        self._news = news
        self._now_ms = now_ms
        self._spills: dict[str, SpillParams] = {}
        self._rules: dict[RuleName, RuleParams] = {}
        self._weights: dict[str, Weights] = {}

    def set_shares(self, params: SpillParams) -> None:
        """All shares of one app, in place of those before."""
        self._spills[params.app_id] = params

    def shares(self, app_id: str) -> tuple[Share, ...]:
        """Shares of an app in force now."""
        spill = self._spills.get(app_id)
        if spill is None or spill.until_ms <= self._now_ms():
            return ()
        return spill.shares

    def set_rule(self, params: RuleParams) -> None:
        """One session's rule, or its end."""
        name = (params.terminal_id, params.app_id, params.session_id)
        if params.present:
            self._rules[name] = params
        else:
            self._rules.pop(name, None)
        self._news.tell(params.session_id)

    def rule(self, terminal_id: str, app_id: str, session_id: str) -> RuleParams | None:
        """The rule in force now."""
        rule = self._rules.get((terminal_id, app_id, session_id))
        return None if rule is None or rule.until_ms <= self._now_ms() else rule

    def rules(self) -> tuple[RuleParams, ...]:
        """All rules in force; what has ended is forgotten."""
        now_ms = self._now_ms()
        self._rules = {place: rule for place, rule in self._rules.items() if rule.until_ms > now_ms}
        return tuple(self._rules.values())

    def pick(self, app_id: str, *, can_serve: bool) -> Share | None:
        """To which other site the next request goes; None keeps it here."""
        shares = self.shares(app_id)
        if not shares:
            return None
        weights = {share.site_id: share.permille for share in shares}
        here = _WHOLE - sum(weights.values())
        if can_serve and here > 0:
            weights[_HERE] = here
        chosen = self._weights.setdefault(app_id, Weights()).pick(weights)
        return next((share for share in shares if share.site_id == chosen), None)

    def url(self, site_id: str, endpoint: str) -> str:
        """The ingress of a site: as the command says, else as we know it; empty if neither."""
        if endpoint.startswith("http://"):
            return endpoint
        peer = self._peers.get(site_id)
        return "" if peer is None else peer.ingress_url
