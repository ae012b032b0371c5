"""Time and pace at a worker's turn: windows, limits, new recipients a day, follow-ups first."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.database.engine import Database
from coldsend.database.tables import (
    campaigns,
    contacts,
    provider_pauses,
    send_counts,
    sender_leases,
    sender_services,
    task_contacts,
)
from coldsend.delivery import claim as claiming
from coldsend.delivery import sift as sifting
from coldsend.delivery import view as views
from coldsend.delivery.attempt import Claim
from coldsend.delivery.claim import Claimer
from coldsend.delivery.record import Recorder
from coldsend.delivery.sift import Sifted, sift
from coldsend.delivery.turn import Turns
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.window import DAYS
from coldsend.pacing.choose import Offer
from coldsend.pacing.quota import next_quota_day_start
from tests.delivery.test_turn import PEPPER, WORKER, Sending, answered
from tests.planning.world import NOW

MINUTE = timedelta(minutes=1)
REFUSED = Answer(Phase.RCPT, 450, "4.2.0", "try again later")


def all_day(days_from_now: int) -> str:
    """A window open on one whole day (UTC) only."""
    return f"{DAYS[(clock.now() + timedelta(days=days_from_now)).weekday()]} 00:00-24:00"


class Paced(Sending):
    def take_for(self, wants: dict[int, int]) -> list[Claim]:
        with self.database.read() as connection:
            view = views.read(connection, clock.now())
        return list(self.turns.take([], wants, view).claims)

    def counts(self) -> dict[tuple[str, str], int]:
        with self.database.read() as connection:
            rows = connection.execute(sa.select(send_counts.c.kind, send_counts.c.key, send_counts.c.used))
            return {(row[0], row[1]): row[2] for row in rows}

    def at(self, row: int, **values: Any) -> None:
        """Change the contact of a row."""
        self.change(contacts, self.row(task_contacts, row)["contact_id"], **values)

    def due(self, row: int) -> tuple[datetime, str | None]:
        found = self.row(task_contacts, row)
        return found["scheduled_send_at"], found["reason"]

    def service_day_ends(self, service_id: int) -> datetime:
        with self.database.read() as connection:
            return next_quota_day_start(
                views.read(connection, clock.now()).services[service_id].service, clock.now()
            )

    def follow_up(self, name: str = "second", **values: Any) -> int:
        return self.task(
            self.campaign_id,
            name,
            status="sending",
            actual_start_time=NOW,
            follows_task_id=self.task_id,
            **values,
        )


@pytest.fixture
def world(database: Database) -> Paced:
    return Paced(database)


def test_rows_whose_window_is_closed_are_put_off_without_an_attempt(world: Paced) -> None:
    rows = world.rows(world.task_id, "pending", 3)
    world.change(campaigns, world.campaign_id, send_window=[all_day(2)])
    assert world.take_for({world.service_id: 5}) == []
    opens = (clock.now() + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert {world.due(row) for row in rows} == {(opens, "window")}
    assert {world.row(task_contacts, row)["attempt"] for row in rows} == {0}
    assert world.used() == 0


@pytest.mark.costly
def test_many_rows_that_must_wait_do_not_stand_before_one_that_may_go(world: Paced) -> None:
    later = world.rows(world.task_id, "pending", 30, scheduled_send_at=clock.now() - 2 * MINUTE)
    [now] = world.rows(world.task_id, "pending", scheduled_send_at=clock.now() - MINUTE)
    entry = all_day(0)
    world.change(campaigns, world.campaign_id, send_window=[entry])
    for row in later:
        world.at(row, time_zone="Pacific/Kiritimati" if clock.now().hour >= 10 else "Pacific/Pago_Pago")
    day = clock.now().strftime("%a").lower()
    assert entry.startswith(day)
    claimed = world.take_for({world.service_id: 1})
    assert [claim.row.id for claim in claimed] == [now]
    assert {world.due(row)[1] for row in later} == {"window"}


def sifted_at(world: Paced, moment: datetime, rows: list[int]) -> Sifted:
    """What a turn at this moment would take of these rows."""
    with world.database.read() as connection:
        view = views.read(connection, clock.now())
    with world.database.begin() as connection:
        able = [Offer(view.services[world.service_id], 5)]
        return sift(connection, view.tasks[0], [(row, None) for row in rows], able, view, moment)


def test_a_holiday_of_the_recipients_country_is_kept(world: Paced) -> None:
    home, away = world.rows(world.task_id, "pending", 2)
    world.at(home, fields={"country": "Germany"}, time_zone="UTC")
    world.at(away, fields={"country": "France"}, time_zone="UTC")
    world.change(campaigns, world.campaign_id, holidays=["recipient"])
    unity = datetime(2028, 10, 3, 12, 0, tzinfo=UTC)
    assert sifted_at(world, unity, [home, away]).rows == [(away, None)]
    assert world.due(home) == (unity.replace(day=4, hour=0), "window")


def test_nothing_is_begun_in_the_last_seconds_of_a_window(world: Paced) -> None:
    [row] = world.rows(world.task_id, "pending")
    world.change(campaigns, world.campaign_id, send_window=["mon-fri 09:00-17:00"])
    closes = datetime(2027, 3, 1, 17, 0, tzinfo=UTC)
    assert sifted_at(world, closes - timedelta(seconds=6), [row]).rows == [(row, None)]
    assert sifted_at(world, closes - timedelta(seconds=4), [row]).rows == []
    assert world.due(row) == (datetime(2027, 3, 2, 9, 0, tzinfo=UTC), "window")


def test_a_retry_that_would_fall_outside_the_window_moves_into_it(world: Paced) -> None:
    world.change(campaigns, world.campaign_id, send_window=[all_day(0), all_day(3)])
    [row] = world.rows(world.task_id, "pending")
    [claim] = world.take_for({world.service_id: 1})
    midnight = (clock.now() + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    result = answered(claim, REFUSED)
    result.outcome.scheduled_send_at = midnight + 5 * MINUTE
    world.take(results=[result])
    assert world.due(row)[0] == midnight + timedelta(days=2)


def test_no_more_is_claimed_than_the_hour_allows_and_a_refusal_gives_it_back(database: Database) -> None:
    world = Paced(database, hourly_quota=2)
    world.rows(world.task_id, "pending", 4)
    first, second = world.take_for({world.service_id: 4})
    assert world.take_for({world.service_id: 4}) == []
    assert world.counts() == {("service_hour", ""): 2}
    world.take(results=[answered(first, REFUSED), answered(second, Answer(Phase.FINAL, 250, "2.0.0", "ok"))])
    assert world.counts() == {("service_hour", ""): 1}
    assert len(world.take_for({world.service_id: 4})) == 1
    assert world.used() == 2


def test_a_domain_gets_its_share_a_day_and_its_other_rows_wait_for_the_next(database: Database) -> None:
    world = Paced(database, domain_quota=2)
    rows = world.rows(world.task_id, "pending", 5)
    [other] = world.rows(world.task_id, "pending")
    world.at(other, email_domain="other.example", email_key="x@other.example")
    claimed = world.take_for({world.service_id: 6})
    assert sorted(claim.row.email_domain for claim in claimed) == ["example.com"] * 2 + ["other.example"]
    assert world.used() == 3
    assert world.take_for({world.service_id: 6}) == []
    waiting = [world.due(row) for row in rows if world.row(task_contacts, row)["status"] == "pending"]
    assert waiting == [(world.service_day_ends(world.service_id), "domain_quota")] * 3
    world.take(results=[answered(claim, REFUSED) for claim in claimed])
    assert world.counts() == {("service_domain", "example.com"): 0, ("service_domain", "other.example"): 0}


def test_a_service_whose_share_of_a_domain_is_spent_leaves_the_rows_to_another(database: Database) -> None:
    world = Paced(database, domain_quota=1)
    second = world.service("second", domain_quota=10)
    rows = world.rows(world.task_id, "pending", 4)
    assert len(world.take_for({world.service_id: 1})) == 1
    assert world.take_for({world.service_id: 4}) == [], "the second one may carry them, when it has room"
    assert {world.due(row)[1] for row in rows} == {None}
    assert [claim.row.service_id for claim in world.take_for({world.service_id: 4, second: 4})] == [
        second
    ] * 3


def test_rows_left_to_another_service_do_not_stand_before_others(database: Database) -> None:
    world = Paced(database, domain_quota=1)
    world.service("second")
    world.rows(world.task_id, "pending", 20, scheduled_send_at=clock.now() - MINUTE)
    assert len(world.take_for({world.service_id: 1})) == 1
    [other] = world.rows(world.task_id, "pending")
    world.at(other, email_domain="other.example", email_key="x@other.example")
    assert [claim.row.id for claim in world.take_for({world.service_id: 1})] == [other]


def test_rows_are_not_left_to_a_service_that_keeps_what_it_has_for_follow_ups(database: Database) -> None:
    world = Paced(database, domain_quota=1)
    second = world.service("second", daily_quota=1)
    kept = {"sender_service_id": second, "scheduled_send_at": clock.now() + MINUTE}
    world.rows(world.follow_up(), "pending", **kept)
    rows = world.rows(world.task_id, "pending", 2)
    assert len(world.take_for({world.service_id: 1})) == 1
    assert world.take_for({world.service_id: 1}) == []
    waiting = [world.due(row) for row in rows if world.row(task_contacts, row)["status"] == "pending"]
    assert [(until > clock.now(), reason) for until, reason in waiting] == [(True, "domain_quota")]


@pytest.mark.costly
def test_however_many_are_left_to_another_service_those_behind_them_are_reached(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, number in (
        (sifting, "MOST_LEFT", 4),
        (claiming, "LOOK", 3),
        (claiming, "MOST_PASSED", 5),
    ):
        monkeypatch.setattr(module, name, number)
    world = Paced(database, domain_quota=1)
    world.service("slow")
    full = world.rows(world.task_id, "pending", 30, scheduled_send_at=clock.now() - 2 * MINUTE)
    [other] = world.rows(world.task_id, "pending", scheduled_send_at=clock.now() - MINUTE)
    world.at(other, email="x@other.example", email_key="x@other.example", email_domain="other.example")
    assert len(world.take_for({world.service_id: 1})) == 1
    claimed = []
    for _ in range(30):
        world.turns.claimer.dry.clear()
        claimed += world.take_for({world.service_id: 1})
    assert [claim.row.id for claim in claimed] == [other]
    waiting = [world.due(row) for row in full if world.row(task_contacts, row)["status"] == "pending"]
    assert sum(reason is None for _until, reason in waiting) >= 4, "for the other service, at once"
    assert max(until for until, _reason in waiting) <= clock.now() + 5 * MINUTE


def test_a_campaign_writes_to_so_many_new_recipients_a_day_and_the_rest_keeps_its_due_time(
    world: Paced,
) -> None:
    world.change(campaigns, world.campaign_id, new_per_day=2)
    due = clock.now() - MINUTE
    rows = world.rows(world.task_id, "pending", 4, scheduled_send_at=due)
    second = world.follow_up()
    [follow_up] = world.rows(second, "pending", sender_service_id=world.service_id)
    claimed = world.take_for({world.service_id: 10})
    assert len(claimed) == 3
    assert follow_up in {claim.row.id for claim in claimed}, "follow-ups do not count"
    assert world.counts() == {("campaign_new", ""): 2}
    assert world.take_for({world.service_id: 10}) == []
    waiting = [world.due(row) for row in rows if world.row(task_contacts, row)["status"] == "pending"]
    assert waiting == [(due, None)] * 2
    world.take(results=[answered(claim, REFUSED) for claim in claimed])
    assert world.counts() == {("campaign_new", ""): 0}, "who was refused before a word may be new again"


def test_follow_ups_are_asked_first_and_keep_the_quota_they_need(database: Database) -> None:
    world = Paced(database, daily_quota=5)
    world.rows(world.task_id, "pending", 10)
    second = world.follow_up()
    now = clock.now()
    due = world.rows(second, "pending", 2, sender_service_id=world.service_id)
    ends = world.service_day_ends(world.service_id)
    world.rows(
        second,
        "pending",
        2,
        sender_service_id=world.service_id,
        scheduled_send_at=ends - timedelta(seconds=1),
    )
    world.rows(second, "pending", 9, sender_service_id=world.service_id, scheduled_send_at=ends + MINUTE)
    assert now < ends - timedelta(seconds=1), "within a second of midnight this test means nothing"
    claimed = world.take_for({world.service_id: 10})
    of_task = [claim.row.task_id for claim in claimed]
    assert (of_task.count(second), of_task.count(world.task_id)) == (2, 1)
    assert {claim.row.id for claim in claimed} >= set(due)
    assert world.take_for({world.service_id: 10}) == [], "two are kept for what is due later today"


def test_follow_ups_that_wait_for_a_paused_provider_keep_no_quota_from_others(database: Database) -> None:
    world = Paced(database, daily_quota=2)
    world.insert(provider_pauses, sender_service_id=world.service_id, provider="google", times=3)
    late = clock.now() - MINUTE
    kept = {"sender_service_id": world.service_id, "scheduled_send_at": late}
    for row in world.rows(world.follow_up(), "pending", 3, **kept):
        world.at(row, email_domain="gmail.com", email_key=f"{row}@gmail.com")
    rows = world.rows(world.task_id, "pending", 2)
    assert world.take_for({world.service_id: 5}) == [], "they are looked at first"
    assert {claim.row.id for claim in world.take_for({world.service_id: 5})} == set(rows)


def test_workers_with_an_old_view_do_not_take_what_follow_ups_need(database: Database) -> None:
    world = Paced(database, daily_quota=5)
    world.rows(world.task_id, "pending", 10)
    later = clock.now() + MINUTE
    world.rows(world.follow_up(), "pending", 4, sender_service_id=world.service_id, scheduled_send_at=later)
    with database.read() as connection:
        stale = views.read(connection, clock.now())
    claimed = [len(world.turns.take([], {world.service_id: 5}, stale).claims) for _ in range(3)]
    assert claimed == [1, 0, 0]


def test_without_precedence_follow_ups_take_their_turn(database: Database) -> None:
    world = Paced(database, daily_quota=3)
    world.rows(world.task_id, "pending", 10)
    second = world.follow_up()
    world.rows(second, "pending", 5, sender_service_id=world.service_id)
    world.change(campaigns, world.campaign_id, followups_first=False)
    of_task = {claim.row.task_id for _ in range(3) for claim in world.take_for({world.service_id: 1})}
    assert world.task_id in of_task


def test_a_ramp_holds_against_many_workers_with_an_old_view(database: Database) -> None:
    today = clock.now().date().isoformat()
    world = Paced(database, daily_quota=50, ramp={"start": 7, "step": 3, "since": today})
    world.rows(world.task_id, "pending", 20)
    with database.read() as connection:
        stale = views.read(connection, clock.now())
    claimed = [len(world.turns.take([], {world.service_id: 4}, stale).claims) for _ in range(3)]
    assert claimed == [4, 3, 0]


@pytest.mark.costly
def test_no_limit_is_exceeded_by_workers_that_claim_at_once(database: Database) -> None:
    world = Paced(database, daily_quota=50, hourly_quota=14, domain_quota=11)
    world.change(campaigns, world.campaign_id, new_per_day=12)
    rows = world.rows(world.task_id, "pending", 24)
    for row in rows[:6]:
        world.at(row, email_domain="other.example", email_key=f"x{row}@other.example")
    with database.read() as connection:
        stale = views.read(connection, clock.now())
    claimed: list[int] = []
    start = threading.Barrier(3)

    def work(worker: int) -> None:
        turns = Turns(database, worker, Claimer(worker, PEPPER, 30), Recorder(worker, 30), 3)
        start.wait()
        for _ in range(6):
            claimed.extend(claim.row.id for claim in turns.take([], {world.service_id: 3}, stale).claims)

    threads = [threading.Thread(target=work, args=(WORKER + n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 12
    counts = world.counts()
    assert counts["service_hour", ""] == counts["campaign_new", ""] == world.used() == 12
    assert counts["service_domain", "example.com"] + counts["service_domain", "other.example"] == 12
    assert counts["service_domain", "example.com"] <= 11


@pytest.mark.parametrize("setting", [{"jitter_sec": 5}, {"spread_hours": 8}])
def test_a_service_with_jitter_or_spread_sends_for_its_owner_only(
    database: Database, setting: dict[str, Any]
) -> None:
    world = Paced(database, **setting)
    world.rows(world.task_id, "pending", 2)
    assert world.take_for({world.service_id: 1}) == [], "nobody owns it"
    world.insert(sender_leases, sender_service_id=world.service_id, worker_id=WORKER)
    assert len(world.take_for({world.service_id: 1})) == 1


def test_the_gap_in_the_database_is_the_spread_over_todays_limit_and_the_jitter_that_was_drawn(
    database: Database,
) -> None:
    world = Paced(database, daily_quota=10, spread_hours=1, jitter_sec=60, throttle_sec=2)
    world.insert(sender_leases, sender_service_id=world.service_id, worker_id=WORKER)
    world.rows(world.task_id, "pending", 2)
    for drawn, expected in ((0.0, 360), (400.0, 400)):
        [claim] = world.take_for({world.service_id: 1})
        result = answered(claim, Answer(Phase.FINAL, 250, "2.0.0", "ok"))
        result.gap = drawn
        world.take(results=[result])
        with database.read() as connection:
            next_send_at = connection.execute(sa.select(sender_leases.c.next_send_at)).scalar()
        assert next_send_at == result.outcome.at + timedelta(seconds=expected)
        world.change(sender_services, world.service_id, updated_at=clock.now())
