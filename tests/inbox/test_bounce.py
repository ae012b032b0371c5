"""Bounces: what is one, who failed, and whether the address is no good."""

from __future__ import annotations

import pytest

from coldsend.domain.inbox import MessageKind
from coldsend.inbox.classified import Failed
from tests.inbox.messages import ORIGINAL, bounce, classified, message, only, report

FAILED = (
    "Final-Recipient: rfc822; anna@example.org\nAction: failed\nStatus: 5.1.1\n"
    "Diagnostic-Code: smtp; 550 5.1.1 <anna@example.org>: no such user"
)


def test_a_report_tells_recipient_status_and_words() -> None:
    found = classified(report(FAILED))
    assert found.kind is MessageKind.BOUNCE
    assert found.recipients == (
        Failed(
            "anna@example.org",
            "5.1.1",
            "failed",
            True,
            "unknown_recipient",
            "550 5.1.1 <anna@example.org>: no such user",
        ),
    )


def test_the_message_it_is_about_comes_first_of_the_ids() -> None:
    found = classified(report(FAILED, In_Reply_To="<other@sender.test>"))
    assert found.message_ids == ("<row-17@sender.test>", "<other@sender.test>")


def test_the_address_we_wrote_to_is_meant_not_the_one_it_was_passed_on_to() -> None:
    block = FAILED.replace("Action", "Original-Recipient: rfc822; info@example.org\nAction")
    assert only(report(block)).address == "info@example.org"


def test_each_recipient_of_a_report_is_judged_for_itself() -> None:
    full = FAILED.replace("anna", "ben").replace("5.1.1", "5.2.2").replace("no such user", "mailbox full")
    found = classified(report(FAILED, full)).recipients
    assert [(each.address, each.hard) for each in found] == [
        ("anna@example.org", True),
        ("ben@example.org", False),
    ]


def test_blocks_without_an_empty_line_between_them_are_two() -> None:
    second = FAILED.replace("anna", "ben")
    assert len(classified(report(f"{FAILED}\n{second}")).recipients) == 2


def test_a_delay_is_never_a_bounce() -> None:
    late = FAILED.replace("failed", "delayed").replace("5.1.1", "4.4.1")
    found = classified(report(late))
    assert found.kind is MessageKind.OTHER
    assert [(each.action, each.hard) for each in found.recipients] == [("delayed", False)]


def test_a_delay_that_one_of_the_recipients_does_not_share_is_a_bounce() -> None:
    late = FAILED.replace("anna", "ben").replace("failed", "delayed").replace("5.1.1", "4.4.1")
    assert classified(report(FAILED, late)).kind is MessageKind.BOUNCE


def test_a_warning_in_words_is_a_delay() -> None:
    words = (
        "This is a warning message only.\nYour message has not yet been delivered:\n\n  anna@example.org\n"
    )
    found = classified(bounce(words, subject="Warning: message delayed 24 hours"))
    assert found.kind is MessageKind.OTHER
    assert found.recipients[0].action == "delayed"


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_proof_of_arrival_is_no_bounce(action: str) -> None:
    block = f"Final-Recipient: rfc822; anna@example.org\nAction: {action}\nStatus: 2.0.0"
    found = classified(report(block))
    assert (found.kind, found.recipients[0].action) == (MessageKind.OTHER, action)
    assert found.recipients[0].hard is None


@pytest.mark.parametrize(
    ("status", "said", "hard"),
    [
        ("5.1.1", "550 5.1.1 user unknown", True),
        ("5.0.0", "550 no such user here", True),
        ("5.1.2", "Host or domain name not found", True),
        ("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound", True),
        ("5.0.0", "556 5.1.10 Recipient address has null MX", True),
        ("5.2.2", "552 5.2.2 mailbox full", False),
        ("5.2.1", "550 5.2.1 The email account that you tried to reach is disabled", False),
        ("5.7.1", "554 5.7.1 Client host blocked using zen.spamhaus.org", False),
        ("5.7.26", "550 5.7.26 This mail is unauthenticated", False),
        ("5.4.7", "delivery time expired", False),
        ("4.0.0", "450 user unknown, try again", False),
        ("4.0.0", "550 no such user here", False),
        ("4.4.1", "connection timed out", False),
        ("5.1.1", "550 5.1.1 Refused due to recipient preferences", False),
    ],
)
def test_hard_is_what_says_that_the_address_is_no_good(status: str, said: str, *, hard: bool) -> None:
    block = f"Final-Recipient: rfc822; anna@example.org\nAction: failed\nStatus: {status}\n"
    block += f"Diagnostic-Code: smtp; {said}"
    assert only(report(block)).hard is hard


