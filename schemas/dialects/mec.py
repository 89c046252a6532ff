"""ETSI MEC notifications of all APIs on one topic: which of them a body is, its members tell."""

from __future__ import annotations

from typing import Final

import msgspec

from ..errors import BadInput, Fault
from ..wire import decode
from . import mec012, mec013v2, mec013v3, mec021
from .harvest import LIMITS, Harvest, Raw

_BY_TYPE: Final = (mec013v3.take, mec012.take, mec021.take)
_REGISTRATION: Final = ("serviceConsumerId", "deviceInformation")


def read(raw: Raw) -> Harvest:
    """The events of a notification; BadInput for a body that is none, or holds placeholders for values."""
    harvest = Harvest(raw)
    members = decode(dict[str, msgspec.Raw], raw.value, LIMITS)
    kind = members.get("notificationType")
    if kind is not None:
        named = decode(str, bytes(kind), LIMITS)
        known = any(take(named, raw.value, harvest) for take in _BY_TYPE)
    elif all(name in members for name in _REGISTRATION):
        mec021.register(raw.value, harvest)
        known = True
    else:
        known = len(members) == 1 and all(mec013v2.take(name, body, harvest) for name, body in members.items())
    if not known:
        raise BadInput(Fault.UNKNOWN_TYPE, "no notification of MEC 012, 013 or 021")
    return harvest.settled()
