"""How long a worker needs to take over what another left behind: terminals by the hundred thousand and the million.

The journal is filled with the frames that an owner would have written, a complete checkpoint among them; the time is
what the worker itself says of its takeover. Each further round kills it and starts it anew as the same instance.
"""

from __future__ import annotations

from statistics import median

import msgspec

from edge_control.controllers.terminal_rows import Terminal
from edge_emitters.synthetic import World, WorldPlan
from edgeweir.bench.journals import Filler
from edgeweir.bench.options import Options
from edgeweir.bench.results import Report, row_of
from edgeweir.bench.scene import walker_id
from edgeweir.bench.stand import PARTITIONS, Stand
from edgeweir.bench.steps import Tell
from edgeweir.dev.errors import NoAnswer
from streams.app import controller_types
from streams.engine.envelopes import Speaker
from streams.engine.partition import Partition
from topics.catalogue import Keyspace
from topics.partition import partition_of

SECTION = "recovery"
SIZES = (100_000, 1_000_000)
QUICK_SIZES = (100_000,)
_ROUNDS = 3
_TABLE = "terminal/terminals/"


async def measure(stand: Stand, options: Options, tell: Tell) -> Report:
    """Every size on an estate of its own."""
    report = Report()
    for rows in QUICK_SIZES if options.quick else SIZES:
        estate = f"rows{rows}"
        tell(f"{rows:,} rows: filling the journal")
        await stand.found(estate, World(WorldPlan(sites=4, nodes=4)))
        await _fill(stand, estate, rows)
        seconds: list[float] = []
        for _ in range(min(_ROUNDS, options.rounds)):
            tell(f"{rows:,} rows: taking over")
            worker = await stand.worker(estate)
            seconds.append(_told(worker.child.output(), rows))
            await worker.child.kill()
        report.rows.append(row_of(SECTION, f"takeover of {rows:,} rows", "s", seconds, events=rows))
        report.ratios[f"recovery_{rows}_rows_s"] = round(median(seconds), 3)
    return report


def _told(output: str, rows: int) -> float:
    """The seconds in the worker's own line about its takeover; NoAnswer unless all rows were in it."""
    for line in output.splitlines():
        if "takeover complete" in line:
            told = msgspec.json.decode(line)
            if told["rows"] >= rows:
                return float(told["seconds"])
    raise NoAnswer(f"no worker told of a takeover of {rows} rows", output[-2000:])


async def _fill(stand: Stand, estate: str, rows: int) -> None:
    """Terminals in every partition, as many as there would be."""
    names: list[list[str]] = [[] for _ in range(PARTITIONS)]
    for number in range(rows):
        name = walker_id(number)
        names[partition_of(name, PARTITIONS)].append(name)
    filler = Filler(stand.connect(estate), f"{stand.settings(estate).topic_prefix}app")
    await filler.start()
    for number, mine in enumerate(names):
        controllers = {Keyspace(space): make(number) for space, make in controller_types().items()}
        partition = Partition(Speaker(partition=number, partitions=PARTITIONS), controllers)
        terminals = ((name, Terminal(terminal_id=name, zone="z", site="s", since_ms=1)) for name in mine)
        await filler.fill(partition, _TABLE, terminals, checkpoint=True)
    await filler.stop()
