"""`edgeweir pause|resume|approve`: the red button, and an operator's word on a decision that waits."""

from __future__ import annotations

import asyncio
import getpass
import re
import sys
import time
from typing import Final

import typer

from edgeweir.cli import configured
from edgeweir.cli.faults import CommandError, Exit
from edgeweir.cli.shown import note
from schemas.base import Message
from schemas.documents import Document
from schemas.policy import Approval, Pause
from schemas.sections import KafkaSettings

_SCOPE: Final = re.compile(r"all|(region|site|app|tenant)/[A-Za-z0-9._:/@-]{1,200}|kind/(scaling|migration|offload)")
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def pause(scope: str, span: str, why: str, bootstrap: str | None, *, yes: bool) -> None:
    """No new opening command in the scope until the time is over or `resume`; closing steps still pass."""
    _check_scope(scope)
    until_ms = int(time.time() * 1000) + span_ms(span)
    confirm(f"pause {scope} for {span}", yes=yes)
    body = Pause(scope=scope, until_ms=until_ms, why=why, by=getpass.getuser())
    _write(configured.kafka(bootstrap), f"pause/{scope}", body)
    note(f"paused {scope} for {span}; edgeweir resume {scope} ends it")


def resume(scope: str, bootstrap: str | None, *, yes: bool) -> None:
    """End a pause; what it withheld is not sent later, it is decided anew."""
    _check_scope(scope)
    confirm(f"resume {scope}", yes=yes)
    _write(configured.kafka(bootstrap), f"pause/{scope}", None)
    note(f"resumed {scope}")


def approve(decision_id: str, bootstrap: str | None, *, refuse: bool) -> None:
    """Say yes (or no) to a decision of a policy in mode approve."""
    now_ms = int(time.time() * 1000)
    body = Approval(decision_id=decision_id, granted=not refuse, by=getpass.getuser(), at_ms=now_ms)
    _write(configured.kafka(bootstrap), f"approval/{decision_id}", body)
    note(f"{'refused' if refuse else 'approved'} {decision_id}")


def span_ms(text: str) -> int:
    """Milliseconds of `90s`, `15m`, `2h`, `1d`; CommandError for anything else."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise CommandError(f"{text} is no span of time: write 90s, 15m, 2h or 1d", Exit.USAGE)
    return int(match[1]) * _UNIT_MS[match[2]]


def _check_scope(scope: str) -> None:
    if _SCOPE.fullmatch(scope) is None:
        raise CommandError(
            f"{scope} is no scope: all, region/ID, site/ID, app/ID, tenant/ID or kind/scaling|migration|offload",
            Exit.USAGE,
        )


def confirm(what: str, *, yes: bool) -> None:
    """Ask the person at the terminal; CommandError where the answer is no, or nobody is there to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"to {what} without a terminal, say --yes", Exit.REFUSED)
    if not typer.confirm(f"{what}?"):
        raise CommandError(f"not done: {what}", Exit.REFUSED)


def _write(settings: KafkaSettings, key: str, body: Message | None) -> None:
    from topics.connect import Connect  # a client costs 0.2 s to import
    from topics.publish import publish, withdraw  # as above

    connect = Connect(settings)
    asyncio.run(
        withdraw(connect, key) if body is None else publish(connect, [Document(key.partition("/")[0], key, body)])
    )
