"""Find and read the configuration; report everything that is wrong with it at once.

Order: ``--config`` / ``COLDSEND_CONFIG``, else ``coldsend.toml`` in the working directory, else defaults;
``COLDSEND_*`` variables win over the file, an empty one counts as not set. Errors name the key and the line
of the file, or the variable; they never quote a secret. All paths in the settings are absolute.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldsend.config import checking
from coldsend.config.converting import from_toml, from_variable
from coldsend.config.settings import (
    CONFIG_FILE_NAME,
    CONFIG_VARIABLE,
    SECTIONS,
    Key,
    Settings,
    all_keys,
)
from coldsend.config.toml_lines import lines_of, syntax_error
from coldsend.errors import InvalidInput, NotFound

WHOLE_FILE = "*"

# All variables share "COLDSEND_": that alone makes no two of them alike.
NEAR_VARIABLE = 0.85

# Variables of coldsend that are not settings keys.
OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "COLDSEND_TEST_CLOCK"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration: where, and what to do."""

    where: str  # "coldsend.toml:12 [web] port" or "COLDSEND_WEB_PORT"
    message: str
    path: str  # of the key: "web.port"; WHOLE_FILE where nothing of the file could be used

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(slots=True)
class _Reading:
    """What was understood so far: values by key path, where each was given, and what was not understood."""

    values: dict[str, Any]
    origin: dict[str, str]
    problems: list[Problem]

    def take(self, key: Key, where: str, given: Any, convert: Callable[[Key, Any], Any], base: Path) -> None:
        try:
            value = convert(key, given)
            checking.check(key, value)
            self.values[key.path] = checking.absolute(key, value, base)
            self.origin[key.path] = where
        except ValueError as error:
            self.problems.append(Problem(where, str(error), key.path))


def load(explicit: str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings in force, or InvalidInput that lists every problem of file and environment."""
    settings, problems = read(explicit, os.environ if environ is None else environ)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        noun = "error" if len(problems) == 1 else "errors"
        raise InvalidInput(
            f"the configuration has {len(problems)} {noun}:\n{lines}",
            hint="every key is documented in coldsend.toml.example",
        )
    return settings


def read(explicit: str | None, environ: Mapping[str, str]) -> tuple[Settings, list[Problem]]:
    """Settings as far as they can be read, and all problems; what `doctor` shows.

    NotFound where a file that was asked for does not exist.
    """
    file = config_file(explicit, environ)
    reading = _Reading({}, {}, [])
    if file is not None:
        _read_file(file, reading)
    _read_environment(environ, reading)
    return _assemble(reading, file), reading.problems


def config_file(explicit: str | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file in force; NotFound where a named one does not exist."""
    path = wanted_file(explicit, environ)
    if path.is_file():
        return path
    if explicit or environ.get(CONFIG_VARIABLE):
        raise NotFound(
            f"configuration file {path} does not exist",
            hint=f"create one with: coldsend init --config {path}",
        )
    return None


def wanted_file(explicit: str | None, environ: Mapping[str, str]) -> Path:
    """Where the configuration file is, or would be."""
    return Path(explicit or environ.get(CONFIG_VARIABLE) or CONFIG_FILE_NAME).absolute()


def _read_file(file: Path, reading: _Reading) -> None:
    try:
        text = file.read_text(encoding="utf-8-sig")
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        reading.problems.append(
            Problem(file.name, f"is not UTF-8: {error.reason} at byte {error.start}", WHOLE_FILE)
        )
        return
    except OSError as error:
        reading.problems.append(Problem(file.name, f"cannot be read: {error.strerror}", WHOLE_FILE))
        return
    except RecursionError:
        reading.problems.append(Problem(file.name, "is nested too deeply", WHOLE_FILE))
        return
    except ValueError as error:
        reading.problems.append(_not_toml(file.name, text, error))
        return
    lines = lines_of(text)
    keys = {key.path: key for key in all_keys()}

    def where(*path: str) -> str:
        line = lines.get(path)
        return f"{file.name}:{line} {_shown(*path)}" if line else f"{file.name} {_shown(*path)}"

    for name, given in document.items():
        if name in SECTIONS:
            if isinstance(given, dict):
                for inner, value in given.items():
                    _take_key(reading, keys, (name, inner), value, where, file)
            else:
                problem = f"is a section: write [{name}] once, and its keys on the lines below"
                reading.problems.append(Problem(where(name), problem, name))
        elif isinstance(given, dict) and name not in keys:
            reading.problems.append(
                Problem(where(name), "there is no such section" + _nearest(name, SECTIONS, "[{}]"), name)
            )
        else:
            _take_key(reading, keys, (name,), given, where, file)


def _take_key(
    reading: _Reading,
    keys: Mapping[str, Key],
    path: tuple[str, ...],
    given: Any,
    where: Callable[..., str],
    file: Path,
) -> None:
    # A name with a dot in quotes ("web.host") is not the key of a section, whatever it looks like.
    key = keys.get(".".join(path)) if all("." not in name for name in path) else None
    if key is not None:
        reading.take(key, where(*path), given, from_toml, file.parent)
        return
    elsewhere = [other for other in keys.values() if other.name == path[-1]]
    if elsewhere:
        advice = f"; did you mean {_shown(*elsewhere[0].path.split('.'))}?"
    else:
        mine = {key.name for key in keys.values() if key.section == ".".join(path[:-1])}
        advice = _nearest(path[-1], mine, "{}")
    reading.problems.append(Problem(where(*path), "there is no such key" + advice, ".".join(path)))


def _not_toml(name: str, text: str, error: ValueError) -> Problem:
    """tomllib's "Invalid value (at line 3, column 5)" in the form of all other problems."""
    line, message = syntax_error(text, error)
    return Problem(f"{name}:{line}" if line else name, f"is not TOML: {message}", WHOLE_FILE)


def _read_environment(environ: Mapping[str, str], reading: _Reading) -> None:
    by_variable = {key.variable: key for key in all_keys()}
    for variable, text in environ.items():
        if not variable.startswith("COLDSEND_") or variable in OTHER_VARIABLES or not text:
            continue
        key = by_variable.get(variable)
        if key is not None:
            reading.take(key, variable, text, from_variable, Path.cwd())
        # A stranger's variable is not ours to refuse, but a slip of the pen must not pass unseen.
        elif near := difflib.get_close_matches(variable, by_variable, n=1, cutoff=NEAR_VARIABLE):
            advice = f"there is no such setting; did you mean {near[0]}?"
            reading.problems.append(Problem(variable, advice, variable))


def _assemble(reading: _Reading, file: Path | None) -> Settings:
    base = file.parent if file is not None else Path.cwd()
    given: dict[str, dict[str, Any]] = {section: {} for section in ["", *SECTIONS]}
    for key in all_keys():
        given[key.section][key.name] = (
            reading.values[key.path]
            if key.path in reading.values
            else checking.absolute(key, key.default, base)
        )
    sections = {section: owner(**given[section]) for section, owner in SECTIONS.items()}
    return Settings(**given[""], **sections, source=file)


def _shown(*path: str) -> str:
    """("web", "port") as a person finds it: ``[web] port``."""
    *tables, name = path
    if not tables:
        return f"[{name}]" if name in SECTIONS else name
    return f"[{'.'.join(tables)}] {name}"


def _nearest(name: str, names: Iterable[str], form: str) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {form.format(near[0])}?" if near else ""
