"""Writes docs/dialects.md: coercions, reasons and field maps of the foreign formats, from their own tables."""

from __future__ import annotations

from pathlib import Path

from schemas.dialects.reference import page

PAGE = Path(__file__).resolve().parents[1] / "docs" / "dialects.md"

if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
