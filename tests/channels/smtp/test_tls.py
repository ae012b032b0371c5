"""TLS is never given up: what cannot be encrypted and verified as the service asks is not spoken to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coldsend.channels.smtp import SmtpChannel
from coldsend.domain.answers import Outcome, Phase
from coldsend.domain.replies import judge
from coldsend.errors import InvalidInput
from tests.channels.messages import message
from tests.channels.smtp.sending import PATIENT, Sent, impatient, send, service
from tests.servers.certificates import Authority
from tests.servers.smtp import RecordingServer

MODES = ("starttls", "implicit")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def over_tls(
    mode: str,
    certificate: tuple[Path, Path],
    ca_file: Path | str,
    *,
    host: str = "127.0.0.1",
    settings: Any = PATIENT,
    **rules: Any,
) -> tuple[Sent, int]:
    """Send one message; what came of it, and how many the server took."""
    with RecordingServer(tls=mode, certificate=certificate, **rules) as server:
        to = service(server.port, host=host, tls=mode)
        sent = send(to, message(1), settings=replace(settings, ca_file=str(ca_file)))
        messages = server.messages()
        assert all(one.encrypted for one in messages)
        return sent, len(messages)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_verified_server_gets_the_message_encrypted(mode: str, host: str, authority: Authority) -> None:
    sent, taken = over_tls(mode, authority.issue("localhost", "127.0.0.1"), authority.ca_file, host=host)
    assert (sent.answer.code, taken) == (250, 1)
    assert sent.said.count("C: EHLO") == (2 if mode == "starttls" else 1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (("mail.example.com",), {}, "mismatch"),
        (("127.0.0.1",), {"expired": True}, "expired"),
        (("127.0.0.1",), {"self_signed": True}, "self-signed"),
    ],
    ids=["another name", "expired", "self-signed"],
)
def test_a_certificate_that_proves_nothing_ends_the_connection(
    mode: str, names: tuple[str, ...], options: dict[str, bool], said: str, authority: Authority
) -> None:
    sent, taken = over_tls(mode, authority.issue(*names, **options), authority.ca_file)
    answer = sent.answer
    assert (answer.phase, answer.code, taken, sent.commits) == (Phase.TLS, 0, 0, [0])
    assert said in answer.text.replace("self signed", "self-signed")
    assert "C: MAIL" not in sent.said
    assert judge(answer).outcome == Outcome.TEMPORARY
    assert judge(answer).blames_sender


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_authority_ends_the_connection(mode: str, authority: Authority) -> None:
    sent, taken = over_tls(mode, authority.issue("127.0.0.1"), "")
    assert (sent.answer.phase, taken) == (Phase.TLS, 0)


def test_a_server_that_does_not_offer_starttls_is_not_spoken_to_in_clear(authority: Authority) -> None:
    sent, taken = over_tls("starttls", authority.issue("127.0.0.1"), authority.ca_file, offer_starttls=False)
    assert (sent.answer.phase, sent.answer.lost, taken) == (Phase.TLS, False, 0)
    assert "C: MAIL" not in sent.said


@pytest.mark.parametrize("reply", ["454 4.7.0 TLS not available", "502 5.5.1 no such command"])
def test_a_refused_starttls_is_never_passed_over(reply: str, authority: Authority) -> None:
    faults = [{"at": "starttls", "reply": reply}]
    sent, taken = over_tls("starttls", authority.issue("127.0.0.1"), authority.ca_file, faults=faults)
    assert (sent.answer.phase, sent.answer.code, taken) == (Phase.TLS, int(reply[:3]), 0)
    assert "C: MAIL" not in sent.said


def test_plain_text_injected_behind_the_answer_to_starttls_is_not_believed(authority: Authority) -> None:
    injected = {"at": "starttls", "do": "raw", "bytes": "220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n"}
    sent, taken = over_tls("starttls", authority.issue("127.0.0.1"), authority.ca_file, faults=[injected])
    assert (sent.answer.phase, taken) == (Phase.TLS, 0)
    assert "C: AUTH" not in sent.said


def test_half_a_line_injected_behind_the_answer_to_starttls_is_not_believed(authority: Authority) -> None:
    injected = {"at": "starttls", "do": "raw", "bytes": "220 go\r\n250-ev"}
    sent, taken = over_tls("starttls", authority.issue("127.0.0.1"), authority.ca_file, faults=[injected])
    assert (sent.answer.phase, taken) == (Phase.TLS, 0)
    assert "plain text" in sent.answer.text


def test_a_server_that_hangs_in_the_tls_handshake_is_given_up(authority: Authority) -> None:
    hanging = {"at": "starttls", "do": "raw", "bytes": "220 go\r\n", "then": "hang"}
    sent, _ = over_tls(
        "starttls",
        authority.issue("127.0.0.1"),
        authority.ca_file,
        faults=[hanging],
        settings=impatient("starttls", 2),  # greeting and EHLO are to come within it
    )
    assert sent.answer.phase == Phase.TLS


def test_a_plain_server_on_a_tls_port_is_a_tls_failure(authority: Authority) -> None:
    with RecordingServer() as server:
        settings = replace(PATIENT, ca_file=str(authority.ca_file))
        sent = send(service(server.port, tls="implicit"), message(1), settings=settings)
        assert server.messages() == []
    assert sent.answer.phase == Phase.TLS


def test_what_was_offered_before_tls_is_forgotten(authority: Authority) -> None:
    """AUTH is asked for only after the second EHLO; the first one anybody could have forged."""
    with RecordingServer(
        tls="starttls", certificate=authority.issue("127.0.0.1"), users={"anna": "pass-word-1"}
    ) as server:
        sent = send(
            service(server.port, tls="starttls"),
            message(1),
            credentials={"username": "anna", "password": "pass-word-1"},
            settings=replace(PATIENT, ca_file=str(authority.ca_file)),
        )
    assert sent.answer.code == 250
    lines = [line for who, line in sent.dialogue if who == "C"]
    assert [line.split()[0] for line in lines[:4]] == ["EHLO", "STARTTLS", "(encrypted", "EHLO"]
    assert lines[4] == "AUTH PLAIN ***"


def test_a_missing_ca_file_is_a_clear_error(tmp_path: Path) -> None:
    settings = replace(PATIENT, ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(InvalidInput, match=r"none\.pem"):
        SmtpChannel(service(465, tls="implicit"), {}, settings)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"port": "25"}, "port"),
        ({"tls": "ssl"}, "tls"),
        ({"helo_name": "a b"}, "EHLO"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], said: str) -> None:
    values: dict[str, Any] = {"host": "127.0.0.1", "port": 25, **wrong}
    with pytest.raises(InvalidInput, match=said):
        SmtpChannel(service(**values), {}, PATIENT)
