"""The seeded nemesis: a random subset of faults, in random order, for random times; a seed gives the same plan again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from streams.engine.crashpoints import Point
from tests.chaos.rig import EXECUTORS, SESSION_S, Rig
from topics.catalogue import JOURNAL

NEMESIS: Final = "nemesis"
Strike = Callable[[Rig, random.Random], Awaitable[str]]
"""One fault from its beginning to its end; gives what was done, for the history."""
POINTS: Final = tuple(sorted(Point.__args__))  # type: ignore[attr-defined]  # a Literal's own values
LASTING: Final = ("w0", "w1")


async def kill_a_worker(rig: Rig, dice: random.Random) -> str:
    name = dice.choice(LASTING)
    await rig.kill(name, dice.uniform(0.1, 1.5))
    return name


async def zombie(rig: Rig, dice: random.Random) -> str:
    """Asleep for longer than the session lasts; then it goes on as if nothing had been."""
    name = dice.choice(LASTING)
    await rig.freeze(name, SESSION_S + dice.uniform(1, 3))
    return name


async def nap(rig: Rig, dice: random.Random) -> str:
    name = dice.choice(LASTING)
    await rig.freeze(name, dice.uniform(0.1, 1.5))
    return name


async def join_and_leave(rig: Rig, dice: random.Random) -> str:
    rig.want("w2")
    await asyncio.sleep(dice.uniform(3, 5))
    code, _ = await rig.stop("w2")
    return f"left with {code}"


async def crash_point(rig: Rig, dice: random.Random) -> str:
    """It dies wherever it comes to a random step of the protocol, once."""
    name, point = dice.choice(LASTING), dice.choice(POINTS)
    rig.process(name).kill()
    await asyncio.to_thread(rig.process(name).wait)
    rig.start(name, EDGEWEIR_TEST_CRASH=f"{point}:{dice.choice((0.05, 0.3))}", CHECKPOINT_EVERY="200")
    await asyncio.sleep(dice.uniform(2, 4))
    return f"{name} {point}"


async def _weather(rig: Rig, dice: random.Random, change: Callable[[str], str], longest_s: float) -> str:
    name = dice.choice(LASTING)
    told = change(name)
    await asyncio.sleep(dice.uniform(0.5, longest_s))
    rig.relays[name].heal()
    return f"{name} {told}"


async def far_away(rig: Rig, dice: random.Random) -> str:
    round_trip_ms, jitter_ms = dice.choice((20, 150, 400)), dice.choice((0, 10, 50))

    def change(name: str) -> str:
        rig.relays[name].delay(round_trip_ms, jitter_ms)
        return f"{round_trip_ms}+-{jitter_ms} ms"

    return await _weather(rig, dice, change, 6)


async def cut(rig: Rig, dice: random.Random) -> str:
    def change(name: str) -> str:
        rig.relays[name].cut()
        return "cut"

    return await _weather(rig, dice, change, SESSION_S + 2)


async def half_open(rig: Rig, dice: random.Random) -> str:
    up, down = dice.choice(((True, True), (True, False), (False, True)))

    def change(name: str) -> str:
        rig.relays[name].hold(up=up, down=down)
        return f"held up={up} down={down}"

    return await _weather(rig, dice, change, SESSION_S + 2)


async def lossy_and_narrow(rig: Rig, dice: random.Random) -> str:
    def change(name: str) -> str:
        for weather in (rig.relays[name].up, rig.relays[name].down):
            weather.loss_permille, weather.bytes_per_s = 200, 32_000
        return "20 % loss, 256 kbit/s"

    return await _weather(rig, dice, change, 5)


async def reset_connections(rig: Rig, dice: random.Random) -> str:
    name = dice.choice(LASTING)
    rig.relays[name].reset()
    return name


async def freeze_the_broker(rig: Rig, dice: random.Random) -> str:
    rig.broker.freeze()
    await asyncio.sleep(dice.uniform(0.5, 3))
    rig.broker.thaw()
    return "frozen"


async def kill_the_broker(rig: Rig, dice: random.Random) -> str:
    await rig.broker.kill()
    await asyncio.sleep(dice.uniform(0, 4))
    await rig.broker.start()
    return "killed"


async def bounce_the_broker(rig: Rig, dice: random.Random) -> str:
    await rig.broker.restart()
    await asyncio.sleep(dice.uniform(0, 0.5))
    return "bounced"


async def refuse_the_journal(rig: Rig, dice: random.Random) -> str:
    """Writes of the journal fail for a while: too large, or too few replicas."""
    setting, value = dice.choice((("max.message.bytes", "100"), ("min.insync.replicas", "2")))
    await rig.configure(JOURNAL, setting, value)
    await asyncio.sleep(dice.uniform(0.5, 2))
    # Not deleted: a topic's own settings are those that provisioning wrote.
    await rig.configure(JOURNAL, setting, {"max.message.bytes": "4194304"}.get(setting, "1"))
    return setting


async def kill_the_executors(rig: Rig, dice: random.Random) -> str:
    await rig.kill(EXECUTORS, dice.uniform(0, 1.5))
    return EXECUTORS


async def freeze_the_executors(rig: Rig, dice: random.Random) -> str:
    await rig.freeze(EXECUTORS, dice.uniform(0.2, 3))
    return EXECUTORS


async def restart_the_executors(rig: Rig, dice: random.Random) -> str:
    code, _ = await rig.stop(EXECUTORS)
    await asyncio.sleep(dice.uniform(0, 1))
    rig.want(EXECUTORS)
    return f"left with {code}"


FAULTS: Final[dict[str, tuple[Strike, ...]]] = {
    "workers": (kill_a_worker, zombie, nap, join_and_leave, crash_point),
    "paths": (far_away, cut, half_open, lossy_and_narrow, reset_connections),
    "broker": (freeze_the_broker, kill_the_broker, bounce_the_broker, refuse_the_journal),
    "executors": (kill_the_executors, freeze_the_executors, restart_the_executors),
}
"""Faults by what they hit; one at a time within a group, groups together."""
_MEAN_REST_S: Final = {"workers": 2.0, "paths": 2.0, "broker": 6.0, "executors": 4.0}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `faults`: the names allowed; empty: a random subset that the seed chooses."""

    seed: int
    seconds: float = 20
    rate: float = 300
    profile: str = "toy"
    faults: tuple[str, ...] = ()


