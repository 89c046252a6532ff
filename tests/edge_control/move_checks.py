"""What must hold of the simulated world at every moment, and once it has come to rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_control.controllers.terminal_rows import Session
from schemas.statuses import CopyState


class Broken(AssertionError):
    """An invariant does not hold."""


def check(world: Any) -> None:
    """At most one active copy where leases count; every copy in room that is booked for it."""
    for session in sorted(world.leased):
        active = [name for name, site in world.sites.items() if site.executor.active(session, world.now_ms)]
        if len(active) > 1:
            raise Broken(f"{session} is active at {active}")
    for name, site in world.sites.items():
        for session, copy in site.executor.copies.items():
            if world.peers.began.get(session) != name and not _is_booked(site.ledger, session, copy.state):
                raise Broken(f"the {copy.state} copy of {session} at {name} has no room")


def _is_booked(ledger: Any, session: str, state: CopyState) -> bool:
    rooms = [room for room in ledger.rooms.values() if room.session == session]
    return any(room.committed or state is CopyState.PREPARED for room in rooms)


def sessions(world: Any) -> Iterator[Session]:
    """Every session that the owner knows."""
    for terminal in world.owner.terminals.values():
        yield from terminal.sessions.values()


def unrest(world: Any) -> list[str]:
    """What is still going on or wrong; empty when the world is at rest."""
    found: list[str] = []
    for site in world.sites.values():
        site.ledger.expire(world.now_ms)
    for session in sessions(world):
        name = session.session_id
        if session.procedure is not None:
            found.append(f"{name}: {session.procedure.kind} {session.procedure.state} {session.procedure.step}")
        found += [f"{name}: debt at {debt.site_id}" for debt in session.debts]
        found += [f"{name}: rule at {rule.ingress}" for rule in session.rules if not rule.confirmed]
        found += _misplaced(world, name, session.host, session.room_id)
        if name not in world.users:
            found.append(f"{name}: has ended")
        elif session.host != world.users[name]:
            found.append(f"{name}: user at {world.users[name]}, host {session.host}")
    known = [session.session_id for session in sessions(world)]
    for name in (f"s{number}" for number in range(world.count)):
        found += _misplaced(world, name, "", "") if name not in known else []
    return found


def _misplaced(world: Any, name: str, host: str, room_id: str) -> Iterator[str]:
    """Copies and room of a session anywhere but at its host, or missing there."""
    for place, site in world.sites.items():
        active, held = site.executor.active(name, world.now_ms) is not None, name in site.executor.copies
        if (place == host) != active or held != active:
            yield f"{name} at {place}: active {active}, held {held}, host {host}"
        rooms = [key for key, room in site.ledger.rooms.items() if room.session == name]
        wanted = [room_id] if place == host and room_id else []
        if rooms != wanted:
            yield f"{name} at {place}: rooms {rooms}, wanted {wanted}"
