"""The breaker: when a campaign is paused, what counts, and that looking is bounded."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Database
from coldsend.database.tables import campaigns, contacts, event_log, task_contacts
from coldsend.domain.feedback import Kind
from coldsend.domain.states import EventType
from coldsend.feedback import breaker
from coldsend.feedback.breaker import Limits
from coldsend.planning import campaigns as life
from coldsend.stores import feedback as store
from tests.feedback.happenings import SENT, Sent, on_sqlite
from tests.planning.world import NOW

DAY = timedelta(days=1)


class Accepted(Sent):
    """Messages with the event of their acceptance, and the breaker as it is by default."""

    def __init__(self, database: Database, **limits: Any) -> None:
        super().__init__(database, **(limits or {"bounce_rate": 5.0}))

    def accepted(self, count: int, at: datetime = SENT) -> list[int]:
        numbers = [next(self._keys) for _ in range(count)]
        emails = [f"accepted{number}@example.com" for number in numbers]
        people = [{"email": each, "email_key": each, "email_domain": "example.com"} for each in emails]
        mine = contacts.c.email.in_(emails)
        with self.database.begin() as connection:
            connection.execute(sa.insert(contacts), people)
            ids = list(connection.execute(sa.select(contacts.c.id).where(mine)).scalars())
            row = {"task_id": self.task_id, "status": "sent", "attempt_at": at, "sent_at": at}
            connection.execute(sa.insert(task_contacts), [{**row, "contact_id": each} for each in ids])
            event = {"task_id": self.task_id, "type": EventType.SEND_API_SUCCESS.value, "ts": at}
            connection.execute(sa.insert(event_log), [{**event, "contact_id": each} for each in ids])
            found = sa.select(task_contacts.c.id).where(task_contacts.c.contact_id.in_(ids))
            return list(connection.execute(found.where(task_contacts.c.task_id == self.task_id)).scalars())

    def refused(self, count: int, reason: str = "unknown_recipient", at: datetime = SENT) -> list[int]:
        return self.sent(count, "failed_to_send", reason=reason, attempt_at=at, sent_at=None)

    def check(self, now: datetime = NOW) -> str | None:
        limits = self.applier.limits
        return self.database.run(lambda c: breaker.check(c, self.campaign_id, limits, now))


@pytest.fixture
def world(database: Database) -> Accepted:
    return Accepted(database)


def test_five_per_cent_of_bounces_pause_the_campaign_with_the_figures(world: Accepted) -> None:
    rows = world.accepted(100)
    world.apply(*(world.bounce(row_id) for row_id in rows[:4]))
    assert world.campaign_status() == "active"
    applied = world.apply(world.bounce(rows[4]))
    campaign = world.row(campaigns, world.campaign_id)
    assert campaign["status"] == "paused"
    assert campaign["status_reason"].startswith("5 of 100 recipients bounced since")
    assert applied.paused == [(world.campaign_id, campaign["status_reason"])]


@pytest.mark.parametrize(("sent", "status"), [(333, "paused"), (334, "active")])
def test_one_complaint_in_333_pauses_it_and_one_in_334_does_not(
    world: Accepted, sent: int, status: str
) -> None:
    rows = world.accepted(sent)
    world.apply(world.heard(Kind.COMPLAINT, rows[0]))
    assert world.campaign_status() == status


def test_nothing_is_decided_before_so_many_were_tried(world: Accepted) -> None:
    rows = world.accepted(49)
    world.apply(*(world.bounce(row_id) for row_id in rows))
    assert world.campaign_status() == "active"
    world.accepted(1)
    assert world.check() is not None


@on_sqlite
@pytest.mark.parametrize("reason", ["unknown_recipient", "content_refused", "refused"])
def test_who_is_refused_at_once_counts_as_bounced(world: Accepted, reason: str) -> None:
    world.accepted(57)
    world.refused(2, reason)
    assert world.check() is None
    world.refused(1, reason)
    assert str(world.check()).startswith("3 of 60 recipients bounced")


@on_sqlite
@pytest.mark.parametrize("reason", ["expired", "given_up", "too_big", "cancelled"])
def test_other_failures_count_for_nothing(world: Accepted, reason: str) -> None:
    world.accepted(60)
    world.refused(40, reason)
    assert world.check() is None


def test_of_the_least_number_the_rate_counts_as_well(world: Accepted) -> None:
    rows = world.accepted(50)
    world.apply(*(world.bounce(row_id) for row_id in rows[:2]))
    assert world.campaign_status() == "active"
    world.apply(world.bounce(rows[2]))
    assert world.campaign_status() == "paused"


def test_a_recipient_who_bounces_twice_counts_once(world: Accepted) -> None:
    rows = world.accepted(60)
    world.apply(*(world.bounce(row_id) for row_id in rows[:2] for _ in range(5)))
    assert world.campaign_status() == "active"


def test_a_refused_recipient_whose_bounce_comes_as_well_counts_once(world: Accepted) -> None:
    world.accepted(58)
    for row_id in world.refused(2):
        world.apply(world.bounce(row_id))
    assert world.campaign_status() == "active"


@pytest.mark.costly
def test_only_the_last_days_count(world: Accepted) -> None:
    old = world.accepted(60, NOW - 8 * DAY)
    world.apply(*(world.bounce(row_id) for row_id in old))
    world.refused(60, at=NOW - 8 * DAY)
    world.accepted(60)
    assert world.check() is None


def test_who_lets_it_go_on_begins_anew_and_late_bounces_of_old_mail_do_not_stop_it_again(
    world: Accepted,
) -> None:
    old = world.accepted(60)
    world.apply(*(world.bounce(row_id) for row_id in old[:30]))
    assert world.campaign_status() == "paused"
    resumed = NOW + timedelta(minutes=1)
    life.resume(world.database, world.admin, "spring", resumed)
    fresh = world.accepted(60, NOW + timedelta(minutes=2))
    later = NOW + timedelta(minutes=9)
    world.apply(*(world.bounce(row_id, at=later) for row_id in [*old[30:], *fresh[:2]]), now=later)
    assert world.campaign_status() == "active"
    world.apply(world.bounce(fresh[2], at=later), now=later)
    assert world.campaign_status() == "paused"


@on_sqlite
@pytest.mark.parametrize("status", ["draft", "paused", "completed", "cancelled"])
def test_a_campaign_that_does_not_send_is_left_alone(world: Accepted, status: str) -> None:
    rows = world.accepted(60)
    world.change(campaigns, world.campaign_id, status=status)
    applied = world.apply(*(world.bounce(row_id) for row_id in rows))
    assert (world.campaign_status(), applied.paused) == (status, [])


@pytest.mark.costly
def test_a_rate_of_0_never_pauses(database: Database) -> None:
    world = Accepted(database, bounce_rate=0, complaint_rate=0)
    rows = world.accepted(60)
    for kind in (Kind.BOUNCE, Kind.COMPLAINT):
        world.apply(*(world.heard(kind, row_id) for row_id in rows))
    assert world.campaign_status() == "active"


def test_all_tasks_of_the_campaign_count_and_no_others(world: Accepted) -> None:
    first = world.accepted(57)
    mine, world.task_id = world.task_id, world.begun("second")
    second = world.accepted(3)
    other = world.campaign("autumn", "active")
    world.task_id = world.begun("intro", other)
    foreign = world.accepted(10)
    world.apply(*(world.bounce(row_id) for row_id in foreign))
    assert world.check() is None
    world.apply(*(world.bounce(row_id) for row_id in [*second, first[0]]))
    assert world.campaign_status() == "paused"
    assert str(world.row(campaigns, world.campaign_id)["status_reason"]).startswith("4 of 60")
    assert mine != world.task_id


def test_what_was_sent_is_counted_no_further_than_decides(
    world: Accepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = world.accepted(300)
    limits: list[int | None] = []
    real = store.count_events

    def counted(*arguments: Any) -> int:
        if arguments[2] is EventType.SEND_API_SUCCESS:
            limits.append(arguments[4])
        return real(*arguments)

    monkeypatch.setattr(store, "count_events", counted)
    world.apply(world.bounce(rows[0]))
    world.apply(*(world.bounce(row_id) for row_id in rows[1:5]))
    assert limits == [51, 101]
    assert world.campaign_status() == "active"


def test_of_many_bounces_one_in_a_hundred_is_looked_at() -> None:
    looked = [told for told in range(1, 3001) if breaker._is_due(told, 1)]
    assert looked[: breaker.ALWAYS] == list(range(1, breaker.ALWAYS + 1))
    gaps = [later - one for one, later in itertools.pairwise(looked)]
    assert all(gap <= max(1, told // 100) + 1 for gap, told in zip(gaps, looked, strict=False))
    assert len(looked) < 600
    assert breaker._is_due(3001, None), "but when asked in any case"
    assert Limits() == Limits(5.0, 0.3, 50, 7.0)