def chosen(plan: Plan) -> dict[str, list[Strike]]:
    """The faults of a plan by group; groups without any are left out."""
    dice = random.Random(plan.seed)
    found = {}
    for group, strikes in FAULTS.items():
        some = dice.sample(strikes, dice.randrange(len(strikes) + 1))
        if plan.faults:
            some = [strike for strike in strikes if strike.__name__ in plan.faults]
        if some:
            found[group] = some
    return found or {"workers": [kill_a_worker]}


async def torment(rig: Rig, plan: Plan) -> None:
    """Strike until the time of the plan is over, then heal everything."""
    until = time.monotonic() + plan.seconds
    async with asyncio.TaskGroup() as group:
        for name, strikes in chosen(plan).items():
            group.create_task(_lane(rig, random.Random(f"{plan.seed}/{name}"), strikes, _MEAN_REST_S[name], until))
    await rig.heal()


async def _lane(rig: Rig, dice: random.Random, strikes: list[Strike], rest_s: float, until: float) -> None:
    while True:
        await asyncio.sleep(dice.expovariate(1 / rest_s))
        if time.monotonic() >= until:
            return
        strike = dice.choice(strikes)
        rig.history.write(NEMESIS, "invoke", strike.__name__)
        note = await strike(rig, dice)
        rig.history.write(NEMESIS, "ok", strike.__name__, note)