@pytest.mark.parametrize(
    ("transcript", "hard"),
    [
        (">>> RCPT TO:<anna@example.org>\n<<< 550 User unknown", True),
        (">>> DATA\n<<< 550 User unknown", False),
        ("<anna@example.org>: host mx said: 550 User unknown (in reply to RCPT TO command)", True),
        ("<anna@example.org>: host mx said: 550 User unknown (in reply to end of DATA command)", False),
        (">>> DATA\n<<< 550 5.1.1 User unknown", True),
    ],
)
def test_user_unknown_is_proof_at_rcpt_or_by_its_code(transcript: str, *, hard: bool) -> None:
    words = f"could not be delivered\n\n<anna@example.org>\n{transcript}\n"
    assert classified(bounce(words)).recipients[0].hard is hard


FORMATS = {
    "qmail": (
        "Hi. This is the qmail-send program. I wasn't able to deliver your message.\n\n"
        "<anna@example.org>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 unknown user\n"
        "Giving up on 192.0.2.1.\n\n--- Below this line is a copy of the message.\n\n"
    ),
    "exim": (
        "A message that you sent could not be delivered to one or more of its recipients.\n\n"
        "  anna@example.org\n    SMTP error from remote mail server after RCPT TO:<anna@example.org>:\n"
        "    host mx.example.org [192.0.2.1]: 550 Unknown user\n\n"
        "------ This is a copy of the message, including all the headers. ------\n\n"
    ),
    "postfix": (
        "I'm sorry to have to inform you that your message could not be delivered.\n\n"
        "<anna@example.org>: host mx.example.org[192.0.2.1] said: 550 User unknown\n"
        "    (in reply to RCPT TO command)\n\n"
    ),
    "sendmail": (
        "   ----- The following addresses had permanent fatal errors -----\n<anna@example.org>\n"
        "    (reason: 550 5.1.1 User unknown)\n\n   ----- Transcript of session follows -----\n"
        "... while talking to mx.example.org.:\n>>> RCPT TO:<anna@example.org>\n"
        "<<< 550 5.1.1 User unknown\n\n"
    ),
    "exchange": (
        "Your message\n\n  To:      anna@example.org\n  Subject: Hello\n\n"
        "did not reach the following recipient(s):\n\nanna@example.org on Mon, 20 Apr 2026 08:00:00 -0000\n"
        "    The recipient name is not recognized\n"
        "\tMSEXCH:IMS:ORG:SITE:SERVER 0 (000C05A6) Unknown Recipient\n\n"
    ),
    "domino": (
        "Your message\n\n  Subject: Hello\n\nwas not delivered to:\n\n  anna@example.org\n\nbecause:\n\n"
        "  User anna (anna@example.org) not listed in Domino Directory\n\n"
    ),
    "yahoo": (
        "Sorry, we were unable to deliver your message to the following address.\n\n<anna@example.org>:\n"
        "Remote host said:\n550 5.1.1 unknown user\n [RCPT_TO]\n\n"
        "--- Below this line is a copy of the message.\n\n"
    ),
    "gateway": (
        "Your message:\n   From:    us@sender.test\n   Subject: Hello\nCould not be delivered because of\n\n"
        "550 5.1.1 User unknown\n\nThe following recipients were affected:\n    anna@example.org\n\n"
    ),
    "german": (
        "Ihre Nachricht konnte nicht zugestellt werden an:\n\n  anna@example.org\n\n"
        "Grund: 550 Das Postfach existiert nicht\n\n"
    ),
    "french": (
        "Votre message n'a pas pu être remis à anna@example.org\n\nMotif : 550 5.1.1 adresse inconnue\n\n"
    ),
    "labelled": (
        "Unable to deliver message to: <anna@example.org>\nDelivery failed for the following reason:\n"
        "mx.example.org responded with failure: 550 no such user\n\n"
    ),
    "sentence": (
        "There was an error delivering your mail to <anna@example.org>.\n\nRCPT TO: 550 no such user\n\n"
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_servers_that_send_no_report_are_understood(name: str) -> None:
    raw = bounce(FORMATS[name] + ORIGINAL)
    found = only(raw)
    assert (found.address, found.action, found.hard) == ("anna@example.org", "failed", True)
    assert classified(raw).message_ids[0] == "<row-17@sender.test>"


@pytest.mark.parametrize(
    "words",
    [
        "Your message could not be delivered to the following recipients:\n\nanna@example.org\n\n"
        "No such user\n",
        "Could not deliver it.\n\nFailed Recipient: anna@example.org\nReason: 550 no such user\n",
        "****** Message from Guard Mail Security ******\n\nSent: RCPT TO:<anna@example.org>\n"
        "Received: 550 5.1.1 no\n\nUnable to deliver message to <anna@example.org>\n",
    ],
    ids=["following", "failed", "gateway"],
)
def test_gateways_that_sign_with_an_address_of_their_own_are_told_by_how_they_begin(words: str) -> None:
    raw = message(words, "gateway@example.org", "Delivery failure notification")
    assert (only(raw).address, only(raw).hard) == ("anna@example.org", True)
    quoted = "I got this:\n" + "".join(f"> {line}\n" for line in words.split("\n"))
    raw = message(quoted, "Ben <ben@example.org>", "Delivery failure notification")
    assert classified(raw).kind is not MessageKind.BOUNCE


@pytest.mark.parametrize(
    "words",
    [
        "You sent mail to anna@example.org. That's not a valid user here.",
        "Intended recipient: anna@example.org\n\n"
        "This mail has been returned because the user does not exist.",
    ],
)
def test_few_words_of_a_machine_are_enough(words: str) -> None:
    assert (only(bounce(words, "")).address, only(bounce(words, "")).hard) == ("anna@example.org", True)


@pytest.mark.parametrize(("returned", "kind"), [(ORIGINAL, MessageKind.BOUNCE), ("", MessageKind.REPLY)])
def test_what_a_list_gives_back_it_did_not_distribute(returned: str, kind: MessageKind) -> None:
    words = f"You are no member of <list@example.org>.\n\nOriginal mail as follows:\n\n{returned}"
    headers = {"X_MLServer": "fml", "References": "<row-17@sender.test>"}
    found = classified(message(words, "list-admin@example.org", "Not a member", **headers))
    assert found.kind is kind
    assert [(each.address, each.hard) for each in found.recipients] == [("list@example.org", False)] * bool(
        returned
    )


def refusal(words: str, disposition: str) -> bytes:
    body = (
        f"--b\nContent-Type: text/plain\n\n{words}\n\n--b\n"
        "Content-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; anna@example.org\n"
        f"Original-Message-ID: <row-17@sender.test>\nDisposition: {disposition}\n\n--b--\n"
    )
    kind = 'multipart/report; report-type=disposition-notification; boundary="b"'
    return message(body, "Mail System <post@example.org>", "Rejected", kind, Auto_Submitted="auto-replied")


def test_a_receipt_by_which_a_filter_refuses_a_message_is_a_bounce() -> None:
    automatic = "automatic-action/MDN-sent-automatically; deleted"
    found = only(refusal("Your message was automatically rejected:\nQuota exceeded", automatic))
    assert (found.address, found.hard, found.reason) == ("anna@example.org", False, "mailbox_full")


@pytest.mark.parametrize(
    ("words", "disposition"),
    [
        ("Your message was deleted without being read.", "automatic-action/MDN-sent-automatically; deleted"),
        ("Your message was displayed.", "manual-action/MDN-sent-manually; displayed"),
    ],
)
def test_other_receipts_are_automatic_replies(words: str, disposition: str) -> None:
    assert classified(refusal(words, disposition)).kind is MessageKind.AUTO_REPLY


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            "anna@example.org\n    No such user\n\nAn attachment has the message, scanned for viruses.\n",
            "unknown_recipient",
        ),
        (
            "anna@example.org\n    over quota\n\nUndeliverable mail may also mean: no such user.\n",
            "mailbox_full",
        ),
        ("anna@example.org\nNo such user\n------=_NextPart_1\nspam\n", "unknown_recipient"),
    ],
)
def test_the_words_nearest_to_the_address_decide(words: str, reason: str) -> None:
    assert only(bounce(f"Delivery failed:\n\n{words}")).reason == reason


