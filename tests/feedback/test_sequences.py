"""A reply or a bounce ends the sequence for who sent it, and for nobody else."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Database
from coldsend.database.tables import campaigns, contacts, sequence_stops, task_contacts, tasks
from coldsend.domain.feedback import Kind
from coldsend.domain.states import RowReason
from coldsend.feedback.free_mail import is_free_mail
from coldsend.stores import sequence_stops as stops
from tests.feedback.happenings import SENT, Sent, on_sqlite


class Steps(Sent):
    """Task ``second`` follows ``intro``."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.second = self.task(
            self.campaign_id, "second", "sending", follows_task_id=self.task_id, follows_days=3
        )

    def chain(self, email: str, task: int | None = None) -> tuple[int, int]:
        """A message that was sent to this address, and the row of its follow-up, which waits."""
        [first] = self.sent()
        contact = self.row(task_contacts, first)["contact_id"]
        domain = email.partition("@")[2]
        self.change(contacts, contact, email=email, email_key=email, email_domain=domain)
        waits = {"follows_id": first, "sent_at": None, "sender_service_id": self.service_id}
        return first, self.again(first, task or self.second, "pending", **waits)

    def stops(self) -> set[tuple[str, str]]:
        return {(row["stop_key"], row["reason"]) for row in self.all(sequence_stops)}

    def ended(self, row_id: int) -> tuple[str, str | None]:
        row = self.row(task_contacts, row_id)
        return row["status"], row["reason"]


@pytest.fixture
def steps(database: Database) -> Steps:
    return Steps(database)


def test_a_reply_ends_it_for_the_address_and_its_domain(steps: Steps) -> None:
    first, mine = steps.chain("bob@acme.example")
    _, colleague = steps.chain("eve@acme.example")
    _, other = steps.chain("ann@other.example")
    [unsent] = steps.rows(steps.task_id, "pending")
    contact = steps.row(task_contacts, unsent)["contact_id"]
    steps.change(contacts, contact, email_domain="acme.example")
    applied = steps.apply(steps.heard(Kind.REPLY, first))
    assert steps.stops() == {("a:bob@acme.example", "replied"), ("d:acme.example", "replied")}
    for ended in (mine, colleague, unsent):
        assert steps.ended(ended) == ("skipped", "replied")
    assert steps.ended(other) == ("pending", None)
    assert sum(applied.stopped.values()) == 3


def test_a_bounce_of_any_kind_ends_it_for_the_address_alone(steps: Steps) -> None:
    first, mine = steps.chain("bob@acme.example")
    _, colleague = steps.chain("eve@acme.example")
    steps.apply(steps.bounce(first, "452 4.2.2 mailbox full"))
    assert steps.stops() == {("a:bob@acme.example", "bounced")}
    assert steps.ended(mine) == ("skipped", "bounced")
    assert steps.ended(colleague) == ("pending", None)


@on_sqlite
def test_at_a_provider_of_mailboxes_a_reply_ends_it_for_its_sender_alone(steps: Steps) -> None:
    first, mine = steps.chain("bob@gmail.com")
    _, stranger = steps.chain("eve@gmail.com")
    steps.apply(steps.heard(Kind.REPLY, first))
    assert steps.ended(mine) == ("skipped", "replied")
    assert steps.ended(stranger) == ("pending", None)


@on_sqlite
@pytest.mark.parametrize(
    "kind", [Kind.AUTO_REPLY, Kind.OPEN, Kind.CLICK, Kind.DELIVERED, Kind.DELAYED, Kind.UNSUBSCRIBE]
)
def test_nothing_else_ends_a_sequence(steps: Steps, kind: Kind) -> None:
    first, mine = steps.chain("bob@acme.example")
    steps.apply(steps.heard(kind, first))
    assert steps.stops() == set()
    assert steps.ended(mine) == ("pending", None)


@on_sqlite
@pytest.mark.parametrize(
    ("settings", "stops"),
    [
        ({"stop_on_reply": False}, set()),
        ({"stop_domain_on_reply": False}, {("a:bob@acme.example", "replied")}),
    ],
)
def test_a_campaign_says_what_replies_stop(
    steps: Steps, settings: dict[str, Any], stops: set[tuple[str, str]]
) -> None:
    steps.change(campaigns, steps.campaign_id, **settings)
    first, _mine = steps.chain("bob@acme.example")
    steps.apply(steps.heard(Kind.REPLY, first))
    assert steps.stops() == stops


@on_sqlite
def test_without_a_follow_up_nothing_is_stopped(steps: Steps) -> None:
    first, second = steps.chain("bob@acme.example")
    steps.change(tasks, steps.second, follows_task_id=None)
    steps.apply(steps.heard(Kind.REPLY, first), steps.bounce(first))
    assert steps.stops() == set()
    assert steps.ended(second) == ("pending", None)


@on_sqlite
def test_other_campaigns_go_on(steps: Steps) -> None:
    autumn = steps.campaign("autumn", "active")
    other = steps.task(autumn, "intro", "sending", follows_task_id=steps.task_id, follows_days=1)
    first, _mine = steps.chain("bob@acme.example")
    waits = steps.again(first, other, "pending", sent_at=None)
    steps.apply(steps.heard(Kind.REPLY, first))
    assert steps.ended(waits) == ("pending", None)


