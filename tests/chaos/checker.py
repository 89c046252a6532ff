"""The history checker: what must hold of inputs, commands, effects and statuses, whatever happened (FAULTS 2).

Every rule gives sentences, one for each violation; none means that the rule held. Plain Python, no engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from schemas.statuses import CommandState, Status
from streams.engine.frames import Story
from tests.chaos.effects import Effect
from tests.chaos.history import History
from tests.chaos.load import EMITTER

Order = tuple[int, int, int]


class Sent(msgspec.Struct, frozen=True):
    """A command as it stands on its topic, with all its copies."""

    command_id: str
    cause: str
    replicas: int
    copies: tuple[bytes, ...]


def inputs_kept(history: History, log: Iterable[Any]) -> list[str]:
    """What was acknowledged is where it was said to be; what is there was sent by somebody."""
    there = {f"{record.partition}/{record.offset}": dict(record.headers)["ce_id"].decode() for record in log}
    sent = {entry.what for entry in history.of(EMITTER, "invoke")}
    lost = [
        f"input {entry.what} was acknowledged at {entry.note} and is not there"
        for entry in history.of(EMITTER, "ok")
        if there.get(entry.note) != entry.what
    ]
    return lost + [f"input {name} at {place} was sent by nobody" for place, name in there.items() if name not in sent]


def commands_follow(expected: Mapping[str, int], sent: Mapping[str, Sent]) -> list[str]:
    """Commands are those of the oracle, and say the same in every copy."""
    lost = [f"command {name} was never sent" for name in expected if name not in sent]
    phantom = [f"command {name} follows from nothing" for name in sent if name not in expected]
    wrong = [
        f"command {name} says {sent[name].replicas}"
        for name in expected.keys() & sent.keys()
        if sent[name].replicas != expected[name]
    ]
    torn = [f"command {name} has copies that differ" for name, found in sent.items() if len(set(found.copies)) > 1]
    return lost + phantom + sorted(wrong) + torn


def one_id_per_cause(sent: Mapping[str, Sent]) -> list[str]:
    """I11: the same cause gives the same id."""
    causes = Counter(found.cause for found in sent.values())
    return [f"cause {cause} has {count} commands" for cause, count in causes.items() if count > 1]


def effects_once(effects: Sequence[Effect], sent: Iterable[str]) -> list[str]:
    """No command has two effects; no effect comes from nothing."""
    known = set(sent)
    times = Counter(effect.command.command_id for effect in effects)
    doubled = [f"command {name} was carried out {count} times" for name, count in times.items() if count > 1]
    return doubled + [f"effect of {name}, which nobody sent" for name in times if name not in known]


def fences_grow(effects: Sequence[Effect]) -> list[str]:
    """I4: at a resource, applied fences of one owner never decrease."""
    newest: dict[tuple[str, str, str], Order] = {}
    found = []
    for effect in effects:
        command = effect.command
        fence = command.fence
        order = (fence.incarnation, fence.epoch, fence.revision)
        place = (fence.owner, effect.site_id, f"{command.resource.type}/{command.resource.id}")
        if order < newest.get(place, order):
            found.append(f"{command.command_id} applied fence {order} at {place} after {newest[place]}")
        newest[place] = max(order, newest.get(place, order))
    return found


def one_end(statuses: Iterable[Status], sent: Iterable[str]) -> list[str]:
    """I2: every command has exactly one terminal state, and nothing comes after it."""
    told = list(statuses)
    ended = {status.command_id for status in told if status.state.terminal}
    return [f"command {name} has no end" for name in sent if name not in ended] + no_second_end(told)


def no_second_end(statuses: Iterable[Status]) -> list[str]:
    """I2 as far as statuses tell it: a version says one thing for ever, and the end is the last of them."""
    told: dict[str, dict[int, CommandState]] = {}
    found = []
    for status in statuses:
        states = told.setdefault(status.command_id, {})
        if states.setdefault(status.state_version, status.state) is not status.state:
            found.append(f"command {status.command_id} was two things at version {status.state_version}")
    for name, states in told.items():
        ends = [version for version, state in states.items() if state.terminal]
        if len(ends) > 1:
            found.append(f"command {name} has {len(ends)} ends")
        elif ends and ends[0] != max(states):
            found.append(f"command {name} went on after its end")
    return found


def success_is_an_effect(statuses: Iterable[Status], effects: Iterable[Effect]) -> list[str]:
    """What is said to be done was done, and what was done in whole is not said to have failed."""
    done = {effect.command.command_id for effect in effects}
    ends = {status.command_id: status.state for status in statuses if status.state.terminal}
    return [
        f"command {name} is said to have succeeded, without an effect"
        for name, state in ends.items()
        if state is CommandState.SUCCEEDED and name not in done
    ]


def spans_tile(stories: Iterable[Story], topic: str, first: int, end: int) -> list[str]:
    """I9, from the journal: every offset of an input was folded exactly once, in order, without a hole."""
    reached, found = first, []
    for story in stories:
        for folded in story.folded:
            if folded.topic != topic:
                continue
            if folded.first != reached:
                found.append(f"{topic}: offsets {reached}..{folded.first - 1} against what was folded next")
            reached = folded.last + 1
    return found if reached == end else [*found, f"{topic}: folded up to {reached}, the log ends at {end}"]


def balance(events: int, applied: int, refused: int) -> list[str]:
    """I9: events in = applied + dead letters; toys know no duplicates and nothing may be pending at the end."""
    return [] if events == applied + refused else [f"{events} events in, {applied} applied, {refused} refused"]
