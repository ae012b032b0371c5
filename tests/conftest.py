"""Fixtures every test may use.

``database``: an empty, migrated database; the test runs once on SQLite and once on MariaDB.
``project``: a folder with configuration, key, database and an admin, and a way to run ``coldsend`` in it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from sqlalchemy.util import LRUCache

from coldsend import clock
from coldsend.database import dialect, migrate
from coldsend.database.engine import Database
from coldsend.database.tables import metadata
from coldsend.domain.states import Role
from coldsend.stores import signing_keys, users
from tests.servers.mariadb import MariaDB, in_memory, program
from tests.servers.smtp import RecordingServer

# A busy machine may take as long as it likes for an example; hypothesis would give it a fifth of a second.
settings.register_profile(
    "unhurried", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")

# One MariaDB serves all pytest workers: the first process starts it and hands its URL on.
SERVER_VARIABLE = "TESTS_MARIADB"  # mysql://USER:PASSWORD@HOST:PORT
_server: list[MariaDB] = []


class Statements:
    """Compiled statements of all engines of one kind, kept as one engine of a process would keep them.

    Each test opens its database anew, and compiling anew what it asks would be a third of all work.
    """

    def __init__(self) -> None:
        self._compiled: LRUCache[Any, Any] = LRUCache(2000)
        self.types: Any = None

    def get(self, key: tuple[Any, ...]) -> Any:
        return self._compiled.get(key[1:])  # the first is the engine's own dialect

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        self._compiled[key[1:]] = compiled


_statements: dict[str, Statements] = {}
_create_engine = dialect.create_engine


def _create_engine_like_others(*arguments: Any, **options: Any) -> sa.Engine:
    engine = _create_engine(*arguments, **options)
    kept = _statements.setdefault(engine.dialect.name, Statements())
    if kept.types is None:
        kept.types = engine.dialect._type_memos  # type: ignore[attr-defined]
    engine.dialect._type_memos = kept.types
    engine._compiled_cache = kept  # type: ignore[assignment]
    return engine


dialect.create_engine = _create_engine_like_others


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")
    folder = in_memory()
    if folder is not None:
        # Where tmp_path lies: thousands of small databases, each made durable with fsync.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", folder)
    without_servers = "not servers" in (config.option.markexpr or "")
    if is_worker or without_servers or os.environ.get(SERVER_VARIABLE) or config.option.collectonly:
        return
    if program("mariadbd", "mysqld"):
        server = MariaDB()
        _server.append(server)
        os.environ[SERVER_VARIABLE] = server.url("").rstrip("/")


def pytest_collection(session: pytest.Session) -> None:
    """Each worker begins with its own part of the modules: what one has compiled, the others find in caches.

    In a fresh tree all of them would make ready the same module at the same time, one after the other.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None or sys.dont_write_bytecode:
        return
    root = session.config.rootpath
    chosen = [root / argument.partition("::")[0] for argument in session.config.args]
    files = sorted(file for folder in chosen if folder.is_dir() for file in folder.rglob("test_*.py"))
    count, place = worker["workercount"], int(worker["workerid"].removeprefix("gw"))
    for file in files[len(files) * place // count : len(files) * (place + 1) // count]:
        # What cannot be imported is told when it is collected.
        with contextlib.suppress(Exception):
            importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts))


def pytest_unconfigure(config: pytest.Config) -> None:
    for server in _server:
        server.remove()
    _server.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (
            "[mariadb" in item.name
            or "-mariadb" in item.name
            or any("mariadb" in name for name in getattr(item, "fixturenames", ()))
            or "tests/channels/smtp/" in item.path.as_posix()
        ):
            item.add_marker(pytest.mark.servers)


def pytest_collection_finish() -> None:
    """What was collected stays: it is not searched for garbage after every few tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_clock() -> Iterator[None]:
    """What a test set the clock to ends with it."""
    yield
    clock.look_at_environment()


@pytest.fixture(scope="session")
def mariadb_server() -> str:
    """URL of the test run's MariaDB, without a database name."""
    url = os.environ.get(SERVER_VARIABLE)
    if not url:
        pytest.fail(
            "MariaDB is not installed; run `make test`, or `make check` for the tests without servers"
        )
    return url


