"""The long run: `python -m tests.chaos.run --for 600 --seed 1` undergoes seed after seed and keeps those that fail.

A failing seed is written to tests/chaos/seeds/, which every run begins with; its history lies in the system's folder
for temporary files. Ends with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgeweir.dev.kit import Kit
from edgeweir.dev.places import Places
from edgeweir.dev.runs import Run, reap_stale
from tests.chaos import toil
from tests.chaos.judge import Verdict
from tests.chaos.nemesis import Plan, chosen
from tests.chaos.ordeal import KEPT, undergo
from tests.chaos.rig import Doors

SEEDS = Path(__file__).with_name("seeds")
PROFILES = {"toy": undergo, "product": toil.undergo}


def kept_plans() -> list[Plan]:
    """The plans that failed once, oldest first."""
    return [msgspec.json.decode(path.read_bytes(), type=Plan) for path in sorted(SEEDS.glob("*.json"))]


def plans(seed: int, seconds: float, profile: str) -> Iterator[Plan]:
    """What failed once, then seed after seed; every third with the product's controllers unless one profile is asked."""
    yield from kept_plans()
    while True:
        mixed = "product" if seed % 3 == 0 else "toy"
        yield Plan(seed=seed, seconds=seconds, profile=profile or mixed)
        seed += 1


async def long_run(asked: argparse.Namespace) -> int:
    """Undergo plans until time is over; how many failed."""
    places = Places.from_environ(os.environ)
    reap_stale(places)
    run, kit, doors = Run.open(places, f"chaos-{os.getpid()}"), Kit.prepare(places), Doors()
    broker = doors.broker(run, kit, "kafka-chaos")
    until, failed, count = time.monotonic() + asked.seconds, 0, 0
    try:
        await broker.start()
        for plan in plans(asked.seed, asked.each, asked.profile):
            if time.monotonic() >= until:
                break
            count += 1
            with tempfile.TemporaryDirectory() as folder:
                verdict = await PROFILES[plan.profile](broker, doors, plan, Path(folder))
            failed += bool(verdict.wrong)
            tell(plan, verdict, count, until - time.monotonic())
    finally:
        await run.stop()
        run.close()
    print(f"{count} runs, {failed} failed")
    return failed


def tell(plan: Plan, verdict: Verdict, count: int, left_s: float) -> None:
    """One line a run; a failing seed is kept."""
    struck = ",".join(strike.__name__ for strikes in chosen(plan).values() for strike in strikes)
    size = f"{verdict.events} events, {verdict.commands} commands, {verdict.copies} copies"
    print(f"#{count} {plan.profile} seed {plan.seed}: {size}; {struck}; {max(0, left_s):.0f} s left", flush=True)
    if verdict.wrong:
        SEEDS.mkdir(exist_ok=True)
        (SEEDS / f"{plan.profile}-{plan.seed}.json").write_bytes(msgspec.json.encode(plan) + b"\n")
        where = KEPT / f"{plan.profile}-{plan.seed}"
        print(
            f"FAILED seed {plan.seed} ({plan.profile}), history in {where}:",
            *verdict.wrong[:20],
            sep="\n  ",
            flush=True,
        )


def seconds(text: str) -> float:
    """`600`, `600s`, `10m` or `1h` as seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    return float(text.rstrip("smh")) * units.get(text[-1], 1)


def main() -> None:
    """Read the command line, run, and say whether all went well."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that the broker is away is what we do to it
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=__doc__)
    parser.add_argument("--for", dest="seconds", type=seconds, default=600, help="how long in all: 600, 10m, 1h")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--each", type=seconds, default=25, help="how long the faults of one run last")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="", help="only this one (default: both in turn)")
    sys.exit(1 if asyncio.run(long_run(parser.parse_args())) else 0)


if __name__ == "__main__":
    main()
