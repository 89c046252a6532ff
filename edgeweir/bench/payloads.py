"""The messages of all measurements: a seeded fleet whose telemetry is rendered from templates, quicker than read.

They are what our own emitters send (`edge_emitters.synthetic`), byte for byte but for time, sequence and load.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from edge_emitters.synthetic import SyntheticSite, World, WorldPlan
from schemas.base import Message
from schemas.cloudevents import Envelope, headers
from schemas.registry import NAMES, full_type
from schemas.telemetry import NodeSample, NodeTelemetry
from schemas.wire import encode_json
from topics.partition import partition_of

Headers = list[tuple[str, bytes]]
_AT, _SEQUENCE, _LOAD = 1_111_111_111_111, 2_222_222_222, 3_333
_SLOTS = re.compile(rb"(?<=:)(1111111111111|2222222222|3333)(?=[,}])")
_STEP_MS = 100
_LOADS = 997


class Payload(NamedTuple):
    """A record to be: where it goes, its key, its bytes."""

    partition: int
    key: bytes
    value: bytes


class Template:
    """A message with holes for time, sequence and load."""

    def __init__(self, body: Message, site_id: str, partitions: int) -> None:
        self._pieces = _SLOTS.split(encode_json(body))
        self._kinds = [(place, self._pieces[place]) for place in range(1, len(self._pieces), 2)]
        self.key = site_id.encode()
        self.partition = partition_of(site_id, partitions)

    def render(self, at_ms: int, sequence: int, load_milli: int) -> Payload:
        """The message of one moment."""
        filling = {
            str(_AT).encode(): str(at_ms).encode(),
            str(_SEQUENCE).encode(): str(sequence).encode(),
            str(_LOAD).encode(): str(load_milli).encode(),
        }
        pieces = self._pieces.copy()
        for place, kind in self._kinds:
            pieces[place] = filling[kind]
        return Payload(self.partition, self.key, b"".join(pieces))


class Fleet:
    """Sites with nodes. `samples` and `batches` go on in time and sequence from call to call."""

    def __init__(self, sites: int, nodes_per_site: int, partitions: int = 8, seed: int = 7) -> None:
        self.world = World(WorldPlan(seed=seed, sites=sites, nodes=sites * nodes_per_site))
        self.nodes = sites * nodes_per_site
        self.nodes_per_site = nodes_per_site
        self._partitions = partitions
        self._dice = random.Random(seed)
        self._reports = time.time_ns() // 1_000
        self._flowed = 0
        self._singles: list[Template] = []
        self._batches: list[Template] = []

    def samples(self, count: int, now_ms: int) -> Iterator[Payload]:
        """So many samples of single nodes, each node once per report, in an order of chance."""
        return self._rendered(self._templates(batches=False), count, now_ms)

    def batches(self, count: int, now_ms: int) -> Iterator[Payload]:
        """So many site batches, each site once per report, in an order of chance."""
        return self._rendered(self._templates(batches=True), count, now_ms)

    def flow(self, count: int, now_ms: int, *, batches: bool = False) -> Iterator[Payload]:
        """The next so many samples (or site batches) of an endless round of reports, all of this moment."""
        templates = self._templates(batches=batches)
        for _ in range(count):
            place = self._flowed % len(templates)
            self._flowed += 1
            load = 500 + (place * 31 + self._flowed * 17) % _LOADS
            yield templates[place].render(now_ms, now_ms * 1000 + self._flowed % 1000, load)

    def _templates(self, *, batches: bool) -> list[Template]:
        kept = self._batches if batches else self._singles
        if not kept:
            of = self._of_batch if batches else self._of_nodes
            kept += [one for site in self.world.sites for one in of(site)]
            self._dice.shuffle(kept)
        return kept

    def _rendered(self, templates: list[Template], count: int, now_ms: int) -> Iterator[Payload]:
        reports = -(-count // len(templates))
        order = list(range(len(templates)))
        for report in range(reports):
            self._dice.shuffle(order)
            self._reports += 1
            at_ms = now_ms - (reports - 1 - report) * _STEP_MS
            for place in order[: count - report * len(templates)]:
                load = 500 + (place * 31 + self._reports * 17) % _LOADS
                yield templates[place].render(at_ms, self._reports, load)

    def _of_nodes(self, site: SyntheticSite) -> Iterator[Template]:
        for sample in self.world.batch(site, _AT).nodes:
            fields = {name: getattr(sample, name) for name in sample.__struct_fields__}
            body = msgspec.convert({**_with_holes(fields), "site_id": site.site_id}, NodeTelemetry)
            yield Template(body, site.site_id, self._partitions)

    def _of_batch(self, site: SyntheticSite) -> Iterator[Template]:
        batch = self.world.batch(site, _AT)
        nodes = tuple(
            msgspec.convert(_with_holes({name: getattr(node, name) for name in node.__struct_fields__}), NodeSample)
            for node in batch.nodes
        )
        body = msgspec.structs.replace(batch, nodes=nodes, sequence=_SEQUENCE)
        yield Template(body, site.site_id, self._partitions)


def attributes(kind: type[Message], number: int) -> Headers:
    """CloudEvents attributes in binary mode as a gateway sets them."""
    return headers(Envelope(id=f"bench-{number}", source="/bench/gateway", type=full_type(NAMES[kind])))


def _with_holes(fields: dict[str, object]) -> dict[str, object]:
    return {**fields, "observed_at_ms": _AT, "sequence": _SEQUENCE, "cpu_used_milli": _LOAD}
