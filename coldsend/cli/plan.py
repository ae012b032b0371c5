"""What ``campaign plan`` shows: a table of days, when it ends, and what will not go out."""

from __future__ import annotations

from datetime import date
from shlex import quote
from typing import Any

from coldsend.cli.context import Run

_MOST_SERVICES = 6  # more columns than that are no table any more


def show(run: Run, found: dict[str, Any]) -> None:
    """The document of planning/forecast.py for people."""
    out = run.out
    days = found["days"]
    names = sorted({name for day in days for name in day["by_service"]})
    wide = len(names) <= _MOST_SERVICES
    columns = {"day": "DAY", "sends": "SENDS#", "new": "NEW#", "follow_ups": "FOLLOW-UPS#"}
    columns |= {f"service {name}": f"{name}#" for name in names} if wide else {"services": "BY SERVICE"}
    columns |= {"limits": "LIMITED BY"}
    rows = [_row(day) for day in days]
    if rows or not any(assumed.startswith("nothing") for assumed in found["assumes"]):
        out.table(rows, columns, empty="nothing goes out")
    if found["ends"] is not None:
        out.console.print()
        ends = f"{found['ends']:%a %Y-%m-%d %H:%M} {found['time_zone']}"
        out.plain(f"{found['sends']:,} messages in all, the last about {ends}")
    elif found["later"]:
        out.console.print()
        out.plain(f"{found['sends']:,} messages on these days, {found['later']:,} or more after them")
    if found["unknown"]:
        out.plain(
            f"{found['unknown']:,} may have been delivered and are not sent again by themselves: "
            f"coldsend unknown list {quote(found['campaign'])}"
        )
    if found["not_sent"]:
        out.console.print("\n[dim]not sent[/]")
        reasons = [{**one, "shown": f"{one['count']:,}"} for one in found["not_sent"]]
        out.table(reasons, {"shown": "RECIPIENTS#", "reason": "REASON", "detail": "WHAT"}, empty="")
    for assumed in found["assumes"]:
        out.note(f"foreseen as if {assumed}" if not assumed.startswith("nothing") else assumed)


def _row(day: dict[str, Any]) -> dict[str, Any]:
    counted = {name: f"{day[name]:,}" for name in ("sends", "new", "follow_ups")}
    by_service = {f"service {name}": f"{count:,}" for name, count in day["by_service"].items()}
    together = ", ".join(f"{name} {count:,}" for name, count in day["by_service"].items())
    limits = "; ".join(limit["detail"] for limit in day["limited_by"])
    if limits:
        limits = f"{limits} ({day['held']:,} wait)"
    return {"day": _shown(day["date"]), **counted, **by_service, "services": together, "limits": limits}


def _shown(day: date) -> str:
    return f"{day:%a %Y-%m-%d}"
