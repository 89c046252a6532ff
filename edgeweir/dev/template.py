"""The formatted, empty data folder of a broker: made once by Kafka's own tool, copied for every run (3 ms)."""

import base64
import contextlib
import shutil
import tempfile
import uuid
from pathlib import Path

from edgeweir.dev.errors import NoAnswer
from edgeweir.dev.kit import STORAGE_TOOL, Kit, Size, clean_environ
from edgeweir.dev.ports import any_pair
from edgeweir.dev.runs import Rank, Run
from edgeweir.dev.server_properties import render


async def lay_out(run: Run, kit: Kit, data: Path) -> None:
    """Put a formatted data folder at `data`; ports live in server.properties, so one template serves all."""
    template = kit.cache / "template"
    if not template.exists():
        await _make(run, kit, template)
    shutil.copytree(template, data)


async def _make(run: Run, kit: Kit, template: Path) -> None:
    template.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=template.parent, prefix="template-") as draft:
        data = Path(draft) / "data"
        settings = Path(draft) / "server.properties"
        settings.write_text(render(any_pair(), data, {}))
        await _format(run, kit, settings)
        # Another run may have been faster: its template is as good.
        with contextlib.suppress(OSError):
            data.rename(template)


async def _format(run: Run, kit: Kit, settings: Path) -> None:
    arguments = ["format", "-t", _cluster_id(), "-c", str(settings)]
    command = kit.command(STORAGE_TOOL, arguments, flags=kit.archive_use(Size.SMALL))
    tool = run.start("kafka-format", command, rank=Rank.BROKER, env=clean_environ())
    code = await tool.wait()
    if code != 0:
        raise NoAnswer(f"Kafka's storage tool ended with exit code {code}", tool.tail())


def _cluster_id() -> str:
    """Kafka's form of a UUID: URL-safe base64 of its 16 bytes without padding, never with a leading dash."""
    raw = uuid.uuid4().bytes
    # The tool would take a leading dash for an option, as it did once: the first six bits stay below those of "-".
    return base64.urlsafe_b64encode(bytes([raw[0] & 0x7F]) + raw[1:]).decode().rstrip("=")
