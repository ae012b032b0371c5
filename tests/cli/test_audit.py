"""The audit log: every change leaves a row, refused ones too; reading, usage errors and secrets do not."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.cli import main as cli
from coldsend.config.settings import RetentionSettings
from coldsend.database.engine import Database
from coldsend.database.tables import audit_log
from coldsend.stores import audit
from tests.audience.people import dump
from tests.conftest import Project


def rows(project: Project) -> list[dict[str, Any]]:
    """The whole log, the oldest first."""
    with project.database.read() as connection:
        return [
            dict(row) for row in connection.execute(sa.select(audit_log).order_by(audit_log.c.id)).mappings()
        ]


def test_a_change_leaves_who_what_from_where_and_with_what_result(project: Project) -> None:
    before = clock.now()
    project.run("campaign", "create", "spring")
    [row] = rows(project)
    assert (row["command"], row["arguments"], row["exit_code"], row["error"]) == (
        "campaign create",
        ["spring"],
        0,
        None,
    )
    assert (row["user_id"], row["username"]) == (1, "admin")
    assert (row["os_user"], row["host"]) == (getpass.getuser(), socket.gethostname())
    assert before <= row["at"] <= clock.now()


def test_what_was_refused_or_not_found_leaves_a_row_with_its_code(project: Project) -> None:
    project.run("user", "add", "anna")
    assert project.run("--as", "anna", "user", "add", "eve", check=False).code == 4
    assert project.run("campaign", "pause", "nothing", check=False).code == 3
    found = [(row["username"], row["command"], row["exit_code"], row["error"]) for row in rows(project)[1:]]
    assert found == [
        ("anna", "user add", 4, "not_allowed"),
        ("admin", "campaign pause", 3, "not_found"),
    ]


def test_somebody_who_is_unknown_leaves_the_name_they_gave(sqlite_project: Project) -> None:
    assert sqlite_project.run("--as", "mallory", "campaign", "create", "x", check=False).code == 3
    [row] = rows(sqlite_project)
    assert (row["user_id"], row["username"], row["error"]) == (None, "mallory", "not_found")


def test_reading_leaves_nothing(sqlite_project: Project) -> None:
    for line in (
        "campaign list",
        "user list",
        "audit list",
        "alert list",
        "key status",
        "quota show",
        "db status",
    ):
        sqlite_project.run(*line.split())
    assert rows(sqlite_project) == []


def test_only_asking_what_would_change_leaves_nothing_even_where_it_is_refused(
    sqlite_project: Project,
) -> None:
    sqlite_project.write("good.toml", "[campaigns.spring]\n")
    sqlite_project.write("bad.toml", "[campaigns.spring]\nspred = true\n")
    sqlite_project.write("people.csv", "email\nann@example.com\nnobody\n")
    assert sqlite_project.run("apply", "good.toml", "--dry-run").code == 0
    assert sqlite_project.run("apply", "bad.toml", "--dry-run", check=False).code == 4
    assert sqlite_project.run("contact", "import", "people.csv", "--dry-run", check=False).code == 6
    assert rows(sqlite_project) == []


def test_a_file_that_is_applied_already_leaves_nothing(sqlite_project: Project) -> None:
    sqlite_project.write("good.toml", "[campaigns.spring]\n")
    for _ in range(2):
        sqlite_project.run("apply", "good.toml", "--yes")
    assert [(row["command"], row["arguments"]) for row in rows(sqlite_project)] == [("apply", ["good.toml"])]


def test_marks_before_the_name_of_a_command_are_no_part_of_it(sqlite_project: Project) -> None:
    config = ["--config", str(sqlite_project.config)]
    assert cli.main([*config, "campaign", "--", "create", "spring"]) == 0
    assert cli.main([*config, "--", "campaign", "create", "autumn"]) == 0
    assert [(row["command"], row["arguments"]) for row in rows(sqlite_project)] == [
        ("campaign create", ["spring"]),
        ("campaign create", ["autumn"]),
    ]


def test_a_wrong_command_line_leaves_nothing_and_opens_no_database(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "add", lambda *_: pytest.fail("a row was written"))
    assert sqlite_project.run("campaign", "create", check=False).code == 2
    assert sqlite_project.run("campaign", "create", "x", "--nonsense", check=False).code == 2
    (sqlite_project.folder / "coldsend.toml").write_text("nonsense = 1\n")
    refused = sqlite_project.run("campaign", "create", "x", check=False)
    assert refused.code == 4
    assert "audit_failed" not in refused.err, "nobody tried"
    monkeypatch.undo()
    assert rows(sqlite_project) == []


def test_an_unanswered_question_leaves_a_row(sqlite_project: Project) -> None:
    sqlite_project.run("campaign", "create", "spring")
    assert sqlite_project.run("campaign", "cancel", "spring", check=False).code == 2
    assert [(row["command"], row["exit_code"], row["error"]) for row in rows(sqlite_project)][1:] == [
        ("campaign cancel", 2, "usage")
    ]


def test_a_row_that_cannot_be_written_neither_loses_the_work_nor_hides_its_error(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(audit, "add", broken)
    made = sqlite_project.run("campaign", "create", "spring", "--json")
    assert made.json["name"] == "spring"
    assert "audit_failed" in made.err
    again = sqlite_project.run("campaign", "create", "spring", check=False)
    assert again.code == 4
    assert "exists already" in again.err
    monkeypatch.undo()
    assert [row["name"] for row in sqlite_project.json("campaign", "list")] == ["spring"]
    assert rows(sqlite_project) == []


def test_a_bug_leaves_a_row(sqlite_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from coldsend.planning import campaigns

    monkeypatch.setattr(campaigns, "create", lambda *_: 1 / 0)
    assert sqlite_project.run("campaign", "create", "spring", check=False).code == 1
    assert [(row["exit_code"], row["error"]) for row in rows(sqlite_project)] == [(1, "bug")]


def test_interrupting_leaves_a_row(sqlite_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from coldsend.planning import campaigns

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(campaigns, "create", interrupted)
    assert sqlite_project.run("campaign", "create", "spring", check=False).code == 130
    assert [(row["exit_code"], row["error"]) for row in rows(sqlite_project)] == [(130, "interrupted")]


@pytest.mark.costly
def test_init_is_the_first_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "--user", "anna"]) == 0
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'coldsend.db'}")
    with engine.connect() as connection:
        [(command, arguments)] = connection.execute(sa.text("SELECT command, arguments FROM audit_log")).all()
    engine.dispose()
    assert (command, arguments) == ("init", '["--user","anna"]')


@pytest.mark.costly
def test_upgrading_and_restoring_name_who_did_it(project: Project, empty_sqlite_url: str) -> None:
    project.run("user", "add", "anna", "--role", "admin")
    project.run("db", "upgrade")
    project.run("db", "upgrade", "--as", "anna")
    project.run("db", "backup", "all.db")
    assert [row["username"] for row in rows(project)[-3:]] == ["admin", "anna", "admin"]
    project.config.write_text(project.config.read_text().replace(project.url, empty_sqlite_url))
    assert project.run("db", "restore", "all.db", "--as", "nobody", check=False).code == 3
    assert not Path(empty_sqlite_url.removeprefix("sqlite:///")).exists(), "nothing was restored"
    project.run("db", "restore", "all.db", "--as", "anna")
    restored = project.json("audit", "list", "--command", "db restore")
    assert [row["username"] for row in restored] == ["anna"]


@pytest.mark.costly
def test_who_cannot_be_looked_up_before_an_upgrade_is_named_as_given(
    sqlite_project: Project, empty_sqlite_url: str
) -> None:
    config = sqlite_project.config
    config.write_text(config.read_text().replace(sqlite_project.url, empty_sqlite_url))
    upgraded = sqlite_project.run("db", "upgrade", "--as", "mallory")
    assert "there is no user 'mallory': the audit log has the name as it was given" in upgraded.err
    with Database(empty_sqlite_url).read() as connection:
        found = connection.execute(sa.select(audit_log.c.user_id, audit_log.c.username)).all()
    assert [tuple(row) for row in found] == [(None, "mallory")]


def test_no_password_is_in_it(sqlite_project: Project) -> None:
    sqlite_project.run(
        *("service", "add", "main", "--type", "smtp", "--host", "smtp.example.com", "--username", "u"),
        *("--from", "A <a@example.com>", "--daily-quota", "5", "--password-stdin"),
        stdin="correct horse battery",
    )
    sqlite_project.run(
        *("mailbox", "add", "m", "--host", "imap.example.com", "--username", "u"),
        *("--token-command", "/bin/echo battery-staple"),
    )
    left = dump(sqlite_project.database)
    assert "correct horse" not in left
    assert "battery-staple" not in left


@pytest.mark.costly
def test_erasing_a_person_leaves_neither_the_address_nor_what_was_given_with_it(project: Project) -> None:
    project.run("contact", "add", "bob@acme.com", "--nickname", "Bobby Tables", "--tag", "lead")
    contact = project.json("contact", "show", "bob@acme.com")["id"]
    project.run("contact", "update", str(contact), "--nickname", "Robert Tables")
    project.run("contact", "add", "eve@acme.com", "--nickname", "Evelyn")
    project.run("contact", "erase", "bob@acme.com", "--yes")
    left = dump(project.database)
    for trace in ("bob@acme.com", "bobby", "robert"):
        assert trace not in left
    found = [(row["command"], row["arguments"]) for row in rows(project)]
    assert found == [
        ("contact add", ["(erased)"]),
        ("contact update", ["(erased)"]),
        ("contact add", ["eve@acme.com", "--nickname", "Evelyn"]),
        ("contact erase", ["***"]),
    ]


def test_what_cron_calls_leaves_a_row_only_where_something_changed(sqlite_project: Project) -> None:
    sqlite_project.run("quota", "reset")
    sqlite_project.run("inbox", "poll")
    sqlite_project.run("alert", "check")
    assert rows(sqlite_project) == []


@pytest.mark.slow
@pytest.mark.parametrize("command", [("scheduler", "run", "--workers", "0"), ("web", "run", "--port", "0")])
def test_a_process_that_runs_leaves_a_row_when_it_starts(
    sqlite_project: Project, command: tuple[str, ...]
) -> None:
    process = sqlite_project.start(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ends = clock.monotonic() + 120
        while not (found := rows(sqlite_project)):
            assert process.poll() is None
            assert clock.monotonic() < ends
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(60)
    assert [(row["command"], row["arguments"], row["exit_code"]) for row in found] == [
        (" ".join(command[:2]), list(command[2:]), 0)
    ]
    assert rows(sqlite_project) == found, "nothing more when it ends"


def test_an_operator_may_not_start_a_process_and_that_is_in_it(sqlite_project: Project) -> None:
    sqlite_project.run("user", "add", "anna")
    assert sqlite_project.run("--as", "anna", "scheduler", "run", check=False).code == 4
    assert [(row["command"], row["error"]) for row in rows(sqlite_project)][1:] == [
        ("scheduler run", "not_allowed")
    ]


@pytest.mark.costly
def test_the_list_is_filtered_by_user_command_and_time(project: Project) -> None:
    project.run("user", "add", "anna")
    project.run("--as", "anna", "campaign", "create", "hers")
    project.run("campaign", "create", "mine")
    with project.database.begin() as connection:
        old = audit_log.c.command == "user add"
        connection.execute(sa.update(audit_log).where(old).values(at=clock.now().replace(year=2020)))

    def shown(*options: str) -> list[str]:
        return [
            " ".join([row["command"], *row["arguments"]]) for row in project.json("audit", "list", *options)
        ]

    assert shown() == ["campaign create mine", "campaign create hers", "user add anna"]
    assert shown("--user", "anna") == ["campaign create hers"]
    assert shown("--command", "user") == ["user add anna"]
    assert shown("--command", "coldsend campaign create") == shown("--command", "campaign")
    assert shown("--command", "camp") == []
    assert shown("--since", "2021-01-01") == ["campaign create mine", "campaign create hers"]
    assert shown("--limit", "1") == ["campaign create mine"]


def test_operators_see_what_they_did_and_nobody_else(project: Project) -> None:
    project.run("user", "add", "anna")
    project.run("--as", "anna", "campaign", "create", "hers")
    assert [row["command"] for row in project.json("--as", "anna", "audit", "list")] == ["campaign create"]
    assert project.run("--as", "anna", "audit", "list", "--user", "admin", check=False).code == 4
    assert project.run("--as", "anna", "audit", "list", "--user", "anna").code == 0


def test_the_table_shows_the_command_as_it_was_typed(sqlite_project: Project) -> None:
    sqlite_project.run("campaign", "create", "spring sale")
    sqlite_project.run("campaign", "pause", "spring sale", check=False)
    shown = sqlite_project.run("audit", "list").out
    assert "campaign create 'spring sale'" in shown
    assert "refused: wrong state" in shown


def test_the_log_is_kept_two_years_unless_configured() -> None:
    assert RetentionSettings().audit_days == 730
