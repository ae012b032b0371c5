"""What counted events come to: recipients reached, rates with intervals, by day, by hour of the day.

A recipient counts once for each message and kind of happening, on the day it was first logged. Opens and
clicks are those of people; what machines did is told apart. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from coldsend.domain.happening import Nature
from coldsend.domain.states import EventType
from coldsend.domain.statistics import rate_interval
from coldsend.stores.rollups import Cell, Link

# measure -> (type of event, its nature; None: whatever it is).
MEASURES: Mapping[str, tuple[EventType, Nature | None]] = {
    "sent": (EventType.SEND_API_SUCCESS, None),
    "delivered": (EventType.DELIVERED, None),
    "opened": (EventType.OPEN, Nature.HUMAN),
    "clicked": (EventType.CLICK, Nature.HUMAN),
    "replied": (EventType.REPLY, None),
    "refused_hard": (EventType.SEND_API_FAIL, Nature.HARD),
    "refused_soft": (EventType.SEND_API_FAIL, Nature.SOFT),
    "bounced": (EventType.BOUNCE, None),
    "bounced_hard": (EventType.BOUNCE, Nature.HARD),
    "bounced_soft": (EventType.BOUNCE, Nature.SOFT),
    "unsubscribed": (EventType.UNSUBSCRIBE, None),
    "complained": (EventType.COMPLAINT, None),
    "opened_by_machines": (EventType.OPEN, Nature.MACHINE),
    "clicked_by_machines": (EventType.CLICK, Nature.MACHINE),
}
BY_DAY = ("sent", "opened", "clicked", "replied", "bounced", "unsubscribed", "complained")
BY_HOUR = ("sent", "opened", "clicked", "replied")
# rate -> the measures that are counted; all are of what was sent.
RATES = {
    "open": "opened",
    "click": "clicked",
    "reply": "replied",
    "unsubscribe": "unsubscribed",
    "complaint": "complained",
}


def measured(cells: Iterable[Cell]) -> dict[str, int]:
    """Recipients by measure."""
    totals: Counter[tuple[str, str | None]] = Counter()
    for cell in cells:
        totals[cell.type, cell.nature] += cell.recipients
        totals[cell.type, None] += cell.firsts
    return {
        name: totals[kind.value, nature.value if nature is not None else None]
        for name, (kind, nature) in MEASURES.items()
    }


def grouped(cells: Iterable[Cell], key: Callable[[Cell], Any]) -> dict[Any, list[Cell]]:
    """Cells by what ``key`` says of them."""
    found: dict[Any, list[Cell]] = {}
    for cell in cells:
        found.setdefault(key(cell), []).append(cell)
    return found


def events(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Every type and nature of event: how many there were, and of how many recipients."""
    found: dict[tuple[str, str], list[int]] = {}
    for cell in cells:
        numbers = found.setdefault((cell.type, cell.nature), [0, 0])
        numbers[0] += cell.events
        numbers[1] += cell.recipients
    order = [kind.value for kind in EventType]
    return [
        {"type": kind, "nature": nature or None, "events": count, "recipients": recipients}
        for (kind, nature), (count, recipients) in sorted(
            found.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
        )
    ]


def rate(count: int, of: int) -> dict[str, Any]:
    """A rate with its 95 % interval; all None where nothing was sent."""
    if not of:
        return {"count": count, "of": 0, "rate": None, "low": None, "high": None}
    # More may have come back than was sent: of messages whose outcome nobody knows.
    trials = max(count, of)
    within = rate_interval(count, trials)
    return {
        "count": count,
        "of": of,
        "rate": round(count / trials, 6),
        "low": round(within.low, 6),
        "high": round(within.high, 6),
    }


def rates(counts: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """The rates of what was sent; of bounces: of what was sent or refused at once, which both count."""
    found = {name: rate(counts[measure], counts["sent"]) for name, measure in RATES.items()}
    refused = counts["refused_hard"] + counts["refused_soft"]
    found["bounce"] = rate(counts["bounced"] + refused, counts["sent"] + refused)
    return found


def by_day(cells: Iterable[Cell], zone: ZoneInfo) -> list[dict[str, Any]]:
    """Recipients of each day on which something happened, in a time zone."""
    days = grouped(cells, lambda cell: cell.hour.astimezone(zone).date() if cell.hour else None)
    return [
        {"day": day, **_some(measured(mine), BY_DAY)}
        for day, mine in sorted(days.items())
        if any(_some(measured(mine), BY_DAY).values())
    ]


def by_hour(cells: Iterable[Cell], zone: ZoneInfo) -> list[dict[str, Any]]:
    """Recipients of each of the 24 hours of the day, in a time zone."""
    hours = grouped(cells, lambda cell: cell.hour.astimezone(zone).hour if cell.hour else None)
    return [{"hour": hour, **_some(measured(hours.get(hour, ())), BY_HOUR)} for hour in range(24)]


def links(found: Iterable[Link], template_names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Links by template, those that most people clicked first. What machines clicked is told apart."""
    sums: dict[tuple[str, int], Counter[str]] = {}
    for link in found:
        mine = sums.setdefault((link.url, link.template_id), Counter())
        if link.nature == Nature.HUMAN:
            mine["clicks"] += link.clicks
            mine["recipients"] += link.recipients
        elif link.nature == Nature.MACHINE:
            mine["clicks_by_machines"] += link.clicks
    names = ("clicks", "recipients", "clicks_by_machines")
    listed = [
        {"url": url, "template": template_names.get(template_id)} | {name: counts[name] for name in names}
        for (url, template_id), counts in sums.items()
    ]
    return sorted(
        listed, key=lambda link: (-link["recipients"], -link["clicks"], link["url"], link["template"] or "")
    )


def named(parts: Mapping[Any, Sequence[Cell]], names: Mapping[Any, str]) -> list[dict[str, Any]]:
    """Each part with its measures and the two rates that matter, the largest first."""
    listed = [{"name": names.get(key), **compared(cells)} for key, cells in parts.items()]
    return sorted(listed, key=lambda part: (-part["sent"], part["name"] or ""))


def compared(cells: Iterable[Cell]) -> dict[str, Any]:
    """The measures by which templates, services or domains are compared."""
    counts = measured(cells)
    found = rates(counts)
    return {
        **_some(counts, BY_DAY),
        "refused": counts["refused_hard"] + counts["refused_soft"],
        "reply_rate": found["reply"],
        "bounce_rate": found["bounce"],
    }


def _some(counts: Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
    return {name: counts[name] for name in names}
