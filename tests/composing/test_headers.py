"""Header fields: what is written means what was given, and nothing given can become another field."""

from __future__ import annotations

import email
import email.policy
import re
from email.header import decode_header, make_header
from email.headerregistry import Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coldsend.composing import headers
from coldsend.composing.compose import CannotCompose
from tests.composing.samples import mailboxes

SCRIPTS = (
    "azAZ09 ,.;\"'\\()<>@:=?_[]äöüßéñçØłжЩѢαβΩ中文邮件退货日本語かな한국어"
    "עבריתالعربيةहिन्दीไทย😀👩\u200d👧\u200b\u00a0\u202e"
)
PRINTABLE = st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])
TEXT = st.text(st.sampled_from(SCRIPTS) | PRINTABLE, max_size=200)


def stripped(text: str) -> str:
    return text.strip()


@pytest.mark.costly
@given(TEXT.map(stripped))
@example("=?utf-8?q?=41?=")
@example("a" * 200)
@example("word " * 60 + "end")
@example("x  two  spaces" * 9)
@example("é" * 100)
def test_a_subject_reads_back_as_it_was_given(subject: str) -> None:
    written = "Subject: " + headers.unstructured(subject, 9)
    modern = email.message_from_string(written + "\r\n\r\n", policy=email.policy.default)
    assert str(modern["subject"]) == subject
    classic = email.message_from_string(written + "\r\n\r\n", policy=email.policy.compat32)
    assert str(make_header(decode_header(classic["subject"].replace("\r\n", "")))) == subject
    assert_lines_are_sound(written)


@pytest.mark.costly
@given(TEXT.map(stripped).filter(bool))
@example('"quoted" \\ name')
@example("O'Neil, Bob")
@example("=?utf-8?q?=41?=")
@example("a@b.example")
def test_a_display_name_reads_back_as_it_was_given(name: str) -> None:
    written = "From: " + headers.mailbox(name, "bob@acme.example", 6)
    found = email.message_from_string(written + "\r\n\r\n", policy=email.policy.default)["from"].addresses
    assert [one.addr_spec for one in found] == ["bob@acme.example"]
    assert mailboxes(written.partition(": ")[2]) == [(re.sub(r"\s{2,}", " ", name), "bob@acme.example")]
    assert_lines_are_sound(written)


@pytest.mark.costly
@given(TEXT.map(stripped).filter(bool))
def test_a_readable_mailbox_names_one_address(name: str) -> None:
    written = headers.readable_mailbox(name, "bob@acme.example")
    assert written.endswith(" <bob@acme.example>")
    quoted = written.removesuffix(" <bob@acme.example>")
    assert quoted == name or quoted == str(Address(display_name=name)).removesuffix(" <>") or '"' in quoted


def assert_lines_are_sound(written: str) -> None:
    assert "\n" not in written.replace("\r\n", "")
    lines = written.split("\r\n")
    assert all(line.strip() for line in lines)
    assert all(line.startswith(" ") for line in lines[1:])
    assert all(len(line) <= 78 for line in lines)
    assert written.isascii()
    for word in re.findall(r"=\?utf-8\?[bq]\?[^ ?]*\?=", written):
        assert len(word) <= 75


@given(st.text(st.sampled_from("ab\r\n\0\t\x0b\x0c\x1c\x85\u2028\u2029 :=?"), max_size=20))
def test_control_characters_are_refused(value: str) -> None:
    if re.search("[\r\n\0\t\x0b\x0c\x1c\x85\u2028\u2029]", value):
        with pytest.raises(CannotCompose) as caught:
            headers.checked(value, "the subject")
        assert caught.value.reason == "bad_header"
        assert "the subject" in caught.value.detail
    else:
        assert headers.checked(value, "the subject") == value


@pytest.mark.parametrize(
    "value",
    [
        "=?utf-8?q?a=0D=0ABcc=3A_x?=",
        "hello =?utf-8?b?YQ0KQmNjOiB4?= bye",
        "=?utf-8?q?nul=00?=",
        "=?iso-8859-1?Q?=0a?=",
    ],
)
def test_encoded_line_breaks_are_refused(value: str) -> None:
    with pytest.raises(CannotCompose, match="encoded line break"):
        headers.checked(value, "the subject")