def test_addresses_below_the_mark_of_a_returned_message_are_not_meant() -> None:
    words = (
        "Unable to deliver:\n\n<anna@example.org>:\n550 5.1.1 no\n\n"
        "--- Below this line is a copy of the message.\n\n"
    )
    assert only(bounce(f"{words}<ben@example.org>:\nsome text\n")).address == "anna@example.org"


@pytest.mark.parametrize(
    ("subject", "words", "delayed"),
    [
        ("Warning: anna@example.org - user unknown", "anna@example.org - no such user here.", False),
        ("Not delivered", "Your message to anna@example.org has NOT been delivered.", False),
        (
            "Mail delivery warning",
            "Delivery to anna@example.org\nhas been postponed. We will try again.",
            True,
        ),
        (
            "Undelivered",
            "anna@example.org\nDelivery attempts will continue for 5 days, not delivered yet.",
            True,
        ),
    ],
)
def test_a_delay_says_that_it_goes_on(subject: str, words: str, *, delayed: bool) -> None:
    assert only(bounce(words, subject)).action == ("delayed" if delayed else "failed")


@pytest.mark.parametrize(
    ("said", "hard"),
    [
        (
            "554 error: This user doesn't have an example.org account (in reply to end of DATA command)",
            True,
        ),
        ("This user doesn't have an example.org account", False),
        ('unknown user: "anna"', True),
        ("550 unknown user anna", False),
        ("542 anna@example.org Rejected", True),
        ("550 anna@example.org Rejected", False),
    ],
)
def test_a_server_that_surely_knows_its_users_is_believed(said: str, *, hard: bool) -> None:
    words = f"Your message could not be delivered.\n\n<anna@example.org>: {said}\n"
    assert only(bounce(words)).hard is hard


