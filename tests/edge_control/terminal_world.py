"""A small town for the terminal controller: three sites in a row, one app, and short words for what is said."""

from __future__ import annotations

from typing import Any, TypeVar

from edge_control.controllers.events import Event, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.terminal import TerminalController
from edge_control.controllers.terminal_rows import Session
from edge_control.inventory.view import View
from schemas import estate, inventory
from schemas.apps import AppKind, AppSpec, Cost, PerReplica
from schemas.base import Message
from schemas.commands import Command, MoveParams, MoveStep, RenewParams, RuleParams, StateRef
from schemas.decisions import Decision
from schemas.inventory import Health
from schemas.location import LocationEvent, Movement, SessionEvent, SessionState
from schemas.requests import AskLease, Commit, Committed, Lease, ReleaseRoom, Reserve, Reserved
from schemas.statuses import CommandState, Fault, Hello, Result, Status
from topics import catalogue as cat

B = TypeVar("B")
SITES = ("a", "b", "c")
START_MS = 1_000_000_000


def spec(**changes: Any) -> AppSpec:
    """The app of these tests: moving is free, so a session follows its user at once."""
    fields: dict[str, Any] = {
        "app_id": "video",
        "tenant": "t",
        "kind": AppKind.SERVICE,
        "version": 1,
        "per_replica": PerReplica(cpu_milli=100, sessions=10),
        "state_bytes": 1_000,
        "cost": Cost(move_m=0),
    }
    return AppSpec(**{**fields, **changes})


