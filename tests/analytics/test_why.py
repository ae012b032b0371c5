"""Why was this not sent: hours, limits, stops, conditions, and the step before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.analytics import why
from coldsend.database.engine import Database
from coldsend.database.tables import (
    campaigns,
    contacts,
    event_log,
    send_counts,
    sequence_stops,
    task_contacts,
    tasks,
)
from coldsend.stores import tasks as task_rows
from tests.planning.world import NOW, World

DAY = timedelta(days=1)


class Asked(World):
    """An active campaign of two steps, ``second`` two days after ``intro``, and one contact of Tokyo."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.service_id = self.service("main", daily_quota=10)
        self.process()
        self.campaign_id = self.campaign("spring", "active")
        sends = {"status": "sending", "actual_start_time": NOW}
        self.intro = self.task(self.campaign_id, "intro", expanded_at=NOW, **sends)
        follows = {"follows_task_id": self.intro, "follows_days": 2}
        self.second = self.task(self.campaign_id, "second", **follows, **sends)
        (self.contact,) = self.contacts(1)
        self.change(contacts, self.contact, time_zone="Asia/Tokyo")

    def listed(self, task: int, status: str = "pending", **values: Any) -> int:
        row = {"scheduled_send_at": NOW, "bucket": self.contact % 61, **values}
        return self.insert(task_contacts, task_id=task, contact_id=self.contact, status=status, **row)

    def why(self, task: int, now: datetime = NOW) -> dict[str, Any]:
        with self.database.read() as connection:
            row = task_rows.get(connection, task)
            return why.explain(
                connection,
                row,
                str(self.contact),
                now,
                pepper=None,
                links=b"k" * 32,
                lease=timedelta(minutes=1),
            )

    def gates(self, task: int, now: datetime = NOW) -> list[tuple[str, datetime | None]]:
        return [(one["gate"], one["until"]) for one in self.why(task, now)["blocked_by"]]


@pytest.fixture
def world(sqlite_url: str) -> Asked:
    return Asked(Database(sqlite_url))


def test_a_closed_window_is_told_in_the_recipients_own_time(world: Asked) -> None:
    world.change(campaigns, world.campaign_id, send_window=["mon-fri 09:00-17:00"])
    world.listed(world.intro)
    found = world.why(world.intro)  # 09:00 UTC on a Monday
    (gate,) = found["blocked_by"]
    assert gate["gate"] == "window"
    assert gate["until"] == datetime(2027, 3, 2, 0, 0, tzinfo=UTC)
    assert "it is Mon 18:00 there (Asia/Tokyo), and opens Tue 2027-03-02 09:00" in gate["detail"]
    assert found["time_zone"] == "Asia/Tokyo"


def test_new_recipients_of_the_day_are_used_up(world: Asked) -> None:
    world.change(campaigns, world.campaign_id, new_per_day=3)
    midnight = datetime(2027, 3, 1, tzinfo=UTC)
    counted = {"kind": "campaign_new", "owner_id": world.campaign_id, "period": midnight, "key": ""}
    with world.database.begin() as connection:
        connection.execute(sa.insert(send_counts).values(**counted, used=3))
    world.listed(world.intro)
    world.listed(world.second, follows_id=1, sender_service_id=world.service_id)
    assert world.gates(world.intro) == [("new_per_day", midnight + DAY)]
    assert world.gates(world.second) == [], "follow-ups are no new recipients"


def test_first_messages_leave_follow_ups_what_they_need(world: Asked) -> None:
    world.listed(world.intro)
    world.rows(world.second, "pending", 10, sender_service_id=world.service_id)
    assert world.gates(world.intro) == [("followups_first", datetime(2027, 3, 2, tzinfo=UTC))]


def test_a_ramp_says_what_it_allows(world: Asked) -> None:
    ramp = {"start": 0, "step": 5, "since": "2027-03-01"}
    world.service("new", ramp=ramp)
    only_new = world.task(world.campaign_id, "third", "sending", actual_start_time=NOW, expanded_at=NOW)
    world.listed(only_new, sender_service_id=2)
    kept, gate = world.why(only_new)["blocked_by"]
    assert (kept["gate"], gate["gate"]) == ("keeps_service", "ramp")
    assert "allows 0 of 100 messages today" in gate["detail"]


