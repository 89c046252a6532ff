"""Under which key a message may stand: where key and body disagree a record would have two owners, so it has none."""

from __future__ import annotations

from typing import Final

from schemas.base import Message
from schemas.policy import Approval, Pause
from schemas.registry import type_name

from . import catalogue as cat
from .topic import Topic

_NAMED: Final = {"siteId": "site_id", "terminalId": "terminal_id", "appId": "app_id"}
_DECLARED: Final = (cat.ESTATE, cat.POLICY)


def key_agrees(topic: Topic, key: str, body: Message) -> bool:
    """Whether the key names what the body is about; on shared topics the key is the receiver's, so any may be."""
    field = _NAMED.get(topic.key)
    if field is not None:
        return bool(getattr(body, field) == key)
    if topic in _DECLARED:
        return key == key_of_declared(body)
    return topic is not cat.INVENTORY or key == getattr(body, f"{_kind(body)}_id")


def key_of_declared(body: Message) -> str:
    """The key of an estate item, policy, model, pause or approval: `kind/id`."""
    name = getattr(body, _NAMES.get(type(body), "id"))
    return f"{_kind(body)}/{name}"


def _kind(body: Message) -> str:
    """`site` of `estate.site.v1`, `policy` of `policy.v1`."""
    return type_name(body).rsplit(".", 2)[-2]


_NAMES: Final[dict[type[Message], str]] = {Pause: "scope", Approval: "decision_id"}
