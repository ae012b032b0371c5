"""Each message is taken once, whoever reads beside us and whatever is killed."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.database.tables import inbox_messages, mailboxes, task_contacts
from coldsend.errors import Unreachable
from coldsend.inbox import storing
from coldsend.stores import mailboxes as store
from tests.inbox.post import Post, mail

pytestmark = pytest.mark.servers


def test_a_mailbox_that_another_process_reads_is_left_alone(post: Post) -> None:
    added = post.add_mailbox()
    [row] = post.sent()
    post.put(post.reply(row))
    with post.database.begin() as connection:
        until, ours = store.take_lease(connection, added["id"], clock.now(), 60)
    assert ours
    polled = post.poll()
    assert (polled.state, polled.busy_until) == ("busy", until)
    assert post.traces() == 0
    with post.database.begin() as connection:
        store.give_lease_back(connection, added["id"], until, clock.now())
    assert post.poll().read == 1


def test_a_lease_that_ran_out_is_taken_over_and_cannot_be_renewed(post: Post) -> None:
    mailbox_id = post.add_mailbox()["id"]
    now = post.began
    with post.database.begin() as connection:
        until, _ours = store.take_lease(connection, mailbox_id, now, 60)
        renewed = store.renew_lease(connection, mailbox_id, until, now.replace(microsecond=1), 90)
        assert renewed is not None
        taken, ours = store.take_lease(connection, mailbox_id, renewed, 60)
        assert ours
        assert store.renew_lease(connection, mailbox_id, renewed, renewed, 60) is None
        assert store.take_lease(connection, mailbox_id, taken.replace(microsecond=0), 60) == (taken, False)


def test_of_two_that_read_at_once_all_the_same_one_gives_way(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.add_mailbox()
    rows = post.sent(6)
    post.put(*(post.reply(row) for row in rows))
    take = storing.take
    others: list[Any] = []

    def slow(*arguments: Any) -> Any:
        if len(others) == 0 and arguments[2].waiting.uid == 3:
            # The process was asleep for long: its lease has run out, and another has read on.
            others.append(None)
            others[0] = post.poll(now=lambda: clock.now() + timedelta(seconds=61))
        return take(*arguments)

    monkeypatch.setattr("coldsend.inbox.polling.take", slow)
    assert post.poll().state == "busy"
    assert others[0].kinds.total() == 4
    assert post.stored() == [("reply", row) for row in rows]
    assert Counter(post.events()) == {"reply": 6}


def test_what_breaks_off_in_a_message_leaves_nothing_of_it(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.add_mailbox()
    first, second = post.sent(2)
    post.put(post.reply(first), post.reply(second))
    apply = storing.apply
    with monkeypatch.context() as patch:

        def away(connection: Any, items: Any, *rest: Any) -> Any:
            applied = apply(connection, items, *rest)
            if items[0].row_id == second:
                raise Unreachable("the database went away")
            return applied

        patch.setattr(storing, "apply", away)
        with pytest.raises(Unreachable):
            post.poll()
    assert post.stored() == [("reply", first)]
    assert post.events() == ["reply"]
    assert post.all(mailboxes)[0]["consecutive_errors"] == 0  # it is no fault of the mailbox
    assert post.poll().read == 1
    assert post.stored() == [("reply", first), ("reply", second)]
    assert [row["uid"] for row in post.all(inbox_messages)] == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(  # SQLite lets one write at a time
    "database_url", ["mariadb", pytest.param("sqlite", marks=pytest.mark.soak)], indirect=True
)
def test_killed_again_and_again_each_message_is_taken_once(post: Post) -> None:
    post.add_mailbox()
    rows = post.sent(60)
    post.put(*(part for row in rows for part in (post.reply(row), mail("See you at noon."))))
    killed_after = [len(post.stored())]
    for _ in range(4):
        enough = killed_after[-1] + 4
        with _no_further_than(post, rows[enough + 8]):
            process = _reading(post, lease_ran_out=len(killed_after))
            wait_until(lambda at_least=enough: len(post.stored()) >= at_least)  # type: ignore[misc]
            process.kill()
            process.wait()
        killed_after.append(len(post.stored()))
    assert killed_after[-1] < len(rows)
    assert _reading(post, lease_ran_out=5).wait(240) == 0
    assert post.stored() == [("reply", row) for row in rows]
    assert Counter(post.events()) == {"reply": len(rows)}


@contextmanager
def _no_further_than(post: Post, row_id: int) -> Iterator[None]:
    """However late this process notices: none that reads comes past this row. On SQLite all might."""
    if post.database.dialect_name == "sqlite":
        yield
        return
    with post.database.engine.connect() as connection, connection.begin():
        locked = sa.select(task_contacts.c.id).where(task_contacts.c.id == row_id).with_for_update()
        assert connection.execute(locked).scalar_one() == row_id
        yield


def _reading(post: Post, *, lease_ran_out: int) -> subprocess.Popen[str]:
    """A process that reads, so many leases after now."""
    shift = post.project.write("clock", str(61 * lease_ran_out))
    variable = {"COLDSEND_TEST_CLOCK": str(shift)}
    options = ["--config", str(post.project.config)]
    return post.project.start("inbox", "poll", *options, environ=variable, stdout=subprocess.DEVNULL)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)
