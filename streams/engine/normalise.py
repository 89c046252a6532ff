"""Foreign records into ours: read by their dialect, given to their site or terminal, said again (CONTRACTS 6).

Stateless and without a clock: what needs memory (rates of counters, parts of one scrape) is the site controller's.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Final

import msgspec

from edge_control.controllers.outputs import Output
from edge_control.inventory.view import View
from schemas.base import ID_PATTERN, Message
from schemas.dialects.harvest import Harvest, Raw, Sample
from schemas.dialects.identity import terminal_name
from schemas.dialects.readers import read
from schemas.errors import BadInput, Fault
from schemas.location import LocationEvent, RadioEvent, SessionEvent
from schemas.parts import NodePart, NodeParts, Reading
from streams.records import Record
from topics.catalogue import LOCATION, NODE_PARTS, SESSION, Topic

COERCION: Final = "coercion"
UNUSED: Final = "unused"
FAULT: Final = "fault"
REFUSED: Final = "refused"
"""Kinds of what is met in a record: read all the same, well formed but not needed, a bad piece, a record refused."""
_MOST_PARTS: Final = 256
_MOST_READINGS: Final = 1_000
"""One message holds no more of either: it must fit its topic whatever the names in it."""


class Normalised(msgspec.Struct, frozen=True):
    """What follows from one foreign record, and what was met in it: kind, name, how often."""

    outputs: list[Output]
    met: tuple[tuple[str, str, int], ...] = ()


class Normaliser:
    """Reads the dialects for one cluster; `site_id` takes nodes that neither the estate nor their agent places."""

    def __init__(self, site_id: str = "", salt: bytes = b"") -> None:
        """`salt` keys the names of terminals."""
        self._site_id = site_id
        self._terminal_name = partial(terminal_name, salt=salt)

    def normalise(self, topic: Topic, record: Record, at_ms: int, view: View) -> Normalised:
        """The messages that a record becomes; BadInput where it becomes none and should."""
        if record.value is None:
            raise BadInput(Fault.NO_DATA, "a raw record without a value")
        raw = Raw(
            value=record.value,
            key=_key(record),
            at_ms=at_ms,
            headers={name: value for name, value in record.headers if value is not None},
            terminal_name=self._terminal_name,
        )
        harvest = read(topic.dialect, raw)
        bodies = [*self._parts(topic.dialect, harvest, view), *harvest.events]
        if not bodies and harvest.faults:
            raise BadInput(Fault.NO_SITE, "neither the estate nor the agent says at which site the node is")
        place = f"{topic.name}/{record.partition}/{record.offset}"
        return Normalised(
            outputs=[_output(body, f"{place}/{number}") for number, body in zip(count(), bodies, strict=False)],
            met=(
                *((COERCION, name.value, 1) for name in harvest.coercions),
                *((UNUSED, why.value, times) for why, times in harvest.unused.items()),
                *((FAULT, why.value, times) for why, times in harvest.faults.items()),
            ),
        )

    def _parts(self, dialect: str, harvest: Harvest, view: View) -> Iterator[NodeParts]:
        """The samples of each site, oldest first, in messages that surely fit."""
        at_site: dict[str, list[Sample]] = {}
        for sample in harvest.samples.values():
            declared = view.nodes.get(sample.node_id)
            site_id = declared.body.site if declared else sample.site_hint or self._site_id
            if site_id:
                at_site.setdefault(site_id, []).append(sample)
            else:
                harvest.fault(Fault.NO_SITE, "")
        for site_id, samples in at_site.items():
            samples.sort(key=lambda sample: sample.at_ms)
            for parts in _in_portions(samples):
                yield NodeParts(site_id=site_id, dialect=dialect, parts=tuple(parts))


def _in_portions(samples: list[Sample]) -> Iterator[list[NodePart]]:
    portion: list[NodePart] = []
    size = 0
    for sample in samples:
        for start in range(0, len(sample.readings), _MOST_READINGS):
            readings = sample.readings[start : start + _MOST_READINGS]
            if portion and (len(portion) == _MOST_PARTS or size + len(readings) > _MOST_READINGS):
                yield portion
                portion, size = [], 0
            portion.append(_part(sample, readings))
            size += len(readings)
    if portion:
        yield portion


def _part(sample: Sample, readings: list[Reading]) -> NodePart:
    return NodePart(
        node_id=sample.node_id,
        observed_at_ms=sample.at_ms,
        readings=tuple(readings),
        time_source="payload" if sample.is_own_time else "record",
    )


def _output(body: Message, event_id: str) -> Output:
    match body:
        case NodeParts():
            topic, key = NODE_PARTS, body.site_id
        case SessionEvent():
            topic, key = SESSION, body.terminal_id
        case LocationEvent() | RadioEvent():
            topic, key = LOCATION, body.terminal_id
        case _:
            msg = f"no dialect brings in {type(body).__name__}"
            raise TypeError(msg)
    return Output(topic=topic, key=key, event_id=event_id, body=body, subject=key)


def _key(record: Record) -> str:
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        return ""
    return key if ID_PATTERN.match(key) else ""
