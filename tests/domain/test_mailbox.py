from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coldsend.domain.mailbox import (
    PATIENCE_WITH_MESSAGE,
    Mailbox,
    Trouble,
    gives_up_message,
    is_due,
    next_try,
)

NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


def _failed(trouble: Trouble, errors: int, *, enabled: bool = True) -> Mailbox:
    return Mailbox(
        1, "replies", "imap.example.com", 993, "implicit", "anna", "INBOX",
        enabled=enabled, failed_at=NOON, error_code=trouble, consecutive_errors=errors,
    )  # fmt: skip


@pytest.mark.parametrize("trouble", [each for each in Trouble if each is not Trouble.CREDENTIALS])
def test_after_errors_the_waits_double_up_to_an_hour(trouble: Trouble) -> None:
    tries = [next_try(_failed(trouble, errors), 60) for errors in range(1, 100)]
    waits = [(at - NOON).total_seconds() for at in tries if at is not None]
    assert waits[:7] == [60, 120, 240, 480, 960, 1920, 3600]
    assert set(waits[7:]) == {3600}
    assert len(waits) == 99


def test_refused_credentials_are_tried_twice_more_and_then_wait_for_a_person() -> None:
    tries = [next_try(_failed(Trouble.CREDENTIALS, errors), 60) for errors in (1, 2, 3, 4)]
    assert tries == [NOON + timedelta(hours=1), NOON + timedelta(days=1), None, None]


def test_an_hour_is_no_limit_for_who_looks_more_rarely() -> None:
    assert next_try(_failed(Trouble.CONNECT, 3), 7200) == NOON + timedelta(hours=2)


def test_a_mailbox_is_due_when_its_wait_is_over() -> None:
    failed = _failed(Trouble.CONNECT, 1)
    assert not is_due(failed, NOON + timedelta(seconds=59), 60)
    assert is_due(failed, NOON + timedelta(seconds=60), 60)
    assert not is_due(_failed(Trouble.CREDENTIALS, 3), NOON + timedelta(days=99), 60)


def test_a_clock_that_was_set_back_silences_no_mailbox() -> None:
    assert is_due(_failed(Trouble.CONNECT, 1), NOON - timedelta(days=1), 60)


@pytest.mark.parametrize("errors", [0, 1])
def test_a_disabled_mailbox_is_never_due(errors: int) -> None:
    assert not is_due(_failed(Trouble.CONNECT, errors, enabled=False), NOON + timedelta(days=1), 60)


def test_only_a_message_that_broke_many_connections_is_given_up() -> None:
    assert gives_up_message(_failed(Trouble.MESSAGE, PATIENCE_WITH_MESSAGE))
    assert not gives_up_message(_failed(Trouble.MESSAGE, PATIENCE_WITH_MESSAGE - 1))
    assert not gives_up_message(_failed(Trouble.CONNECT, PATIENCE_WITH_MESSAGE))
