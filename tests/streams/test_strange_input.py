"""Whatever is well-formed: no controller raises on it, no row becomes unreadable, no output is refused by its reader."""

from __future__ import annotations

import json

import msgspec
import pytest

from schemas import wire
from schemas.cloudevents import Envelope, headers
from schemas.policy import Pause, Policy, ScalingPolicy
from schemas.registry import full_type, type_name
from streams.engine.decode import Arrived, Refused, decode
from streams.viewfold import ViewFold
from tests.streams.inputs import PARTITIONS, In, load
from tests.streams.strange_world import StrangeWorld
from topics.catalogue import NODE_TELEMETRY, POLICY, REQUEST, TWIN, Topic


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("extreme", [0.02, 0.3])
def test_the_real_controllers_bear_strange_messages_and_their_rows_and_words_stay_readable(
    seed: int, extreme: float
) -> None:
    world = StrangeWorld(seed, extreme)
    for _ in range(250):
        world.step()
    assert sum(len(table) for _, table in world.part.named_tables) > 10


def test_a_number_that_no_row_can_hold_is_refused_in_a_twin() -> None:
    value = (
        b'{"terminal_id":"t","kind":"k","version":1,"observed_at_ms":1,"reported":{"a":[{"b":1180591620717411303424}]}}'
    )
    assert refused(TWIN, value, "twin.reported.v1", b"t") == "document"


@pytest.mark.parametrize("permilles", [(600, 401), (7, 7)])
def test_more_than_all_traffic_or_a_site_named_twice_is_no_spill(permilles: tuple[int, int]) -> None:
    shares = [{"site_id": f"s{min(share, 500)}", "permille": share} for share in permilles]
    ask = {"request_id": "r", "reply_key": "a", "reply_keyspace": "app", "expires_at_ms": 1}
    value = json.dumps(ask | {"site_id": "s1", "app_id": "a", "until_ms": 1, "shares": shares}).encode()
    said = ("ce_keyspace", b"site")
    assert refused(REQUEST, value, "request.spill.v1", b"s1", said) == "document"


@pytest.mark.parametrize("stamp", ["1800000000000000000", "1800000000000000", "-1"])
def test_a_time_in_nanoseconds_microseconds_or_before_the_epoch_is_refused(stamp: str) -> None:
    value = (load(0).value or b"").replace(b'"observed_at_ms":1', f'"observed_at_ms":{stamp}'.encode())
    assert refused(NODE_TELEMETRY, value, "node.telemetry.v1", b"s1") == "schema"


def test_an_attribute_that_is_no_number_a_parser_can_hold_is_bad_input_like_any_other() -> None:
    value = b'{"specversion":"1.0","id":"1","source":"/x","type":"t","n":1e999}'
    record = In(offset=0, value=value, headers=[("content-type", b"application/cloudevents+json")])
    outcome = decode(NODE_TELEMETRY, record, PARTITIONS, 1)
    assert isinstance(outcome, Refused)
    assert outcome == Refused("envelope", "n is no text, integer or boolean")


def test_an_event_under_the_key_of_another_site_has_no_owner() -> None:
    fine = load(0)
    assert isinstance(decode(NODE_TELEMETRY, fine, PARTITIONS, 1), Arrived)
    other = msgspec.structs.replace(fine, value=(fine.value or b"").replace(b'"site_id":"s1"', b'"site_id":"s2"'))
    assert getattr(decode(NODE_TELEMETRY, other, PARTITIONS, 1), "reason", "") == "other-key"


def test_the_last_good_policy_stays_when_an_unsound_or_misplaced_one_is_pushed() -> None:
    views = ViewFold({POLICY: 1})
    good = Policy(id="p", version=1, scaling=ScalingPolicy(release_ms=1))
    assert not views.apply([(POLICY, policy("policy/p", good, 0))])
    unsound = Policy(id="p", version=2, scaling=ScalingPolicy(bucket_ms=0))
    (said,) = views.apply([(POLICY, policy("policy/p", unsound, 1))])
    assert said.startswith("edge.policy.v1/0/1 document: scaling.window_ms")
    misplaced = Pause(scope="site/a", until_ms=1, why="w", by="b")
    assert (
        len(
            views.apply(
                [(POLICY, policy("pause/site/b", misplaced, 2)), (POLICY, In(offset=3, partition=0, value=b"{"))]
            )
        )
        == 2
    )
    assert (views.refused, views.view.pauses, views.vector[POLICY.name]) == (3, {}, (4,))
    assert views.view.policies._policies == {"p": good}


def policy(key: str, body: Policy | Pause, offset: int) -> In:
    said = headers(Envelope(id="1", source="/me", type=full_type(type_name(body)), time_ms=1))
    return In(offset=offset, partition=0, key=key.encode(), value=wire.encode_json(body), headers=said)


def refused(topic: Topic, value: bytes, kind: str, key: bytes, *more: tuple[str, bytes]) -> str:
    said = [*headers(Envelope(id="1", source="/me", type=full_type(kind), time_ms=1)), *more]
    outcome = decode(topic, In(offset=0, key=key, value=value, headers=said, partition=0), 1, 1)
    assert isinstance(outcome, Refused), outcome
    return outcome.reason
