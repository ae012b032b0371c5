"""Key rotation: whenever it is interrupted, everything can still be read, and the next run ends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.config.secrets import (
    KeyRing,
    load_key_ring,
    new_key,
    read_key_file,
    service_owner,
    write_key_file,
)
from coldsend.config.settings import Settings
from coldsend.database.engine import Database
from coldsend.database.tables import sender_services
from coldsend.errors import NotFound, Refused, WrongState
from coldsend.installation import rotation
from coldsend.stores import sealed, signing_keys
from coldsend.stores.lookup import inserted_id

PASSWORD = {"username": "u", "password": "sesame-opens-it"}


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def settings(tmp_path: Path, database: Database) -> Settings:
    """A key file, a service with credentials and one without, and the signing keys."""
    made = Settings(secret_key_file=tmp_path / "coldsend.key")
    write_key_file(made.secret_key_file, [new_key()])
    keys = load_key_ring(made)
    with database.begin() as connection:
        add_service(connection, "with", keys)
        add_service(connection, "without", None)
        for purpose in signing_keys.PURPOSES:
            signing_keys.ensure(connection, keys, purpose, clock.now())
    return made


def add_service(connection: sa.Connection, name: str, keys: KeyRing | None) -> int:
    values = {"name": name, "type": "smtp", "from_email": "a@example.com"}
    service_id = inserted_id(connection.execute(sa.insert(sender_services).values(values)))
    if keys is not None:
        secret = keys.seal(PASSWORD, service_owner(service_id))
        connection.execute(
            sa.update(sender_services).where(sender_services.c.id == service_id).values(credentials=secret)
        )
    return service_id


def everything(settings: Settings, database: Database) -> dict[str, Any]:
    """All secrets, opened with the keys as they are configured now."""
    keys = load_key_ring(settings)
    with database.read() as connection:
        return {value.owner: keys.open(value.value, value.owner) for value in sealed.values(connection)}


def needed(database: Database) -> set[str]:
    with database.read() as connection:
        return set(sealed.key_ids(connection))


def test_everything_is_sealed_anew_and_the_old_key_is_gone(settings: Settings, database: Database) -> None:
    before = everything(settings, database)
    old = load_key_ring(settings).current_id
    done = rotation.rotate(settings, database)
    assert (done.resealed, done.dropped) == (3, (old,))
    assert load_key_ring(settings).ids == [done.current]
    assert needed(database) == {done.current}
    assert everything(settings, database) == before


def kill_before(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """End the process just before or after one of the three steps."""
    write, reseal = rotation.write_key_file, sealed.reseal
    writes: list[int] = []

    def killing_write(file: Path, keys: list[str]) -> None:
        writes.append(1)
        if step == f"before write {len(writes)}":
            raise Killed
        write(file, keys)
        if step == f"after write {len(writes)}":
            raise Killed

    def killing_reseal(connection: sa.Connection, keys: KeyRing) -> int:
        if step == "before resealing":
            raise Killed
        changed = reseal(connection, keys)
        if step == "before commit":
            raise Killed
        return changed

    monkeypatch.setattr(rotation, "write_key_file", killing_write)
    monkeypatch.setattr(sealed, "reseal", killing_reseal)


@pytest.mark.parametrize(
    "step",
    [
        "before write 1",
        "after write 1",
        "before resealing",
        "before commit",
        "before write 2",
        "after write 2",
    ],
)
def test_interrupted_anywhere_nothing_becomes_unreadable_and_the_next_run_ends_it(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = everything(settings, database)
    first = load_key_ring(settings).current_id
    with monkeypatch.context() as patched:
        kill_before(patched, step)
        with pytest.raises(Killed):
            rotation.rotate(settings, database)
    assert everything(settings, database) == before
    done = rotation.rotate(settings, database)
    assert everything(settings, database) == before
    assert load_key_ring(settings).ids == [done.current]
    assert needed(database) == {done.current} != {first}


def test_an_interrupted_run_is_ended_without_a_third_key(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        kill_before(patched, "before resealing")
        with pytest.raises(Killed):
            rotation.rotate(settings, database)
    waiting = load_key_ring(settings).current_id
    assert rotation.rotate(settings, database).current == waiting


def test_a_value_sealed_with_the_old_key_at_the_last_moment_keeps_its_key(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = KeyRing(read_key_file(settings.secret_key_file))  # of a process that does not look again
    write = rotation.write_key_file
    calls: list[int] = []

    def add_one_meanwhile(file: Path, keys: list[str]) -> None:
        write(file, keys)
        calls.append(1)
        if len(calls) == 2:
            with database.begin() as connection:
                add_service(connection, "late", stale)

    monkeypatch.setattr(rotation, "write_key_file", add_one_meanwhile)
    rotation.rotate(settings, database)
    assert len(everything(settings, database)) == 4
    assert len(load_key_ring(settings).ids) == 2


def test_a_lost_key_is_told_before_anything_changes(settings: Settings, database: Database) -> None:
    write_key_file(settings.secret_key_file, [new_key()])
    before = settings.secret_key_file.read_bytes()
    with pytest.raises(Refused, match="which is not configured"):
        rotation.rotate(settings, database)
    assert settings.secret_key_file.read_bytes() == before


def test_without_a_key_file_there_is_nothing_to_rotate(settings: Settings, database: Database) -> None:
    settings.secret_key_file.unlink()
    with pytest.raises(NotFound):
        rotation.rotate(settings, database)


def configured(*keys: bytes) -> Settings:
    from coldsend.config.secrets import key_text

    return Settings(secret_key=",".join(key_text(key) for key in keys))


def test_a_single_key_from_a_variable_is_rotated_by_the_operator(
    settings: Settings, database: Database
) -> None:
    only = configured(*read_key_file(settings.secret_key_file))
    with pytest.raises(WrongState) as caught:
        rotation.rotate(only, database)
    assert "coldsend key new" in caught.value.hint


def test_with_two_keys_from_a_variable_all_is_sealed_with_the_first(
    settings: Settings, database: Database
) -> None:
    from coldsend.config.secrets import parse_key

    (old,) = read_key_file(settings.secret_key_file)
    new = parse_key(new_key(), "")
    both = configured(new, old)
    before = everything(settings, database)
    done = rotation.rotate(both, database)
    assert (done.resealed, len(done.removable)) == (3, 1)
    assert everything(configured(new), database) == before
    assert rotation.rotate(both, database).resealed == 0


def test_two_rotations_at_once_do_not_mix(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reseal: Callable[..., int] = sealed.reseal

    def meanwhile(connection: sa.Connection, keys: KeyRing) -> int:
        with pytest.raises(WrongState, match="another coldsend"):
            rotation.rotate(settings, database)
        return reseal(connection, keys)

    monkeypatch.setattr(sealed, "reseal", meanwhile)
    assert rotation.rotate(settings, database).resealed == 3
