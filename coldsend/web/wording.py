"""The texts of the pages, one file of ``languages/`` a language, and which of them a visitor reads."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DEFAULT = "en"
ORDER = ("en", "zh", "es", "ru", "he")

_FOLDER = Path(__file__).parent / "languages"
_OLD_NAMES = {"iw": "he"}


@dataclass(frozen=True, slots=True)
class Texts:
    """One language. name: of itself, in itself. direction: "ltr" or "rtl"."""

    name: str
    direction: str
    choose_language: str
    unsubscribe_title: str
    unsubscribe_text: str
    scope_legend: str
    scope_all: str
    scope_campaign: str
    unsubscribe_button: str
    done_title: str
    done_all: str
    done_campaign: str
    undo_text: str
    undo_button: str
    undone_title: str
    undone_text: str
    undo_late_title: str
    undo_late_text: str
    unclear_title: str
    unclear_text: str
    not_found_title: str
    not_found_text: str
    failed_title: str
    failed_text: str


@cache
def languages() -> dict[str, Texts]:
    """Code -> texts, in the order they are offered."""
    return {code: Texts(**tomllib.loads((_FOLDER / f"{code}.toml").read_text("utf-8"))) for code in ORDER}


def chosen(wanted: str, accepted: str) -> str:
    """The code of the language to answer in.

    wanted: what the address asks for ("" for nothing). accepted: the Accept-Language header.
    """
    for tag in (wanted, *_by_preference(accepted)):
        code = tag.strip().lower().replace("_", "-").partition("-")[0]
        code = _OLD_NAMES.get(code, code)
        if code in languages():
            return code
    return DEFAULT


def _by_preference(header: str) -> list[str]:
    """Language tags of an Accept-Language header, the most wanted first; what cannot be read is left out."""
    weighted: list[tuple[float, str]] = []
    for part in header[:500].split(","):
        tag, _semicolon, parameter = part.partition(";")
        name, _equals, value = parameter.partition("=")
        try:
            weight = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            continue
        if weight > 0:
            weighted.append((weight, tag))
    return [tag for _weight, tag in sorted(weighted, key=lambda one: -one[0])]
