"""`coldsend key rotate`: a new key for everything that is sealed; at no moment is anything unreadable.

1. The key file gets the new key before the old ones, so that both kinds of values open.
2. One transaction seals everything with the new key.
3. When nothing needs an old key any more, the key file is written without it.

Interrupted after 1 or 2, the file holds more keys than needed; the next `key rotate` goes on from there. Keys
in COLDSEND_SECRET_KEY are the operator's to change: then only step 2 happens here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coldsend import logbook
from coldsend.config.secrets import (
    KeyRing,
    key_file_locked,
    key_id,
    key_text,
    load_key_ring,
    new_key,
    parse_key,
    read_key_file,
    write_key_file,
)
from coldsend.config.settings import Settings
from coldsend.database.engine import Database
from coldsend.errors import WrongState
from coldsend.stores import sealed


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was done: the key now in force, values sealed anew, keys given up, keys that may be removed."""

    current: str
    resealed: int
    dropped: tuple[str, ...] = ()
    removable: tuple[str, ...] = ()


def rotate(settings: Settings, database: Database) -> Rotation:
    """Bring a new key into force and seal everything with it.

    WrongState where the key comes from a variable and there is no second one yet; Refused where a value does
    not open with any key.
    """
    done = _rotate_configured(settings, database) if settings.secret_key else _rotate_file(settings, database)
    logbook.secret_key_rotated(done.current, done.resealed, done.dropped)
    return done


def _rotate_configured(settings: Settings, database: Database) -> Rotation:
    keys = load_key_ring(settings)
    if len(keys.ids) < 2:
        raise WrongState(
            "the key comes from COLDSEND_SECRET_KEY (or secret_key): coldsend cannot change it there",
            hint="1. make a key: coldsend key new  2. put it before the old one, with a comma between them, "
            "wherever coldsend runs, and restart it  3. run coldsend key rotate again  4. remove the old key",
        )
    resealed = database.run(lambda connection: sealed.reseal(connection, keys))
    return Rotation(keys.current_id, resealed, removable=tuple(keys.ids[1:]))


def _rotate_file(settings: Settings, database: Database) -> Rotation:
    file = settings.secret_key_file
    with key_file_locked(file):
        old = read_key_file(file)
        _require_all_open(KeyRing(old), database)
        if _is_halfway(old, database):
            before = old
        else:
            before = [parse_key(new_key(), "a new key"), *old]
            _write(file, before)
        keys = KeyRing(before)
        resealed = database.run(lambda connection: sealed.reseal(connection, keys))
        return _drop_unneeded(file, before, database, resealed)


def _require_all_open(keys: KeyRing, database: Database) -> None:
    """Refused before anything is touched where a value does not open with the keys there are."""
    with database.read() as connection:
        for value in sealed.values(connection):
            keys.open(value.value, value.owner)


def _is_halfway(keys: Sequence[bytes], database: Database) -> bool:
    """An earlier run wrote the new key and was interrupted: it is brought to its end, without a third key."""
    return len(keys) > 1 and bool(_needed(database) - {key_id(keys[0])})


def _drop_unneeded(file: Path, keys: Sequence[bytes], database: Database, resealed: int) -> Rotation:
    """Write the file without keys that nothing needs; a value sealed in between keeps its key."""
    needed = _needed(database)
    kept = [key for key in keys if key is keys[0] or key_id(key) in needed]
    if len(kept) < len(keys):
        _write(file, kept)
    late = _needed(database) - {key_id(key) for key in kept}
    if late:
        # Somebody who had read the old key committed a value this very moment.
        kept += [key for key in keys if key_id(key) in late]
        _write(file, kept)
    dropped = tuple(key_id(key) for key in keys if key not in kept)
    return Rotation(key_id(keys[0]), resealed, dropped=dropped)


def _needed(database: Database) -> set[str]:
    with database.read() as connection:
        return set(sealed.key_ids(connection))


def _write(file: Path, keys: Sequence[bytes]) -> None:
    write_key_file(file, [key_text(key) for key in keys])
