"""A report as one HTML page that needs nothing else: no network, no script, styles and drawings inside.

The page states so itself (its Content-Security-Policy allows only its own styles). page.html and page.css are
its template; every chart stands beside the table it draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from coldsend.analytics.reports import charts, words
from coldsend.analytics.reports.charts import Moments, Span
from coldsend.analytics.reports.sections import Column, Section, sections_of, title_of

_FOLDER = Path(__file__).parent
_WORDS = {"count": words.count, "percent": words.percent, "interval": words.interval, "cell": words.cell}
_TILES = {"reply": "reply rate", "click": "click rate", "open": "open rate", "bounce": "bounce rate"}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A section with what is drawn of it. bars: of each row; spans: of each row, by the rate's column."""

    section: Section
    moments: Moments | None
    bars: list[float] | None
    spans: dict[str, list[Span | None]]

    @property
    def columns(self) -> list[Column]:
        return list(self.section.columns)


def made(document: Mapping[str, Any], now: datetime) -> str:
    """The page of a report."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(_WORDS)
    template = environment.from_string((_FOLDER / "page.html").read_text(encoding="utf-8"))
    return template.render(
        title=title_of(document),
        style=(_FOLDER / "page.css").read_text(encoding="utf-8"),
        now=now,
        facts=_facts(document),
        tiles=_tiles(document),
        drawn=[_drawn(section) for section in sections_of(document)],
        waiting=document.get("waiting", []),
    )


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    first, last = document.get("first_sent_at"), document.get("last_sent_at")
    facts = {
        "status": document.get("status"),
        "why": document.get("status_reason") or document.get("frozen_reason"),
        "subject": document.get("subject"),
        "sending": f"{words.cell(first)} to {words.cell(last)} UTC" if first else None,
        "provider": document["provider"] if document.get("provider") != document.get("domain") else None,
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def _tiles(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The numbers that are looked for first."""
    funnel, rates = document["funnel"], document["rates"]
    sent: dict[str, Any] = {"name": "sent", "value": words.count(funnel["sent"]), "below": []}
    if funnel.get("recipients") is not None:
        sent["below"] = [f"of {words.count(funnel['recipients'])} recipients"]
    found = [sent]
    for key, name in _TILES.items():
        if rates[key]["rate"] is not None:
            below = [f"{words.count(rates[key]['count'])} of {words.count(rates[key]['of'])}"]
            below.append(words.interval(rates[key]))
            found.append({"name": name, "value": words.percent(rates[key]["rate"]), "below": below})
    return found


def _drawn(section: Section) -> Drawn:
    kind = section.chart.kind if section.chart is not None else None
    rates = [column.key for column in section.columns if column.kind == "rate"]
    return Drawn(
        section,
        charts.moments_of(section) if kind in ("days", "hours") else None,
        charts.shares_of(section) if kind == "bars" else None,
        {key: charts.spans_of(section, key) for key in rates},
    )
