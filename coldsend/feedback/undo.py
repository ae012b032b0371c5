"""Taking an unsubscribe back, as the recipient asks on the page that confirmed it.

It takes back that one unsubscribe, as if it had never been, and nothing else: not another one, before or
after it, of this or another message; not a complaint; not what an operator has suppressed. What the send
lists have skipped in between stays skipped.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Connection

from coldsend import logbook
from coldsend.domain import suppression
from coldsend.domain.feedback import OUT, Feedback, furthest
from coldsend.domain.states import RowStatus, SuppressionReason
from coldsend.feedback.applier import Applier
from coldsend.feedback.apply import apply
from coldsend.stores import feedback as store
from coldsend.stores import suppressions, unsubscribes
from coldsend.stores.unsubscribes import Unsubscribe


def undo(connection: Connection, told: Feedback, at: datetime, now: datetime, applier: Applier) -> bool:
    """Take back the unsubscribe ``told``, in the caller's transaction; True where mail may be sent again.

    told: as it was told, or will be: it is applied first, so that it does no harm when it comes later. at:
    when it was taken back.
    """
    apply(connection, [told], now, applier)
    found = unsubscribes.by_key(connection, told.key)
    if found is None or not found.stands:
        return False
    row = store.seen(connection, [found.row_id])[found.row_id]
    unsubscribes.take_back(connection, found, at)
    standing = [one for one in unsubscribes.of_contact(connection, found.contact_id) if one.stands]
    times = {column: row[column] for column in store.TIMES}
    times["unsubscribed_at"] = min((one.at for one in standing if one.row_id == found.row_id), default=None)
    status = RowStatus(row["status"])
    store.move_many(connection, {row["id"]: ((furthest(times) if status in OUT else status).value, times)})
    return _lift(connection, row["email_key"], found, standing)


def announce_undone(row_id: int, *, lifted: bool) -> None:
    """Log it; call it once the transaction is committed."""
    logbook.unsubscribe_undone(row_id, lifted=lifted)


def _lift(connection: Connection, email_key: str, found: Unsubscribe, standing: list[Unsubscribe]) -> bool:
    """Lift the suppression that this unsubscribe has made, unless another one stands behind it."""
    campaign_id = found.campaign_id if found.campaign_only else suppression.ALL_CAMPAIGNS
    for one in standing:
        if (one.campaign_id if one.campaign_only else suppression.ALL_CAMPAIGNS) == campaign_id:
            return False
    key = suppression.address_key(email_key)
    entry = suppressions.find(connection, key, campaign_id)
    # One that is older was not made by it, nor is one whose reason is stronger.
    if entry is None or entry["reason"] != SuppressionReason.UNSUBSCRIBE or entry["created_at"] < found.at:
        return False
    # A bounce, whose reason is weaker, has left no trace in the entry.
    if unsubscribes.bounced_since(connection, found.contact_id, found.at):
        return False
    return suppressions.remove(connection, key, campaign_id)
