"""Foreign records become ours: each to the site or terminal that it is about, and never to a guessed one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_control.inventory.view import Seen, View
from schemas.dialects.identity import terminal_name
from schemas.errors import BadInput, Fault
from schemas.estate import Node
from schemas.location import LocationEvent
from schemas.parts import NodeParts
from schemas.wire import encode_json
from streams.engine.normalise import Normalised, Normaliser
from topics.catalogue import INPUTS, LOCATION, NODE_PARTS, RAW, enabled, inputs

AT_MS = 1_700_000_000_000


class Record:
    """A record of a raw topic."""

    partition, offset, timestamp, timestamp_type = 3, 41, AT_MS, 0

    def __init__(self, value: bytes | None, key: bytes | None = None, content_type: bytes | None = None) -> None:
        self.value, self.key = value, key
        self.headers = [("content-type", content_type)]


def declared(**sites: str) -> View:
    """A view that knows these nodes at these sites."""
    view = View()
    for node_id, site_id in sites.items():
        view.nodes[node_id] = Seen(Node(id=node_id, site=site_id), AT_MS)
    return view


def line(host: str = "", site: str = "") -> str:
    """One line of Telegraf's."""
    tags = "".join(f",{name}={value}" for name, value in (("host", host), ("site", site)) if value)
    return f"mem{tags} total=5i {AT_MS * 1_000_000}"


def normalise(*lines: str, view: View | None = None, site_id: str = "", key: bytes | None = None) -> Normalised:
    """What follows from lines in one record."""
    record = Record("\n".join(lines).encode(), key)
    return Normaliser(site_id, b"salt").normalise(RAW["telegraf"], record, AT_MS, view or View())


def sites(found: Normalised) -> dict[str, list[str]]:
    """Nodes by the site that they were given to; every message stands under its site's key."""
    told: dict[str, list[str]] = {}
    for output in found.outputs:
        assert output.topic is NODE_PARTS
        assert isinstance(output.body, NodeParts)
        assert output.key == output.body.site_id
        told.setdefault(output.key, []).extend(part.node_id for part in output.body.parts)
    return told


def test_the_estate_says_where_a_node_is_whatever_its_agent_says() -> None:
    found = normalise(line("n1", "there"), line("n2", "there"), view=declared(n1="here"), site_id="anywhere")
    assert sites(found) == {"here": ["n1"], "there": ["n2"]}


def test_the_workers_default_site_takes_the_rest() -> None:
    assert sites(normalise(line("n1"), line("n2", "there"), site_id="lab")) == {"lab": ["n1"], "there": ["n2"]}


def test_a_node_without_a_site_is_refused_and_never_guessed() -> None:
    with pytest.raises(BadInput) as refused:
        normalise(line("n1"))
    assert refused.value.reason is Fault.NO_SITE
    found = normalise(line("n1"), line("n2", "there"))
    assert sites(found) == {"there": ["n2"]}
    assert ("fault", "no-site", 1) in found.met


def test_the_records_key_is_the_last_name() -> None:
    found = normalise(line(site="there"), key=b"n7")
    assert sites(found) == {"there": ["n7"]}
    assert found.met == (("coercion", "node-from-key", 1),)
    for key in (None, b"", b"\xff", b"no id"):
        with pytest.raises(BadInput, match="no-node-identity"):
            normalise(line(site="there"), key=key)


def test_the_same_record_gives_the_same_messages_again() -> None:
    first, again = (normalise(line("n1", "a"), line("n2", "b")) for _ in range(2))
    assert first.outputs == again.outputs
    assert len({output.event_id for output in first.outputs}) == 2


def test_a_giant_record_becomes_messages_that_fit() -> None:
    wide = [f"temp,host=n{node},site=s,sensor={'x' * 60}{sensor} temp=5" for node in range(30) for sensor in range(90)]
    found = normalise(*wide)
    sizes = [len(encode_json(output.body)) for output in found.outputs]
    assert sum(len(nodes) for nodes in sites(found).values()) >= 30
    assert len(sizes) > 1
    assert max(sizes) < NODE_PARTS.max_message_bytes // 2


def test_a_movement_goes_to_its_terminal_under_its_hashed_name() -> None:
    body: dict[str, Any] = {
        "notificationType": "UserLocationEventNotification", "address": "acr:203.0.113.9", "zoneId": "plaza",
        "userLocationEvent": "ENTERING_AREA_EVENT",
    }  # fmt: skip
    record = Record(json.dumps(body).encode())
    (output,) = Normaliser(salt=b"salt").normalise(RAW["mec"], record, AT_MS, View()).outputs
    assert output.topic is LOCATION
    assert isinstance(output.body, LocationEvent)
    assert output.key == output.body.terminal_id == terminal_name("203.0.113.9", b"salt")
    assert (output.body.observed_at_ms, output.body.time_source) == (AT_MS, "record")


def test_a_record_without_a_value_is_refused() -> None:
    with pytest.raises(BadInput, match="no-data"):
        Normaliser().normalise(RAW["otlp"], Record(None), AT_MS, View())


def test_only_what_is_enabled_is_there() -> None:
    assert enabled(()) == ()
    assert inputs(()) == INPUTS
    assert enabled(("camara",)) == (RAW["camara"],)
    assert enabled(("telegraf", "otlp")) == (RAW["otlp"], RAW["telegraf"], NODE_PARTS)
