"""Automatic replies, and until when somebody is away."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.inbox import MessageKind
from coldsend.inbox.auto_reply_away import LONGEST, away_until
from tests.inbox.messages import NOW, classified, message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Auto_Submitted", "auto-replied"),
        ("Auto_Submitted", "auto-generated; owner=x"),
        ("X_Autoreply", "yes"),
        ("X_Autorespond", "Hello"),
        ("Precedence", "auto_reply"),
        ("Content_Type", "multipart/report; report-type=disposition-notification"),
    ],
)
def test_headers_tell_a_machine(name: str, value: str) -> None:
    assert classified(message("I am away.", **{name: value})).kind is MessageKind.AUTO_REPLY


@pytest.mark.parametrize(
    ("name", "value"),
    [("Auto_Submitted", "no"), ("X_Auto_Response_Suppress", "All"), ("Precedence", "bulk")],
)
def test_headers_that_tell_nothing_do_not(name: str, value: str) -> None:
    assert classified(message("Yes, please call me.", **{name: value})).kind is MessageKind.REPLY


@pytest.mark.parametrize(
    "subject",
    [
        "Automatic reply: Hello",
        "Out of Office: Hello",
        "Abwesenheitsnotiz: Hello",
        "Automatische Antwort: Hello",
        "Réponse automatique : Hello",
        "Respuesta automática: Hello",
        "Risposta automatica: Hello",
        "Автоматический ответ: Hello",
        "自动回复: Hello",
        "תשובה אוטומטית: Hello",
        "AUTO: Smith, Anna is out of the office (returning 5 May)",
        "Anna Smith is on vacation until Monday",
        "[Automatyczna odpowiedź] Hello",
        "Urlaubsabwesenheit",
        "On annual leave",
        "Absent(e) du bureau : Hello",
        "Otomatik Cevap: Hello",
        "자동 회신: Hello",
        "=?utf-8?b?5LiN5Zyo6YCa55+l?=",
    ],
)
def test_subjects_tell_it_in_many_languages(subject: str) -> None:
    assert classified(message("x", subject=subject)).kind is MessageKind.AUTO_REPLY


@pytest.mark.parametrize(
    "text",
    [
        "This mailbox is protected by Guard.\nClick the link below to be let in.",
        "Please follow this link to have your address added to the list of approved senders.",
        "To make sure it arrives, reply to this message and confirm that you are a human.",
    ],
)
def test_a_machine_that_wants_a_proof_before_it_lets_mail_in_is_no_person(text: str) -> None:
    assert classified(message(text)).kind is MessageKind.AUTO_REPLY


@pytest.mark.parametrize(
    "text",
    ["Use this link to confirm that you are free on Monday.", "We are on the list of approved suppliers."],
)
def test_a_person_who_sends_a_link_is_one(text: str) -> None:
    assert classified(message(text)).kind is MessageKind.REPLY


@pytest.mark.parametrize("subject", ["Urlaub in Italien?", "Re: Anna is on vacation", "Autonomy"])
def test_subjects_that_speak_of_holidays_are_anybodys(subject: str) -> None:
    assert classified(message("Tell me more.", subject=subject)).kind is not MessageKind.AUTO_REPLY


@pytest.mark.parametrize(
    "subject", ["Re: Out of office parties", "Re: Automatic replies for you", "Re: Hello"]
)
def test_an_answer_to_such_a_subject_is_an_answer(subject: str) -> None:
    assert classified(message("Tell me more.", subject=subject)).kind is MessageKind.REPLY


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("I am away until May 5", (5, 6)),
        ("I return on 5th of May 2026.", (5, 5)),
        ("I will be back in the office on Monday, May 4th", (5, 4)),
        ("back on Monday", (4, 27)),
        ("Ich bin vom 20.04. bis 24.04.2026 nicht im Büro", (4, 25)),
        ("Ich bin bis zum 5. Mai im Urlaub und ab dem 6. Mai wieder da", (5, 6)),
        ("absente jusqu'au 5 mai", (5, 6)),
        ("de vacaciones hasta el 5 de mayo", (5, 6)),
        ("в отпуске до 5 мая", (5, 6)),
        ("我到5月5日不在", (5, 6)),
        ("out of office until 2026-05-05", (5, 6)),
        ("until 05/25/2026", (5, 26)),
    ],
)
def test_a_plain_date_tells_until_when(text: str, day: tuple[int, int]) -> None:
    assert away_until(text, NOW) == datetime(2026, *day, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "I'm out of the office Friday.",
        "until 05/06/2026",
        "back on 31 February",
        "I was away until 1 April 2026",
        "until 5 May 2036",
        "our offer ends on 5 May",
        "",
    ],
)
def test_what_is_not_plain_tells_nothing(text: str) -> None:
    assert away_until(text, NOW) is None


def test_a_date_without_year_is_the_next_one() -> None:
    assert away_until("back on 7 January", datetime(2026, 12, 20, tzinfo=UTC)) == datetime(
        2027, 1, 7, tzinfo=UTC
    )


def test_the_absence_counts_from_when_the_reply_was_sent() -> None:
    found = classified(
        message("back on Monday", Auto_Submitted="auto-replied", Date="1 Jun 2026 10:00 +0000")
    )
    assert found.away_until == datetime(2026, 6, 8, tzinfo=UTC)


@pytest.mark.costly
@given(
    st.text(max_size=200)
    | st.from_regex(r"(until|back on|bis|до) [0-9]{1,4}[./ -][0-9]{1,4}[./ -][0-9]{0,4}")
)
def test_no_text_is_too_strange_and_no_absence_too_long(text: str) -> None:
    found = away_until(text, NOW)
    assert found is None or NOW < found <= NOW + LONGEST
