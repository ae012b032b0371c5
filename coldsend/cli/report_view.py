"""How a report looks in a terminal: facts, then its tables, with bars where a bar says more than a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.markup import escape

from coldsend.analytics.reports import words
from coldsend.analytics.reports.sections import Column, Section, sections_of, title_of
from coldsend.cli.context import Run
from coldsend.cli.output import shown

BAR = 24  # characters of the longest bar, where there is room
SHORTEST_BAR = 6  # as long as that it says something
WIDE = 130  # characters of a line that has room for every column
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEFT_OUT = frozenset({"events"})  # for scripts and the page
_RIGHT = frozenset({"count", "share", "rate"})


def show(run: Run, document: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Print a report. facts: what stands at its head; None is left out."""
    run.out.console.print(f"[bold]{escape(title_of(document))}[/]")
    known = {label: value for label, value in {**facts, **_facts(document)}.items() if value is not None}
    if known:
        run.out.fields(known)
    _statuses(run, document)
    _held_back(run, document)
    for section in sections_of(document):
        if section.key not in _LEFT_OUT:
            show_section(run, section)


def _facts(document: Mapping[str, Any]) -> dict[str, Any]:
    first, last = document.get("first_sent_at"), document.get("last_sent_at")
    speed = []
    if document.get("sent_per_minute") is not None:
        speed.append(f"{document['sent_per_minute']:,} a minute from first to last")
    if document.get("sent_per_minute_now"):
        speed.append(f"{document['sent_per_minute_now']:,} a minute in the last five")
    return {
        "recipients": words.count(document.get("recipients")) or None,
        "sending (UTC)": f"{shown(first)} to {shown(last)}" if first is not None else None,
        "speed": "; ".join(speed) or None,
    }


def _statuses(run: Run, document: Mapping[str, Any]) -> None:
    by_status = document.get("by_status", {})
    total = sum(by_status.values())
    rows = [
        {"status": status.replace("_", " "), "count": count, "share": count / total}
        for status, count in by_status.items()
    ]
    columns = (
        Column("status", "status", "text"),
        Column("count", "count"),
        Column("share", "share", "share"),
    )
    if rows:
        show_section(run, Section("statuses", "recipients", columns, rows))


def _held_back(run: Run, document: Mapping[str, Any]) -> None:
    closed = document.get("waiting", [])
    if closed:
        left = document["funnel"]["waiting"]
        columns = (Column("detail", "held back by", "text"), Column("until", "until (UTC)", "text"))
        title = f"waiting: {left:,}" if left else "not begun"
        rows = [{**gate, "until": shown(gate["until"])} for gate in closed]
        show_section(run, Section("waiting", title, columns, rows))


def show_section(run: Run, section: Section) -> None:
    """Print one table, with bars where there is room for them."""
    room = run.out.console.width >= WIDE
    columns = [column for column in section.columns if room or not column.wide]
    rows = [{column.key: written(column, row.get(column.key)) for column in columns} for row in section.rows]
    headings = {
        column.key: column.heading.upper() + ("#" if column.kind in _RIGHT else "") for column in columns
    }
    drawn = section.chart.columns[0] if section.chart and section.chart.kind != "rates" else None
    if drawn is not None:
        encoding = (run.out.console.encoding or "").lower()
        longest = min(BAR, run.out.console.width - _width(headings, rows) - 2)
        numbers = [row[drawn] or 0 for row in section.rows]
        if longest >= SHORTEST_BAR:
            bars = bars_of(numbers, longest, plain=not encoding.startswith("utf"))
            rows = [{**row, "bar": bar} for row, bar in zip(rows, bars, strict=True)]
            headings["bar"] = ""
    run.out.console.print(f"\n[dim]{escape(section.title)}[/]")
    run.out.table(rows, headings, empty="")
    if section.note:
        run.out.console.print(f"[dim]{escape(section.note)}[/]")


def written(column: Column, value: Any) -> str:
    """A cell as it is shown; of a rate also its interval."""
    if value is None:
        return ""
    if column.kind == "share":
        return words.percent(value)
    if column.kind == "rate":
        if value["rate"] is None:
            return ""
        return f"{words.percent(value['rate'])} ({words.interval(value)})"
    return words.cell(value)


def _width(headings: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> int:
    """Of a table whose cells are not folded."""
    columns = [[heading.removesuffix("#"), *(row[key] for row in rows)] for key, heading in headings.items()]
    return sum(max(map(cell_len, column)) + 2 for column in columns) - 2


def bars_of(numbers: Sequence[int], longest: int = BAR, *, plain: bool = False) -> list[str]:
    """A bar for each number, the largest of so many characters. plain: of ASCII."""
    most = max(numbers, default=0)
    bars = []
    for number in numbers:
        eighths = round(8 * longest * number / most) if most else 0
        if number and not eighths:
            eighths = 1  # something is not nothing
        whole, rest = divmod(eighths, 8)
        bars.append("#" * (whole or bool(rest)) if plain else "█" * whole + _EIGHTHS[rest].strip())
    return bars
