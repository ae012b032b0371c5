"""From a request to the ledger: proven, kept as it came, applied once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Database
from coldsend.database.tables import event_log, task_contacts
from coldsend.domain.webhook_provider import ENGAGELAB, SENDGRID
from coldsend.errors import Unreachable
from coldsend.feedback.apply import apply
from coldsend.web.webhooks import reading, receiving
from coldsend.web.webhooks.receiving import Post, Received
from tests.planning.world import NOW
from tests.web.webhooks.desk import HOUR_AGO, Desk, told
from tests.web.webhooks.samples import (
    APP_KEY,
    SendGridAccount,
    engagelab_headers,
    engagelab_response,
    engagelab_status,
    sendgrid_event,
    ses_bounce,
    ses_mail,
    sns_confirmation,
    sns_notification,
)


@pytest.fixture
def desk(database: Database, database_url: str) -> Desk:
    made = Desk(database, database_url)
    made.enter(ENGAGELAB, APP_KEY)
    return made


def test_a_delivery_moves_its_row_and_is_kept_as_it_came(desk: Desk) -> None:
    (row,) = desk.sent()
    body = json.dumps(told(engagelab_status("delivered", token=desk.token(row)))).encode()
    assert desk.engagelab(body) is Received.TAKEN
    assert desk.row(task_contacts, row)["delivered_at"] == HOUR_AGO
    assert desk.status(row) == "delivered"
    (kept,) = desk.payloads()
    assert (kept["provider"], kept["body"], kept["events"], kept["error"]) == ("engagelab", body, 1, None)
    assert kept["received_at"] == NOW


def test_the_same_request_again_changes_nothing(desk: Desk) -> None:
    (row,) = desk.sent()
    event = told(engagelab_response("click", token=desk.token(row), url="https://example.com/a"))
    assert [desk.engagelab(event) for _ in range(3)] == [Received.TAKEN] * 3
    assert len(desk.payloads()) == len(desk.events()) == 1


def test_the_same_happening_in_another_request_is_noted_once(desk: Desk) -> None:
    (row,) = desk.sent()
    for later in (0, 60):
        event = told(engagelab_status("delivered", token=desk.token(row)))
        desk.engagelab({**event, "itime": event["itime"] + later})
    assert len(desk.payloads()) == 2
    assert len(desk.events()) == 1


def test_a_request_is_stored_together_with_what_it_changes_or_not_at_all(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = desk.sent()
    event = told(engagelab_status("delivered", token=desk.token(row)))

    def fails(*_arguments: Any) -> Any:
        raise Unreachable("the database went away")

    with monkeypatch.context() as broken:
        broken.setattr(receiving, "apply", fails)
        assert desk.engagelab(event) is Received.LATER
    assert desk.payloads() == []
    assert desk.engagelab(event) is Received.TAKEN
    assert desk.status(row) == "delivered"


def test_requests_that_wait_share_a_transaction_and_each_has_its_own_answer(
    desk: Desk, commits: Callable[[], int]
) -> None:
    rows = desk.sent(3)
    bodies = [
        json.dumps(told(engagelab_status("delivered", token=desk.token(row)))).encode()
        for row in (*rows, rows[0])
    ]
    posts = [Post(ENGAGELAB, desk.service_id, engagelab_headers(NOW), body) for body in bodies]
    posts.insert(1, Post(ENGAGELAB, desk.service_id, engagelab_headers(NOW, "guessed-key"), b"{}"))
    posts.insert(2, Post(ENGAGELAB, 10**9, engagelab_headers(NOW), b"{}"))
    before = commits()
    told_each = desk.receiver.receive(posts, NOW)
    assert commits() - before <= 2
    taken = Received.TAKEN
    assert told_each == [taken, Received.FORGED, Received.UNKNOWN, taken, taken, taken]
    assert {desk.status(row) for row in rows} == {"delivered"}
    assert len(desk.payloads()) == 3


def test_a_request_that_we_fail_at_does_not_keep_the_others_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = desk.sent(2)

    def fails(connection: Any, items: Any, *rest: Any) -> Any:
        if any(desk.token(first) in each for item in items for each in item.message_ids):
            raise ZeroDivisionError
        return apply(connection, items, *rest)

    monkeypatch.setattr(receiving, "apply", fails)
    posts = [
        Post(
            ENGAGELAB,
            desk.service_id,
            engagelab_headers(NOW),
            json.dumps(told(engagelab_status("delivered", token=desk.token(row)))).encode(),
        )
        for row in (first, second)
    ]
    assert desk.receiver.receive(posts, NOW) == [Received.LATER, Received.TAKEN]
    assert (desk.status(first), desk.status(second)) == ("sent", "delivered")
    assert len(desk.payloads()) == 1


def test_a_request_that_we_cannot_read_at_all_does_not_keep_the_others_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = desk.sent()
    account = SendGridAccount()
    desk.enter(SENDGRID, account.public_key)
    event = sendgrid_event(
        "delivered", **{"smtp-id": desk.message_id(row), "timestamp": HOUR_AGO.timestamp()}
    )
    bodies = [json.dumps(payload).encode() for payload in ([{"event": "a bug of ours"}], [event])]
    real = reading.text

    def fails(value: object, *rest: Any) -> str:
        assert value != "a bug of ours"
        return real(value, *rest)

    monkeypatch.setattr(reading, "text", fails)
    posts = [Post(SENDGRID, desk.service_id, account.headers(body, NOW), body) for body in bodies]
    assert desk.receiver.receive(posts, NOW) == [Received.LATER, Received.TAKEN]
    assert desk.status(row) == "delivered"


def test_an_unknown_row_is_known_once_the_provider_says_it_has_the_message(desk: Desk) -> None:
    (row,) = desk.sent(status="unknown")
    desk.engagelab(told(engagelab_status("target", token=desk.token(row))))
    assert desk.status(row) == "sent"


def test_a_complaint_suppresses(desk: Desk) -> None:
    (row,) = desk.sent()
    desk.engagelab(told(engagelab_response("report_spam", token=desk.token(row))))
    assert desk.status(row) == "complained"
    assert desk.suppressed() == {(desk.email(row), 0): "complaint"}


@pytest.mark.parametrize(
    ("number", "said", "suppressed"),
    [
        (406, "550 5.1.1 no such user", True),
        (405, "554 5.7.1 listed", False),
        (408, "550 5.1.1 unknown", True),
    ],
)
def test_an_invalid_address_is_suppressed_but_not_for_what_the_sender_did(
    desk: Desk, number: int, said: str, suppressed: bool
) -> None:
    (row,) = desk.sent()
    detail = {"sub_stat": number, "message": said}
    event = engagelab_status("invalid_email", token=desk.token(row), error_detail=detail)
    desk.engagelab(told(event))
    assert desk.status(row) == "bounced"
    assert bool(desk.suppressed()) is suppressed


def test_an_event_without_a_message_id_finds_its_row_by_the_address(desk: Desk) -> None:
    first, second = desk.sent(2)
    account = SendGridAccount()
    desk.enter(SENDGRID, account.public_key)
    event = sendgrid_event("spamreport", email=desk.email(second).upper(), timestamp=HOUR_AGO.timestamp())
    del event["smtp-id"]
    assert desk.sendgrid(account, event) is Received.TAKEN
    assert (desk.status(first), desk.status(second)) == ("sent", "complained")


def test_of_several_messages_to_an_address_it_is_one_that_went_through_this_service(desk: Desk) -> None:
    (row,) = desk.sent()
    later = desk.again(row, desk.begun("other"), sender_service_id=desk.service("other"), sent_at=HOUR_AGO)
    desk.engagelab(told(engagelab_response("report_spam", token="", to=desk.email(row))))
    assert (desk.status(row), desk.status(later)) == ("complained", "sent")


def test_one_request_may_tell_of_many_messages(desk: Desk) -> None:
    rows = desk.sent(5)
    account = SendGridAccount()
    desk.enter(SENDGRID, account.public_key)
    desk.sendgrid(
        account,
        *(
            sendgrid_event(
                "delivered",
                **{
                    "smtp-id": desk.message_id(row),
                    "timestamp": HOUR_AGO.timestamp(),
                    "sg_event_id": f"e{row}",
                },
            )
            for row in rows
        ),
    )
    assert {desk.status(row) for row in rows} == {"delivered"}
    assert desk.payloads()[0]["events"] == 5


def test_what_is_about_nobody_we_know_is_kept(desk: Desk) -> None:
    desk.engagelab(told(engagelab_status("delivered", token="", to="stranger@example.net")))
    (kept,) = desk.unmatched()
    assert (kept["kind"], kept["recipient"]) == ("delivered", "stranger@example.net")


def test_a_bounce_told_by_ses_is_matched_by_the_message_id_it_quotes(desk: Desk) -> None:
    (row,) = desk.sent()
    topic = desk.topic()
    event = ses_bounce("Permanent", "NoEmail")
    event["mail"] = ses_mail(message_id=desk.message_id(row))
    event["bounce"]["timestamp"] = HOUR_AGO.isoformat()
    assert desk.ses(topic, sns_notification(event, NOW)) is Received.TAKEN
    assert desk.status(row) == "bounced"
    assert desk.row(task_contacts, row)["bounced_at"] == HOUR_AGO


def test_a_topic_is_subscribed_to_and_the_message_kept(desk: Desk) -> None:
    topic, message = desk.topic(), sns_confirmation(NOW)
    assert desk.ses(topic, message) is Received.LATER  # Amazon does not answer
    assert desk.payloads() == []
    desk.pages[message["SubscribeURL"]] = b"<ConfirmSubscriptionResponse/>"
    assert desk.ses(topic, message) is Received.TAKEN
    assert desk.asked[-1] == message["SubscribeURL"]
    assert desk.payloads()[0]["events"] == 0


@pytest.mark.costly
def test_a_topic_of_somebody_else_is_not_subscribed_to(desk: Desk) -> None:
    topic = desk.topic()
    message = sns_confirmation(NOW, TopicArn="arn:aws:sns:eu-west-1:999999999999:mine")
    assert desk.ses(topic, message) is Received.FORGED
    assert desk.asked == []


def test_what_is_not_proven_changes_nothing_and_is_logged_without_its_body(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    (row,) = desk.sent()
    event = told(engagelab_response("unsubscribe", token=desk.token(row), message="a-secret-word"))
    with caplog.at_level(logging.WARNING, "coldsend"):
        assert desk.engagelab(event, key="guessed-key") is Received.FORGED
    assert (desk.payloads(), desk.events(), desk.unmatched()) == ([], [], [])
    assert desk.suppressed() == {}
    (line,) = [record for record in caplog.records if record.message == "webhook_refused"]
    logged = str(line.__dict__)
    assert "engagelab" in logged
    assert "a-secret-word" not in logged
    assert desk.token(row) not in logged


def test_a_service_without_a_secret_believes_nobody(desk: Desk) -> None:
    other = desk.service("other")
    assert desk.post(ENGAGELAB, b"{}", engagelab_headers(NOW), other) is Received.FORGED


def test_the_secret_of_one_provider_proves_nothing_for_another(desk: Desk) -> None:
    assert desk.sendgrid(SendGridAccount(), sendgrid_event("open")) is Received.FORGED


def test_a_service_that_is_gone_is_unknown(desk: Desk) -> None:
    assert desk.post(ENGAGELAB, b"{}", engagelab_headers(NOW), 10**9) is Received.UNKNOWN


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff\xfe", b"[" * 100_000])
def test_what_is_proven_but_cannot_be_read_is_kept_with_the_reason(desk: Desk, body: bytes) -> None:
    assert desk.engagelab(body) is Received.TAKEN
    (kept,) = desk.payloads()
    assert kept["body"] == body
    assert kept["error"]


def test_texts_no_table_could_hold_are_cut_and_cleaned(desk: Desk) -> None:
    (row,) = desk.sent()
    detail = {"sub_stat": "\ud800" * 50, "message": "550 5.1.1 \0 \ud83d " + "é" * 100_000}
    event = engagelab_status("invalid_email", token=desk.token(row), error_detail=detail)
    event["to"] = "x" * 5000
    assert desk.engagelab(told(event)) is Received.TAKEN
    assert desk.status(row) == "bounced"


def test_an_open_by_a_machine_is_noted_and_not_counted(desk: Desk) -> None:
    (row,) = desk.sent()
    account = SendGridAccount()
    desk.enter(SENDGRID, account.public_key)
    about = {"smtp-id": desk.message_id(row), "timestamp": HOUR_AGO.timestamp()}
    desk.sendgrid(account, sendgrid_event("open", useragent="Mozilla/5.0", **about))
    assert desk.status(row) == "sent"
    (event,) = desk.all(event_log)
    assert event["details"]["actor"] == "machine"


@pytest.fixture
def commits(desk: Desk) -> Callable[[], int]:
    """How many transactions were committed."""
    seen: list[Any] = []
    sa.event.listen(desk.database.engine, "commit", seen.append)
    return lambda: len(seen)


@pytest.fixture
def counted(desk: Desk) -> Callable[[], int]:
    """How many statements were sent to the database since."""
    seen: list[str] = []
    engine = desk.database.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *told: seen.append(told[2]))
    return lambda: len(seen)


def test_a_forgery_costs_one_short_look_at_the_database(desk: Desk, counted: Callable[[], int]) -> None:
    before = counted()
    desk.engagelab({}, key="guessed-key")
    assert counted() - before <= 3
