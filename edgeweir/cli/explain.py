"""`edgeweir explain ID` and `edgeweir story RESOURCE`: why it was decided, what was seen, what became of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from edgeweir.cli.faults import CommandError, Exit
from edgeweir.cli.shown import print_json
from edgeweir.cli.told import Said, Told, concerns, put_together, read_all
from schemas.commands import Command
from schemas.decisions import Decision, HealthDecision
from schemas.instants import to_rfc3339
from schemas.statuses import Status

_EXAMPLES = 5
_SHORT_MS = 10_000


def explain(decision_id: str, bootstrap: str | None, since_s: int, *, as_json: bool) -> None:
    """Print one decision whole; the beginning of an id is enough where it is the only one."""
    found = [told for told in put_together(read_all(bootstrap, since_s)) if _is_named(told, decision_id)]
    if not found:
        raise CommandError(
            f"no decision or command of the last {since_s} s begins with {decision_id}; edgeweir watch decisions",
            Exit.NOT_FOUND,
        )
    if len(found) > 1:
        ids = ", ".join(told.decision.decision_id for told in found[:_EXAMPLES])
        raise CommandError(f"{len(found)} decisions begin with {decision_id}: {ids}", Exit.USAGE)
    if as_json:
        print_json(as_document(found[0]))
    else:
        _print(lines_of(found[0]))


def story(resource: str, bootstrap: str | None, since_s: int, *, as_json: bool) -> None:
    """Print everything decided about a site, app, region, session or device, and done there, oldest first."""
    about = concerns(resource)
    found = [told for told in put_together(read_all(bootstrap, since_s)) if about(told)]
    if not found:
        raise CommandError(f"nothing was decided about {resource} in the last {since_s} s", Exit.NOT_FOUND)
    for told in found:
        if as_json:
            print_json(as_document(told))
        else:
            _print(_short(told))


def as_document(told: Told) -> dict[str, Any]:
    """The same for programs: field names as on the wire."""
    return {
        "place": told.place,
        "at_ms": told.said_at_ms,
        "decision": told.decision,
        "commands": [{"at_ms": said.at_ms, "place": said.place, "command": said.body} for said in told.commands],
        "statuses": [{"at_ms": said.at_ms, "place": said.place, "status": said.body} for said in told.statuses],
    }


def lines_of(told: Told) -> Iterator[str]:
    """The whole explanation of one decision."""
    decision = told.decision
    yield _headline(told)
    yield f"  id         {decision.decision_id}   {told.place}"
    if isinstance(decision, HealthDecision):
        yield from (f"  evidence   {line}" for line in decision.evidence)
    else:
        yield from _grounds(decision)
    yield from _course(told)
    if isinstance(decision, Decision):
        yield from _outcome(decision)


def _grounds(decision: Decision) -> Iterator[str]:
    cause, policy = decision.cause, decision.policy
    yield f"  policy     {policy.id} version {policy.version}, mode {decision.mode}"
    yield f"  cause      {cause.topic}/{cause.partition}/{cause.offset} {cause.event_id}".rstrip()
    if decision.text:
        yield f"  text       {decision.text}"
    for row in decision.inputs:
        values = " ".join(f"{name}={value}" for name, value in row.values.items())
        yield f"  input      {row.row}, {_ago(decision.decided_at_ms - row.as_of_ms)} old: {values}"
    for candidate in decision.candidates:
        parts = " ".join(f"{name}={value}" for name, value in candidate.parts.items())
        verdict = f"refused by {candidate.refused_by}" if candidate.refused_by else f"score {candidate.score}"
        yield f"  candidate  {candidate.id}  {verdict}  {parts}".rstrip()
    for gate in decision.gates:
        yield f"  gate       {gate.gate:<12} {gate.check:<24} {gate.result:<5} {gate.number} of {gate.limit}"
    if decision.reason_history:
        yield f"  before     {', '.join(decision.reason_history)}"


def _course(told: Told) -> Iterator[str]:
    """Commands and statuses with the time since the decision."""
    start_ms = told.said_at_ms
    for said in sorted((*told.commands, *told.statuses), key=lambda one: one.at_ms):
        yield f"  {_course_word(said):<10} +{_ago(said.at_ms - start_ms):<8} {_course_text(said)}"
    if not told.commands:
        yield "  command    none"


def _course_word(said: Said) -> str:
    return "command" if isinstance(said.body, Command) else "status"


def _course_text(said: Said) -> str:
    body = said.body
    if isinstance(body, Command):
        return f"{body.action} {body.resource.id} at {body.target.site_id} g{body.generation}  {body.command_id}"
    assert isinstance(body, Status)
    why = f"  {body.error.code} {body.error.detail}".rstrip() if body.error else ""
    return f"{body.state} by {body.executor_id}{why}"


def _outcome(decision: Decision) -> Iterator[str]:
    if decision.expected:
        wanted = decision.expected
        yield f"  expected   {wanted.metric} {wanted.value} by {to_rfc3339(wanted.by_ms)}"
    if decision.outcome:
        yield f"  outcome    {decision.outcome}, measured {decision.measured}"


def _headline(told: Told) -> str:
    decision = told.decision
    when = to_rfc3339(decision.decided_at_ms)
    if isinstance(decision, HealthDecision):
        return f"{when}  Health  {decision.site_id}  {decision.previous} -> {decision.health}  {decision.reason}"
    change = f"{decision.raw} -> {decision.final}" if decision.raw != decision.final else str(decision.final)
    return f"{when}  {decision.verdict}  {decision.resource.id}  {change}  {decision.reason}"


def _short(told: Told) -> Iterator[str]:
    last = told.statuses[-1].body if told.statuses else None
    done = f"  {last.state}" if isinstance(last, Status) else ""
    yield f"{_headline(told)}{done}  {told.decision.decision_id}"


def _ago(span_ms: int) -> str:
    return f"{span_ms} ms" if span_ms < _SHORT_MS else f"{span_ms / 1000:.1f} s"


def _is_named(told: Told, start: str) -> bool:
    ids = (
        told.decision.decision_id,
        *(said.body.command_id for said in told.commands if isinstance(said.body, Command)),
    )
    return any(one.startswith(start) for one in ids)


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        sys.stdout.write("".join(sign if sign.isprintable() else "?" for sign in line) + "\n")
    sys.stdout.flush()
