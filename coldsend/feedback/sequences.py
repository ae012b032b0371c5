"""What replies and bounces mean for a campaign whose tasks follow each other: it ends for who sent them.

A reply ends it for the address, and for everybody of its domain unless anybody can have a mailbox there; a
bounce, of whatever kind, for the address. Campaigns can be set otherwise for replies. Rows that wait are
skipped at once, and each intent asks again. Tasks for those who replied are left to the intent, which knows
who has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.engine import Connection

from coldsend.domain import sequence
from coldsend.domain.feedback import Feedback, Kind, storable
from coldsend.domain.reply_category import weightiest
from coldsend.domain.states import StopReason
from coldsend.domain.suppression import address_key, domain_key
from coldsend.feedback.free_mail import is_free_mail
from coldsend.stores import feedback as store
from coldsend.stores import sequence_stops
from coldsend.stores.feedback import Row
from coldsend.stores.sequence_stops import Steps, Stop

SOURCE_LENGTH = 255


class Ending(NamedTuple):
    """A stop, and the contact it is for; None: everybody of a domain."""

    stop: Stop
    contact_id: int | None


def follow(
    connection: Connection, happened: Sequence[tuple[Row, Sequence[Feedback]]], now: datetime
) -> Counter[StopReason]:
    """Note what replies want, and end sequences; how many recipients wait no longer, by reason.

    happened: rows of the send list with what was told of them for the first time. Of people who were erased
    nothing is noted.
    """
    known = [(row, items) for row, items in happened if not row["erased"]]
    for row, items in known:
        _note_category(connection, row, items)
    about = [(row, items) for row, items in known if any(item.kind in _ENDS for item in items)]
    skipped: Counter[StopReason] = Counter()
    if not about:
        return skipped
    steps = sequence_stops.sequences(connection, {row["campaign_id"] for row, _items in about})
    endings = {
        ending.stop: ending
        for row, items in about
        if row["campaign_id"] in steps
        for ending in _endings(row, items, steps[row["campaign_id"]])
    }
    for stop in sequence_stops.add(connection, endings, now):
        count = end(connection, steps[stop.campaign_id], stop, endings[stop].contact_id)
        skipped[stop.reason] += count
    return skipped


def end(connection: Connection, steps: Steps, stop: Stop, contact_id: int | None = None) -> int:
    """Skip the waiting rows that a stop ends; how many. contact_id: of its address, where that is known."""
    tasks = steps.others if stop.reason is StopReason.REPLIED else (*steps.others, *steps.for_replies)
    reason = sequence.row_reason(stop.reason)
    return sequence_stops.skip_waiting(connection, tasks, stop.key, reason, contact_id=contact_id)


_ENDS = {Kind.REPLY: StopReason.REPLIED, Kind.BOUNCE: StopReason.BOUNCED}


def _endings(row: Row, items: Sequence[Feedback], steps: Steps) -> Iterator[Ending]:
    campaign_id, key, domain = row["campaign_id"], row["email_key"], row["email_domain"]
    for item in items:
        reason = _ENDS.get(item.kind)
        if reason is None or (reason is StopReason.REPLIED and not steps.stop_on_reply):
            continue
        about = (row["id"], storable(item.source[:SOURCE_LENGTH]))
        yield Ending(Stop(campaign_id, address_key(key), key, reason, *about), row["contact_id"])
        if reason is StopReason.REPLIED and steps.stop_domain_on_reply and not is_free_mail(domain):
            yield Ending(Stop(campaign_id, domain_key(domain), domain, reason, *about), None)


def _note_category(connection: Connection, row: Row, items: Sequence[Feedback]) -> None:
    """Of several replies to one message the weightiest category counts, whichever is told first."""
    told = [item.category for item in items if item.kind is Kind.REPLY and item.category]
    if told:
        before = store.reply_category(connection, row["id"])
        after = weightiest([before, *told])
        if after is not None and after != before:
            store.move(connection, row["id"], {"reply_category": after.value})
