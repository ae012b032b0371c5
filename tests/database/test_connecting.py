"""Which of several hosts is connected to, and what is said where none is."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymysql.constants.CLIENT import CAPABILITIES as DRIVERS
from pymysql.constants.CLIENT import SSL
from pymysql.converters import convert_datetime

from coldsend.database import revision
from coldsend.database.connecting import moment
from coldsend.database.engine import Database, parse_url, shown_url
from coldsend.errors import Unreachable
from tests.servers.certificates import Authority
from tests.servers.ports import free_port

CAPABILITIES = DRIVERS & ~SSL


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says anything, as one does that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def first_words(url: str, capabilities: int) -> bytes:
    """What a client says first to a server that can do this; the server hangs up then."""
    told = struct.pack("<H", capabilities & 0xFFFF) + b"\x2d\x02\x00" + struct.pack("<H", capabilities >> 16)
    greeting = b"\x0a8.0.0\0" + bytes(4) + b"saltsalt\0" + told + b"\x15" + bytes(10) + b"saltsaltsalt\0"
    greeting += b"mysql_native_password\0"
    heard: list[bytes] = []

    def serve() -> None:
        with server.accept()[0] as peer:
            peer.sendall(struct.pack("<I", len(greeting)) + greeting)
            heard.append(peer.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        database = Database(url.format(port=server.getsockname()[1]), connect_timeout=60)
        with pytest.raises(Unreachable):
            revision.status(database)
        database.dispose()
        thread.join()
    return heard[0]


def behind(url: str, *ports: int) -> str:
    """The same database, named after these ports of this host."""
    before, _, after = url.rpartition("@")
    return f"{before}@{','.join(f'127.0.0.1:{port}' for port in ports)},{after}"


def test_the_next_host_is_taken_where_one_is_away_or_hangs(mariadb_url: str, silent_port: int) -> None:
    database = Database(behind(mariadb_url, free_port(), silent_port), connect_timeout=3)
    started = time.monotonic()
    assert revision.status(database).is_current
    assert time.monotonic() - started < 60, "an answer is waited for for minutes"
    database.dispose()


@pytest.mark.costly
def test_a_server_that_never_greets_costs_the_connect_time_out_and_no_more(silent_port: int) -> None:
    database = Database(f"mysql://u:p@127.0.0.1:{silent_port}/x", connect_timeout=1)
    started = time.monotonic()
    with pytest.raises(Unreachable, match="no greeting within 1 s"):
        revision.status(database)
    assert time.monotonic() - started < 60, "an answer is waited for for minutes"
    database.dispose()


def test_every_host_is_named_where_none_can_be_reached() -> None:
    first, second = free_port(), free_port()
    database = Database(f"mysql://u:p@127.0.0.1:{first},127.0.0.1:{second}/x", connect_timeout=1)
    with pytest.raises(Unreachable) as raised:
        revision.status(database)
    assert f"127.0.0.1:{first}'" in raised.value.message
    assert f"127.0.0.1:{second}'" in raised.value.message
    database.dispose()


def test_a_wrong_password_is_said_rather_than_that_another_host_is_away(mariadb_url: str) -> None:
    where = mariadb_url.rpartition("@")[2]
    database = Database(f"mysql://nobody:wrong@127.0.0.1:{free_port()},{where}", connect_timeout=60)
    with pytest.raises(Unreachable, match=r"Access denied .*1045"):
        revision.status(database)
    database.dispose()


@pytest.mark.parametrize("can_encrypt", [True, False])
def test_what_is_said_is_encrypted_where_the_server_can(*, can_encrypt: bool) -> None:
    said = first_words("mysql://u:secret@127.0.0.1:{port}/d", CAPABILITIES | (SSL if can_encrypt else 0))
    assert (said[:4] == b"\x20\0\0\1") == can_encrypt, "a request to encrypt has 32 octets and no name"
    assert (b"u\0" in said) != can_encrypt


@pytest.mark.parametrize("demand", ["ssl_verify_cert=true", "read_default_file={options}"])
def test_a_server_that_cannot_encrypt_is_told_nothing_where_the_url_demands_it(
    tmp_path: Path, demand: str
) -> None:
    options = tmp_path / "my.cnf"
    options.write_text(f"[client]\nssl-ca={Authority(tmp_path).ca_file}\n")
    url = "mysql://u:secret@127.0.0.1:{port}/d?" + demand.format(options=options)
    assert first_words(url, CAPABILITIES) == b""


def test_an_answer_that_does_not_come_ends_the_connection(mariadb_url: str) -> None:
    database = Database(mariadb_url, answer_timeout=1)
    with pytest.raises(Unreachable, match="2013"), database.read() as connection:
        connection.exec_driver_sql("SELECT SLEEP(30)")
    database.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:***@a/d",
        "mysql://u:***@a:1,b/d",
        "mysql://u:***@a,b:2,[::1]:3/d",
        "mysql://u:***@[::1]:1,b/d",
    ],
)
def test_a_url_is_shown_as_it_was_written_without_its_password(url: str) -> None:
    assert shown_url(parse_url(url.replace("***", "secret,x"))) == url


@pytest.mark.parametrize(
    "text",
    ["2031-03-30 01:59:59", "2031-03-30 01:59:59.123457", "0000-00-00 00:00:00", "2031-02-31 10:00:00"],
)
def test_a_time_is_read_as_the_driver_reads_it(text: str) -> None:
    assert moment(text) == convert_datetime(text)
