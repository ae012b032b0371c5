"""What every command works with: settings, database, acting user, output. Built lazily, once a run.

Modules that are slow to import (SQLAlchemy, Alembic) are imported where they are first used: help and
usage errors must not wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from coldsend.cli.output import Output

if TYPE_CHECKING:
    from coldsend.config.secrets import KeyRing
    from coldsend.config.settings import Settings
    from coldsend.database.engine import Database
    from coldsend.domain.access import Actor


class Effect(StrEnum):
    """What a verb does to the installation; the last two leave a row in the audit log."""

    READS = "reads"
    CHANGES = "changes"
    RUNS = "runs"  # until it is stopped


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb as the audit log sees it. private: its arguments are not kept."""

    effect: Effect
    private: bool = False


@dataclass
class Run:
    """One run of the command line. ``current()`` is the one in progress."""

    config: str | None = None
    acting_as: str | None = None
    json: bool = False
    assume_yes: bool = False
    answer_timeout: float | None = None  # seconds a statement may take; None: as long as people wait
    words: Sequence[str] = ()  # the command line without global options
    verb: Verb | None = None  # the one that has begun
    audited: bool = False  # its row is in the audit log, or it is to have none

    @cached_property
    def out(self) -> Output:
        return Output(json=self.json, assume_yes=self.assume_yes)

    @cached_property
    def settings(self) -> Settings:
        """The configuration; InvalidInput lists everything that is wrong with it."""
        from coldsend.config import loading  # noqa: PLC0415

        return loading.load(self.config)

    @cached_property
    def keys(self) -> KeyRing:
        """The keys that open credentials; errors of :func:`coldsend.config.secrets.load_key_ring`."""
        from coldsend.config.secrets import load_key_ring  # noqa: PLC0415

        return load_key_ring(self.settings)

    @cached_property
    def database_unchecked(self) -> Database:
        """The database as it is: for `init`, `db` and `doctor`, which must work with an old schema."""
        from coldsend.database.dialect import ANSWER_SECONDS  # noqa: PLC0415
        from coldsend.database.engine import Database  # noqa: PLC0415

        wanted = self.settings.database
        return Database(
            wanted.url,
            pool_size=wanted.pool_size,
            connect_timeout=wanted.connect_timeout,
            answer_timeout=self.answer_timeout or ANSWER_SECONDS,
        )

    @cached_property
    def database(self) -> Database:
        """The database, its schema known to be current; SchemaOutdated or Unreachable otherwise."""
        from coldsend.database import revision  # noqa: PLC0415

        revision.require_current(self.database_unchecked)
        return self.database_unchecked

    @cached_property
    def actor(self) -> Actor:
        """The user this run acts as: --as, else settings, else the one `coldsend init` made."""
        from coldsend.stores import users  # noqa: PLC0415

        with self.database.read() as connection:
            return users.acting(connection, self.acting_as or self.settings.user or None)

    def close(self) -> None:
        """Let go of the database, if it was used."""
        if "database_unchecked" in self.__dict__:
            self.database_unchecked.dispose()


_runs: list[Run] = []


def begin(run: Run) -> None:
    _runs[:] = [run]


def current() -> Run:
    return _runs[0]


def global_options(run: Run) -> list[str]:
    """The options a process of ours must be started with to see the same world."""
    options = ["--config", run.config] if run.config else []
    return [*options, "--as", run.acting_as] if run.acting_as else options
