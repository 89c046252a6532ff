"""The dialects by name, and the one door to all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import camara, mec, metricbeat, otlp, prometheus, telegraf
from .harvest import Harvest, Raw

Reader = Callable[[Raw], Harvest]

READERS: Final[dict[str, Reader]] = {
    "otlp": otlp.read,
    "telegraf": telegraf.read,
    "prometheus": prometheus.read,
    "metricbeat": metricbeat.read,
    "mec": mec.read,
    "camara": camara.read,
}
NODE_DIALECTS: Final = ("otlp", "telegraf", "prometheus", "metricbeat")
"""Those that speak of nodes; the others speak of terminals."""


def read(dialect: str, raw: Raw) -> Harvest:
    """What a record of this dialect says; BadInput with a reason where it says nothing that can be read."""
    return READERS[dialect](raw)
