"""MariaDB in trouble while real processes send: nobody twice, nobody lost, and it goes on by itself."""

from __future__ import annotations

import contextlib
import itertools
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql
import pytest
import sqlalchemy as sa

from coldsend.database import migrate
from coldsend.database.engine import Database
from tests.acceptance.scenario import Scenario
from tests.conftest import Project
from tests.faults.sending import WORKERS, Sending, until
from tests.faults.small_disk import small_disk
from tests.servers.mariadb import MariaDB
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

RECIPIENTS = 2_000
LEASE = 8.0
TOO_MANY, DEADLOCK = 1040, 1213
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    """A server of our own, durable, that tests may kill."""
    made = MariaDB(durable=True)
    yield made
    made.remove()


@pytest.fixture
def installation(mariadb: MariaDB, tmp_path: Path) -> Iterator[Scenario]:
    with installed(mariadb, tmp_path) as made:
        yield made
    mariadb.execute(f"DROP DATABASE {made.project.database.url.database}")


@contextmanager
def installed(mariadb: MariaDB, folder: Path) -> Iterator[Scenario]:
    """An installation on that server; its user has the rights docs/schema.md gives, and no more."""
    name = f"faults_{next(_numbers)}"
    mariadb.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    mariadb.execute("CREATE OR REPLACE USER plain@'127.0.0.1' IDENTIFIED BY 'first'")
    mariadb.execute(f"GRANT ALL PRIVILEGES ON {name}.* TO plain@'127.0.0.1'")
    url = f"mysql://plain:first@127.0.0.1:{mariadb.port}/{name}"
    database = Database(url)
    migrate.upgrade(database)
    database.dispose()
    project = Project(folder, url)
    made = Scenario(project)
    try:
        yield made
    finally:
        made.close()
        project.database.dispose()


def disconnect(mariadb: MariaDB) -> None:
    """End the connections coldsend has open: they keep the rights they were opened with."""
    with mariadb._root() as root, root.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'plain'")
        for (number,) in cursor.fetchall():
            with contextlib.suppress(pymysql.err.OperationalError):  # it has ended meanwhile
                cursor.execute(f"KILL {number}")


def test_restarted_in_order_and_killed_twice(
    installation: Scenario, mariadb: MariaDB, server: RecordingServer
) -> None:
    sending = Sending(installation, server, RECIPIENTS)
    for kill in (False, True, True):
        sending.more(200)
        mariadb.stop(kill=kill)
        sending.until_quiet()
        mariadb.start()
    sending.until_ended()
    sending.assert_intact(foreseen=["database_back"])


def test_a_server_that_is_frozen_for_longer_than_a_lease(
    installation: Scenario, mariadb: MariaDB, server: RecordingServer
) -> None:
    """Nothing is sent once the lease may be over; nobody is declared dead for what nobody could see."""
    sending = Sending(installation, server, RECIPIENTS, lease=LEASE)
    sending.wait_for(300)
    assert mariadb.process is not None
    mariadb.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        until(lambda: time.monotonic() > stopped + LEASE, "the lease is over")
        quiet = server.taken()
        until(lambda: time.monotonic() > stopped + 1.5 * LEASE, "one and a half leases are over")
        assert server.taken() == quiet
    finally:
        mariadb.process.send_signal(signal.SIGCONT)
    sending.until_ended()
    sending.assert_intact()
    assert sending.events("worker_declared_dead") == []


def test_connections_killed_again_and_again(
    installation: Scenario, mariadb: MariaDB, server: RecordingServer
) -> None:
    sending = Sending(installation, server, RECIPIENTS)
    sending.wait_for(200)
    killed = 0
    with mariadb._root() as root, root.cursor() as cursor:
        for _ in range(15):
            cursor.execute("SELECT id, command FROM information_schema.processlist WHERE user = 'plain'")
            for number, command in cursor.fetchall():
                with contextlib.suppress(pymysql.err.OperationalError):  # it has ended meanwhile
                    # Both ways: the connection, or only what it is doing.
                    cursor.execute(f"KILL {'QUERY' if command == 'Query' else 'CONNECTION'} {number}")
                    killed += 1
            time.sleep(0.2)  # a few turns between two massacres
    assert killed >= 10
    sending.until_ended()
    sending.assert_intact()


def test_too_many_connections(installation: Scenario, mariadb: MariaDB, server: RecordingServer) -> None:
    """max_connections is reached by somebody else, and coldsend's own connections are gone."""
    sending = Sending(installation, server, RECIPIENTS)
    sending.wait_for(300)
    mariadb.execute("CREATE OR REPLACE USER hog@'127.0.0.1'")
    hogs: list[pymysql.Connection] = []  # type: ignore[type-arg]
    with mariadb._root() as root, root.cursor() as cursor:
        cursor.execute("SET GLOBAL max_connections = 10")
        try:
            until(lambda: _hogged(mariadb, cursor, hogs, sending), "both senders are shut out")
            sending.until_quiet()
        finally:
            cursor.execute("SET GLOBAL max_connections = 200")
            for hog in hogs:
                hog.close()
    sending.until_ended()
    sending.assert_intact(foreseen=["database_back"])


def _hogged(
    mariadb: MariaDB,
    root: pymysql.cursors.Cursor,
    hogs: list[pymysql.Connection],  # type: ignore[type-arg]
    sending: Sending,
) -> bool:
    """Take every connection there is, and end those of coldsend; whether its senders have noticed."""
    try:
        while True:
            hogs.append(pymysql.connect(host="127.0.0.1", port=mariadb.port, user="hog"))
    except pymysql.err.OperationalError as error:
        if error.args[0] != TOO_MANY:
            raise
    root.execute("SELECT id FROM information_schema.processlist WHERE user = 'plain'")
    for (number,) in root.fetchall():
        with contextlib.suppress(pymysql.err.OperationalError):  # it has ended meanwhile
            root.execute(f"KILL {number}")
    return sending.away("Too many connections") >= WORKERS


