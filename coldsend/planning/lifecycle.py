"""What happens to tasks and campaigns by themselves: the scheduler calls each of these every second or so.

All of them may be interrupted anywhere, repeated, and run by two schedulers at once: every change is a
compare-and-set, and what is left undone is found again. Each looks with a plain read first, so that a
second in which nothing is due takes no lock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import DBAPIError

from coldsend import clock, logbook
from coldsend.analytics import tally
from coldsend.database.engine import Connection, Database
from coldsend.domain.states import (
    CampaignEvent,
    CampaignStatus,
    RowReason,
    TaskEvent,
    TaskStatus,
    campaign_after,
    task_after,
)
from coldsend.errors import ChangedMeanwhile, Refused, Unreachable
from coldsend.planning import expand, followups
from coldsend.stores import campaigns, tasks

TURN = 5.0  # seconds that one follow-up's list is worked on, before others have their turn
SKIP_CHUNK = 5_000  # rows one transaction skips: well under a second, also on a busy server


@dataclass(frozen=True, slots=True)
class Ended:
    """Ids of what has ended in one round. tasks: finished ones, and cancelled or failed ones wound up."""

    tasks: tuple[int, ...] = ()
    campaigns: tuple[int, ...] = ()


def never() -> bool:
    return False


def activate_due(database: Database, now: datetime) -> list[int]:
    """Let scheduled tasks begin whose start time and plan time have come; returns their ids.

    Follow-ups begin when the task before them has begun.
    """
    with database.read() as connection:
        if not tasks.due(connection, now):
            return []

    def work(connection: Connection) -> list[RowMapping]:
        begun = []
        for task_id in tasks.due(connection, now):
            row = tasks.get(connection, task_id)
            after = task_after(TaskStatus.SCHEDULED, TaskEvent.COME_DUE, row["name"])
            if tasks.move(connection, task_id, [TaskStatus.SCHEDULED], after, now, actual_start_time=now):
                if row["follows_task_id"] is not None:
                    followups.stop_earlier(connection, row, now)
                begun.append(row)
        return begun

    begun = database.run(work)
    for row in begun:
        logbook.task_started(tasks.reference(row), row["id"])
    return [row["id"] for row in begun]


def expand_due(database: Database, now: datetime, should_stop: Callable[[], bool] = never) -> list[int]:
    """Make the send lists of sending tasks that have none yet, or not to the end; returns the ids done.

    Those of follow-ups grow as long as the task before sends. A task that cannot be planned fails with the
    reason.
    """
    with database.read() as connection:
        waiting = [
            row for row in tasks.in_status(connection, TaskStatus.SENDING) if _grows(connection, row, now)
        ]
    done = []
    for row in waiting:
        if should_stop():
            break
        try:
            if row["follows_task_id"] is None:
                expanded = expand.expand_task(database, row["id"], now, should_stop=should_stop)
            else:
                expanded = followups.enrol(database, row["id"], now, should_stop=_or_late(should_stop))
        except ChangedMeanwhile:
            continue  # nothing is wrong with it: the next round looks at what it is by then
        except Refused as error:
            _fail(database, row, error.message, now)
            continue
        except (Unreachable, DBAPIError):
            raise
        except Exception as error:
            # A bug met in one task must neither hold up the others nor be met again every second.
            logbook.unexpected_error(f"expansion of task {tasks.reference(row)}", error)
            _fail(database, row, f"a bug in coldsend: {type(error).__name__}: {error}", now)
            continue
        if expanded.count and row["follows_task_id"] is not None:
            logbook.followups_enrolled(tasks.reference(row), row["id"], expanded.count)
        if expanded.done:
            logbook.task_expanded(tasks.reference(row), row["id"], expanded.count)
            done.append(int(row["id"]))
    return done


def _or_late(should_stop: Callable[[], bool]) -> Callable[[], bool]:
    """Going through a whole list takes minutes where it is long: it goes on in the next round."""
    ends = clock.monotonic() + TURN
    return lambda: should_stop() or clock.monotonic() > ends


def _grows(connection: Connection, row: RowMapping, now: datetime) -> bool:
    """Whether a task's send list is not complete, and there is something to look for."""
    if row["follows_task_id"] is not None:
        return followups.is_behind(connection, row, now)
    return row["expanded_at"] is None


