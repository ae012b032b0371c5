"""Keys of a file: what may stand behind each, and what becomes of it.

``read`` takes what TOML gave and returns the value as it is compared with the database (ValueError or a
ColdsendError where it makes no sense), ``write`` turns that into what TOML can hold. ``""`` behind a key that
``clears`` takes the value away: it reads as None; so does ``[]`` behind one that takes a list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from coldsend.blueprint import toml_text
from coldsend.domain import when
from coldsend.errors import InvalidInput

EXAMPLE = "write it like 2027-03-01T09:00:00+01:00, 2027-03-01T08:00:00Z or 2027-03-01 (midnight UTC)"

SHOWN = 60  # characters of a value in a sentence

Read = Callable[[Any], Any]


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section.

    shape, about: for the documentation. required: where the thing is created. path: a file's or folder's
    name, relative to the file it stands in. stores: the key whose value it is another way of giving.
    listed: export writes it; secrets and second ways are not.
    """

    name: str
    shape: str
    about: str
    read: Read
    required: bool = False
    clears: bool = False
    path: bool = False
    stores: str = ""
    listed: bool = True
    write: Callable[[Any], Any] = _as_it_is

    @property
    def target(self) -> str:
        return self.stores or self.name

    def take(self, given: Any, folder: Path) -> Any:
        """The value of ``given``; folder: where the file stands."""
        if self.clears and given in ("", []):
            return None
        if self.path:
            given = str(_below(folder, text(given)))
        return self.read(given)

    def shown(self, value: Any) -> str:
        """A value as people see it when it changes."""
        return "none" if value is None else toml_text.value(self.write(value))


def text(given: Any) -> str:
    if not isinstance(given, str):
        raise ValueError(f"must be text in quotes, not {_quoted(given)}")  # noqa: TRY004
    return given


def flag(given: Any) -> bool:
    if not isinstance(given, bool):
        raise ValueError(f"must be true or false, not {_quoted(given)}")  # noqa: TRY004
    return given


def whole(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise ValueError(f"must be a whole number, not {_quoted(given)}")  # noqa: TRY004
    return given


def number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        raise ValueError(f"must be a number, not {_quoted(given)}")
    return given


def texts(given: Any) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise ValueError(f'must be a list of texts such as ["a", "b"], not {_quoted(given)}')
    return given


def name(given: Any) -> str:
    """The name of another thing; ids are not those of another database."""
    if text(given).strip().isdecimal():
        raise ValueError(f"must be a name: the id {given} is another thing's in another database")
    return text(given).strip()


def names(given: Any) -> tuple[str, ...]:
    return tuple(name(item) for item in texts(given))


def moment(what: str) -> Read:
    """Reads a time, aware and in UTC; one without a zone is UTC. what: "start time"."""

    def read(given: Any) -> datetime:
        if isinstance(given, str) and given.strip().lower() == "now":
            raise InvalidInput(
                "must be a time that stays the same whenever the file is applied, not 'now'",
                hint="leave it out: without a time nothing is waited for",
            )
        if isinstance(given, datetime):
            given = given.replace(tzinfo=UTC) if given.tzinfo is None else given
        elif isinstance(given, date):
            given = datetime.combine(given, time.min, UTC)
        elif not isinstance(given, str):
            raise InvalidInput(f"{_quoted(given)} is not a {what}", hint=EXAMPLE)
        now = datetime.max.replace(tzinfo=UTC)  # not asked for: "now" is refused above
        try:
            return when.parse(given if isinstance(given, str) else given.isoformat(), now, what)
        except InvalidInput as error:
            raise InvalidInput(error.message, hint=EXAMPLE) from error

    return read


def checked(first: Read, then: Callable[[Any], Any]) -> Read:
    """A reader that does one thing after another."""
    return lambda given: then(first(given))


def by_name(keys: Sequence[Key]) -> dict[str, Key]:
    return {key.name: key for key in keys}


def _below(folder: Path, given: str) -> Path:
    if not given.strip():
        raise ValueError("must name a file, not nothing")
    try:
        return folder / Path(given).expanduser()
    except RuntimeError:
        raise ValueError("the home directory it begins with (~) is not known") from None


def _quoted(given: Any) -> str:
    shown = str(given) if isinstance(given, date | time) else repr(given)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}.."
