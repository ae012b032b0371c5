"""What a reply wants, as a person says: the rules have only proposed it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.engine import Database
from coldsend.domain.feedback import Feedback, Kind
from coldsend.domain.inbox import MessageKind
from coldsend.domain.reply_category import ReplyCategory, weightiest
from coldsend.errors import Refused
from coldsend.feedback.applier import Applier
from coldsend.feedback.apply import Applied, announce, apply
from coldsend.stores import feedback as rows
from coldsend.stores import inbox_messages, ledger


@dataclass(frozen=True, slots=True)
class Labelled:
    """before: the category it had. counts: what now counts for its recipient, of all replies to that message;
    None where it is about no recipient. unsubscribed: the recipient gets nothing any more."""

    before: str | None
    counts: ReplyCategory | None
    unsubscribed: bool


def label(
    database: Database,
    message: RowMapping,
    category: ReplyCategory,
    by: str,
    now: datetime,
    applier: Applier,
) -> Labelled:
    """Set the category of a reply. message: as ``inbox_messages.get`` gives it; by: who says so.

    Conditions of follow-ups that wait ask for it when they are due. A request to unsubscribe is granted;
    calling it something else later does not take that back. Refused where the message is no reply.
    """
    if message["kind"] != MessageKind.REPLY:
        raise Refused(
            f"message {message['id']} is no reply but {message['kind'].replace('_', ' ')}: it wants nothing",
            hint="see: coldsend inbox list --kind reply",
        )

    def work(connection: Connection) -> tuple[Labelled, Applied | None]:
        inbox_messages.change(connection, message["id"], {"category": category.value})
        row_id = message["task_contact_id"]
        if row_id is None:
            return Labelled(message["category"], None, unsubscribed=False), None
        ledger.lock(connection, [row_id])
        known = inbox_messages.categories(connection, message["contact_id"], row_id)
        counts = weightiest(known)
        rows.move(connection, row_id, {"reply_category": counts.value if counts else None})
        applied = None
        if category is ReplyCategory.UNSUBSCRIBE_REQUEST:
            asked = Feedback(
                Kind.UNSUBSCRIBE,
                message["received_at"],
                f"cli:{by}",
                key=f"inbox-label:{message['id']}",
                row_id=row_id,
            )
            applied = apply(connection, [asked], now, applier)
        return Labelled(message["category"], counts, unsubscribed=applied is not None), applied

    labelled, applied = database.run(work)
    if applied is not None:
        announce(applied)
    return labelled
