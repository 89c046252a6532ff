"""One seeded run: a system, a load, a nemesis, and the judgement; what failed leaves its history behind."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
from pathlib import Path

from edgeweir.dev.broker import Broker
from tests.chaos.judge import Verdict, judge
from tests.chaos.load import Emitter
from tests.chaos.nemesis import NEMESIS, Plan, torment
from tests.chaos.rig import Doors, Rig

KEPT = Path(tempfile.gettempdir()) / "edgeweir-chaos"
"""Where the history and logs of failed runs lie."""
_TAIL_S = 1.0


async def undergo(broker: Broker, doors: Doors, plan: Plan, folder: Path) -> Verdict:
    """Run a plan on a running broker; topics are its own."""
    rig = Rig(broker, doors, f"chaos-{plan.seed}-{uuid.uuid4().hex[:6]}.", folder, plan.seed)
    await rig.open()
    try:
        await rig.up("w0", "w1")
        await _under_load(rig, plan)
        verdict = await judge(rig)
    finally:
        await rig.close()
    if verdict.wrong:
        keep(rig, plan, verdict)
    return verdict


async def _under_load(rig: Rig, plan: Plan) -> None:
    """The load goes on a little longer than the faults do."""
    stop = asyncio.Event()
    load = asyncio.create_task(Emitter(rig.town, rig.history, plan.seed).run(plan.rate, stop))
    try:
        await torment(rig, plan)
        await asyncio.sleep(_TAIL_S)
    finally:
        stop.set()
        await load


def keep(rig: Rig, plan: Plan, verdict: Verdict) -> None:
    """Leave history, logs and effects where a person finds them."""
    place = KEPT / f"{plan.profile}-{plan.seed}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(rig.folder, place, ignore=shutil.ignore_patterns("kafka*", "executor.db*"))
    rig.history.save(place / "history.jsonl")
    strikes = [f"{e.at_ms} {e.kind} {e.what} {e.note}" for e in rig.history.entries if e.who == NEMESIS]
    (place / "verdict.txt").write_text("\n".join([str(plan), *verdict.wrong, "", *strikes]) + "\n", "utf-8")