def _fail(database: Database, row: RowMapping, reason: str, now: datetime) -> None:
    after = task_after(TaskStatus.SENDING, TaskEvent.PLANNING_FAILED, row["name"])
    failed = database.run(
        lambda connection: tasks.move(
            connection, row["id"], [TaskStatus.SENDING], after, now, status_reason=reason
        )
    )
    if failed:
        logbook.task_failed(tasks.reference(row), row["id"], reason)


def skip_cancelled(database: Database, now: datetime, should_stop: Callable[[], bool] = never) -> int:
    """Skip pending recipients of cancelled and failed tasks, chunk by chunk; returns how many.

    Rows in `sending` are left to their worker; one that it puts back is found in a later round.
    """
    with database.read() as connection:
        ended = tasks.unwound(connection)
    total = 0
    for row in ended:
        skipped = 0
        while not should_stop():
            found, changed = database.run(partial(_skip_chunk, task_id=row["id"]))
            skipped += changed
            if found < SKIP_CHUNK:
                break
        if skipped:
            logbook.recipients_skipped(tasks.reference(row), row["id"], RowReason.CANCELLED, skipped)
        total += skipped
    return total


def _skip_chunk(connection: Connection, task_id: int) -> tuple[int, int]:
    ids = tasks.pending_ids(connection, task_id, SKIP_CHUNK)
    return len(ids), tasks.skip_rows(connection, ids, RowReason.CANCELLED) if ids else 0


def finish_ended(database: Database, now: datetime) -> Ended:
    """Close tasks that have nothing pending or sending any more, then campaigns whose tasks are all closed.

    `unknown` rows do not hold a task open: they wait for a person, not for us.
    """
    with database.read() as connection:
        sending = tasks.in_status(connection, TaskStatus.SENDING)
        open_ended = [row for row in sending if row["expanded_at"] is not None] + tasks.unwound(connection)
        idle = [row for row in open_ended if not tasks.has_waiting(connection, row["id"])]
    closed = [row["id"] for row in idle if _close_task(database, row, now)]
    return Ended(tuple(closed), tuple(_complete_campaigns(database, now)))


def _close_task(database: Database, row: RowMapping, now: datetime) -> bool:
    """Write end time and summary of a task without waiting rows; False where it has some again."""
    with database.read() as connection:
        # Counted before the row is locked: a large list takes seconds, and nothing in it is still to be sent.
        summary = tally.summary(connection, row["id"])
    before = TaskStatus(row["status"])
    after = before
    if before == TaskStatus.SENDING:
        after = task_after(before, TaskEvent.ROWS_ENDED, row["name"])

    def work(connection: Connection) -> bool:
        # Locked first and looked at after: whoever makes rows pending again updates the task's row, too.
        if not tasks.move(connection, row["id"], [before], before, now):
            return False
        fresh = tasks.get(connection, row["id"])
        reopened = fresh["expanded_at"] is None if before == TaskStatus.SENDING else fresh["actual_end_time"]
        if reopened or tasks.has_waiting(connection, row["id"]):
            return False
        return tasks.move(
            connection, row["id"], [before], after, now, actual_end_time=now, summary_stats=summary
        )

    if not database.run(work):
        return False
    logbook.task_ended(tasks.reference(row), row["id"], after, summary)
    return True


def _complete_campaigns(database: Database, now: datetime) -> list[int]:
    with database.read() as connection:
        idle = [
            row for row in campaigns.active(connection) if not campaigns.has_open_tasks(connection, row["id"])
        ]
    completed = []
    for row in idle:
        after = campaign_after(CampaignStatus.ACTIVE, CampaignEvent.TASKS_ENDED, row["name"])

        def work(connection: Connection, row: RowMapping = row, after: CampaignStatus = after) -> bool:
            # Locked first, as a task may be added this very moment.
            if not campaigns.touch(connection, row["id"], [CampaignStatus.ACTIVE], now):
                return False
            if campaigns.has_open_tasks(connection, row["id"]):
                return False
            return campaigns.move(connection, row["id"], [CampaignStatus.ACTIVE], after, now)

        if database.run(work):
            logbook.campaign_completed(row["name"], row["id"])
            completed.append(int(row["id"]))
    return completed
