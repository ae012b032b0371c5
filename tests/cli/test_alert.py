"""coldsend alert."""

from __future__ import annotations

import json

import pytest

from coldsend.alerts import seeing
from coldsend.alerts.seam import NotDelivered
from coldsend.alerts.webhook import Webhook
from coldsend.database.tables import sender_services
from coldsend.domain.alert_targets import secrets, written_secret
from tests.conftest import Project
from tests.planning.world import World
from tests.servers.http import Receiver

SECRET = written_secret(bytes(32))


def configure(project: Project, text: str) -> None:
    project.config.write_text(project.config.read_text() + f"[alerts]\n{text}\n")


def with_webhook(project: Project, receiver: Receiver) -> None:
    configure(project, f'webhooks = "ops={receiver.url}"\nwebhook_secret = "{SECRET}"')


def freeze(project: Project, name: str = "main") -> int:
    return World(project.database).service(
        name, health_status="frozen", frozen_code="errors", frozen_reason="535 no"
    )


@pytest.mark.costly
def test_check_sees_what_is_wrong_tells_it_and_says_nothing_where_all_is_well(project: Project) -> None:
    with Receiver() as receiver:
        with_webhook(project, receiver)
        service = freeze(project)
        first = project.run("alert", "check")
        assert first.out == "service 'main' is frozen\n"
        assert project.run("alert", "check").out == ""
        assert json.loads(receiver.requests[0].body)["data"]["kind"] == "service_frozen"
        World(project.database).change(sender_services, service, health_status="active")
        assert project.json("alert", "check") == {
            "open": 0, "raised": [], "cleared": ["service 'main' sends again"], "delivered": 2, "failed": 0,
        }  # fmt: skip
        assert len(receiver.requests) == 2


@pytest.mark.costly
def test_check_exits_with_6_where_a_notice_could_not_be_delivered(sqlite_project: Project) -> None:
    with Receiver() as receiver:
        with_webhook(sqlite_project, receiver)
        receiver.statuses = [503]
        freeze(sqlite_project)
        result = sqlite_project.run("alert", "check", check=False)
        assert result.code == 6
        assert "could not be delivered: 1" in result.err
        shown = sqlite_project.run("alert", "list")
        assert "1 told, 1 waits" in shown.out
        assert "webhook:ops: answered 503" in shown.err


@pytest.mark.costly
def test_the_list_shows_what_lasts_and_what_became_of_its_notices(project: Project) -> None:
    service = freeze(project)
    project.run("alert", "check")
    [alert] = project.json("alert", "list", "--open")
    assert (alert["kind"], alert["subject"], alert["cleared_at"]) == ("service_frozen", "service:main", None)
    assert [(each["target"], each["status"]) for each in alert["deliveries"]] == [("log", "done")]
    World(project.database).change(sender_services, service, health_status="active")
    project.run("alert", "check")
    assert project.json("alert", "list", "--open") == []
    assert "nothing is wrong" in project.run("alert", "list", "--open").err
    assert len(project.json("alert", "list")) == 1


@pytest.mark.costly
def test_operators_see_alerts_about_what_is_theirs(project: Project) -> None:
    world = World(project.database)
    anna = world.user("anna")
    granted = freeze(project, "hers")
    world.service("other", health_status="frozen", frozen_code="errors")
    project.run("service", "grant", "hers", "anna")
    world.campaign("mine", "paused", status_reason="too many bounces")
    world.campaign("her own", "paused", status_reason="too many bounces", owner=anna)
    project.run("alert", "check")
    assert len(project.json("alert", "list")) == 4
    hers = project.json("--as", "anna", "alert", "list")
    assert sorted(alert["subject"] for alert in hers) == ["campaign:her own", "service:hers"]
    assert granted


@pytest.mark.costly
def test_operators_see_theirs_however_many_are_newer(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeing, "AT_ONCE", 2)
    project.run("user", "add", "anna")
    for name in ("hers", "one", "hers too", "two", "three"):
        freeze(project, name)
        project.run("alert", "check")
        if name.startswith("hers"):
            project.run("service", "grant", name, "anna")
    for limit, subjects in (("1", ["service:hers too"]), ("9", ["service:hers too", "service:hers"])):
        found = project.json("--as", "anna", "alert", "list", "--open", "--limit", limit)
        assert [alert["subject"] for alert in found] == subjects


