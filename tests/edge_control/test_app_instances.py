"""A stateful instance's site dies, comes back, forgets: nothing is active twice, and no state is made up."""

from __future__ import annotations

from typing import Any

import pytest

from edge_control.controllers.outputs import Output
from schemas.apps import Bounds, PerReplica, Reconcile
from schemas.base import Message
from schemas.commands import Command, MoveParams, MoveStep, RenewParams
from schemas.decisions import Decision, Outcome, Reason, Verdict
from schemas.inventory import Health
from schemas.policy import Pause
from schemas.requests import (
    AskLease,
    Budget,
    CheckpointReport,
    Commit,
    Committed,
    EvacuateSite,
    Lease,
    Purpose,
    ReleaseRoom,
    Reserve,
)
from schemas.statuses import CommandState, CopyState, Fault, Hello, Observed, Status
from tests.edge_control.app_world import AppWorld, bodies, decided, one, reborn, rows_of, spec
from topics import catalogue as cat

STATEFUL: dict[str, Any] = {
    "bounds": Bounds(min=1, max=10),
    "state_bytes": 1000,
    "per_replica": PerReplica(cpu_milli=1000),
}
NAME = "video/0"


class Ward(AppWorld):
    """A world in which one instance is looked after."""

    def __init__(self, **parts: Any) -> None:
        super().__init__("a", "b", "c")
        self.has_app(spec(**{**STATEFUL, **parts}))

    def starts(self) -> Command:
        ask = one(self.run(1000), Reserve)
        activate = one(self.commits(one(self.grants(ask), Commit)), Command)
        self.carries_out(activate)
        return activate

    def until(self, kind: type[Message], seconds: int = 10) -> list[Output]:
        """Let time pass until something of this kind is said."""
        for _ in range(seconds):
            said = self.run(1000)
            if bodies(said, kind):
                return said
        raise AssertionError(kind)

    def commits(self, ask: Commit) -> list[Output]:
        return self.hear(Committed(request_id=ask.request_id, granted=True, site_id=ask.site_id))

    def leases(self, ask: AskLease, *, granted: bool = True) -> list[Output]:
        reply = Lease(
            request_id=ask.request_id,
            granted=granted,
            reason="" if granted else "site-alive",
            region_id=ask.region_id,
            budget=ask.budget,
            amount=1,
            until_ms=self.now_ms + 10_000,
            site_id=ask.site_id,
        )
        return self.hear(reply)

    def carries_out(self, command: Command, *, code: str = "") -> list[Output]:
        state = CommandState.FAILED if code else CommandState.SUCCEEDED
        return self.hear(
            Status(
                command_id=command.command_id,
                attempt=1,
                state=state,
                state_version=9,
                entered_at_ms=self.now_ms,
                executor_id="x",
                resource_id=NAME,
                site_id=command.target.site_id,
                boot_id="b",
                error=Fault(code=code, retryable=False) if code else None,
            )
        )

    def saves(self, version: int) -> None:
        self.hear(
            CheckpointReport(
                resource_id=NAME,
                app_id="video",
                site_id="a",
                ref=f"http://c/{version}",
                sha256="00",
                bytes=10,
                version=version,
                at_ms=self.now_ms,
            )
        )

    def greets(self, site: str, *observed: Observed) -> list[Output]:
        hello = Hello(
            executor_id="x", site_id=site, boot_id="b2", at_ms=self.now_ms, owner_keyspace="app", observed=observed
        )
        return self.hear(hello)

    def rescues(self) -> Command:
        """From the site's death to the activation, every partner answering."""
        self.is_now("a", Health.DEAD, evidenced=True)
        ask = one(self.until(Reserve), Reserve)
        permit = one(self.commits(one(self.grants(ask), Commit)), AskLease)
        activate = one(self.leases(permit), Command)
        self.carries_out(activate)
        return activate

    @property
    def host(self) -> str:
        return self.app.books.instances[NAME].host


def params(command: Command) -> MoveParams:
    assert isinstance(command.params, MoveParams)
    return command.params


def test_an_instance_starts_empty_in_committed_room_and_only_once() -> None:
    ward = Ward()
    activate = ward.starts()
    assert (activate.target.site_id, activate.resource.id, activate.resource.type) == ("a", NAME, "instance")
    assert (params(activate).step, params(activate).state) == (MoveStep.ACTIVATE, None)
    assert ward.host == "a"
    assert not bodies(ward.run(60_000), Reserve)


def test_a_dead_sites_instance_is_rescued_to_reserved_room_from_the_named_checkpoint() -> None:
    ward = Ward()
    ward.starts()
    ward.saves(7)
    ward.run(30_000)
    ward.is_now("a", Health.DEAD, evidenced=True)
    said = ward.until(Reserve)
    ask, decision = one(said, Reserve), one(said, Decision)
    assert (ask.purpose, ask.site_id, ask.seats) == (Purpose.EVACUATE, "b", 1)
    assert (decision.verdict, decision.reason) == (Verdict.EVACUATE, Reason.SITE_DEAD)
    assert "checkpoint 7" in decision.text
    permit = one(ward.commits(one(ward.grants(ask), Commit)), AskLease)
    assert (permit.budget, permit.site_id, permit.region_id) == (Budget.WORKLOADS, "a", "bay")
    activate = one(ward.leases(permit), Command)
    state = params(activate).state
    assert state is not None
    assert (state.ref, activate.target.site_id) == ("http://c/7", "b")
    outcome = one(ward.carries_out(activate), Decision)
    assert (outcome.decision_id, outcome.outcome) == (decision.decision_id, Outcome.EFFECTIVE)
    assert ward.host == "b"


