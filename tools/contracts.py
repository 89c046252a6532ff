"""Writes the generated contract: schemas/schemas.lock.json, docs/asyncapi.json and docs/events.md.

Refuses to renew the lock over a change that users of the contract would notice as a break (CONTRACTS 8).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from schemas.contract import incompatible, lock
from topics.asyncapi import document
from topics.reference import reference

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "schemas" / "schemas.lock.json"


def made() -> dict[Path, str]:
    """Every generated file with its content."""
    return {
        LOCK: _json(lock()),
        ROOT / "docs" / "asyncapi.json": _json(document()),
        ROOT / "docs" / "events.md": reference(),
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=False) + "\n"


def main() -> None:
    """Write all, or say what breaks the contract and write nothing."""
    if LOCK.exists() and (faults := incompatible(json.loads(LOCK.read_text("utf-8")), lock())):
        sys.exit("the contract would break; give the type a new version instead:\n  " + "\n  ".join(faults))
    for path, text in made().items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