def test_addresses_of_ours_and_of_the_machine_are_not_meant() -> None:
    words = (
        "Message from us@sender.test could not be delivered.\nFor help write to <postmaster@example.org>\n"
        "User unknown: ben@example.org\n"
    )
    assert only(bounce(words)).address == "ben@example.org"


def test_a_header_names_who_failed_where_words_do_not() -> None:
    raw = bounce("This group does not exist or takes no mail.", X_Failed_Recipients="list@example.org")
    assert only(raw).address == "list@example.org"


def test_the_returned_message_tells_whom_it_was_for_at_last() -> None:
    raw = bounce("Your message could not be delivered.\n\n--- Original message follows.\n\n" + ORIGINAL)
    assert only(raw).address == "anna@example.org"


def test_a_bounce_within_a_bounce_is_read() -> None:
    inner = report(FAILED).decode()
    body = f"--o\n\nYour mail was returned:\n\n--o\nContent-Type: message/rfc822\n\n{inner}\n--o--\n"
    raw = bounce(body, subject="Returned mail", Content_Type='multipart/mixed; boundary="o"')
    assert only(raw).address == "anna@example.org"


def test_a_page_of_html_is_read_too() -> None:
    page = "<p>Delivery has failed to:</p><p>anna@example.org</p><p>550 no such user</p>"
    assert only(bounce(page, Content_Type="text/html")).hard is True


def test_a_notification_of_amazon_is_read() -> None:
    inner = (
        '{"notificationType":"Bounce","bounce":{"bounceType":"Permanent","bouncedRecipients":[{"emailAddress":'
        '"anna@example.org","action":"failed","status":"5.1.1",'
        '"diagnosticCode":"smtp; 550 5.1.1 user unknown"}]},'
        '"mail":{"messageId":"0101-x"}}'
    )
    found = classified(message(inner, "no-reply@sns.test", "AWS Notification Message"))
    assert (found.kind, found.recipients[0].hard) == (MessageKind.BOUNCE, True)
    assert found.message_ids[0] == "<0101-x@email.amazonses.com>"


@pytest.mark.parametrize(
    "raw",
    [
        message(
            "I got this:\n> 550 5.1.1 user unknown\n> could not be delivered", subject="Re: Undelivered mail"
        ),
        message(
            "See below.\n\n----- Forwarded message -----\nMail delivery failed", subject="Fwd: failure notice"
        ),
        message(
            "Your parcel could not be delivered. Book a new date.", "no-reply@parcel.test", "Delivery failed"
        ),
        message("The message I sent you was returned, is your mailbox full?", subject="Mail problem"),
        message("anna@example.org is my new address. The old one was disabled.", subject="New address"),
        message("We blocked 3 messages for you.", "postmaster@example.org", "Your daily digest"),
        message(
            "My mail could not be delivered to the following recipients: anna@example.org. Can you help?",
            subject="Delivery failure",
        ),
        message(
            "Hello,\nsee:\nCould not be delivered to the following recipients:\n\nanna@example.org\n",
            subject="Delivery failure",
        ),
    ],
    ids=["answer", "forward", "parcel", "person", "address", "digest", "sentence", "pasted"],
)
def test_what_only_speaks_of_mail_is_no_bounce(raw: bytes) -> None:
    assert classified(raw).kind is not MessageKind.BOUNCE


def test_a_bounce_that_somebody_attaches_is_theirs() -> None:
    inner = report(FAILED).decode()
    body = f"--o\n\nWhat is this?\n\n--o\nContent-Type: message/rfc822\n\n{inner}\n--o--\n"
    raw = message(body, subject="Fwd: bounce", Content_Type='multipart/mixed; boundary="o"')
    assert classified(raw).kind is not MessageKind.BOUNCE
