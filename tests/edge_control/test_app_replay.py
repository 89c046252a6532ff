"""Any storm of events keeps the app controller's promises, and a takeover in its middle changes not one byte."""

from __future__ import annotations

import random

import msgspec
import pytest

from edge_control.controllers.outputs import Output
from schemas.base import Message
from schemas.inventory import Health
from schemas.requests import DrainSite, PlaceReplicas, Reserve, Spill
from tests.edge_control.app_world import AppWorld, bodies, reborn, rows_of, spec

SITES = ("a", "b", "c", "d")


class Storm:
    """A seeded stream of overflows, reports, answers, losses, sick sites and ticks."""

    def __init__(self, seed: int, *, takeovers: bool) -> None:
        self.dice, self.takeovers = random.Random(seed), takeovers
        self.world = AppWorld(*SITES)
        self.world.has_app(spec())
        self.open: list[Message] = []

    def blow(self, steps: int) -> None:
        for step in range(steps):
            self.take(self.step())
            if self.takeovers and step % 7 == 0:
                self.world.app = reborn(self.world.app)

    def step(self) -> list[Output]:
        dice, world = self.dice, self.world
        site = dice.choice(SITES)
        what = dice.random()
        if what < 0.25 and self.open:
            return self.answer(self.open.pop(dice.randrange(len(self.open))))
        if what < 0.35:
            return world.overflows(site, dice.choice((0, 0, 2, 5, 12)), dice.choice((100, 300, 600, 1000)))
        if what < 0.45:
            return world.reports(site, dice.randrange(900_000), dice.randrange(9))
        if what < 0.50:
            world.is_now(site, dice.choice((*Health, Health.ALIVE, Health.ALIVE, Health.ALIVE)))
            return []
        if what < 0.53:
            return world.hear(DrainSite(site_id=site, until_ms=world.now_ms + dice.choice((-1, 9000))))
        if what < 0.56:
            world.has_room(site, dice.randrange(20))
            return []
        return world.run(1000 * dice.choice((1, 1, 2, 12)), fresh=dice.random() < 0.9)

    def answer(self, ask: Message) -> list[Output]:
        if isinstance(ask, Reserve):
            return self.world.grants(ask, reason=self.dice.choice(("", "", "no-room")))
        assert isinstance(ask, PlaceReplicas | Spill)
        return self.world.answers(ask)

    def take(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output.body, Reserve | PlaceReplicas | Spill) and self.dice.random() < 0.8:
                self.open.append(output.body)


@pytest.mark.parametrize("seed", range(12))
def test_a_takeover_in_the_middle_changes_not_one_byte(seed: int) -> None:
    straight, taken = Storm(seed, takeovers=False), Storm(seed, takeovers=True)
    straight.blow(150)
    taken.blow(150)
    assert [msgspec.structs.astuple(o) for o in straight.world.said] == [
        msgspec.structs.astuple(o) for o in taken.world.said
    ]
    assert list(rows_of(straight.world.app)) == list(rows_of(taken.world.app))


@pytest.mark.parametrize("seed", range(100, 112))
def test_whatever_happens_shares_stay_within_the_traffic_and_never_go_to_the_sick(seed: int) -> None:
    storm = Storm(seed, takeovers=False)
    for _ in range(200):
        outputs = storm.step()
        storm.take(outputs)
        for spill in bodies(outputs, Spill):
            assert sum(share.permille for share in spill.shares) <= 1000
            assert spill.site_id not in {share.site_id for share in spill.shares}


@pytest.mark.parametrize("seed", range(200, 206))
def test_when_the_storm_is_over_nothing_is_left_behind(seed: int) -> None:
    storm = Storm(seed, takeovers=False)
    storm.blow(150)
    world = storm.world
    for site in SITES:
        world.is_now(site, Health.ALIVE)
        storm.take(world.hear(DrainSite(site_id=site, until_ms=0)))
        storm.take(world.overflows(site, 0, 0))
    for _ in range(300):
        answers = [ask for output in world.run(1000) if (ask := output.body) is not None]
        while answers:
            ask = answers.pop()
            if isinstance(ask, Reserve):
                answers += [o.body for o in world.grants(ask) if o.body is not None]
            elif isinstance(ask, PlaceReplicas | Spill):
                answers += [o.body for o in world.answers(ask) if o.body is not None]
    assert [hire.key for hire in world.app.books.hires.values()] == []
    assert {row.shares for row in world.app.books.ingresses.values()} <= {()}
