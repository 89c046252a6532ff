"""Our own contenders: the same worker with different settings or messages, each on an estate of its own."""

from __future__ import annotations

import msgspec


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. `environ` are variables of the worker, without `EDGEWEIR_`."""

    name: str
    does: str
    estate: str
    environ: dict[str, str] = {}
    batches: bool = False
    headers: bool = False
    scrape_every_s: float = 0


OURS = Variant(name="edgeweir", does="the real worker with its four controllers, as delivered", estate="ours")
BATCHES = Variant(
    name="edgeweir-batches",
    does="a record carries a site's 24 nodes; counted in samples",
    estate="batches",
    batches=True,
)
HEADERS = Variant(name="edgeweir-headers", does="with binary CloudEvents headers", estate="headers", headers=True)
PLAIN = Variant(
    name="edgeweir-no-checkpoints",
    does="checkpoints off",
    estate="plain",
    environ={"WORKER_CHECKPOINT_EVERY": "0"},
)
OFTEN = Variant(
    name="edgeweir-checkpoints",
    does="checkpoints as often as the worker allows",
    estate="often",
    environ={"WORKER_CHECKPOINT_EVERY": "1"},
)
SCRAPED = Variant(name="edgeweir-scraped", does="metrics read every second", estate="scraped", scrape_every_s=1)
VARIANTS = (OURS, BATCHES, HEADERS, PLAIN, OFTEN, SCRAPED)
