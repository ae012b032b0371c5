"""Sequences on the command line: follow-ups, stops, labels."""

from __future__ import annotations

from typing import Any

import pytest

from coldsend.database.tables import contacts, inbox_messages, sequence_stops, task_contacts, tasks
from coldsend.planning import stopping
from tests.conftest import Project
from tests.planning.world import NOW, World

PLAIN = ("task", "create", "spring", "x", "--template-set", "seconds")
FOLLOW = ("task", "create", "spring", "second", "--template-set", "seconds", "--after", "intro")


class Office:
    """Campaign ``spring`` with the task ``intro`` and a template set for what follows it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.world = World(project.database)
        self.campaign = self.world.campaign()
        self.intro = self.world.task(self.campaign, "intro")
        self.world.template_set("<p>Second</p>", name="seconds")
        self.world.service()

    def refused(self, *arguments: str) -> dict[str, str]:
        result = self.project.run(*arguments, "--json", check=False)
        assert result.code != 0
        return {**result.error, "exit": str(result.code)}

    def waiting(self, email: str, task: int | None = None, **values: Any) -> int:
        [row] = self.world.rows(task or self.intro, values.pop("status", "pending"), **values)
        contact = self.world.row(task_contacts, row)["contact_id"]
        domain = email.partition("@")[2]
        self.world.change(contacts, contact, email=email, email_key=email, email_domain=domain)
        return row

    def ended(self, row: int) -> tuple[str, str | None]:
        found = self.world.row(task_contacts, row)
        return found["status"], found["reason"]


@pytest.fixture
def office(project: Project) -> Office:
    return Office(project)


@pytest.fixture
def small(sqlite_project: Project) -> Office:
    return Office(sqlite_project)


class TestFollowUps:
    @pytest.mark.costly
    def test_one_is_created_shown_and_listed(self, office: Office) -> None:
        made = office.project.json(*FOLLOW, "--days", "3", "--business-days", "--if", "No click")
        row = office.world.row(tasks, made["id"])
        assert (row["follows_task_id"], row["follows_days"]) == (office.intro, 3)
        assert row["recipient_rule"] == {"everyone": True}
        follows = {"task": "intro", "days": 3, "business_days": True, "conditions": ["no click"]}
        assert office.project.json("task", "show", "spring/second")["follows"] == follows
        assert [task["follows"] for task in office.project.json("task", "list")] == [None, follows]
        told = office.project.run("task", "list").out
        assert "intro, 3 business days later, if no click" in told
        assert "intro, 3 business" in office.project.run("task", "show", "spring/second").out

    def test_it_says_that_its_own_subjects_are_not_used(self, small: Office) -> None:
        made = small.project.run(*FOLLOW, "--days", "1", "--rule", "tag:vip")
        assert "subjects of its own templates are not used" in made.err
        assert small.project.json("task", "show", "spring/second")["recipient_rule"] == {"tag": "vip"}

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (PLAIN, "2", "--rule is missing"),
            (
                ("task", "create", "spring", "x", "--template-set", "seconds", "--days", "3"),
                "2",
                "--days needs",
            ),
            (FOLLOW, "2", "--after needs --days"),
            ((*FOLLOW, "--days", "0"), "2", "--days"),
            ((*FOLLOW, "--days", "3", "--if", "hungry"), "4", "not a condition"),
            ((*FOLLOW, "--days", "3", "--service", "main"), "4", "the service of the message before"),
            ((*FOLLOW, "--days", "3", "--if", "opened", "--if", "no open"), "4", "nobody meets both"),
            ((*FOLLOW[:-1], "outro", "--days", "3"), "3", "has no task 'outro'"),
            ((*FOLLOW[:-1], "autumn/intro", "--days", "3"), "4", "another campaign"),
        ],
    )
    def test_what_cannot_follow_is_refused_and_nothing_is_made(
        self, small: Office, arguments: tuple[str, ...], code: str, words: str
    ) -> None:
        small.world.task(small.world.campaign("autumn"), "intro")
        refused = small.refused(*arguments)
        assert refused["exit"] == code
        assert words in refused["message"]
        assert len(small.project.json("task", "list", "spring")) == 1


class TestStops:
    @pytest.mark.costly
    def test_who_waits_is_skipped_and_waits_again_when_the_stop_is_lifted(self, office: Office) -> None:
        bob, eve = office.waiting("bob@acme.example"), office.waiting("eve@beta.example")
        made = office.project.json("campaign", "stop", "spring", "Bob@ACME.example", "beta.example")
        assert [one["skipped"] for one in made["stopped"]] == [1, 1]
        assert office.ended(bob) == office.ended(eve) == ("skipped", "stopped")
        listed = office.project.json("campaign", "stops", "spring")
        assert [(one["scope"], one["reason"]) for one in listed] == [
            ("address", "manual"),
            ("domain", "manual"),
        ]
        lifted = office.project.json("campaign", "unstop", "spring", "bob@acme.example")
        assert lifted["unstopped"] == [{"value": "bob@acme.example", "waiting": 1, "ended": 0}]
        assert office.ended(bob) == ("pending", None)
        assert office.ended(eve) == ("skipped", "stopped")

    def test_a_large_domain_is_skipped_in_parts(self, small: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stopping, "SKIP_CHUNK", 2)
        rows = [small.waiting(f"p{number}@acme.example") for number in range(5)]
        made = small.project.json("campaign", "stop", "spring", "acme.example", "bob@beta.example")
        assert [one["skipped"] for one in made["stopped"]] == [5, 0]
        assert {small.ended(row) for row in rows} == {("skipped", "stopped")}

    def test_rows_of_ended_tasks_stay_skipped(self, small: Office) -> None:
        bob = small.waiting("bob@acme.example")
        small.project.run("campaign", "stop", "spring", "bob@acme.example")
        small.world.change(tasks, small.intro, actual_end_time=NOW, status="finished")
        lifted = small.project.json("campaign", "unstop", "spring", "bob@acme.example")
        assert lifted["unstopped"] == [{"value": "bob@acme.example", "waiting": 0, "ended": 1}]
        assert small.ended(bob) == ("skipped", "stopped")

    def test_who_is_stopped_twice_waits_until_both_are_lifted(self, small: Office) -> None:
        bob = small.waiting("bob@acme.example")
        small.project.run("campaign", "stop", "spring", "acme.example", "bob@acme.example")
        small.project.run("campaign", "unstop", "spring", "acme.example")
        assert small.ended(bob) == ("skipped", "stopped")
        small.project.run("campaign", "unstop", "spring", "bob@acme.example")
        assert small.ended(bob) == ("pending", None)

    def test_who_replied_before_an_operator_stopped_them_waits_again(self, office: Office) -> None:
        second = office.world.task(office.campaign, "second", follows_task_id=office.intro, follows_days=3)
        replied = office.waiting("bob@acme.example", second, status="skipped", reason="replied")
        add = {"campaign_id": office.campaign, "stop_key": "a:bob@acme.example", "value": "bob@acme.example"}
        office.world.insert(sequence_stops, **add, reason="replied", created_at=NOW)
        later = office.waiting("bob2@acme.example")
        contact = office.world.row(task_contacts, replied)["contact_id"]
        office.world.change(task_contacts, later, contact_id=contact)
        office.project.run("campaign", "stop", "spring", "bob@acme.example")
        lifted = office.project.json("campaign", "unstop", "spring", "bob@acme.example")
        assert lifted["unstopped"] == [{"value": "bob@acme.example", "waiting": 2, "ended": 0}]
        assert office.ended(replied) == office.ended(later) == ("pending", None)

    def test_who_is_below_a_domain_waits_again_with_it(self, office: Office) -> None:
        below = office.waiting("bob@eu.acme.example", status="skipped", reason="stopped")
        beside = office.waiting("eve@notacme.example", status="skipped", reason="stopped")
        office.project.run("campaign", "stop", "spring", "acme.example")
        assert office.project.json("campaign", "unstop", "spring", "acme.example")["unstopped"] == [
            {"value": "acme.example", "waiting": 1, "ended": 0}
        ]
        assert office.ended(below) == ("pending", None)
        assert office.ended(beside) == ("skipped", "stopped")

    def test_a_reply_that_still_stands_keeps_nobody_from_what_is_for_those_who_replied(
        self, small: Office
    ) -> None:
        thanks = small.world.task(
            small.campaign,
            "thanks",
            follows_task_id=small.intro,
            follows_days=1,
            follows_condition=["replied"],
        )
        for_replies = small.waiting("bob@acme.example", thanks)
        other = small.waiting("eve@acme.example")
        for value in ("bob@acme.example", "eve@acme.example"):
            small.world.insert(
                sequence_stops, campaign_id=small.campaign, stop_key=f"a:{value}", value=value,
                reason="replied", created_at=NOW,
            )  # fmt: skip
        small.project.run("campaign", "stop", "spring", "acme.example")
        small.project.run("campaign", "unstop", "spring", "acme.example")
        assert small.ended(for_replies) == ("pending", None)
        assert small.ended(other) == ("skipped", "stopped")

    def test_a_first_message_that_was_stopped_at_its_intent_is_free_for_any_service(
        self, small: Office
    ) -> None:
        second = small.world.task(small.campaign, "second", follows_task_id=small.intro, follows_days=3)
        first = small.waiting("bob@acme.example", status="skipped", reason="stopped", sender_service_id=7)
        follow = small.waiting(
            "eve@acme.example", second, status="skipped", reason="stopped", sender_service_id=7, follows_id=1
        )
        small.project.run("campaign", "stop", "spring", "acme.example")
        small.project.run("campaign", "unstop", "spring", "acme.example")
        services = [small.world.row(task_contacts, row)["sender_service_id"] for row in (first, follow)]
        assert services == [None, 7]

    def test_all_or_none_is_lifted(self, small: Office) -> None:
        bob = small.waiting("bob@acme.example")
        small.project.run("campaign", "stop", "spring", "bob@acme.example")
        refused = small.refused("campaign", "unstop", "spring", "bob@acme.example", "eve@acme.example")
        assert (refused["exit"], "eve@acme.example is not stopped" in refused["message"]) == ("3", True)
        assert small.ended(bob) == ("skipped", "stopped")

    def test_an_operator_stops_only_in_campaigns_of_their_own(self, small: Office) -> None:
        small.world.user("olga")
        for verb in ("stop", "unstop"):
            assert small.refused("campaign", verb, "spring", "a@b.example", "--as", "olga")["exit"] == "4"
        assert small.refused("campaign", "stops", "spring", "--as", "olga")["exit"] == "4"

    def test_what_is_no_address_is_refused_and_nothing_is_stopped(self, small: Office) -> None:
        assert small.refused("campaign", "stop", "spring", "a@b.example", "not an address")["exit"] == "4"
        assert small.project.json("campaign", "stops", "spring") == []


class TestLabels:
    def reply(self, office: Office, category: str, kind: str = "reply", row: int | None = None) -> int:
        if row is None:
            row = office.waiting("bob@acme.example")
            office.world.change(task_contacts, row, status="replied", replied_at=NOW, reply_category=category)
        number = len(office.project.json("inbox", "list")) + 1
        return office.world.insert(
            inbox_messages,
            mailbox_id=1,
            uid_validity=1,
            uid=number,
            kind=kind,
            received_at=NOW,
            task_contact_id=row,
            contact_id=office.world.row(task_contacts, row)["contact_id"],
            digest=f"d{number}",
            category=category if kind == "reply" else None,
        )

    def test_a_person_says_what_a_reply_wants(self, office: Office) -> None:
        message = self.reply(office, "other")
        made = office.project.json("inbox", "label", str(message), "interested")
        assert (made["before"], made["counts"], made["unsubscribed"]) == ("other", "interested", False)
        [listed] = office.project.json("inbox", "list", "--category", "interested")
        assert (listed["id"], listed["category"]) == (message, "interested")
        row = office.world.row(inbox_messages, message)["task_contact_id"]
        assert office.world.row(task_contacts, row)["reply_category"] == "interested"

    def test_of_several_replies_the_weightiest_counts(self, small: Office) -> None:
        first = self.reply(small, "not_interested")
        row = small.world.row(inbox_messages, first)["task_contact_id"]
        second = self.reply(small, "other", row=row)
        assert small.project.json("inbox", "label", str(second), "interested")["counts"] == "not_interested"
        assert small.project.json("inbox", "label", str(first), "question")["counts"] == "interested"

    def test_a_request_to_unsubscribe_is_granted(self, small: Office) -> None:
        message = self.reply(small, "other")
        assert small.project.json("inbox", "label", str(message), "unsubscribe_request")["unsubscribed"]
        [entry] = small.project.json("suppression", "list")
        assert (entry["value"], entry["reason"]) == ("bob@acme.example", "unsubscribe")

    def test_only_replies_have_labels(self, small: Office) -> None:
        message = self.reply(small, "other", kind="bounce")
        refused = small.refused("inbox", "label", str(message), "interested")
        assert (refused["exit"], "is no reply" in refused["message"]) == ("4", True)

    def test_an_operator_labels_only_what_is_about_campaigns_of_their_own(self, small: Office) -> None:
        small.world.user("olga")
        message = self.reply(small, "other")
        assert small.refused("inbox", "label", str(message), "interested", "--as", "olga")["exit"] == "4"


@pytest.mark.costly
def test_erasing_a_person_forgets_their_stops(small: Office) -> None:
    small.waiting("bob@acme.example")
    small.project.run("campaign", "stop", "spring", "bob@acme.example", "acme.example")
    told = small.project.json("contact", "export", "--all-data", "bob@acme.example")
    [stopped] = told["stopped"]
    assert (stopped["campaign"], stopped["reason"]) == ("spring", "manual")
    small.project.run("contact", "erase", "bob@acme.example", "--yes")
    with small.project.database.read() as connection:
        left = connection.execute(sequence_stops.select()).mappings().all()
    assert [row["stop_key"] for row in left] == ["d:acme.example"]
