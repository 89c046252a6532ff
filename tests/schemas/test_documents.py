"""Estate, apps and policies from a file: taken whole, or refused with every fault named."""

from __future__ import annotations

import pytest

from schemas.apps import AppSpec
from schemas.documents import read_documents
from schemas.errors import BadInput
from schemas.estate import Site, Tier
from schemas.policy import Policy

SOUND = """
[[region]]
id = "bay"
[[site]]
id = "pier"
region = "bay"
tier = "access"
lat_e7 = 377700000
lon_e7 = -1224200000
[[zone]]
id = "pier-zone"
site = "pier"
[[tenant]]
id = "t"
[[app]]
app_id = "video"
tenant = "t"
kind = "service"
version = 1
per_replica = {cpu_milli = 500, requests_per_s = 40}
bounds = {min = 1, max = 9}
[[policy]]
id = "fast"
version = 1
scaling = {release_ms = 20000}
"""


def test_a_sound_file_gives_every_item_with_its_key_on_the_topic() -> None:
    documents = read_documents(SOUND, "estate.toml")
    assert [d.key for d in documents] == [
        "region/bay",
        "site/pier",
        "zone/pier-zone",
        "tenant/t",
        "video",
        "policy/fast",
    ]
    _, site, _, _, app, policy = (document.body for document in documents)
    assert isinstance(site, Site)
    assert site.tier is Tier.ACCESS
    assert isinstance(app, AppSpec)
    assert app.per_replica.requests_per_s == 40
    assert isinstance(policy, Policy)
    assert policy.scaling is not None
    assert policy.scaling.release_ms == 20_000


def test_a_bad_file_is_refused_whole_and_names_every_fault_with_its_place() -> None:
    bad = SOUND.replace('tier = "access"', 'tier = "roof"').replace("min = 1, max = 9", "min = 9, max = 1")
    bad = bad.replace('site = "pier"', 'site = "peer"').replace("release_ms", "relase_ms")
    with pytest.raises(BadInput) as caught:
        read_documents(bad, "estate.toml")
    text = str(caught.value)
    for sentence in (
        "site pier: tier: Invalid enum value 'roof'",
        "app video: bounds.min 9 is above bounds.max 1",
        "zone zone/pier-zone: site names site peer, which does not exist",
        "policy fast: scaling.relase_ms: no such field (did you mean release_ms?)",
    ):
        assert sentence in text


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("scaling = {target_use_permille = 1200}", "<= 1000"),
        ("scaling = {panic_window_ms = 400000}", "longer than window_ms"),
        ("offload = {spill_renew_ms = 70000}", "must be below spill_ttl_ms"),
        ("failover = {silent_beats = 0}", "silent_beats must be above 0"),
        ('admission = {mode = "maybe"}', "neither auto nor approve"),
        ("offload = {steering_ttl_ms = 0}", "steering_ttl_ms 0 is below 1000"),
        ("", "it says nothing"),
    ],
)
def test_a_policy_out_of_range_or_against_itself_is_refused(policy: str, sentence: str) -> None:
    with pytest.raises(BadInput, match="wrong") as caught:
        read_documents(f'[[policy]]\nid = "p"\nversion = 1\n{policy}', "p.toml")
    assert sentence in str(caught.value)


def test_what_exists_already_may_be_referred_to() -> None:
    text = '[[zone]]\nid = "z"\nsite = "old"'
    assert len(read_documents(text, "z.toml", frozenset({"site/old"}))) == 1


def test_a_text_that_is_no_toml_and_a_kind_that_does_not_exist_are_said_so() -> None:
    with pytest.raises(BadInput, match="is no TOML"):
        read_documents("[[", "x.toml")
    with pytest.raises(BadInput, match="did you mean site"):
        read_documents('[[sites]]\nid = "a"', "x.toml")


def test_an_item_said_twice_is_a_fault() -> None:
    with pytest.raises(BadInput, match="said 2 times"):
        read_documents('[[region]]\nid = "a"\n[[region]]\nid = "a"', "x.toml")


def test_faults_of_fields_do_not_hide_contradictions_and_a_faulty_item_is_still_referred_to() -> None:
    text = """
[[region]]
id = "r"
[[site]]
id = "a"
region = "r"
tier = "access"
lat_e7 = 1
lon_e7 = 9999999999
ingress_url = "javascript:1"
classes = ["x"]
[[zone]]
id = "z"
site = "a"
[[link]]
from_site = "a"
to_site = "a"
[[policy]]
id = "p"
version = 1
scaling = {bucket_ms = 0, release_ms = "soon", relase_ms = 1}
"""
    with pytest.raises(BadInput) as caught:
        read_documents(text, "e.toml")
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        "site a: classes: Invalid enum value 'x' - at `$[0]`",
        "site a: lon_e7 9999999999 is beyond the date line",
        "site a: ingress_url must begin with http:// or https://",
        "link number 1: from_site and to_site are the same site",
        "policy p: scaling.relase_ms: no such field (did you mean release_ms?)",
        "policy p: scaling.release_ms: Expected `int`, got `str`",
        "policy p: scaling.window_ms 300000 must hold at least one bucket_ms 0",
    ]
