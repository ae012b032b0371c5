"""coldsend feedback, and what event list and why say of what came back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coldsend.domain.feedback import Kind
from tests.conftest import Project
from tests.feedback.happenings import NOBODY, Sent
from tests.planning.world import NOW


@pytest.fixture
def world(project: Project) -> Sent:
    return Sent(project.database)


class TestUnmatched:
    def test_what_matched_nobody_is_listed_newest_last_with_all_that_is_known(
        self, project: Project, world: Sent
    ) -> None:
        world.apply(world.heard(Kind.OPEN, 4711, source="web", details={"ip": "192.0.2.0"}))
        world.apply(
            world.bounce(None, NOBODY, recipient="eve@example.org", source="inbox:main")  # type: ignore[arg-type]
        )
        found = project.json("feedback", "list")
        assert [(one["id"], one["kind"], one["source"]) for one in found] == [
            (1, "open", "web"),
            (2, "bounce", "inbox:main"),
        ]
        assert found[1] == {
            "id": 2,
            "received_at": "2027-03-01T09:00:00Z",
            "source": "inbox:main",
            "kind": "bounce",
            "recipient": "eve@example.org",
            "details": {
                "kind": "bounce",
                "at": "2027-03-01T08:00:00+00:00",
                "recipient": "eve@example.org",
                "diagnostic": NOBODY,
            },
        }
        assert project.json("feedback", "show", "1")["details"]["ip"] == "192.0.2.0"
        shown = project.run("feedback", "show", "2").out
        assert NOBODY in shown
        assert "no such user" in project.run("feedback", "list").out

    @pytest.mark.parametrize(
        ("source", "ids"), [("inbox", [1, 2]), ("inbox:b", [2]), ("web", [3]), ("in", []), ("inbo_", [])]
    )
    def test_a_source_is_one_or_a_kind_of_them(
        self, project: Project, world: Sent, source: str, ids: list[int]
    ) -> None:
        world.apply(*(world.heard(Kind.OPEN, source=each) for each in ("inbox:a", "inbox:b", "web")))
        assert [one["id"] for one in project.json("feedback", "list", "--source", source)] == ids

    def test_the_newest_are_shown_where_there_are_more(self, project: Project, world: Sent) -> None:
        world.apply(*(world.heard(Kind.OPEN) for _ in range(3)))
        assert [one["id"] for one in project.json("feedback", "list", "--limit", "2")] == [2, 3]

    def test_nothing_is_a_sentence(self, project: Project) -> None:
        assert "everything that came back" in project.run("feedback", "list").err

    @pytest.mark.parametrize("given", ["7", "x", "9" * 40])
    def test_one_that_does_not_exist_is_not_found(self, project: Project, given: str) -> None:
        assert project.run("feedback", "show", given, check=False).code == 3

    @pytest.mark.parametrize("line", [("list",), ("show", "1")])
    def test_it_is_for_admins(self, project: Project, line: tuple[str, ...]) -> None:
        project.run("user", "add", "olga")
        refused = project.run("feedback", *line, "--as", "olga", check=False)
        assert refused.code == 4
        assert "only admins" in refused.err


def test_events_that_came_back_are_listed_with_what_is_known(project: Project, world: Sent) -> None:
    [row_id] = world.sent()
    world.apply(world.bounce(row_id, NOBODY, source="inbox:main", status="5.1.1", hard=True))
    [event] = project.json("event", "list", "--type", "bounce")
    assert event["details"] == {
        "source": "inbox:main",
        "status": "5.1.1",
        "rule": "unknown_recipient",
        "hard": True,
        "diagnostic": NOBODY,
    }
    assert (event["task"], event["service"]) == ("spring/intro", "main")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.DELIVERED, "delivered"),
        (Kind.BOUNCE, "could not deliver"),
        (Kind.OPEN, "was opened"),
        (Kind.CLICK, "clicked"),
        (Kind.REPLY, "replied"),
        (Kind.UNSUBSCRIBE, "unsubscribed"),
        (Kind.COMPLAINT, "complained"),
    ],
)
def test_why_says_what_came_of_it(project: Project, world: Sent, kind: Kind, words: str) -> None:
    [row_id] = world.sent()
    said = "550 5.1.1 gone" if kind is Kind.BOUNCE else ""
    world.apply(world.heard(kind, row_id, diagnostic=said))
    answer = project.json("why", "spring/intro", world.email(row_id))
    assert words in answer["explanation"]
    assert answer["error"] == (said or None)


def test_why_says_that_somebody_is_away_and_until_when(project: Project, world: Sent) -> None:
    [row_id] = world.sent()
    world.again(row_id, world.begun("second"), "pending", sent_at=None)
    back = NOW + timedelta(days=9)
    world.apply(world.heard(Kind.AUTO_REPLY, row_id, away_until=back))
    answer = project.json("why", "spring/second", world.email(row_id))
    blocked = {gate["gate"]: gate["until"] for gate in answer["blocked_by"]}
    assert blocked["away"] == "2027-03-10T09:00:00Z"
    assert "not_due" not in blocked
