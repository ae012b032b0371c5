"""Mail from or about people who were erased: that it came is known, and nothing of what it says."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.tables import contacts, event_log, inbox_messages, metadata, task_contacts
from tests.inbox.post import Post

pytestmark = pytest.mark.servers


def _erase(post: Post, row_id: int) -> str:
    """Erase the person of a row; their address."""
    email = post.email(row_id)
    post.project.run("contact", "erase", email, "--yes")
    return email


def _everything(post: Post) -> str:
    """The whole database as text."""
    found: list[str] = []
    with post.database.read() as connection:
        for table in metadata.tables.values():
            for row in connection.execute(sa.select(table)):
                found += [
                    value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                    for value in row
                ]
    return "\n".join(found).lower()


def _words(row: Any) -> list[Any]:
    return [row[name] for name in ("message_id", "from_email", "subject", "text", "raw", "details")]


def test_of_what_an_erased_person_writes_later_no_word_is_kept(post: Post) -> None:
    post.add_mailbox()
    first, second = post.sent(2)
    reply, bounce = post.reply(first, "call bobby"), post.bounce(second)
    emails = [_erase(post, row) for row in (first, second)]
    post.put(reply, bounce)
    post.poll()
    stored = post.all(inbox_messages)
    assert [(row["kind"], row["task_contact_id"]) for row in stored] == [("reply", first), ("bounce", second)]
    assert [_words(row) for row in stored] == [[None] * 6] * 2
    assert (post.status(first), post.status(second)) == ("replied", "bounced")
    text = _everything(post)
    assert not [word for word in ("bobby", *emails) if word in text]


def test_a_bounce_without_a_token_that_names_an_erased_address_keeps_no_word(post: Post) -> None:
    post.add_mailbox()
    [row] = post.sent()
    bounce = post.bounce(row, original=False)
    email = _erase(post, row)
    post.put(bounce)
    post.poll()
    assert [_words(row) for row in post.all(inbox_messages)] == [[None] * 6]
    assert email not in _everything(post)


def test_an_erased_address_in_a_message_about_somebody_else_is_not_kept(post: Post) -> None:
    """Ann's mail goes on to Bob, who was erased: his server says so, and he answers in her place."""
    post.add_mailbox()
    anns, bobs, eves = post.sent(3)
    messages = [
        post.reply(anns, "I am bobby", From=post.email(bobs)),
        post.bounce(eves).replace(post.email(eves).encode(), post.email(bobs).encode()),
    ]
    email = _erase(post, bobs)
    post.put(*messages)
    post.poll()
    assert [row["task_contact_id"] for row in post.all(inbox_messages)] == [anns, eves]
    assert [_words(row) for row in post.all(inbox_messages)] == [[None] * 6] * 2
    assert (post.status(anns), post.status(eves)) == ("replied", "bounced")
    [diagnostic] = [row["details"]["diagnostic"] for row in post.all(event_log) if row["type"] == "bounce"]
    assert "erased@erased.invalid" in diagnostic
    text = _everything(post)
    assert email not in text
    assert "bobby" not in text
    # Of Ann herself nothing is lost.
    assert post.row(contacts, post.row(task_contacts, anns)["contact_id"])["email"] == post.email(anns)
