"""Sequences at the intent: stops and conditions are asked there, and the thread is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coldsend import clock
from coldsend.composing.source import Site
from coldsend.database.engine import Database
from coldsend.database.tables import campaigns, contacts, task_contacts, tasks, templates
from coldsend.delivery.attempt import Claim
from coldsend.delivery.composers import Composers, templates_of
from coldsend.domain.message import Thread
from coldsend.domain.states import StopReason
from coldsend.stores import sequence_stops, services
from coldsend.stores.sequence_stops import Stop
from tests.delivery.test_turn import Sending, accepted
from tests.planning.world import NOW

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Sequel(Sending):
    """Tasks ``first`` and ``second``, which follows it; rows of ``second`` are due."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.second = self.follow(self.task_id, "second")

    def follow(self, task: int, name: str, *conditions: str) -> int:
        return self.task(
            self.campaign_id,
            name,
            "sending",
            actual_start_time=NOW,
            follows_task_id=task,
            follows_days=1,
            follows_condition=list(conditions) or None,
        )

    def first(self, **values: Any) -> int:
        """A row of the first task whose message was sent."""
        row = {"sent_at": NOW, "sender_service_id": self.service_id, "message_id": "<one@x>"}
        return self.rows(self.task_id, "sent", 1, **{**row, "subject": "Hello", **values})[0]

    def after(self, row_id: int, task: int | None = None, **values: Any) -> int:
        before = self.row(task_contacts, row_id)
        return self.insert(
            task_contacts,
            **{
                "task_id": task or self.second,
                "contact_id": before["contact_id"],
                "status": "pending",
                "scheduled_send_at": clock.now(),
                "bucket": before["bucket"],
                "follows_id": row_id,
                "sender_service_id": before["sender_service_id"],
                **values,
            },
        )

    def stop(self, key: str, reason: StopReason) -> None:
        stop = Stop(self.campaign_id, key, key[2:], reason)
        self.database.run(lambda connection: sequence_stops.add(connection, [stop], NOW))

    def ended(self, row_id: int) -> tuple[str, str | None]:
        row = self.row(task_contacts, row_id)
        return row["status"], row["reason"]

    def claims(self) -> list[Claim]:
        return list(self.take(10).claims)


@pytest.fixture
def world(database: Database) -> Sequel:
    return Sequel(database)


def test_a_follow_up_is_claimed_with_the_thread_it_answers(world: Sequel) -> None:
    first = world.first(selected_template_id=None)
    second = world.after(first, status="sent", sent_at=NOW, message_id="<two@x>", subject="Re: Hello")
    third = world.after(second, world.follow(world.second, "third"))
    [claim] = world.claims()
    assert claim.row.id == third
    assert claim.thread == Thread(((first, "<one@x>"), (second, "<two@x>")), "Hello", None)


def test_a_first_message_answers_nothing(world: Sequel) -> None:
    world.rows(world.task_id, "pending")
    [claim] = world.claims()
    assert claim.thread is None


@pytest.mark.parametrize(
    ("reason", "told"),
    [(StopReason.REPLIED, "replied"), (StopReason.BOUNCED, "bounced"), (StopReason.MANUAL, "stopped")],
)
@pytest.mark.parametrize("form", ["address", "domain", "parent"])
def test_a_stop_that_came_a_moment_ago_counts(
    world: Sequel, form: str, reason: StopReason, told: str
) -> None:
    row = world.after(world.first())
    if form == "parent":
        contact = world.row(task_contacts, row)["contact_id"]
        world.change(contacts, contact, email_key="x@mail.example.com", email_domain="mail.example.com")
    world.stop(f"a:{world.email(row)}" if form == "address" else "d:example.com", reason)
    assert world.claims() == []
    assert world.ended(row) == ("skipped", told)
    assert world.used() == 0


@on_sqlite
def test_a_stop_ends_first_messages_of_the_campaign_too_and_nothing_of_others(world: Sequel) -> None:
    [row] = world.rows(world.task_id, "pending")
    world.stop("d:example.com", StopReason.REPLIED)
    other = world.task(world.campaign("autumn", "active"), "intro", "sending", actual_start_time=NOW)
    [untouched] = world.rows(other, "pending")
    assert [claim.row.id for claim in world.claims()] == [untouched]
    assert world.ended(row) == ("skipped", "replied")