def test_without_a_checkpoint_a_rescue_is_refused_unless_the_app_may_start_empty() -> None:
    ward = Ward()
    ward.starts()
    ward.is_now("a", Health.DEAD, evidenced=True)
    assert decided(ward.run(20_000)) == [(Verdict.HOLD, Reason.NO_CHECKPOINT)]
    bold = Ward(empty_start_ok=True)
    bold.starts()
    activate = bold.rescues()
    assert params(activate).state is None


@pytest.mark.parametrize("health", [Health.SUSPECT, Health.CUT_OFF, Health.UNKNOWN])
def test_silence_permits_nothing(health: Health) -> None:
    ward = Ward()
    ward.starts()
    ward.saves(1)
    ward.is_now("a", health)
    ward.hear(EvacuateSite(site_id="a", at_ms=ward.now_ms))
    assert not bodies(ward.run(30_000), Reserve)


def test_the_region_may_refuse_the_permit_and_the_room_is_given_back() -> None:
    ward = Ward()
    ward.starts()
    ward.saves(1)
    ward.is_now("a", Health.DEAD)
    permit = one(ward.commits(one(ward.grants(one(ward.until(Reserve), Reserve)), Commit)), AskLease)
    said = ward.leases(permit, granted=False)
    assert one(said, ReleaseRoom).site_id == "b"
    assert one(said, Decision).outcome is Outcome.INEFFECTIVE
    assert ward.host == "a"


def test_a_rescue_aborts_when_the_site_is_alive_again_before_the_copy_is() -> None:
    ward = Ward()
    ward.starts()
    ward.saves(1)
    ward.is_now("a", Health.DEAD)
    ward.grants(one(ward.until(Reserve), Reserve))
    ward.is_now("a", Health.ALIVE)
    assert one(ward.run(1000), ReleaseRoom).site_id == "b"
    assert ward.host == "a"


def test_an_exactly_once_instance_waits_until_its_last_lease_at_the_dead_site_is_over() -> None:
    ward = Ward(exactly_once=True)
    ward.starts()
    ward.saves(1)
    ward.is_now("a", Health.DEAD)
    assert not bodies(ward.commits(one(ward.grants(one(ward.until(Reserve), Reserve)), Commit)), AskLease)
    lease_ms = ward.app.books.instances[NAME].leases["a"] - ward.now_ms
    assert not bodies(ward.run(lease_ms + 4000), AskLease)
    assert bodies(ward.run(3000), AskLease)


def test_evidence_of_death_ends_that_wait_once_no_order_in_the_log_can_wake_the_old_copy() -> None:
    ward = Ward(exactly_once=True)
    ward.starts()
    ward.saves(1)
    ward.is_now("a", Health.DEAD, evidenced=True)
    ask = one(ward.until(Reserve), Reserve)
    assert not bodies(ward.commits(one(ward.grants(ask), Commit)), AskLease)
    waited = ward.until(AskLease, 20)
    ward.carries_out(one(ward.leases(one(waited, AskLease)), Command))
    assert ward.host == "b"
    assert ward.app.books.instances[NAME].leases["a"] > ward.now_ms + 600_000


def test_leases_of_exactly_once_instances_are_renewed_in_time() -> None:
    ward = Ward(exactly_once=True)
    ward.starts()
    renewals = [c for c in bodies(ward.said, Command) if isinstance(c.params, RenewParams)]
    assert renewals[0].lease_until_ms == ward.now_ms + 900_000
    later = [c for c in bodies(ward.run(301_000), Command) if isinstance(c.params, RenewParams)]
    assert len(later) == 1


def test_the_old_copy_is_dropped_only_after_its_site_said_hello_and_then_its_room_is_free() -> None:
    ward = Ward()
    started = one(ward.run(1000), Reserve)
    ward.carries_out(one(ward.commits(one(ward.grants(started), Commit)), Command))
    ward.saves(1)
    ward.rescues()
    assert not bodies(ward.run(60_000), Command)
    ward.is_now("a", Health.ALIVE)
    ward.greets("a", Observed(resource_id=NAME, state=CopyState.ACTIVE, version=9))
    drop = one(ward.run(1000), Command)
    assert (drop.target.site_id, params(drop).step) == ("a", MoveStep.DROP)
    release = one(ward.carries_out(drop), ReleaseRoom)
    assert (release.site_id, release.reservation_id) == ("a", started.request_id)
    assert not bodies(ward.run(30_000), Command)


