"""`edgeweir dev up`: the closed loop on a real Kafka from one command, and nothing left behind.

The broker's process is started before anything heavy is loaded here: a cold JVM and Python's imports share two cores.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module

import msgspec

from edgeweir.dev import scenario
from edgeweir.dev.broker import Broker
from edgeweir.dev.errors import NoAnswer
from edgeweir.dev.kit import Kit
from edgeweir.dev.places import Places
from edgeweir.dev.ports import free_port, friendly_pair
from edgeweir.dev.runs import Run, reap_stale
from edgeweir.dev.server_properties import TEST_SETTINGS, Uplink

CHECK_FAILED = 6


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for; `for_s` counts from the command (None: Ctrl-C; with `check`: the whistle)."""

    scenario: str = "stadium"
    workers: int = 2
    name: str = "default"
    for_s: float | None = None
    check: bool = False
    keep: bool = False


def up(options: Options, places: Places, started_ms: int) -> int:
    """Run the demo; returns 0, or 6 when the check says no. DevError and BadInput say what is missing."""
    plan = scenario.load(options.scenario)
    reap_stale(places)
    kit = Kit.prepare(places)
    run = Run.open(places, options.name, keep=options.keep)
    kept = "the run is kept" if options.keep else "nothing is kept"
    _say(f"edgeweir dev   Kafka {kit.kafka_version} on Java {kit.java.major}   {options.workers} workers   {kept}")
    code = 1
    try:
        code = _play(options, plan, run, kit, started_ms)
    except NoAnswer:
        run.keep()
        raise
    finally:
        outlived = run.close()
    if outlived:
        _say(f"outlived the run and was killed: {', '.join(outlived)}")
    return CHECK_FAILED if outlived and options.check else code


def _play(options: Options, plan: scenario.Scenario, run: Run, kit: Kit, started_ms: int) -> int:
    uplink = Uplink(free_port(), free_port())
    broker = Broker(run, kit, settings=TEST_SETTINGS, choose_ports=friendly_pair, uplink=uplink)
    asyncio.run(_start(broker))
    from edgeweir.dev.demo import Demo  # loaded beside the broker's start

    demo = Demo(options, plan, run, (broker, uplink), started_ms)
    demo.start_crew()
    return asyncio.run(demo.run_through())


async def _start(broker: Broker) -> None:
    await asyncio.gather(broker.start(), asyncio.to_thread(_load))


def _load() -> None:
    """All that runs later, the children's code too."""
    import_module("edgeweir.dev.demo")
    import_module("edgeweir.dev.crew").load_code()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
