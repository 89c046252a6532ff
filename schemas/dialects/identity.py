"""Who a node is, in the documented order (CONTRACTS 6), and which site its agent names; nothing is ever guessed."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from typing import Final

from ..base import ID_PATTERN
from ..errors import BadInput, Fault
from .coercions import Coercion
from .harvest import Harvest

NODE_NAMES: Final = ("k8s.node.name", "host.id", "host.name", "host", "instance")
"""Attributes that name a node, first wins; after them the record's key."""
SITE_NAMES: Final = ("edgeweir.site", "site")
"""Attributes by which an agent names its site."""
_PORT: Final = re.compile(r"^(.+):\d{1,5}\Z", re.ASCII)
_SCHEME: Final = re.compile(r"^(acr|tel|sip|sips|ip):(.+)\Z", re.ASCII | re.IGNORECASE)
_PHONE: Final = re.compile(r"^\+?[0-9 ()./-]{5,24}\Z", re.ASCII)


def node_of(attributes: Mapping[str, str], harvest: Harvest) -> str:
    """The node's name; empty, with a fault noted, where nothing names it."""
    for name in NODE_NAMES:
        text = attributes.get(name, "")
        if name == "instance":
            text = _without_port(text, harvest)
        if text and ID_PATTERN.match(text):
            return text
    if harvest.raw.key and ID_PATTERN.match(harvest.raw.key):
        harvest.coerced(Coercion.NODE_FROM_KEY)
        return harvest.raw.key
    harvest.fault(Fault.NO_NODE_IDENTITY, f"none of {', '.join(NODE_NAMES)} names a node, nor does the key")
    return ""


def site_of(attributes: Mapping[str, str]) -> str:
    """The site that the agent names; empty where it names none or no id."""
    for name in SITE_NAMES:
        text = attributes.get(name, "")
        if text and ID_PATTERN.match(text):
            return text
    return ""


def _without_port(text: str, harvest: Harvest) -> str:
    found = _PORT.match(text)
    if found is None:
        return text
    harvest.coerced(Coercion.INSTANCE_PORT)
    return found[1].strip("[]")


def terminal_of(address: str, harvest: Harvest) -> str:
    """The terminal's name from an address of any scheme: the same device has one name in all dialects."""
    plain = _canonical(address.strip())
    if not plain:
        raise BadInput(Fault.NO_TERMINAL_IDENTITY, "nothing names the terminal")
    return harvest.raw.terminal_name(plain)


def terminal_name(address: str, salt: bytes) -> str:
    """The name that stands for an address: BLAKE2b keyed with the salt, as the MEC feed makes it."""
    return "t-" + hashlib.blake2b(address.encode(), key=salt, digest_size=16).hexdigest()


def as_ip(text: str) -> str:
    """An IP address in its one form, without prefix length; empty for what is none."""
    try:
        return str(ipaddress.ip_address(text.partition("/")[0]))
    except ValueError:
        return ""


def _canonical(address: str) -> str:
    scheme = _SCHEME.match(address)
    plain = scheme[2] if scheme else address
    if ip := as_ip(plain):
        return ip
    if _PHONE.match(plain):
        return "+" + re.sub(r"\D", "", plain)
    return plain
