"""Strange but well-formed messages for the four real controllers: extreme numbers, odd texts, forged references."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from msgspec import inspect

from edge_control.controllers.events import Tick
from edge_control.inventory.tables import Table
from schemas import wire
from schemas.base import Message
from schemas.cloudevents import Envelope, headers
from schemas.registry import TYPES, full_type
from streams.app import controller_types
from streams.engine.decode import owner_of
from streams.engine.envelopes import Speaker
from streams.engine.frames import Entry
from streams.engine.partition import Partition, Portion, keyspaces_of
from streams.viewfold import ViewFold
from tests.streams.inputs import NOW, In
from topics.catalogue import BY_NAME, CATALOGUE, DEAD_LETTER, ESTATE, INPUTS, POLICY, VIEWS, Keyspace, Topic
from topics.keys import key_of_declared

NAMES = {
    "site_id": ("s1", "s2", "s3"), "site": ("s1", "s2", "s3"), "to_site": ("s1", "s2"), "at_site": ("s1", "s2"),
    "app_id": ("a1", "a2"), "region_id": ("r1",), "region": ("r1",), "terminal_id": ("t1", "t2"), "zone": ("z1", "z2"),
    "zone_id": ("z1", "z2"), "node_id": ("n1", "n2"), "session_id": ("u1", "u2"),
    "resource_id": ("a1@s1", "a1@s2", "a2@s1", "u1", "u2", "t1", "t1/a1"),
}  # fmt: skip
OWNED = {
    Keyspace.SITE: "site_id",
    Keyspace.TERMINAL: "terminal_id",
    Keyspace.APP: "app_id",
    Keyspace.REGION: "region_id",
}
TEXTS = ("", "b", "b2", "x" * 4000, "é\0\u2028", " ", "../../etc", '"\\')
ANY: tuple[Any, ...] = (None, 1, -1, 2**62, 2**70, -(2**70), 1e308, "x", [1], {"a": {"b": []}}, True)
STEPS_MS = (0, 10, 200, 1_000, 5_000, 5_000, 30_000, 600_000, 3_600_000)
LONGEST = "A" * 200


class Strange:
    """Makes messages that their schema takes; `extreme` is the share of numbers from the ends of their range."""

    def __init__(self, dice: random.Random, extreme: float) -> None:
        self.dice, self.extreme = dice, extreme
        self.known: list[str] = []

    def message(self, kind: type[Any]) -> Any:
        """One message, its optional fields given or not."""
        fields = inspect.type_info(kind).fields  # type: ignore[attr-defined]  # messages are structs
        given = [field for field in fields if field.required or self.dice.random() < 0.6]
        return kind(**{field.name: self.value(field.type, field.name) for field in given})

    def value(self, kind: inspect.Type, name: str) -> Any:
        """One value of a field's type."""
        dice = self.dice
        match kind:
            case inspect.StructType():
                return self.message(kind.cls)
            case inspect.IntType():
                return self._number(kind, name)
            case inspect.StrType():
                return self._text(kind, name)
            case inspect.UnionType():
                return self.value(dice.choice(kind.types), name)
            case inspect.VarTupleType():
                return tuple(self.value(kind.item_type, name.rstrip("s")) for _ in range(dice.choice((0, 1, 1, 3))))
            case inspect.DictType():
                count = dice.choice((0, 1, 3))
                return {self.value(kind.key_type, ""): self.value(kind.value_type, "") for _ in range(count)}
            case inspect.EnumType():
                return dice.choice(list(kind.cls))
            case inspect.BoolType():
                return dice.random() < 0.5
            case inspect.AnyType():
                return dice.choice(ANY)
            case inspect.NoneType():
                return None
            case _:
                raise TypeError(kind)

    def _number(self, kind: inspect.IntType, name: str) -> int:
        low, high = kind.ge if kind.ge is not None else -(2**63), kind.le if kind.le is not None else 2**63 - 1
        dice = self.dice
        if dice.random() < self.extreme:
            found = dice.choice((low, high, low + 1, high - 1, 2**31, 2**40, NOW * 1000, NOW * 10**6))
        elif name.endswith("_ms") and high > NOW and dice.random() < 0.6:
            found = NOW + dice.randrange(-100_000, 100_000)
        else:
            found = dice.choice((0, 1, 2, 5, 10, 100, 1_000, 5_000, dice.randrange(100_000)))
        return int(max(low, min(high, found)))

    def _text(self, kind: inspect.StrType, name: str) -> str:
        dice = self.dice
        if kind.pattern and "site|terminal" in kind.pattern:
            return dice.choice(list(Keyspace)).value
        if not kind.pattern:
            return dice.choice(("all", "site/s1", "app/a1", "")) if name == "scope" else dice.choice(TEXTS)
        if not kind.min_length and dice.random() < 0.2:
            return ""
        if self.known and name in {"request_id", "reservation_id", "command_id", "decision_id"} and dice.random() < 0.8:
            return dice.choice(self.known)
        return dice.choice(NAMES.get(name, ("s1", "a1", "t1", "r1", "n1", "u1"))) if dice.random() < 0.97 else LONGEST


