"""coldsend event."""

from __future__ import annotations

import pytest

from coldsend.database.tables import task_contacts
from coldsend.stores import events
from tests.conftest import Project
from tests.planning.world import NOW, World


@pytest.fixture
def world(project: Project) -> World:
    """Task spring/intro with two contacts (p2, p3), a try and an outcome each."""
    made = World(project.database)
    service = made.service("main")
    task = made.task(made.campaign("spring", "active"), "intro", "sending")
    rows = made.rows(task, "sent", 2)
    outcomes = {"send_api_try": None, "send_api_success": {"code": 250}}
    with project.database.begin() as connection:
        events.append(
            connection,
            [
                {"task_id": task, "contact_id": n + 1, "sender_service_id": service}
                | {"type": kind, "ts": NOW, "details": details}
                for n in range(len(rows))
                for kind, details in outcomes.items()
            ],
        )
    return made


def test_events_have_the_shape_that_scripts_rely_on_newest_last(project: Project, world: World) -> None:
    found = project.json("event", "list")
    assert [event["id"] for event in found] == [1, 2, 3, 4]
    assert found[3] == {
        "id": 4,
        "task": "spring/intro",
        "contact": "p3@example.com",
        "service": "main",
        "type": "send_api_success",
        "ts": "2027-03-01T09:00:00Z",
        "details": {"code": 250},
    }


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--limit", "1"], [4]),
        (["--task", "spring/intro", "--limit", "3"], [2, 3, 4]),
        (["--contact", "P2@example.com"], [1, 2]),
        (["--type", "send_api_try"], [1, 3]),
        (["--task", "1", "--type", "send_api_success", "--contact", "p3@example.com"], [4]),
        (["--after", "1", "--limit", "2"], [2, 3]),
        (["--after", "4"], []),
        (["--type", "bounce"], []),
    ],
)
def test_options_choose_and_page(project: Project, world: World, options: list[str], ids: list[int]) -> None:
    assert [event["id"] for event in project.json("event", "list", *options)] == ids


def test_people_read_one_line_an_event(project: Project, world: World) -> None:
    last = project.run("event", "list").out.splitlines()[-1]
    assert last.split() == [
        *("4", "2027-03-01", "09:00:00", "send_api_success"),
        *("spring/intro", "p3@example.com", "main", "code=250"),
    ]


@pytest.mark.costly
def test_operators_see_events_of_their_own_campaigns(project: Project, world: World) -> None:
    anna = world.user("anna")
    own = world.task(world.campaign("hers", owner=anna), owner=anna)
    world.insert(task_contacts, task_id=own, contact_id=1, status="sent")
    with project.database.begin() as connection:
        events.append(connection, [{"task_id": own, "contact_id": 1, "type": "open", "ts": NOW}])

    def seen(*options: str) -> list[str]:
        return [event["task"] for event in project.json("event", "list", *options, "--as", "anna")]

    for options in ([], ["--after", "0"], ["--contact", "p2@example.com"], ["--type", "open"]):
        assert seen(*options) == ["hers/intro"], options
    assert seen("--type", "send_api_try") == []
    assert project.run("event", "list", "--task", "spring/intro", "--as", "anna", check=False).code == 4


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--task", "spring/nope"], 3),
        (["--contact", "nobody@example.com"], 3),
        (["--type", "sneeze"], 2),
        (["--limit", "0"], 2),
        (["--after", "x"], 2),
    ],
)
def test_what_is_wrong_is_said(project: Project, world: World, options: list[str], code: int) -> None:
    assert project.run("event", "list", *options, check=False).code == code
