"""What servers say about a folder, in all the ways they may say it."""

from __future__ import annotations

import imaplib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.channels.smtp.auth import Secrets
from coldsend.inbox import reading
from coldsend.inbox.connection import Connection
from coldsend.inbox.reading import Folder, Waiting, batches, modified_utf7, uid_set

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


class _Says:
    """A client whose server answers a fetch so."""

    def __init__(self, answer: Sequence[Any]) -> None:
        self.answer = list(answer)

    def begin_command(self) -> None: ...

    def uid(self, *_arguments: str) -> tuple[str, list[Any]]:
        return "OK", self.answer


def _connection(*answer: Any) -> Connection:
    return Connection(cast("Any", _Says(answer)), Secrets({}))


@pytest.mark.parametrize(
    "answer",
    [
        [(b"1 (UID 5 BODY[]<0> {3}", b"abc"), b")"],
        [(b"1 (BODY[]<0> {3}", b"abc"), b" UID 5)"],
        [b"7 (FLAGS (\\Seen))", (b"1 (UID 5 BODY[] {5}", b"abcde"), b")", b"2 (UID 9 FLAGS ())"],
        [b'1 (UID 5 BODY[]<0> "abc")'],
        [b'1 (BODY[]<0> "abc" UID 5)'],
    ],
)
def test_a_body_is_found_however_it_is_told(answer: list[Any]) -> None:
    assert reading._bodies(_connection(*answer), [5], 3) == {5: b"abc"}


@pytest.mark.parametrize("answer", [[b"1 (UID 5 BODY[] NIL)"], [b'1 (UID 5 BODY[]<0> "")']])
def test_a_body_may_be_empty(answer: list[Any]) -> None:
    assert reading._bodies(_connection(*answer), [5], 3) == {5: b""}


@pytest.mark.parametrize("answer", [[], [None], [b"1 (FLAGS ())"], [b""]])
def test_a_message_that_is_gone_is_left_out(answer: list[Any]) -> None:
    waiting = Waiting(5, 3, NOW)
    assert reading.fetched(_connection(*answer), [waiting], 3) == []


@pytest.mark.parametrize(
    ("received", "told"),
    [
        (b' INTERNALDATE "17-Jul-2026 02:44:25 -0700"', datetime(2026, 7, 17, 9, 44, 25, tzinfo=UTC)),
        (b' INTERNALDATE " 1-jan-2027 00:00:00 +0000"', datetime(2027, 1, 1, tzinfo=UTC)),
        (b' INTERNALDATE "31-Feb-2027 00:00:00 +0000"', NOW),
        (b' INTERNALDATE "01-Mar-2037 00:00:00 +0000"', NOW),  # nothing comes from the future
        (b"", NOW),
    ],
)
def test_a_message_was_received_when_the_server_says(received: bytes, told: datetime) -> None:
    answer = b"1 (UID 5 RFC822.SIZE 300%s)" % received
    assert reading.described(_connection(answer), [5], NOW) == [Waiting(5, 300, told)]


def test_messages_that_nobody_asked_about_are_left_out() -> None:
    answer = [b"1 (UID 5 RFC822.SIZE 1)", b"2 (UID 6 RFC822.SIZE 1)", b"3 (UID 7 FLAGS ())"]
    assert [each.uid for each in reading.described(_connection(*answer), [6, 7], NOW)] == [6]


@pytest.mark.costly
@given(st.sets(st.integers(1, 60), min_size=1))
def test_a_set_of_uids_says_which(uids: set[int]) -> None:
    told: set[int] = set()
    for part in uid_set(uids).split(","):
        first, _colon, last = part.partition(":")
        told |= set(range(int(first), int(last or first) + 1))
    assert told == uids


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("INBOX", "INBOX"),
        ("A & B", "A &- B"),
        ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # the example of RFC 3501
        ("Отзывы", "&BB4EQgQ3BEsEMgRL-"),
    ],
)
def test_a_folders_name_is_written_as_imap_has_it(name: str, written: str) -> None:
    assert modified_utf7(name) == written


@pytest.mark.slow
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20))
def test_any_folders_name_can_be_written(name: str) -> None:
    written = modified_utf7(name)
    assert written.isascii()
    assert written.isprintable()


@pytest.mark.costly
@given(st.lists(st.integers(0, 3 * reading.BATCH_BYTES), max_size=30), st.booleans())
def test_batches_leave_nothing_out_and_are_never_too_large(sizes: list[int], one_by_one: bool) -> None:
    limit = reading.BATCH_BYTES // 3
    waiting = [Waiting(uid, size, NOW) for uid, size in enumerate(sizes, 1)]
    made = list(batches(waiting, limit, one_by_one=one_by_one))
    assert [each for batch in made for each in batch] == waiting
    assert all(sum(min(each.size, limit) for each in batch) <= reading.BATCH_BYTES for batch in made)
    assert not one_by_one or all(len(batch) == 1 for batch in made)


@pytest.mark.parametrize(
    ("folder", "another"),
    [
        (Folder(7, 11, 3), False),
        (Folder(8, 11, 3), True),  # made anew
        (Folder(7, 5, 3), True),  # numbered anew, without a word
        (Folder(7, None, 3), False),
    ],
)
def test_a_folder_that_was_made_anew_is_another(folder: Folder, another: bool) -> None:
    assert folder.is_another(7, 10) is another


def test_a_folder_nothing_was_read_of_is_new() -> None:
    assert Folder(7, 11, 3).is_another(None, None)


def test_imaplib_still_has_what_is_replaced() -> None:
    # Should a later Python call other methods for the socket, nothing of the limits would hold.
    assert {"open", "read", "readline", "send", "shutdown"} <= set(vars(imaplib.IMAP4))