class StrangeWorld:
    """One partition of the four real controllers, a view, and their own outputs coming back to them."""

    def __init__(self, seed: int, extreme: float) -> None:
        self.dice = random.Random(seed)
        self.strange = Strange(self.dice, extreme)
        kinds = controller_types()
        speaker = Speaker(partition=0, partitions=1, incarnation=1, epoch=1)
        self.part = Partition(speaker, {space: kinds[space](0) for space in kinds})
        self.views = ViewFold(dict.fromkeys(VIEWS, 1))
        self.now_ms, self.offsets, self.waiting = NOW, Counter[str](), list[Entry]()
        self.topics = [topic for topic in CATALOGUE if topic in INPUTS or topic.view]
        self.dead = 0
        self.kinds = {prefix: table.row_type for prefix, table in self.part.named_tables}

    def step(self) -> None:
        """One tick, one of the controllers' own outputs, or one strange message; then everything must hold."""
        self.now_ms += self.dice.choice(STEPS_MS)
        chance = self.dice.random()
        if self.waiting and chance < 0.35:
            entry = self.waiting.pop(0)
            self.feed(BY_NAME[entry.topic], entry.key, entry.value, entry.headers)
        elif chance < 0.55:
            for space, controller in self.part.controllers.items():
                self.part.tick(
                    space, Tick(self.now_ms, 0, self.dice.choice((0, 10**9)), 0), self.views.view, controller.handle
                )
        else:
            self.say(self.dice.choice(self.topics))
        self.check()
        self.send()

    def say(self, topic: Topic) -> None:
        """One strange message onto a topic, mostly under the key that fits."""
        name = self.dice.choice(topic.types)
        body: Message = self.strange.message(TYPES[name])
        space = topic.keyspace or (self.dice.choice(list(Keyspace)) if topic.shared else None)
        envelope = Envelope(
            id=f"{topic.name}/{self.offsets[topic.name]}", source="/stranger", type=full_type(name), time_ms=1,
            keyspace=space.value if space and topic.shared else "", sequence=self.dice.choice((None, 1, 10**19)),
        )  # fmt: skip
        value = None if topic.row and self.dice.random() < 0.05 else wire.encode_json(body)
        self.feed(topic, self._key(topic, space, body).encode(), value, tuple(headers(envelope)))

    def feed(self, topic: Topic, key: bytes | None, value: bytes | None, said: Any) -> None:
        """One record: the view and every controller of the topic get it."""
        offset = self.offsets[topic.name]
        self.offsets[topic.name] += 1
        stamped = 1 if topic.log_append_time else 0
        record = In(
            offset=offset,
            key=key,
            value=value,
            headers=said,
            partition=0,
            timestamp=self.now_ms,
            timestamp_type=stamped,
        )
        if topic.view:
            self.views.apply([(topic, record)])
        for space in keyspaces_of(topic) if topic in INPUTS else ():
            records = [record] if owner_of(topic, record) is space else []
            portion = Portion(space, topic, records, offset)
            self.part.fold(portion, self.now_ms, self.views.view, lambda c, event, view: c.handle(event, view))

    def check(self) -> None:
        """Invariants hold, and every changed row can be read again after a takeover."""
        for controller in self.part.controllers.values():
            controller.validate()
        for prefix, table in self.part.named_tables:
            rows, removed = table.take_changes()
            again = Table(table.name, self.kinds[prefix])
            again.load_all(rows)
            assert all(again.get(key) is not None for key in rows), prefix
            assert not any(key in table for key in removed), prefix

    def send(self) -> None:
        """What the controllers said must be readable for whoever gets it, and comes back to them."""
        fresh, self.part.fresh = self.part.fresh, []
        self.part.folded, self.part.removed = [], []
        self.part.outbox.clear()
        for _, entry, _ in fresh:
            if entry.topic == DEAD_LETTER.name:
                self.dead += 1
                continue
            if entry.value is not None:
                kind = next(value for name, value in entry.headers if name == "ce_type" and value).decode()
                said = wire.decode(TYPES[kind.removeprefix("io.edgeweir.")], entry.value)
                self.strange.known += [
                    v for n in ("request_id", "command_id", "decision_id") if (v := getattr(said, n, ""))
                ]
                del self.strange.known[:-40]
            if BY_NAME[entry.topic] in self.topics:
                self.waiting.append(entry)

    def _key(self, topic: Topic, space: Keyspace | None, body: Message) -> str:
        if topic in (ESTATE, POLICY):
            return key_of_declared(body)
        if space is not None:
            wanted: str = getattr(body, OWNED[space], "")
            return wanted if wanted and self.dice.random() < 0.95 else self.dice.choice(NAMES[OWNED[space]])
        return str(next(filter(None, (getattr(body, name, "") for name in ("site_id", "app_id", "region_id")))))
