"""MEC location servers and CAMARA notifications speak of terminals: movements, hand-overs and sessions of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.dialects.coercions import Coercion, Unused
from schemas.dialects.harvest import Harvest, Raw
from schemas.dialects.identity import terminal_name
from schemas.dialects.readers import read
from schemas.errors import BadInput, Fault
from schemas.location import LocationEvent, Mobility, Movement, RadioEvent, SessionEvent

AT_MS = 1_700_000_000_000
STAMP = {"seconds": 1_600_000_000, "nanoSeconds": 250_000_000}


def told(value: object, dialect: str = "mec", content_type: bytes = b"") -> Harvest:
    """What a reader makes of a body; terminals keep their plain address."""
    raw = Raw(value=json.dumps(value).encode(), at_ms=AT_MS, headers={"content-type": content_type})
    return read(dialect, raw)


def refused(value: object, dialect: str = "mec") -> Fault:
    """The reason why a body is refused."""
    with pytest.raises(BadInput) as refusal:
        told(value, dialect)
    assert "203.0.113" not in refusal.value.detail
    return refusal.value.reason


def presence(**more: Any) -> dict[str, Any]:
    """A v2 notification of a user who enters a zone."""
    body = {"address": "acr:203.0.113.9", "zoneId": "plaza", "userEventType": "Entering", "timestamp": STAMP} | more
    return {"zonalPresenceNotification": body}


def moved(**more: Any) -> dict[str, Any]:
    """A v3 notification of a user who enters a zone."""
    return {
        "notificationType": "UserLocationEventNotification",
        "address": "acr:203.0.113.9",
        "zoneId": "plaza",
        "userLocationEvent": "ENTERING_AREA_EVENT",
        "timeStamp": STAMP,
    } | more


def location(harvest: Harvest) -> LocationEvent:
    """The one movement."""
    (event,) = harvest.events
    assert isinstance(event, LocationEvent)
    return event


def test_both_versions_tell_the_same_movement() -> None:
    old, new = location(told(presence())), location(told(moved()))
    for event in (old, new):
        assert (event.terminal_id, event.zone_id, event.event) == ("203.0.113.9", "plaza", Movement.ENTER)
        assert event.observed_at_ms == 1_600_000_000_250
    assert (old.dialect, new.dialect) == ("mec013v2", "mec013v3")
    assert not told(presence()).coercions
    assert not told(moved()).coercions


def test_a_terminal_is_named_by_a_keyed_hash_of_its_address_whatever_the_scheme() -> None:
    names = {terminal_name(address, b"salt") for address in ("203.0.113.9",)}
    for address in ("acr:203.0.113.9", "203.0.113.9", "ip:203.0.113.9"):
        raw = Raw(
            value=json.dumps(moved(address=address)).encode(),
            at_ms=AT_MS,
            terminal_name=lambda plain: terminal_name(plain, b"salt"),
        )
        event = location(read("mec", raw))
        names.add(event.terminal_id)
    assert len(names) == 1
    assert "203" not in names.pop()


@pytest.mark.parametrize(
    ("change", "coercion"),
    [
        ({"timeStamp": {"seconds": "1600000000", "nanoSeconds": 0}}, Coercion.NUMBER_AS_STRING),
        ({"timeStamp": {"seconds": 1600000000, "nanoseconds": 0}}, Coercion.TS_NANOSECONDS_CASE),
        ({"timeStamp": {"seconds": 1600000000, 'nanoSeconds"': 0}}, Coercion.KEY_STRAY_QUOTE),
        ({"timeStamp": None, "timestamp": STAMP}, Coercion.TIMESTAMP_VS_TIME_STAMP),
        ({"timeStamp": None}, Coercion.TIME_FROM_RECORD),
        ({"userLocationEvent": "PRESENT_IN_AREA_EVENT"}, Coercion.PRESENT_AS_ENTER),
        ({"zoneId": "", "_links": {"subscription": {"href": "http://a/subs/plaza"}}}, Coercion.ZONE_FROM_SUBSCRIPTION),
        ({"zoneId": "", "links": {"subscription": {"href": "http://a/subs/plaza"}}}, Coercion.LINKS_VS__LINKS),
        ({"zoneId": "", "_links": {"subscription": "plaza"}}, Coercion.LINK_AS_STRING),
        ({"locationInfo": {"latitude": 1.5, "longitude": 2.5}}, Coercion.SCALAR_FOR_LIST),
    ],
)
def test_a_known_deviation_is_read_and_has_a_name(change: dict[str, Any], coercion: Coercion) -> None:
    brought = told(moved(**change))
    assert coercion in brought.coercions
    assert location(brought).zone_id == "plaza"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"timeStamp": "sample string"}, Fault.SCHEMA),
        ({"timeStamp": {"seconds": -5, "nanoSeconds": 0}}, Fault.BAD_TIME),
        ({"timeStamp": {"seconds": 10**18, "nanoSeconds": 0}}, Fault.BAD_TIME),
        ({"timeStamp": {"seconds": 5, "nanoSeconds": 10**12}}, Fault.BAD_TIME),
        ({"timeStamp": {}}, Fault.BAD_TIME),
        ({"address": ""}, Fault.NO_TERMINAL_IDENTITY),
        ({"zoneId": "no id"}, Fault.SCHEMA),
        ({"zoneId": ""}, Fault.SCHEMA),
        ({"userLocationEvent": "FLYING"}, Fault.SCHEMA),
        ({"notificationType": "WeatherNotification"}, Fault.UNKNOWN_TYPE),
    ],
)
def test_what_says_nothing_certain_is_refused(change: dict[str, Any], reason: Fault) -> None:
    assert refused(moved(**change)) is reason


def test_a_place_off_the_earth_is_left_out() -> None:
    assert location(told(moved(locationInfo={"latitude": [91.0], "longitude": [2.5]}))).geo is None


def test_rows_of_users_say_where_they_are() -> None:
    user = {"address": "acr:203.0.113.9", "zoneId": "plaza", "accessPointId": "ap1", "timestamp": STAMP}
    brought = told({"userList": {"user": [user] * 2_000, "resourceURL": "http://a/users"}})
    assert len(brought.events) == 2_000
    assert set(brought.coercions) == {Coercion.PRESENT_AS_ENTER}
    assert refused({"userList": {"user": [user] * 3_000}}) is Fault.TOO_MANY_PARTS


def change_of_cell(**more: Any) -> dict[str, Any]:
    """A hand-over in preparation."""
    cell = {"plmn": {"mcc": "001", "mnc": "01"}, "cellId": "A"}
    return {
        "notificationType": "CellChangeNotification",
        "associateId": [{"type": 1, "value": "203.0.113.9"}],
        "srcEcgi": cell,
        "trgEcgi": [cell | {"cellId": "B"}],
        "hoStatus": 1,
        "timeStamp": STAMP,
    } | more


def test_a_hand_over_names_its_cells() -> None:
    (event,) = told(change_of_cell()).events
    assert isinstance(event, RadioEvent)
    assert (event.src_cell, event.trg_cells, event.ho_status) == ("00101-A", ("00101-B",), 1)
    named = told(change_of_cell(hoStatus="COMPLETED", associateId={"type": "UE_IPv4_ADDRESS", "value": "203.0.113.9"}))
    assert set(named.coercions) == {Coercion.ENUM_AS_NAME, Coercion.OBJECT_FOR_LIST}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hoStatus": 0}, Fault.SCHEMA),
        ({"hoStatus": 9}, Fault.SCHEMA),
        ({"hoStatus": "SOON"}, Fault.SCHEMA),
        ({"associateId": []}, Fault.NO_TERMINAL_IDENTITY),
        ({"associateId": [{"type": 1, "value": "somevalue"}]}, Fault.NO_TERMINAL_IDENTITY),
        ({"associateId": [{"type": 4, "value": "203.0.113.9"}]}, Fault.NO_TERMINAL_IDENTITY),
        ({"trgEcgi": [{"plmn": {"mcc": "1", "mnc": "1"}, "cellId": "A"}] * 3_000}, Fault.SCHEMA),
        ({"srcEcgi": {"plmn": {"mcc": "1", "mnc": "1"}, "cellId": "A" * 500}}, Fault.SCHEMA),
    ],
)
def test_a_hand_over_of_nobody_or_to_nowhere_is_refused(change: dict[str, Any], reason: Fault) -> None:
    assert refused(change_of_cell(**change)) is reason


def test_a_registration_is_a_session_of_each_terminal() -> None:
    device = {"associateId": {"type": 2, "value": "2001:0DB8::0009"}, "appMobilityServiceLevel": 1}
    brought = told({"serviceConsumerId": {"appInstanceId": "video", "mepId": "bay-7"}, "deviceInformation": [device]})
    (event,) = brought.events
    assert isinstance(event, SessionEvent)
    assert (event.terminal_id, event.app_id, event.at_site) == ("2001:db8::9", "video", "bay-7")
    assert event.mobility is Mobility.NOT_ALLOWED
    assert Coercion.ENUM_AS_NUMBER in brought.coercions


def cloud_event(what: str, data: object, **more: object) -> dict[str, Any]:
    """A CAMARA event."""
    return {
        "specversion": "1.0", "id": "1", "source": "s", "type": f"org.camaraproject.{what}",
        "time": "2020-09-13T12:26:40.250Z", "data": data,
    } | more  # fmt: skip


def crossing(**device: object) -> dict[str, Any]:
    """An area event's data."""
    area = {"areaType": "CIRCLE", "center": {"latitude": 50.5, "longitude": 7.25}, "radius": 2_000}
    return {"subscriptionId": "plaza", "device": device, "area": area}


