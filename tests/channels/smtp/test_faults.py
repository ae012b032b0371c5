"""Every way a server can fail, against real sockets: the phase is exact, and only a lost answer to the final
dot leaves the outcome open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from coldsend.domain.answers import Action, Outcome, Phase
from coldsend.domain.replies import judge
from tests.channels.messages import message
from tests.channels.smtp.sending import PATIENT, Sent, impatient, send, service
from tests.servers.ports import free_port
from tests.servers.smtp import RecordingServer

BIG = 5_000_000  # more than the kernel keeps in the buffers of a socket

POINTS = {
    "connect": Phase.GREETING,
    "ehlo": Phase.GREETING,
    "mail": Phase.MAIL,
    "rcpt": Phase.RCPT,
    "data": Phase.DATA,
    "final": Phase.FINAL,
}


@pytest.fixture(params=[True, False], ids=["pipelining", "one by one"])
def pipelining(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def faulty(fault: dict[str, Any], *, pipelining: bool = True, settings: Any = PATIENT, **values: Any) -> Sent:
    with RecordingServer(pipelining=pipelining, faults=[fault]) as server:
        return send(service(server.port), message(1, **values), settings=settings)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("deed", ["drop", "rst", "hang", "garbage", "endless line"])
def test_no_answer_is_lost_at_that_phase(point: str, deed: str, *, pipelining: bool) -> None:
    deeds = {
        "garbage": {"do": "raw", "bytes": "what?\r\n"},
        "endless line": {"do": "raw", "bytes": "250 " + "x" * 10_000},
    }
    fault = {"at": point, **deeds.get(deed, {"do": deed})}
    settings = impatient(point) if deed == "hang" else PATIENT
    sent = faulty(fault, pipelining=pipelining, settings=settings)
    # A reset right after the handshake of TCP may come before or after we count as connected.
    possible = {POINTS[point]} | ({Phase.CONNECT} if (point, deed) == ("connect", "rst") else set())
    assert sent.answer.phase in possible
    assert (sent.answer.lost, sent.answer.code) == (True, 0)
    assert sent.commits == [1 if point == "final" else 0]
    outcome = judge(sent.answer).outcome
    assert outcome == (Outcome.UNKNOWN if point == "final" else Outcome.TEMPORARY)


REFUSALS = ("450 4.2.0 not now", "554 5.7.1 never", "421 4.3.2 going down")


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("reply", REFUSALS)
def test_a_refusal_is_reported_with_code_and_phase(point: str, reply: str, *, pipelining: bool) -> None:
    sent = faulty({"at": point, "reply": reply}, pipelining=pipelining)
    code, enhanced, text = reply.split(" ", 2)
    answer = sent.answer
    assert (answer.phase, answer.code, answer.enhanced, answer.text) == (
        POINTS[point],
        int(code),
        enhanced,
        text,
    )
    assert not answer.lost
    assert sent.commits == [1 if point == "final" else 0]


def test_a_refusal_counts_though_the_connection_is_cut_right_behind_it() -> None:
    refusal = {"at": "connect", "do": "raw", "bytes": "554 5.7.1 go away\r\n", "then": "drop"}
    assert faulty(refusal).answer.code == 554
    closing = {"at": "final", "do": "raw", "bytes": "451 4.3.0 later\r\n", "then": "drop"}
    assert faulty(closing).answer.code == 451


def test_an_acceptance_counts_though_the_connection_is_cut_right_behind_it() -> None:
    answer = faulty({"at": "final", "do": "raw", "bytes": "250 2.0.0 taken\r\n", "then": "rst"}).answer
    # The reset may destroy the answer before it is read; then, and only then, the outcome is open.
    assert (answer.code == 250) != (answer.lost and answer.phase == Phase.FINAL)


@pytest.mark.parametrize("point", POINTS)
def test_a_dripping_server_is_given_up_at_the_deadline_of_the_answer(point: str) -> None:
    sent = faulty({"at": point, "do": "drip", "interval": 2}, settings=impatient(point))
    assert (sent.answer.phase, sent.answer.lost) == (POINTS[point], True)
    assert "in time" in sent.answer.text


def test_a_dripping_server_is_given_up_at_the_deadline_of_the_message() -> None:
    fault = {"at": "rcpt", "do": "drip", "interval": 5}
    sent = faulty(fault, settings=replace(PATIENT, session_deadline=0.7))
    # On a busy machine the time may be over before it has come so far as to meet the drips.
    assert sent.answer.phase in (Phase.CONNECT, Phase.GREETING, Phase.MAIL, Phase.RCPT)
    assert (sent.answer.lost, sent.commits) == (True, [0])


def test_a_multi_line_refusal_is_one_text() -> None:
    reply = "550-5.7.1 first line\r\n550-5.7.1 second line\r\n550 5.7.1 third"
    answer = faulty({"at": "rcpt", "reply": reply}).answer
    assert (answer.enhanced, answer.text) == ("5.7.1", "first line second line third")


def test_a_reply_that_changes_its_code_half_way_is_no_answer() -> None:
    answer = faulty({"at": "final", "reply": "250-well\r\n550 no", "recorded": True}).answer
    assert (answer.phase, answer.lost) == (Phase.FINAL, True)


@pytest.mark.parametrize("code", ["354 go on", "334 more"])
def test_a_final_answer_that_is_neither_yes_nor_no_is_unknown(code: str) -> None:
    answer = faulty({"at": "final", "reply": code, "recorded": True}).answer
    assert judge(answer).outcome == Outcome.UNKNOWN


def test_an_early_250_is_not_taken_for_the_answer_to_the_final_dot(*, pipelining: bool) -> None:
    early = {"at": "data", "do": "raw", "bytes": "354 go on\r\n250 2.0.0 taken already\r\n"}
    sent = faulty(early, pipelining=pipelining)
    assert (sent.answer.phase, sent.answer.lost, sent.commits) == (Phase.DATA, True, [0])


def test_an_early_half_of_a_reply_is_noticed_before_the_final_dot() -> None:
    sent = faulty({"at": "data", "do": "raw", "bytes": "354 go on\r\n250 2.0.0 tak"})
    assert (sent.answer.phase, sent.commits) == (Phase.DATA, [0])


def test_a_server_that_answers_ehlo_before_it_is_asked_is_left() -> None:
    sent = faulty({"at": "connect", "do": "raw", "bytes": "220 hello\r\n250 also hello\r\n"})
    assert (sent.answer.phase, sent.answer.lost) == (Phase.GREETING, True)


def test_a_reset_in_the_middle_of_a_large_body_is_a_retry() -> None:
    body = b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n"
    data = body + (b"y" * 70 + b"\r\n") * (BIG // 72)
    sent = faulty({"at": "body", "do": "rst"}, data=data)
    assert (sent.answer.phase, sent.answer.lost, sent.commits) == (Phase.DATA, True, [0])
    assert judge(sent.answer).action == Action.RETRY


def test_a_server_that_stops_reading_a_large_body_is_given_up() -> None:
    data = b"Subject: big\r\n\r\n" + (b"y" * 70 + b"\r\n") * (BIG // 72)
    sent = faulty({"at": "body", "do": "stop reading"}, data=data, settings=impatient("body"))
    assert (sent.answer.phase, sent.answer.lost, sent.commits) == (Phase.DATA, True, [0])


def test_a_refusal_in_the_middle_of_a_large_body_is_reported() -> None:
    data = b"Subject: big\r\n\r\n" + (b"y" * 70 + b"\r\n") * (BIG // 72)
    sent = faulty(
        {"at": "body", "do": "raw", "bytes": "552 5.3.4 too big\r\n", "then": "stop reading"}, data=data
    )
    assert (sent.answer.phase, sent.answer.code, sent.commits) == (Phase.DATA, 552, [0])


def test_nobody_listening_is_a_connect_failure() -> None:
    sent = send(service(free_port()), message(1))
    assert (sent.answer.phase, sent.answer.lost, sent.answer.code) == (Phase.CONNECT, True, 0)
    assert "connection refused" in sent.answer.text


def test_a_name_that_does_not_resolve_is_a_connect_failure() -> None:
    sent = send(service(25, host="no-such-host.invalid"), message(1))
    assert (sent.answer.phase, sent.answer.lost) == (Phase.CONNECT, True)


def test_an_old_server_that_only_knows_helo_is_spoken_to() -> None:
    sent = faulty({"at": "ehlo", "reply": "502 5.5.1 what?"})
    assert sent.answer.code == 250
    assert "C: HELO" in sent.said


def test_a_refused_recipient_with_an_accepted_data_ends_in_a_lone_dot() -> None:
    faults = [
        {"at": "rcpt", "reply": "550 5.1.1 no such user", "times": 1},
        {"at": "data", "reply": "354 go on", "times": 1},
    ]
    with RecordingServer(faults=faults) as server:
        sent = send(service(server.port), message(1), message(2))
        (received,) = server.messages()
        assert server.control()["connections"] == 1
    assert [answer.phase for answer in sent.answers] == [Phase.RCPT, Phase.FINAL]
    assert sent.commits == [0, 1]
    assert received.message_id == message(2).message_id


def test_a_refused_sender_with_an_accepted_recipient_never_ends_in_a_dot() -> None:
    faults = [
        {"at": "mail", "reply": "451 4.3.0 no", "times": 1},
        {"at": "rcpt", "reply": "250 fine", "times": 1},
        {"at": "data", "reply": "354 go on", "times": 1},
    ]
    with RecordingServer(faults=faults) as server:
        sent = send(service(server.port), message(1))
        assert server.messages() == []
    assert sent.answer.phase == Phase.MAIL
    assert "C: ." not in sent.said


def test_after_a_refusal_the_connection_is_used_again(*, pipelining: bool) -> None:
    faults = [{"at": "rcpt", "to": "bob", "reply": "550 5.1.1 no such user"}]
    with RecordingServer(faults=faults, pipelining=pipelining) as server:
        sent = send(service(server.port), message(1), message(2, rcpt_to="carol@example.org"))
        assert server.control()["connections"] == 1
    assert [answer.code for answer in sent.answers] == [550, 250]


def test_after_a_closing_the_next_message_gets_a_new_connection() -> None:
    with RecordingServer(faults=[{"at": "rcpt", "reply": "421 4.3.2 bye", "times": 1}]) as server:
        sent = send(service(server.port), message(1), message(2))
        assert server.control()["connections"] == 2
    assert [answer.code for answer in sent.answers] == [421, 250]


def test_a_connection_that_was_cut_while_idle_is_replaced_without_anybody_noticing() -> None:
    with RecordingServer() as server:

        def restart() -> None:
            server.stop()
            server.start()

        sent = send(service(server.port), message(1), message(2), between=restart)
        assert len(server.messages()) == 2
    assert [answer.code for answer in sent.answers] == [250, 250]
    assert sent.commits == [1, 1]


def test_a_connection_that_breaks_at_mail_when_used_again_is_replaced() -> None:
    with RecordingServer(faults=[{"at": "mail", "do": "drop", "skip": 1, "times": 1}]) as server:
        sent = send(service(server.port), message(1), message(2))
        assert len(server.messages()) == 2
    assert [answer.code for answer in sent.answers] == [250, 250]
    assert sent.commits == [1, 1]


def test_a_loss_after_the_final_dot_is_never_repeated_by_the_channel() -> None:
    with RecordingServer(faults=[{"at": "final", "do": "rst", "skip": 1, "times": 1}]) as server:
        sent = send(service(server.port), message(1), message(2))
        assert [one.message_id for one in server.messages()] == [message(1).message_id, message(2).message_id]
    assert judge(sent.answers[1]).outcome == Outcome.UNKNOWN
