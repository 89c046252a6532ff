"""In what a scenario's policies differ from the defaults, in words a reader takes in at once."""

from __future__ import annotations

import msgspec

from edgeweir.dev.scenario import Scenario
from schemas.policy import Policy

_SECTIONS = ("scaling", "placement", "migration", "offload", "failover", "governor", "admission")


def differences(scenario: Scenario) -> list[str]:
    """One line per policy: its id, and each value that is not the default with the default beside it."""
    policies = [d.body for d in scenario.documents if isinstance(d.body, Policy)]
    return [f"{policy.id}  (differs from default: {', '.join(_of(policy)) or 'nothing'})" for policy in policies]


def _of(policy: Policy) -> list[str]:
    words: list[str] = []
    for name in _SECTIONS:
        section = getattr(policy, name)
        if section is None:
            continue
        usual = type(section)()
        for field in section.__struct_fields__:
            said, default = getattr(section, field), getattr(usual, field)
            if said != default:
                words.append(f"{_name(field)} {_value(field, said)} not {_value(field, default)}")
    return words


def _name(field: str) -> str:
    for unit in ("_ms", "_permille"):
        field = field.removesuffix(unit)
    return field.replace("_", " ")


def _value(field: str, value: object) -> str:
    if field.endswith("_ms") and isinstance(value, int):
        return f"{value / 1000:g} s"
    if field.endswith("_permille") and isinstance(value, int):
        return f"{value / 10:g} %"
    return msgspec.json.encode(value).decode().strip('"')
