"""Mailboxes that cannot be read: how it is shown, and when they are tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coldsend import clock
from coldsend.daemon.jobs import Jobs
from coldsend.database.tables import mailboxes
from coldsend.inbox import reading
from tests.inbox.post import Post
from tests.servers.dovecot import HOST, PASSWORD

pytestmark = pytest.mark.servers


def _refused(post: Post) -> int:
    """How often the server has refused somebody this mailbox."""
    lines = post.dovecot.log().splitlines()
    return sum(f"({post.user_name}," in line and "Password mismatch" in line for line in lines)


def _shown(post: Post) -> Any:
    return post.project.json("mailbox", "show", "replies")


def test_refused_credentials_are_tried_ever_more_rarely_and_then_not_at_all(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox(password="wrong-password-0123")
    tries = []
    for minutes in (0, 10, 59, 61, 120, 1000, 1500, 1502, 3000, 100_000):
        at = post.began + timedelta(minutes=minutes)
        if post.poller(now=lambda at=at: at).poll_due():
            tries.append(minutes)
    assert tries == [0, 61, 1502]
    shown = _shown(post)
    assert (shown["state"], shown["next_try_at"]) == ("waits for credentials", None)
    assert "login refused" in shown["last_error"]


def test_new_credentials_are_tried_at_once(post: Post) -> None:
    post.add_mailbox(password="wrong-password-0123")
    [row] = post.sent()
    post.put(post.reply(row))
    post.poller().poll_due()
    assert post.poller().poll_due() == []
    post.project.run("mailbox", "update", "replies", "--password-stdin", stdin=PASSWORD)
    [polled] = post.poller().poll_due()
    assert polled.kinds.total() == 1
    assert _refused(post) == 1, "in between it was not asked"
    shown = _shown(post)
    assert (shown["state"], shown["last_error"], shown["consecutive_errors"]) == ("ok", None, 0)


def test_a_test_that_works_ends_the_wait(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.all(mailboxes)
    post.change(
        mailboxes,
        row["id"],
        consecutive_errors=9,
        error_code="credentials",
        failed_at=clock.now(),
        last_error="no",
    )
    assert post.poller().poll_due() == []
    post.project.run("mailbox", "test", "replies")
    assert [polled.state for polled in post.poller().poll_due()] == ["read"]


def test_a_server_that_is_away_is_tried_again_later(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    post.project.run("mailbox", "update", "replies", "--port", "1")
    tries = []
    for seconds in (0, 59, 61, 120, 182):
        at = post.began + timedelta(seconds=seconds)
        if post.poller(now=lambda at=at: at).poll_due():
            tries.append(seconds)
    assert tries == [0, 61, 182]


def test_one_mailbox_that_fails_does_not_hold_up_others(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    post.add_mailbox("broken", password="wrong-password-0123")
    [row] = post.sent()
    post.put(post.reply(row))
    result = post.project.run("inbox", "poll", check=False)
    assert result.code == 6
    assert "could not be read: broken" in result.err
    assert post.stored() == [("reply", row)]


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (("--password-stdin",), 4, "login refused"),
        (("--port", "1"), 5, "refused"),
        (("--folder", "Nowhere"), 5, "exist"),
        (("--tls", "none", "--port", "993", "--host", "imap.example.com"), 4, "in clear"),
    ],
)
def test_what_is_wrong_is_told(sqlite_post: Post, change: tuple[str, ...], code: int, said: str) -> None:
    post = sqlite_post
    post.add_mailbox()
    changed = post.project.run(
        "mailbox", "update", "replies", *change, stdin="wrong-password-0123", check=False
    )
    if changed.code == 0:
        for command in (("mailbox", "test"), ("inbox", "poll")):
            result = post.project.run(*command, "replies", check=False)
            assert (result.code, said in result.err) == (code, True), result.err
            assert "wrong-password-0123" not in result.out + result.err
    else:
        assert (changed.code, said in changed.err) == (code, True), changed.err


def test_what_is_wrong_with_encryption_is_told_with_a_way_out(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    post.project.run("mailbox", "update", "replies", "--port", str(post.dovecot.imap))
    told = post.project.run("mailbox", "test", "replies", check=False).err
    assert "no encrypted connection" in told
    assert "--tls and --port" in told
    post.project.run("mailbox", "update", "replies", "--port", str(post.dovecot.imaps))
    config = post.project.config
    config.write_text(config.read_text().replace("ca_file", "# ca_file"))
    told = post.project.run("mailbox", "test", "replies", check=False).err
    assert "certificate is not accepted" in told
    assert "[inbox] ca_file" in told


def test_a_disabled_mailbox_is_only_read_when_it_is_named(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox("replies", "--disable")
    assert post.poller().poll_due() == []
    assert post.project.json("inbox", "poll") == []
    assert [one["state"] for one in post.project.json("inbox", "poll", "replies")] == ["read"]


def test_the_scheduler_that_leads_reads_mailboxes(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    post.put(post.reply(row))
    jobs = Jobs(post.settings, post.database, lambda: False)
    job = next(run for name, _seconds, run in jobs.table() if name == "inbox")
    job()
    assert post.stored() == []  # it does not lead yet
    jobs.register()
    job()
    jobs.sign_off()
    assert post.stored() == [("reply", row)]


def test_doctor_tells_of_mailboxes_that_nobody_reads(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    post.add_mailbox("broken", password="wrong-password-0123")
    found = _findings(post)
    assert found["mailbox 'replies'"] == "was never read: what comes back is not heeded"
    post.project.run("inbox", "poll", check=False)
    found = _findings(post)
    assert "mailbox 'replies'" not in found
    assert "login refused" in found["mailbox 'broken'"]


def _findings(post: Post) -> dict[str, str]:
    result = post.project.run("doctor", "--json", check=False)
    return {finding["subject"]: finding["message"] for finding in result.json["findings"]}


def test_secrets_of_mailboxes_are_nowhere_in_clear(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    post.add_mailbox("wrong", password="another-secret-0123")
    post.add_mailbox("token", "--token-command", "false print-secret", password=None)
    out = [post.project.run("inbox", "poll", check=False)]
    out += [post.project.run("mailbox", verb, "wrong", check=False) for verb in ("show", "test")]
    text = "".join(result.out + result.err for result in out)
    text += "".join(str(dict(row)) for row in post.all(mailboxes))
    assert HOST in text
    assert not [secret for secret in (PASSWORD, "another-secret", "print-secret") if secret in text]


def test_a_rotated_key_opens_mailboxes_too(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [before] = post.all(mailboxes)
    post.project.run("key", "rotate")
    [after] = post.all(mailboxes)
    assert after["credentials"]["kid"] != before["credentials"]["kid"]
    post.project.run("mailbox", "test", "replies")


def test_a_bug_in_reading_one_mailbox_makes_it_wait_and_spares_the_others(
    sqlite_post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = sqlite_post
    post.add_mailbox()
    post.add_mailbox("broken", "--folder", "Broken")
    examine = reading.examine

    def failing(connection: Any, name: str) -> Any:
        if name == "Broken":
            raise ZeroDivisionError
        return examine(connection, name)

    monkeypatch.setattr(reading, "examine", failing)
    assert [polled.state for polled in post.poller().poll_due()] == ["read", "failed"]
    assert [row["last_error"] for row in post.all(mailboxes)] == [None, "this is a bug: ZeroDivisionError"]
    assert len(post.poller().poll_due()) == 1


def test_credentials_that_no_key_opens_are_like_refused_ones(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.all(mailboxes)
    post.change(mailboxes, row["id"], credentials={**row["credentials"], "data": "AAAA"})
    assert post.poll().state == "failed"
    assert post.all(mailboxes)[0]["error_code"] == "credentials"
