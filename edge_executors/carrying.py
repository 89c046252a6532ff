"""How one accepted command is carried out: intent, apply, read back, result; each step durable before the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from schemas import wire
from schemas.commands import Command, ScaleParams
from schemas.statuses import CommandState, Fault, Result

from .clock import Clock
from .fence import Fences
from .pauses import Pauses
from .records import Known, Phase
from .statuses import following
from .store import Store
from .targets.base import Reading, Target, TargetError

_LOG: Final = logging.getLogger(__name__)
_APPLY_S: Final = {True: 60.0, False: 20.0}
"""Longest time to apply: scaling waits for replicas, all else answers soon."""


class Carrier:
    """Carries commands out against a target and reports through `report`, which stores and says."""

    def __init__(
        self,
        store: Store,
        fences: Fences,
        pauses: Pauses,
        report: Callable[[Known], None],
        now_ms: Clock,
        *,
        dry_run: bool,
    ) -> None:
        self._store = store
        self._fences = fences
        self._pauses = pauses
        self._report = report
        self._now_ms = now_ms
        self._dry_run = dry_run

    async def carry_out(self, known: Known, target: Target) -> None:
        """Do it, unless time, a pause or something newer forbids it by now."""
        if known.phase is Phase.INTENDED:
            await self._resume(known, target)
        elif (refusal := self._refusal(known)) is not None:
            self.finish(known, refusal[0], error=refusal[1])
        elif known.command.dry_run or self._dry_run:
            steps = await target.plan(known.command)
            self.finish(known, CommandState.SUCCEEDED, phase="dry-run: " + ("; ".join(steps) or "nothing to do"))
        else:
            await self._apply(self._intend(known), target)

    def finish(
        self,
        known: Known,
        state: CommandState,
        *,
        result: Result | None = None,
        error: Fault | None = None,
        phase: str = "",
    ) -> None:
        """Store and say the last status of a command."""
        now_ms, command = self._now_ms(), known.command
        late = state is CommandState.SUCCEEDED and 0 < command.complete_by_ms < now_ms
        status = following(
            known.status,
            state,
            now_ms,
            boot_id=known.status.boot_id,
            result=result,
            error=error,
            phase=phase,
            late=late,
        )
        self._report(msgspec.structs.replace(known, phase=Phase.DONE, status=status))
        self._store.commit()
        _LOG.info("%s %s %s%s", state, command.action, command.resource.id, f": {error.code}" if error else "")

    def _refusal(self, known: Known) -> tuple[CommandState, Fault | None] | None:
        """Fences compare when applying, not when planning (I4); a pause stops what has not begun."""
        command, now_ms = known.command, self._now_ms()
        if self._fences.is_stale(command):
            return (CommandState.SUPERSEDED, None)
        if 0 < command.start_by_ms < now_ms:
            return (CommandState.EXPIRED, Fault(code="expired", retryable=True, detail="waited past its time"))
        if (pause := self._pauses.covering(command, now_ms)) is not None:
            return (CommandState.EXPIRED, Fault(code="paused", retryable=True, detail=pause.scope))
        return None

    def _intend(self, known: Known) -> Known:
        """Write the intent; scaling takes long enough that its owner wants to know it has begun."""
        intended = msgspec.structs.replace(known, phase=Phase.INTENDED)
        if isinstance(known.command.params, ScaleParams):
            status = following(
                known.status, CommandState.PROGRESSING, self._now_ms(), boot_id=known.status.boot_id, phase="applying"
            )
            intended = msgspec.structs.replace(intended, status=status)
            self._report(intended)
        else:
            self._store.put("command", known.command.command_id, wire.encode_row(intended))
        self._store.commit()
        return intended

    async def _apply(self, known: Known, target: Target) -> None:
        command = known.command
        try:
            async with asyncio.timeout(_APPLY_S[isinstance(command.params, ScaleParams)]):
                await target.apply(command)
                reading = await target.read_back(command)
        except TargetError as error:
            fault = Fault(code=error.code, retryable=error.retryable, cls="target", detail=error.detail[:500])
            self.finish(known, CommandState.FAILED, result=await _seen(target, command), error=fault)
        except (TimeoutError, OSError) as error:
            fault = Fault(code="timeout", retryable=True, cls=type(error).__name__, detail=str(error)[:500])
            self.finish(known, CommandState.FAILED, result=await _seen(target, command), error=fault)
        except Exception as error:  # noqa: BLE001 - our own mistake must not leave a command without an end
            _LOG.exception("applying %s failed", command.command_id)
            fault = Fault(code="internal", retryable=False, cls=type(error).__name__, detail="see the executor's log")
            self.finish(known, CommandState.FAILED, error=fault)
        else:
            self._verified(known, reading)

    def _verified(self, known: Known, reading: Reading) -> None:
        if reading.holds:
            self.finish(known, CommandState.SUCCEEDED, result=reading.result)
        else:
            fault = Fault(code="not-verified", retryable=True, cls="target", detail="read back otherwise than ordered")
            self.finish(known, CommandState.FAILED, result=reading.result, error=fault)

    async def _resume(self, known: Known, target: Target) -> None:
        """An earlier boot died between intent and result: look first; do it again only while it may still be begun."""
        reading = await _look(target, known.command)
        result = None if reading is None else reading.result
        if reading is not None and reading.holds:
            self.finish(known, CommandState.SUCCEEDED, result=result, phase="verified after a restart")
        elif (refusal := self._refusal(known)) is None:
            await self._apply(known, target)
        elif refusal[0] is CommandState.SUPERSEDED:
            self.finish(known, CommandState.SUPERSEDED, result=result)
        else:
            fault = Fault(code="interrupted", retryable=True, cls="restart", detail="begun by an earlier boot")
            self.finish(known, CommandState.FAILED, result=result, error=fault)


async def _seen(target: Target, command: Command) -> Result | None:
    """What is there after a failure, as far as it can be asked."""
    reading = await _look(target, command)
    return None if reading is None else reading.result


async def _look(target: Target, command: Command) -> Reading | None:
    try:
        return await target.read_back(command)
    except (TargetError, OSError, TimeoutError):
        return None
