"""Return path, Reply-To and unsubscribing by mail: each message has its own, where a service wants it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coldsend.composing.compose import composer
from coldsend.composing.tokens import Kind, Tokens
from coldsend.domain.message import Message
from coldsend.errors import InvalidInput
from tests.composing.samples import NOW, PLAIN_SITE, SECRET, SERVICE, made, parsed, recipient, template

TOKENS = Tokens(SECRET)


def composed(row: int = 7, **settings: str) -> Message:
    service = replace(SERVICE, settings=settings)
    return made(template(), service=service).compose(recipient(row_id=row), NOW)


def test_a_service_without_such_settings_has_one_address() -> None:
    message = composed()
    assert message.mail_from == "robin@sender.example"
    assert parsed(message)["reply-to"] is None
    assert "mailto" not in parsed(message)["list-unsubscribe"]


def test_bounces_of_each_message_have_an_address_of_their_own() -> None:
    addresses = {
        row: composed(row, bounce_address="bounce+{token}@sender.example").mail_from for row in (7, 8)
    }
    assert {TOKENS.read_address(address) for address in addresses.values()} == {
        (Kind.ADDRESS, 7),
        (Kind.ADDRESS, 8),
    }
    message = composed(bounce_address="bounce+{token}@bücher.example")
    assert message.mail_from.endswith("@xn--bcher-kva.example")
    assert parsed(message)["from"].addresses[0].addr_spec == "robin@sender.example"


def test_bounces_may_go_to_one_address_for_all() -> None:
    assert composed(bounce_address="bounces@bücher.example").mail_from == "bounces@xn--bcher-kva.example"


def test_answers_come_to_an_address_that_tells_what_they_answer() -> None:
    message = composed(reply_to="ann+{token}@sender.example")
    answers_to = parsed(message)["reply-to"].addresses[0].addr_spec
    assert TOKENS.read_address(answers_to) == (Kind.ADDRESS, 7)
    assert message.headers["Reply-To"] == f"<{answers_to}>"


def test_the_address_to_unsubscribe_by_mail_stands_behind_the_link_on_one_line() -> None:
    message = composed(unsubscribe_address="stop+{token}@sender.example", reply_to="a+{token}@sender.example")
    (line,) = [line for line in message.data.split(b"\r\n") if line.startswith(b"List-Unsubscribe:")]
    link, by_mail = line.decode().partition(": ")[2].split(", ")
    assert link == f"<https://mail.example.com/u/{TOKENS.issue(Kind.UNSUBSCRIBE, 7)}>"
    address = by_mail.removeprefix("<mailto:").removesuffix("?subject=unsubscribe>")
    assert TOKENS.read_address(address) == (Kind.UNSUBSCRIBE, 7)
    assert message.headers["List-Unsubscribe"] == f"{link}, {by_mail}"


def test_signs_that_mean_something_in_links_are_escaped() -> None:
    message = composed(unsubscribe_address="a?b&c=%d+{token}@sender.example")
    assert (
        f"<mailto:a%3Fb%26c%3D%25d+{TOKENS.issue_folded(Kind.UNSUBSCRIBE, 7)}@"
        in (message.headers["List-Unsubscribe"])
    )


def test_answers_to_an_address_beyond_ascii_need_smtputf8() -> None:
    assert composed(reply_to="jürgen@sender.example").smtputf8
    assert not composed(reply_to="jurgen@bücher.example").smtputf8


@pytest.mark.parametrize("setting", ["bounce_address", "reply_to", "unsubscribe_address"])
def test_a_setting_that_is_no_address_is_named_before_anything_is_sent(setting: str) -> None:
    service = replace(SERVICE, settings={setting: "no+{token} address"})
    with pytest.raises(InvalidInput, match=r"no\+\{token\} address"):
        composer(template(), [], service, PLAIN_SITE)


def test_links_of_a_service_lead_to_its_own_web_address() -> None:
    message = composed(web_url="https://link.sender.example")
    found = parsed(message)
    assert found["list-unsubscribe"].startswith("<https://link.sender.example/u/")
    assert b"mail.example.com" not in message.data
