"""DKIM keys through their states: what each allows, and that one of a type signs for a domain at most."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from coldsend.config.secrets import KeyRing
from coldsend.database.dialect import IDLE_SECONDS
from coldsend.database.engine import Connection, Database
from coldsend.domain.dkim import Algorithm, DkimKey, KeyStatus
from coldsend.errors import WrongState
from coldsend.installation import dkim
from coldsend.stores import dkim_keys
from tests.composing import keys
from tests.stores.rows import NOON, add_service

RING = KeyRing([b"k" * 32])
NEW, ACTIVE, RETIRED = KeyStatus.NEW, KeyStatus.ACTIVE, KeyStatus.RETIRED


def add(database: Database, selector: str, algorithm: Algorithm = Algorithm.RSA) -> DkimKey:
    with database.begin() as connection:
        return dkim.add(connection, RING, "example.com", selector, keys.pair(algorithm), NOON)


def put(database: Database, status: KeyStatus) -> DkimKey:
    """A key in this state."""
    key = add(database, status)
    with database.begin() as connection:
        if status is not NEW:
            key, _before = dkim.activate(connection, key, NOON)
        return dkim.retire(connection, key, NOON) if status is RETIRED else key


def statuses(database: Database) -> dict[str, KeyStatus]:
    with database.read() as connection:
        return {key.selector: key.status for key in dkim_keys.listed(connection)}


@pytest.mark.parametrize(
    ("status", "deed", "then"),
    [
        (NEW, "activate", ACTIVE),
        (NEW, "retire", None),
        (NEW, "remove", "gone"),
        (ACTIVE, "activate", None),
        (ACTIVE, "retire", RETIRED),
        (ACTIVE, "remove", None),
        (RETIRED, "activate", ACTIVE),
        (RETIRED, "retire", None),
        (RETIRED, "remove", "gone"),
    ],
)
def test_each_state_allows_what_the_table_says(
    database: Database, status: KeyStatus, deed: str, then: KeyStatus | str | None
) -> None:
    key = put(database, status)

    def work(connection: Connection) -> None:
        if deed == "remove":
            dkim.remove(connection, key)
        else:
            getattr(dkim, deed)(connection, key, NOON)

    if then is None:
        with pytest.raises(WrongState), database.begin() as connection:
            work(connection)
        assert statuses(database) == {status: status}
        return
    with database.begin() as connection:
        work(connection)
    assert statuses(database) == ({} if then == "gone" else {status: then})


def test_activating_retires_the_key_before_of_its_type_only(database: Database) -> None:
    for selector, algorithm in (("r1", Algorithm.RSA), ("r2", Algorithm.RSA), ("e", Algorithm.ED25519)):
        key = add(database, selector, algorithm)
        with database.begin() as connection:
            dkim.activate(connection, key, NOON)
    assert statuses(database) == {"r1": RETIRED, "r2": ACTIVE, "e": ACTIVE}


def test_a_key_that_comes_back_is_no_longer_marked_as_retired(database: Database) -> None:
    key = put(database, RETIRED)
    assert key.retired_at == NOON
    later = NOON + timedelta(hours=1)
    with database.begin() as connection:
        again, _before = dkim.activate(connection, key, later)
    assert (again.retired_at, again.activated_at) == (None, later)


def test_two_keys_activated_at_the_same_moment_leave_one(database: Database) -> None:
    pair = [add(database, selector) for selector in ("one", "two")]
    both_ready = threading.Barrier(2)

    def activate(key: DkimKey) -> None:
        both_ready.wait(timeout=120)
        database.run(lambda connection: dkim.activate(connection, key, NOON))

    threads = [threading.Thread(target=activate, args=(key,)) for key in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(statuses(database).values()) == [ACTIVE, RETIRED]


def test_who_activates_while_another_does_waits_for_the_other(mariadb_url: str) -> None:
    database = Database(mariadb_url)
    one, two = (add(database, selector) for selector in ("one", "two"))
    later = threading.Thread(target=lambda: database.run(lambda c: dkim.activate(c, two, NOON)))
    with database.engine.begin() as connection:
        dkim.activate(connection, one, NOON)
        later.start()
        waiting = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        # The server ends a transaction that does nothing for IDLE_SECONDS.
        deadline = time.monotonic() + IDLE_SECONDS / 2
        while later.is_alive() and time.monotonic() < deadline:
            with database.read() as other:
                if other.exec_driver_sql(waiting).first():
                    break
            time.sleep(0.15)  # asked more often than ten times a second, the server gives its last answer
    later.join(timeout=120)
    assert statuses(database) == {"one": RETIRED, "two": ACTIVE}
    database.dispose()


def test_the_private_key_opens_as_it_was_sealed(database: Database) -> None:
    key = add(database, "one")
    assert dkim_keys.private_pem(key, RING) == keys.pair().private_pem
    assert "PRIVATE" not in str(key.sealed)


def test_it_is_known_which_services_a_key_signs_for(database: Database) -> None:
    for name, sender in (
        ("main", "a@example.com"),
        ("below", "a@x.example.com"),
        ("other", "a@other.example"),
    ):
        add_service(database, name, type="smtp", from_email=sender)
    key = put(database, ACTIVE)
    with database.read() as connection:
        assert dkim.signing(connection) == {key.id: ["main", "below"]}
        assert dkim.left_unsigned(connection, key) == ["main", "below"]
        assert [one.id for one in dkim.in_use(connection)] == [key.id]
        assert [finding.subject for finding in dkim.unsigned(connection)] == ["service 'other'"]


def test_services_that_another_key_signs_for_are_not_left_unsigned(database: Database) -> None:
    add_service(database, type="smtp", from_email="a@example.com")
    key = put(database, ACTIVE)
    other = add(database, "e", Algorithm.ED25519)
    with database.begin() as connection:
        dkim.activate(connection, other, NOON)
        assert dkim.left_unsigned(connection, key) == []
