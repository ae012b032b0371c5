"""Follow-ups: whoever was sent a task's message gets a row in the list of each task that follows it.

A follow-up is due so many days after that recipient's own message was accepted. Nobody waits for the end of
the task before: what was accepted is looked for every minute in the event log, and that may be a minute late,
for a follow-up is due in a day at the earliest. Once a day, and once more when the task before has ended, its
whole list is gone through: an answer may come long after its attempt, when a database was away or a
recipient's reply proved that an ``unknown`` message had arrived. Then the list of the follow-up is complete.

Each step is one transaction that moves the place by compare-and-set and adds the rows behind it, as expansion
does; it may be killed anywhere, repeated, and run by two schedulers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import Connection, RowMapping

from coldsend.audience import rule, rule_sql
from coldsend.database.engine import Database
from coldsend.domain import sequence
from coldsend.domain.gates import Gate
from coldsend.domain.states import TASK_ENDED, StopReason, TaskEvent, TaskStatus, task_after
from coldsend.domain.suppression import address_key, domain_key
from coldsend.errors import ChangedMeanwhile, NotFound, Refused
from coldsend.feedback.free_mail import is_free_mail
from coldsend.pacing.calendar import Calendar, Whereabouts
from coldsend.planning.expand import Expanded, round_for
from coldsend.stores import campaigns, enrolment, expansion, sequence_stops, tasks
from coldsend.stores.enrolment import NewRow, Recipient
from coldsend.stores.sequence_stops import Stop

INTERVAL = timedelta(minutes=1)  # between two looks at what was accepted
OVERLAP = timedelta(minutes=1)  # outcomes are written that much later than they were known, as a rule
CHUNK = 2_000  # rows one transaction adds


@dataclass(frozen=True, slots=True)
class _Step:
    count: int = 0
    ended: bool = False  # there is no next step for now
    done: bool = False  # because the list is complete
    upto: datetime | None = None  # of what was accepted, where more of it is to be looked at


def _never() -> bool:
    return False


def enrol(
    database: Database,
    task_id: int,
    now: datetime,
    *,
    should_stop: Callable[[], bool] = _never,
    chunk: int = CHUNK,
) -> Expanded:
    """Add everyone to a follow-up's list who is not on it and was sent the message before by ``now``.

    ``done``: the task before has ended and nobody is left. Does nothing where the task is not sending, or
    nothing is to be looked for yet. Refused where it cannot be planned: its template set is empty, its rule
    does not hold any more.
    """
    added, step = 0, _Step()
    while not should_stop():
        since = step.upto
        step = database.run(lambda connection: _step(connection, task_id, since, now, chunk))  # noqa: B023
        added += step.count
        if step.ended:
            return Expanded(added, step.done)
    return Expanded(added, done=False)


def is_behind(connection: Connection, task: RowMapping, now: datetime) -> bool:
    """Whether :func:`enrol` has something to do by ``now``. task: a row of a follow-up that sends."""
    if task["expanded_at"] is not None:
        return False
    return task["expand_to"] is not None or _is_due(connection, task, now) is not None


def _is_due(connection: Connection, task: RowMapping, now: datetime) -> str | None:
    """What is to be done now: "last" or "whole" for all of the list before, "latest"; None: nothing."""
    if _has_ended(tasks.get(connection, task["follows_task_id"])):
        return "last"
    looked = task["enrolled_to"]
    if looked is None or looked > now or looked.astimezone(UTC).date() < now.astimezone(UTC).date():
        return "whole"
    return "latest" if now - looked >= INTERVAL else None


def _has_ended(task: RowMapping) -> bool:
    return task["status"] in TASK_ENDED and task["actual_end_time"] is not None


def _step(connection: Connection, task_id: int, since: datetime | None, now: datetime, chunk: int) -> _Step:
    """One transaction. since: goes on with what was accepted after it; None: looks what there is to do."""
    task = tasks.get(connection, task_id)
    if task["expanded_at"] is not None or task["status"] != TaskStatus.SENDING:
        return _Step(ended=True, done=task["expanded_at"] is not None)
    if task["expand_to"] is not None:
        return _through_the_list(connection, task, now, chunk)
    if since is not None and task["enrolled_to"] is not None:
        return _latest(connection, task, since, now, chunk)
    match _is_due(connection, task, now):
        case None:
            return _Step(ended=True)
        case "latest":
            return _latest(connection, task, task["enrolled_to"] - OVERLAP, now, chunk)
        case which:
            # An experiment may be changing the templates this very moment: they are fixed only once.
            templates = {} if task["template_ids"] else {"template_ids": round_for(connection, task)}
            # That it is the last time is noted by the time that is missing.
            moved = enrolment.move(
                connection,
                task,
                now,
                expand_cursor=0,
                expand_to=expansion.last_contact(connection),
                enrolled_to=None if which == "last" else now,
                **templates,
            )
            # Behind the lock: whoever lets the task before send again opens this one after it.
            if moved and which == "last" and not _has_ended(tasks.get(connection, task["follows_task_id"])):
                raise ChangedMeanwhile(f"what task {tasks.reference(task)!r} follows sends again")
            return _Step(ended=not moved)


def _latest(connection: Connection, task: RowMapping, since: datetime, now: datetime, chunk: int) -> _Step:
    """Those whose message was accepted after ``since``, about a chunk of them."""
    found, upto = enrolment.accepted_by(connection, task["follows_task_id"], since, now, chunk)
    new = _recipients(connection, task, found, now)
    looked = max(upto, task["enrolled_to"])
    step = _added(connection, task, new, now, ended=upto >= now, enrolled_to=looked)
    return replace(step, upto=upto)


def _through_the_list(connection: Connection, task: RowMapping, now: datetime, chunk: int) -> _Step:
    """The next stretch of the list of the task before."""
    after, end = task["expand_cursor"], task["expand_to"]
    to = enrolment.reach(connection, task["follows_task_id"], after, end, chunk)
    listed = enrolment.contacts_between(connection, task["follows_task_id"], after, to)
    new = _recipients(connection, task, listed, now)
    if to < end:
        return _added(connection, task, new, now, ended=False, expand_cursor=to)
    last = task["enrolled_to"] is None
    values = {"expand_cursor": 0, "expand_to": None}
    if last:
        return _added(connection, task, new, now, ended=True, expanded_at=now, enrolled_to=now, **values)
    return _added(connection, task, new, now, ended=True, **values)


def _recipients(
    connection: Connection, task: RowMapping, contact_ids: Sequence[int], now: datetime
) -> list[Recipient]:
    resolve = rule.task_resolver(connection, task["campaign_id"])
    try:
        condition = rule_sql.condition(rule.load(task["recipient_rule"]), resolve, now)
    except (NotFound, Refused) as error:
        raise Refused(
            f"nobody can be enrolled in task {tasks.reference(task)!r}, its rule does not hold any more: "
            f"{error.message}",
            hint=error.hint,
        ) from error
    return enrolment.recipients(connection, task, contact_ids, condition)


def _added(
    connection: Connection,
    task: RowMapping,
    new: Sequence[Recipient],
    now: datetime,
    *,
    ended: bool,
    **values: object,
) -> _Step:
    """Move the place and add rows for ``new``; nothing where somebody else has moved it."""
    if not enrolment.move(connection, task, now, **values):
        return _Step(ended=True)  # whoever did goes on
    done = values.get("expanded_at") is not None
    if new:
        # Read behind the lock: an experiment may have been decided since.
        templates = tasks.get(connection, task["id"])["template_ids"]
        calendar = Calendar.of(dict(campaigns.find(connection, task["campaign_id"])))
        turns = task["expanded_count"]
        made = [
            NewRow(
                one,
                templates[(turns + number) % len(templates)],
                due(calendar, task, one),
                _declined(task, one),
            )
            for number, one in enumerate(new)
        ]
        enrolment.add(connection, task["id"], made)
        enrolment.count(connection, task["id"], len(made))
    return _Step(len(new), ended=ended, done=done)


def due(calendar: Calendar, task: RowMapping, recipient: Recipient) -> datetime:
    """When a recipient's follow-up may go out."""
    where = Whereabouts(recipient.contact_id, recipient.time_zone, recipient.country)
    return calendar.follow_up(
        recipient.sent_at, task["follows_days"], bool(task["follows_business_days"]), where
    )


