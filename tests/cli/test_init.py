"""coldsend init."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from coldsend.cli.main import main
from coldsend.config.secrets import key_id, load_key_ring, new_key, parse_key
from coldsend.config.settings import Settings
from coldsend.database.engine import Database
from coldsend.database.tables import metadata
from coldsend.stores import signing_keys
from tests.servers.ports import free_port

pytestmark = pytest.mark.costly


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, and no settings in the environment."""
    for name in [name for name in os.environ if name.startswith("COLDSEND_")]:
        monkeypatch.delenv(name)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    return empty


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str, code: int = 0) -> tuple[Any, str]:
        """The JSON document (None where there is none) and stderr."""
        capsys.readouterr()
        assert main([*arguments, "--json"]) == code
        captured = capsys.readouterr()
        return (json.loads(captured.out) if captured.out else None), captured.err

    return run


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def state_of(folder: Path, url: str) -> Any:
    """Every file and every row, to see that nothing changed."""
    files = {path.name: path.read_bytes() for path in folder.glob("coldsend.*") if path.suffix != ".db"}
    database = Database(url)
    with database.read() as connection:
        rows = {
            name: [tuple(row) for row in connection.execute(sa.select(table))]
            for name, table in metadata.tables.items()
        }
    database.dispose()
    return files, rows


def test_a_new_installation_has_everything_and_works(folder: Path, run: Any) -> None:
    document, _ = run("init", "--user", "anna")
    assert len(document["made"]) == 5
    assert document["existed"] == []
    assert {path.name for path in folder.iterdir() if not path.name.startswith("coldsend.db-")} == {
        "coldsend.toml",
        "coldsend.key",
        "coldsend.db",
    }
    users, _ = run("user", "list")
    assert [(user["username"], user["role"]) for user in users] == [("anna", "admin")]
    assert [row["values"] for row in run("key", "status")[0]] == [2]


def test_it_works_on_every_database_and_a_second_run_changes_nothing(
    folder: Path, run: Any, database_url: str
) -> None:
    first, _ = run("init", "--database-url", database_url, "--user", "anna")
    before = state_of(folder, database_url)
    assert len(before[0]) == 2
    again, _ = run("init", "--database-url", database_url, "--user", "anna")
    assert again["made"] == []
    assert len(again["existed"]) == 5
    assert state_of(folder, database_url) == before
    assert "admin 'anna'" in first["made"]


def test_files_with_secrets_are_for_their_owner_only(folder: Path, run: Any) -> None:
    run("init")
    for name in ("coldsend.toml", "coldsend.key", "coldsend.db"):
        assert mode(folder / name) == 0o600


def test_a_key_file_that_others_can_read_is_mended_with_a_note(folder: Path, run: Any) -> None:
    run("init")
    (folder / "coldsend.key").chmod(0o644)
    document, _ = run("init")
    assert mode(folder / "coldsend.key") == 0o600
    assert any("others could read" in note for note in document["notes"])


def test_the_configuration_goes_where_config_says(folder: Path, run: Any) -> None:
    run("init", "--config", "etc/my.toml")
    assert (folder / "etc" / "my.toml").is_file()
    assert (folder / "etc" / "coldsend.key").is_file()
    assert not (folder / "coldsend.toml").exists()
    run("user", "list", "--config", "etc/my.toml")


