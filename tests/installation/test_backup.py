"""Backups: whole or not there, known for damaged, safe to restore; and moves to another database."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from coldsend.config.secrets import KeyRing, new_key, parse_key, service_owner
from coldsend.database import copying, migrate, revision
from coldsend.database.engine import Database
from coldsend.database.tables import (
    alert_deliveries,
    campaigns,
    leases,
    sender_services,
    task_contacts,
    workers,
)
from coldsend.errors import InvalidInput, NotFound, Refused, WrongState
from coldsend.installation import backup
from coldsend.stores import sealed
from coldsend.stores import workers as processes
from tests.planning.world import NOW, World

pytestmark = pytest.mark.costly

KEYS = KeyRing([parse_key(new_key(), "")])


def ignored(_rows: int) -> None:
    """Nobody looks at the progress."""


@pytest.fixture
def here(sqlite_url: str) -> Iterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    opened.dispose()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Database]:
    """A file that does not exist yet."""
    opened = Database(f"sqlite:///{tmp_path / 'fresh.db'}")
    yield opened
    opened.dispose()


@pytest.fixture
def world(here: Database) -> World:
    """A campaign half-way: two rows sent, one under way, one in doubt, one waiting."""
    made = World(here)
    service = made.service()
    sealed_password = KEYS.seal({"password": "sesame"}, service_owner(service))
    made.change(sender_services, service, credentials=sealed_password)
    campaign = made.campaign(status="active")
    task = made.task(campaign, status="sending")
    token = made.process() << 32
    made.rows(task, "sent", 2)
    made.rows(task, "sending", claim_token=token, attempt_at=NOW)
    made.rows(task, "unknown", claim_token=token + 1, attempt_at=NOW)
    made.rows(task, "pending")
    with here.begin() as connection:
        connection.execute(sa.insert(alert_deliveries).values(alert_id=1, event="raised", target="log"))
    return made


def taken(here: Database, tmp_path: Path) -> Path:
    file = tmp_path / "backup.db"
    backup.backup(here, file, NOW, ignored)
    return file


def statuses(database: Database) -> dict[str, int]:
    column = task_contacts.c.status
    with database.read() as connection:
        found = connection.execute(sa.select(column, sa.func.count()).group_by(column))
        return {str(status): int(count) for status, count in found}


def test_a_backup_is_one_file_for_its_owner_with_nothing_secret_in_the_clear(
    here: Database, world: World, tmp_path: Path
) -> None:
    file = taken(here, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup.db"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"sesame" not in file.read_bytes()
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("delete",)  # it needs no second file
        told = dict(raw.execute("SELECT table_name, row_count FROM backup_contents").fetchall())
    assert told["task_contacts"] == 5


def test_a_file_of_any_name_may_hold_a_backup(
    here: Database, world: World, fresh: Database, tmp_path: Path
) -> None:
    file = tmp_path / "100%25? #1.db"
    backup.backup(here, file, NOW, ignored)
    assert {path.name for path in tmp_path.glob("100*")} == {file.name}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    backup.restore(file, fresh, KEYS, NOW, ignored)
    assert statuses(fresh) == {"sent": 2, "unknown": 2, "pending": 1}


def test_a_backup_never_replaces_a_file(here: Database, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    file.write_text("the only copy of something")
    with pytest.raises(WrongState, match="exists already"):
        backup.backup(here, file, NOW, ignored)
    assert file.read_text() == "the only copy of something"


def test_two_that_write_the_same_backup_do_not_get_into_each_others_way(
    here: Database, world: World, fresh: Database, tmp_path: Path
) -> None:
    file = tmp_path / "backup.db"

    def beside(rows: int) -> None:
        with pytest.raises(WrongState, match="by another process"):
            backup.backup(here, file, NOW, ignored)

    backup.backup(here, file, NOW, beside)
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup.db"]
    backup.restore(file, fresh, KEYS, NOW, ignored)
    assert statuses(fresh) == {"sent": 2, "unknown": 2, "pending": 1}


def test_what_a_killed_backup_left_is_in_nobodys_way(here: Database, world: World, tmp_path: Path) -> None:
    (tmp_path / "backup.db.part").write_bytes(b"SQLite format 3 and then it was killed")
    (tmp_path / "backup.db.part-wal").write_bytes(b"log")
    taken(here, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup.db"]


def test_a_backup_that_fails_leaves_nothing_behind(here: Database, world: World, tmp_path: Path) -> None:
    def disk_full(_rows: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(InvalidInput, match="cannot be written: No space left on device"):
        backup.backup(here, tmp_path / "backup.db", NOW, disk_full)
    assert list(tmp_path.glob("backup*")) == []


def test_what_is_restored_is_safe_to_have(
    here: Database, world: World, fresh: Database, tmp_path: Path
) -> None:
    """What was sent since the backup is not known: nothing may go out, and no journal may decide."""
    file = taken(here, tmp_path)
    later = NOW + timedelta(days=3)
    made = backup.restore(file, fresh, KEYS, later, ignored)
    assert made.taken_at == NOW
    assert made.changed.paused == ("spring",)
    assert made.changed.unknown == 1
    assert made.missing_keys == ()
    assert statuses(fresh) == {"sent": 2, "unknown": 2, "pending": 1}
    restored = World(fresh)
    campaign = restored.row(campaigns, 1)
    assert (campaign["status"], campaign["updated_at"]) == ("paused", later)
    assert "restored from the backup of 2027-03-01 09:00 UTC" in campaign["status_reason"]
    with fresh.read() as connection:
        tokens = connection.execute(sa.select(task_contacts.c.claim_token)).scalars().all()
        assert set(tokens) == {None}
        assert processes.unstopped(connection) == []
        assert connection.execute(sa.select(leases)).all() == []
        assert connection.execute(sa.select(alert_deliveries.c.status)).scalars().all() == ["given_up"]
        (value,) = sealed.values(connection)
        assert KEYS.open(value.value, value.owner) == {"password": "sesame"}
    assert World(here).row(campaigns, 1)["status"] == "active"  # what was backed up goes on


def test_a_restore_tells_which_key_it_lacks(
    here: Database, world: World, fresh: Database, tmp_path: Path
) -> None:
    file = taken(here, tmp_path)
    others = KeyRing([parse_key(new_key(), "")])
    assert backup.restore(file, fresh, others, NOW, ignored).missing_keys == tuple(KEYS.ids)


def test_a_backup_that_cannot_be_read_does_not_lead_to_itself(tmp_path: Path) -> None:
    file = tmp_path / "cut.db"
    file.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(InvalidInput, match="is damaged") as told, backup.opened(file):
        pass
    assert told.value.hint == "use another backup"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE task_contacts SET status = 'failed_to_send' WHERE status = 'sent'",
        "DELETE FROM task_contacts WHERE status = 'unknown'",
        "DELETE FROM backup_contents",
    ],
)
def test_a_damaged_backup_is_not_restored(
    here: Database, world: World, fresh: Database, tmp_path: Path, damage: str
) -> None:
    file = taken(here, tmp_path)
    with contextlib.closing(sqlite3.connect(file)) as raw:
        raw.execute(damage)
        raw.commit()
    with pytest.raises(InvalidInput, match="is damaged"):
        backup.restore(file, fresh, KEYS, NOW, ignored)
    assert revision.status(fresh).state == "empty"


def test_what_is_no_backup_is_not_restored(here: Database, fresh: Database, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("SQLite is nice")
    with pytest.raises(InvalidInput, match="it is not a SQLite database"):
        backup.restore(text, fresh, KEYS, NOW, ignored)
    with pytest.raises(NotFound):
        backup.restore(tmp_path / "nothing.db", fresh, KEYS, NOW, ignored)
    file = tmp_path / "coldsend.db"
    with pytest.raises(InvalidInput, match="a database, but no backup"):
        backup.restore(file, fresh, KEYS, NOW, ignored)


def test_a_backup_of_another_version_is_not_restored_and_the_way_out_is_named(
    here: Database, fresh: Database, tmp_path: Path
) -> None:
    file = taken(here, tmp_path)
    older = Database(f"sqlite:///{file}")
    migrate.downgrade(older, "0002")
    older.dispose()
    with pytest.raises(Refused, match="is of schema 0002") as refused:
        backup.restore(file, fresh, KEYS, NOW, ignored)
    assert refused.value.hint.endswith("then upgrade; or without it, as docs/backup.md shows")


def test_a_backup_of_a_later_version_is_for_that_version(
    here: Database, fresh: Database, tmp_path: Path
) -> None:
    file = taken(here, tmp_path)
    with contextlib.closing(sqlite3.connect(file)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()
    with pytest.raises(Refused, match="is of schema 9999") as refused:
        backup.restore(file, fresh, KEYS, NOW, ignored)
    assert refused.value.hint == "restore it with the version that made it"


def test_nothing_is_moved_while_processes_work_on_it(here: Database, world: World, fresh: Database) -> None:
    with pytest.raises(WrongState, match=r"is being worked on \(sender 1 on here\)"):
        backup.copy(here, fresh, NOW, ignored)
    assert revision.status(fresh).state == "empty"
    world.change(workers, 1, lease_until=NOW)  # it was killed
    backup.copy(here, fresh, NOW, ignored)
    assert statuses(fresh) == statuses(here)
    assert World(fresh).row(campaigns, 1)["status"] == "active"  # a move goes on where it stopped


def test_a_process_that_begins_while_everything_is_moved_keeps_the_copy_from_use(
    here: Database, world: World, fresh: Database
) -> None:
    world.change(workers, 1, stopped_at=NOW)
    begun: list[int] = []

    def begins(_rows: int) -> None:
        if not begun:
            begun.append(world.process())

    with pytest.raises(WrongState, match="sender 2 on here"):
        backup.copy(here, fresh, NOW, begins)
    assert revision.status(fresh).state == revision.HALF_COPIED


def test_progress_adds_up_to_what_was_announced(
    here: Database, world: World, fresh: Database, tmp_path: Path
) -> None:
    counted: list[int] = []
    file = tmp_path / "backup.db"
    announced = backup.rows_to_handle(here, 2)
    backup.backup(here, file, NOW, counted.append)
    assert sum(counted) == announced
    counted.clear()
    with backup.opened(file) as source:
        announced = backup.rows_to_handle(source, 3)
    backup.restore(file, fresh, KEYS, NOW, counted.append)
    assert sum(counted) == announced > 3 * copying.BATCH_LARGE_ROWS