@pytest.mark.parametrize("command", ["check", "test", "retry --all"])
def test_operators_tell_nobody(sqlite_project: Project, command: str) -> None:
    sqlite_project.run("user", "add", "anna")
    result = sqlite_project.run("--as", "anna", "alert", *command.split(), check=False)
    assert (result.code, "only admins" in result.err) == (4, True)


@pytest.mark.costly
def test_a_test_is_sent_to_all_targets_or_to_one_and_stored_nowhere(sqlite_project: Project) -> None:
    with Receiver() as receiver:
        with_webhook(sqlite_project, receiver)
        rows = sqlite_project.json("alert", "test")
        assert rows == [
            {"target": "log", "taken": True, "error": None},
            {"target": "webhook:ops", "taken": True, "error": None},
        ]
        document = json.loads(receiver.requests[0].body)
        assert document["data"]["facts"] == {"test": True}
        sqlite_project.run("alert", "test", "webhook:ops")
        assert len(receiver.requests) == 2
        assert sqlite_project.json("alert", "list") == []


@pytest.mark.costly
def test_a_test_says_which_target_did_not_take_it(sqlite_project: Project) -> None:
    configure(sqlite_project, f'webhooks = "ops=http://127.0.0.1:1/x"\nwebhook_secret = "{SECRET}"')
    some = sqlite_project.run("alert", "test", check=False)
    assert some.code == 6
    assert "cannot be connected to" in some.out
    assert sqlite_project.run("alert", "test", "webhook:ops", check=False).code == 5
    unknown = sqlite_project.run("alert", "test", "webhook:opps", check=False)
    assert (unknown.code, "there are: log, webhook:ops" in unknown.err) == (3, True)


@pytest.mark.costly
def test_what_was_given_up_is_tried_again(sqlite_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        raise NotDelivered("answered 410", final=True)

    with Receiver() as receiver:
        with_webhook(sqlite_project, receiver)
        freeze(sqlite_project)
        with monkeypatch.context() as patched:
            patched.setattr(Webhook, "send", gone)
            assert sqlite_project.run("alert", "check", check=False).code == 6
        assert sqlite_project.run("alert", "check").code == 0
        assert receiver.requests == []
        [alert] = sqlite_project.json("alert", "list")
        assert sqlite_project.json("alert", "retry", str(alert["id"])) == {"again": 1}
        sqlite_project.run("alert", "check")
        assert len(receiver.requests) == 1
        assert sqlite_project.json("alert", "retry", "--all") == {"again": 0}


def test_retry_needs_alerts_that_exist(sqlite_project: Project) -> None:
    assert sqlite_project.run("alert", "retry", check=False).code == 2
    assert sqlite_project.run("alert", "retry", "7", check=False).code == 3


@pytest.mark.costly
def test_a_target_that_cannot_be_used_is_named_by_check_and_doctor(sqlite_project: Project) -> None:
    configure(sqlite_project, 'email = "ops@acme.com"')
    freeze(sqlite_project)
    result = sqlite_project.run("alert", "check", check=False)
    assert (result.code, "smtp_host is empty" in result.err) == (6, True)
    doctor = sqlite_project.run("doctor", check=False)
    assert doctor.code == 4
    assert "email:ops@acme.com: there is no server to mail it through" in doctor.out


def test_a_configuration_that_makes_no_sense_is_refused_with_its_line(sqlite_project: Project) -> None:
    configure(
        sqlite_project, 'kinds = "everything"\nwebhooks = "https://x.example/hush"\nwebhook_secret = "hush"'
    )
    result = sqlite_project.run("alert", "list", check=False)
    assert result.code == 4
    for said in ("[alerts] kinds", "[alerts] webhooks", "[alerts] webhook_secret"):
        assert said in result.err
    assert "hush" not in result.err


def test_a_new_secret_is_one_and_needs_no_installation(sqlite_project: Project) -> None:
    sqlite_project.config.write_text("nonsense = 1")
    made = sqlite_project.run("alert", "secret").out.strip()
    assert len(secrets(made)[0][1]) == 32
    assert sqlite_project.json("alert", "secret")["secret"] != made
