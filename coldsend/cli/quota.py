"""``coldsend quota``: how much of the day's quotas is left."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.cli import auditing
from coldsend.cli.context import Run, current
from coldsend.cli.noun import changes, noun, reads
from coldsend.database.engine import Connection
from coldsend.domain.access import require_admin
from coldsend.domain.service import Service
from coldsend.pacing import quota
from coldsend.pacing import services as health
from coldsend.stores import access, services

app = noun("Daily quotas of sender services.")

Name = Annotated[
    str | None, typer.Argument(metavar="[SERVICE]", help="Name or id of a service; else all of them.")
]


@reads(app, "coldsend quota show", "coldsend quota show main --json")
def show(name: Name = None) -> None:
    """Show today's limit, what is used and left, and when the next quota day begins.

    A service's day runs from midnight to midnight in its own time zone. With a ramp today's limit is what
    the ramp allows of the daily quota. Hours are those of the clock.
    """
    run = current()
    now = clock.now()
    with run.database.read() as connection:
        days = quota.quota_days(connection, _visible(run, connection, name), now)
    documents = [_document(day, now) for day in days]
    columns = {
        "service": "SERVICE", "used": "USED#", "limit": "TODAY#", "daily_quota": "QUOTA#", "left": "LEFT#",
        "used_this_hour": "THIS HOUR#", "hourly_quota": "AN HOUR#", "quota_day": "DAY",
        "next_day_begins": "NEXT DAY (UTC)", "time_zone": "TIME ZONE",
    }  # fmt: skip
    run.out.table(
        documents,
        columns,
        empty="no services to show",
        document=documents if name is None else documents[0],
    )


@changes(app, "coldsend quota reset", "coldsend quota reset main")
def reset(name: Name = None) -> None:
    """Close past quota days and bring the counters in the table of services up to date (admins only).

    For cron. It does not grant further sends on the same day: quotas are kept by day in a table of their
    own, and a new day starts from 0 by itself. So it may run twice, late or never.
    """
    run = current()
    require_admin(run.actor, "reset quotas")
    now = clock.now()

    def work(connection: Connection) -> list[quota.Rolled]:
        only = None if name is None else int(services.find(connection, name)["id"])
        return quota.roll_days(connection, now, only)

    rolled = run.database.run(work)
    documents = [
        {"service": one.service.name, "quota_day": one.day, "used": one.used, "days_closed": one.days_closed}
        for one in rolled
    ]
    changed = sum(one.mirror_changed for one in rolled)
    closed = sum(one.days_closed for one in rolled)
    auditing.changed(run, anything=bool(changed or closed))
    run.out.done(
        f"services: {len(rolled)}, counters brought up to date: {changed}, past days closed: {closed}",
        documents,
    )


def _visible(run: Run, connection: Connection, name: str | None) -> list[Service]:
    """All services the acting user may send through, or the one named."""
    actor = run.actor
    if name is not None:
        return [health.usable(connection, actor, name)]
    every = services.all_services(connection)
    if actor.is_admin:
        return every
    mine = access.granted(connection, actor.id)
    return [service for service in every if service.id in mine]


def _document(day: quota.QuotaDay, now: datetime) -> dict[str, Any]:
    return {
        "service": day.service.name,
        "limit": day.limit,
        "daily_quota": day.service.daily_quota,
        "used": day.used,
        "left": day.left,
        "quota_day": day.day,
        "next_day_begins": day.next_day_begins,
        "seconds_to_next_day": round((day.next_day_begins - now).total_seconds()),
        "time_zone": day.service.time_zone,
        "hourly_quota": day.service.hourly_quota,
        "used_this_hour": day.hour_used if day.service.hourly_quota is not None else None,
        "ramp": day.service.ramp.document() if day.service.ramp else None,
    }
