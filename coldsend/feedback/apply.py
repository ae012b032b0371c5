"""Act on what came back: send list, event log, contacts, suppressions, health, campaigns. One transaction.

Idempotent by the keys of happenings, and independent of their order: a row's times are those of the earliest
happening of each kind, and its status follows from its times. A message that opens, bounces or is answered
was accepted, so a row that was ``unknown`` becomes sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from coldsend import logbook, meter
from coldsend.domain.answers import Verdict
from coldsend.domain.feedback import EVENT_OF, OUT, VISITS, Feedback, Kind, earliest, furthest, happened_at
from coldsend.domain.replies import provider_of
from coldsend.domain.states import RowReason, RowStatus, StopReason, SuppressionReason
from coldsend.domain.suppression import Suppression
from coldsend.feedback import bounces, breaker, consequences, entries, sequences
from coldsend.feedback.applier import Applier
from coldsend.feedback.matching import rows_of
from coldsend.pacing import services as health
from coldsend.stores import enrolment, events, suppressions, unmatched
from coldsend.stores import feedback as store
from coldsend.stores.feedback import Row

STATUSES = {status.value: status for status in RowStatus}


class Match(NamedTuple):
    """The row of the send list that a happening is about."""

    row_id: int
    contact_id: int
    task_id: int


@dataclass(slots=True)
class Applied:
    """What became of a batch; :func:`announce` tells it after the commit.

    matches: for each item, in order, its row or None. fates: how many of each kind were "matched",
    "unmatched" or "repeated". promoted: rows that were unknown and were sent after all. postponed: waiting
    recipients who wait longer now. paused: (campaign id, reason). stopped: waiting recipients for whom a
    sequence has ended.
    """

    matches: list[Match | None] = field(default_factory=list)
    fates: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    promoted: list[int] = field(default_factory=list)
    suppressed: Counter[SuppressionReason] = field(default_factory=Counter)
    changes: list[health.HealthChange] = field(default_factory=list)
    paused: list[tuple[int, str]] = field(default_factory=list)
    postponed: int = 0
    stopped: Counter[StopReason] = field(default_factory=Counter)

    @property
    def matched(self) -> int:
        return self._count("matched")

    @property
    def unmatched(self) -> int:
        return self._count("unmatched")

    @property
    def repeated(self) -> int:
        return self._count("repeated")

    def _count(self, fate: str) -> int:
        return sum(count for (_kind, own), count in self.fates.items() if own == fate)


class _Found(NamedTuple):
    """A happening, when it really was, and of bounces what it means."""

    item: Feedback
    at: datetime
    verdict: Verdict | None


def apply(connection: Connection, items: Sequence[Feedback], now: datetime, applier: Applier) -> Applied:
    """Take note of what came back, in the caller's transaction, which may be repeated."""
    applied = Applied()
    if not items:
        return applied
    row_ids = rows_of(connection, items, applier.tokens, now)
    known = {row_id for row_id in row_ids if row_id is not None}
    more = {row_id for row_id, item in zip(row_ids, items, strict=True) if item.kind not in VISITS}
    rows = store.seen(connection, known, known - more)
    applied.matches = [_match(rows.get(row_id)) if row_id is not None else None for row_id in row_ids]
    # Looked for behind the lock: whoever tells the same at the same moment has been waited for.
    by_row: dict[int, list[_Found]] = {}
    strangers: list[Feedback] = []
    for item, match in _fresh(connection, items, applied):
        if match is None:
            strangers.append(item)
        else:
            by_row.setdefault(match.row_id, []).append(_found(rows[match.row_id], item, now))
    of_rows = [(rows[row_id], found) for row_id, found in sorted(by_row.items())]
    _note(connection, of_rows, now, applied)
    _log(connection, of_rows)
    # Visits mean nothing beyond their row, and are nearly all there is.
    of_rows = [(row, found) for row, found in of_rows if row["id"] in more]
    wanted = [
        entry for row, found in of_rows for entry in _act(connection, row, found, now, applier, applied)
    ]
    wanted += _keep(connection, strangers, now, applier)
    suppressions.add(connection, wanted, now)
    applied.suppressed.update(entry.reason for entry in wanted)
    happened = [(row, [one.item for one in found]) for row, found in of_rows]
    applied.stopped = sequences.follow(connection, happened, now)
    _break(connection, of_rows, now, applier, applied)
    return applied


def announce(applied: Applied) -> None:
    """Log and count what a batch has changed; call it once its transaction is committed."""
    for change in applied.changes:
        health.announce(change)
    for campaign_id, reason in applied.paused:
        logbook.paused_by_engine("campaign", campaign_id, reason)
    if applied.promoted:
        logbook.unknown_settled(len(applied.promoted))
    for reason, count in applied.suppressed.items():
        logbook.suppressed_by_feedback(reason.value, count)
    for stop, count in applied.stopped.items():
        logbook.sequences_stopped(stop.value, count)
    if applied.unmatched:
        logbook.feedback_unmatched(applied.unmatched)
    for (kind, fate), count in applied.fates.items():
        meter.feedback(kind.value, fate, count)


