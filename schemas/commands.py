"""What executors are told: wanted states in absolute terms, fenced, expiring (CONTRACTS 5, PROCEDURES 9)."""

from __future__ import annotations

from enum import StrEnum

from .apps import PerReplica
from .base import Amount, Count, Id, IdOrNone, KeyspaceName, Message, Millis, Natural, Permille, Span
from .decisions import Resource


class Action(StrEnum):
    """The verbs of commands."""

    SCALE_OUT = "ScaleOut"
    SCALE_IN = "ScaleIn"
    PLACE = "Place"
    RELEASE = "Release"
    MIGRATE_SESSION = "MigrateSession"
    MIGRATE_INSTANCE = "MigrateInstance"
    MOVE_DEVICE = "MoveDevice"
    EVACUATE = "Evacuate"
    RENEW = "Renew"
    OFFLOAD = "Offload"
    BREAKOUT = "Breakout"
    DRAIN = "Drain"
    REVERT = "Revert"


class CommandKind(StrEnum):
    """The three command topics."""

    SCALING = "scaling"
    MIGRATION = "migration"
    OFFLOAD = "offload"


class Fence(Message, frozen=True, kw_only=True):
    """Who speaks and how new it is; (incarnation, epoch, revision) only grow per resource and owner.

    Controllers fill `owner` and `revision`; the engine stamps incarnation and epoch when the output is journalled.
    """

    owner: str
    revision: Natural
    incarnation: Natural = 0
    epoch: Natural = 0


class Target(Message, frozen=True, kw_only=True):
    """Whose executor acts: the site, and optionally one node."""

    site_id: Id
    executor: str = ""
    node_id: IdOrNone = ""


class ScaleParams(Message, frozen=True, kw_only=True, tag="scale", tag_field="type"):
    """Hold this many replicas of the app at the site, in all; put none on `avoid_nodes`."""

    app_id: Id
    replicas: Count
    spec_version: Natural = 0
    image: str = ""
    per_replica: PerReplica = PerReplica()
    stateful: bool = False
    drain_ms: Span = 5000
    avoid_nodes: tuple[str, ...] = ()


class Share(Message, frozen=True, kw_only=True):
    """A share of an ingress's traffic that goes to another site's ingress."""

    site_id: Id
    permille: Permille
    endpoint: str = ""


class SpillParams(Message, frozen=True, kw_only=True, tag="spill", tag_field="type"):
    """All shares of this app's traffic that leave this ingress, until `until_ms`; what is not listed stays.

    `renewal`: no share is larger than what the ingress has confirmed, so that a pause lets it pass.
    """

    app_id: Id
    shares: tuple[Share, ...]
    until_ms: Millis
    renewal: bool = False


class RuleParams(Message, frozen=True, kw_only=True, tag="rule", tag_field="type"):
    """Traffic of one terminal for one app goes to the host site (MEC 011 TrafficRule); `present=False` removes it."""

    terminal_id: Id
    app_id: Id
    session_id: IdOrNone
    host_site: IdOrNone
    endpoint: str
    until_ms: Millis
    present: bool = True
    priority: Natural = 0


class StateRef(Message, frozen=True, kw_only=True):
    """Where a resource's state can be pulled, and its proof."""

    ref: str
    sha256: str = ""
    bytes: Amount = 0
    version: Natural = 0


class MoveStep(StrEnum):
    """The steps an executor carries out for a session, device or instance."""

    PREPARE = "prepare"
    FREEZE = "freeze"
    ACTIVATE = "activate"
    THAW = "thaw"
    DISCARD = "discard"
    DROP = "drop"


class MoveParams(Message, frozen=True, kw_only=True, tag="move", tag_field="type"):
    """One step on one copy of a stateful resource; `mode` is move, rescue or own (its own parked state)."""

    step: MoveStep
    app_id: Id
    terminal_id: IdOrNone = ""
    session_id: IdOrNone = ""
    source_site: IdOrNone = ""
    target_site: IdOrNone = ""
    state: StateRef | None = None
    prepared_until_ms: Millis = 0
    mode: str = "move"
    version: Natural = 0
    exactly_once: bool = False
    rpo_ms: Span = 0


class RenewParams(Message, frozen=True, kw_only=True, tag="renew", tag_field="type"):
    """Copies of these resources may be active until `lease_until_ms` of the command (wakes frozen and parked ones)."""

    resources: tuple[Id, ...]


class HelloParams(Message, frozen=True, kw_only=True, tag="hello", tag_field="type"):
    """Say hello again: the owner lost track of what you run."""

    why: str = ""


Params = ScaleParams | SpillParams | RuleParams | MoveParams | RenewParams | HelloParams


class ProcedureRef(Message, frozen=True, kw_only=True):
    """Of which procedure this command is a step."""

    id: Id
    step: str
    of: str


class Evidence(Message, frozen=True, kw_only=True):
    """Why, for the executor's log: reason code, policy and what was seen."""

    code: str
    policy: str = ""
    evidence: tuple[str, ...] = ()


class Command(Message, frozen=True, kw_only=True):
    """One wanted state of one resource at one site."""

    command_id: Id
    kind: CommandKind
    action: Action
    resource: Resource
    target: Target
    reply_key: Id
    reply_keyspace: KeyspaceName
    params: Params
    generation: Natural
    fence: Fence
    issued_at_ms: Millis
    decision_id: IdOrNone
    start_by_ms: Millis = 0
    ttl_ms: Span = 0
    complete_by_ms: Millis = 0
    lease_until_ms: Millis = 0
    procedure: ProcedureRef | None = None
    attempt: Natural = 1
    supersedes: tuple[Id, ...] = ()
    dry_run: bool = False
    reason: Evidence | None = None
    signature: str = ""

    @property
    def opening(self) -> bool:
        """Whether a pause withholds it (PROCEDURES 7): steps that close, and renewals, always pass."""
        match self.params:
            case MoveParams(step=MoveStep.PREPARE | MoveStep.FREEZE) | ScaleParams():
                return True
            case MoveParams(step=MoveStep.ACTIVATE) as move:
                return move.mode == "rescue"
            case SpillParams() as spill:
                return bool(spill.shares) and not spill.renewal
            case _:
                return False
