"""Connections and transactions.

One :class:`Database` per process. Work that writes is a function of a Connection handed to
:meth:`Database.run`, which commits, and runs the *whole* function again when the database asks for it
(deadlock, certification conflict, lock wait); so such functions must not send, print or count anything.
Reads that need no lock go through :meth:`Database.read`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from coldsend import clock, meter
from coldsend.config import hosts
from coldsend.database import administration, dialect
from coldsend.errors import ChangedMeanwhile, InvalidInput, Unreachable

T = TypeVar("T")

RETRIES = 8
LOOKS = 4  # at something that others change at the same moment
PATIENCE = 20.0  # seconds after which nothing is repeated any more: somebody holds locks for long
_AS_URI = "file:"
_SOME_HOST = "host.of.several.invalid"


class Database:
    """An engine with coldsend's transaction rules. Cheap to create; connects on first use."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        connect_timeout: float = 10.0,
        answer_timeout: float = dialect.ANSWER_SECONDS,
    ) -> None:
        """Seconds: connect_timeout until a server greets, answer_timeout until a statement is answered."""
        self.url = parse_url(url)
        self.engine = dialect.create_engine(
            self.url, pool_size=pool_size, connect_timeout=connect_timeout, answer_timeout=answer_timeout
        )

    @property
    def dialect_name(self) -> str:
        return self.engine.dialect.name

    def display_url(self) -> str:
        """The URL as people write it, without its password."""
        return shown_url(self.url)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One writing transaction, committed at the end. Not repeated by itself: prefer :meth:`run`."""
        with self.errors_translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def schema_change(self) -> Iterator[Connection]:
        """A transaction for migrations; a second one on this database waits for the first."""
        with self.errors_translated(), administration.schema_change(self.engine) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; takes no write lock on any database."""
        with self.errors_translated(), self.engine.connect() as connection:
            reader = connection.execution_options(coldsend_readonly=True)
            with reader.begin():
                yield reader

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction and commit; repeat it whole where the database says so, or where it
        has met a change that others made at the same moment."""
        began = clock.monotonic()
        for attempt in range(RETRIES):
            try:
                with self.engine.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if dialect.already_there(error) and attempt + 1 < LOOKS:
                    continue  # the next look finds it, and says so in its own words
                hopeful = attempt + 1 < RETRIES and clock.monotonic() - began < PATIENCE
                if hopeful and dialect.must_repeat(error):
                    meter.transaction_repeated(dialect.error_code(error))
                    time.sleep(random.uniform(0, 0.02 * 2**attempt))
                    continue
                raise self.translated(error) from error
            except ChangedMeanwhile:
                if attempt + 1 >= LOOKS:
                    raise
        raise AssertionError("unreachable")

    def dispose(self) -> None:
        self.engine.dispose()

    @contextmanager
    def errors_translated(self) -> Iterator[None]:
        """Errors of the driver leave it as those of :mod:`coldsend.errors` where they are the database's."""
        try:
            yield
        except DBAPIError as error:
            raise self.translated(error) from error

    def translated(self, error: DBAPIError) -> Exception:
        """An Unreachable where the server is away or the schema missing; else the error itself."""
        if dialect.schema_missing(error):
            return Unreachable(
                f"the database {self.display_url()} lacks a table or column that this version needs",
                hint="run: coldsend db upgrade",
            )
        if dialect.unusable(error):
            return Unreachable(self.trouble(error), hint=dialect.way_out(error))
        return error

    def trouble(self, error: DBAPIError) -> str:
        """What the server said, as people and logs are told: the same words for the same thing."""
        return f"the database {self.display_url()} cannot be used: {dialect.reason(error)}"


def parse_url(text: str) -> URL:
    """A SQLAlchemy URL from what people write: mysql://, mariadb:// and sqlite:/// are understood.

    Several hosts, the nodes of a cluster, are separated by commas.
    """
    try:
        first, others = hosts.split(text)
        url = make_url(first)
    except (ArgumentError, ValueError) as error:
        raise InvalidInput(
            "the database URL cannot be read",
            hint="examples: sqlite:///coldsend.db  mysql://user:password@localhost:3306/coldsend",
        ) from error
    backend = url.get_backend_name()
    if backend in {"mysql", "mariadb"}:
        url = url.set(drivername="mysql+pymysql")
        return url.update_query_dict({dialect.OTHER_HOSTS: others}) if others else url
    if backend == "sqlite":
        timeout = str(url.query.get(dialect.BUSY_TIMEOUT, "0"))
        if not timeout.replace(".", "", 1).isdecimal():
            raise InvalidInput(
                f"timeout={timeout} in the database URL is no number",
                hint="the seconds to wait for a lock: sqlite:///coldsend.db?timeout=30",
            )
        return url.set(drivername="sqlite")
    raise InvalidInput(
        f"databases of type {backend!r} are not supported",
        hint="use sqlite:///FILE or mysql://USER:PASSWORD@HOST:PORT/NAME",
    )


def shown_url(url: URL) -> str:
    """A URL of :func:`parse_url` as people write it, without its password."""
    others = url.query.get(dialect.OTHER_HOSTS)
    plain = url.set(drivername=url.get_backend_name()).difference_update_query([dialect.OTHER_HOSTS])
    if not others:
        return plain.render_as_string(hide_password=True)
    first = f"[{url.host}]" if ":" in (url.host or "") else url.host
    if url.port:
        first = f"{first}:{url.port}"
    one = URL.create(
        plain.drivername, plain.username, plain.password, _SOME_HOST, None, plain.database, plain.query
    ).render_as_string(hide_password=True)
    return one.replace(_SOME_HOST, f"{first},{','.join(dialect.hosts_of(others))}")


def sqlite_file(url: URL) -> Path | None:
    """The file behind a SQLite URL; None for servers and in-memory databases."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    if url.database.startswith(_AS_URI):
        return Path(unquote(url.database.removeprefix(_AS_URI)))
    return Path(url.database)


def read_only(file: Path) -> str:
    """The URL of a SQLite file that is read and not touched, also where its folder cannot be written."""
    # Twice: once for the URL, and once more for SQLite, which reads one itself.
    return f"sqlite:///{_AS_URI}{quote(quote(str(file.absolute())))}?{dialect.READ_ONLY}=ro&uri=true"


def scalar(connection: Connection, statement: sa.Executable, **values: Any) -> Any:
    return connection.execute(statement, values).scalar()


__all__ = ["Connection", "Database", "Engine", "parse_url", "read_only", "scalar", "sqlite_file"]
