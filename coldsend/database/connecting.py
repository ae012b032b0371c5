"""Connections to MySQL and MariaDB servers: the first of several hosts that is ready to work.

A server that takes a connection and then says nothing (it hangs, or its machine does) costs no more than the
connect time-out: the driver itself would wait for the greeting as long as for the longest query. Of a
Galera cluster only nodes of the primary component are taken, and one that hands its data to another node
only where there is none that is free.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import pymysql
from pymysql.constants import CR, FIELD_TYPE
from pymysql.converters import conversions, convert_datetime

NOT_READY = 1047
_SYNCED = "4"  # wsrep_local_state

Address = tuple[str, int]


def moment(text: str) -> datetime | str:
    """A time as the server writes it: what the driver makes of it, at a tenth of the cost."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        kept: datetime | str = convert_datetime(text)  # no time at all, as 0000-00-00
        return kept


CONVERSIONS = {**conversions, FIELD_TYPE.DATETIME: moment, FIELD_TYPE.TIMESTAMP: moment}


def connector(addresses: Sequence[Address], timeout: float) -> Callable[..., Any]:
    """A listener for SQLAlchemy's ``do_connect``; it connects to the first of ``addresses`` that is ready."""

    def connect(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> Any:
        if len(addresses) == 1:
            return _open(addresses[0], parameters, timeout)
        return _first_ready(addresses, parameters, timeout)

    return connect


def _first_ready(addresses: Sequence[Address], parameters: dict[str, Any], timeout: float) -> Any:
    busy: Any = None
    errors: list[pymysql.err.Error] = []
    for address in addresses:
        try:
            connection = _open(address, parameters, timeout)
            ready, free = _state(connection)
        except pymysql.err.Error as error:
            errors.append(error)
            continue
        if ready and free:
            _close(busy)
            return connection
        if ready and busy is None:
            busy = connection
            continue
        _close(connection)
        if not ready:
            errors.append(pymysql.err.OperationalError(NOT_READY, f"{address[0]}:{address[1]} is not ready"))
    if busy is not None:
        return busy
    raise _the_one_to_tell(errors)


def _the_one_to_tell(errors: Sequence[pymysql.err.Error]) -> pymysql.err.Error:
    """What a person can mend (a wrong password), else all of them in one."""
    away = {CR.CR_CONN_HOST_ERROR, NOT_READY}
    mendable = [error for error in errors if error.args[0] not in away]
    if mendable:
        return mendable[0]
    return pymysql.err.OperationalError(errors[0].args[0], "; ".join(str(error.args[-1]) for error in errors))


def _open(address: Address, parameters: dict[str, Any], timeout: float) -> Any:
    host, port = address
    connection = _unopened({**parameters, "host": host, "port": port, "defer_connect": True})
    try:
        greeted = _greeted(address, timeout)
    except OSError as error:
        raise pymysql.err.OperationalError(
            CR.CR_CONN_HOST_ERROR, f"Can't connect to MySQL server on '{host}:{port}' ({error})"
        ) from error
    try:
        connection.connect(greeted)
    except BaseException:
        greeted.close()
        raise
    return connection


def _unopened(parameters: dict[str, Any]) -> Any:
    """A connection that is not made yet: encrypted where the server can, unless more is said of TLS.

    In the URL (``ssl_ca`` ..), or in the file of options that it names (``read_default_file``).
    """
    if any(name.startswith(("ssl", "read_default")) for name in parameters):
        return pymysql.connect(**parameters)
    # What the driver does by itself, but for loading every authority each time, to believe none in the end.
    connection: Any = pymysql.connect(**parameters, ssl_disabled=True)
    connection.ssl, connection.ctx = True, _unverified()
    return connection


@cache
def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _greeted(address: Address, timeout: float) -> socket.socket:
    """A socket on which the server has begun to speak, as it does of itself."""
    opened = socket.create_connection(address, timeout)
    try:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        greeted = bool(select.select([opened], [], [], timeout)[0])
    except BaseException:
        opened.close()
        raise
    if not greeted:
        opened.close()
        raise TimeoutError(f"no greeting within {timeout:g} s")
    return opened


def _state(connection: Any) -> tuple[bool, bool]:
    """(whether it takes statements, whether it does nothing else); a server of no cluster is both."""
    if not in_cluster(connection):
        return True, True
    with connection.cursor() as cursor:
        cursor.execute("SHOW STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state')")
        status = dict(cursor.fetchall())
    return status.get("wsrep_ready") == "ON", status.get("wsrep_local_state") == _SYNCED


def in_cluster(connection: Any) -> bool:
    """Whether this server is a node of a Galera cluster."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
        return dict(cursor.fetchall()).get("wsrep_on") == "ON"


def _close(connection: Any) -> None:
    if connection is not None:
        with contextlib.suppress(pymysql.err.Error):
            connection.close()