@pytest.mark.parametrize(
    ("condition", "before", "sends"),
    [
        ("no reply", {}, True),
        ("no reply", {"replied_at": NOW}, False),
        ("no click", {"opened_at": NOW}, True),
        ("no open", {"opened_at": NOW}, False),
        ("opened", {}, False),
        ("clicked", {"clicked_at": NOW}, True),
        ("replied:interested", {"replied_at": NOW, "reply_category": "interested"}, True),
        ("replied:interested", {"replied_at": NOW, "reply_category": "question"}, False),
    ],
)
@on_sqlite
def test_conditions_are_asked_when_the_row_is_due(
    world: Sequel, condition: str, before: dict[str, Any], sends: bool
) -> None:
    world.change(tasks, world.second, follows_condition=[condition])
    row = world.after(world.first(**before))
    assert len(world.claims()) == sends
    assert world.ended(row) == (("sending", "keeps_service") if sends else ("skipped", "condition"))


def test_conditions_look_at_the_whole_chain(world: Sequel) -> None:
    third = world.follow(world.second, "third", "no click")
    second = world.after(world.first(clicked_at=NOW), status="sent", sent_at=NOW)
    row = world.after(second, third)
    assert world.claims() == []
    assert world.ended(row) == ("skipped", "condition")
    assert "no click" in world.row(task_contacts, row)["error_message"]


@on_sqlite
def test_who_replied_gets_what_is_for_those_who_replied_and_a_colleague_does_not(world: Sequel) -> None:
    world.change(tasks, world.second, follows_condition=["replied"])
    mine = world.after(world.first(replied_at=NOW, reply_category="interested"))
    colleagues = world.after(world.first())
    world.stop(f"a:{world.email(mine)}", StopReason.REPLIED)
    world.stop("d:example.com", StopReason.REPLIED)
    assert [claim.row.id for claim in world.claims()] == [mine]
    assert world.ended(colleagues) == ("skipped", "replied")


@on_sqlite
def test_what_has_to_wait_is_asked_for_its_conditions_when_its_wait_is_over(world: Sequel) -> None:
    world.change(tasks, world.second, follows_condition=["opened"])
    row = world.after(world.first())
    until = clock.now() + timedelta(hours=2)
    world.change(contacts, world.row(task_contacts, row)["contact_id"], away_until=until)
    assert world.claims() == []
    assert world.ended(row) == ("pending", "away")


def test_a_follow_up_waits_for_the_service_of_the_message_before(world: Sequel) -> None:
    other = world.service("other")
    row = world.after(world.first(sender_service_id=other))
    assert world.claims() == [], "the other service has room, and is not the one"
    assert world.ended(row) == ("pending", None)


def test_the_subject_is_noted_with_the_outcome(world: Sequel) -> None:
    rows = world.rows(world.task_id, "pending", 3)
    results = []
    for number, claim in enumerate(world.claims()):
        result = accepted(claim)
        result.outcome.subject = f"Grüße, {number} 'quoted' %s \\ 中文"
        if number == 2:
            result.outcome.subject = "x" * 2000
        results.append(result)
    world.take(results=results)
    noted = {row: world.row(task_contacts, row)["subject"] for row in rows}
    assert noted == {r.outcome.row_id: (r.outcome.subject or "")[:998] for r in results}


@on_sqlite
class TestASubjectThatWasNeverNoted:
    def composed(self, world: Sequel, first_subject: str) -> str | None:
        first = world.first(subject=None, selected_template_id=self.template(world, first_subject))
        row = world.after(first, selected_template_id=self.template(world, "Not used"))
        [claim] = world.claims()
        assert claim.row.id == row
        composers = Composers(Site("https://x.example", "1 Street", bytes(32)))
        service = next(s for s in self.services(world) if s.id == world.service_id)
        assert composers.first_subject(claim, service, None) is None, "its template was not read yet"
        with world.database.read() as connection:
            composers.load(connection, templates_of([claim]))
        return composers.first_subject(claim, service, None)

    def services(self, world: Sequel) -> Any:
        with world.database.read() as connection:
            return services.all_services(connection)

    def template(self, world: Sequel, subject: str) -> int:
        _set, [template] = world.template_set("<p>x</p>")
        world.change(templates, template, subject=subject)
        return template

    def test_is_rendered_from_the_first_template(self, world: Sequel) -> None:
        assert self.composed(world, "For {{ contact.email }}").startswith("For p")  # type: ignore[union-attr]

    def test_is_told_where_it_cannot_be(self, world: Sequel) -> None:
        from coldsend.composing.source import CannotCompose

        with pytest.raises(CannotCompose) as refused:
            self.composed(world, "For {{ contact.company }}")
        assert refused.value.reason == "missing_variable"
        assert "message it follows" in refused.value.detail


@on_sqlite
def test_a_paused_campaign_ends_nothing(world: Sequel) -> None:
    row = world.after(world.first())
    world.change(campaigns, world.campaign_id, status="paused")
    world.stop("d:example.com", StopReason.REPLIED)
    assert world.claims() == []
    assert world.ended(row) == ("pending", None)
