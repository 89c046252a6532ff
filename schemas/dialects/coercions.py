"""Every tolerated deviation by name, and every reason for which a good piece of a record is left where it is.

Both are counted by dialect and listed in docs/dialects.md, which is made from here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Coercion(StrEnum):
    """A deviation from the dialect's own rules, or a gap, that is read as if it were not there."""

    TIME_FROM_RECORD = "time-from-record"
    TIMESTAMP_UNIT = "timestamp-unit"
    TIMESTAMP_VS_TIME_STAMP = "timestamp-vs-timeStamp"
    TS_NANOSECONDS_CASE = "ts-nanoseconds-case"
    KEY_STRAY_QUOTE = "key-stray-quote"
    NUMBER_AS_STRING = "number-as-string"
    NUMBER_AS_NAME = "number-as-name"
    BOOL_AS_STRING = "bool-as-string"
    VALUE_AS_STRING = "value-as-string"
    INT64_AS_NUMBER = "int64-as-number"
    ENUM_AS_NAME = "enum-as-name"
    ENUM_AS_NUMBER = "enum-as-number"
    OBJECT_FOR_LIST = "object-for-list"
    ECGI_OBJECT_FOR_LIST = "ecgi-object-for-list"
    SCALAR_FOR_LIST = "scalar-for-list"
    LINKS_VS__LINKS = "links-vs-_links"
    LINK_AS_STRING = "link-as-string"
    OLD_ATTRIBUTE_NAME = "old-attribute-name"
    OLD_SCOPE_NAME = "old-scope-name"
    DELTA_TO_RATE = "delta-to-rate"
    MEMORY_FROM_STATES = "memory-from-states"
    CPU_TOTAL = "cpu-total"
    PCT_OF_CORES = "pct-of-cores"
    EVENTS_AS_ARRAY = "events-as-array"
    BARE_CLOUDEVENT = "bare-cloudevent"
    NODE_FROM_KEY = "node-from-key"
    INSTANCE_PORT = "instance-port"
    ZONE_FROM_SUBSCRIPTION = "zone-from-subscription"
    PRESENT_AS_ENTER = "present-as-enter"


class Unused(StrEnum):
    """Why a well-formed piece of a record became nothing."""

    OTHER_METRIC = "other-metric"
    OTHER_SERIES = "other-series"
    OTHER_EVENT = "other-event"
    NOT_RECORDED = "not-recorded"
    DELTA_COUNTER = "delta-counter"
    POSITION_ONLY = "position-only"


SENTENCES: Final[dict[Coercion, str]] = {
    Coercion.TIME_FROM_RECORD: "The payload names no time; the record's own is taken.",
    Coercion.TIMESTAMP_UNIT: "A time is in another unit than the dialect's default; its size tells s, ms, us and ns.",
    Coercion.TIMESTAMP_VS_TIME_STAMP: "`timestamp` where the standard says `timeStamp`, or the other way round.",
    Coercion.TS_NANOSECONDS_CASE: "`nanoseconds` where the standard says `nanoSeconds`.",
    Coercion.KEY_STRAY_QUOTE: "A key ends in a quotation mark that does not belong to it.",
    Coercion.NUMBER_AS_STRING: "A number is written as text.",
    Coercion.NUMBER_AS_NAME: "A name (a telephone number, an id) is written as a number.",
    Coercion.BOOL_AS_STRING: "True or false is written as text, also with a stray comma.",
    Coercion.VALUE_AS_STRING: "The sample's value is text, as this adapter always writes it.",
    Coercion.INT64_AS_NUMBER: "A 64-bit integer is a JSON number where protobuf's JSON mapping says text.",
    Coercion.ENUM_AS_NAME: "An enumeration is written by name where the standard says number.",
    Coercion.ENUM_AS_NUMBER: "An enumeration is written by number where the standard says name.",
    Coercion.OBJECT_FOR_LIST: "One object stands where the standard says a list of them.",
    Coercion.ECGI_OBJECT_FOR_LIST: "The target cell is one object where the standard says a list.",
    Coercion.SCALAR_FOR_LIST: "One number stands where the standard says a list of them.",
    Coercion.LINKS_VS__LINKS: "`links` or `link` where the standard says `_links`.",
    Coercion.LINK_AS_STRING: "A link is its bare text where the standard says an object with `href`.",
    Coercion.OLD_ATTRIBUTE_NAME: "An attribute has its name of before the stable conventions (`cpu`, `state`).",
    Coercion.OLD_SCOPE_NAME: "`instrumentationLibraryMetrics` stands for `scopeMetrics` (OTLP before 0.15).",
    Coercion.DELTA_TO_RATE: "A counter with delta temporality is read as the rate over its own interval.",
    Coercion.MEMORY_FROM_STATES: "The node's memory is inferred from its states, as no limit is reported.",
    Coercion.CPU_TOTAL: "Only the sum over all CPUs is reported; their number is taken from elsewhere.",
    Coercion.PCT_OF_CORES: "A CPU share of 0 to the number of cores is divided by that number.",
    Coercion.EVENTS_AS_ARRAY: "Several events stand in one JSON array, though Kafka knows no batch mode.",
    Coercion.BARE_CLOUDEVENT: "A CloudEvent in JSON comes without its content type.",
    Coercion.NODE_FROM_KEY: "The payload names no host; the record's key is the node's name.",
    Coercion.INSTANCE_PORT: "A scrape target `host:port` names the node; the port is cut off.",
    Coercion.ZONE_FROM_SUBSCRIPTION: "An area event names no zone; its subscription's id is the zone's name.",
    Coercion.PRESENT_AS_ENTER: "The terminal is said to be in the area; it is read as having entered.",
}

UNUSED_SENTENCES: Final[dict[Unused, str]] = {
    Unused.OTHER_METRIC: "A metric that no field of a node's sample needs.",
    Unused.OTHER_SERIES: "A series of a known metric that is not asked for: another mount point, a loopback interface.",
    Unused.OTHER_EVENT: "A known message without a movement, hand-over or session: zone status, QoS.",
    Unused.NOT_RECORDED: "A point that says it holds no value (a stale marker, a flag).",
    Unused.DELTA_COUNTER: "Growth without an interval, or of traffic, of which only totals are kept.",
    Unused.POSITION_ONLY: "Coordinates of a terminal without a zone or an area event.",
}
