"""coldsend service."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.config.secrets import load_key_ring, service_owner
from coldsend.config.settings import Settings
from coldsend.database.tables import event_log, sender_quota, sender_services
from coldsend.domain.answers import Action, Outcome, Verdict
from coldsend.domain.states import FreezeCode
from coldsend.pacing import services as health
from coldsend.stores import access, quota, services, users
from tests.conftest import Project
from tests.servers.engagelab import API_KEY, API_USER, EngageLab
from tests.servers.smtp import RecordingServer

SECRET = "correct-horse-staple"
SMTP = ("--type", "smtp", "--host", "mail.example.com", "--username", "anna", "--password-stdin")
COMMON = ("--from", "Anna <anna@example.com>", "--daily-quota", "100", "--throttle-sec", "0")


def add_dry(project: Project, name: str = "dry", *more: str) -> None:
    project.run("service", "add", name, "--type", "console", "--folder", "out", *COMMON, *more)


def add_smtp(project: Project, name: str = "main") -> Any:
    return project.run("service", "add", name, *SMTP, *COMMON, stdin=f"{SECRET}\n")


def id_of(project: Project, name: str) -> int:
    return int(project.json("service", "show", name)["id"])


def credentials(project: Project, name: str) -> Any:
    keys = load_key_ring(Settings(secret_key_file=project.folder / "coldsend.key"))
    with project.database.read() as connection:
        row = services.find(connection, name)
        return keys.open(row["credentials"], service_owner(row["id"])) if row["credentials"] else None


@pytest.fixture
def api() -> Iterator[EngageLab]:
    with EngageLab() as server:
        yield server


def test_a_service_is_added_and_shown(project: Project) -> None:
    add_smtp(project)
    shown = project.json("service", "show", "main")
    assert {key: shown[key] for key in ("name", "type", "health_status", "frozen_reason")} == {
        "name": "main", "type": "smtp", "health_status": "active", "frozen_reason": None,
    }  # fmt: skip
    assert (shown["consecutive_errors"], shown["daily_quota"], shown["used_today"]) == (0, 100, 0)
    assert (shown["throttle_sec"], shown["from"]) == (0.0, "Anna <anna@example.com>")
    assert shown["settings"] == {
        "host": "mail.example.com", "tls": "starttls", "port": 587, "connections": 4,
    }  # fmt: skip


def test_credentials_are_stored_encrypted_for_their_row_and_shown_nowhere(project: Project) -> None:
    added = add_smtp(project)
    assert credentials(project, "main") == {"username": "anna", "password": SECRET}
    with project.database.read() as connection:
        stored = json.dumps(services.find(connection, "main")["credentials"])
    shown = [
        project.run("service", verb, *rest, *way)
        for verb, rest in (("show", ["main"]), ("list", []))
        for way in ([], ["--json"])
    ]
    for result in [added, *shown]:
        assert SECRET not in result.out + result.err
    assert SECRET not in stored


def test_a_password_comes_from_a_variable(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    project.run("service", "add", "main", *SMTP[:-1], "--password-env", "MAIL_PASSWORD", *COMMON)
    assert credentials(project, "main")["password"] == SECRET


def test_a_token_comes_from_standard_input(project: Project) -> None:
    project.run("service", "add", "main", *SMTP[:-1], "--token-stdin", *COMMON, stdin="ya29.x\n")
    assert credentials(project, "main") == {"username": "anna", "token": "ya29.x"}


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_added(project: Project) -> None:
    result = project.run(
        "service", "add", "main", "--type", "smtp", "--tls", "ssl", "--from", "<a@x.example>, b@x.example",
        "--daily-quota", "-1", "--throttle-sec", "soon", "--time-zone", "Mars/Base", "--max-errors", "0",
        "--username", "anna", check=False,
    )  # fmt: skip
    assert result.code == 4
    for option in (
        "--tls",
        "--from",
        "--daily-quota",
        "--throttle-sec",
        "--time-zone",
        "--max-errors",
        "--host",
    ):
        assert f"  {option}" in result.err
    assert "password is missing" in result.err
    assert project.json("service", "list") == []


@pytest.mark.parametrize("seconds", ["-1", "86401", "nan", "inf", "1e9"])
def test_a_throttle_outside_a_day_is_refused(sqlite_project: Project, seconds: str) -> None:
    result = sqlite_project.run(
        "service", "add", "x", "--type", "console", *COMMON[:4], "--throttle-sec", seconds, check=False
    )
    assert (result.code, "--throttle-sec" in result.err) == (4, True)


def test_a_throttle_is_rounded_up_never_down(project: Project) -> None:
    project.run("service", "add", "x", "--type", "console", *COMMON[:4], "--throttle-sec", "0.2001")
    assert project.json("service", "show", "x")["throttle_sec"] == 0.201


def test_a_name_that_is_taken_is_refused(project: Project) -> None:
    add_dry(project)
    result = project.run("service", "add", "dry", "--type", "console", *COMMON, check=False)
    assert result.code == 4
    assert "exists already" in result.err


def test_two_ways_to_give_a_password_exclude_each_other(sqlite_project: Project) -> None:
    result = sqlite_project.run("service", "add", "x", *SMTP, "--password-env", "X", *COMMON, check=False)
    assert result.code == 2


def test_a_missing_password_is_named_with_the_ways_to_give_one(sqlite_project: Project) -> None:
    result = sqlite_project.run("service", "add", "x", *SMTP[:-1], *COMMON, check=False)
    assert result.code == 4
    assert "--password-stdin" in result.err
    empty = sqlite_project.run("service", "add", "x", *SMTP, *COMMON, stdin="", check=False)
    assert (empty.code, "standard input is empty" in empty.err) == (4, True)


def test_an_update_changes_what_was_given_and_keeps_the_rest(project: Project) -> None:
    add_smtp(project)
    project.run(
        "service", "update", "main", "--daily-quota", "7", "--time-zone", "Asia/Shanghai", "--tls", "implicit"
    )
    shown = project.json("service", "show", "main")
    assert (shown["daily_quota"], shown["time_zone"], shown["from"]) == (
        7,
        "Asia/Shanghai",
        "Anna <anna@example.com>",
    )
    assert (shown["settings"]["port"], shown["settings"]["host"]) == (465, "mail.example.com")
    assert credentials(project, "main") == {"username": "anna", "password": SECRET}


def test_an_update_that_contradicts_the_rest_changes_nothing(project: Project) -> None:
    add_smtp(project)
    before = project.json("service", "show", "main")
    result = project.run("service", "update", "main", "--tls", "none", "--daily-quota", "7", check=False)
    assert (result.code, "in clear" in result.err) == (4, True)
    assert project.json("service", "show", "main") == before


@pytest.mark.costly
def test_a_part_of_a_login_is_completed_from_the_stored_one(project: Project) -> None:
    add_smtp(project)
    project.run("service", "update", "main", "--username", "bob")
    assert credentials(project, "main") == {"username": "bob", "password": SECRET}
    project.run("service", "update", "main", "--password-stdin", stdin="new\n")
    assert credentials(project, "main") == {"username": "bob", "password": "new"}
    project.run("service", "update", "main", "--username", "")
    assert credentials(project, "main") is None


def test_an_empty_setting_is_taken_away(project: Project) -> None:
    add_dry(project, "dry", "--reply-to", "team@example.com")
    project.run("service", "update", "dry", "--reply-to", "")
    assert "reply_to" not in project.json("service", "show", "dry")["settings"]


def test_a_service_is_told_where_bounces_answers_and_unsubscribing_go(project: Project) -> None:
    add_dry(
        project, "dry", "--bounce-address", "bounce+{token}@Example.com", "--reply-to", "a+{token}@b.example"
    )
    project.run("service", "update", "dry", "--unsubscribe-address", "stop+{token}@example.com")
    settings = project.json("service", "show", "dry")["settings"]
    assert settings["bounce_address"] == "bounce+{token}@example.com"
    assert settings["reply_to"] == "a+{token}@b.example"
    assert settings["unsubscribe_address"] == "stop+{token}@example.com"
    result = project.run("service", "update", "dry", "--bounce-address", "{tok}@example.com", check=False)
    assert (result.code, "only {token} is filled in" in result.err) == (4, True)


def _refuse_credentials(project: Project, code: FreezeCode) -> None:
    verdict = Verdict(Outcome.TEMPORARY, Action.FREEZE_SERVICE, "auth", blames_sender=True, freeze=code)
    service_id = id_of(project, "main")
    with project.database.begin() as connection:
        health.record_failure(connection, service_id, verdict, "535 no", clock.now())


@pytest.mark.costly
def test_new_credentials_thaw_what_was_frozen_for_the_old_ones(project: Project) -> None:
    add_smtp(project)
    _refuse_credentials(project, FreezeCode.CREDENTIALS)
    assert project.json("service", "show", "main")["health_status"] == "frozen"
    project.run("service", "update", "main", "--daily-quota", "9")
    assert project.json("service", "show", "main")["health_status"] == "frozen"
    project.run("service", "update", "main", "--password-stdin", stdin="new\n")
    shown = project.json("service", "show", "main")
    assert (shown["health_status"], shown["consecutive_errors"], shown["frozen_reason"]) == (
        "active",
        0,
        None,
    )


def test_new_credentials_do_not_thaw_a_suspended_account(project: Project) -> None:
    add_smtp(project)
    _refuse_credentials(project, FreezeCode.SUSPENDED)
    project.run("service", "update", "main", "--password-stdin", stdin="new\n")
    assert project.json("service", "show", "main")["health_status"] == "frozen"


@pytest.mark.costly
def test_freezing_and_thawing_by_hand(project: Project) -> None:
    add_dry(project)
    assert project.json("service", "freeze", "dry", "--reason", "holiday")["frozen_reason"] == "holiday"
    assert "frozen: holiday" in project.run("service", "list").out
    assert project.json("service", "thaw", "dry")["health_status"] == "active"
    assert "was not frozen" in project.run("service", "thaw", "dry").out


def test_used_today_is_the_quotas_truth_and_not_the_mirror(project: Project) -> None:
    add_dry(project)
    service_id = id_of(project, "dry")
    with project.database.begin() as connection:
        quota.reserve(connection, service_id, clock.now().date(), 5, 100)
        assert services.find(connection, "dry")["used_today"] == 0
    assert project.json("service", "show", "dry")["used_today"] == 5


@pytest.mark.costly
def test_operators_see_and_test_only_what_is_granted_to_them(project: Project) -> None:
    add_dry(project)
    project.run("user", "add", "olga")
    assert project.json("--as", "olga", "service", "list") == []
    for command in (["show", "dry"], ["test", "dry", "--to", "me@example.com"]):
        result = project.run("--as", "olga", "service", *command, "--json", check=False)
        assert (result.code, result.error["code"]) == (4, "not_allowed")
        assert "service grant" in result.error["hint"]
    project.run("service", "grant", "dry", "olga")
    assert [one["name"] for one in project.json("--as", "olga", "service", "list")] == ["dry"]
    assert project.json("--as", "olga", "service", "test", "dry", "--to", "me@example.com")["accepted"]
    project.run("service", "revoke", "dry", "olga")
    assert project.json("--as", "olga", "service", "list") == []


@pytest.mark.parametrize(
    "command",
    [
        ("add", "x", "--type", "console", *COMMON), ("update", "dry", "--daily-quota", "1"),
        ("freeze", "dry"),
        ("thaw", "dry"), ("grant", "dry", "olga"), ("revoke", "dry", "olga"), ("remove", "dry"),
    ],
)  # fmt: skip
def test_only_admins_change_services(sqlite_project: Project, command: tuple[str, ...]) -> None:
    add_dry(sqlite_project)
    sqlite_project.run("user", "add", "olga")
    sqlite_project.run("service", "grant", "dry", "olga")
    before = sqlite_project.json("service", "show", "dry")
    result = sqlite_project.run("--as", "olga", "service", *command, "--json", check=False)
    assert (result.code, result.error["code"]) == (4, "not_allowed")
    assert sqlite_project.json("service", "show", "dry") == before


def test_granting_twice_is_said_and_harmless(project: Project) -> None:
    add_dry(project)
    project.run("user", "add", "olga")
    assert project.json("service", "grant", "dry", "olga")["changed"]
    assert not project.json("service", "grant", "dry", "olga")["changed"]
    assert project.json("service", "show", "dry")["granted_to"] == ["olga"]


def test_a_service_that_was_never_used_is_removed_with_all_that_hangs_on_it(project: Project) -> None:
    add_smtp(project)
    project.run("user", "add", "olga")
    project.run("service", "grant", "main", "olga")
    asked = project.run("service", "remove", "main", check=False)
    assert (asked.code, "--yes" in asked.err) == (2, True)
    project.run("service", "remove", "main", "--yes")
    with project.database.read() as connection:
        assert connection.execute(sa.select(sender_services)).first() is None
        assert access.granted(connection, users.find(connection, "olga")["id"]) == set()


def test_a_service_that_only_carried_a_test_may_be_removed(project: Project) -> None:
    add_dry(project)
    project.run("service", "test", "dry", "--to", "me@example.com")
    project.run("service", "remove", "dry", "--yes")
    with project.database.read() as connection:
        assert connection.execute(sa.select(sender_quota)).first() is None


def test_a_service_with_history_stays(project: Project) -> None:
    add_dry(project)
    service_id = id_of(project, "dry")
    with project.database.begin() as connection:
        quota.reserve(connection, service_id, clock.now().date(), 1, 100)
        connection.execute(
            sa.insert(event_log).values(type="send_api_try", sender_service_id=service_id, ts=clock.now())
        )
    result = project.run("service", "remove", "dry", "--yes", check=False)
    assert (result.code, "service freeze" in result.err) == (4, True)
    assert len(project.json("service", "list")) == 1


def test_a_test_sends_one_message_and_counts_in_the_quota(project: Project) -> None:
    add_dry(project)
    result = project.json("service", "test", "dry", "--to", "me@example.com")
    assert (result["accepted"], result["code"]) == (True, 250)
    (file,) = (project.folder / "out").glob("*.eml")
    assert b"To: me@example.com" in file.read_bytes()
    assert project.json("service", "show", "dry")["used_today"] == 1


@pytest.mark.costly
def test_a_test_shows_the_dialogue_without_secrets(project: Project, api: EngageLab) -> None:
    project.run(
        "service", "add", "api", "--type", "jiguang", "--api-url", api.url, "--username", API_USER,
        "--password-stdin", *COMMON, stdin=API_KEY,
    )  # fmt: skip
    result = project.run("service", "test", "api", "--to", "me@example.com")
    assert "C: POST" in result.out
    assert "S: HTTP 200" in result.out
    assert API_KEY not in result.out + result.err
    assert api.messages[0]["from"] == "Anna <anna@example.com>"


@pytest.mark.costly
def test_a_test_over_smtp_shows_the_dialogue_without_the_password(sqlite_project: Project) -> None:
    with RecordingServer(users={"anna": SECRET}) as server:
        sqlite_project.run(
            "service", "add", "main", "--type", "smtp", "--host", "127.0.0.1", "--port", str(server.port),
            "--tls", "none", "--username", "anna", "--password-stdin", *COMMON, stdin=SECRET,
        )  # fmt: skip
        result = sqlite_project.run("service", "test", "main", "--to", "me@example.com")
        assert len(server.messages()) == 1
    for line in ("C: EHLO", "C: AUTH", "C: MAIL FROM:<anna@example.com>", "S: 250", "accepted"):
        assert line in result.out
    plain = base64.b64encode(f"\0anna\0{SECRET}".encode()).decode()
    assert SECRET not in result.out
    assert plain not in result.out


@pytest.mark.costly
def test_a_refused_test_exits_with_4_and_gives_its_quota_back(project: Project, api: EngageLab) -> None:
    project.run(
        "service", "add", "api", "--type", "jiguang", "--api-url", api.url, "--username", API_USER,
        "--password-stdin", *COMMON, stdin="wrong",
    )  # fmt: skip
    result = project.run("service", "test", "api", "--to", "me@example.com", "--json", check=False)
    assert result.code == 4
    assert (result.json["accepted"], result.json["phase"], result.json["code"]) == (False, "auth", 535)
    shown = project.json("service", "show", "api")
    assert (shown["used_today"], shown["consecutive_errors"], shown["health_status"]) == (0, 0, "active")


def test_a_test_of_a_server_that_is_away_exits_with_5(project: Project) -> None:
    project.run(
        "service",
        "add",
        "main",
        "--type",
        "smtp",
        "--host",
        "127.0.0.1",
        "--port",
        "1",
        "--tls",
        "none",
        *COMMON,
    )
    result = project.run("service", "test", "main", "--to", "me@example.com", check=False)
    assert (result.code, "refused" in result.err) == (5, True)


def test_a_test_beyond_the_quota_is_refused(project: Project) -> None:
    add_dry(project)
    project.run("service", "update", "dry", "--daily-quota", "0")
    result = project.run("service", "test", "dry", "--to", "me@example.com", check=False)
    assert (result.code, "quota" in result.err) == (4, True)
    assert not (project.folder / "out").exists()


def test_a_suppressed_address_gets_no_test(project: Project) -> None:
    add_dry(project)
    project.run("suppression", "add", "me@example.com")
    result = project.run("service", "test", "dry", "--to", "Me@Example.com", check=False)
    assert (result.code, "suppressed" in result.err) == (4, True)
    assert not (project.folder / "out").exists()


def test_every_verb_refuses_an_unknown_user_or_service(sqlite_project: Project) -> None:
    for command in (["list"], ["show", "x"], ["freeze", "x"]):
        assert sqlite_project.run("--as", "nobody", "service", *command, check=False).code == 3
    assert sqlite_project.run("service", "show", "x", check=False).code == 3


def test_an_update_that_says_nothing_is_a_mistake(sqlite_project: Project) -> None:
    sqlite_project.run(
        "service", "add", "dry", "--type", "console", "--from", "a@b.example", "--daily-quota", "1"
    )
    result = sqlite_project.run("service", "update", "dry", "--json", check=False)
    assert result.code == 2
    assert "nothing is given" in result.error["message"]
    assert "coldsend service update dry" in result.error["hint"]
    sqlite_project.run("service", "update", "dry", "--daily-quota", "2")


def test_a_wrong_update_points_to_its_own_help(sqlite_project: Project) -> None:
    sqlite_project.run(
        "service", "add", "dry", "--type", "console", "--from", "a@b.example", "--daily-quota", "1"
    )
    result = sqlite_project.run("service", "update", "dry", "--daily-quota", "-1", "--json", check=False)
    assert result.error["hint"] == "see: coldsend service update --help"