def test_a_message_that_was_sent_after_all_is_looked_for_by_what_follows_it(steps: Steps) -> None:
    complete = {"expanded_at": SENT, "enrolled_to": SENT}
    steps.change(tasks, steps.second, **complete)
    ended = steps.task(
        steps.campaign_id, "gone", "finished", follows_task_id=steps.task_id, follows_days=3, **complete
    )
    [sent] = steps.sent()
    steps.apply(steps.heard(Kind.OPEN, sent))
    assert steps.row(tasks, steps.second)["expanded_at"] is not None, "nothing new"
    [unknown] = steps.sent(status="unknown")
    steps.apply(steps.heard(Kind.OPEN, unknown))
    row = steps.row(tasks, steps.second)
    assert (row["expanded_at"], row["enrolled_to"]) == (None, None)
    assert steps.row(tasks, ended)["expanded_at"] is not None


@on_sqlite
@pytest.mark.parametrize("whose", ["a:bob@acme.example", "d:acme.example"])
def test_who_waits_at_a_domain_is_found_without_a_walk_through_all_who_wait(steps: Steps, whose: str) -> None:
    asked: list[Any] = []
    sa.event.listen(steps.database.engine, "before_cursor_execute", lambda *about: asked.append(about[2:4]))
    task_ids, reason = [steps.task_id, steps.second], RowReason.REPLIED
    with steps.database.begin() as connection:
        stops.skip_waiting(connection, task_ids, whose, reason, contact_id=None)
        statement, values = next(one for one in asked if "SELECT task_contacts.id" in one[0])
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    told = [row[3] for row in plan]
    assert any("task_contacts" in line and "contact_id=?" in line for line in told), told
    assert not any("ix_task_contacts_lease" in line for line in told), told


@on_sqlite
def test_what_is_for_those_who_replied_waits_for_its_own_time(steps: Steps) -> None:
    thanks = steps.task(
        steps.campaign_id,
        "thanks",
        "sending",
        follows_task_id=steps.task_id,
        follows_days=1,
        follows_condition=["replied"],
    )
    first, mine = steps.chain("bob@acme.example")
    answer = steps.again(first, thanks, "pending", follows_id=first, sent_at=None)
    steps.apply(steps.heard(Kind.REPLY, first))
    assert steps.ended(mine) == ("skipped", "replied")
    assert steps.ended(answer) == ("pending", None)
    steps.apply(steps.bounce(first))
    assert steps.ended(answer) == ("skipped", "bounced")


@pytest.mark.costly
def test_told_twice_or_in_another_order_it_comes_to_the_same(steps: Steps) -> None:
    first, _mine = steps.chain("bob@acme.example")
    happened = [steps.heard(Kind.REPLY, first), steps.bounce(first), steps.heard(Kind.REPLY, first, at=SENT)]
    expected = {("a:bob@acme.example", "bounced"), ("d:acme.example", "replied")}
    for order in itertools.permutations(happened):
        with steps.database.begin() as connection:
            connection.execute(sa.delete(sequence_stops))
            connection.exec_driver_sql("DELETE FROM event_log")
        for item in order:
            steps.apply(item)
        steps.apply(*order)
        assert steps.stops() == expected


@on_sqlite
def test_of_an_erased_person_no_stop_is_kept(steps: Steps) -> None:
    first, _mine = steps.chain("bob@acme.example")
    contact = steps.row(task_contacts, first)["contact_id"]
    steps.change(contacts, contact, erased_at=SENT)
    steps.apply(steps.heard(Kind.REPLY, first, category="interested"))
    assert steps.stops() == set()
    assert steps.row(task_contacts, first)["reply_category"] is None


class TestCategories:
    def test_what_a_reply_wants_is_noted_with_its_row(self, steps: Steps) -> None:
        [row] = steps.sent()
        steps.apply(steps.heard(Kind.REPLY, row, category="question"))
        assert steps.row(task_contacts, row)["reply_category"] == "question"

    @pytest.mark.costly
    @on_sqlite
    def test_of_several_replies_the_weightiest_counts_in_any_order(self, steps: Steps) -> None:
        for order in itertools.permutations(["interested", "not_interested", "other", ""]):
            [row] = steps.sent()
            for category in order:
                steps.apply(steps.heard(Kind.REPLY, row, category=category))
            assert steps.row(task_contacts, row)["reply_category"] == "not_interested"

    @on_sqlite
    def test_a_reply_that_nobody_looked_at_has_none(self, steps: Steps) -> None:
        [row] = steps.sent()
        steps.apply(steps.heard(Kind.REPLY, row))
        assert steps.row(task_contacts, row)["reply_category"] is None


@pytest.mark.parametrize(
    ("domain", "free"),
    [
        ("gmail.com", True),
        ("yahoo.co.jp", True),
        ("outlook.fr", True),
        ("web.de", True),
        ("qq.com", True),
        ("mailbox.org", True),
        ("t-online.de", True),
        ("google.com", False),
        ("siemens.com", False),
        ("acme.example", False),
    ],
)
def test_free_mailboxes_are_known(domain: str, free: bool) -> None:
    assert is_free_mail(domain) is free