def test_a_geofence_is_a_zone_and_its_centre_a_place() -> None:
    entered = cloud_event(
        "geofencing-subscriptions.v0.area-entered", crossing(ipv4Address={"publicAddress": "203.0.113.9"})
    )
    brought = told(entered, "camara", b"application/cloudevents+json")
    event = location(brought)
    assert (event.terminal_id, event.zone_id, event.event) == ("203.0.113.9", "plaza", Movement.ENTER)
    assert event.observed_at_ms == 1_600_000_000_250
    assert event.geo is not None
    assert (event.geo.lat_e7, event.geo.lon_e7, event.geo.accuracy_m) == (505_000_000, 72_500_000, 2_000)
    assert set(brought.coercions) == {Coercion.ZONE_FROM_SUBSCRIPTION}


def test_a_telephone_number_is_one_name_however_it_is_written() -> None:
    names = set()
    for number in ("+49123456789", 49123456789, "tel:+49 123 456789"):
        left = cloud_event("geofencing-subscriptions.v1.area-left", crossing(phoneNumber=number))
        names.add(location(told(left, "camara")).terminal_id)
    assert names == {"+49123456789"}


def test_quality_on_demand_is_read_and_counted() -> None:
    said = {"sessionId": "3fa85f64", "qosStatus": "UNAVAILABLE", "statusInfo": "NETWORK_TERMINATED"}
    brought = told(cloud_event("quality-on-demand.v1.qos-status-changed", said), "camara")
    assert brought.unused == {Unused.OTHER_EVENT: 1}
    odd = said | {"qosStatus": "sample string"}
    assert refused(cloud_event("quality-on-demand.v1.qos-status-changed", odd), "camara") is Fault.SCHEMA


def test_an_event_of_another_api_or_without_a_device_is_refused() -> None:
    assert refused(cloud_event("population-density.v1.ready", {}), "camara") is Fault.UNKNOWN_TYPE
    entered = cloud_event("geofencing-subscriptions.v0.area-entered", crossing())
    assert refused(entered, "camara") is Fault.NO_TERMINAL_IDENTITY
    late = cloud_event("geofencing-subscriptions.v0.area-entered", crossing(phoneNumber="+4912345"), time="noon")
    assert refused(late, "camara") is Fault.BAD_TIME