def _declined(task: RowMapping, recipient: Recipient) -> str | None:
    """Why a row comes in skipped; None: it is pending."""
    if recipient.suppressed:
        return Gate.SUPPRESSED.value
    conditions = sequence.read_conditions(task["follows_condition"] or ())
    ends = sequence.stop_that_ends_early([StopReason(stop) for stop in recipient.stops], conditions)
    return sequence.row_reason(ends).value if ends is not None else None


def open_followers(connection: Connection, task_id: int, now: datetime) -> None:
    """Let those enrol again who follow a task that sends again, and those who follow these."""
    for follower_id in enrolment.followers(connection, task_id):
        row = tasks.get(connection, follower_id)
        status = TaskStatus(row["status"])
        if status == TaskStatus.FINISHED:
            after = task_after(status, TaskEvent.EXPAND_AGAIN, row["name"])
            tasks.move(connection, follower_id, [status], after, now, actual_end_time=None)
        elif status in TASK_ENDED:
            continue
        enrolment.open_again(connection, follower_id, now)
        open_followers(connection, follower_id, now)


def stop_earlier(connection: Connection, task: RowMapping, now: datetime) -> None:
    """Before the first follow-up of a campaign begins: stops for what has come back until then.

    Replies and bounces stop nothing as long as nothing follows. task: the follow-up, not begun yet.
    """
    siblings = tasks.listed(connection, campaign_id=task["campaign_id"])
    if not any(_has_begun(row) for row in siblings if row["id"] != task["id"]):
        _stop(connection, siblings, (StopReason.BOUNCED, StopReason.REPLIED), now)


