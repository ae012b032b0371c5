"""Which alerts are for whose eyes: admins see all, operators those about what is theirs.

Campaigns and tasks they created, services granted to them and mailboxes of these; that no scheduler runs
concerns everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from coldsend.domain.access import Actor
from coldsend.domain.alert import AlertKind
from coldsend.stores import access, alerts, campaigns

AT_ONCE = 500  # alerts that are looked at


def listed(connection: Connection, actor: Actor, *, only_open: bool, limit: int) -> list[dict[str, Any]]:
    """The newest ``limit`` alerts that this user may see; see ``stores.alerts.listed``."""
    if actor.is_admin:
        return alerts.listed(connection, only_open=only_open, limit=limit)
    mine = {row["id"] for row in campaigns.listed(connection, actor.id)}
    granted = set(access.granted(connection, actor.id))
    found: list[dict[str, Any]] = []
    before: int | None = None
    while rows := alerts.listed(connection, only_open=only_open, limit=AT_ONCE, before=before):
        found += [row for row in rows if _concerns(row, mine, granted)]
        before = rows[-1]["id"]
        if len(found) >= limit or len(rows) < AT_ONCE:
            break
    return found[:limit]


def _concerns(row: dict[str, Any], campaign_ids: set[int], service_ids: set[int]) -> bool:
    details = row["details"] or {}
    return (
        row["kind"] == AlertKind.DAEMON_SILENT
        or details.get("campaign_id") in campaign_ids
        or details.get("service_id") in service_ids
    )


def told(deliveries: Sequence[dict[str, Any]]) -> str:
    """What became of an alert's notices, in a few words: ``2 told, 1 waits``."""
    words = {"done": "told", "pending": "waits", "given_up": "given up"}
    counts = {status: sum(row["status"] == status for row in deliveries) for status in words}
    return ", ".join(f"{count} {words[status]}" for status, count in counts.items() if count)