def test_an_app_that_keeps_its_original_gets_it_back_and_the_replacement_is_dropped() -> None:
    ward = Ward(reconcile=Reconcile.KEEP_ORIGINAL)
    ward.starts()
    ward.saves(1)
    ward.rescues()
    ward.is_now("a", Health.ALIVE)
    permit = one(ward.greets("a", Observed(resource_id=NAME, state=CopyState.PARKED, version=9)), AskLease)
    freeze = one(ward.leases(permit), Command)
    assert (freeze.target.site_id, params(freeze).step) == ("b", MoveStep.FREEZE)
    activate = one(ward.carries_out(freeze), Command)
    assert (activate.target.site_id, params(activate).mode) == ("a", "own")
    ward.carries_out(activate)
    assert ward.host == "a"
    drop = one(ward.run(1000), Command)
    assert (drop.target.site_id, params(drop).step) == ("b", MoveStep.DROP)


def test_a_host_that_forgot_its_copy_restarts_it_from_the_checkpoint_in_place() -> None:
    ward = Ward()
    ward.starts()
    ward.saves(3)
    ward.run(1000)
    question = one(ward.greets("a"), Command)
    assert isinstance(question.params, RenewParams)
    ward.carries_out(question, code="no-state")
    permit = one(ward.until(AskLease), AskLease)
    activate = one(ward.leases(permit), Command)
    state = params(activate).state
    assert state is not None
    assert (activate.target.site_id, state.version) == ("a", 3)
    ward.carries_out(activate)
    assert not ward.app.books.instances[NAME].gone


def test_a_hello_from_before_the_copy_was_started_restarts_nothing() -> None:
    ward = Ward()
    ward.starts()
    ward.saves(3)
    lost_on_the_way = one(ward.greets("a"), Command)
    again = one(ward.run(6000), Command)
    assert [isinstance(c.params, RenewParams) for c in (lost_on_the_way, again)] == [True, True]
    ward.carries_out(again)
    assert ward.run(20_000) == []


def test_a_target_that_falls_silent_for_good_does_not_hold_the_instance_for_ever() -> None:
    ward = Ward()
    ward.starts()
    ward.saves(1)
    ward.is_now("a", Health.DEAD, evidenced=True)
    permit = one(ward.commits(one(ward.grants(one(ward.until(Reserve), Reserve)), Commit)), AskLease)
    silent = one(ward.leases(permit), Command).target.site_id
    ward.is_now(silent, Health.DEAD)
    assert one(ward.until(Reserve, 60), Reserve).site_id not in ("a", silent)
    debts = {debt.site_id: debt.asleep for debt in ward.app.books.instances[NAME].debts}
    assert debts[silent]


def test_an_unanswered_activation_is_asked_again_and_then_discarded_with_its_room_as_a_debt() -> None:
    ward = Ward()
    activate = one(ward.commits(one(ward.grants(one(ward.run(1000), Reserve)), Commit)), Command)
    again = bodies(ward.run(7000), Command)
    assert [(c.command_id == activate.command_id, params(c).step) for c in again] == [
        (True, MoveStep.ACTIVATE),
        (False, MoveStep.DISCARD),
    ]
    ward.carries_out(again[-1])
    assert ward.host == ""


def test_a_pause_stops_a_rescue_before_it_opens() -> None:
    ward = Ward()
    ward.starts()
    ward.saves(1)
    ward.put(cat.POLICY, "pause/all", Pause(scope="all", until_ms=ward.now_ms + 60_000, why="w", by="b"))
    ward.is_now("a", Health.DEAD, evidenced=True)
    assert decided(ward.run(4000)) == [(Verdict.HOLD, Reason.PAUSED)]


def test_an_instance_no_longer_wanted_is_dropped_and_forgotten() -> None:
    ward = Ward()
    ward.starts()
    ward.has_app(spec(**{**STATEFUL, "version": 2, "bounds": Bounds(min=0, max=10)}))
    said = ward.run(1000)
    assert (Verdict.RELEASE, Reason.SPEC_CHANGED) in decided(said)
    drop = bodies(said, Command) or bodies(ward.run(1000), Command)
    ward.carries_out(drop[0])
    ward.run(1000)
    assert len(ward.app.books.instances) == 0


def test_a_takeover_at_every_step_of_a_rescue_changes_nothing() -> None:
    def story(*, takeovers: bool) -> tuple[list[Message | None], list[tuple[str, str, bytes | None]]]:
        ward = Ward(exactly_once=True)

        def pause() -> None:
            if takeovers:
                ward.app = reborn(ward.app)

        ward.starts()
        ward.saves(1)
        pause()
        ward.is_now("a", Health.DEAD, evidenced=True)
        ask = one(ward.until(Reserve), Reserve)
        pause()
        commit = one(ward.grants(ask), Commit)
        pause()
        ward.commits(commit)
        pause()
        permit = one(ward.until(AskLease, 20), AskLease)
        pause()
        activate = one(ward.leases(permit), Command)
        pause()
        ward.carries_out(activate)
        pause()
        ward.run(10_000)
        return [output.body for output in ward.said], list(rows_of(ward.app))

    assert story(takeovers=False) == story(takeovers=True)
