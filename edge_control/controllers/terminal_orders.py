"""How the terminal controller words its commands: moves, renewals, drops, rules; fenced by the terminal's revision."""

from __future__ import annotations

from typing import Final

import msgspec

from edge_control.controllers import outputs as out
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Ask
from edge_control.controllers.terminal_rows import Debt, MoveProcedure, Permit, Renewal, Rule, Session, Terminal
from edge_control.inventory.atlas import Atlas
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from schemas.apps import AppSpec
from schemas.base import derive_id
from schemas.commands import (
    Action,
    Command,
    CommandKind,
    Evidence,
    Fence,
    MoveParams,
    MoveStep,
    Params,
    ProcedureRef,
    RenewParams,
    RuleParams,
    StateRef,
    Target,
)
from schemas.decisions import CauseRef, Resource
from schemas.policy import GovernorPolicy, MigrationPolicy, Scope
from topics.catalogue import Keyspace

STARTS_WITHIN_MS: Final = 5_000
"""How long an executor may take to see a renewal before it must not act on it."""
REPEAT_MS: Final = 5_000
"""How often an unanswered drop or renewal is said again."""


class Act(msgspec.Struct, kw_only=True):
    """One look at one session: its rows, the view, the time and cause. Builders read it, conditions may change rows."""

    terminal: Terminal
    session: Session
    view: View
    now_ms: int
    cause: CauseRef
    owner: str
    permits: Table[Permit]
    atlas: Atlas
    ticking: bool
    _rules: tuple[str, MigrationPolicy, int] | None = None

    @property
    def spec(self) -> AppSpec | None:
        """The app's spec, if the view has it."""
        seen = self.view.apps.get(self.session.app_id)
        return seen.body if seen else None

    @property
    def scope(self) -> Scope:
        """Where the session lives, for the choice of policies."""
        tenant = self.spec.tenant if self.spec else ""
        site = self.session.host
        return Scope(app=self.session.app_id, tenant=tenant, region=self.view.region_of(site), site=site)

    @property
    def policy(self) -> MigrationPolicy:
        """The migration policy that counts here."""
        return self._counting()[1]

    @property
    def skew_ms(self) -> int:
        """How far clocks may stand apart: what is over for us is over everywhere after this."""
        return self._counting()[2]

    def _counting(self) -> tuple[str, MigrationPolicy, int]:
        """The policies that count at the present host; looked up once per look, and again when the host changed."""
        if self._rules is None or self._rules[0] != self.session.host:
            scope, book = self.scope, self.view.policies
            skew_ms = book.of(GovernorPolicy, scope).skew_ms
            self._rules = (self.session.host, book.of(MigrationPolicy, scope), skew_ms)
        return self._rules

    @property
    def procedure(self) -> MoveProcedure:
        """The procedure of the session; there must be one."""
        assert self.session.procedure is not None
        return self.session.procedure

    @property
    def resource(self) -> Resource:
        """The session as commands and decisions name it."""
        return Resource(type=self.session.type, id=self.session.session_id)

    def new_id(self, what: str, revision: int) -> str:
        """The id of an order that follows from this look's cause."""
        return derive_id(what, self.session.session_id, self.cause.event_id, revision)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a command that differs from order to order; zero times are not said."""

    id: str
    attempt: int
    at_ms: int
    site_id: str
    params: Params
    action: Action
    revision: int
    resource: Resource
    start_by_ms: int = 0
    lease_until_ms: int = 0
    decision_id: str = ""
    kind: CommandKind = CommandKind.MIGRATION
    procedure: ProcedureRef | None = None
    reason: Evidence | None = None


def issue(act: Act, order: Order) -> Output:
    """The order as a command of this terminal's owner."""
    return out.command(
        Command(
            command_id=order.id,
            kind=order.kind,
            action=order.action,
            resource=order.resource,
            target=Target(site_id=order.site_id),
            reply_key=act.terminal.terminal_id,
            reply_keyspace=Keyspace.TERMINAL,
            params=order.params,
            generation=order.revision,
            fence=Fence(owner=act.owner, revision=order.revision),
            issued_at_ms=order.at_ms,
            decision_id=order.decision_id,
            start_by_ms=order.start_by_ms,
            lease_until_ms=order.lease_until_ms,
            procedure=order.procedure,
            attempt=order.attempt,
            reason=order.reason,
        )
    )


def move(
    act: Act,
    ask: Ask,
    step: MoveStep,
    site_id: str,
    *,
    state: StateRef | None = None,
    start_by_ms: int = 0,
    lease_until_ms: int = 0,
) -> Output:
    """One step of a procedure as a command; asked again it has the same revision."""
    row = act.procedure
    if row.revised_for != ask.id:
        row.revised_for, row.revision = ask.id, act.terminal.next_revision()
    if lease_until_ms:
        _note_lease(act.session, site_id, lease_until_ms, lease_until_ms)
    order = Order(
        id=ask.id,
        attempt=ask.attempt,
        at_ms=ask.at_ms,
        site_id=site_id,
        params=_params(act, row, step, state),
        action=_action(act, row, step),
        revision=row.revision,
        resource=act.resource,
        start_by_ms=start_by_ms,
        lease_until_ms=lease_until_ms,
        decision_id=row.decision_id,
        procedure=ProcedureRef(id=row.procedure_id, step=step, of=row.kind),
    )
    return issue(act, order)


