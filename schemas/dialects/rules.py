"""Field maps as data: which foreign metric becomes which reading, in what unit, of which series (CONTRACTS 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from ..errors import Fault
from ..parts import LOWEST, Quantity, Reading
from .amounts import scaled
from .coercions import Unused
from .harvest import Sample

ROOT: Final = {"/": ""}
"""Only the root file system is a node's room."""
IDLE: Final = {"idle": "", "iowait": "/iowait", "wait": "/iowait"}
"""The states in which a CPU does nothing; a wait for devices is a series of its own."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._:/@-]", re.ASCII)
_SERIES_CHARS: Final = 64
_NO_WIRE: Final = re.compile(r"(lo\d*\Z|all\Z|veth|docker|br-|cni|flannel|cali|virbr|tunl)", re.ASCII)


class Where(msgspec.Struct, frozen=True):
    """The first of these attributes that is there must have one of these values; its text goes to the series."""

    names: tuple[str, ...]
    values: Mapping[str, str]


class Rule(msgspec.Struct, frozen=True):
    """A metric's number times `per` is a reading of `quantity`.

    `series`: attributes of which the first that is there names the series. `where`: what else must hold; other points
    are another rule's matter. `wires_only`: interfaces of containers and the loopback are left out.
    """

    quantity: Quantity
    per: int = 1
    series: tuple[str, ...] = ()
    where: tuple[Where, ...] = ()
    wires_only: bool = False


Rules = Mapping[str, tuple[Rule, ...]]
"""By the foreign metric's name."""


def apply(rules: tuple[Rule, ...], number: float | None, attributes: Mapping[str, str], sample: Sample) -> None:
    """Note what the rules make of a point; one that none of them wants is passed over."""
    wanted = False
    for rule in rules:
        series = series_of(rule, attributes)
        if series is not None:
            wanted = True
            note(sample, rule.quantity, number, rule.per, series)
    if not wanted:
        sample.harvest.pass_over(Unused.OTHER_SERIES)


def note(sample: Sample, quantity: Quantity, number: float | None, per: int = 1, series: str = "") -> None:
    """Note one reading; a number that is none or beyond its range is a fault of this piece only."""
    if quantity is Quantity.READY and number is not None:
        number = 1 if number > 0 else 0  # a condition that is not known (-1) is not fulfilled
    lowest = LOWEST if quantity is Quantity.TEMPERATURE else 0
    value = None if number is None else scaled(number, per, lowest)
    if value is None:
        sample.harvest.fault(Fault.OUT_OF_RANGE, f"{quantity} is no finite number in its range")
        return
    sample.readings.append(Reading(quantity, value, series))


def series_of(rule: Rule, attributes: Mapping[str, str]) -> str | None:
    """The series of a point; None where the rule does not want it."""
    name = next((attributes[key] for key in rule.series if key in attributes), "")
    if rule.wires_only and is_inner(name):
        return None
    name = safe(name)
    for where in rule.where:
        suffix = where.values.get(next((attributes[key] for key in where.names if key in attributes), ""))
        if suffix is None:
            return None
        name += suffix
    return name


def is_inner(interface: str) -> bool:
    """Whether a network interface ends inside the node (loopback, containers, tunnels): its bytes cross no wire."""
    return _NO_WIRE.match(interface) is not None


def safe(text: str) -> str:
    """A foreign text as part of a row: of few characters, short."""
    return _UNSAFE.sub("_", text[: _SERIES_CHARS - len("/iowait")])
