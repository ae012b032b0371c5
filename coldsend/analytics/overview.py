"""Campaigns and tasks as lists and `show` present them: their rows with names instead of ids, and counts.

Lists take an ended task's counts from its ``summary_stats``, which say how it stood when it ended; `show`
and reports count anew, for feedback and decisions about unknown rows go on after the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend.analytics import experiments
from coldsend.database.engine import Connection
from coldsend.domain.states import ROW_SENT, ROW_WAITING
from coldsend.stores import campaigns, reports, tasks, template_sets, users


def of_campaigns(connection: Connection, rows: Sequence[RowMapping]) -> list[dict[str, Any]]:
    """A document for each campaign, with the tasks it holds by status and its recipients by status."""
    creators = _creators(connection)
    every = [task for row in rows for task in tasks.listed(connection, campaign_id=row["id"])]
    by_campaign: dict[int, list[dict[str, Any]]] = {}
    for task, document in zip(every, of_tasks(connection, every), strict=True):
        by_campaign.setdefault(task["campaign_id"], []).append(document)
    documents = []
    for row in rows:
        mine = by_campaign.get(row["id"], [])
        by_status: Counter[str] = Counter()
        for document in mine:
            by_status.update(document["by_status"])
        documents.append(
            {
                "id": row["id"],
                "name": row["name"],
                "status": row["status"],
                "status_reason": row["status_reason"],
                "start_time": row["start_time"],
                "created_by": creators[row["created_by"]],
                "created_at": row["created_at"],
                **{name: row[name] for name in campaigns.SETTINGS},
                "recipients": by_status.total(),
                "by_status": reports.in_order(by_status),
                "tasks": mine,
            }
        )
    return documents


def of_campaign(connection: Connection, given: str | int) -> dict[str, Any]:
    return of_campaigns(connection, [campaigns.find(connection, given)])[0]


def of_tasks(
    connection: Connection, rows: Sequence[RowMapping], *, anew: bool = False
) -> list[dict[str, Any]]:
    """A document for each task. anew: count all of them now, also where a summary was kept at their end."""
    ids = [row["id"] for row in rows]
    counted = [row["id"] for row in rows if anew or row["actual_end_time"] is None]
    counts = reports.counts_by_status(connection, counted)
    services = tasks.service_names(connection, ids) if ids else {}
    creators = _creators(connection)
    sets = {row["id"]: row["name"] for row in template_sets.listed(connection)}
    documents = []
    for row in rows:
        by_status = counts[row["id"]] if row["id"] in counts else row["summary_stats"]["by_status"]
        documents.append(
            {
                "id": row["id"],
                "campaign": row["campaign"],
                "name": row["name"],
                "status": row["status"],
                "status_reason": row["status_reason"],
                "recipients": sum(by_status.values()),
                "waiting": sum(by_status.get(status, 0) for status in ROW_WAITING),
                "accepted": sum(by_status.get(status, 0) for status in ROW_SENT),
                "by_status": reports.in_order(by_status),
                "recipient_rule": row["recipient_rule"],
                "template_set": sets[row["template_set_id"]],
                "services": services.get(row["id"], []),
                "experiment": experiments.in_brief(connection, row),
                "follows": _follows(connection, row),
                "plan_time": row["plan_time"],
                "actual_start_time": row["actual_start_time"],
                "actual_end_time": row["actual_end_time"],
                "expanded_at": row["expanded_at"],
                "summary_stats": row["summary_stats"],
                "created_by": creators[row["created_by"]],
                "created_at": row["created_at"],
            }
        )
    return documents


def _creators(connection: Connection) -> dict[int, str]:
    return {row["id"]: row["username"] for row in users.listed(connection)}


def _follows(connection: Connection, row: RowMapping) -> dict[str, Any] | None:
    """What a follow-up follows: the task's name, how many days later, on which conditions; None: nothing."""
    if row["follows_task_id"] is None:
        return None
    return {
        "task": tasks.get(connection, row["follows_task_id"])["name"],
        "days": row["follows_days"],
        "business_days": bool(row["follows_business_days"]),
        "conditions": row["follows_condition"] or [],
    }