def _note_lease(session: Session, site_id: str, until_ms: int, wakes_until_ms: int) -> None:
    session.leases[site_id] = max(until_ms, session.leases.get(site_id, 0))
    session.wakes[site_id] = max(wakes_until_ms, session.wakes.get(site_id, 0))


def _params(act: Act, row: MoveProcedure, step: MoveStep, state: StateRef | None) -> MoveParams:
    return MoveParams(
        step=step,
        app_id=act.session.app_id,
        terminal_id=act.terminal.terminal_id,
        session_id=act.session.session_id,
        source_site=row.source,
        target_site=row.target,
        state=state,
        prepared_until_ms=row.prepared_until_ms,
        mode=_MODES[row.kind],
        version=state.version if state else 0,
        exactly_once=row.exactly_once,
        rpo_ms=row.rpo_ms,
    )


_MODES: Final = {"move": "move", "rescue": "rescue", "restart": "rescue", "original": "own"}


def _action(act: Act, row: MoveProcedure, step: MoveStep) -> Action:
    if row.kind != "move" and step is MoveStep.ACTIVATE:
        return Action.EVACUATE
    return Action.MOVE_DEVICE if act.session.type == "device" else Action.MIGRATE_SESSION


def renew(act: Act, until_ms: int) -> Output:
    """`Renew`: the host's copy may be active until then; it wakes what is frozen or parked there."""
    session, revision = act.session, act.terminal.next_revision()
    command_id = act.new_id("renew", revision)
    again_at_ms = act.now_ms + REPEAT_MS
    session.renewal = Renewal(site_id=session.host, command_id=command_id, until_ms=until_ms, again_at_ms=again_at_ms)
    _note_lease(session, session.host, until_ms, act.now_ms + STARTS_WITHIN_MS)
    order = Order(
        id=command_id,
        attempt=1,
        at_ms=act.now_ms,
        site_id=session.host,
        params=RenewParams(resources=(session.session_id,)),
        action=Action.RENEW,
        revision=revision,
        resource=act.resource,
        start_by_ms=act.now_ms + STARTS_WITHIN_MS,
        lease_until_ms=until_ms,
    )
    return issue(act, order)


def drop(act: Act, debt: Debt) -> Output:
    """`drop` of what a debt names, asked again with the same id until it is answered."""
    if not debt.command_id:
        debt.revision = act.terminal.next_revision()
        debt.command_id = act.new_id("drop", debt.revision)
    debt.attempt, debt.again_at_ms = debt.attempt + 1, act.now_ms + REPEAT_MS
    params = MoveParams(
        step=MoveStep.DROP,
        app_id=act.session.app_id,
        terminal_id=act.terminal.terminal_id,
        session_id=act.session.session_id,
        source_site=debt.site_id,
        target_site=act.session.host,
        exactly_once=act.session.exactly_once,
    )
    order = Order(
        id=debt.command_id,
        attempt=debt.attempt,
        at_ms=act.now_ms,
        site_id=debt.site_id,
        params=params,
        action=Action.MOVE_DEVICE if act.session.type == "device" else Action.MIGRATE_SESSION,
        revision=debt.revision,
        resource=act.resource,
    )
    return issue(act, order)


def rule(act: Act, wanted: Rule) -> Output:
    """The wanted rule at its ingress (MEC 011 TrafficRule): `Breakout`, or `Revert` where none is wanted."""
    if not wanted.command_id:
        wanted.revision = act.terminal.next_revision()
        wanted.command_id = act.new_id(f"rule/{wanted.ingress}", wanted.revision)
    wanted.attempt, wanted.again_at_ms = wanted.attempt + 1, act.now_ms + act.policy.rule_repeat_ms
    host = act.view.sites.get(wanted.host)
    params = RuleParams(
        terminal_id=act.terminal.terminal_id,
        app_id=act.session.app_id,
        session_id=act.session.session_id,
        host_site=wanted.host or act.session.host,
        endpoint=host.body.ingress_url if host else "",
        until_ms=wanted.until_ms,
        present=bool(wanted.host),
    )
    order = Order(
        id=wanted.command_id,
        attempt=wanted.attempt,
        at_ms=act.now_ms,
        site_id=wanted.ingress,
        params=params,
        action=Action.BREAKOUT if wanted.host else Action.REVERT,
        revision=wanted.revision,
        resource=Resource(type="rule", id=act.session.session_id),
        start_by_ms=wanted.until_ms,
        kind=CommandKind.OFFLOAD,
    )
    return issue(act, order)
