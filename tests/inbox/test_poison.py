"""Messages that cannot be read or understood: kept with the error, and the mailbox goes on."""

from __future__ import annotations

from typing import Any

import pytest

from coldsend.database.tables import inbox_messages, mailboxes
from coldsend.domain.mailbox import PATIENCE_WITH_MESSAGE
from coldsend.inbox import reading, storing
from coldsend.inbox.classified import Classified, Failed
from coldsend.inbox.connection import MailboxError
from coldsend.inbox.wire import Wire
from tests.inbox.post import Post, mail

pytestmark = pytest.mark.servers


def _errors(post: Post) -> list[str | None]:
    return [(row["details"] or {}).get("error") for row in post.all(inbox_messages)]


def test_a_message_that_cannot_be_understood_is_kept(
    sqlite_post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = sqlite_post
    post.add_mailbox()
    first, second = post.sent(2)
    poison = post.reply(first, "poison")
    post.put(poison, post.reply(second))
    classify = storing.classify

    def failing(raw: bytes, now: Any) -> Classified:
        if b"poison" in raw:
            raise RecursionError("too deep")
        return classify(raw, now)

    monkeypatch.setattr(storing, "classify", failing)
    polled = post.poll()
    assert (polled.state, polled.unreadable) == ("read", 1)
    assert [kind for kind, _row in post.stored()] == ["other", "reply"]
    [error, nothing] = _errors(post)
    assert (nothing, str(error).startswith("RecursionError in test_poison.py, line ")) == (None, True)
    assert post.all(inbox_messages)[0]["raw"] == poison


def test_what_cannot_be_acted_on_is_kept_and_nothing_of_it_is_applied(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.add_mailbox()
    first, second = post.sent(2)
    post.put(post.reply(first), post.reply(second))
    apply = storing.apply

    def failing(connection: Any, items: Any, *rest: Any) -> Any:
        applied = apply(connection, items, *rest)
        if items[0].row_id == first:
            raise ZeroDivisionError("a bug")
        return applied

    monkeypatch.setattr(storing, "apply", failing)
    post.poll()
    assert [kind for kind, _row in post.stored()] == ["reply", "reply"]
    [error, nothing] = _errors(post)
    assert (nothing, str(error).startswith("ZeroDivisionError in test_poison.py, line ")) == (None, True)
    assert (post.status(first), post.status(second)) == ("sent", "replied")


def test_text_that_no_database_takes_is_made_fit(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    post.add_mailbox()
    [row] = post.sent()
    post.put(post.reply(row))
    classify = storing.classify
    broken = "\ud800\0" + "x" * 5000

    def strange(raw: bytes, now: Any) -> Classified:
        found = classify(raw, now)
        return Classified(
            found.kind, (Failed(broken, broken, broken, None, broken, broken),), broken,
            (*found.message_ids, broken), found.addressed, broken, broken, broken, found.date,
        )  # fmt: skip

    monkeypatch.setattr(storing, "classify", strange)
    assert post.poll().unreadable == 0
    [stored] = post.all(inbox_messages)
    assert stored["subject"].startswith("?x")


def test_a_message_that_the_server_cannot_give_is_noted(
    sqlite_post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = sqlite_post
    post.add_mailbox()
    first, second = post.sent(2)
    post.put(post.reply(first), post.reply(second))
    uid = Wire.uid

    def declining(self: Wire, command: str, *arguments: str) -> Any:
        if "PEEK" in arguments[-1] and arguments[0] in ("1", "1:2"):
            return "NO", [b"[SERVERBUG] cannot be converted"]
        return uid(self, command, *arguments)

    monkeypatch.setattr(Wire, "uid", declining)
    assert post.poll().unreadable == 1
    assert post.stored() == [("other", None), ("reply", second)]
    assert _errors(post) == ["[SERVERBUG] cannot be converted", None]


def test_a_message_that_breaks_every_connection_is_left_out_at_last(
    sqlite_post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = sqlite_post
    post.add_mailbox()
    first, second = post.sent(2)
    post.put(post.reply(first), post.reply(second))
    bodies = reading._bodies

    def breaking(connection: Any, uids: Any, limit: int) -> dict[int, bytes]:
        if 1 in uids:
            connection.client.sock.close()
        return bodies(connection, uids, limit)

    monkeypatch.setattr(reading, "_bodies", breaking)
    for _ in range(PATIENCE_WITH_MESSAGE + 1):
        polled = post.poll()
        assert polled.state == "failed"
        assert isinstance(polled.error, MailboxError)
    assert post.all(mailboxes)[0]["error_code"] == "message"
    assert post.poll().state == "read"
    assert post.stored() == [("other", None), ("reply", second)]
    assert post.all(mailboxes)[0]["consecutive_errors"] == 0


def test_a_message_that_breaks_connections_is_left_out_also_behind_others(
    sqlite_post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = sqlite_post
    post.add_mailbox()
    first, second = post.sent(2)
    post.put(mail("Lunch?"), post.reply(first), post.reply(second))  # the first is none of ours
    bodies = reading._bodies

    def breaking(connection: Any, uids: Any, limit: int) -> dict[int, bytes]:
        if 2 in uids:
            connection.client.sock.close()
        return bodies(connection, uids, limit)

    monkeypatch.setattr(reading, "_bodies", breaking)
    failures = 0
    while post.poll().state == "failed":
        failures += 1
        assert failures <= PATIENCE_WITH_MESSAGE + 2
    assert post.stored() == [("other", None), ("reply", second)]


def test_an_empty_message_is_one(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    post.put(b"\r\n", mail(""))
    assert post.poll().read == 2
    assert post.traces() == 0
