"""DKIM signatures: two other implementations verify them, whatever the message, and see every change."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coldsend.channels.smtp import wire
from coldsend.composing import dkim
from coldsend.composing.compose import CannotCompose
from coldsend.composing.dkim import Identity, Signer
from coldsend.domain.dkim import Algorithm
from coldsend.domain.message import Message, Recipient
from coldsend.errors import InvalidInput
from tests.composing import keys
from tests.composing.samples import PLAIN_SITE, SERVICE, SITE, made, recipient, template
from tests.composing.verifiers import MailDkim, by_dkimpy

pytestmark = pytest.mark.costly

# Verifiers reject what was signed in the future, and they read the real clock.
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RSA, ED25519 = Algorithm.RSA, Algorithm.ED25519

LETTERS = st.sampled_from("abz AZ09 äöß Кир 中文 עבר 😀 .,;:=?_\"'<>()@-")
NAME = st.text(LETTERS, max_size=60)
LINE = st.text(
    st.sampled_from("ab .\t=-é中") | st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=120
)
LINES = st.lists(LINE, max_size=8).map("\n".join)

# Bodies of messages that others composed: anything between line ends, blanks in all places.
RAW_BODY = st.lists(
    st.text(st.sampled_from("ab.= \t"), max_size=12).map(lambda line: line.encode() + b"\r\n"), max_size=8
).map(b"".join)


@pytest.fixture(scope="module")
def perl() -> Iterator[MailDkim]:
    running = MailDkim()
    yield running
    running.close()


def composed(
    source: str = "<p>Hello {{ contact.nickname }}</p>", to: Recipient | None = None, **options: object
) -> Message:
    composer = made(template(source, **options), site=SITE)
    return composer.compose(to or recipient(nickname="Bob"), NOW)


def signed(message: Message, *algorithms: Algorithm) -> bytes:
    return keys.signer(*algorithms).sign(message.data, NOW)


def as_received(data: bytes) -> bytes:
    """What a server has of a message after the dialogue: dots taken off again, the last line ended."""
    return re.sub(rb"(?m)^\.", b"", wire.stuffed(data))


def headers_of(data: bytes) -> list[str]:
    """The fields of the header section, unfolded."""
    head = data.split(b"\r\n\r\n", 1)[0].decode()
    return head.replace("\r\n ", " ").split("\r\n")


def tags_of(data: bytes) -> dict[str, str]:
    """The tags of the first signature."""
    value = headers_of(data)[0].removeprefix("DKIM-Signature: ")
    pairs = (tag.split("=", 1) for tag in value.split(";"))
    return {name.strip(): "".join(value.split()) for name, value in pairs}


@pytest.mark.servers
def test_a_composed_message_verifies(perl: MailDkim) -> None:
    data = signed(composed())
    assert by_dkimpy(data, keys.record())
    assert perl.results(data, keys.record()) == "pass"


@pytest.mark.servers
@settings(max_examples=80, deadline=None)
@given(nickname=NAME, subject=NAME, html=LINES, text=LINES, from_name=NAME)
@example(nickname="", subject="", html="", text="", from_name="")
@example(nickname="  a  b ", subject=" x\u00a0 y", html=" \n\n  \n", text="..\n.\n", from_name="A  B")
@example(nickname="a" * 60, subject="w " * 30, html="x" * 2000, text="é" * 500 + " ", from_name="中" * 40)
def test_whatever_is_in_a_message_both_verifiers_take_its_signature_for_good(
    perl: MailDkim, nickname: str, subject: str, html: str, text: str, from_name: str
) -> None:
    service = replace(SERVICE, from_name=from_name)
    source = template(
        "<p>{{ contact.nickname | default('-') }}</p><pre>{{ contact.html | default('-') }}</pre>",
        "Re {{ contact.subject | default('-') }}",
        "{{ contact.text | default('-') }}\n\n\n",
    )
    to = recipient(nickname=nickname, fields={"subject": subject, "html": html, "text": text})
    try:
        data = made(source, service=service, site=PLAIN_SITE).compose(to, NOW).data
    except (CannotCompose, InvalidInput):
        return  # values that no message may have; not what this is about
    data = keys.signer().sign(data, NOW)
    assert by_dkimpy(data, keys.record())
    assert perl.results(data, keys.record()) == "pass"


@pytest.mark.servers
@settings(max_examples=40, deadline=None)
@given(
    body=RAW_BODY,
    tail=st.sampled_from([b"", b"a", b" ", b". \t", b"\r\n\r\n"]),
    subject=st.text(st.sampled_from("ab \t")),
)
@example(body=b"", tail=b"", subject="")
@example(body=b" \t\r\n\r\n \r\n", tail=b"", subject=" ")
@example(body=b"a\r\n \t\r\n\r\n", tail=b" ", subject="a\t b  ")
def test_bodies_that_are_not_canonical_are_signed_as_receivers_see_them(
    perl: MailDkim, body: bytes, tail: bytes, subject: str
) -> None:
    head = (
        f"From: a@sender.example\r\nSubject:{subject}x\r\n \t y\r\n"
        "TO:  b@x.example \r\nReferences: <a@x>\r\n\t<b@x>\r\n"
    ).encode()
    data = as_received(keys.signer().sign(head + b"\r\n" + body + tail, NOW))
    assert by_dkimpy(data, keys.record())
    assert perl.results(data, keys.record()) == "pass"


@settings(max_examples=300, deadline=None)
@given(body=RAW_BODY, tail=st.sampled_from([b"", b"a", b"  ", b"x \t"]))
def test_the_relaxed_form_of_a_body_is_what_the_rules_say_line_by_line(body: bytes, tail: bytes) -> None:
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in (body + tail).split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    assert dkim.relaxed_body(body + tail) == b"".join(line + b"\r\n" for line in lines)


def test_both_keys_sign_and_the_signature_that_all_can_verify_comes_first() -> None:
    data = signed(composed(), RSA, ED25519)
    assert re.findall(rb"a=(\w+)-sha256", data) == [b"rsa", b"ed25519"]
    assert by_dkimpy(data, keys.record(RSA), signature=0)
    assert by_dkimpy(data, keys.record(ED25519), signature=1)


def test_the_example_of_the_standard_for_ed25519_comes_out_to_the_letter() -> None:
    # RFC 8463, appendix A: its signature covers its own list of fields, so only the parts are ours.
    body = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
    head = (
        b"From: Joe SixPack <joe@football.example.com>\r\n"
        b"To: Suzie Q <suzie@shopping.example.net>\r\n"
        b"Subject: Is dinner ready?\r\n"
        b"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
        b"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
    )
    body_hash = base64.b64encode(sha256(dkim.relaxed_body(body)).digest())
    assert body_hash == b"2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
    names, lines = dkim.signed_fields(head)
    in_order = b"".join(reversed(lines.splitlines(keepends=True)))
    assert names == (b"message-id", b"date", b"subject", b"to", b"from")
    own = (
        b"dkim-signature:v=1; a=ed25519-sha256; c=relaxed/relaxed; d=football.example.com; "
        b"i=@football.example.com; q=dns/txt; s=brisbane; t=1528637909; h=from : to : subject : date : "
        b"message-id : from : subject : date; bh=" + body_hash + b"; b="
    )
    seed = base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(sha256(in_order + own).digest())
    assert base64.b64encode(signature) == (
        b"/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
    )


@pytest.mark.servers
@settings(max_examples=40, deadline=None)
@given(text=st.lists(st.sampled_from([".", "..", ". x", "a.b", "", ".é"]), max_size=12).map("\n".join))
def test_the_message_verifies_as_it_comes_out_of_the_dialogue(perl: MailDkim, text: str) -> None:
    data = signed(composed(text=f"{text}\n.\n{{{{ unsubscribe_url }}}}"))
    received = as_received(data)
    assert by_dkimpy(received, keys.record())
    assert perl.results(received, keys.record()) == "pass"


@pytest.mark.servers
def test_relays_may_fold_pad_and_add_what_they_add(perl: MailDkim) -> None:
    data = signed(composed())
    relayed = (
        b"Received: from a by b;\r\n Mon, 1 Jan 2026 00:00:00 +0000\r\nSender: list@x.example\r\n" + data
    )
    relayed = relayed.replace(b"Subject: ", b"subject:\t ").replace(b"=3D", b"=3D") + b"\r\n\r\n"
    assert by_dkimpy(relayed, keys.record())
    assert perl.results(relayed, keys.record()) == "pass"


@pytest.mark.servers
@pytest.mark.parametrize(
    "name",
    [
        "From",
        "To",
        "Reply-To",
        "Subject",
        "Date",
        "Message-ID",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "MIME-Version",
        "Content-Type",
    ],
)
def test_a_change_of_any_field_is_noticed(perl: MailDkim, name: str) -> None:
    service = replace(SERVICE, settings={"reply_to": "answers@sender.example"})
    message = made(template(), service=service).compose(recipient(nickname="Bob"), NOW)
    data = signed(message)
    assert f"\r\n{name}: ".encode() in data
    changed = data.replace(f"\r\n{name}: ".encode(), f"\r\n{name}: x".encode())
    for tampered in (changed, _without(data, name)):
        assert not by_dkimpy(tampered, keys.record())
        assert "pass" not in perl.results(tampered, keys.record())


def _without(data: bytes, name: str) -> bytes:
    return re.sub(rf"\r\n{name}: [^\r]*(\r\n [^\r]*)*".encode(), b"", data, count=1)


@pytest.mark.servers
@pytest.mark.parametrize("name", [name.decode() for name in dkim.SIGNED])
def test_a_field_that_is_added_is_noticed(perl: MailDkim, name: str) -> None:
    data = signed(composed())
    end = data.index(b"\r\n\r\n")
    # Above, where relays add; and below, where a reader that takes the last one would look.
    for tampered in (f"{name}: x\r\n".encode() + data, data[:end] + f"\r\n{name}: x".encode() + data[end:]):
        assert not by_dkimpy(tampered, keys.record())
        assert "pass" not in perl.results(tampered, keys.record())


@pytest.mark.servers
def test_a_change_of_the_body_is_noticed_and_so_is_what_is_appended(perl: MailDkim) -> None:
    data = signed(composed())
    for tampered in (data.replace(b"Hello", b"Hallo"), data + b"more\r\n"):
        assert not by_dkimpy(tampered, keys.record())
        assert "pass" not in perl.results(tampered, keys.record())


@pytest.mark.servers
def test_another_key_does_not_verify(perl: MailDkim) -> None:
    from coldsend.installation.dkim import generated

    other = f"v=DKIM1; k=rsa; p={generated(RSA, None).public_key}"
    data = signed(composed())
    assert not by_dkimpy(data, other)
    assert "pass" not in perl.results(data, other)


def test_the_signature_names_domain_selector_and_time_and_covers_the_whole_body() -> None:
    tags = tags_of(signed(composed()))
    assert (tags["v"], tags["a"], tags["c"]) == ("1", "rsa-sha256", "relaxed/relaxed")
    assert (tags["d"], tags["s"], tags["t"]) == ("sender.example", "cs1", str(int(NOW.timestamp())))
    assert {"l", "x"} & tags.keys() == set()


def test_both_fields_of_one_click_unsubscribing_are_signed_and_cannot_be_doubled() -> None:
    listed = tags_of(signed(composed()))["h"].split(":")
    assert listed.count("list-unsubscribe") == listed.count("list-unsubscribe-post") == 2
    assert listed.count("from") == listed.count("subject") == 2
    assert listed.count("cc") == listed.count("in-reply-to") == 1


def test_an_expiry_is_written_where_it_is_wanted() -> None:
    data = keys.signer(lifetime=timedelta(days=14)).sign(composed().data, NOW)
    assert int(tags_of(data)["x"]) - int(tags_of(data)["t"]) == 14 * 86_400


def test_lines_of_signatures_are_short_and_end_in_crlf() -> None:
    data = signed(composed(), RSA, ED25519)
    head = data[: data.index(b"From: ")]
    assert wire.lines_end_in_crlf(head)
    assert max(map(len, head.split(b"\r\n"))) <= 78
    assert [line for line in head.split(b"\r\n")[:-1] if not line.strip()] == []


def test_a_message_is_the_same_below_its_signature() -> None:
    message = composed()
    assert signed(message, RSA, ED25519).endswith(b"\r\n" + message.data)


def test_a_composer_with_a_signer_signs_each_message_with_its_date() -> None:
    composer = made(template(), signer=keys.signer())
    for hour in range(2):
        moment = NOW + timedelta(hours=hour)
        data = composer.compose(recipient(nickname="Bob"), moment).data
        assert by_dkimpy(data, keys.record())
        assert tags_of(data)["t"] == str(int(moment.timestamp()))


def test_addresses_beyond_ascii_are_signed_as_they_are(perl: MailDkim) -> None:
    to = recipient("jürgen@acme.example", nickname="Jürgen")
    message = composed(to=to)
    assert message.smtputf8
    assert by_dkimpy(signed(message), keys.record())


def test_what_is_no_key_is_refused_without_showing_it() -> None:
    secret = b"-----BEGIN PRIVATE KEY-----\nc2VzYW1l\n-----END PRIVATE KEY-----\n"
    with pytest.raises(InvalidInput, match=r"sender\.example/cs1 cannot be read") as refused:
        Signer([Identity("sender.example", "cs1", secret)])
    assert "c2VzYW1l" not in f"{refused.value} {refused.value.hint} {Identity('d', 's', secret)!r}"
    assert refused.value.__context__ is None
