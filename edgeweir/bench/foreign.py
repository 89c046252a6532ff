"""The other contenders: what each does, how it is started, and what must be installed for it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import msgspec

import edgeweir
from edgeweir.bench.stand import python

_ROOT = Path(edgeweir.__file__).resolve().parents[1]
_SCRIPTS = _ROOT / "benchmarks"
SEES_US = {"PYTHONPATH": str(_ROOT)}
"""For an interpreter that is not ours: the order's format and the messages it shares with us."""


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """One contender. `most` bounds its events per round: the slow ones would take minutes.

    `packages`: what it needs in an environment of its own; none: it runs in ours.
    """

    name: str
    does: str
    mode: str
    module: str = ""
    script: str = ""
    needs: str = ""
    packages: tuple[str, ...] = ()
    most: int = 1_000_000_000

    @property
    def missing(self) -> str:
        """Why it cannot take part; empty if it can."""
        if self.script and not (_SCRIPTS / self.script).is_file():
            return "its script is in benchmarks/ of the repository, which is not here"
        if self.needs and find_spec(self.needs) is None:
            return f"not installed: {self.needs} (pip install 'edgeweir[bench]')"
        return ""

    def command(self, interpreter: str, order: bytes) -> list[str]:
        """The command line that carries out an order."""
        if self.module:
            return [*python(self.module), order.decode()]
        return [interpreter, str(_SCRIPTS / self.script), order.decode()]


BARE_READ = "aiokafka-read"
BARE_DURABLE = "aiokafka-durable"
FAUST_TABLE = "faust-table"

FOREIGN = (
    Foreign(
        name=BARE_READ,
        does="bare loop: fetch, typed decode, row update",
        mode="read",
        module="edgeweir.bench.bare_aiokafka",
    ),
    Foreign(
        name=BARE_DURABLE,
        does="the same, and a changelog record per event, acks=all, 16 batches in flight",
        mode="durable",
        module="edgeweir.bench.bare_aiokafka",
    ),
    Foreign(
        name="confluent-read",
        does="bare loop on librdkafka",
        mode="read",
        module="edgeweir.bench.bare_confluent",
        needs="confluent_kafka",
    ),
    Foreign(
        name="confluent-durable",
        does="the same, and a changelog record per event, acks=all",
        mode="durable",
        module="edgeweir.bench.bare_confluent",
        needs="confluent_kafka",
    ),
    Foreign(
        name="faust-noop",
        does="stock Faust: an agent that only counts",
        mode="read",
        script="faust_contender.py",
        most=30_000,
    ),
    Foreign(
        name=FAUST_TABLE,
        does="stock Faust: a Table with its changelog",
        mode="durable",
        script="faust_contender.py",
        most=3_000,
    ),
    Foreign(
        name="quix-noop",
        does="Quix Streams: only counts",
        mode="read",
        script="quix_contender.py",
        packages=("quixstreams==3.28.1", "msgspec>=0.20"),
        most=60_000,
    ),
    Foreign(
        name="quix-state",
        does="Quix Streams: a state per node with its changelog",
        mode="durable",
        script="quix_contender.py",
        packages=("quixstreams==3.28.1", "msgspec>=0.20"),
        most=30_000,
    ),
    Foreign(
        name="bytewax-noop",
        does="Bytewax: only counts",
        mode="read",
        script="bytewax_contender.py",
        packages=("bytewax==0.21.1", "confluent-kafka==2.12.2", "fastavro", "requests", "msgspec>=0.20"),
        most=100_000,
    ),
    Foreign(
        name="bytewax-state",
        does="Bytewax: a stateful map, no changelog",
        mode="durable",
        script="bytewax_contender.py",
        packages=("bytewax==0.21.1", "confluent-kafka==2.12.2", "fastavro", "requests", "msgspec>=0.20"),
        most=60_000,
    ),
)
