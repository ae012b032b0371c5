"""What goes over the wire, held against an independent strict server, and what is refused before it does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.channels.smtp import wire
from coldsend.domain.answers import Action, Phase
from coldsend.domain.replies import judge
from tests.channels.messages import message
from tests.channels.smtp.sending import send, service
from tests.servers.smtp import RecordingServer, StrictServer

HEAD = b"Subject: x\r\n\r\n"


@pytest.fixture(scope="module")
def strict() -> StrictServer:
    with StrictServer(limit=100_000) as server:
        yield server  # type: ignore[misc]


@pytest.mark.parametrize(
    "body",
    [
        b"one line\r\n",
        b".\r\n",
        b"..\r\n",
        b".leading dot\r\n.\r\n...\r\n",
        b"no line end",
        b"\r\n.\r\n",
        b"",
        b"\r\n\r\n\r\n",
    ],
)
def test_a_strict_server_gets_exactly_the_message(body: bytes, strict: StrictServer) -> None:
    data = HEAD + body
    assert send(service(strict.port), message(1, data=data)).answer.code == 250
    ended = data if data.endswith(b"\r\n") else data + b"\r\n"
    assert strict.envelopes[-1].content == ended


def test_a_message_that_begins_with_a_dot_arrives_as_it_is(strict: StrictServer) -> None:
    data = b".x: 1\r\n" + HEAD
    assert send(service(strict.port), message(1, data=data)).answer.code == 250
    assert strict.envelopes[-1].content == data


def test_the_envelope_is_the_message_s_own(strict: StrictServer) -> None:
    send(service(strict.port), message(1, mail_from="v+1@mail.example.com", rcpt_to="b@xn--exmple-cua.test"))
    envelope = strict.envelopes[-1]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("v+1@mail.example.com", ["b@xn--exmple-cua.test"])
    assert envelope.mail_options == [f"SIZE={len(message(1).data)}"]


def test_eight_bit_data_is_announced(strict: StrictServer) -> None:
    data = HEAD + "Grüße\r\n".encode()
    assert send(service(strict.port), message(1, data=data)).answer.code == 250
    assert "BODY=8BITMIME" in strict.envelopes[-1].mail_options
    assert strict.envelopes[-1].content == data


def test_a_local_part_beyond_ascii_goes_by_smtputf8(strict: StrictServer) -> None:
    one = message(1, rcpt_to="jörg@example.org", smtputf8=True)
    assert send(service(strict.port), one).answer.code == 250
    assert "SMTPUTF8" in strict.envelopes[-1].mail_options
    assert strict.envelopes[-1].rcpt_tos == ["jörg@example.org"]


def test_without_smtputf8_such_a_recipient_fails_before_anything_is_sent() -> None:
    with RecordingServer(smtputf8=False) as server:
        sent = send(service(server.port), message(1, rcpt_to="jörg@example.org", smtputf8=True), message(2))
        assert [one.message_id for one in server.messages()] == [message(2).message_id]
        assert server.control()["connections"] == 1
    answer = sent.answers[0]
    assert (answer.phase, answer.enhanced, sent.commits) == (Phase.RCPT, "5.6.7", [0, 1])
    assert judge(answer).action == Action.FAIL


def test_without_8bitmime_eight_bit_data_is_not_sent() -> None:
    with RecordingServer(eight_bit=False) as server:
        sent = send(service(server.port), message(1, data=HEAD + "é\r\n".encode()))
        assert server.messages() == []
    assert (sent.answer.phase, sent.answer.enhanced, sent.commits) == (Phase.MAIL, "5.6.3", [0])


def test_a_message_over_the_server_s_size_fails_before_it_is_sent() -> None:
    with RecordingServer(size=1000) as server:
        fits, does_not = HEAD + b"y" * 984 + b"\r\n", HEAD + b"y" * 985 + b"\r\n"
        sent = send(service(server.port), message(1, data=does_not), message(2, data=fits))
        assert len(server.messages()) == 1
    assert (sent.answers[0].phase, sent.answers[0].code, sent.answers[0].enhanced) == (
        Phase.MAIL,
        552,
        "5.3.4",
    )
    assert judge(sent.answers[0]).action == Action.FAIL_TEMPLATE


@pytest.mark.parametrize("data", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\n\n", b"\r\r\n", b"\n.\n", b"x\r", b"\n"])
def test_a_bare_cr_or_lf_never_reaches_the_wire(data: bytes) -> None:
    with RecordingServer() as server:
        sent = send(service(server.port), message(1, data=HEAD + data))
        assert server.messages() == []
    assert (sent.answer.phase, sent.answer.code, sent.commits) == (Phase.DATA, 554, [0])
    assert judge(sent.answer).action == Action.PAUSE_CAMPAIGN
    assert "C: MAIL" not in sent.said


@pytest.mark.parametrize("bad", ["a@b>\r\nRCPT TO:<c@d", "a@b\nc", "a b@c", "<a@b>", "a@b\x00", "a\ud800@b"])
@pytest.mark.parametrize("field", ["mail_from", "rcpt_to"])
def test_an_address_that_could_end_its_line_is_never_sent(bad: str, field: str) -> None:
    with RecordingServer() as server:
        sent = send(service(server.port), message(1, **{field: bad}))
    assert sent.answer.code == 553
    assert sent.answer.phase == (Phase.MAIL if field == "mail_from" else Phase.RCPT)
    assert "C: MAIL" not in sent.said


def test_a_large_message_arrives_whole() -> None:
    lines = b"".join(b".%06d " % number + b"z" * 60 + b"\r\n" for number in range(30_000))
    with RecordingServer() as server:
        sent = send(service(server.port), message(1, data=HEAD + lines))
        (one,) = server.messages()
    assert (sent.answer.code, sent.commits, one.size) == (250, [1], len(HEAD + lines))


@given(
    st.lists(st.sampled_from([b".", b"..", b"a", b"\r\n", b"\r\n.", b"b.\r\n"]), max_size=30).map(b"".join)
)
def test_stuffing_is_undone_by_the_rule_of_the_standard(data: bytes) -> None:
    stuffed = wire.stuffed(data)
    assert b"\r\n.\r\n" not in b"\r\n" + stuffed
    lines = stuffed.split(b"\r\n")
    plain = b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)
    assert plain == (data if data.endswith(b"\r\n") or not data else data + b"\r\n")


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a"]), max_size=12).map(b"".join))
def test_line_ends_are_told_apart_exactly(data: bytes) -> None:
    rest = data.replace(b"\r\n", b"")
    assert wire.lines_end_in_crlf(data) == (b"\r" not in rest and b"\n" not in rest)


def test_extensions_are_read_in_any_spelling() -> None:
    offered = wire.extensions(
        b"host greets\npipelining\n8bitmime\nSIZE 1000\nAUTH=LOGIN\nAUTH PLAIN xoauth2\nSTARTTLS\nSMTPUTF8"
    )
    assert offered == wire.Extensions(
        pipelining=True,
        eight_bit=True,
        smtputf8=True,
        size=True,
        size_limit=1000,
        starttls=True,
        auth=frozenset({"LOGIN", "PLAIN", "XOAUTH2"}),
    )


@given(st.binary(max_size=200))
def test_any_answer_to_ehlo_is_read(text: bytes) -> None:
    assert wire.extensions(text).size_limit >= 0