class TerminalWorld:
    """One terminal controller and its view; every event is followed by `validate`."""

    def __init__(self, app: AppSpec | None = None, *, sites: tuple[str, ...] = SITES) -> None:
        self.controller = TerminalController(0)
        self.view = View()
        self.now_ms = START_MS
        self.offset = 0
        self.sites = sites
        self.versions: dict[str, int] = {}
        for number, site in enumerate(sites):
            body = estate.Site(
                id=site,
                region="bay",
                tier=estate.Tier.ACCESS,
                lat_e7=number * 100_000,
                lon_e7=0,
                state_url=f"http://{site}.state",
                ingress_url=f"http://{site}.ingress",
            )
            self.show(cat.ESTATE, f"site/{site}", body)
            self.show(cat.ESTATE, f"zone/z{site}", estate.Zone(id=f"z{site}", site=site))
        self.show(cat.APP, "video", app or spec())
        self.sick()

    def show(self, topic: cat.Topic, key: str, body: Message) -> None:
        """The view learns a record."""
        self.view.apply(topic, key, body, self.now_ms)

    def sick(self, *, evidenced: bool = False, **health: Health) -> None:
        """The region publishes health (all others alive), every site its row."""
        rows = tuple(
            inventory.SiteHealth(
                site_id=site,
                health=health.get(site, Health.ALIVE),
                since_ms=self.now_ms,
                evidenced=evidenced and health.get(site) is Health.DEAD,
            )
            for site in self.sites
        )
        row = inventory.RegionInventory(generation=1, as_of_ms=self.now_ms, region_id="bay", sites=rows)
        self.show(cat.INVENTORY, "bay", row)
        self.fresh()

    def fresh(self) -> None:
        """Every site publishes that it runs the app."""
        app = inventory.AppAtSite(app_id="video", desired=1, ordered=1, ready=1, demand_milli=0)
        for site in self.sites:
            self.show(
                cat.INVENTORY,
                site,
                inventory.SiteInventory(generation=1, as_of_ms=self.now_ms, site_id=site, apps=(app,)),
            )

    def say(self, body: Message, key: str = "ann") -> list[Output]:
        """One event."""
        self.offset += 1
        cause = f"test/{self.offset}"
        event = Event(body, key, "test", 0, self.offset, cause, self.now_ms, self.now_ms)
        return self._checked(self.controller.handle(event, self.view))

    def tick(self, passed_ms: int = 0) -> list[Output]:
        """Time passes."""
        self.now_ms += passed_ms
        return self._checked(self.controller.handle(Tick(self.now_ms, 0), self.view))

    def wait(self, passed_ms: int, step_ms: int = 1_000) -> list[Output]:
        """Much time passes, in small ticks, over sites that go on publishing."""
        outputs: list[Output] = []
        for _ in range(passed_ms // step_ms):
            self.fresh()
            outputs += self.tick(step_ms)
        return outputs

    def _checked(self, outputs: list[Output]) -> list[Output]:
        self.controller.validate()
        return outputs

    def enter(self, site: str, **more: Any) -> list[Output]:
        """The user is in the zone of a site."""
        fields: dict[str, Any] = {"event": Movement.ENTER, "observed_at_ms": self.now_ms} | more
        return self.say(LocationEvent(terminal_id="ann", zone_id=f"z{site}", **fields))

    def begin(self, at_site: str, state: SessionState = SessionState.STARTED, **more: Any) -> list[Output]:
        """The user's session begins at a site (or is confirmed, or ends)."""
        fields: dict[str, Any] = {"session_id": "s1", "observed_at_ms": self.now_ms, "at_site": at_site} | more
        return self.say(SessionEvent(terminal_id="ann", app_id="video", state=state, **fields))

    def granted(self, ask: Reserve) -> list[Output]:
        """The site grants room."""
        until_ms = self.now_ms + ask.for_ms
        return self.say(Reserved(request_id=ask.request_id, granted=True, site_id=ask.site_id, until_ms=until_ms))

    def committed(self, ask: Commit) -> list[Output]:
        """The site commits room."""
        return self.say(Committed(request_id=ask.request_id, granted=True, site_id=ask.site_id))

    def leased(self, ask: AskLease) -> list[Output]:
        """The region leases what was asked for."""
        body = Lease(
            request_id=ask.request_id,
            granted=True,
            region_id=ask.region_id,
            budget=ask.budget,
            amount=ask.amount,
            until_ms=self.now_ms + 10_000,
            site_id=ask.site_id,
        )
        return self.say(body)

    def done(
        self, command: Command, state: CommandState = CommandState.SUCCEEDED, error: str = "", version: int = 7
    ) -> list[Output]:
        """The executor ends a command."""
        exported = StateRef(ref=f"http://{command.target.site_id}.state/x", sha256="00", bytes=9, version=version)
        body = Status(
            command_id=command.command_id,
            attempt=command.attempt,
            state=state,
            state_version=3,
            entered_at_ms=self.now_ms,
            executor_id=f"x-{command.target.site_id}",
            resource_id=command.resource.id,
            site_id=command.target.site_id,
            boot_id="boot1",
            result=Result(state=exported) if state is CommandState.SUCCEEDED else None,
            error=Fault(code=error, retryable=False) if error else None,
        )
        return self.say(body)

    def hello(self, site: str, *observed: Any, boot: str = "boot2") -> list[Output]:
        """An executor says hello to the terminal's owner."""
        body = Hello(
            executor_id=f"x-{site}",
            site_id=site,
            boot_id=boot,
            at_ms=self.now_ms,
            owner_keyspace="terminal",
            observed=observed,
        )
        return self.say(body)

    @property
    def session(self) -> Session:
        """The one session."""
        return self.controller.terminals["ann"].sessions["s1"]

    def follow(self, to: str, *, until: str = "") -> list[Output]:
        """The user walks, all answers are yes; stops before answering the step `until`."""
        outputs = self.enter(to)
        return self.answer_all(outputs, until)

    def answer_all(self, outputs: list[Output], until: str = "") -> list[Output]:
        """Answer yes to every step of the move, up to (not with) `until`; what was sent last."""
        for _ in range(12):
            asked = next((o.body for o in outputs if _is_step(o.body)), None)
            if asked is None or _word(asked) == until:
                return outputs
            outputs = self._answer(asked)
        return outputs

    def confirm(self, outputs: list[Output]) -> list[Output]:
        """The ingresses apply the rules among these outputs; what was sent then."""
        rules = [o.body for o in outputs if isinstance(o.body, Command) and isinstance(o.body.params, RuleParams)]
        return [sent for rule in rules for sent in self.done(rule)]

    def _answer(self, asked: Any) -> list[Output]:
        match asked:
            case Reserve():
                return self.granted(asked)
            case Commit():
                return self.committed(asked)
            case AskLease():
                return self.leased(asked)
            case _:
                return self.done(asked)


def _is_step(body: object) -> bool:
    if isinstance(body, Command):
        return isinstance(body.params, MoveParams) and body.params.step is not MoveStep.DROP
    return isinstance(body, Reserve | Commit | AskLease)


def _word(body: Any) -> str:
    """A message as one word."""
    match body:
        case Command(params=MoveParams(step=step)):
            return f"{step}@{body.target.site_id}"
        case Command(params=RenewParams()):
            return f"renew@{body.target.site_id}"
        case Command(params=RuleParams(present=present, host_site=host)):
            return f"rule@{body.target.site_id}->{host}" if present else f"no-rule@{body.target.site_id}"
        case Reserve() | Commit() | ReleaseRoom():
            return f"{type(body).__name__.lower()}@{body.site_id}"
        case AskLease():
            return f"lease:{body.budget}"
        case Decision():
            tail = f"={body.outcome}" if body.outcome else f":{body.reason}"
            return f"{body.verdict}{tail}"
        case _:
            return type(body).__name__


def words(outputs: list[Output]) -> list[str]:
    """What was sent, without public rows and witness words."""
    skipped = ("TerminalInventory", "Witness", "NoneType")
    return [word for output in outputs if (word := _word(output.body)) not in skipped]


def steps(outputs: list[Output]) -> list[str]:
    """What was sent to be done, without rules and decisions."""
    return [word for word in words(outputs) if "rule@" not in word and not word[0].isupper()]


def one(outputs: list[Output], kind: type[B]) -> B:
    """The one message of this kind."""
    found = [output.body for output in outputs if isinstance(output.body, kind)]
    assert len(found) == 1, words(outputs)
    return found[0]


def command(outputs: list[Output], word: str) -> Command:
    """The one command that reads like this."""
    found = [o.body for o in outputs if isinstance(o.body, Command) and _word(o.body) == word]
    assert len(found) == 1, words(outputs)
    return found[0]
