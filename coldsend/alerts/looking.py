"""Compares what holds with the alerts that last: new ones are raised, those that hold no more are cleared.

Any number of hosts may look at once: a unique key lets one of them raise an alert, a compare-and-set clear
it, and in the same transaction stands whom it is to be told. What was raised within the quiet time before is
told when that is over, if it still lasts; of an alert that came and went untold, nothing is said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.engine import RowMapping

from coldsend.alerts import conditions
from coldsend.alerts.targets import names
from coldsend.config.settings import AlertsSettings
from coldsend.database.engine import Connection, Database
from coldsend.domain import alert_targets
from coldsend.domain.alert import AlertEvent, AlertKind, Condition
from coldsend.log_lines import masked
from coldsend.stores import alerts


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look has changed: titles of alerts that began, and of those that are over."""

    raised: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.raised or self.cleared)


def look(database: Database, settings: AlertsSettings, now: datetime) -> Seen:
    """Look once. Where nothing has changed, this only reads."""
    wanted = alert_targets.kinds(settings.kinds)
    with database.read() as connection:
        # First: what another host raises in between is not one of those that hold no more.
        known = alerts.keyed(connection)
        hold = conditions.found(connection, wanted, settings, now)
    keys = {condition.key for condition in hold}
    fresh = [condition for condition in hold if condition.key not in known]
    gone = [row for key, row in known.items() if key not in keys]
    if not fresh and not gone:
        return Seen()
    targets = names(settings)
    quiet = timedelta(minutes=settings.quiet_minutes)

    def work(connection: Connection) -> Seen:
        return Seen(
            tuple(_raise(connection, fresh, targets, quiet, now)),
            tuple(_clear(connection, gone, wanted, now)),
        )

    return database.run(work)


def _raise(
    connection: Connection,
    fresh: Sequence[Condition],
    targets: Collection[str],
    quiet: timedelta,
    now: datetime,
) -> list[str]:
    raised = []
    for condition in fresh:
        told = None if condition.once else alerts.last_told(connection, condition, now - 2 * quiet)
        # Servers' answers name recipients at times: alerts leave the house, addresses do not.
        alert_id = alerts.raise_(connection, condition, masked(condition.message), now)
        if alert_id is None:
            continue
        at = now if told is None else max(now, told + quiet)
        alerts.plan(connection, alert_id, AlertEvent.RAISED, targets, at)
        raised.append(condition.title)
    return raised


def _clear(
    connection: Connection, gone: Sequence[RowMapping], wanted: Collection[AlertKind], now: datetime
) -> list[str]:
    cleared = []
    for row in gone:
        lasted = row["cleared_at"] is None
        if not alerts.clear(connection, row["id"], row["open_key"], now) or not lasted:
            continue
        knew = set(alerts.targets_told(connection, row["id"]))
        knew -= alerts.untold(connection, row["id"])
        if AlertKind(row["kind"]) in wanted:  # else nobody wants to hear of it any more
            alerts.plan(connection, row["id"], AlertEvent.CLEARED, sorted(knew), now)
            cleared.append(_title(row["details"] or {}, row["subject"]))
    return cleared


def _title(details: Mapping[str, str], subject: str) -> str:
    return str(details.get("over") or details.get("title") or subject)