@pytest.mark.parametrize(
    ("given_address", "sent", "utf8"),
    [
        ("bob@acme.example", "bob@acme.example", False),
        ("o'neil+tag@a-b.acme.example", "o'neil+tag@a-b.acme.example", False),
        ("info@bücher.example", "info@xn--bcher-kva.example", False),
        ("info@例え.example", "info@xn--r8jz45g.example", False),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example", True),
        ("用户@例え.example", "用户@xn--r8jz45g.example", True),
        ("bob@localhost", "bob@localhost", False),
        ("a?b@acme.example", "a?b@acme.example", False),
    ],
)
def test_addresses_become_what_envelopes_take(given_address: str, sent: str, utf8: bool) -> None:
    assert headers.address(given_address, "the address") == (sent, utf8)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "bob",
        "@acme.example",
        "bob@",
        "bob@acme..example",
        "bob@-acme.example",
        "bob@acme.example.",
        ".bob@acme.example",
        "b..b@acme.example",
        "b b@acme.example",
        "b\r\nBcc: x@y.example",
        "bob@acme.example\r\nBcc: x",
        "bob@acme.example\n",
        "bob@acme.example>",
        "<bob@acme.example",
        "a@b@acme.example",
        "bob@ac me.example",
        "bob@[127.0.0.1]",
        '"bob"@acme.example',
        "=?utf-8?q?bob?=@acme.example",
        "bob@=?utf-8?q?acme?=.example",
        "x" * 65 + "@acme.example",
        "é" * 33 + "@acme.example",
        "bob@" + "a" * 64 + ".example",
        "bob@" + "a.b" * 90 + ".example",
        "bo\u2028b@acme.example",
        "bo\u3000b@acme.example",
        "bob@xn--\u00fc.example",
        "bob@\u202eacme.example",
    ],
)
def test_what_is_no_address_is_refused(bad: str) -> None:
    with pytest.raises(CannotCompose) as caught:
        headers.address(bad, "the address")
    assert caught.value.reason == "bad_address"


@pytest.mark.costly
@given(st.text(st.sampled_from('ab.@\r\n <>,;:\\"=?_éя\u2028\0')) | st.text())
def test_an_accepted_address_is_one_address_and_nothing_else(text: str) -> None:
    try:
        sent, utf8 = headers.address(text, "the address")
    except CannotCompose:
        return
    written = "To: " + headers.mailbox(None, sent, 4)
    found = email.message_from_string(written + "\r\n\r\n", policy=email.policy.default)
    assert found.keys() == ["To"]
    assert [one.addr_spec for one in found["to"].addresses] == [sent]
    assert utf8 is not sent.isascii()
    assert sent.rpartition("@")[2].isascii()


ADDRESS_PIECES = [
    "a",
    "B9",
    ".",
    "-",
    "--",
    "@",
    "?",
    "=?",
    "_",
    "é",
    " ",
    "x" * 62,
    "xn--bcher-kva",
    "a.b@c.de",
]


@pytest.mark.costly
@given(st.lists(st.sampled_from(ADDRESS_PIECES), max_size=7).map("".join))
@example("a" * 64 + "@b.de")
@example("a@" + "b" * 60)
def test_a_short_address_is_judged_like_a_long_one(text: str) -> None:
    # The shortcut for common addresses takes nothing that the closer look would refuse.
    def judged() -> object:
        try:
            return headers.address(text, "the address")
        except CannotCompose as error:
            return error.detail

    with pytest.MonkeyPatch.context() as patch:
        quick = judged()
        patch.setattr(headers, "_SHORT", -1)
        assert quick == judged()


@pytest.mark.costly
@given(st.text(st.sampled_from("aé返😀 "), min_size=20, max_size=120).map(stripped))
def test_only_the_last_of_several_base64_words_has_padding(value: str) -> None:
    # GMime joins the base64 of neighbours, and stops reading at the first padding.
    words = headers.encoded_words(value, 9).split("\r\n ")
    base64 = [word for word in words if word.startswith("=?utf-8?b?")]
    assert [word for word in base64 if word.endswith("=?=") and word is not words[-1]] == []
    assert "".join(str(make_header(decode_header(word))) for word in words) == value
