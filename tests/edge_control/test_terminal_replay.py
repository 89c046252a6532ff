"""Folding the same inputs gives the same bytes: in another process, and with a takeover in the middle."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from edge_control.controllers.outputs import Output
from edge_control.controllers.terminal import TerminalController
from schemas.inventory import Health
from schemas.location import SessionEvent, SessionState
from tests.edge_control.terminal_world import TerminalWorld, command, spec, words

ROOT = Path(__file__).resolve().parents[2]


def reborn(world: TerminalWorld) -> None:
    """Another worker takes over from the rows."""
    fresh = TerminalController(0)
    for old, new in zip(world.controller.tables, fresh.tables, strict=True):
        for key in old:
            new.load(key, old.encoded(key))
    fresh.rebuild()
    fresh.validate()
    world.controller = fresh


def story(*, takeovers: bool = False) -> str:
    """A walk, a move, a dead site: the digest of all outputs and rows."""
    world = TerminalWorld(spec(exactly_once=True, empty_start_ok=True))
    digest = hashlib.sha256()

    def told(outputs: list[Output]) -> None:
        digest.update(msgspec.msgpack.encode([(o.event_id, o.body) for o in outputs]))
        if takeovers:
            reborn(world)

    told(world.enter("a"))
    told(world.begin("a"))
    for number in range(2, 6):
        event = SessionEvent(
            terminal_id="ann",
            session_id=f"s{number}",
            app_id="video",
            state=SessionState.STARTED,
            observed_at_ms=world.now_ms,
            at_site="a",
        )
        told(world.say(event))
    told(world.follow("b", until="freeze@a"))
    for _ in range(20):
        told(world.tick(1_000))
    world.sick(evidenced=True, a=Health.DEAD)
    for _ in range(40):
        world.fresh()
        told(world.tick(1_000))
    for table in world.controller.tables:
        digest.update(msgspec.msgpack.encode([(key, table.encoded(key)) for key in table]))
    return digest.hexdigest()


def test_a_takeover_after_every_event_changes_nothing() -> None:
    assert story(takeovers=True) == story()


def test_another_process_with_another_hash_seed_folds_the_same_bytes() -> None:
    program = "from tests.edge_control.test_terminal_replay import story; print(story())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert digests == {story() + "\n"}


def test_a_tick_on_which_nothing_happens_leaves_no_trace() -> None:
    world = TerminalWorld()
    world.enter("a")
    world.begin("a")
    world.wait(3_000)
    for table in world.controller.tables:
        table.take_changes()
    assert world.tick(1_000) == []
    assert [table.take_changes() for table in world.controller.tables] == [({}, [])] * 3


def test_a_terminal_that_nobody_hears_of_is_forgotten() -> None:
    world = TerminalWorld()
    world.enter("a")
    outputs = world.tick(6 * 3_600_000)
    assert [output.body for output in outputs] == [None]
    assert len(world.controller.terminals) == 0


def test_a_takeover_in_the_middle_of_a_move_goes_on_where_it_was() -> None:
    world = TerminalWorld()
    world.enter("a")
    world.begin("a")
    sent = world.follow("b", until="activate@b")
    reborn(world)
    assert "rule@b->b" in words(world.done(command(sent, "activate@b")))
    assert world.session.host == "b"
