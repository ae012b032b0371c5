"""Every command against a database that cannot be worked with exits 5 and says the way out."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coldsend.database import migrate, revision
from coldsend.database.engine import parse_url
from tests.architecture.commands import COMMANDS
from tests.conftest import Project, Result
from tests.servers.ports import free_port

# These work without a database, or make it themselves.
WITHOUT_DATABASE = {
    "init",
    "demo",
    "doctor",
    "db upgrade",
    "key new",
    "alert secret",
    "catcher run",
    "catcher list",
}

Use = Callable[[str], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Point the project at another database."""
    return lambda url: monkeypatch.setenv("COLDSEND_DATABASE_URL", url)


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """coldsend as if its next version had one more migration."""
    folder = tmp_path / "migrations"
    shutil.copytree(revision.schema_folder() / "migrations", folder)
    (folder / "versions" / "9000_next.py").write_text(
        "from coldsend.database import steps\nimport sqlalchemy as sa\n"
        "revision = '9000'\ndown_revision = '0004'\n"
        "def upgrade():\n    steps.create_table('next_one', sa.Column('x', sa.Integer()))\n"
        "def downgrade():\n    steps.drop_table('next_one')\n"
    )
    monkeypatch.setattr(revision, "schema_folder", lambda: tmp_path)


def refused(project: Project, *command: str) -> Result:
    result = project.run(*command, "--json", check=False)
    assert result.code == 5, f"{command}: {result.out}{result.err}"
    return result


def test_an_empty_database_points_to_init(sqlite_project: Project, use: Use) -> None:
    use(f"sqlite:///{sqlite_project.folder}/other.db")
    error = refused(sqlite_project, "user", "list").error
    assert "has no coldsend schema yet" in error["message"]
    assert error["hint"] == "run: coldsend init"
    assert not (sqlite_project.folder / "other.db").exists()


def test_an_outdated_database_points_to_upgrade_which_mends_it(project: Project, next_version: None) -> None:
    error = refused(project, "user", "list").error
    assert "is at revision 0004, this version needs 9000" in error["message"]
    assert error["hint"] == "run: coldsend db upgrade"
    assert refused(project, "db", "status").json["state"] == "outdated"
    assert project.json("db", "upgrade")["applied"] == ["9000"]
    project.run("user", "list")
    migrate.downgrade(project.database, "0004")


def test_a_newer_database_points_to_the_newer_version(sqlite_project: Project) -> None:
    with sqlite_project.database.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for command in (("user", "list"), ("db", "status"), ("db", "check"), ("db", "upgrade")):
        error = refused(sqlite_project, *command).error
        assert "9999" in error["message"]
        assert "install that version" in error["hint"]


def test_a_server_that_does_not_answer(sqlite_project: Project, use: Use) -> None:
    use(f"mysql://u:hidden-secret@127.0.0.1:{free_port()}/x")
    for verb in ("upgrade", "status", "check"):
        result = refused(sqlite_project, "db", verb)
        assert "(2003)" in result.error["message"]
        assert "coldsend doctor" in result.error["hint"]
        assert "hidden-secret" not in result.err


@pytest.mark.servers
def test_a_wrong_password(sqlite_project: Project, use: Use, mariadb_server: str) -> None:
    use(parse_url(mariadb_server + "/x").set(password="wrong").render_as_string(hide_password=False))
    error = refused(sqlite_project, "user", "list").error
    assert "Access denied" in error["message"]
    assert "check user, password and database name" in error["hint"]


@pytest.mark.servers
def test_a_database_that_nobody_created(sqlite_project: Project, use: Use, mariadb_server: str) -> None:
    use(f"{mariadb_server}/coldsend_never_created")
    error = refused(sqlite_project, "db", "upgrade").error
    assert "Unknown database" in error["message"]
    assert "CREATE DATABASE coldsend_never_created " in error["hint"]


def test_a_file_that_is_no_database(sqlite_project: Project, use: Use) -> None:
    file = sqlite_project.write("notes.txt", "dear diary " * 200)
    use(f"sqlite:///{file}")
    for command in (("user", "list"), ("db", "upgrade")):
        error = refused(sqlite_project, *command).error
        assert "file is not a database" in error["message"]
        assert "this file is something else" in error["hint"]
    assert file.read_text() == "dear diary " * 200


def test_a_folder_where_a_file_should_be(sqlite_project: Project, use: Use) -> None:
    use(f"sqlite:///{sqlite_project.folder}")
    assert "unable to open" in refused(sqlite_project, "db", "upgrade").error["message"]


def test_a_path_through_a_file(sqlite_project: Project, use: Use) -> None:
    file = sqlite_project.write("notes.txt", "")
    use(f"sqlite:///{file}/x/coldsend.db")
    error = refused(sqlite_project, "db", "upgrade").error
    assert "Not a directory" in error["message"]
    assert "check the path" in error["hint"]


@contextlib.contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """The folder can be read and not written, by somebody who is not root."""
    was = os.geteuid()
    folder.chmod(0o555)
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if was == 0:
            os.seteuid(was)
        folder.chmod(0o755)


@pytest.fixture
def closed_folder(sqlite_project: Project) -> Path:
    here = Path(__file__)
    if os.geteuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in here.parents):
        pytest.skip("run as root, and only root may read this checkout: schema/ is out of reach for others")
    # Import as root what an interpreter that lies in root's home would not let others read.
    sqlite_project.run("db", "upgrade")
    sqlite_project.run("user", "add", "first")
    folder = sqlite_project.folder / "closed"
    folder.mkdir()
    for parent in folder.parents:
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(0o755)
    (sqlite_project.folder / "coldsend.key").chmod(0o644)
    return folder


def test_a_folder_that_may_not_be_written(sqlite_project: Project, use: Use, closed_folder: Path) -> None:
    for path in ("coldsend.db", "new/coldsend.db"):
        use(f"sqlite:///{closed_folder}/{path}")
        with without_rights(closed_folder):
            error = refused(sqlite_project, "db", "upgrade").error
        assert "unable to open" in error["message"] or "Permission denied" in error["message"]
        assert "writable" in error["hint"] or "who may write there" in error["hint"]


def test_a_file_that_may_not_be_written(sqlite_project: Project, use: Use, closed_folder: Path) -> None:
    sqlite_project.database.dispose()
    file = closed_folder / "coldsend.db"
    shutil.copy(sqlite_project.url.removeprefix("sqlite:///"), file)
    file.chmod(0o444)
    use(f"sqlite:///{file}")
    with without_rights(closed_folder):
        error = refused(sqlite_project, "user", "add", "anna").error
    assert "writable" in error["hint"]


def without_arguments() -> list[str]:
    """Commands that need no argument to run."""
    return [
        name
        for name, command in COMMANDS.items()
        if name not in WITHOUT_DATABASE and not any(parameter.required for parameter in command.params)
    ]


@pytest.mark.parametrize("command", without_arguments())
def test_every_command_says_that_the_schema_is_missing(
    sqlite_project: Project, use: Use, command: str
) -> None:
    use(f"sqlite:///{sqlite_project.folder}/other.db")
    assert "coldsend init" in refused(sqlite_project, *command.split(), "--yes").error["hint"]
