"""coldsend unknown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coldsend.composing.message_ids import message_id
from coldsend.composing.tokens import Tokens
from coldsend.database.engine import Database
from coldsend.database.tables import contacts, task_contacts, tasks
from coldsend.domain import suppression
from coldsend.domain.states import SuppressionReason
from coldsend.planning import unknown as use
from coldsend.stores import services, signing_keys, suppressions
from tests.conftest import Project
from tests.planning.world import NOW, World

VERBS = ("resend", "mark-sent", "give-up")


class Doubtful(World):
    """Task spring/intro with three unknown recipients: p2, p3 and p4."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.service_id = self.service("main")
        self.campaign_id = self.campaign("spring", "active")
        self.task_id = self.begun("intro")
        self.ids = self.unknown(3)

    def begun(self, name: str) -> int:
        return self.task(self.campaign_id, name, "sending", actual_start_time=NOW, expanded_at=NOW)

    def unknown(self, count: int, task: int | None = None) -> list[int]:
        values = {"claim_token": 1, "sender_service_id": self.service_id, "attempt": 1, "message_id": "<m@x>"}
        values |= {"attempt_at": NOW, "reason": "no_final_answer", "error_message": "connection lost"}
        return self.rows(task or self.task_id, "unknown", count, **values)

    def email(self, row_id: int) -> str:
        return str(self.row(contacts, self.row(task_contacts, row_id)["contact_id"])["email"])

    def status(self, row_id: int) -> str:
        return str(self.row(task_contacts, row_id)["status"])


@pytest.fixture
def world(project: Project) -> Doubtful:
    return Doubtful(project.database)


def test_the_list_tells_everything_a_decision_needs(project: Project, world: Doubtful) -> None:
    row = project.json("unknown", "list")[0]
    assert row == {
        "id": world.ids[0],
        "task": "spring/intro",
        "email": world.email(world.ids[0]),
        "service": "main",
        "attempt_at": "2027-03-01T09:00:00Z",
        "attempts": 1,
        "message_id": "<m@x>",
        "reason": "no_final_answer",
        "error": "connection lost",
    }


def test_a_message_id_that_nobody_lived_to_note_is_known_all_the_same(
    project: Project, world: Doubtful
) -> None:
    world.change(task_contacts, world.ids[0], message_id=None)
    shown = project.json("unknown", "list", "spring/intro", "--limit", "1")[0]["message_id"]
    from coldsend.config.loading import load
    from coldsend.config.secrets import load_key_ring

    keys = load_key_ring(load(str(project.config), environ={}))
    with project.database.read() as connection:
        secret = signing_keys.load(connection, keys, "links")
        [service] = services.all_services(connection)
    assert shown == message_id(Tokens(secret), world.ids[0], service)
    assert project.json("why", "spring/intro", world.email(world.ids[0]))["message_id"] == shown


def test_people_are_told_the_way_out_and_what_is_not_shown(project: Project, world: Doubtful) -> None:
    result = project.run("unknown", "list", "--limit", "2")
    assert result.out.count("spring/intro") == 2
    for verb in VERBS:
        assert f"coldsend unknown {verb} spring/intro" in result.err
    assert "shown: 2 of 3" in result.err


def test_where_nothing_is_unknown_the_list_says_so(project: Project) -> None:
    assert "nothing is unknown" in project.run("unknown", "list").err
    assert project.json("unknown", "list") == []


def test_the_list_is_of_one_campaign_task_or_service_and_of_ones_own(
    project: Project, world: Doubtful
) -> None:
    second = world.unknown(1, world.begun("second"))
    listed = project.json("unknown", "list", "spring/second")
    assert [row["id"] for row in listed] == second
    assert len(project.json("unknown", "list", "spring", "--service", "main")) == 4
    world.user("anna")
    assert project.json("unknown", "list", "--as", "anna") == []
    assert project.run("unknown", "list", "spring", "--as", "anna", check=False).code == 4
    assert project.run("unknown", "list", "summer", check=False).code == 3


def test_a_recipient_is_resent_after_a_warning_that_it_may_get_it_twice(
    project: Project, world: Doubtful
) -> None:
    email = world.email(world.ids[0])
    asked = project.run("unknown", "resend", "spring/intro", email, check=False)
    assert asked.code == 2
    assert email in asked.err
    assert "gets it twice" in asked.err
    assert world.status(world.ids[0]) == "unknown"
    made = project.json("unknown", "resend", "spring/intro", email, "--yes")
    assert made["decided"] == 1
    assert made["rows"] == [{"id": world.ids[0], "task": "spring/intro", "email": email}]
    assert [world.status(row_id) for row_id in world.ids] == ["pending", "unknown", "unknown"]


@pytest.mark.costly
@pytest.mark.parametrize(
    ("verb", "status"), [("resend", "pending"), ("mark-sent", "sent"), ("give-up", "failed_to_send")]
)
def test_each_decision_takes_ids_addresses_or_all(
    project: Project, world: Doubtful, verb: str, status: str
) -> None:
    one, two, three = world.ids
    project.run("unknown", verb, str(one), "--yes")
    project.run("unknown", verb, str(world.task_id), world.email(two), "--yes")
    assert [world.status(row_id) for row_id in world.ids] == [status, status, "unknown"]
    assert project.json("unknown", verb, "spring", "--all", "--yes")["decided"] == 1
    assert world.status(three) == status
    assert project.json("unknown", verb, "--service", "main", "--all")["decided"] == 0, "nothing to ask about"


