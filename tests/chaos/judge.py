"""After a run with the toy controllers: wait until all is settled, then compare everything with plain Python."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from schemas.commands import Command
from schemas.statuses import Status
from streams.engine.fold import JournalFold
from tests.chaos import checker
from tests.chaos.checker import Sent
from tests.chaos.effects import Effect, effects_in
from tests.chaos.load import POISON
from tests.chaos.rig import Rig
from tests.kafka.town import Town, oracle, rows_of
from tests.kafka.toy import NodeRow, SiteRow
from topics.catalogue import COMMAND_SCALING, DEAD_LETTER, NODE_TELEMETRY, STATUS

SETTLE_S = 60.0


class Verdict(msgspec.Struct):
    """What is wrong, as sentences, and how much was looked at; `lost` and `doubled` are events of the rows."""

    wrong: list[str]
    events: int = 0
    commands: int = 0
    copies: int = 0
    effects: int = 0
    lost: int = 0
    doubled: int = 0


async def judge(rig: Rig, within_s: float = SETTLE_S) -> Verdict:
    """Everything that can be said about a run; it must have ended, and its faults be healed."""
    town = rig.town
    try:
        folds = await town.settled(within_s)
        sent = await _commands(town)
        statuses, effects = await _ended(rig, set(sent), within_s)
    except (AssertionError, TimeoutError) as error:
        return Verdict([f"not settled after {within_s:.0f} s: {str(error)[:1000]}"])
    log = await town.read(NODE_TELEMETRY)
    verdict = Verdict([], events=len(log), commands=len(sent), effects=len(effects))
    verdict.copies = sum(len(found.copies) - 1 for found in sent.values())
    good = [record for record in log if record.value != POISON]
    expected = oracle(good, town.partitions)
    verdict.wrong += checker.inputs_kept(rig.history, log)
    verdict.wrong += _rows(folds, expected, verdict)
    verdict.wrong += checker.commands_follow(expected.commands, sent) + checker.one_id_per_cause(sent)
    verdict.wrong += checker.effects_once(effects, sent) + checker.fences_grow(effects)
    verdict.wrong += checker.one_end(statuses, sent) + checker.success_is_an_effect(statuses, effects)
    verdict.wrong += await _accounts(town, folds, log)
    return verdict


def _rows(folds: dict[int, JournalFold], expected: Any, verdict: Verdict) -> list[str]:
    nodes = {k: (r.events, r.cpu_sum, r.last) for k, r in rows_of(folds, "site/nodes", NodeRow).items()}
    rows = rows_of(folds, "site/sites", SiteRow)
    sites = {key: row.events for key, row in rows.items() if row.events}
    told = {key: (row.told, row.missing) for key, row in rows.items() if row.told}
    for key in {*nodes, *expected.nodes}:
        off = nodes.get(key, (0,))[0] - expected.nodes.get(key, (0,))[0]
        verdict.lost, verdict.doubled = verdict.lost + max(0, -off), verdict.doubled + max(0, off)
    compared = (("node", nodes, expected.nodes), ("site", sites, expected.sites), ("told", told, expected.told))
    return [
        f"{what} {key} is {got.get(key)}, should be {want.get(key)}"
        for what, got, want in compared
        for key in sorted({*got, *want})
        if got.get(key) != want.get(key)
    ]


async def _commands(town: Town) -> dict[str, Sent]:
    copies: dict[str, list[bytes]] = {}
    bodies: dict[str, Command] = {}
    for record in await town.read(COMMAND_SCALING):
        body = msgspec.json.decode(record.value, type=Command)
        bodies[body.command_id] = body
        copies.setdefault(body.command_id, []).append(record.value + dict(record.headers)["ce_sequence"])
    return {
        name: Sent(name, body.decision_id, getattr(body.params, "replicas", 0), tuple(copies[name]))
        for name, body in bodies.items()
    }


async def _statuses(town: Town) -> list[Status]:
    return [
        msgspec.json.decode(record.value, type=Status)
        for record in await town.read(STATUS)
        if b"status" in dict(record.headers)["ce_type"]
    ]


async def _ended(rig: Rig, sent: set[str], within_s: float) -> tuple[list[Status], list[Effect]]:
    """Statuses and effects once every command has an end; or as they are when time is over."""
    deadline = time.monotonic() + within_s
    while True:
        statuses = await _statuses(rig.town)
        ended = {status.command_id for status in statuses if status.state.terminal}
        if sent <= ended or time.monotonic() > deadline:
            return statuses, list(effects_in(rig.folder))
        await asyncio.sleep(0.5)


async def _accounts(town: Town, folds: dict[int, JournalFold], log: list[Any]) -> list[str]:
    """The accounting identity, partition by partition."""
    letters = {
        (said["dlq-topic"], int(said["dlq-partition"]), int(said["dlq-offset"]))
        for record in await town.read(DEAD_LETTER)
        if (said := {name: value.decode() for name, value in record.headers if name.startswith("dlq-")})
    }
    found = []
    for number, fold in folds.items():
        events = sum(record.partition == number for record in log)
        applied = sum(row.events for row in rows_of({number: fold}, "site/nodes", NodeRow).values())
        refused = sum(where[:2] == (NODE_TELEMETRY.name, number) for where in letters)
        found += [f"partition {number}: {text}" for text in checker.balance(events, applied, refused)]
        tiles = checker.spans_tile(fold.stories, NODE_TELEMETRY.name, 0, events)
        found += [f"partition {number}: {text}" for text in tiles]
    return found
