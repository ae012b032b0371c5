"""The words of alerts, when they are tried again, and where the configuration sends them."""

from __future__ import annotations

import base64
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain import alert_targets
from coldsend.domain.alert import (
    WAITS,
    AlertEvent,
    AlertKind,
    Condition,
    headline,
    message_id,
    next_attempt,
    notice_of,
    text,
)

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
FROZEN = Condition(
    AlertKind.SERVICE_FROZEN,
    "service:7",
    "service:main",
    "service 'main' is frozen",
    "it sends nothing: 535 no",
    "service 'main' sends again",
    "coldsend service thaw main",
    facts={"service_id": 7},
)


def row(**values: object) -> dict[str, object]:
    made = {"id": 3, "kind": "service_frozen", "subject": "service:main", "message": FROZEN.message}
    return {**made, "details": FROZEN.details, "raised_at": NOW, "cleared_at": None, **values}


def test_one_alert_lasts_for_each_kind_and_thing() -> None:
    assert FROZEN.key == "service_frozen:service:7"


def test_a_notice_says_what_why_since_when_and_the_way_out() -> None:
    told = notice_of(row(), AlertEvent.RAISED)
    assert headline([told]) == "service 'main' is frozen"
    assert text([told]) == (
        "service 'main' is frozen\n  it sends nothing: 535 no\n  since 2027-03-01 09:00 UTC\n"
        "  coldsend service thaw main\n"
    )
    assert told.document()["facts"] == {"service_id": 7}


def test_a_notice_that_it_is_over_says_from_when_to_when() -> None:
    told = notice_of(row(cleared_at=NOW + timedelta(hours=2)), AlertEvent.CLEARED)
    assert headline([told]) == "service 'main' sends again"
    assert "from 2027-03-01 09:00 UTC to 2027-03-01 11:00 UTC" in text([told])
    assert "thaw" not in text([told])


def test_several_are_counted_in_one_headline() -> None:
    raised, over = notice_of(row(), AlertEvent.RAISED), notice_of(row(cleared_at=NOW), AlertEvent.CLEARED)
    assert headline([raised, raised, over]) == "2 alerts, 1 over"
    assert headline([raised, over, over]) == "1 alert, 2 over"
    assert headline([over, over]) == "2 over"


def test_attempts_come_ever_later_and_end_after_a_day_and_a_half() -> None:
    moment, last, attempts = NOW, timedelta(), 1
    while (again := next_attempt(attempts, moment)) is not None:
        assert again - moment > last
        last, moment, attempts = again - moment, again, attempts + 1
    assert attempts == len(WAITS) + 1
    assert timedelta(hours=30) < moment - NOW < timedelta(hours=48)


def test_a_message_has_the_same_name_each_time_and_no_other_message_has_it() -> None:
    assert message_id([(1, NOW)]) == message_id([(1, NOW)])
    others = {message_id([(1, NOW)]), message_id([(2, NOW)]), message_id([(1, NOW), (2, NOW)])}
    assert len(others | {message_id([(1, NOW + timedelta(microseconds=1))])}) == 4


# Where they go


def test_all_kinds_or_some_are_told_of() -> None:
    assert alert_targets.kinds("all") == frozenset(AlertKind)
    assert alert_targets.kinds(" breaker, unknown_rows ,") == {AlertKind.BREAKER, AlertKind.UNKNOWN_ROWS}
    assert alert_targets.kinds("") == frozenset()
    with pytest.raises(ValueError, match="mailbox_failing, not 'breakers'"):
        alert_targets.kinds("breakers")


def test_addresses_are_checked_and_each_is_told_once() -> None:
    assert alert_targets.addresses("ops@acme.com, boss@acme.com,ops@acme.com") == [
        "ops@acme.com",
        "boss@acme.com",
    ]
    assert alert_targets.addresses("") == []
    with pytest.raises(ValueError, match="separated by commas"):
        alert_targets.addresses("ops@acme.com; boss@acme.com")


def test_urls_have_names_and_may_have_commas_in_them() -> None:
    assert alert_targets.webhooks("ops=https://a.example/x?tags=1,2, pager = http://127.0.0.1:9/b") == {
        "ops": "https://a.example/x?tags=1,2",
        "pager": "http://127.0.0.1:9/b",
    }
    assert alert_targets.chats("team=slack://A/B/C,other=json://host") == {
        "team": "slack://A/B/C",
        "other": "json://host",
    }


@pytest.mark.parametrize(
    ("given_text", "said"),
    [
        ("https://secret.example/token", "entry 1 must be like ops="),
        ("a=https://secret.example/token,a=https://secret.example/2", "a stands there twice"),
        ("a=ftp://secret.example/token", "a: must be an http or https URL"),
        ("a=https://secret.example/token#x", "a: must be an http or https URL"),
        ("a=https://secret.example:99999/token", "a: must be an http or https URL"),
    ],
)
def test_what_is_no_webhook_is_refused_without_being_quoted(given_text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        alert_targets.webhooks(given_text)
    assert "secret.example/token" not in str(caught.value)


KEY = bytes(range(32))


def test_a_secret_is_for_all_webhooks_or_for_one_and_several_sign_while_they_are_changed() -> None:
    other = bytes(32)
    text_of = alert_targets.written_secret
    known = alert_targets.secrets(f"{text_of(KEY)}, pager={text_of(other)},{text_of(KEY)[:-1]}")
    assert alert_targets.keys_for("ops", known) == [KEY, KEY]
    assert alert_targets.keys_for("pager", known) == [other]
    assert alert_targets.keys_for("ops", []) == []


@pytest.mark.parametrize("secret", ["hush", "whsec_hush", "whsec_" + base64.b64encode(b"short").decode()])
def test_a_secret_in_another_form_is_refused_without_being_quoted(secret: str) -> None:
    with pytest.raises(ValueError, match="coldsend alert secret") as caught:
        alert_targets.secrets(secret)
    assert "hush" not in str(caught.value)


@given(st.text(max_size=80))
def test_whatever_stands_there_is_understood_or_refused(given_text: str) -> None:
    readers = (alert_targets.kinds, alert_targets.webhooks, alert_targets.chats, alert_targets.secrets)
    for read in (*readers, alert_targets.addresses):
        with contextlib.suppress(ValueError):
            read(given_text)  # type: ignore[operator]