def _match(row: Row | None) -> Match | None:
    return None if row is None else Match(row["id"], row["contact_id"], row["task_id"])


def _fresh(
    connection: Connection, items: Sequence[Feedback], applied: Applied
) -> list[tuple[Feedback, Match | None]]:
    """Those that were not told before, one of each key, with their rows."""
    keys = {item.key for item in items if item.key}
    proven = {
        item.key
        for item, match in zip(items, applied.matches, strict=True)
        if match is not None and item.row_id is not None
    }
    known = store.told_before(connection, keys, proven)
    fresh: list[tuple[Feedback, Match | None]] = []
    for item, match in zip(items, applied.matches, strict=True):
        if item.key in known:
            applied.fates[item.kind, "repeated"] += 1
            continue
        if item.key:
            known.add(item.key)
        applied.fates[item.kind, "unmatched" if match is None else "matched"] += 1
        fresh.append((item, match))
    return fresh


def _found(row: Row, item: Feedback, now: datetime) -> _Found:
    verdict = None
    if item.kind is Kind.BOUNCE:
        verdict = bounces.verdict_of(item, provider_of(row["email_domain"]))
    return _Found(item, happened_at(item.at, row["attempt_at"], now), verdict)


def _note(
    connection: Connection,
    of_rows: Sequence[tuple[Row, Sequence[_Found]]],
    now: datetime,
    applied: Applied,
) -> None:
    """Move the rows' times, and their status with them."""
    moved: dict[int, tuple[str, Mapping[str, datetime | None]]] = {}
    for row, found in of_rows:
        before = {column: row[column] for column in store.TIMES}
        times = earliest(before, ((one.item, one.at) for one in found))
        status = STATUSES[row["status"]]
        given_up = status is RowStatus.FAILED_TO_SEND and row["reason"] == RowReason.GIVEN_UP
        if status is RowStatus.UNKNOWN or given_up:
            sent_at = row["sent_at"] or row["attempt_at"] or now
            values: dict[str, Any] = {"status": furthest(times).value, "sent_at": sent_at}
            store.move(connection, row["id"], {**times, **values, "reason": None, "error_message": None})
            events.append(connection, [entries.accepted(row, sent_at)])
            applied.promoted.append(row["id"])
        elif status is RowStatus.SENDING:
            # Its outcome has not been written yet: it will find the times, or that it is proven.
            store.move(connection, row["id"], {**times, "reason": RowReason.HEARD_OF.value})
        elif status in OUT:
            changed = {column: at for column, at in times.items() if at != before[column]}
            after = furthest(times)
            if changed or after is not status:
                moved[row["id"]] = (after.value, changed)
        # Of others nothing is out there: a link of theirs was passed on, or their attempt refused.
    store.move_many(connection, moved)
    enrolment.look_again(connection, applied.promoted, now)


def _log(connection: Connection, of_rows: Sequence[tuple[Row, Sequence[_Found]]]) -> None:
    logged = [
        entries.event(row, item, at, verdict.rule if verdict is not None else "")
        for row, found in of_rows
        for item, at, verdict in found
        if item.kind in EVENT_OF
    ]
    events.append(connection, logged)


def _act(
    connection: Connection,
    row: Row,
    found: Sequence[_Found],
    now: datetime,
    applier: Applier,
    applied: Applied,
) -> list[Suppression]:
    """What happenings mean beyond their row; who must get nothing any more.

    Nothing is noted about somebody whose data was erased: their hash is suppressed already.
    """
    wanted: list[Suppression | None] = []
    erased = row["erased"]
    for item, at, verdict in found:
        if verdict is not None:
            change = consequences.blame(connection, row, item, verdict, now, applier)
            if change is not None:
                applied.changes.append(change)
        if erased:
            continue
        if verdict is not None:
            wanted.append(consequences.of_bounce(connection, row, item, verdict, at))
        else:
            wanted.append(consequences.of_request(row, item))
            applied.postponed += consequences.postpone(connection, row, item, now)
    return [entry for entry in wanted if entry is not None]


def _keep(
    connection: Connection, strangers: Sequence[Feedback], now: datetime, applier: Applier
) -> list[Suppression]:
    """Note what is about nobody we know; who of them must get nothing."""
    kept, found = [], []
    for item in strangers:
        key = consequences.unless_erased(connection, item, applier)
        kept.append(entries.unmatched(item, now, erased=key is None))
        entry = consequences.of_stranger(item, key) if key else None
        if entry is not None:
            found.append(entry)
    unmatched.keep(connection, kept)
    return found


def _break(
    connection: Connection,
    of_rows: Sequence[tuple[Row, Sequence[_Found]]],
    now: datetime,
    applier: Applier,
    applied: Applied,
) -> None:
    """Ask the breaker about the campaigns that something bad came back of."""
    bad: Counter[int] = Counter()
    for row, found in of_rows:
        bad[row["campaign_id"]] += sum(one.item.kind in (Kind.BOUNCE, Kind.COMPLAINT) for one in found)
    for campaign_id, fresh in sorted(bad.items()):
        reason = breaker.check(connection, campaign_id, applier.limits, now, fresh) if fresh else None
        if reason is not None:
            applied.paused.append((campaign_id, reason))
