"""Messages that a mistake of ours kept from being taken, once it is mended."""

from __future__ import annotations

from typing import Any

import pytest

from coldsend.database.tables import event_log, inbox_messages
from coldsend.inbox import storing
from tests.inbox.post import Post, mail

pytestmark = pytest.mark.servers


class _Mistake:
    """A mistake in one function of storing, for messages with a word in them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._classify, self._apply = storing.classify, storing.apply

    def in_understanding(self, word: bytes) -> None:
        def failing(raw: bytes, now: Any) -> Any:
            if word in raw:
                raise KeyError("bob@example.com wrote this")
            return self._classify(raw, now)

        self._patch.setattr(storing, "classify", failing)

    def in_acting(self) -> None:
        def failing(*arguments: Any) -> Any:
            self._apply(*arguments)
            raise ZeroDivisionError("bob@example.com wrote this")

        self._patch.setattr(storing, "apply", failing)

    def mended(self) -> None:
        self._patch.setattr(storing, "classify", self._classify)
        self._patch.setattr(storing, "apply", self._apply)


@pytest.fixture
def mistake(monkeypatch: pytest.MonkeyPatch) -> _Mistake:
    return _Mistake(monkeypatch)


def _not_taken(post: Post) -> list[int]:
    return [row["id"] for row in post.project.json("inbox", "list", "--not-taken")]


def _refused(post: Post, code: int, *arguments: str) -> str:
    """What a command says that exits with this code."""
    result = post.project.run(*arguments, check=False)
    assert result.code == code
    return result.out + result.err


def test_what_was_not_understood_is_taken_when_it_can_be(post: Post, mistake: _Mistake) -> None:
    post.add_mailbox()
    [row] = post.sent()
    mistake.in_understanding(b"poison")
    post.put(post.reply(row, "Yes, with poison."))
    post.poll()
    [number] = _not_taken(post)
    listed = post.project.run("inbox", "list", "--not-taken")
    assert "KeyError in test_retrying.py" in listed.out
    assert "bob@example.com" not in listed.out, "an error may quote the message"
    _refused(post, 4, "inbox", "retry", str(number))
    assert post.status(row) == "sent"
    mistake.mended()
    [done] = post.project.json("inbox", "retry", str(number))
    assert (done["state"], done["kind"]) == ("taken", "reply")
    [stored] = post.all(inbox_messages)
    assert (stored["kind"], stored["task_contact_id"], stored["text"]) == ("reply", row, "Yes, with poison.")
    assert (post.status(row), post.events(), _not_taken(post)) == ("replied", ["reply"], [])


def test_what_was_not_acted_on_is_and_only_once(post: Post, mistake: _Mistake) -> None:
    post.add_mailbox()
    [row] = post.sent()
    mistake.in_acting()
    post.put(post.bounce(row))
    post.poll()
    assert (post.status(row), len(_not_taken(post))) == ("sent", 1)
    mistake.mended()
    assert [one["state"] for one in post.project.json("inbox", "retry", "--all")] == ["taken"]
    assert (post.status(row), len(post.all(event_log))) == ("bounced", 1)
    assert post.project.json("inbox", "retry", "--all") == []
    [message] = post.all(inbox_messages)
    again = _refused(post, 4, "inbox", "retry", str(message["id"]))
    assert "was understood and acted on" in again


def test_a_mistake_that_is_still_there_leaves_the_message_as_it_is(
    sqlite_post: Post, mistake: _Mistake
) -> None:
    post = sqlite_post
    post.add_mailbox()
    first, second = post.sent(2)
    mistake.in_acting()
    post.put(post.reply(first), post.reply(second))
    post.poll()
    before = post.all(inbox_messages)
    told = _refused(post, 4, "inbox", "retry", "--all")
    assert "ZeroDivisionError" in told
    assert (post.all(inbox_messages), post.events()) == (before, [])


def test_private_mail_that_was_kept_by_mistake_is_deleted(sqlite_post: Post, mistake: _Mistake) -> None:
    post = sqlite_post
    post.add_mailbox()
    mistake.in_understanding(b"Lunch")
    post.put(mail("Lunch at noon?"))
    post.poll()
    assert post.traces() == 1
    mistake.mended()
    assert [one["state"] for one in post.project.json("inbox", "retry", "--all")] == ["not ours"]
    assert post.traces() == 0


def test_a_copy_that_was_taken_meanwhile_is_not_taken_again(sqlite_post: Post, mistake: _Mistake) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    message = post.reply(row)
    mistake.in_understanding(b"Yes")
    post.put(message)
    post.poll()
    mistake.mended()
    post.put(message)
    post.poll()
    assert [one["state"] for one in post.project.json("inbox", "retry", "--all")] == ["copy"]
    assert (post.stored(), post.events()) == ([("reply", row)], ["reply"])


def test_what_is_not_there_is_told(sqlite_post: Post) -> None:
    post = sqlite_post
    _refused(post, 3, "inbox", "retry", "7")
    _refused(post, 2, "inbox", "retry")
    _refused(post, 2, "inbox", "retry", "7", "--all")
