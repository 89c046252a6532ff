"""Files that a person names: read as text, or one sentence why not."""

from __future__ import annotations

from pathlib import Path

from edgeweir.cli.faults import CommandError, Exit


def read_text(path: Path) -> str:
    """The file's text; CommandError for what is no file, may not be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 (byte {error.start}); nothing was taken", Exit.USAGE) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CommandError(f"{path} cannot be read: {why}", Exit.MISSING) from None