def test_a_stop_that_came_before_the_row_was_due(world: Asked) -> None:
    row = world.listed(world.intro, "replied", sent_at=NOW, replied_at=NOW)
    values = {"stop_key": "d:example.com", "value": "example.com", "reason": "replied"}
    world.insert(sequence_stops, campaign_id=world.campaign_id, task_contact_id=row, created_at=NOW, **values)
    world.listed(world.second, "skipped", follows_id=row, reason="replied")
    told = world.why(world.second)["explanation"]
    assert "everybody at example.com: a reply came, 2027-03-01 09:00:00 UTC" in told
    world.change(task_contacts, row + 1, status="pending", reason=None)
    assert world.gates(world.second) == [("stopped", None)]


def test_a_condition_says_which_and_what_is_known(world: Asked) -> None:
    world.change(tasks, world.second, follows_condition=["no reply", "no click"])
    row = world.listed(world.intro, "clicked", sent_at=NOW, clicked_at=NOW)
    world.listed(world.second, follows_id=row, scheduled_send_at=NOW + 2 * DAY)
    gates = {one["gate"]: one["detail"] for one in world.why(world.second)["blocked_by"]}
    assert gates["condition"] == (
        "its condition 'no click' does not hold as things stand: clicked 2027-03-01 09:00:00 UTC"
    )
    assert "not_due" in gates


@pytest.mark.parametrize(
    ("status", "values", "until", "words"),
    [
        ("pending", {"scheduled_send_at": NOW + DAY}, NOW + 3 * DAY, "which is not sent yet"),
        ("opened", {"sent_at": NOW - DAY}, NOW + DAY, "was sent 2027-02-28 09:00:00 UTC"),
        ("skipped", {"reason": "suppressed"}, None, "which was skipped (suppressed)"),
        ("unknown", {}, None, "which may have been delivered"),
    ],
)
def test_a_follow_up_waits_for_the_step_before(
    world: Asked, status: str, values: dict[str, Any], until: datetime | None, words: str
) -> None:
    world.listed(world.intro, status, **values)
    found = world.why(world.second)
    assert found["state"] == "not_in_send_list"
    assert [(one["gate"], one["until"]) for one in found["blocked_by"]] == [("waits_for_step", until)]
    assert words in found["blocked_by"][0]["detail"]


def test_a_bounce_beside_an_opening_is_told_as_a_bounce(world: Asked) -> None:
    row = world.listed(world.intro, "opened", sent_at=NOW, opened_at=NOW, bounced_at=NOW + DAY)
    world.insert(
        event_log,
        task_id=world.intro,
        contact_id=world.contact,
        type="bounce",
        ts=NOW + DAY,
        details={"diagnostic": "550 mailbox full of regrets"},
    )
    found = world.why(world.intro)
    assert found["explanation"] == "was sent, and was opened; a bounce came as well, 2027-03-02 09:00:00 UTC"
    assert (found["error"], found["error_of"]) == ("550 mailbox full of regrets", "bounce")
    world.change(task_contacts, row, bounced_at=None)
    assert world.why(world.intro)["explanation"] == "was sent, and was opened"


def test_a_bounce_has_its_words_however_often_the_message_was_opened_since(world: Asked) -> None:
    world.listed(world.intro, "opened", sent_at=NOW, opened_at=NOW + DAY, bounced_at=NOW)
    about = {"task_id": world.intro, "contact_id": world.contact}
    world.insert(event_log, **about, type="bounce", ts=NOW, details={"diagnostic": "550 no"})
    for _ in range(25):
        world.insert(event_log, **about, type="open", ts=NOW + DAY, details={"actor": "human"})
    found = world.why(world.intro)
    assert (found["error"], found["error_of"], len(found["events"])) == ("550 no", "bounce", 20)


def test_who_will_not_be_taken_in_is_told_before_the_list_is_made(world: Asked) -> None:
    for rule, answer in (({"tag": "lead"}, True), ({"everyone": True}, False)):
        first = world.task(world.campaign_id, f"first {answer}", "scheduled", recipient_rule=rule)
        assert ("does not match the task's recipient rule" in world.why(first)["explanation"]) is answer
    words = world.why(world.task(world.campaign_id, "later", "finished", expanded_at=NOW))["explanation"]
    assert "coldsend task expand spring/later" in words
    spaced = world.task(world.campaign_id, "much later", "finished", expanded_at=NOW)
    assert "coldsend task expand 'spring/much later'" in world.why(spaced)["explanation"]


@pytest.mark.parametrize("step", ["first", "second"])
def test_a_task_that_has_ended_takes_nobody_in(world: Asked, step: str) -> None:
    world.listed(world.intro, "sent", sent_at=NOW)
    task = world.second if step == "second" else world.task(world.campaign_id, "third")
    world.change(tasks, task, status="cancelled")
    answer = world.why(task)
    assert answer["explanation"] == "the task ended before this contact came into its send list"
    assert answer["blocked_by"][0]["gate"] == "task_state"
