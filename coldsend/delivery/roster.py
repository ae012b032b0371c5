"""The processes as `worker list` shows them: what each does, by its last heartbeat, and whether it lives.

state   running   its heartbeat is fresh
        late      no heartbeat for LATE seconds; its lease holds
        dead      no heartbeat for a whole lease, or its lease ran out: it sends nothing any more, and what it
                  held is settled by a process of its host at once, else by the leading scheduler
        ended     it has given back what it held and signed off
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection, RowMapping

from coldsend.delivery.view import View, own_buckets
from coldsend.stores import leases, workers

LATE = timedelta(seconds=15)  # heartbeats come every second (senders) or every five (schedulers)


def processes(
    connection: Connection, now: datetime, lease: timedelta, ended: int = 0
) -> list[dict[str, Any]]:
    """A document for each process that has not signed off, oldest first, then the last ``ended`` that have.

    buckets: those a sender takes its rows from first, as the living senders split them now. rate: messages a
    second. held: rows claimed and not settled yet. All as of its last heartbeat, but state and leads.
    """
    present = workers.unstopped(connection)
    gone = (
        [row for row in workers.recent(connection, ended) if row["stopped_at"] is not None] if ended else []
    )
    senders = View(senders=[row["id"] for row in present if row["kind"] == "sender"])
    leader = leases.holder(connection, leases.SCHEDULER, now)
    return [_document(row, senders, leader, now, lease) for row in [*present, *gone]]


def state_of(row: RowMapping, now: datetime, lease: timedelta) -> str:
    """See the module."""
    silence = now - row["heartbeat_at"]
    if row["stopped_at"] is not None:
        return "ended"
    if silence > lease or row["lease_until"] <= now:
        return "dead"
    return "late" if silence > LATE else "running"


def _document(
    row: RowMapping, senders: View, leader: int | None, now: datetime, lease: timedelta
) -> dict[str, Any]:
    told = row["details"] or {}
    state = state_of(row, now, lease)
    sends = row["kind"] == "sender"
    return {
        "id": row["id"],
        "kind": row["kind"],
        "host": row["host"],
        "pid": row["pid"],
        "state": state,
        "leads": row["id"] == leader,
        "buckets": own_buckets(senders, row["id"]) if sends and state != "ended" else [],
        "services": told.get("services", []),
        "held": told.get("held", 0),
        "rate": told.get("rate", 0) if state in {"running", "late"} else 0,
        "sent": told.get("sent", 0),
        "started_at": row["started_at"],
        "heartbeat_at": row["heartbeat_at"],
        "heartbeat_age_seconds": round(max(0.0, (now - row["heartbeat_at"]).total_seconds()), 1),
        "lease_until": row["lease_until"],
        "stopped_at": row["stopped_at"],
    }