@contextlib.contextmanager
def database_on(server: str, name: str) -> Iterator[str]:
    """A database of this name on the server, dropped at the end. As hosts often are: latin1 by default."""
    admin = sa.create_engine(server.replace("mysql://", "mysql+pymysql://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
        connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET latin1")
        yield f"{server}/{name}"
        # A process that a failed test left behind must not hold the whole run up.
        connection.exec_driver_sql("SET SESSION lock_wait_timeout=5")
        with contextlib.suppress(sa.exc.OperationalError):
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
    admin.dispose()


def run_name() -> str:
    return f"coldsend_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}"


@pytest.fixture(scope="session")
def _mariadb_migrated(mariadb_server: str) -> Iterator[str]:
    with database_on(mariadb_server, run_name()) as url:
        database = Database(url)
        migrate.upgrade(database)
        database.dispose()
        yield url


@pytest.fixture
def empty_mariadb_url(mariadb_server: str) -> Iterator[str]:
    """A MariaDB database with nothing in it, not even tables."""
    with database_on(mariadb_server, f"{run_name()}_empty") as url:
        yield url


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture(params=["sqlite", "mariadb"])
def empty_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database without any table; the test runs once per kind."""
    opened = Database(str(request.getfixturevalue(f"empty_{request.param}_url")))
    yield opened
    opened.dispose()


@pytest.fixture
def mariadb_url(_mariadb_migrated: str) -> str:
    """A migrated MariaDB database, emptied."""
    database = Database(_mariadb_migrated)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS=0")
        counted = "SELECT table_name FROM information_schema.tables WHERE table_schema=DATABASE()"
        # An id given out in a transaction that was undone is gone, too: such tables start anew as well.
        used = set(connection.exec_driver_sql(f"{counted} AND auto_increment > 1").scalars())
        filled = " UNION ALL ".join(f"(SELECT '{name}' FROM `{name}` LIMIT 1)" for name in metadata.tables)
        for name in used | set(connection.exec_driver_sql(filled).scalars()):
            connection.exec_driver_sql(f"TRUNCATE TABLE `{name}`")
        connection.commit()
    database.dispose()
    return _mariadb_migrated


@pytest.fixture(scope="session")
def _sqlite_migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "empty.db"
    database = Database(f"sqlite:///{file}")
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.connection.dbapi_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    database.dispose()
    return file


@pytest.fixture
def sqlite_url(_sqlite_migrated: Path, tmp_path: Path) -> str:
    """A migrated SQLite database, empty."""
    file = tmp_path / "coldsend.db"
    shutil.copy(_sqlite_migrated, file)
    return f"sqlite:///{file}"


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty migrated database; the test runs once per kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.dispose()


@dataclass
class Result:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        return dict(json.loads(self.err.splitlines()[-1])["error"])


class Project:
    """A folder an operator works in: coldsend.toml, key file, database, user ``admin``."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.config = folder / "coldsend.toml"
        self.config.write_text(
            'postal_address = "1 Test Street, 12345 Testville"\n'
            f'[database]\nurl = "{url}"\n[web]\nbase_url = "https://mail.example.com"\n'
        )
        from coldsend.config.loading import load
        from coldsend.config.secrets import load_key_ring, new_key, write_key_file

        write_key_file(folder / "coldsend.key", [new_key()])
        keys = load_key_ring(load(str(self.config), environ={}))
        self.database = Database(url)
        with self.database.begin() as connection:
            users.add(connection, "admin", Role.ADMIN, clock.now())
            for purpose in signing_keys.PURPOSES:
                signing_keys.ensure(connection, keys, purpose, clock.now())

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> Result:
        """Run a command in this process; ``check``: it must exit with 0."""
        from coldsend.cli.main import main

        out, err = io.StringIO(), io.StringIO()
        before, sys.stdin = sys.stdin, io.StringIO(stdin or "")
        try:
            with (
                contextlib.chdir(self.folder),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                code = main([*arguments, "--config", str(self.config)])
        finally:
            sys.stdin = before
        result = Result(code, out.getvalue(), err.getvalue())
        assert not check or code == 0, f"{arguments} -> {code}\n{result.out}\n{result.err}"
        return result

    def json(self, *arguments: str, stdin: str | None = None) -> Any:
        """Run a command with --json and give back its document."""
        return self.run(*arguments, "--json", stdin=stdin).json

    def start(
        self, *arguments: str, environ: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Start a command as a process of its own, in the project's folder."""
        return subprocess.Popen(
            [sys.executable, "-m", "coldsend", *arguments],
            cwd=self.folder,
            env={**os.environ, **(environ or {}), "PYTHONPATH": str(Path(__file__).parent.parent)},
            text=True,
            **options,
        )

    def write(self, name: str, content: str) -> Path:
        file = self.folder / name
        file.write_text(content, encoding="utf-8")
        return file


@pytest.fixture
def project(tmp_path: Path, database_url: str) -> Iterator[Project]:
    """A project; the test runs once on SQLite and once on MariaDB."""
    made = Project(tmp_path, database_url)
    yield made
    made.database.dispose()


@pytest.fixture
def sqlite_project(tmp_path: Path, sqlite_url: str) -> Iterator[Project]:
    """A project on SQLite only, for what has nothing to do with the database."""
    made = Project(tmp_path, sqlite_url)
    yield made
    made.database.dispose()


@pytest.fixture
def smtp_server() -> Iterator[RecordingServer]:
    """An SMTP server process with a record of what it accepted; rules are set with ``.control(..)``."""
    with RecordingServer() as server:
        yield server
