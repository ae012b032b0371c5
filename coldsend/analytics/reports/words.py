"""Numbers as people read them; the terminal and the HTML page use the same words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

LEAST = 0.01  # per cent: less is not shown as nothing


def count(number: int | None) -> str:
    """``12,345``; "" for None."""
    return "" if number is None else f"{number:,}"


def percent(share: float | None) -> str:
    """``1.3 %``; two digits below one per cent, where most of what matters lies; "" for None."""
    if share is None:
        return ""
    value = 100 * share
    if 0 < value < LEAST / 2:
        return f"< {LEAST} %"
    return f"{value:.2f} %" if 0 < value < 1 else f"{value:.1f} %"


def interval(found: Mapping[str, Any]) -> str:
    """``0.60 to 1.9 %``; "" where nothing is known."""
    if found["rate"] is None:
        return ""
    return f"{percent(found['low']).removesuffix(' %')} to {percent(found['high'])}"


def cell(value: Any) -> str:
    """A value of a table."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else ("yes" if value else "no")
    if isinstance(value, int):
        return count(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