def test_a_key_in_the_environment_is_used_and_no_file_is_made(
    folder: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    monkeypatch.setenv("COLDSEND_SECRET_KEY", key)
    run("init")
    assert not (folder / "coldsend.key").exists()
    assert run("key", "status")[0][0]["id"] == key_id(parse_key(key, ""))


def test_a_database_in_the_environment_is_used_and_not_written_down(
    folder: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDSEND_DATABASE_URL", "sqlite:///elsewhere.db")
    run("init")
    assert (folder / "elsewhere.db").is_file()
    assert "elsewhere" not in (folder / "coldsend.toml").read_text()


@pytest.mark.servers
def test_a_password_in_the_url_is_noted_and_stays_out_of_the_output(
    folder: Path, run: Any, mariadb_url: str
) -> None:
    document, err = run("init", "--database-url", mariadb_url)
    assert any("database password is in" in note for note in document["notes"])
    password = make_url(mariadb_url).password
    assert f":{password}@" not in json.dumps(document) + err
    assert f":{password}@" in (folder / "coldsend.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--database-url", "postgresql://u:sesame@h/x"], 4, "--database-url must be like"),
        (["--database-url", "mysql://u:ses/ame@h/x"], 4, "--database-url"),
        (["--user", "no spaces"], 4, "cannot be a user's name"),
        (["--as", "anna"], 2, "init acts as nobody"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    folder: Path, run: Any, arguments: list[str], code: int, message: str
) -> None:
    _, err = run("init", *arguments, code=code)
    assert message in json.loads(err)["error"]["message"]
    assert "ame" not in err.replace("name", "")
    assert list(folder.iterdir()) == []


def test_a_database_out_of_reach_leaves_no_file_behind(folder: Path, run: Any) -> None:
    _, err = run("init", "--database-url", f"mysql://u:sesame@127.0.0.1:{free_port()}/x", code=5)
    assert "sesame" not in err
    assert list(folder.iterdir()) == []


def test_another_database_than_the_configured_one_is_refused(folder: Path, run: Any) -> None:
    run("init")
    before = (folder / "coldsend.toml").read_bytes()
    _, err = run("init", "--database-url", "sqlite:///other.db", code=4)
    assert "names another database" in err
    assert (folder / "coldsend.toml").read_bytes() == before
    assert not (folder / "other.db").exists()


def test_a_variable_that_would_win_over_the_given_url_is_pointed_out(
    folder: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDSEND_DATABASE_URL", "sqlite:///a.db")
    _, err = run("init", "--database-url", "sqlite:///b.db", code=4)
    assert "the variable wins" in err
    assert list(folder.iterdir()) == []


def test_a_broken_configuration_is_not_overwritten(folder: Path, run: Any) -> None:
    (folder / "coldsend.toml").write_text("[web]\nport = 'x'\n")
    _, err = run("init", code=4)
    assert "coldsend.toml:2 [web] port" in err
    assert [path.name for path in folder.iterdir()] == ["coldsend.toml"]


def test_a_lost_key_file_is_not_replaced_by_one_that_opens_nothing(folder: Path, run: Any) -> None:
    run("init")
    (folder / "coldsend.key").unlink()
    _, err = run("init", code=4)
    assert "does not exist" in err
    assert "restore that file" in err
    assert not (folder / "coldsend.key").exists()


def test_a_key_that_does_not_open_the_signing_keys_is_refused(folder: Path, run: Any) -> None:
    run("init")
    (folder / "coldsend.key").write_text(new_key())
    _, err = run("init", code=4)
    assert "signing_keys/links needs key" in err


def test_an_interrupted_run_is_finished_by_the_next(folder: Path, run: Any, monkeypatch: Any) -> None:
    class Killed(Exception):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(signing_keys, "ensure", kill)
        run("init", code=1)
    document, _ = run("init")
    assert len(document["made"]) == 2  # signing keys and admin
    keys = load_key_ring(Settings(secret_key_file=folder / "coldsend.key"))
    database = Database(f"sqlite:///{folder}/coldsend.db")
    with database.read() as connection:
        assert len(signing_keys.load(connection, keys, "links")) == 32
    database.dispose()


def test_a_second_admin_is_not_made_by_init(folder: Path, run: Any) -> None:
    run("init", "--user", "anna")
    document, _ = run("init", "--user", "bob")
    assert document["notes"] == ["'bob' was not added: coldsend user add bob --role admin"]
    assert len(run("user", "list")[0]) == 1


@pytest.mark.parametrize(("login", "name"), [("anna", "anna"), ("1000", "admin"), ("DOMAIN\\anna", "admin")])
def test_the_login_name_is_the_admin_where_it_can_be_one(
    folder: Path, run: Any, monkeypatch: pytest.MonkeyPatch, login: str, name: str
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: login)
    run("init")
    assert run("user", "list")[0][0]["username"] == name


def test_people_are_told_what_was_made_and_what_comes_next(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--user", "anna"]) == 0
    captured = capsys.readouterr()
    assert f"made    configuration {folder}/coldsend.toml" in captured.out
    assert "1. write postal_address and [web] base_url" in captured.err
    assert main(["init"]) == 0
    assert "exists  admin 'anna'" in capsys.readouterr().out


def test_what_campaigns_cannot_start_without_can_be_given(folder: Path, run: Any) -> None:
    given = ["--postal-address", 'Acme "North", 1 Main Street', "--base-url", "https://mail.acme.example"]
    document, _ = run("init", *given)
    assert not any("postal_address" in line for line in document["next"])
    text = (folder / "coldsend.toml").read_text()
    assert '\npostal_address = "Acme \\"North\\", 1 Main Street"\n' in text
    assert '\nbase_url = "https://mail.acme.example"\n' in text
    run("init", *given)


def test_an_address_that_makes_no_sense_is_refused_before_anything_is_written(folder: Path, run: Any) -> None:
    _, err = run("init", "--base-url", "mail.acme.example", code=4)
    assert "--base-url must" in err
    _, err = run("init", "--postal-address", "Acme\x07", code=4)
    assert "--postal-address has a control character" in err
    assert list(folder.iterdir()) == []


def test_a_value_that_would_not_be_in_force_is_refused(
    folder: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDSEND_WEB_BASE_URL", "https://other.acme.example")
    _, err = run("init", "--base-url", "https://mail.acme.example", code=4)
    assert "COLDSEND_WEB_BASE_URL says something else than --base-url" in err
    assert list(folder.iterdir()) == []
    monkeypatch.delenv("COLDSEND_WEB_BASE_URL")
    run("init")
    before = (folder / "coldsend.toml").read_text()
    _, err = run("init", "--postal-address", "Acme, 1 Main Street", code=4)
    assert "has another postal_address than --postal-address" in err
    assert (folder / "coldsend.toml").read_text() == before
