"""What a classified message is made into."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coldsend.composing.tokens import Kind as TokenKind
from coldsend.composing.tokens import Tokens
from coldsend.domain.feedback import Feedback, Kind
from coldsend.domain.inbox import MessageKind
from coldsend.domain.mailbox import Mailbox
from coldsend.inbox.classified import Classified, Failed
from coldsend.inbox.happenings import digest_of, happenings, row_told

NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
TOKENS = Tokens(b"s" * 32)
MAILBOX = Mailbox(1, "replies", "imap.example.com", 993, "implicit", "anna", "INBOX", service_id=4)
GONE = Failed("bob@example.com", "5.1.1", "failed", True, "no_such_user", "550 5.1.1 no such user")
FULL = Failed("bob@example.net", "4.2.2", "failed", False, "mailbox_full", "452 full")


def _items(message: Classified, told: tuple[int, bool] | None = None) -> list[Feedback]:
    return happenings(message, told, MAILBOX, NOON, "d" * 64)


def _kinds(message: Classified, told: tuple[int, bool] | None = None) -> list[tuple[Kind, str]]:
    return [(item.kind, item.recipient) for item in _items(message, told)]


def test_a_report_about_several_recipients_tells_of_each() -> None:
    delayed = Failed("carol@example.com", "4.4.1", "delayed")
    relayed = Failed("dave@example.com", "2.1.5", "relayed")
    message = Classified(MessageKind.BOUNCE, (GONE, delayed, relayed))
    assert _kinds(message) == [(Kind.BOUNCE, "bob@example.com"), (Kind.DELAYED, "carol@example.com")]


def test_a_delay_alone_is_no_bounce() -> None:
    message = Classified(MessageKind.OTHER, (Failed("carol@example.com", "4.4.1", "delayed"),))
    assert _kinds(message) == [(Kind.DELAYED, "carol@example.com")]


def test_what_became_of_one_message_on_its_way_is_one_bounce_the_worst() -> None:
    message = Classified(MessageKind.BOUNCE, (FULL, GONE, FULL))
    [item] = _items(message, (7, False))
    assert (item.row_id, item.hard, item.recipient) == (7, True, "bob@example.com")


def test_a_report_on_authentication_is_nobodys_complaint() -> None:
    report = Failed("anna@example.org", reason="auth-failure")
    assert _kinds(Classified(MessageKind.COMPLAINT, (report,))) == []


def test_a_bounce_without_a_recipient_is_one_all_the_same() -> None:
    [item] = _items(Classified(MessageKind.BOUNCE, text="It could\nnot be  delivered"), (7, False))
    assert (item.kind, item.hard, item.diagnostic) == (Kind.BOUNCE, None, "It could not be delivered")


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        (MessageKind.REPLY, [(Kind.REPLY, "bob@example.com")]),
        (MessageKind.AUTO_REPLY, [(Kind.AUTO_REPLY, "bob@example.com")]),
        (MessageKind.OTHER, []),
    ],
)
def test_who_writes_is_a_hint_at_whom_it_is_from(kind: MessageKind, made: list[tuple[Kind, str]]) -> None:
    assert _kinds(Classified(kind, sender="bob@example.com")) == made


@pytest.mark.parametrize("kind", [MessageKind.REPLY, MessageKind.AUTO_REPLY, MessageKind.OTHER])
def test_whatever_comes_to_the_unsubscribe_address_unsubscribes(kind: MessageKind) -> None:
    [item] = _items(Classified(kind, sender="bob@example.com"), (7, True))
    assert (item.kind, item.row_id, item.campaign_only) == (Kind.UNSUBSCRIBE, 7, False)


def test_a_bounce_does_not_unsubscribe() -> None:
    assert _kinds(Classified(MessageKind.BOUNCE, (GONE,)), (7, True)) == [(Kind.BOUNCE, "bob@example.com")]


@pytest.mark.parametrize(
    ("claimed", "believed"),
    [
        (NOON - timedelta(days=2), NOON - timedelta(days=2)),
        (NOON - timedelta(days=20), NOON),
        (NOON + timedelta(minutes=1), NOON),
        (None, NOON),
    ],
)
def test_a_senders_clock_is_believed_within_reason(claimed: datetime | None, believed: datetime) -> None:
    [item] = _items(Classified(MessageKind.REPLY, sender="bob@example.com", date=claimed))
    assert item.at == believed


def test_the_address_it_came_to_counts_before_the_message_it_refers_to() -> None:
    to = f"anna+{TOKENS.issue_folded(TokenKind.ADDRESS, 5)}@sender.example"
    about = f"<{TOKENS.issue_folded(TokenKind.MESSAGE_ID, 6)}@sender.example>"
    ids = ("<x@elsewhere.example>", about)
    assert row_told(
        Classified(MessageKind.REPLY, message_ids=ids, addressed=("a@b.example", to)), TOKENS
    ) == (
        5,
        False,
    )
    assert row_told(Classified(MessageKind.REPLY, message_ids=ids), TOKENS) == (6, False)


def test_a_made_up_token_tells_nothing() -> None:
    forged = Tokens(b"x" * 32)
    to = f"anna+{forged.issue_folded(TokenKind.UNSUBSCRIBE, 5)}@sender.example"
    about = f"<{forged.issue_folded(TokenKind.MESSAGE_ID, 6)}@sender.example>"
    assert row_told(Classified(MessageKind.REPLY, message_ids=(about,), addressed=(to,)), TOKENS) is None


def test_copies_of_a_message_have_one_digest_and_others_another() -> None:
    message = Classified(MessageKind.REPLY, message_id="<1@x>", sender="bob@example.com", date=NOON)
    raw = b"Subject: x\r\n\r\nYes."
    same = digest_of(message, b"Received: by mx\r\n" + raw)
    assert digest_of(message, raw) == same
    assert digest_of(message, raw + b" No.") != same
    assert digest_of(Classified(MessageKind.REPLY, message_id="<2@x>"), raw) != same


def test_keys_differ_by_recipient_and_stay_the_same_otherwise() -> None:
    message = Classified(MessageKind.BOUNCE, (GONE, FULL))
    keys = [item.key for item in _items(message)]
    assert len(set(keys)) == 2
    assert [item.key for item in _items(Classified(MessageKind.BOUNCE, (FULL, GONE)))] == keys[::-1]
