"""The step machine in transcripts: each line of its table once, with orders as plain words."""

from __future__ import annotations

import msgspec

from edge_control.controllers import outputs as out
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import MAX_BACKOFF_MS, Ask, Build, Kind, Procedure, Run, State, Step
from schemas.requests import ReleaseRoom
from topics.catalogue import Keyspace


class World(msgspec.Struct):
    """What the orders and conditions of these tests look at."""

    tokens: int = 0
    copy_is_gone: bool = False
    waits_for_discard: bool = True
    booked: bool = False

    def take(self) -> bool:
        """Pass the permit with a token in hand."""
        self.tokens -= 1
        return self.tokens >= 0

    def book(self) -> None:
        """Note that room is still taken."""
        self.booked = True


def order(word: str) -> Build[World]:
    def build(_world: World, ask: Ask) -> list[Output]:
        body = ReleaseRoom(site_id="s", reservation_id=ask.id, resource_id="r")
        return [out.message(Keyspace.SITE, f"{word}#{ask.attempt}", ask.id, body)]

    return build


STEPS = (
    Step[World](
        name="reserve", to="site", do=order("reserve"), undo=order("release"), tries=3, undo_waits=lambda _: False
    ),
    Step[World](name="prepare", to="target", do=order("prepare"), undo=order("discard"), deadline_ms=10_000, tries=2),
    Step[World](name="commit", to="site", do=order("commit"), tries=3),
    Step[World](name="permit", to="region", do=order("lease"), passes=World.take),
    Step[World](name="freeze", to="source", do=order("freeze"), undo=order("thaw"), tries=2),
    Step[World](
        name="activate",
        to="target",
        do=order("activate"),
        undo=order("discard-active"),
        deadline_ms=3_000,
        tries=2,
        moot=lambda world: world.copy_is_gone,
        settle=World.book,
        undo_waits=lambda world: world.waits_for_discard,
    ),
)
MOVE = Kind[World](name="move", steps=STEPS)
HIRE = Kind[World](name="hire", steps=STEPS[:2], holds=True)


class Story:
    """One procedure, told step by step; every method answers with the words that were sent."""

    def __init__(self, kind: Kind[World] = MOVE, world: World | None = None) -> None:
        self.world = world or World()
        self.kind = kind
        self.now_ms = 0
        self.row = Procedure(procedure_id="p", kind=kind.name, resource_id="r", spec_version=1)
        self.ids: list[str] = []

    @property
    def run(self) -> Run[World]:
        return Run(self.row, self.kind, self.world, self.now_ms)

    def said(self, outputs: list[Output]) -> list[str]:
        self.ids += [output.event_id for output in outputs]
        return [output.key for output in outputs]

    def begin(self) -> list[str]:
        return self.said(self.run.begin())

    def ok(self, times: int = 1) -> list[str]:
        words: list[str] = []
        for _ in range(times):
            assert self.run.waits_for(self.row.asked)
            words = self.said(self.run.succeed())
        return words

    def no(self) -> list[str]:
        return self.said(self.run.refuse("refused"))

    def after(self, passed_ms: int) -> list[str]:
        self.now_ms += passed_ms
        return self.said(self.run.elapse())

    @property
    def at(self) -> tuple[State, int]:
        return self.row.state, self.row.step


def test_a_procedure_walks_its_steps_in_order_and_is_done_after_the_last() -> None:
    story = Story()
    assert story.begin() == ["reserve#1"]
    assert [story.ok() for _ in range(5)] == [["prepare#1"], ["commit#1"], ["lease#1"], ["freeze#1"], ["activate#1"]]
    assert story.ok() == []
    assert story.row.state is State.DONE
    assert len(set(story.ids)) == 6


def test_a_kind_that_holds_is_held_until_it_is_ended() -> None:
    story = Story(HIRE)
    story.begin()
    story.ok(2)
    assert story.row.state is State.HELD
    assert story.said(story.run.end("host dead")) == ["discard#1"]
    assert story.ok() == ["release#1"]
    assert story.at == (State.ABORTED, 0)


def test_a_token_in_hand_passes_the_permit_without_a_question() -> None:
    story = Story(world=World(tokens=1))
    story.begin()
    assert story.ok(3) == ["freeze#1"]


def test_a_token_that_comes_later_passes_the_permit_too() -> None:
    story = Story()
    story.begin()
    assert story.ok(3) == ["lease#1"]
    story.world.tokens = 1
    assert story.after(100) == ["freeze#1"]


def test_a_refusal_is_walked_back_in_reverse_order() -> None:
    story = Story()
    story.begin()
    story.ok(4)
    assert story.no() == ["thaw#1"]
    assert story.ok() == ["discard#1"]
    assert story.ok() == ["release#1"]
    assert story.row.state is State.ABORTED
    assert story.row.reason == "refused"


def test_silence_is_asked_again_with_the_same_id_and_then_undone_from_the_same_step() -> None:
    story = Story()
    story.begin()
    story.ok()
    assert story.after(9_999) == []
    assert story.after(1) == ["prepare#2"]
    assert story.ids[-1] == story.ids[-2]
    assert story.row.asked_at_ms == 0
    assert story.after(10_000) == ["discard#1"]
    assert story.at == (State.UNDO, 2)


def test_a_late_answer_to_what_is_undone_changes_nothing() -> None:
    story = Story()
    story.begin()
    story.ok()
    prepared = story.row.asked
    story.after(10_000)
    story.after(10_000)
    assert not story.run.waits_for(prepared)


def test_a_new_wish_walks_back_before_the_last_step_and_waits_for_its_end_after() -> None:
    story = Story()
    story.begin()
    story.ok(3)
    assert story.said(story.run.abort("other wish")) == ["discard#1"]
    late = Story()
    late.begin()
    late.ok(5)
    assert late.said(late.run.abort("other wish")) == []
    assert late.at == (State.RUN, 6)


def test_an_undo_is_asked_without_end_at_most_once_a_minute() -> None:
    story = Story()
    story.begin()
    story.ok(1)
    story.run.abort("pause")
    for _ in range(10):
        story.after(MAX_BACKOFF_MS)
    before = story.row.tries
    assert story.after(MAX_BACKOFF_MS) == [f"discard#{before + 1}"]
    assert story.row.state is State.UNDO


def test_a_failed_undo_is_ordered_anew_with_another_id() -> None:
    story = Story()
    story.begin()
    story.ok()
    story.run.abort("pause")
    first = story.row.asked
    assert story.no() == []
    story.after(MAX_BACKOFF_MS)
    assert story.row.asked not in ("", first)


def test_proof_that_an_effect_is_gone_replaces_the_answer_and_books_what_is_left() -> None:
    story = Story()
    story.begin()
    story.ok(5)
    assert story.no() == ["discard-active#1"]
    story.world.copy_is_gone = True
    assert story.after(100) == ["thaw#1"]
    assert story.world.booked


def test_make_first_thaws_without_waiting_for_the_discard() -> None:
    story = Story(world=World(waits_for_discard=False))
    story.begin()
    story.ok(5)
    assert story.no() == ["discard-active#1", "thaw#1"]


def test_an_addressee_that_lost_its_memory_is_ordered_anew_with_a_new_id() -> None:
    story = Story()
    story.begin()
    story.ok()
    first = story.row.asked
    assert story.said(story.run.reorder()) == ["prepare#2"]
    assert story.row.asked != first