def test_rights_that_are_taken_away_and_given_back(
    installation: Scenario, mariadb: MariaDB, server: RecordingServer
) -> None:
    """The log says what the server says; once a person has mended it, all goes on without a restart."""
    database = installation.project.database.url.database
    sending = Sending(installation, server, RECIPIENTS)
    # No more than these three: an event that comes often within a minute is held back in the log.
    for said, spoil, mend in [
        ("using password", "ALTER USER plain@'127.0.0.1' IDENTIFIED BY 'second'",
         "ALTER USER plain@'127.0.0.1' IDENTIFIED BY 'first'"),
        ("UPDATE command denied", f"REVOKE UPDATE ON {database}.* FROM plain@'127.0.0.1'",
         f"GRANT UPDATE ON {database}.* TO plain@'127.0.0.1'"),
        ("read-only", "SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"),
    ]:  # fmt: skip
        sending.more(200)
        mariadb.execute(spoil)
        try:
            if said != "read-only":
                disconnect(mariadb)
            sending.until_away(said)
            sending.until_quiet()
        finally:
            mariadb.execute(mend)
    sending.until_ended()
    sending.assert_intact()
    assert "second" not in sending.log()


def test_deadlocks(installation: Scenario, mariadb: MariaDB, server: RecordingServer) -> None:
    """A heavier transaction locks quota and rows in the other order: the worker's is the one undone."""
    sending = Sending(installation, server, RECIPIENTS, latency=0.05)
    rival = pymysql.connect(
        unix_socket=f"{mariadb.folder}/s.sock",
        user="root",
        database=installation.project.database.url.database,
    )
    victims = lost = 0
    with rival, rival.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 60")
        cursor.execute("CREATE TABLE ballast (id INT PRIMARY KEY)")
        sending.wait_for(100)
        before = deadlocks(mariadb)
        while victims < 3:
            cursor.execute("BEGIN")
            # InnoDB undoes the transaction that has changed less.
            cursor.execute("INSERT INTO ballast SELECT seq FROM seq_1_to_5000")
            try:
                cursor.execute("SELECT * FROM sender_quota FOR UPDATE")
                until(lambda: waiting(mariadb) >= 1, "a worker waits for the quota", pause=0.15)
                cursor.execute("SELECT id FROM task_contacts WHERE status = 'sending' FOR UPDATE")
            except pymysql.err.OperationalError as error:
                if error.args[0] != DEADLOCK:
                    raise
                lost += 1
            cursor.execute("ROLLBACK")
            victims = deadlocks(mariadb) - before - lost
    sending.until_ended()
    sending.assert_intact()
    assert sending.events("database_away") == [], "a deadlock is no outage"


def deadlocks(mariadb: MariaDB) -> int:
    with mariadb._root() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
        found = cursor.fetchone()
        assert found is not None
        return int(found[1])


def waiting(mariadb: MariaDB) -> int:
    """Transactions that wait for a lock; not news within a tenth of a second."""
    with mariadb._root() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")
        found = cursor.fetchone()
        assert found is not None
        return int(found[0])


def test_lock_wait_timeouts(installation: Scenario, mariadb: MariaDB, server: RecordingServer) -> None:
    mariadb.execute("SET GLOBAL innodb_lock_wait_timeout = 1")
    try:
        sending = Sending(installation, server, RECIPIENTS)
        sending.wait_for(300)
        timeouts = 0
        held = installation.project.database.engine.connect()
        with held, held.begin():
            held.execute(sa.text("SELECT * FROM sender_quota FOR UPDATE")).all()
            sending.until_quiet()
            began = time.monotonic()
            while time.monotonic() < began + 2.5 or timeouts <= 5:  # longer than they may wait for a lock
                assert time.monotonic() < began + 120, "workers waited for locks"
                timeouts += waiting(mariadb)
                time.sleep(0.2)
        sending.until_ended()
        sending.assert_intact()
    finally:
        mariadb.execute("SET GLOBAL innodb_lock_wait_timeout = 50")


def back(mariadb: MariaDB, sending: Sending) -> bool:
    """Whether the senders have it back; a server that has ended is started again."""
    assert mariadb.process is not None
    if mariadb.process.poll() is not None:
        mariadb.stop()
        mariadb.start()
    return len(sending.events("database_back")) >= WORKERS


def test_a_disk_that_is_full(tmp_path: Path, server: RecordingServer) -> None:
    """Tables first, then the redo log: MariaDB may end itself, and is started again once there is room."""
    # Not in tmp_path: the server's own user must get there.
    with tempfile.TemporaryDirectory() as above, small_disk(Path(above) / "disk", 320) as disk:
        Path(above).chmod(0o755)
        mariadb = MariaDB(durable=True, where=str(disk.folder), log_megabytes=16)
        try:
            with installed(mariadb, tmp_path) as installation:
                sending = Sending(installation, server, RECIPIENTS)
                sending.wait_for(300)
                disk.fill()
                sending.until_away()
                # A server whose log has no room left ends itself, and may do so before it has told anybody.
                assert mariadb.process is not None
                assert sending.away("full") >= 1 or mariadb.process.poll() is not None, sending.log()
                disk.make_room()
                until(lambda: back(mariadb, sending), "the database is back", log=sending.log)
                sending.until_ended()
                sending.assert_intact(foreseen=["database_back"])
        finally:
            mariadb.remove()
