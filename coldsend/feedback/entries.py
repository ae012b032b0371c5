"""What is written of a happening: its row of the event log, or of what matched nobody.

Of somebody whose data was erased only that it happened is noted, never the words of others about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coldsend.domain.feedback import EVENT_OF, Feedback, Kind, storable
from coldsend.domain.states import EventType
from coldsend.stores.feedback import Row

SOURCE_LENGTH = 50
WORDS_LENGTH = 1000


def event(row: Row, item: Feedback, at: datetime, rule: str) -> dict[str, Any]:
    """The event of one recipient. rule: the reply rule that fits a bounce."""
    details: dict[str, Any] = {
        "source": item.source,
        "actor": item.actor.value if item.kind in (Kind.OPEN, Kind.CLICK) else None,
        "status": item.status or None,
        "rule": rule or None,
        "hard": item.hard,
        "campaign_only": item.campaign_only or None,
    }
    if not row["erased"]:
        details = {**item.details, **details, "diagnostic": item.diagnostic[:WORDS_LENGTH] or None}
    return {
        **_of_row(row),
        "type": EVENT_OF[item.kind].value,
        "ts": at,
        "details": _known(details),
        "dedup_key": item.key or None,
    }


def accepted(row: Row, sent_at: datetime) -> dict[str, Any]:
    """The result that the attempt of an unknown row never had."""
    details = {"message_id": row["message_id"], "known_by": "feedback"}
    return {
        **_of_row(row),
        "type": EventType.SEND_API_SUCCESS.value,
        "ts": sent_at,
        "details": _known(details),
    }


def unmatched(item: Feedback, now: datetime, *, erased: bool) -> dict[str, Any]:
    """A happening that is about nobody we know, with all that is known of it. erased: nor may be."""
    details: dict[str, Any] = {"kind": item.kind.value, "at": item.at.isoformat()}
    if not erased:
        details = {
            **item.details,
            **details,
            "recipient": item.recipient or None,
            "message_ids": list(item.message_ids) or None,
            "row": item.row_id,
            "status": item.status or None,
            "hard": item.hard,
            "diagnostic": item.diagnostic[:WORDS_LENGTH] or None,
        }
    return {
        "source": storable(item.source[:SOURCE_LENGTH]),
        "received_at": now,
        "dedup_key": item.key or None,
        "details": _known(details),
    }


def _of_row(row: Row) -> dict[str, Any]:
    names = ("task_id", "contact_id", "sender_service_id", "event_tracking_uid")
    return {name: row[name] for name in names}


def _known(details: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = storable({name: value for name, value in details.items() if value is not None})
    return known
