"""Mailboxes of a real Dovecot are read: what is ours is taken, once, and nothing there is changed."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from coldsend import clock
from coldsend.composing.tokens import Kind
from coldsend.database import administration
from coldsend.database.tables import contacts, inbox_messages, mailboxes, suppressions, unmatched_events
from coldsend.domain.inbox import MessageKind
from coldsend.inbox.polling import BESIDES
from tests.inbox.post import Post, mail

pytestmark = pytest.mark.servers


def test_what_comes_back_reaches_its_row(post: Post) -> None:
    post.add_mailbox()
    bounced, complained, away, answered = rows = post.sent(4)
    post.put(post.bounce(bounced), post.complaint(complained), post.out_of_office(away), post.reply(answered))
    polled = post.poll()
    assert polled.state == "read"
    assert polled.kinds == Counter(dict.fromkeys(list(MessageKind)[:4], 1))
    assert [post.status(row) for row in rows] == ["bounced", "complained", "sent", "replied"]
    assert post.stored() == list(zip(["bounce", "complaint", "auto_reply", "reply"], rows, strict=True))
    assert {(row["value"], row["reason"]) for row in post.all(suppressions)} == {
        (post.email(bounced), "hard_bounce"),
        (post.email(complained), "complaint"),
    }


def test_a_reply_is_stored_with_its_new_text_and_as_it_came(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    message = post.reply(
        row,
        "Yes, please.\r\n\r\nOn Mon, 1 Mar 2027 at 09:00, Anna <anna@sender.example> wrote:\r\n> Hello Bob",
    )
    post.put(message)
    post.poll()
    [stored] = post.all(inbox_messages)
    assert stored["text"].strip() == "Yes, please."
    assert stored["raw"] == message
    assert (stored["from_email"], stored["subject"]) == (post.email(row), "Re: Hello")


def test_nothing_in_the_mailbox_is_changed(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    post.put(post.reply(row), mail("See you at noon."))
    post.poll()
    with post.dovecot.client(post.user_name) as client:
        assert client.select("INBOX", readonly=True)[1] == [b"2"]
        # Still recent: even opening the folder for writing would have taken that away.
        assert client.response("RECENT")[1] == [b"2"]
        assert client.search(None, "SEEN")[1] == [b""]


def test_what_is_not_about_mail_of_ours_leaves_no_trace(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    post.sent()
    post.put(
        mail("See you at noon."),
        mail("Agreed.", **{"Subject": "Re: Lunch", "In-Reply-To": "<lunch@elsewhere.example>"}),
        mail("I am away.", **{"Auto-Submitted": "auto-replied", "Subject": "Out of office"}),
    )
    polled = post.poll()
    assert (polled.read, polled.kinds) == (3, Counter())
    assert post.traces() == 0
    assert post.poll().read == 0  # and is not looked at again


def test_a_second_look_finds_only_what_is_new(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    first, second = post.sent(2)
    post.put(post.reply(first))
    assert post.poll().read == 1
    assert post.poll().read == 0
    post.put(post.reply(second))
    assert post.poll().read == 1
    assert post.stored() == [("reply", first), ("reply", second)]


def test_a_bounce_is_matched_by_its_recipient_where_no_token_came_back(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    post.put(post.bounce(row, original=False))
    post.poll()
    assert post.status(row) == "bounced"


def test_a_bounce_is_matched_by_the_address_it_came_to(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    other, row = post.sent(2)
    # It names an address that got another message of ours: the token it came to counts.
    message = post.bounce(other, original=False).replace(
        b"To: anna@", b"X-Original-To: x@y.example\r\nTo: anna@", 1
    )
    post.put(message.replace(b"anna@sender.example", post.address(row).encode(), 1))
    post.poll()
    assert (post.status(other), post.status(row)) == ("sent", "bounced")


def test_a_bounce_that_matches_nobody_is_kept_to_be_decided_about(post: Post) -> None:
    post.add_mailbox()
    [row] = post.sent()
    message = post.bounce(row, original=False).replace(post.email(row).encode(), b"nobody@gone.example")
    post.put(message)
    post.poll()
    assert post.stored() == [("bounce", None)]
    assert [found["details"]["recipient"] for found in post.all(unmatched_events)] == ["nobody@gone.example"]


def test_a_bounce_of_somebody_elses_message_is_passed_over(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    message = post.bounce(row).replace(post.email(row).encode(), b"nobody@gone.example")
    post.put(message.replace(post.message_id(row).encode(), b"<private@elsewhere.example>"))
    post.poll()
    assert post.traces() == 0


def test_a_complaint_counts_whoever_it_is_about(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    post.put(post.complaint(row, "stranger@example.org"))
    post.poll()
    assert [entry["value"] for entry in post.all(suppressions)] == ["stranger@example.org"]


def test_mail_to_the_unsubscribe_address_unsubscribes(post: Post) -> None:
    post.add_mailbox()
    [row] = post.sent()
    post.put(mail("", From="x@elsewhere.example", To=post.address(row, Kind.UNSUBSCRIBE)))
    post.poll()
    assert post.status(row) == "unsubscribed"
    assert [entry["value"] for entry in post.all(suppressions)] == [post.email(row)]


def test_an_out_of_office_postpones_and_stops_nothing(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    back = (clock.now() + timedelta(days=9)).date()
    post.put(post.out_of_office(row, Subject=f"Out of office until {back:%d %B %Y}"))
    post.poll()
    assert post.status(row) == "sent"
    contact = post.all(contacts)[0]
    assert contact["away_until"] is not None
    assert abs(contact["away_until"].date() - back) <= timedelta(days=1)


def test_ones_own_part_of_a_conversation_is_no_reply(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    post.put(post.reply(row, From="Anna <Anna@Sender.example>", To=post.email(row)))
    post.poll()
    assert post.status(row) == "sent"
    assert post.traces() == 0


def test_a_new_mailbox_is_read_from_two_weeks_ago(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    old, young = post.sent(2)
    post.put(post.reply(old), at=clock.now() - timedelta(days=20))
    post.put(post.reply(young), at=clock.now() - timedelta(days=10))
    assert post.poll().read == 1
    assert post.stored() == [("reply", young)]


def test_a_folder_without_anything_young_is_read_from_now_on(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    old, young = post.sent(2)
    post.put(post.reply(old), at=clock.now() - timedelta(days=20))
    assert post.poll().read == 0
    post.put(post.reply(young))
    post.poll()
    assert post.stored() == [("reply", young)]


def test_a_folder_made_anew_brings_nothing_twice_and_loses_nothing(post: Post) -> None:
    post.add_mailbox("replies", "--folder", "Отзывы & Bounces")
    folder = '"&BB4EQgQ3BEsEMgRL- &- Bounces"'
    first, second, third = post.sent(3)
    replies = [post.reply(first), post.reply(second)]
    with post.dovecot.client(post.user_name) as client:
        client.create(folder)
    post.put(*replies, post.bounce(third), folder=folder)
    post.poll()
    before = post.traces()
    [was] = post.all(mailboxes)
    with post.dovecot.client(post.user_name) as client:
        client.delete(folder)
        client.create(folder)
    # Moved there by another program, which leaves its mark in each.
    moved = [b"X-Moved: yes\r\n" + message for message in replies]
    post.put(*moved, post.out_of_office(third), folder=folder)
    polled = post.poll()
    [now] = post.all(mailboxes)
    assert now["uid_validity"] != was["uid_validity"]
    assert (polled.repeated, polled.kinds) == (2, Counter({MessageKind.AUTO_REPLY: 1}))
    assert post.traces() == before + 1


def test_a_copy_in_another_mailbox_is_the_same_message(post: Post) -> None:
    post.add_mailbox()
    post.add_mailbox("others", "--folder", "Others")
    [row] = post.sent()
    reply = post.reply(row)
    with post.dovecot.client(post.user_name) as client:
        client.create("Others")
    post.put(reply)
    post.put(b"Delivered-To: others@sender.example\r\n" + reply, folder="Others")
    polled = post.poller().poll([mailbox["id"] for mailbox in post.all(mailboxes)])
    assert sum(one.repeated for one in polled) == 1
    assert post.stored() == [("reply", row)]
    assert post.events() == ["reply"]


def test_a_long_message_is_cut_off(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    message = post.reply(row, "Yes.\r\n" + "> quoted\r\n" * 100_000)
    post.put(message, post.reply(row, "And more."))
    assert post.poll().read == 2
    long, short = post.all(inbox_messages)
    assert long["raw"] == message[: 256 * 1024]
    assert long["details"]["size"] == len(message)
    assert short["details"] is None


def test_a_mailbox_that_is_removed_meanwhile_does_not_keep_others_from_being_read(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    post.put(post.reply(row))
    [mailbox] = post.all(mailboxes)
    polled = post.poller().poll([mailbox["id"] + 1, mailbox["id"]])
    assert [(one.state, one.read) for one in polled] == [("removed", 0), ("read", 1)]
    assert post.stored() == [("reply", row)]


def test_no_more_of_a_message_is_read_than_the_database_takes(
    sqlite_post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = sqlite_post
    post.add_mailbox()
    [row] = post.sent()
    message = post.reply(row, "Yes.\r\n" + "> quoted\r\n" * 50_000)
    post.put(message)
    monkeypatch.setattr(administration, "largest_statement", lambda _connection: 256 * 1024 + BESIDES)
    assert post.poll().read == 1
    [stored] = post.all(inbox_messages)
    assert stored["raw"] == message[: 64 * 1024]


def test_many_messages_are_read_in_their_order(sqlite_post: Post) -> None:
    post = sqlite_post
    post.add_mailbox()
    rows = post.sent(30)
    junk = [mail("See you at noon.") for _ in range(150)]
    for start, row in enumerate(rows):
        junk.insert(start * 6, post.reply(row))
    post.put(*junk)
    assert post.poll().read == 180
    assert post.stored() == [("reply", row) for row in rows]
