"""coldsend campaign dry-run: what would go out, in files, and nothing else changed."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from copy import copy
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.database import copying
from coldsend.database.engine import Database
from coldsend.database.tables import contacts, sender_services, task_contacts, tasks, templates
from coldsend.domain.states import HealthStatus, StopReason
from coldsend.planning.expand import expand_task
from coldsend.stores import dkim_keys, sequence_stops
from coldsend.stores.sequence_stops import Stop
from tests.composing.verifiers import by_dkimpy
from tests.conftest import Project

pytestmark = pytest.mark.costly

CONTACTS = """email,nickname,company
ann@one.org,Ann,One
bob@two.org,Bob,
=cmd@three.org,,Three
"""


def prepare(project: Project) -> Project:
    """Two services, a task of two templates for three people, and one that follows it."""
    for name, quota in (("alpha", "2"), ("beta", "9")):
        project.run(
            *("service", "add", name, "--type", "console", "--from", f"{name.title()} <{name}@acme.org>"),
            *("--daily-quota", quota, "--throttle-sec", "0"),
        )
    project.run("dkim", "add", "acme.org")
    project.run("dkim", "activate", "acme.org", "--unchecked")
    project.run("contact", "import", str(project.write("c.csv", CONTACTS)), "--tag", "lead")
    first = project.write(
        "first.html", "<p>Hello {{ contact.company }}, <a href='https://acme.org/'>see</a></p>"
    )
    other = project.write("other.html", "<p>Once more.</p>")
    project.run("template", "add", "one", "--subject", "For {{ contact.company }}", "--body-file", str(first))
    project.run("template", "add", "two", "--subject", "Hello", "--body-file", str(first))
    project.run("template", "add", "again", "--subject", "Not used", "--body-file", str(other))
    project.run("template-set", "create", "pair", "--template", "one", "--template", "two")
    project.run("template-set", "create", "later", "--template", "again")
    project.run("campaign", "create", "spring")
    project.run("task", "create", "spring", "intro", "--template-set", "pair", "--rule", "tag:lead")
    project.run(
        "task", "create", "spring", "more", "--after", "intro", "--days", "3", "--template-set", "later"
    )
    return project


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, _sqlite_migrated: Path) -> Project:
    folder = tmp_path_factory.mktemp("prepared")
    shutil.copy(_sqlite_migrated, folder / "coldsend.db")
    made = prepare(Project(folder, f"sqlite:///{folder / 'coldsend.db'}"))
    made.database.dispose()
    return made


@pytest.fixture
def spring(prepared: Project, tmp_path: Path) -> Iterator[Project]:
    """What was prepared, in a copy of its own."""
    made = copy(prepared)
    made.folder = Path(shutil.copytree(prepared.folder, tmp_path / "project"))
    made.config = made.folder / "coldsend.toml"
    made.url = f"sqlite:///{made.folder / 'coldsend.db'}"
    made.config.write_text(made.config.read_text().replace(prepared.url, made.url))
    made.database = Database(made.url)
    yield made
    made.database.dispose()


def holds(project: Project) -> Any:
    with project.database.read() as connection:
        return copying.tallies(connection, lambda _rows: None)


def index(project: Project, out: str = "dry") -> list[dict[str, str]]:
    with (project.folder / out / "index.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read(file: Path) -> EmailMessage:
    found = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def test_a_campaign_is_written_as_it_would_be_sent_and_nothing_is_noted(project: Project) -> None:
    prepare(project)
    before = holds(project)
    told = project.json("campaign", "dry-run", "spring", "--out", "dry")
    assert holds(project) == before
    assert (told["campaign"], told["written"], told["skipped"]) == ("spring", 4, 1)
    intro, more = told["tasks"]
    assert (intro["written"], intro["by_template"], intro["by_reason"]) == (
        2,
        {"one": 2},
        {"missing_variable": 1},
    )
    assert (more["task"], more["written"], more["by_template"]) == ("more", 2, {"again": 2})
    (skipped,) = told["first_skipped"]
    assert (skipped["email"], skipped["reason"]) == ("bob@two.org", "missing_variable")
    assert "contact.company" in skipped["detail"]
    lines = index(project)
    assert len(lines) == 5
    assert {line["email"] for line in lines} == {"ann@one.org", "bob@two.org", "'=cmd@three.org"}
    files = [line["file"] for line in lines if line["file"]]
    assert sorted(files) == sorted(
        str(path.relative_to(project.folder / "dry")) for path in (project.folder / "dry").glob("*/*.eml")
    )


def test_the_messages_are_whole_signed_and_in_their_thread(spring: Project) -> None:
    spring.run("campaign", "dry-run", "spring", "--out", "dry")
    (first,) = (spring.folder / "dry" / "intro").glob("*ann@one.org.eml")
    (second,) = (spring.folder / "dry" / "more").glob("*ann@one.org.eml")
    intro, more = read(first), read(second)
    assert (intro["To"], intro["Subject"], more["Subject"]) == (
        "Ann <ann@one.org>",
        "For One",
        "Re: For One",
    )
    assert more["In-Reply-To"] == more["References"] == intro["Message-ID"]
    assert more["From"] == intro["From"]  # it keeps its service
    assert intro["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    with spring.database.read() as connection:
        (key,) = dkim_keys.listed(connection, "acme.org")
    assert by_dkimpy(first.read_bytes(), key.record)
    assert by_dkimpy(second.read_bytes(), key.record)


def test_nothing_that_is_clicked_in_a_file_belongs_to_anybody(spring: Project) -> None:
    spring.run("campaign", "dry-run", "spring", "--out", "dry")
    pages = {read(file)["List-Unsubscribe"] for file in (spring.folder / "dry").glob("*/*.eml")}
    assert len(pages) == 1  # the same for all: of row 0


def test_templates_take_turns_as_they_will(spring: Project) -> None:
    spring.run("contact", "update", "bob@two.org", "--field", "company=Two")
    spring.run("campaign", "dry-run", "spring", "--out", "dry", "--task", "intro")
    dry = {line["email"].removeprefix("'"): line["template"] for line in index(spring)}
    spring.run("campaign", "start", "spring")
    with spring.database.begin() as connection:
        connection.execute(sa.update(tasks).values(status="sending"))
    expand_task(spring.database, 1, clock.now())
    with spring.database.read() as connection:
        rows = connection.execute(
            sa.select(task_contacts.c.contact_id, templates.c.name)
            .join(templates, templates.c.id == task_contacts.c.selected_template_id)
            .order_by(task_contacts.c.contact_id)
        ).all()
    assert [name for _contact, name in rows] == list(dry.values()) == ["one", "two", "one"]


def test_rows_that_wait_are_taken_with_the_template_they_were_given(spring: Project) -> None:
    spring.run("campaign", "start", "spring")
    with spring.database.begin() as connection:
        connection.execute(sa.update(tasks).where(tasks.c.id == 1).values(status="sending"))
    expand_task(spring.database, 1, clock.now())
    with spring.database.begin() as connection:
        connection.execute(sa.update(task_contacts).values(selected_template_id=2))
        connection.execute(
            sa.update(task_contacts).where(task_contacts.c.contact_id == 1).values(status="sent")
        )
    told = spring.json("campaign", "dry-run", "spring", "--out", "dry", "--task", "intro")
    assert told["tasks"][0]["by_template"] == {"two": 1}
    assert [line["email"] for line in index(spring)] == ["bob@two.org", "'=cmd@three.org"]


def test_who_is_suppressed_stopped_or_gone_is_named(spring: Project) -> None:
    spring.run("suppression", "add", "ann@one.org")
    spring.run("campaign", "stop", "spring", "three.org")
    told = spring.json("campaign", "dry-run", "spring", "--out", "dry")
    assert told["written"] == 0
    assert {one["email"]: one["reason"] for one in told["first_skipped"]} == {
        "ann@one.org": "suppressed",
        "bob@two.org": "missing_variable",
        "=cmd@three.org": "stopped",
    }


def test_who_replied_gets_what_is_for_those_who_replied(spring: Project) -> None:
    for name, asks in (("thanks", "replied"), ("nudge", "no click")):
        options = ("--after", "intro", "--days", "1", "--if", asks, "--template-set", "later")
        spring.run("task", "create", "spring", name, *options)
    with spring.database.begin() as connection:
        sequence_stops.add(
            connection, [Stop(1, "a:ann@one.org", "ann@one.org", StopReason.REPLIED)], clock.now()
        )
        ann = connection.execute(sa.select(contacts.c.id).where(contacts.c.nickname == "Ann")).scalar()
        again = connection.execute(sa.select(templates.c.id).where(templates.c.name == "again")).scalar()
        for task in connection.execute(sa.select(tasks.c.id).where(tasks.c.name.in_(["thanks", "nudge"]))):
            row = {"task_id": task.id, "contact_id": ann, "selected_template_id": again}
            connection.execute(sa.insert(task_contacts).values(row))
    told = spring.json("campaign", "dry-run", "spring", "--out", "dry")
    counts = {task["task"]: task for task in told["tasks"]}
    assert counts["nudge"]["by_reason"] == {"replied": 1}
    assert counts["thanks"]["by_reason"] == {}


def test_the_service_with_the_largest_share_of_its_quota_left_is_chosen(spring: Project) -> None:
    spring.run("contact", "update", "bob@two.org", "--field", "company=Two")
    spring.run("campaign", "dry-run", "spring", "--out", "dry", "--task", "intro")
    assert [line["service"] for line in index(spring)] == ["alpha", "beta", "beta"]
    with spring.database.begin() as connection:
        connection.execute(
            sa.update(sender_services)
            .where(sender_services.c.name == "beta")
            .values(health_status=HealthStatus.FROZEN.value, frozen_reason="x", frozen_code="errors")
        )
    told = spring.json("campaign", "dry-run", "spring", "--out", "again", "--task", "intro")
    assert told["tasks"][0]["by_service"] == {"alpha": 3}  # its quota of 2 is that of a day


def test_whoever_waits_for_a_frozen_service_changes_nothing_for_the_others(spring: Project) -> None:
    spring.run("contact", "update", "bob@two.org", "--field", "company=Two")
    spring.run("contact", "add", "dan@four.org", "--field", "company=Four", "--tag", "lead")
    spring.run(
        *("service", "add", "gamma", "--type", "console", "--from", "c@acme.org", "--daily-quota", "9"),
    )
    spring.run("campaign", "start", "spring")
    with spring.database.begin() as connection:
        connection.execute(sa.update(tasks).where(tasks.c.id == 1).values(status="sending"))
    expand_task(spring.database, 1, clock.now())
    spring.run("service", "freeze", "gamma", "--reason", "x", "--yes")
    with spring.database.begin() as connection:
        third = task_contacts.c.contact_id == 3
        connection.execute(sa.update(task_contacts).where(third).values(sender_service_id=3))
    spring.run("campaign", "dry-run", "spring", "--out", "dry", "--task", "intro")
    found = [(line["service"] or line["reason"]) for line in index(spring)]
    assert sorted(found) == ["alpha", "beta", "beta", "no_service"]


def test_without_a_service_everybody_is_skipped_and_told_why(spring: Project) -> None:
    with spring.database.begin() as connection:
        connection.execute(sa.update(sender_services).values(daily_quota=0))
    told = spring.json("campaign", "dry-run", "spring", "--out", "dry", "--task", "intro")
    assert told["tasks"][0]["by_reason"] == {"no_service": 3}
    assert told["first_skipped"][0]["detail"] == "no service has a quota"


def test_a_limit_is_for_each_task(spring: Project) -> None:
    told = spring.json("campaign", "dry-run", "spring", "--out", "dry", "--limit", "1")
    assert [task["written"] for task in told["tasks"]] == [1, 1]
    alone = spring.json("campaign", "dry-run", "spring", "--out", "more", "--task", "spring/more")
    assert [(task["task"], task["written"]) for task in alone["tasks"]] == [("more", 2)]
    assert not (spring.folder / "more" / "intro").exists()


def test_a_folder_with_something_in_it_is_left_alone(spring: Project) -> None:
    spring.run("campaign", "dry-run", "spring", "--out", "dry", "--limit", "1")
    again = spring.run("campaign", "dry-run", "spring", "--out", "dry", check=False)
    assert again.code == 4
    assert "is not an empty folder" in again.err
    file = spring.write("file", "")
    assert spring.run("campaign", "dry-run", "spring", "--out", str(file), check=False).code == 4


def test_a_campaign_with_nothing_to_send_is_refused_and_leaves_the_folder_empty(spring: Project) -> None:
    spring.run("campaign", "create", "empty")
    result = spring.run("campaign", "dry-run", "empty", "--out", "dry", check=False)
    assert result.code == 4
    assert "has no task that is still to be sent" in result.err
    assert list((spring.folder / "dry").iterdir()) == []
    assert spring.run("campaign", "dry-run", "nix", "--out", "dry", check=False).code == 3
    assert spring.run("campaign", "dry-run", "spring", "--out", "x", "--task", "y", check=False).code == 3


def test_others_do_not_see_whom_a_campaign_writes_to(spring: Project) -> None:
    spring.run("user", "add", "anna")
    assert spring.run("campaign", "dry-run", "spring", "--out", "x", "--as", "anna", check=False).code == 4
    assert not (spring.folder / "x").exists()
