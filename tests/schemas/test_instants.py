"""Times as text: every form that RFC 3339 allows is one number of milliseconds, every other is refused."""

from __future__ import annotations

import pytest

from schemas.errors import BadInput, Fault
from schemas.instants import from_rfc3339, to_rfc3339


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.5z", 500),
        ("1970-01-01 01:00:00.0019999999+01:00", 1),
        ("1969-12-31T23:59:59.999-00:00", -1),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2016-12-31T23:59:60.25Z", 1_483_228_800_250),
    ],
)
def test_a_time_is_read_in_every_form_of_the_standard(text: str, at_ms: int) -> None:
    assert from_rfc3339(text) == at_ms


@pytest.mark.parametrize(
    "text",
    ["", "now", "2018-04-05", "2018-04-05T03:56:24", "20180405T035624Z", "2018-W14-4T03:56:24Z", "2018-02-30T00:00:00Z",
     "2018-04-05T25:00:00Z", "2018-04-05T03:56:61Z", "2018-04-05T03:56:24+25:00", "٢٠١٨-04-05T03:56:24Z",
     "2018-04-05T03:56:24Z\n", "0000-01-01T00:00:00Z"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        from_rfc3339(text)
    assert caught.value.reason is Fault.BAD_TIME


def test_years_have_four_digits() -> None:
    assert to_rfc3339(-62_135_596_800_000) == "0001-01-01T00:00:00.000Z"
    with pytest.raises(BadInput, match="years 1 to 9999"):
        to_rfc3339(253_402_300_800_000)
