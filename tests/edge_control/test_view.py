"""What a worker's view makes of estate records that change or go."""

from __future__ import annotations

from edge_control.inventory.view import View
from schemas import estate
from schemas.inventory import Health, RegionInventory, SiteHealth
from topics import catalogue as cat


def site(name: str, region: str) -> estate.Site:
    return estate.Site(id=name, region=region, tier=estate.Tier.ACCESS, lat_e7=0, lon_e7=0)


def members(view: View) -> dict[str, list[str]]:
    return {region: sorted(sites) for region, sites in view.sites_of_region.items() if sites}


def test_a_site_that_changes_its_region_is_a_member_of_the_new_one_only() -> None:
    view = View()
    view.apply(cat.ESTATE, "site/a", site("a", "bay"), 0)
    view.apply(cat.ESTATE, "site/a", site("a", "north"), 1)
    assert members(view) == {"north": ["a"]}


def test_a_node_that_goes_takes_no_site_of_the_same_name_with_it() -> None:
    view = View()
    view.apply(cat.ESTATE, "site/a", site("a", "bay"), 0)
    view.apply(cat.ESTATE, "node/a", None, 1)
    assert members(view) == {"bay": ["a"]}
    view.apply(cat.ESTATE, "site/a", None, 2)
    assert (members(view), view.sites) == ({}, {})


def region(name: str, health: Health) -> RegionInventory:
    row = SiteHealth(site_id="a", health=health, since_ms=0)
    return RegionInventory(region_id=name, generation=1, as_of_ms=0, sites=(row,))


def test_only_its_own_region_has_a_word_on_a_site_whichever_row_is_read_first() -> None:
    rows = [
        (cat.ESTATE, "site/a", site("a", "north")),
        (cat.ESTATE, "site/a", site("a", "south")),
        (cat.INVENTORY, "south", region("south", Health.ALIVE)),
        (cat.INVENTORY, "north", region("north", Health.DEAD)),
    ]
    for order in ((0, 1, 2, 3), (0, 1, 3, 2), (3, 2, 0, 1), (2, 0, 3, 1)):
        view = View()
        for number in order:
            view.apply(*rows[number], 0)
        assert view.health_of("a") is Health.ALIVE, order


def test_a_revision_grows_with_what_changes_and_says_which_collection_did() -> None:
    view = View()
    view.apply(cat.ESTATE, "site/a", site("a", "bay"), 0)
    before = (view.revision, view.revision_of("sites", "policies"), view.revision_of("apps"))
    view.apply(cat.POLICY, "policy/p", None, 1)
    assert (view.revision, view.revision_of("sites", "policies")) == (before[0] + 1, before[1] + 1)
    assert view.revision_of("apps") == before[2] == 0
