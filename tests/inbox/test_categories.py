"""What a reply wants is told when it is stored, and acted on where it asks for no more mail."""

from __future__ import annotations

import pytest

from coldsend.database.tables import inbox_messages, suppressions, task_contacts
from tests.inbox.post import Post

pytestmark = pytest.mark.servers


def test_replies_get_their_categories_and_a_request_to_unsubscribe_is_granted(post: Post) -> None:
    post.add_mailbox()
    keen, leaving, away = post.sent(3)
    post.put(
        post.reply(keen, "Sounds great, let's talk on Monday."),
        post.reply(leaving, "Please remove me from your list."),
        post.out_of_office(away),
    )
    assert post.poll().read == 3
    wanted = {row["task_contact_id"]: row["category"] for row in post.all(inbox_messages)}
    assert wanted == {keen: "interested", leaving: "unsubscribe_request", away: None}
    rows = {row["id"]: row for row in post.all(task_contacts)}
    assert [rows[row]["reply_category"] for row in (keen, leaving, away)] == [
        "interested",
        "unsubscribe_request",
        None,
    ]
    assert [rows[row]["status"] for row in (keen, leaving)] == ["replied", "unsubscribed"]
    [entry] = post.all(suppressions)
    assert (entry["value"], entry["reason"]) == (post.email(leaving), "unsubscribe")


def test_the_same_reply_again_changes_nothing_that_a_person_has_said(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    message = post.reply(row, "No thanks.")
    post.put(message)
    post.poll()
    [stored] = post.all(inbox_messages)
    post.project.run("inbox", "label", str(stored["id"]), "question")
    post.put(message)
    post.poll()
    [still] = post.all(inbox_messages)
    assert still["category"] == "question"
    assert post.all(task_contacts)[0]["reply_category"] == "question"
