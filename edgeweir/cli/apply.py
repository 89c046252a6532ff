"""`edgeweir apply -f FILE`: estate, apps and policies onto their topics, whole or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edgeweir.cli import configured
from edgeweir.cli.faults import CommandError, Exit
from edgeweir.cli.files import read_text
from edgeweir.cli.shown import note, print_table
from schemas.documents import Document, read_documents
from schemas.sections import KafkaSettings
from topics.publish import publish


def apply_documents(file: Path, bootstrap: str | None, *, only_plan: bool) -> None:
    """Check the whole file, then write it; every fault is listed and nothing written when there is any."""
    documents = read_documents(read_text(file), file.name)
    if not documents:
        raise CommandError(f"{file} says nothing: write [[site]], [[app]], [[policy]], ...", Exit.USAGE)
    if only_plan:
        print_table(("kind", "key"), [(document.kind, document.key) for document in documents])
        return
    asyncio.run(_write(configured.kafka(bootstrap), documents))
    note(f"{len(documents)} items written")


async def _write(settings: KafkaSettings, documents: list[Document]) -> None:
    from topics.connect import Connect  # a client costs 0.2 s to import

    await publish(Connect(settings), documents)
