"""The executor's order of checks (CONTRACTS 5): what becomes of a command before anything is touched.

signature -> target is me -> repeated record -> seen id (before expired!) -> expired -> can we -> paused -> fence.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

from schemas import wire
from schemas.statuses import CommandState, Fault

from .fence import Fences
from .pauses import Pauses
from .records import Delivery, Known, known_of
from .store import Store

Signature = Callable[[Delivery], bool]


class Outcome(StrEnum):
    """What is done with a delivery; the first three leave no trace but a count."""

    FORGED = "forged"
    NOT_MINE = "not-mine"
    REPEATED = "repeated"
    KNOWN = "known"
    REFUSED = "refused"
    ACCEPTED = "accepted"


class Mark(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """The newest record of one source; a later incarnation counts anew."""

    incarnation: int
    sequence: int


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome, with what to answer."""

    outcome: Outcome
    known: Known | None = None
    state: CommandState = CommandState.ACCEPTED
    error: Fault | None = None


class Checks:
    """The checks in their order, over the durable store."""

    def __init__(
        self,
        store: Store,
        fences: Fences,
        pauses: Pauses,
        *,
        is_mine: Callable[[Delivery], bool],
        can_do: Callable[[Delivery], bool],
        is_genuine: Signature,
    ) -> None:
        self._store = store
        self._fences = fences
        self._pauses = pauses
        self._is_mine = is_mine
        self._can_do = can_do
        self._is_genuine = is_genuine

    def judge(self, delivery: Delivery, now_ms: int) -> Judgement:
        """What becomes of this delivery; raises the sequence mark, touches nothing else."""
        if not self._is_genuine(delivery):
            return Judgement(outcome=Outcome.FORGED)
        if not self._is_mine(delivery):
            return Judgement(outcome=Outcome.NOT_MINE)
        if not self._is_new_record(delivery):
            return Judgement(outcome=Outcome.REPEATED)
        command = delivery.command
        if (known := known_of(self._store.get("command", command.command_id))) is not None:
            return Judgement(outcome=Outcome.KNOWN, known=known)
        if is_expired(delivery, now_ms):
            return _refused(CommandState.EXPIRED, "expired", "came after its time", retryable=True)
        if not self._can_do(delivery):
            return _refused(CommandState.REJECTED, "capability", "no target here does this", retryable=False)
        if (pause := self._pauses.covering(command, now_ms)) is not None:
            return _refused(CommandState.EXPIRED, "paused", pause.scope, retryable=True)
        if self._fences.is_stale(command):
            return _refused(CommandState.REJECTED, "fence", "a newer fence was seen", retryable=False)
        return Judgement(outcome=Outcome.ACCEPTED)

    def _is_new_record(self, delivery: Delivery) -> bool:
        """Whether the sender's outbox has not given us this record before.

        One mark per (source partition, topic, our partition); the source partition is named by the fence's owner. A
        system restored from a backup counts from a lower number with a higher incarnation.
        """
        if delivery.sequence == 0:
            return True
        source = delivery.command.fence.owner.rpartition("/")[2]
        key = f"{source}|{delivery.topic}|{delivery.partition}"
        mark = Mark(incarnation=delivery.command.fence.incarnation, sequence=delivery.sequence)
        raw = self._store.get("mark", key)
        if raw is not None and mark <= wire.decode_row(Mark, raw):
            return False
        self._store.put("mark", key, wire.encode_row(mark))
        return True


def is_expired(delivery: Delivery, now_ms: int) -> bool:
    """Whether it may no longer be begun: by its own latest start, or by its age in the broker's time."""
    command = delivery.command
    clock_ms = max(now_ms, delivery.append_ms)
    is_late = 0 < command.start_by_ms < clock_ms
    return is_late or 0 < command.ttl_ms < clock_ms - delivery.append_ms


def _refused(state: CommandState, code: str, detail: str, *, retryable: bool) -> Judgement:
    fault = Fault(code=code, retryable=retryable, cls="refused", detail=detail)
    return Judgement(outcome=Outcome.REFUSED, state=state, error=fault)
