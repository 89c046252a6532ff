"""The other contenders: what each does, how it is started, and what must be installed for it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import msgspec

import edgeweir
from edgeweir.bench.stand import python

_SCRIPTS = Path(edgeweir.__file__).resolve().parents[1] / "benchmarks"


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """One contender. `most` bounds its events per round: the slow ones would take minutes."""

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
)
