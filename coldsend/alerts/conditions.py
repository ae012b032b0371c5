"""What holds right now and is worth telling: one function for each kind of alert.

Looked at by level, not by edge: whoever looks, and however late, comes to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from shlex import quote

from sqlalchemy.engine import Connection

from coldsend.config.settings import AlertsSettings
from coldsend.domain.alert import AlertKind, Condition
from coldsend.domain.mailbox import Trouble
from coldsend.domain.states import FreezeCode, TaskStatus
from coldsend.stores import gauges, troubles

ONCE_WITHIN = timedelta(days=1)  # what is told once: no longer ago than this when it is first seen
TASKS = 1_000  # the last ones begun, whose unknown rows are counted
ROWS = 10_000  # unknown rows that are counted
NAMED = 3  # campaigns that are named in a sentence


def found(
    connection: Connection, wanted: frozenset[AlertKind], settings: AlertsSettings, now: datetime
) -> list[Condition]:
    """All that holds at ``now``, of the kinds that are wanted."""
    return [
        condition
        for kind, look in LOOKS.items()
        if kind in wanted
        for condition in look(connection, settings, now)
    ]


def _frozen(connection: Connection, _settings: AlertsSettings, _now: datetime) -> Iterator[Condition]:
    for row in troubles.frozen_services(connection):
        name, code = row["name"], row["frozen_code"]
        hint = f"when the cause is mended: coldsend service thaw {quote(name)}"
        if code == FreezeCode.CREDENTIALS:
            hint = f"enter new credentials: coldsend service update {quote(name)} --password-stdin"
        elif code == FreezeCode.ERRORS and row["cool_down_until"]:
            again = f"{row['cool_down_until']:%Y-%m-%d %H:%M} UTC"
            hint = f"it is tried again at {again}; or: coldsend service thaw {quote(name)}"
        yield Condition(
            AlertKind.SERVICE_FROZEN,
            f"service:{row['id']}",
            f"service:{name}",
            f"service {name!r} is frozen",
            f"it sends nothing: {row['frozen_reason'] or code or 'no reason is known'}",
            f"service {name!r} sends again",
            hint,
            facts={"service": name, "service_id": row["id"], "code": code},
        )


def _stopped(connection: Connection, _settings: AlertsSettings, now: datetime) -> Iterator[Condition]:
    for row in troubles.paused_campaigns(connection):
        name = row["name"]
        yield Condition(
            AlertKind.BREAKER,
            f"campaign:{row['id']}",
            f"campaign:{name}",
            f"campaign {name!r} was paused",
            row["status_reason"],
            f"campaign {name!r} is not paused any more",
            f"when the cause is mended: coldsend campaign resume {quote(name)}",
            facts={"campaign": name, "campaign_id": row["id"]},
        )
    for row in troubles.stopped_tasks(connection, now - ONCE_WITHIN):
        name = f"{row['campaign']}/{row['name']}"
        failed = row["status"] == TaskStatus.FAILED
        yield Condition(
            AlertKind.BREAKER,
            f"task:{row['id']}",
            f"task:{name}",
            f"task {name!r} cannot be planned" if failed else f"task {name!r} was paused",
            row["status_reason"] or "no reason is known",
            f"task {name!r} is not paused any more",
            f"see it: coldsend task show {quote(name)}"
            if failed
            else f"when the cause is mended: coldsend task resume {quote(name)}",
            once=failed,
            facts={"task": name, "task_id": row["id"], "campaign_id": row["campaign_id"]},
        )


def _done(connection: Connection, _settings: AlertsSettings, now: datetime) -> Iterator[Condition]:
    for row in troubles.completed_campaigns(connection, now - ONCE_WITHIN):
        name = row["name"]
        yield Condition(
            AlertKind.CAMPAIGN_DONE,
            f"campaign:{row['id']}",
            f"campaign:{name}",
            f"campaign {name!r} is done",
            f"all its tasks have ended; recipients: {int(row['recipients']):,}",
            hint=f"coldsend report campaign {quote(name)}",
            once=True,
            facts={"campaign": name, "campaign_id": row["id"], "recipients": int(row["recipients"])},
        )


def _unknown(connection: Connection, settings: AlertsSettings, now: datetime) -> Iterator[Condition]:
    tasks = gauges.last_begun(connection, TASKS)
    before = now - timedelta(minutes=settings.unknown_minutes)
    for row in troubles.unknown_rows(connection, tasks, before, ROWS):
        if row["count"] < settings.unknown_rows:
            continue
        name, count = f"{row['campaign']}/{row['name']}", row["count"]
        people = "1 recipient waits" if count == 1 else f"{count:,} recipients wait"
        yield Condition(
            AlertKind.UNKNOWN_ROWS,
            f"task:{row['id']}",
            f"task:{name}",
            f"task {name!r} has outcomes that nobody knows",
            f"{people} for a person to decide whether they were sent to",
            f"task {name!r} has no such outcomes any more",
            f"coldsend unknown list {quote(row['campaign'])}",
            facts={"task": name, "task_id": row["id"], "campaign_id": row["campaign_id"], "count": count},
        )


def _silent(connection: Connection, settings: AlertsSettings, now: datetime) -> Iterator[Condition]:
    """No scheduler lives though a campaign could go on."""
    campaigns = troubles.begun_campaigns(connection, now)
    if not campaigns:
        return
    since = min(
        max(row["resumed_at"] or row["created_at"], row["start_time"] or row["created_at"])
        for row in campaigns
    )
    heard = troubles.last_heartbeat(connection)
    silent_since = since if heard is None else max(since, heard)
    if now - silent_since < timedelta(minutes=settings.silent_minutes):
        return
    names = [row["name"] for row in campaigns]
    shown = ", ".join(map(repr, names[:NAMED])) + (" and others" if len(names) > NAMED else "")
    yield Condition(
        AlertKind.DAEMON_SILENT,
        "scheduler",
        "scheduler",
        "no scheduler is running",
        f"nothing is sent since {silent_since:%Y-%m-%d %H:%M} UTC, though campaigns are active: {shown}",
        "a scheduler is running again",
        "start it: coldsend scheduler run; see: coldsend worker list",
        facts={"campaigns": len(names)},
    )


def _mailboxes(connection: Connection, settings: AlertsSettings, now: datetime) -> Iterator[Condition]:
    before = now - timedelta(minutes=settings.mailbox_minutes)
    for row in troubles.failing_mailboxes(connection, before):
        name = row["name"]
        hint = f"coldsend mailbox test {quote(name)}"
        if row["error_code"] == Trouble.CREDENTIALS:
            hint = f"enter new ones: coldsend mailbox update {quote(name)} --password-stdin"
        read = f"not since {row['polled_at']:%Y-%m-%d %H:%M} UTC" if row["polled_at"] else "never yet"
        yield Condition(
            AlertKind.MAILBOX_FAILING,
            f"mailbox:{row['id']}",
            f"mailbox:{name}",
            f"mailbox {name!r} cannot be read",
            f"bounces and answers in it are not seen, {read}: {row['last_error'] or 'no reason is known'}",
            f"mailbox {name!r} is read again",
            hint,
            facts={"mailbox": name, "mailbox_id": row["id"], "service_id": row["sender_service_id"]},
        )


LOOKS: dict[AlertKind, Callable[[Connection, AlertsSettings, datetime], Iterator[Condition]]] = {
    AlertKind.SERVICE_FROZEN: _frozen,
    AlertKind.BREAKER: _stopped,
    AlertKind.CAMPAIGN_DONE: _done,
    AlertKind.UNKNOWN_ROWS: _unknown,
    AlertKind.DAEMON_SILENT: _silent,
    AlertKind.MAILBOX_FAILING: _mailboxes,
}
