"""Complaints: somebody called a message of ours spam."""

from __future__ import annotations

import pytest

from coldsend.domain.inbox import MessageKind
from tests.inbox.messages import ORIGINAL, classified, message, only


def arf(fields: str, original: str = ORIGINAL) -> bytes:
    body = (
        f"--b\n\nThis is an abuse report.\n\n--b\nContent-Type: message/feedback-report\n\n{fields}\n\n"
        f"--b\nContent-Type: message/rfc822\n\n{original}\n--b--\n"
    )
    kind = 'multipart/report; report-type=feedback-report; boundary="b"'
    return message(body, "fbl@provider.test", "Abuse report", kind)


REPORT = "Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1"


def test_the_report_says_who_complains_and_about_which_message() -> None:
    found = classified(arf(f"{REPORT}\nOriginal-Rcpt-To: <ben@example.org>"))
    assert found.kind is MessageKind.COMPLAINT
    assert [(each.address, each.hard, each.reason) for each in found.recipients] == [
        ("ben@example.org", None, "abuse")
    ]
    assert found.message_ids == ("<row-17@sender.test>",)


def test_else_the_message_says_for_whom_it_was() -> None:
    assert only(arf(REPORT)).address == "anna@example.org"


@pytest.mark.parametrize("hidden", ["redacted@provider.test", "undisclosed@x.invalid"])
def test_an_address_that_is_made_unknown_is_none(hidden: str) -> None:
    found = classified(arf(REPORT, ORIGINAL.replace("anna@example.org", hidden)))
    assert (found.kind, found.recipients) == (MessageKind.COMPLAINT, ())
    assert found.message_ids == ("<row-17@sender.test>",)


def test_a_report_on_authentication_says_so_by_its_reason() -> None:
    assert only(arf(REPORT.replace("abuse", "auth-failure"))).reason == "auth-failure"


def test_a_message_taken_out_of_the_spam_folder_is_no_complaint() -> None:
    assert classified(arf(REPORT.replace("abuse", "not-spam"))).kind is not MessageKind.COMPLAINT


def test_the_message_alone_with_its_recipient_is_a_complaint_of_hotmails() -> None:
    original = f"X-HmXmrOriginalRecipient: ben@example.org\n{ORIGINAL}"
    body = f"--b\nContent-Type: message/rfc822\n\n{original}\n--b--\n"
    raw = message(body, "staff@hotmail.test", "complaint about message", 'multipart/mixed; boundary="b"')
    assert only(raw).address == "ben@example.org"


def test_unsubscribing_by_apple_mail_is_the_writers_wish() -> None:
    raw = message("unsubscribe", X_Apple_Unsubscribe="true", Auto_Submitted="auto-replied")
    assert (only(raw).address, only(raw).reason) == ("anna@example.org", "opt-out")


def test_an_answer_with_a_message_attached_is_none() -> None:
    body = f"--b\n\nlook\n\n--b\nContent-Type: message/rfc822\n\n{ORIGINAL}\n--b--\n"
    assert classified(message(body, kind='multipart/mixed; boundary="b"')).kind is MessageKind.REPLY
