"""The one step machine: a procedure is a row of its resource's owner, and its kind is data (PROCEDURES 1 and 2).

| state | event | next | sent |
|---|---|---|---|
| -                | begin                      | RUN 1                          | do 1            |
| RUN k            | succeed                    | RUN k+1; after the last DONE or HELD | do k+1    |
| RUN k            | refuse                     | UNDO k                         | undo k          |
| RUN k            | elapse, patience ended     | tries left: RUN k; else UNDO k | do k again; undo k |
| RUN k, not last  | abort                      | UNDO k                         | undo k          |
| RUN last         | abort                      | RUN last                       | -               |
| UNDO k           | succeed, or elapse and moot| UNDO k-1; at 0 ABORTED         | undo k-1        |
| UNDO k           | refuse, or elapse          | UNDO k, backoff without end    | undo k again    |
| HELD             | end                        | UNDO last                      | undo last       |

Only an executor ends a command: a deadline ends our patience and leaves the outcome *unknown*, which is resolved by
asking again (same id, attempt + 1, same times inside) or by undoing. So UNDO starts *with* k, which may have been done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, Generic, TypeVar

import msgspec

from edge_control.controllers.outputs import Output
from edge_control.inventory.tables import Row
from schemas.base import derive_id

C = TypeVar("C")
"""What the owner gives its builders: its rows, the view, whatever an order must say."""

MAX_BACKOFF_MS: Final = 60_000
NEVER_MS: Final = 1 << 53
"""No deadline: the step passes by its condition alone."""


class State(StrEnum):
    """Where a procedure stands."""

    RUN = "run"
    UNDO = "undo"
    HELD = "held"
    DONE = "done"
    ABORTED = "aborted"

    @property
    def open(self) -> bool:
        """Whether something is still to happen or to be kept."""
        return self not in (State.DONE, State.ABORTED)


class Procedure(Row, kw_only=True):
    """One procedure; owners subclass it with what their orders need, and keep at most one per resource.

    `step` counts from 1. `asked` is the id of the order in hand (empty: none), `asked_at_ms` when it was first sent,
    `tries` how often; `asked_before` is the id it had until the addressee was started anew. `deadline_ms` ends our
    patience. `ordinal` counts orders, so that each has its own id.
    """

    procedure_id: str
    kind: str
    resource_id: str
    spec_version: int
    state: State = State.RUN
    step: int = 0
    tries: int = 0
    asked: str = ""
    asked_before: str = ""
    asked_at_ms: int = 0
    deadline_ms: int = NEVER_MS
    ordinal: int = 0
    reason: str = ""


class Ask(msgspec.Struct, frozen=True):
    """One order to be built. `id` is its request_id or command_id; `at_ms` is when it was first sent.

    An order asked again has the same `id` and `at_ms` and the next `attempt`; times in it count from `at_ms`, so that
    it says the same each time.
    """

    id: str
    attempt: int
    at_ms: int
    procedure_id: str
    kind: str
    step: str


Build = Callable[[C, Ask], Sequence[Output]]
Test = Callable[[C], bool]


class Step(msgspec.Struct, Generic[C], frozen=True, kw_only=True):
    """One step of a kind: whom it addresses, how it is done and undone, how long and how often it is asked.

    `do` None: nothing is sent, the step is passed by `passes` alone (checked on entering and on `elapse`; it may
    consume what it passes by). `undo` None: another step's undo covers it. `undo_waits` False: sent, not awaited.
    `moot`: proof that the effect of the step is gone or cannot count; `settle` then books what still takes room.
    """

    name: str
    to: str
    do: Build[C] | None = None
    undo: Build[C] | None = None
    deadline_ms: int | Callable[[C], int] = 2_000
    tries: int = 1
    passes: Test[C] | None = None
    moot: Test[C] | None = None
    settle: Callable[[C], None] | None = None
    undo_waits: Test[C] | None = None
    undo_deadline_ms: int = 2_000


class Kind(msgspec.Struct, Generic[C], frozen=True, kw_only=True):
    """A kind of procedure. `holds`: after its last step it is HELD until it is ended, else DONE.

    The last step is the point of no return: from there a wish to abort is only noted.
    """

    name: str
    steps: tuple[Step[C], ...]
    holds: bool = False


class Run(Generic[C]):
    """One procedure at one moment: the row, its kind, the owner's context, the time of the fold.

    Every method changes the row in place and returns what is to be sent; the caller puts the row back into its table
    and looks at `row.state` to see whether the procedure ended. An answer must be matched first: `waits_for(id)`.
    """

    def __init__(self, row: Procedure, kind: Kind[C], act: C, now_ms: int) -> None:
        assert row.kind == kind.name, (row.kind, kind.name)
        self.row = row
        self.now_ms = now_ms
        self._kind = kind
        self._act = act

    @property
    def step(self) -> Step[C]:
        """The step it stands at."""
        return self._kind.steps[self.row.step - 1]

    @property
    def is_past_return(self) -> bool:
        """Whether the last step runs: a new wish waits for its end."""
        return self.row.state is State.RUN and self.row.step == len(self._kind.steps)

    def waits_for(self, answered_id: str) -> bool:
        """Whether this answer is to the order in hand; all others are late and change nothing."""
        return self.row.state in (State.RUN, State.UNDO) and bool(answered_id) and self.row.asked == answered_id

    def begin(self) -> list[Output]:
        """Start with step 1."""
        assert self.row.step == 0, self.row
        return self._run(1)

    def succeed(self) -> list[Output]:
        """The order in hand was carried out."""
        if self.row.state is State.RUN:
            return self._run(self.row.step + 1)
        assert self.row.state is State.UNDO, self.row
        return self._undo(self.row.step - 1)

    def refuse(self, reason: str) -> list[Output]:
        """The order in hand was refused, rejected, expired or failed: a new id is needed to order it again."""
        if self.row.state is State.RUN:
            self.row.reason = reason
            return self._undo(self.row.step)
        assert self.row.state is State.UNDO, self.row
        self.row.asked = ""
        self.row.deadline_ms = self.now_ms + self._backoff_ms()
        return []

    def abort(self, reason: str) -> list[Output]:
        """Another wish, a sick partner, a spec or a pause: walk back, unless the last step runs already."""
        if self.row.state is not State.RUN or self.is_past_return:
            return []
        self.row.reason = reason
        return self._undo(self.row.step)

    def end(self, reason: str) -> list[Output]:
        """What is held is no longer wanted or permitted."""
        if self.row.state is not State.HELD:
            return []
        self.row.reason = reason
        return self._undo(len(self._kind.steps))

    def elapse(self) -> list[Output]:
        """Time passed: look at conditions, then at the deadline."""
        if self.row.state is State.RUN:
            if self.step.passes is not None and self.step.passes(self._act):
                return self._run(self.row.step + 1)
            return self._run_out() if self.now_ms >= self.row.deadline_ms else []
        if self.row.state is not State.UNDO:
            return []
        if self._is_moot():
            return self._undo(self.row.step - 1)
        return self._undo_again() if self.now_ms >= self.row.deadline_ms else []

    def reorder(self) -> list[Output]:
        """The addressee lost its memory (hello of a newer boot): what is in hand is ordered anew, with a new id."""
        if self.row.state not in (State.RUN, State.UNDO) or not self.row.asked:
            return []
        self.row.asked_before, self.row.asked = self.row.asked, ""
        return self._do() if self.row.state is State.RUN else self._undo_again()

    def _run(self, number: int) -> list[Output]:
        for step_number in range(number, len(self._kind.steps) + 1):
            self._stand(State.RUN, step_number)
            if self.step.passes is None or not self.step.passes(self._act):
                return self._do()
        self._stand(State.HELD if self._kind.holds else State.DONE, len(self._kind.steps))
        return []

    def _run_out(self) -> list[Output]:
        if self.row.tries < self.step.tries:
            return self._do()
        self.row.reason = f"{self.step.name} unanswered"
        return self._undo(self.row.step)

    def _do(self) -> list[Output]:
        if self.step.do is None:
            return []
        patience = self.step.deadline_ms
        self.row.deadline_ms = self.now_ms + (patience if isinstance(patience, int) else patience(self._act))
        return [*self.step.do(self._act, self._ask("do"))]

    def _undo(self, number: int) -> list[Output]:
        """Walk back from this step to the first undo that must be answered."""
        outputs: list[Output] = []
        for step_number in range(number, 0, -1):
            self._stand(State.UNDO, step_number)
            if self.step.undo is None or self._is_moot():
                continue
            outputs += self._undo_again()
            if self.step.undo_waits is None or self.step.undo_waits(self._act):
                return outputs
        self._stand(State.ABORTED, 0)
        return outputs

    def _undo_again(self) -> list[Output]:
        assert self.step.undo is not None, self.row
        self.row.deadline_ms = self.now_ms + self._backoff_ms()
        return [*self.step.undo(self._act, self._ask("undo"))]

    def _is_moot(self) -> bool:
        if self.step.moot is None or not self.step.moot(self._act):
            return False
        if self.step.settle is not None:
            self.step.settle(self._act)
        return True

    def _backoff_ms(self) -> int:
        return min(MAX_BACKOFF_MS, self.step.undo_deadline_ms << min(self.row.tries, 16))

    def _stand(self, state: State, number: int) -> None:
        self.row.state, self.row.step = state, number
        self.row.tries, self.row.asked, self.row.asked_before = 0, "", ""
        self.row.asked_at_ms, self.row.deadline_ms = 0, NEVER_MS

    def _ask(self, way: str) -> Ask:
        row = self.row
        if not row.asked:
            row.ordinal += 1
            row.asked = derive_id(f"{row.kind}/{self.step.name}/{way}", row.resource_id, row.procedure_id, row.ordinal)
            row.asked_at_ms = self.now_ms
        row.tries += 1
        return Ask(row.asked, row.tries, row.asked_at_ms, row.procedure_id, row.kind, self.step.name)
