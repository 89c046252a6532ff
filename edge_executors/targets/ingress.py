"""The embedded ingress as a target: shares of an app's traffic, and rules of single sessions."""

from __future__ import annotations

from edge_executors.copies import Copies
from edge_executors.routes import Routes
from schemas.commands import Command, RuleParams, SpillParams
from schemas.statuses import Observed

from .base import Found, Reading, TargetError

_WHOLE = 1000


class IngressTarget:
    """Sets routes and reads them back; what a rule says of a copy here roots it, or takes its root."""

    def __init__(self, routes: Routes, copies: Copies) -> None:
        self._routes = routes
        self._copies = copies

    def takes(self, command: Command) -> bool:
        """Spills and rules."""
        return isinstance(command.params, SpillParams | RuleParams)

    async def plan(self, command: Command) -> tuple[str, ...]:
        """One line where something would change."""
        return () if (await self.read_back(command)).holds else (f"{command.action} {command.resource.id}",)

    async def apply(self, command: Command) -> None:
        """Shares that exceed the whole, or name nobody's address, are refused."""
        params = command.params
        if isinstance(params, SpillParams):
            self._check(params)
            self._routes.set_shares(params)
        elif isinstance(params, RuleParams):
            is_here = params.host_site == self._routes.site_id
            if params.present and not is_here and not self._routes.url(params.host_site, params.endpoint):
                raise TargetError("no-endpoint", params.host_site, retryable=False)
            copy = self._copies.get(params.session_id)
            if copy is not None:
                copy.is_rooted = is_here or not params.present
            self._routes.set_rule(params)

    async def read_back(self, command: Command) -> Reading:
        """What the proxy would do now."""
        params = command.params
        if isinstance(params, SpillParams):
            return Reading(holds=self._routes.shares(params.app_id) == params.shares)
        if isinstance(params, RuleParams):
            rule = self._routes.rule(params.terminal_id, params.app_id, params.session_id)
            return Reading(holds=rule == params if params.present else rule is None)
        return Reading(holds=False)

    async def survey(self) -> tuple[Found, ...]:
        """Rules in force, each its terminal's."""
        return tuple(
            Found(
                kind="rule",
                observed=Observed(resource_id=rule.session_id, kind="rule"),
                owner_key=rule.terminal_id,
                owner_keyspace="terminal",
            )
            for rule in self._routes.rules()
        )

    async def close(self) -> None:
        """The proxy itself is closed by its site."""

    def _check(self, params: SpillParams) -> None:
        if sum(share.permille for share in params.shares) > _WHOLE:
            raise TargetError("bad-shares", "more than the whole", retryable=False)
        unknown = [share.site_id for share in params.shares if not self._routes.url(share.site_id, share.endpoint)]
        if unknown:
            raise TargetError("no-endpoint", ",".join(unknown), retryable=False)
