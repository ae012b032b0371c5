"""EngageLab's webhook."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coldsend.channels.jiguang import payload as sending
from coldsend.domain.feedback import Feedback, Kind
from coldsend.web.webhooks import engagelab
from coldsend.web.webhooks.proof import Forged
from tests.channels.messages import message
from tests.web.webhooks.samples import (
    APP_KEY,
    NOW,
    RECIPIENT,
    TOKEN,
    engagelab_headers,
    engagelab_response,
    engagelab_status,
)


def one(event: dict[str, Any]) -> Feedback:
    (found,) = engagelab.events(event, NOW)
    return found


def test_the_signature_that_is_seen_is_believed() -> None:
    engagelab.verify(engagelab_headers(NOW), b"{}", APP_KEY, NOW)


@pytest.mark.parametrize("told", ["1795176000", "1795176000000"])
def test_the_other_documented_signature_is_believed_too(told: str) -> None:
    signature = hmac.new(APP_KEY.encode(), told.encode(), hashlib.sha256).hexdigest()
    headers = {"x-webhook-timestamp": told, "x-webhook-signature": signature}
    engagelab.verify(headers, b"{}", APP_KEY, datetime.fromtimestamp(1795176000, UTC))


def test_another_key_is_not() -> None:
    with pytest.raises(Forged, match="signature"):
        engagelab.verify(engagelab_headers(NOW, "another-key"), b"{}", APP_KEY, NOW)


@pytest.mark.parametrize("name", ["x-webhook-timestamp", "x-webhook-signature", "x-webhook-appkey"])
@pytest.mark.parametrize("value", [None, "", "1", "é" * 32, "0" * 32])
def test_headers_that_are_missing_or_wrong_are_refused(name: str, value: str | None) -> None:
    headers = {other: told for other, told in engagelab_headers(NOW).items() if other != name}
    if value is not None:
        headers[name] = value
    with pytest.raises(Forged):
        engagelab.verify(headers, b"{}", APP_KEY, NOW)


@pytest.mark.parametrize("later", [timedelta(hours=25), timedelta(minutes=-11)])
def test_a_request_from_another_time_is_refused(later: timedelta) -> None:
    with pytest.raises(Forged, match=r"older|future"):
        engagelab.verify(engagelab_headers(NOW), b"{}", APP_KEY, NOW + later)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (engagelab_status("target"), Kind.DELAYED),
        (engagelab_status("sent"), Kind.DELAYED),
        (engagelab_status("delivered"), Kind.DELIVERED),
        (engagelab_status("invalid_email"), Kind.BOUNCE),
        (engagelab_status("soft_bounce"), Kind.BOUNCE),
        (engagelab_response("open"), Kind.OPEN),
        (engagelab_response("click", url="https://example.com/a"), Kind.CLICK),
        (engagelab_response("unsubscribe"), Kind.UNSUBSCRIBE),
        (engagelab_response("report_spam"), Kind.COMPLAINT),
    ],
)
def test_every_event_has_its_kind_and_finds_its_message_by_token(event: dict[str, Any], kind: Kind) -> None:
    found = one(event)
    assert (found.kind, found.source, found.recipient) == (kind, "webhook:engagelab", RECIPIENT)
    assert [each.strip("<>").partition("@")[0] for each in found.message_ids] == [TOKEN]
    assert found.at == datetime.fromtimestamp(event["itime"] / 1000, UTC)


def test_the_token_it_looks_for_is_the_one_the_channel_sends() -> None:
    sent = sending.document(message(1))
    event = {**engagelab_status("delivered"), "custom_args": sent["custom_args"]}
    own = sent["body"]["headers"]["Message-ID"].strip("<>").partition("@")[0]
    assert [each.strip("<>").partition("@")[0] for each in one(event).message_ids] == [own]


@pytest.mark.parametrize(
    ("number", "hard"),
    [
        (401, True),
        (402, True),
        (403, False),
        (404, True),
        (405, False),
        (406, True),
        (407, False),
        (408, None),
    ],
)
def test_a_bounce_is_hard_where_its_number_says_so_and_else_its_words_decide(
    number: int, hard: bool | None
) -> None:
    detail = {"stat": 4, "sub_stat": number, "message": "550 5.7.1 not liked"}
    found = one(engagelab_status("invalid_email", error_detail=detail))
    assert (found.hard, found.diagnostic) == (hard, "550 5.7.1 not liked")
    assert found.details["sub_stat"] == str(number)


def test_an_invalid_address_without_a_reason_is_hard_and_a_soft_bounce_never() -> None:
    bare = engagelab_status("invalid_email")
    bare["status"]["status_data"] = {}
    assert one(bare).hard is True
    assert one(engagelab_status("soft_bounce", error_detail={"sub_stat": 406})).hard is False


def test_a_reply_is_about_who_wrote_it() -> None:
    found = one(engagelab_response("route", **{"from": "Jane <jane@example.org>", "subject": "Re: Hello"}))
    assert (found.kind, found.recipient) == (Kind.REPLY, "jane@example.org")
    assert found.details["subject"] == "Re: Hello"


def test_a_happening_told_again_later_has_the_same_key_but_opens_are_each_their_own() -> None:
    delivered, again = engagelab_status("delivered"), engagelab_status("delivered")
    again["itime"] += 60_000
    assert one(delivered).key == one(again).key != one(engagelab_status("soft_bounce")).key
    opened, once_more = engagelab_response("open"), engagelab_response("open")
    once_more["itime"] += 60_000
    assert one(opened).key != one(once_more).key


def test_several_events_may_come_in_one_array() -> None:
    both = [engagelab_status("delivered"), engagelab_response("open"), "nonsense", None]
    assert [found.kind for found in engagelab.events(both, NOW)] == [Kind.DELIVERED, Kind.OPEN]


@pytest.mark.parametrize("token", ["", "someone-elses", None, 5])
def test_mail_that_is_not_ours_being_taken_is_nobodys_business(token: Any) -> None:
    assert engagelab.events(engagelab_status("target", token=token), NOW) == []


@pytest.mark.parametrize("name", ["", "new_thing", None])
def test_what_means_nothing_here_is_left_out(name: Any) -> None:
    assert engagelab.events(engagelab_status(name), NOW) == []
