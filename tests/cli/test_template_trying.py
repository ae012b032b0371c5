"""coldsend template test and spamcheck: a template tried on oneself and on a filter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.composing import spamcheck
from coldsend.composing.spamcheck import Rule, Verdict
from coldsend.composing.tokens import NOBODY, Kind, Tokens
from coldsend.config.secrets import KeyRing, load_key_ring
from coldsend.config.settings import Settings
from coldsend.database import copying
from coldsend.database.engine import Database
from coldsend.database.tables import sender_services
from coldsend.delivery import sample
from coldsend.stores import sample_mails, signing_keys
from tests.conftest import Project
from tests.servers.smtp import StrictServer

pytestmark = pytest.mark.costly


@pytest.fixture(scope="module")
def server() -> Iterator[StrictServer]:
    with StrictServer() as running:
        yield running


@pytest.fixture
def project_with_template(sqlite_project: Project, server: StrictServer) -> Project:
    project = sqlite_project
    server.envelopes.clear()
    project.run(
        *("service", "add", "main", "--type", "smtp", "--host", "127.0.0.1", "--port", str(server.port)),
        *("--tls", "none", "--from", "Anna <anna@acme.org>", "--daily-quota", "9", "--throttle-sec", "0"),
    )
    body = project.write("b.html", "<p>Hello {{ contact.company }}, <a href='https://acme.org/'>see</a></p>")
    project.run(
        "template", "add", "intro", "--subject", "For {{ contact.company }}", "--body-file", str(body)
    )
    project.run("contact", "add", "bob@two.org", "--field", "company=Two")
    return project


def link_keys(project: Project) -> Tokens:
    keys: KeyRing = load_key_ring(Settings(secret_key_file=project.folder / "coldsend.key"))
    with project.database.read() as connection:
        return Tokens(signing_keys.load(connection, keys, "links"))


def test_one_message_reaches_oneself_with_a_contacts_data_and_nothing_is_in_the_ledger(
    project_with_template: Project, server: StrictServer
) -> None:
    project = project_with_template
    told = project.json("template", "test", "intro", "--to", "me@acme.org")
    assert (told["to"], told["contact"], told["service"]) == ("me@acme.org", "bob@two.org", "main")
    (envelope,) = server.envelopes
    assert envelope.rcpt_tos == ["me@acme.org"]
    assert isinstance(envelope.content, bytes)
    message = message_from_bytes(envelope.content, policy=policy.default)
    assert (message["Subject"], message["To"]) == ("For Two", "me@acme.org")  # nothing is put before it
    token = message["List-Unsubscribe"].rpartition("/")[2].rstrip(">")
    assert link_keys(project).read(token) == (Kind.UNSUBSCRIBE, NOBODY)
    with project.database.read() as connection:
        held = copying.tallies(connection, lambda _rows: None)
    assert (held["task_contacts"].rows, held["event_log"].rows) == (0, 0)
    assert project.json("quota", "show")[0]["used"] == 1  # the provider counts it, too


def test_ones_own_contact_is_preferred_and_one_may_be_named(
    project_with_template: Project, server: StrictServer
) -> None:
    project = project_with_template
    project.run("contact", "add", "me@acme.org", "--field", "company=Acme")
    assert project.json("template", "test", "intro", "--to", "me@acme.org")["contact"] == "me@acme.org"
    told = project.json("template", "test", "intro", "--to", "me@acme.org", "--contact", "bob@two.org")
    assert told["contact"] == "bob@two.org"
    assert len(server.envelopes) == 2


def test_what_cannot_be_made_or_must_not_be_sent_costs_nothing(
    project_with_template: Project, server: StrictServer
) -> None:
    project = project_with_template
    project.run("contact", "add", "eve@x.org")
    project.run("suppression", "add", "me@acme.org")
    for words in (["me@acme.org"], ["you@acme.org", "--contact", "eve@x.org"]):
        result = project.run("template", "test", "intro", "--to", *words, check=False)
        assert result.code == 4, result.err
    assert "contact.company is missing" in result.err
    assert project.run("template", "test", "intro", "--to", "x", check=False).code == 4
    with project.database.begin() as connection:
        frozen = {"health_status": "frozen", "frozen_code": "errors", "frozen_reason": "too many errors"}
        connection.execute(sa.update(sender_services).values(**frozen))
    result = project.run("template", "test", "intro", "--to", "you@acme.org", check=False)
    assert "is frozen: too many errors" in result.err
    assert server.envelopes == []
    assert project.json("quota", "show")[0]["used"] == 0


def test_a_server_that_is_not_there_is_exit_code_5(project_with_template: Project) -> None:
    project = project_with_template
    project.run("service", "update", "main", "--port", "1")
    assert project.run("template", "test", "intro", "--to", "me@acme.org", check=False).code == 5


def test_it_is_for_looking_and_not_for_sending(
    project_with_template: Project, server: StrictServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "MOST_AN_HOUR", 2)
    project = project_with_template
    codes = [
        project.run("template", "test", "intro", "--to", "me@acme.org", check=False).code for _ in range(3)
    ]
    assert codes == [0, 0, 4]
    assert len(server.envelopes) == 2


def test_test_messages_are_counted_for_each_user_and_hour(database: Database) -> None:
    now = clock.now()

    def take(user: int, later: timedelta = timedelta(0)) -> bool:
        return database.run(lambda connection: sample_mails.take(connection, user, now + later, 2))

    assert [take(1), take(1), take(1), take(2)] == [True, True, False, True]
    assert [take(1, timedelta(minutes=59)), take(1, timedelta(minutes=60))] == [False, True]
    assert take(1, timedelta(days=-2))  # a clock that jumped back


def test_a_score_is_told_in_words_and_spam_is_refused(
    project_with_template: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_with_template
    seen: list[bytes] = []
    verdict = Verdict(1.5, 5.0, (Rule("MISSING_DATE", 1.5, "Missing Date: header"),))

    def check(message: bytes, *, network: bool) -> Verdict:
        seen.append(message)
        assert not network
        return verdict

    monkeypatch.setattr(spamcheck, "check", check)
    told = project.json("template", "spamcheck", "intro")
    assert told["rules"] == [{"rule": "MISSING_DATE", "points": 1.5, "description": "Missing Date: header"}]
    assert (told["score"], told["required"], told["spam"]) == (1.5, 5.0, False)
    assert seen[0].startswith(b"Return-Path: <anna@acme.org>\r\n")
    assert b"Subject: For Two" in seen[0]
    verdict = Verdict(7.5, 5.0, ())
    result = project.run("template", "spamcheck", "intro", check=False)
    assert result.code == 4
    assert "score 7.5; from 5 on it is taken for spam" in result.err


def test_others_templates_are_not_tried(project_with_template: Project) -> None:
    project = project_with_template
    project.run("user", "add", "eve")
    for words in (["test", "intro", "--to", "a@b.org"], ["spamcheck", "intro"]):
        assert project.run("template", *words, "--as", "eve", check=False).code == 4
