"""A small forecast of demand: Holt's linear trend over equal steps, believed only while it beats "as it is now".

Source of the guard: a forecaster counts only while its recent error is smaller than the naive one (DECISIONS 2.3).
All numbers are integers: thousandths of a replica.
"""

from __future__ import annotations

from typing import Final

from edge_control.inventory.tables import Row

_LEVEL_PERMILLE: Final = 500
_SLOPE_PERMILLE: Final = 300
_ERROR_PERMILLE: Final = 250
_STEPS_TO_TRUST: Final = 4
_MOST_TIMES: Final = 2


class Trend(Row):
    """Level and slope per step, and the smoothed errors of this forecast and of the naive one."""

    step: int = 0
    steps: int = 0
    level_milli: int = 0
    slope_milli: int = 0
    error_milli: int = 0
    naive_error_milli: int = 0
    last_milli: int = 0
    forming_milli: int = 0


def observe(trend: Trend, at_ms: int, demand_milli: int, step_ms: int) -> None:
    """Take the demand at a time; the greatest of a step counts when the next step begins."""
    step = at_ms // step_ms
    if step > trend.step:
        if trend.step:
            _close(trend, trend.forming_milli)
        trend.step, trend.forming_milli = step, demand_milli
    elif step == trend.step:
        trend.forming_milli = max(trend.forming_milli, demand_milli)


def ahead_milli(trend: Trend, horizon_ms: int, step_ms: int) -> int:
    """Demand expected after the horizon; 0 (no opinion) while the forecast is not the better one.

    Never more than twice the last measured demand: a trend does not explain more.
    """
    if trend.steps < _STEPS_TO_TRUST or trend.error_milli >= trend.naive_error_milli:
        return 0
    steps = max(1, -(-horizon_ms // step_ms))
    expected = trend.level_milli + trend.slope_milli * steps
    return max(0, min(expected, _MOST_TIMES * trend.last_milli))


def _close(trend: Trend, demand_milli: int) -> None:
    if trend.steps == 0:
        trend.level_milli = demand_milli
    else:
        expected = trend.level_milli + trend.slope_milli
        trend.error_milli += (abs(demand_milli - expected) - trend.error_milli) * _ERROR_PERMILLE // 1000
        naive = abs(demand_milli - trend.last_milli)
        trend.naive_error_milli += (naive - trend.naive_error_milli) * _ERROR_PERMILLE // 1000
        level = expected + (demand_milli - expected) * _LEVEL_PERMILLE // 1000
        moved = level - trend.level_milli
        trend.slope_milli += (moved - trend.slope_milli) * _SLOPE_PERMILLE // 1000
        trend.level_milli = level
    trend.steps += 1
    trend.last_milli = demand_milli
