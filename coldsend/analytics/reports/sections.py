"""A report's document as tables: what the terminal, ``--csv`` and ``--html`` show.

A column's kind says how a value is written: "text", "count", "share" (0 to 1), "rate" (a document with its
interval), "url". A chart draws some columns of a table: "bars" one bar for each row, "days" and "hours" one
for each moment, "rates" a point with its interval for each row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LINKS = 50  # that are shown


@dataclass(frozen=True, slots=True)
class Column:
    """wide: left out where there is little room."""

    key: str
    heading: str
    kind: str = "count"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """kind: see the module. columns: what is drawn. of: how its rows are named."""

    kind: str
    columns: tuple[str, ...]
    of: str


@dataclass(frozen=True, slots=True)
class Section:
    """One table. note: sentences below its title, a line each. chart: None where the table says it better.

    of: what it is about, where a report has several tables with this key.
    """

    key: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    note: str = ""
    chart: Chart | None = None
    of: str = ""


# step of the funnel -> (its words, what its share is of)
_STEPS = {
    "recipients": ("recipients", None),
    "sent": ("accepted by a server", "recipients"),
    "delivered": ("delivered, as providers tell", "sent"),
    "opened": ("opened by people", "sent"),
    "clicked": ("clicked by people", "sent"),
    "replied": ("replied", "sent"),
}
_LOST = {
    "refused_hard": ("refused at once, the address is no good", "recipients"),
    "refused_soft": ("refused at once, other reasons", "recipients"),
    "bounced_hard": ("bounced, the address is no good", "sent"),
    "bounced_soft": ("bounced, other reasons", "sent"),
    "unsubscribed": ("unsubscribed", "sent"),
    "complained": ("complained", "sent"),
    "unknown": ("outcome unknown", "recipients"),
    "waiting": ("waiting", "recipients"),
}
_RATES = {
    "reply": "replies",
    "click": "clicks",
    "open": "opens",
    "bounce": "bounces, with those refused at once",
    "unsubscribe": "unsubscribes",
    "complaint": "complaints",
}
_COMPARED = (
    Column("sent", "sent"),
    Column("opened", "opened", wide=True),
    Column("clicked", "clicked"),
    Column("replied", "replied"),
    Column("reply_rate", "reply rate", "rate"),
    Column("bounced", "bounced", wide=True),
    Column("refused", "refused", wide=True),
    Column("bounce_rate", "bounce rate", "rate"),
    Column("unsubscribed", "unsubscribed", wide=True),
    Column("complained", "complained", wide=True),
)
_DAY = tuple(Column(name, name) for name in ("sent", "opened", "clicked", "replied", "bounced"))


def title_of(document: Mapping[str, Any]) -> str:
    """What a report is about: ``campaign spring``."""
    if "campaign" in document and "name" in document:
        return f"task {document['campaign']}/{document['name']}"
    kind = next(kind for kind in ("campaign", "template", "service", "domain") if kind in document)
    return f"{kind} {document[kind]}"


def sections_of(document: Mapping[str, Any]) -> list[Section]:
    """All tables of a report that have something in them."""
    made = [
        _funnel(document["funnel"]),
        _lost(document["funnel"]),
        _not_sent(document),
        _rates(document["rates"]),
        *_moments(document),
        _tasks(document),
        *(_experiment(found) for found in document.get("experiments", [])),
        *(_compared(document, key, title) for key, title in _PARTS.items()),
        _links(document),
        _replies(document),
        _quota_days(document),
        _events(document["events"]),
    ]
    return [section for section in made if section.rows]


_PARTS = {
    "templates": "templates",
    "services": "services",
    "providers": "mailbox providers",
    "domains": "recipient domains",
}


def _funnel(funnel: Mapping[str, Any]) -> Section:
    rows = [_step(funnel, key, *words) for key, words in _STEPS.items() if funnel.get(key) is not None]
    note = "Plain SMTP tells that a server accepted a message, not that it was delivered."
    chart = Chart("bars", ("count",), "step")
    return Section("funnel", "from list to reply", _COUNTED, rows, "" if funnel["delivered"] else note, chart)


def _lost(funnel: Mapping[str, Any]) -> Section:
    rows = [_step(funnel, key, *words) for key, words in _LOST.items() if funnel.get(key)]
    return Section("lost", "what came in between", _COUNTED, rows)


_COUNTED = (Column("step", "step", "text"), Column("count", "count"), Column("share", "share", "share"))


def _step(funnel: Mapping[str, Any], key: str, words: str, of: str | None) -> dict[str, Any]:
    whole = funnel.get(of) if of else None
    return {"step": words, "count": funnel[key], "share": funnel[key] / whole if whole else None}


def _not_sent(document: Mapping[str, Any]) -> Section:
    funnel = document["funnel"]
    rows = [
        {"status": words, "reason": reason.replace("_", " "), "count": count}
        for key, words in (("skipped", "skipped"), ("failed", "failed"))
        for reason, count in (funnel.get(key) or {}).items()
    ]
    columns = (
        Column("status", "status", "text"),
        Column("reason", "reason", "text"),
        Column("count", "count"),
    )
    return Section("not_sent", "skipped and failed, by reason", columns, rows)


def _rates(rates: Mapping[str, Mapping[str, Any]]) -> Section:
    rows = [
        {"what": words, "count": rates[key]["count"], "of": rates[key]["of"], "rate": rates[key]}
        | {"undrawn": key == "open"}
        for key, words in _RATES.items()
        if rates[key]["of"]
    ]
    columns = (Column("what", "rate of", "text"), Column("count", "count"), Column("of", "of"))
    note = "The true rate lies within the interval with 95 % certainty."
    chart = Chart("rates", ("rate",), "what")
    return Section("rates", "rates", (*columns, Column("rate", "rate", "rate")), rows, note, chart)


def _moments(document: Mapping[str, Any]) -> list[Section]:
    if "by_day" not in document:
        return []
    zone = document["time_zone"]
    days = Section(
        "days",
        "by day",
        (Column("day", "day", "text"), *_DAY, Column("unsubscribed", "unsubscribed")),
        document["by_day"],
        f"Days of {zone}. Each recipient counts on the day of the first open, click or reply.",
        Chart("days", ("sent", "opened", "clicked", "replied"), "day"),
    )
    hours = Section(
        "hours",
        "by hour of the day",
        (Column("hour", "hour", "text"), *_DAY[:4]),
        [{**hour, "hour": f"{hour['hour']:02}"} for hour in document["by_hour"] if any(_numbers(hour))],
        f"Hours of {zone}.",
        Chart("hours", ("sent", "opened", "clicked", "replied"), "hour"),
    )
    return [days, hours]


def _numbers(hour: Mapping[str, Any]) -> list[int]:
    return [number for name, number in hour.items() if name != "hour"]


def _tasks(document: Mapping[str, Any]) -> Section:
    listed = document.get("tasks", [])
    if listed and "funnel" in listed[0]:
        rows = [_task(task) for task in listed]
        first = (
            Column("name", "task", "text"),
            Column("status", "status", "text"),
            Column("recipients", "recipients"),
            Column("waiting", "waiting"),
        )
        columns = (*first, *(column for column in _COMPARED if column.key in rows[0]))
        return Section("tasks", "tasks", columns, rows)
    rows = [{**task, "name": task.get("task") or task.get("name")} for task in listed]
    return Section("tasks", "tasks", (Column("name", "task", "text"), *_COMPARED), rows)


def _task(task: Mapping[str, Any]) -> dict[str, Any]:
    reached = {name: task["funnel"][name] for name in ("sent", "opened", "clicked", "replied", "bounced")}
    waiting = task["funnel"]["waiting"]
    rates = {"reply_rate": task["rates"]["reply"], "bounce_rate": task["rates"]["bounce"]}
    head = {"name": task["name"], "status": task["status"], "recipients": task["recipients"]}
    return {**head, "waiting": waiting, **reached, **rates}


def _experiment(found: Mapping[str, Any]) -> Section:
    goal = found["goal"]
    rows = [
        {**row, "rate": {name: row[name] for name in ("rate", "low", "high")}} for row in found["templates"]
    ]
    columns = (
        Column("name", "template", "text"),
        Column("sent", "sent"),
        Column("counted", "counted"),
        Column("successes", goal),
        Column("rate", f"rate ({found['confidence']:g} %)", "rate"),
    )
    title = f"experiment of {found['task']}: {goal}, {found['status']}"
    chart = Chart("rates", ("rate",), "name")
    return Section("experiment", title, columns, rows, "\n".join(found["sentences"]), chart, of=found["task"])


def _compared(document: Mapping[str, Any], key: str, title: str) -> Section:
    rows = document.get(key, [])
    counted = document.get({"templates": "by_template"}.get(key, ""), None)
    singular = title.removeprefix("mailbox ").removeprefix("recipient ").removesuffix("s")
    columns = [Column("name", singular, "text"), *_COMPARED]
    if counted is not None:
        total = sum(counted.values())
        known = {row["name"]: row for row in rows}
        rows = [
            {**known.get(name, {}), "name": name, "rows": count, "rows_share": count / total}
            for name, count in counted.items()
        ]
        columns[1:1] = [Column("rows", "recipients"), Column("rows_share", "share", "share")]
    chart = Chart("rates", ("reply_rate",), "name") if key in ("templates", "services") else None
    rows = [{**row, "name": row["name"] or "(not known)"} for row in rows]
    return Section(key, title, columns, rows, "", chart)


def _links(document: Mapping[str, Any]) -> Section:
    listed = document.get("links", [])
    columns = (
        Column("url", "link", "url"),
        Column("template", "template", "text"),
        Column("recipients", "clicked by"),
        Column("clicks", "clicks"),
        Column("clicks_by_machines", "by machines"),
    )
    note = f"The {LINKS} links that most people clicked, of {len(listed):,}." if len(listed) > LINKS else ""
    return Section("links", "links", columns, listed[:LINKS], note)


def _replies(document: Mapping[str, Any]) -> Section:
    rows = [{"name": name.replace("_", " "), "count": n} for name, n in document.get("replies", {}).items()]
    columns = (Column("name", "what they want", "text"), Column("count", "replies"))
    return Section("replies", "replies", columns, rows, "", Chart("bars", ("count",), "name"))


def _quota_days(document: Mapping[str, Any]) -> Section:
    rows = [{"day": day["quota_day"], "used": day["used"]} for day in document.get("days", [])]
    columns = (Column("day", "quota day", "text"), Column("used", "sent"))
    return Section("quota_days", "quota days", columns, rows)


def _events(listed: Sequence[Mapping[str, Any]]) -> Section:
    rows = [
        {**event, "name": " ".join(filter(None, [event["type"].replace("_", " "), event["nature"]]))}
        for event in listed
    ]
    columns = (
        Column("name", "event", "text"),
        Column("events", "events"),
        Column("recipients", "recipients"),
    )
    return Section("events", "the event log", columns, rows, "All events, also of the same recipient.")
