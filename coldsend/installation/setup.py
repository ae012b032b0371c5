"""`coldsend init`: configuration file, key file, schema, signing keys, first admin.

Every step looks first whether its thing exists and leaves it alone if so; so a run that was interrupted is
finished by the next one, and a run on a finished installation changes nothing. What can be refused (a
wrong URL, a database out of reach, a bad user name) is refused before the configuration is written.
"""

from __future__ import annotations

import getpass
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from shlex import quote

from coldsend.config import checking, example, loading
from coldsend.config.converting import from_toml
from coldsend.config.secrets import (
    KeyRing,
    key_file_locked,
    load_key_ring,
    new_key,
    write_key_file,
)
from coldsend.config.settings import Key, Settings, all_keys
from coldsend.database import migrate, revision
from coldsend.database.engine import Database, parse_url, sqlite_file
from coldsend.domain.access import checked_username
from coldsend.domain.states import Role
from coldsend.errors import InvalidInput, Refused
from coldsend.stores import sealed, signing_keys, users

DATABASE_VARIABLE = "COLDSEND_DATABASE_URL"


@dataclass(frozen=True, slots=True)
class Wish:
    """What `init` was asked for. ``config``: the file given with --config. ``values``: what the configuration
    shall say, by the path of its key."""

    config: str | None
    database_url: str | None
    username: str | None
    environ: Mapping[str, str]
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing of an installation, and whether this run made it; ``notes``: what its owner should know."""

    thing: str
    made: bool
    notes: tuple[str, ...] = ()


def initialise(wish: Wish, now: datetime) -> tuple[Settings, list[Step]]:
    """Make what is missing; the settings in force and all steps, in order.

    InvalidInput, Refused or WrongState where something does not fit together, Unreachable where the database
    does not answer.
    """
    if wish.username is not None:
        checked_username(wish.username)
    file = loading.wanted_file(wish.config, wish.environ)
    with _configured(file, wish) as (settings, config_step):
        wanted = settings.database
        database = Database(wanted.url, pool_size=wanted.pool_size, connect_timeout=wanted.connect_timeout)
        try:
            schema_step = _schema(database)
            if config_step.made:  # only now: with a database that does not work it would be of no use
                _draft_of(file).replace(file)
            key_step, keys = _key(settings, database)
            last_steps = [_signing_keys(database, keys, now), _admin(database, wish.username, now)]
        finally:
            database.dispose()
    return replace(settings, source=file), [config_step, schema_step, key_step, *last_steps]


@contextmanager
def _configured(file: Path, wish: Wish) -> Iterator[tuple[Settings, Step]]:
    """The settings as they are, or as they will be once the draft of the file is moved to its place."""
    if file.exists():
        settings = loading.load(str(file), wish.environ)
        _require_same_database(settings, wish, file)
        _require_same_values(settings, wish, file)
        yield settings, Step(f"configuration {file}", made=False)
        return
    _require_free_url(wish)
    _require_good_values(wish)
    values = (
        dict(wish.values) if wish.database_url is None else {**wish.values, "database.url": wish.database_url}
    )
    draft = _draft_of(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(example.text(values))
        settings = loading.load(str(draft), wish.environ)
        _require_same_values(settings, wish, file)
        yield settings, Step(f"configuration {file}", made=True, notes=_password_notes(wish, file))
    finally:
        draft.unlink(missing_ok=True)


def _draft_of(file: Path) -> Path:
    return file.with_name(file.name + ".new")


def _require_free_url(wish: Wish) -> None:
    """The URL makes sense, and no variable wins over it."""
    if wish.database_url is None:
        return
    try:
        checking.check(_key_of("database.url"), wish.database_url)
    except ValueError as error:
        raise InvalidInput(f"--database-url {error}") from None
    parse_url(wish.database_url)
    if (wish.environ.get(DATABASE_VARIABLE) or wish.database_url) != wish.database_url:
        raise Refused(
            f"{DATABASE_VARIABLE} names another database than --database-url, and the variable wins",
            hint=f"unset {DATABASE_VARIABLE}, or leave --database-url out",
        )


def _require_same_database(settings: Settings, wish: Wish, file: Path) -> None:
    if wish.database_url is None:
        return
    _require_free_url(wish)
    given = checking.absolute(_key_of("database.url"), wish.database_url, file.parent)
    if parse_url(given) != parse_url(settings.database.url):
        raise Refused(
            f"{file} names another database than --database-url: nothing was changed",
            hint="change [database] url in that file, then run coldsend init without --database-url",
        )


def _require_good_values(wish: Wish) -> None:
    for path, value in wish.values.items():
        try:
            checking.check(_key_of(path), from_toml(_key_of(path), value))
        except ValueError as error:
            raise InvalidInput(f"{_option(path)} {error}") from None


def _require_same_values(settings: Settings, wish: Wish, file: Path) -> None:
    """A file that exists is not written to, and variables win: what was wished for must be in force."""
    for path, value in wish.values.items():
        key = _key_of(path)
        owner = getattr(settings, key.section) if key.section else settings
        if getattr(owner, key.name) == value:
            continue
        if wish.environ.get(key.variable):
            raise Refused(
                f"{key.variable} says something else than {_option(path)}, and the variable wins",
                hint=f"unset {key.variable}, or leave {_option(path)} out",
            )
        where = f"[{key.section}] {key.name}" if key.section else key.name
        raise Refused(
            f"{file} exists and has another {where} than {_option(path)}: nothing was changed",
            hint=f"change {where} in that file, then run coldsend init without {_option(path)}",
        )


def _key_of(path: str) -> Key:
    return next(key for key in all_keys() if key.path == path)


def _option(path: str) -> str:
    return "--" + path.rpartition(".")[2].replace("_", "-")


def _password_notes(wish: Wish, file: Path) -> tuple[str, ...]:
    if wish.database_url is None or parse_url(wish.database_url).password is None:
        return ()
    return (
        f"the database password is in {file}, which only you can read; it was on the command line, too, "
        f"where others may have seen it: {DATABASE_VARIABLE} is the way around both",
    )


def _schema(database: Database) -> Step:
    before = revision.status(database)
    migrate.upgrade(database)
    file = sqlite_file(database.url)
    if file is not None and before.revision is None:
        file.chmod(0o600)  # addresses of people
    return Step(f"database {database.display_url()}", made=bool(before.pending))


def _key(settings: Settings, database: Database) -> tuple[Step, KeyRing]:
    """The keys that are configured, or a new key file; never a new key where the old one is only missing."""
    if settings.secret_key:
        return Step("secret key from COLDSEND_SECRET_KEY or secret_key", made=False), load_key_ring(settings)
    file = settings.secret_key_file
    with key_file_locked(file):
        if file.exists():
            notes = _closed_to_others(file)
            return Step(f"secret key {file}", made=False, notes=notes), load_key_ring(settings)
        with database.read() as connection:
            needed = sealed.key_ids(connection)
        if needed:
            raise Refused(
                f"the database holds secrets sealed with key {', '.join(sorted(needed))}, but the key file "
                f"{file} does not exist",
                hint="restore that file or set COLDSEND_SECRET_KEY; a new key could not open them",
            )
        write_key_file(file, [new_key()])
    note = "keep a copy of the key file: without it the credentials in the database are lost"
    return Step(f"secret key {file}", made=True, notes=(note,)), load_key_ring(settings)


def _closed_to_others(file: Path) -> tuple[str, ...]:
    mode = stat.S_IMODE(file.stat().st_mode)
    if not mode & 0o077:
        return ()
    file.chmod(0o600)
    return (f"others could read {file} (mode {mode:04o}): now only its owner can",)


def _signing_keys(database: Database, keys: KeyRing, now: datetime) -> Step:
    # A list, not a generator: every key is to be made, also after one that existed.
    made = database.run(
        lambda connection: [
            signing_keys.ensure(connection, keys, purpose, now) for purpose in signing_keys.PURPOSES
        ]
    )
    return Step(f"signing keys for {' and '.join(signing_keys.PURPOSES)}", made=any(made))


def _admin(database: Database, username: str | None, now: datetime) -> Step:
    """The first admin; where there is one already, no other is made."""
    with database.read() as connection:
        admins = [row["username"] for row in users.admins(connection)]
    if not admins:
        name = username or login_name()
        database.run(lambda connection: users.add(connection, name, Role.ADMIN, now))
        return Step(f"admin {name!r}", made=True)
    notes: tuple[str, ...] = ()
    if username is not None and username not in admins:
        notes = (f"{username!r} was not added: coldsend user add {quote(username)} --role admin",)
    return Step(f"admin {admins[0]!r}", made=False, notes=notes)


def login_name() -> str:
    """The name of who is logged in, else "admin": in a container there may be none, or one of digits."""
    try:
        return checked_username(getpass.getuser())
    except (OSError, KeyError, ImportError, InvalidInput):
        return "admin"
