"""Disruption budgets as token buckets in thousandths: a token counts as spent when it is leased (PROCEDURES 6)."""

from __future__ import annotations

from edge_control.inventory.tables import Row


class Bucket(Row, kw_only=True):
    """Tokens left, when that was true, at what rate they grow, and what was ever leased."""

    tokens_milli: int
    at_ms: int
    rate_milli_per_s: int = 0
    leased: int = 0


def refill(bucket: Bucket, rate_milli_per_s: int, burst: int, now_ms: int) -> None:
    """Let time add tokens, up to the burst; time never runs backwards."""
    bucket.rate_milli_per_s = rate_milli_per_s
    passed_ms = max(0, now_ms - bucket.at_ms)
    grown = passed_ms * rate_milli_per_s // 1000
    if grown or bucket.tokens_milli >= burst * 1000:
        bucket.tokens_milli = min(burst * 1000, bucket.tokens_milli + grown)
        bucket.at_ms = max(bucket.at_ms, now_ms)


def lease(bucket: Bucket, amount: int) -> int:
    """Take up to `amount` whole tokens; how many were given."""
    given = min(amount, bucket.tokens_milli // 1000)
    bucket.tokens_milli -= given * 1000
    bucket.leased += given
    return given