def stop_who_replied(connection: Connection, campaign_id: int, now: datetime) -> None:
    """Stops for the replies that came while the settings of the campaign let them stop nothing."""
    siblings = tasks.listed(connection, campaign_id=campaign_id)
    if any(_has_begun(row) for row in siblings):
        _stop(connection, siblings, (StopReason.REPLIED,), now)


def _has_begun(task: RowMapping) -> bool:
    """Whether a task is a follow-up that has begun."""
    return task["follows_task_id"] is not None and task["actual_start_time"] is not None


def _stop(
    connection: Connection, every: Sequence[RowMapping], reasons: Collection[StopReason], now: datetime
) -> None:
    """Stops for what has come back of a campaign. every: its tasks, of which one follows another."""
    campaign_id = every[0]["campaign_id"]
    steps = sequence_stops.sequences(connection, [campaign_id])[campaign_id]
    wanted: list[Stop] = []
    for row in sequence_stops.came_back(connection, [task["id"] for task in every]):
        if row["erased_at"] is not None:
            continue
        key, domain, about = row["email_key"], row["email_domain"], (row["id"], "earlier")
        if row["bounced_at"] is not None and StopReason.BOUNCED in reasons:
            wanted.append(Stop(campaign_id, address_key(key), row["email"], StopReason.BOUNCED, *about))
        if row["replied_at"] is None or not steps.stop_on_reply or StopReason.REPLIED not in reasons:
            continue
        wanted.append(Stop(campaign_id, address_key(key), row["email"], StopReason.REPLIED, *about))
        if steps.stop_domain_on_reply and not is_free_mail(domain):
            wanted.append(Stop(campaign_id, domain_key(domain), domain, StopReason.REPLIED, *about))
    sequence_stops.add_all(connection, wanted, now)
