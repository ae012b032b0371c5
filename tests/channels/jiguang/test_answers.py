"""What the API's answers mean in the terms of the reply table."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.channels.jiguang.answers import answer
from coldsend.domain.answers import Action, Outcome, Phase
from coldsend.domain.replies import judge


def said(status: int, message: str, code: int = 1) -> Any:
    return answer(status, json.dumps({"code": code, "message": message}).encode())


@pytest.mark.parametrize(
    ("status", "message", "phase", "code", "enhanced"),
    [
        (401, "Authentication failed.", Phase.AUTH, 535, "5.7.8"),
        (403, "Forbidden", Phase.AUTH, 535, "5.7.8"),
        (403, "Your account has been suspended", Phase.MAIL, 550, "5.7.0"),
        (400, "api_user is disabled", Phase.MAIL, 550, "5.7.0"),
        (402, "payment required", Phase.MAIL, 550, "5.4.5"),
        (400, "daily quota exceeded", Phase.MAIL, 550, "5.4.5"),
        (400, "insufficient balance", Phase.MAIL, 550, "5.4.5"),
        (429, "slow down", Phase.MAIL, 451, "4.7.28"),
        (400, "requests are too frequent", Phase.MAIL, 451, "4.7.28"),
        (400, "to: invalid address format", Phase.RCPT, 550, "5.1.3"),
        (400, "invalid recipient", Phase.RCPT, 550, "5.1.3"),
        (400, "from is invalid", Phase.MAIL, 550, "5.1.8"),
        (400, "sender domain not verified", Phase.MAIL, 550, "5.1.8"),
        (400, "attachments exceed 10MB: too large", Phase.DATA, 552, "5.3.4"),
        (413, "", Phase.DATA, 552, "5.3.4"),
        (408, "timeout", Phase.DATA, 451, "4.4.2"),
        (503, "maintenance", Phase.MAIL, 451, "4.3.2"),
        (400, "subject is required", Phase.DATA, 501, "5.5.4"),
        (422, "reply_to: invalid address format", Phase.DATA, 501, "5.5.4"),
        (200, "to: invalid address format", Phase.RCPT, 550, "5.1.3"),
    ],
)
def test_refusals_become_the_smtp_answer_that_says_the_same(
    status: int, message: str, phase: Phase, code: int, enhanced: str
) -> None:
    found = said(status, message)
    assert (found.phase, found.code, found.enhanced, found.lost) == (phase, code, enhanced, False)
    assert message[:20] in found.text


@pytest.mark.parametrize(
    ("status", "message", "action"),
    [
        (401, "Authentication failed.", Action.FREEZE_SERVICE),
        (403, "Your account has been suspended", Action.FREEZE_SERVICE),
        (400, "daily quota exceeded", Action.NEXT_QUOTA_DAY),
        (429, "slow down", Action.SLOW_DOWN),
        (400, "invalid recipient", Action.SUPPRESS),
        (400, "sender domain not verified", Action.FREEZE_SERVICE),
        (413, "", Action.FAIL_TEMPLATE),
        (503, "maintenance", Action.SLOW_DOWN),
        (400, "subject is required", Action.PAUSE_CAMPAIGN),
        (500, "Internal Server Error", Action.RECORD_UNKNOWN),
        (404, "Not Found", Action.COOL_DOWN),
    ],
)
def test_the_reply_table_does_the_right_thing_with_them(status: int, message: str, action: Action) -> None:
    assert judge(said(status, message)).action == action


def test_an_accepted_message_is_accepted_by_the_reply_table() -> None:
    assert judge(answer(200, b'{"email_ids": ["1"]}')).outcome == Outcome.ACCEPTED


@pytest.mark.parametrize("status", [401, 404, 429])
def test_what_is_the_services_own_trouble_counts_against_it(status: int) -> None:
    verdict = judge(said(status, "no"))
    assert verdict.blames_sender or verdict.action == Action.SLOW_DOWN


@pytest.mark.parametrize(
    "message",
    [
        "from and to are invalid",
        "invalid sender or recipient",
        "domain of recipient policy not set",
        "bad request",
    ],
)
def test_a_recipient_is_not_blamed_where_something_else_may_be_meant(message: str) -> None:
    assert said(400, message).phase != Phase.RCPT


@pytest.mark.parametrize("status", [500, 502, 504, 599])
def test_a_failure_inside_the_api_leaves_the_outcome_unknown(status: int) -> None:
    found = said(status, "Internal Server Error")
    assert (found.phase, found.lost, found.code) == (Phase.FINAL, True, 0)


@pytest.mark.parametrize("body", [b"", None, b"<html>ok</html>", b"[]", b'{"hello": 1}'])
def test_a_success_that_is_not_the_apis_is_not_believed(body: bytes | None) -> None:
    found = answer(200, body)
    assert (found.phase, found.lost) == (Phase.FINAL, True)


def test_a_success_without_ids_keeps_the_request_id() -> None:
    found = answer(200, b'{"request_id": "r1"}')
    assert (found.code, found.provider_message_id) == (250, "r1")


def test_ids_are_kept_as_ascii_keys_of_bounded_length() -> None:
    found = answer(200, json.dumps({"email_ids": ["1 2$jörg@example.org" + "x" * 300]}).encode())
    assert found.provider_message_id.startswith("12$jrg@example.org")
    assert len(found.provider_message_id) == 255


@pytest.mark.parametrize("status", [301, 404, 405])
def test_what_is_not_the_api_is_a_failure_to_connect(status: int) -> None:
    found = answer(status, b"<html>nginx</html>")
    assert (found.phase, found.code) == (Phase.CONNECT, 0)


@pytest.mark.costly
@given(
    status=st.integers(100, 999),
    body=st.none() | st.binary(max_size=200) | st.text(max_size=80).map(str.encode),
)
def test_any_answer_is_understood_and_only_a_2xx_is_an_acceptance(status: int, body: bytes | None) -> None:
    found = answer(status, body)
    assert found.code != 250 or 200 <= status < 300
    assert found.text.isprintable()
    assert len(found.text) <= 400


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.costly
@given(
    status=st.sampled_from([200, 400, 401, 403, 429, 500]),
    document=st.fixed_dictionaries(
        {}, optional={"code": _values, "message": _values, "email_ids": _values, "request_id": _values}
    ),
)
def test_any_json_is_understood(status: int, document: dict[str, Any]) -> None:
    found = answer(status, json.dumps(document).encode())
    assert found.text.isprintable()
    assert found.provider_message_id.isascii()