@pytest.mark.parametrize("verb", VERBS)
def test_each_decision_asks_first_and_is_not_another_operators(
    project: Project, world: Doubtful, verb: str
) -> None:
    world.user("anna")
    assert project.run("unknown", verb, "spring", "--all", check=False).code == 2
    refused = project.run("unknown", verb, str(world.ids[0]), "--yes", "--as", "anna", "--json", check=False)
    assert (refused.code, refused.error["code"]) == (4, "not_allowed")
    assert world.statuses(world.task_id) == {"unknown": 3}


@pytest.mark.parametrize(
    "line",
    [
        (),
        ("spring/intro",),
        ("p2@example.com",),
        ("--all",),
        ("--all", "spring", "p2@example.com"),
        ("spring/intro", "p2@example.com", "--service", "main"),
    ],
)
def test_a_line_that_names_nobody_or_two_things_is_a_usage_error_with_a_way_out(
    project: Project, world: Doubtful, line: tuple[str, ...]
) -> None:
    result = project.run("unknown", "resend", *line, "--yes", "--json", check=False)
    assert (result.code, result.error["code"]) == (2, "usage")
    assert result.error["hint"]
    assert world.statuses(world.task_id) == {"unknown": 3}


def test_a_named_recipient_that_is_not_unknown_keeps_all_from_being_changed(
    project: Project, world: Doubtful
) -> None:
    world.change(task_contacts, world.ids[1], status="sent")
    emails = [world.email(row_id) for row_id in world.ids]
    result = project.run("unknown", "give-up", "spring/intro", *emails, "--yes", check=False)
    assert result.code == 4
    assert f"{emails[1]} is sent" in result.err
    assert world.status(world.ids[0]) == "unknown"


def test_a_suppressed_address_is_not_resent_and_the_rest_is_exit_6(project: Project, world: Doubtful) -> None:
    entry = suppression.read(world.email(world.ids[0]), SuppressionReason.UNSUBSCRIBE)
    project.database.run(lambda connection: suppressions.add(connection, [entry], NOW))
    result = project.run("unknown", "resend", "spring", "--all", "--yes", check=False)
    assert result.code == 6
    assert "2 recipients will be sent to again" in result.out
    assert "suppressed (unsubscribe)" in result.err
    again = project.run("unknown", "resend", str(world.ids[0]), "--yes", "--json", check=False)
    assert again.code == 4, "nobody was left to send to"
    assert again.json["left"][0]["why"] == "the address is suppressed (unsubscribe)"


def test_a_row_settled_while_the_question_was_open_is_reported(
    project: Project, world: Doubtful, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = use.find

    def find_and_settle(*given: object) -> object:
        found = find(*given)  # type: ignore[arg-type]
        world.change(task_contacts, world.ids[0], status="sent")
        return found

    monkeypatch.setattr(use, "find", find_and_settle)
    result = project.run("unknown", "give-up", "spring", "--all", "--yes", check=False)
    assert result.code == 6
    assert "it was settled meanwhile: it is sent" in result.err
    assert world.statuses(world.task_id) == {"sent": 1, "failed_to_send": 2}


def test_who_resends_into_a_paused_task_is_told_how_it_goes_on(project: Project, world: Doubtful) -> None:
    world.change(tasks, world.task_id, status="paused")
    result = project.run("unknown", "resend", str(world.ids[0]), "--yes")
    assert "coldsend task resume spring/intro" in result.err


@pytest.mark.costly
def test_what_mentions_unknown_recipients_names_the_command_that_lists_them(
    project: Project, world: Doubtful
) -> None:
    email = world.email(world.ids[0])
    for line in (("why", "spring/intro", email), ("task", "show", "spring/intro")):
        result = project.run(*line)
        assert "coldsend unknown list" in result.out + result.err, line
    for line in (("report", "task", "spring/intro"), ("report", "campaign", "spring")):
        assert "coldsend unknown list spring" in project.run(*line).err, line


@pytest.mark.costly
def test_what_was_marked_as_sent_by_hand_is_told_so(project: Project, world: Doubtful) -> None:
    email = world.email(world.ids[0])
    project.run("unknown", "mark-sent", "spring/intro", email, "--yes")
    answer = project.json("why", "spring/intro", email)
    assert answer["state"] == "sent"
    assert "by hand" in answer["explanation"]
    assert answer["times"]["sent_at"] == "2027-03-01T09:00:00Z"
    project.run("unknown", "give-up", "spring/intro", world.email(world.ids[1]), "--yes")
    assert "given up" in project.json("why", "spring/intro", world.email(world.ids[1]))["explanation"]


def test_the_oldest_attempts_are_listed_first(project: Project, world: Doubtful) -> None:
    world.change(task_contacts, world.ids[2], attempt_at=NOW - timedelta(hours=1))
    assert [row["id"] for row in project.json("unknown", "list")] == [
        world.ids[2],
        world.ids[0],
        world.ids[1],
    ]
