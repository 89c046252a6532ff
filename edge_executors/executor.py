"""The executor: takes commands in the checks' order, carries them out one resource at a time, reports, says hello.

It never decides. It serves one site, or (emulated) many; it knows neither Kafka nor processes: deliveries come in
through `take`, what it says goes out through a Voice, what it changes are Targets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from schemas import wire
from schemas.base import Message
from schemas.commands import Command, HelloParams, RenewParams, RuleParams, ScaleParams, SpillParams
from schemas.statuses import CommandState, Fault
from topics.catalogue import REQUEST, Keyspace

from .aging import Aging
from .carrying import Carrier
from .checks import Checks, Judgement, Outcome, Signature
from .clock import Clock, wall_ms
from .fence import Fences, order_of
from .hello import Hellos, OwnerName
from .lanes import Lanes, Ticket
from .outbox import Outbox
from .pauses import Pauses
from .records import Delivery, Known, Phase, known_of, resource_key
from .statuses import Identity, first
from .store import Store
from .targets.base import Found, Target
from .voice import Saying, Voice

_LOG: Final = logging.getLogger(__name__)
_WHOLE_STATE: Final = (ScaleParams, SpillParams, RuleParams)
"""A newer one of these says all that an older one said: the older is given up at once."""


def everyone_is_genuine(_: Delivery) -> bool:
    """The development profile carries no signatures."""
    return True


class Executor:
    """One identity per site; `counts` says how many deliveries had which outcome."""

    def __init__(
        self,
        sites: Mapping[str, Sequence[Target]],
        store: Store,
        voice: Voice,
        *,
        now_ms: Clock = wall_ms,
        regions: Mapping[str, str] | None = None,
        is_genuine: Signature = everyone_is_genuine,
        dry_run: bool = False,
    ) -> None:
        self.booted_ms = now_ms()
        self.boot_id = f"{self.booted_ms:013d}-{secrets.token_hex(4)}"
        self.store = store
        self.pauses = Pauses(regions)
        self.counts: Counter[str] = Counter()
        self._sites = dict(sites)
        self._now_ms = now_ms
        self._outbox = Outbox(store, voice)
        self._hellos = Hellos(store)
        self._fences = Fences(store)
        self._aging = Aging(store, self._fences)
        self._lanes = Lanes()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._whole: dict[str, str] = {}
        self._is_stopping = False
        self._carrier = Carrier(store, self._fences, self.pauses, self._report, now_ms, dry_run=dry_run)
        self._checks = Checks(
            store,
            self._fences,
            self.pauses,
            is_mine=self._is_mine,
            can_do=lambda d: self._target_of(d.command) is not None or isinstance(d.command.params, HelloParams),
            is_genuine=is_genuine,
        )

    @property
    def site_ids(self) -> tuple[str, ...]:
        """The sites that this executor acts at."""
        return tuple(self._sites)

    def identity(self, site_id: str) -> Identity:
        """Who speaks for a site."""
        return Identity(executor_id=f"{site_id}/executor", site_id=site_id, boot_id=self.boot_id)

    async def start(self) -> None:
        """Say hello to everybody, then take up what an earlier boot left unfinished: verified, not repeated blindly."""
        self._outbox.start()
        for site_id in self._sites:
            await self.hello(site_id, f"store-{self.store.lost}" if self.store.lost else "start")
        held = [wire.decode_row(Known, raw) for _, raw in self.store.items("command")]
        unfinished = [known for known in held if known.phase is not Phase.DONE]
        for known in sorted(unfinished, key=lambda k: (k.append_ms, order_of(k.command.fence))):
            self._begin(known)

    async def stop(self) -> None:
        """Leave everything as it is: the edge keeps its last good state, the store what was begun."""
        self._is_stopping = True
        for task in tuple(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        await self._outbox.stop()
        self.store.close()

    def take(self, deliveries: Sequence[Delivery], positions: Mapping[str, int] | None = None) -> None:
        """Check and accept deliveries in order; durable, with the reader's positions, before anything is done."""
        accepted = [known for delivery in deliveries if (known := self._take_one(delivery)) is not None]
        for place, position in (positions or {}).items():
            self.store.put("position", place, str(position).encode())
        self._aging.forget(self._now_ms())
        self.store.commit()
        for known in accepted:
            self._begin(known)

    async def hello(self, site_id: str, why: str, only: OwnerName | None = None) -> None:
        """Tell every owner (or one) what of theirs is at the site now."""
        found: list[Found] = []
        for target in self._sites[site_id]:
            found.extend(await target.survey())
        for saying in self._hellos.greet(self.identity(site_id), found, why, self._now_ms(), only):
            self._outbox.put(saying)
        self.store.commit()

    def report(self, site_id: str, key: str, keyspace: Keyspace, event_id: str, body: Message) -> None:
        """Send a report (a checkpoint) to an owner."""
        source = f"/edge/{site_id}/executor"
        self._outbox.put(
            Saying(
                topic=REQUEST, key=key, keyspace=str(keyspace), event_id=event_id, source=source, body=body, subject=key
            )
        )

    async def settled(self) -> None:
        """Until nothing runs and everything is said."""
        while self._running:
            await asyncio.wait(tuple(self._running.values()))
        await self._outbox.drained()

    def _take_one(self, delivery: Delivery) -> Known | None:
        command, now_ms = delivery.command, self._now_ms()
        judgement = self._checks.judge(delivery, now_ms)
        self.counts[judgement.outcome] += 1
        if judgement.outcome is Outcome.KNOWN:
            self._answer_again(command, judgement)
        if judgement.outcome not in (Outcome.REFUSED, Outcome.ACCEPTED):
            return None
        who = self.identity(command.target.site_id)
        known = Known(
            command=command,
            append_ms=delivery.append_ms,
            phase=Phase.DONE if judgement.outcome is Outcome.REFUSED else Phase.ACCEPTED,
            status=first(command, who, judgement.state, now_ms, judgement.error),
        )
        self._report(known)
        self._aging.note(known)
        if judgement.outcome is Outcome.REFUSED:
            _LOG.info("refused %s %s: %s", command.action, command.resource.id, judgement.error)
            return None
        self._fences.raise_to(command)
        self._hellos.note_owner(command)
        for older in command.supersedes:
            self._give_up(older)
        return known

    def _answer_again(self, command: Command, judgement: Judgement) -> None:
        """A known id is answered from the store; it is never done again."""
        assert judgement.known is not None
        status = msgspec.structs.replace(judgement.known.status, attempt=command.attempt)
        self._outbox.put_status(command.reply_key, command.reply_keyspace, status)

    def _report(self, known: Known) -> None:
        self.store.put("command", known.command.command_id, wire.encode_row(known))
        self._outbox.put_status(known.command.reply_key, known.command.reply_keyspace, known.status)

    def _begin(self, known: Known) -> None:
        command = known.command
        lane = f"{command.target.site_id}|{resource_key(command.resource)}"
        lanes = [lane]
        if isinstance(command.params, RenewParams):
            lanes += [f"{command.target.site_id}|{kind}/{r}" for r in command.params.resources for kind in _COPIES]
        if isinstance(command.params, _WHOLE_STATE):
            if (older := self._whole.get(lane)) is not None:
                self._give_up(older)
            self._whole[lane] = command.command_id
        ticket = self._lanes.queue(lanes)
        task = asyncio.get_running_loop().create_task(self._run(known, ticket), name=command.command_id)
        self._running[command.command_id] = task
        task.add_done_callback(lambda task: self._ended(task, lane, ticket))

    def _ended(self, task: asyncio.Task[None], lane: str, ticket: Ticket) -> None:
        """Whatever ended it, the next in its lane goes on, and its owner hears of an end."""
        command_id = task.get_name()
        self._running.pop(command_id, None)
        if self._whole.get(lane) == command_id:
            del self._whole[lane]
        ticket.leave()
        if self._is_stopping:
            return
        known = known_of(self.store.get("command", command_id))
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            _LOG.error("carrying out %s failed", command_id, exc_info=failure)
        if known is not None and known.phase is not Phase.DONE and failure is None:
            self._carrier.finish(known, CommandState.SUPERSEDED)
        elif known is not None and known.phase is not Phase.DONE:
            fault = Fault(code="internal", retryable=False, cls=type(failure).__name__)
            self._carrier.finish(known, CommandState.FAILED, error=fault)

    def _give_up(self, command_id: str) -> None:
        """A newer wanted state has come: what is half done is taken from there."""
        if (task := self._running.get(command_id)) is not None:
            task.cancel()

    async def _run(self, known: Known, ticket: Ticket) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await ticket.wait()
            command = known.command
            if isinstance(command.params, HelloParams):
                await self.hello(command.target.site_id, "asked", (command.reply_key, command.reply_keyspace))
                self._carrier.finish(known, CommandState.SUCCEEDED)
                return
            target = self._target_of(command)
            if target is None:
                error = Fault(code="capability", retryable=False, detail="its target is gone")
                self._carrier.finish(known, CommandState.FAILED, error=error)
                return
            await self._carrier.carry_out(known, target)

    def _is_mine(self, delivery: Delivery) -> bool:
        target = delivery.command.target
        if target.site_id not in self._sites:
            return False
        return target.executor in ("", f"{target.site_id}/executor")

    def _target_of(self, command: Command) -> Target | None:
        return next((t for t in self._sites[command.target.site_id] if t.takes(command)), None)


_COPIES: Final = ("session", "device", "instance")
