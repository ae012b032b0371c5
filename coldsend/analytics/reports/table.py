"""A report as one CSV table: ``section,item,measure,value``, a line for each number.

Long rather than wide, so that every section fits in it and a spreadsheet's pivot takes it as it is. Rates
are 0 to 1; an interval is two measures of its own, ``.._low`` and ``.._high``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from coldsend.analytics.reports.sections import Column, Section, sections_of, title_of

HEADER = ("report", "section", "item", "measure", "value")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(document: Mapping[str, Any], out: TextIO) -> int:
    """Write a report; returns how many lines there are below the header."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    title, count = _harmless(title_of(document)), 0
    for section in sections_of(document):
        for item, measure, value in _lines(section):
            writer.writerow((title, section.key, _harmless(item), measure, value))
            count += 1
    return count


def _lines(section: Section) -> Iterator[tuple[str, str, Any]]:
    names = [column for column in section.columns if column.kind in ("text", "url")]
    for row in section.rows:
        words = [section.of, *(row.get(column.key) for column in names)]
        item = " / ".join(str(word) for word in words if word not in (None, ""))
        for column in section.columns:
            if column not in names:
                yield from ((item, measure, value) for measure, value in _values(column, row.get(column.key)))


def _values(column: Column, value: Any) -> Iterator[tuple[str, Any]]:
    if value is None:
        return
    if column.kind != "rate":
        yield column.key, value
    elif value["rate"] is not None:
        yield from ((column.key, value["rate"]), (f"{column.key}_low", value["low"]))
        yield f"{column.key}_high", value["high"]


def _harmless(text: str) -> str:
    """What operators and recipients' servers named, so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
