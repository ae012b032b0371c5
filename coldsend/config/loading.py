"""Find and read the configuration; report everything that is wrong with it at once.

Order: ``--config`` / ``COLDSEND_CONFIG``, else ``coldsend.toml`` in the working directory, else defaults;
``COLDSEND_*`` variables win over the file. Errors name the key and the line of the file, or the variable.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coldsend.config.settings import (
    CONFIG_FILE_NAME,
    CONFIG_VARIABLE,
    SECTIONS,
    Key,
    Settings,
    all_keys,
)
from coldsend.errors import InvalidInput, NotFound

# Variables of coldsend that are not settings keys.
OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "COLDSEND_TEST_CLOCK"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration: where, and what to do."""

    where: str  # "coldsend.toml:12 [web] port" or "COLDSEND_WEB_PORT"
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def load(explicit: str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings in force, or InvalidInput that lists every problem of file and environment."""
    environ = os.environ if environ is None else environ
    settings, problems = read(explicit, environ)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        noun = "error" if len(problems) == 1 else "errors"
        raise InvalidInput(
            f"the configuration has {len(problems)} {noun}:\n{lines}",
            hint="every key is documented in coldsend.toml.example",
        )
    return settings


def read(explicit: str | None, environ: Mapping[str, str]) -> tuple[Settings, list[Problem]]:
    """Settings as far as they can be read, and all problems; what `doctor` shows."""
    file = config_file(explicit, environ)
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    if file is not None:
        _read_file(file, values, problems)
    _read_environment(environ, values, problems)
    settings = _assemble(values, file)
    problems.extend(_contradictions(settings, file))
    return settings, problems


def config_file(explicit: str | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file in force; NotFound where a named one does not exist."""
    named = explicit or environ.get(CONFIG_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise NotFound(
                f"configuration file {named} does not exist", hint="create one with: coldsend init"
            )
        return path
    path = Path(CONFIG_FILE_NAME)
    return path if path.is_file() else None


def _read_file(file: Path, values: dict[str, Any], problems: list[Problem]) -> None:
    try:
        text = file.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        problems.append(Problem(str(file), f"is not UTF-8: {error.reason} at byte {error.start}"))
        return
    except tomllib.TOMLDecodeError as error:
        problems.append(Problem(str(file), f"is not TOML: {error}"))
        return
    keys = {key.path: key for key in all_keys()}
    for path, value in _flatten(document):
        where = f"{file.name}:{_line_of(text, path)} {_shown(path)}"
        key = keys.get(path)
        if key is None:
            problems.append(Problem(where, "there is no such key" + _did_you_mean(path, keys)))
            continue
        try:
            converted = _convert(key, value, from_text=False)
        except ValueError as error:
            problems.append(Problem(where, str(error)))
            continue
        values[path] = _resolve(key, converted, file.parent)


def _flatten(document: Mapping[str, Any]) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in document.items():
        if isinstance(value, dict):
            flat.extend((f"{name}.{inner}", v) for inner, v in value.items()) if value else flat.append(
                (name, None)
            )
            if name in SECTIONS and not value:
                flat.pop()
        else:
            flat.append((name, value))
    return flat


def _read_environment(environ: Mapping[str, str], values: dict[str, Any], problems: list[Problem]) -> None:
    by_variable = {key.variable: key for key in all_keys()}
    for variable, text in environ.items():
        if not variable.startswith("COLDSEND_") or variable in OTHER_VARIABLES:
            continue
        key = by_variable.get(variable)
        if key is None:
            near = difflib.get_close_matches(variable, by_variable, n=1)
            # A stranger's variable is not ours to refuse, but a slip of the pen must not pass unseen.
            if near:
                problems.append(Problem(variable, f"there is no such setting; did you mean {near[0]}?"))
            continue
        try:
            values[key.path] = _convert(key, text, from_text=True)
        except ValueError as error:
            problems.append(Problem(variable, str(error)))


def _convert(key: Key, value: Any, *, from_text: bool) -> Any:
    """``value`` as the key's type, within its limits; ValueError says what would be right."""
    kind = key.type
    if kind is bool:
        return _as_bool(value, from_text)
    if kind is int or kind is float:
        return _as_number(key, value, kind, from_text)
    if typing.get_origin(kind) is tuple or isinstance(kind, types.GenericAlias):
        items = [part for part in re.split(r"[,\s]+", value) if part] if from_text else value
        if not isinstance(items, list) or not items:
            raise ValueError("must be a list of numbers, such as [5, 15, 30]")
        return tuple(_as_number(key, item, float, from_text) for item in items)
    if not isinstance(value, str):
        raise ValueError(f'must be text in quotes, such as {key.name} = "{key.default}"')  # noqa: TRY004
    if key.choices and value not in key.choices:
        raise ValueError(f"must be one of {', '.join(key.choices)}, not {value!r}")
    if kind is Path:
        return Path(value).expanduser()
    if "\n" in value.strip() and key.name != "postal_address":
        raise ValueError("must be a single line")
    return value


def _as_bool(value: Any, from_text: bool) -> bool:
    if isinstance(value, bool):
        return value
    words = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    if from_text and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise ValueError("must be true or false")


def _as_number(key: Key, value: Any, kind: type, from_text: bool) -> Any:
    what = "a whole number" if kind is int else "a number"
    if from_text:
        try:
            value = kind(value)
        except ValueError:
            raise ValueError(f"must be {what}, not {value!r}") from None
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or (kind is int and not isinstance(value, int))
    ):
        raise ValueError(f"must be {what}, not {value!r}")
    if key.minimum is not None and value < key.minimum:
        raise ValueError(f"must be at least {key.minimum:g}, not {value:g}")
    if key.maximum is not None and value > key.maximum:
        raise ValueError(f"must be at most {key.maximum:g}, not {value:g}")
    return kind(value)


def _resolve(key: Key, value: Any, folder: Path) -> Any:
    """Relative paths in a file are relative to that file."""
    if isinstance(value, Path):
        return folder / value
    if key.path == "smtp.ca_file" and value:
        return str(folder / value)
    if key.path == "database.url":
        return _resolve_sqlite(value, folder)
    return value


def _resolve_sqlite(url: str, folder: Path) -> str:
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/") and folder != Path():
        return prefix + str((folder / url.removeprefix(prefix)).resolve())
    return url


def _assemble(values: Mapping[str, Any], file: Path | None) -> Settings:
    folder = file.parent if file is not None else Path()
    top = {path: value for path, value in values.items() if "." not in path}
    for path in ("secret_key_file", "state_dir"):
        top.setdefault(path, folder / getattr(Settings(), path))
    sections: dict[str, Any] = {}
    for section, owner in SECTIONS.items():
        mine = {
            path.removeprefix(f"{section}."): value
            for path, value in values.items()
            if path.startswith(f"{section}.")
        }
        sections[section] = owner(**mine)
    settings = Settings(**top, **sections, source=file)
    if "database.url" not in values:
        url = _resolve_sqlite(settings.database.url, folder)
        settings = replace(settings, database=replace(settings.database, url=url))
    return settings


def _contradictions(settings: Settings, file: Path | None) -> list[Problem]:
    """What no single key shows."""
    problems: list[Problem] = []
    base_url = settings.web.base_url
    if base_url:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            where = file.name if file is not None else "COLDSEND_WEB_BASE_URL"
            problems.append(
                Problem(f"{where} [web] base_url", f"must be like https://mail.example.com, not {base_url!r}")
            )
    return problems


def _line_of(text: str, path: str) -> int:
    """The line of a key, found by eye as a person would: tomllib does not tell. 1 where it is not found."""
    section, _, name = path.rpartition(".")
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line)
        if header:
            current = header.group(1)
            if current == path:
                return number
        elif (re.match(rf"""\s*["']?{re.escape(name)}["']?\s*=""", line) and current == section) or (
            re.match(rf"\s*{re.escape(path)}\s*=", line) and not current
        ):
            return number
    return 1


def _shown(path: str) -> str:
    section, _, name = path.rpartition(".")
    return f"[{section}] {name}" if section else name


def _did_you_mean(path: str, keys: Mapping[str, Key]) -> str:
    near = difflib.get_close_matches(path, keys, n=1)
    return f"; did you mean {_shown(near[0])}?" if near else ""
