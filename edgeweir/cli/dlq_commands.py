"""`edgeweir dlq list|show|replay`: what was refused, why, and sent again once its cause is mended."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import Annotated, Any, Final

import msgspec
import typer

from edgeweir.cli import configured
from edgeweir.cli.faults import CommandError, Exit
from edgeweir.cli.pausing import confirm
from edgeweir.cli.shown import note, print_json, print_table
from schemas.instants import to_rfc3339
from schemas.sections import KafkaSettings
from topics import catalogue as cat

group = typer.Typer(no_args_is_help=True, help="Dead letters: what was refused, why, and how to send it again.")
Bootstrap = Annotated[str | None, typer.Option(help="Brokers, host:port; default from the settings.")]
Since = Annotated[int, typer.Option("--since-s", min=1, help="How far to look back.")]
Reason = Annotated[str, typer.Option(help="Only this reason (schema, not-json, ...).")]
Topic = Annotated[str, typer.Option(help="Only what came on this topic.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line instead of a table.")]
DAY_S: Final = 86_400
_NOTE: Final = "dlq-"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter: its own place, origin and reason; `body` may be cut (`size_bytes` is not)."""

    id: str
    at_ms: int
    topic: str
    partition: str
    offset: str
    reason: str
    error: str
    sha256: str
    size_bytes: int
    key: bytes | None
    body: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def is_whole(self) -> bool:
        """Whether all original bytes are here."""
        return len(self.body or b"") == self.size_bytes


@group.command("list")
def list_letters(
    reason: Reason = "",
    topic: Topic = "",
    since_s: Since = DAY_S,
    bootstrap: Bootstrap = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List dead letters, oldest first, and count them by reason.

    Example: edgeweir dlq list --reason schema --since-s 3600
    """
    found = _read(bootstrap, since_s, reason, topic)
    if as_json:
        for letter in found:
            print_json(_shown(letter))
        return
    rows = [(one.id, to_rfc3339(one.at_ms), f"{one.topic}/{one.partition}/{one.offset}", one.reason) for one in found]
    print_table(("id", "at", "from", "reason"), rows)
    counts = Counter(letter.reason for letter in found)
    note(", ".join(f"{count} {name}" for name, count in counts.most_common()) or "no dead letters")


@group.command("show")
def show_letter(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="PARTITION/OFFSET as `list` prints it.")],
    since_s: Since = DAY_S,
    bootstrap: Bootstrap = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter with its original headers and bytes.

    Example: edgeweir dlq show 3/17
    """
    letter = _one(_read(bootstrap, since_s, "", ""), letter_id, since_s)
    if as_json:
        print_json(_shown(letter) | {"body": _text(letter.body), "headers": {n: _text(v) for n, v in letter.headers}})
        return
    for name, value in _shown(letter).items():
        _line(f"{name:<10} {value}")
    for name, value in letter.headers:
        _line(f"header     {name}: {_text(value)}")
    _line(
        f"body       {_text(letter.body)}" + ("" if letter.is_whole else f"  (cut: {letter.size_bytes} bytes in all)")
    )


@group.command("replay")
def replay_letters(
    letter_id: Annotated[str, typer.Argument(metavar="[ID]", help="One of them; else all that the options name.")] = "",
    reason: Reason = "",
    topic: Topic = "",
    since_s: Since = DAY_S,
    bootstrap: Bootstrap = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Send dead letters again to the topic that they came on, byte for byte; what is still bad comes back here.

    Example: edgeweir dlq replay --reason unknown-type --yes
    """
    found = _read(bootstrap, since_s, reason, topic)
    chosen = [_one(found, letter_id, since_s)] if letter_id else found
    cut = [letter.id for letter in chosen if not letter.is_whole]
    if cut:
        raise CommandError(f"{len(cut)} letters hold only a part of their record: {', '.join(cut[:5])}", Exit.REFUSED)
    if not chosen:
        raise CommandError("no dead letters to send again", Exit.NOT_FOUND)
    confirm(f"send {len(chosen)} records again", yes=yes)
    asyncio.run(_send(configured.kafka(bootstrap), chosen))
    note(f"{len(chosen)} records sent again")


def _read(bootstrap: str | None, since_s: int, reason: str, topic: str) -> list[Letter]:
    letters = asyncio.run(_letters(configured.kafka(bootstrap), since_s))
    return [
        letter for letter in letters if (not reason or letter.reason == reason) and (not topic or letter.topic == topic)
    ]


async def _letters(settings: KafkaSettings, since_s: int) -> list[Letter]:
    from topics.connect import Connect  # a client costs 0.2 s to import
    from topics.tail import tail  # as above

    found = [
        _letter(record) async for record in tail(Connect(settings), [cat.DEAD_LETTER], since_s=since_s, until_end=True)
    ]
    return sorted(found, key=lambda letter: letter.at_ms)


def _letter(record: Any) -> Letter:
    said = {
        name.removeprefix(_NOTE): (value or b"").decode(errors="replace")
        for name, value in record.headers
        if name.startswith(_NOTE)
    }
    size = said.get("bytes", "")
    return Letter(
        id=f"{record.partition}/{record.offset}",
        at_ms=record.timestamp,
        **{name: said.get(name, "") for name in ("topic", "partition", "offset", "reason", "error", "sha256")},
        size_bytes=int(size) if size.isdecimal() else len(record.value or b""),
        key=record.key,
        body=record.value,
        headers=tuple((name, value) for name, value in record.headers if not name.startswith(_NOTE)),
    )


def _one(found: list[Letter], letter_id: str, since_s: int) -> Letter:
    for letter in found:
        if letter.id == letter_id:
            return letter
    raise CommandError(f"no dead letter {letter_id} in the last {since_s} s; edgeweir dlq list", Exit.NOT_FOUND)


async def _send(settings: KafkaSettings, letters: list[Letter]) -> None:
    from topics.connect import Connect  # a client costs 0.2 s to import

    connect = Connect(settings)
    unknown = sorted({letter.topic for letter in letters} - set(cat.BY_NAME))
    if unknown:
        raise CommandError(f"no topic of the catalogue: {', '.join(unknown)}", Exit.REFUSED)
    producer = connect.producer("edgeweir-dlq")
    await producer.start()
    try:
        sent = [
            await producer.send(
                connect.name(cat.BY_NAME[letter.topic]), letter.body, key=letter.key, headers=list(letter.headers)
            )
            for letter in letters
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def _shown(letter: Letter) -> dict[str, Any]:
    names = ("id", "at_ms", "topic", "partition", "offset", "reason", "error", "sha256", "size_bytes")
    return {name: getattr(letter, name) for name in names} | {"key": _text(letter.key)}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def _line(text: str) -> None:
    sys.stdout.write("".join(sign if sign.isprintable() else "?" for sign in text) + "\n")
