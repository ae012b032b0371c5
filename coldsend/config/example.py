"""The documented configuration file: every key with its sentence, its default, its limits, its variable.

``coldsend.toml.example`` is exactly :func:`text` (a test compares them; ``python -m coldsend.config.example``
prints it), and `coldsend init` writes it with the values that were given in force.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coldsend.config.settings import Key, all_keys

HEAD = """\
# Configuration of coldsend: coldsend.toml in the working directory, or --config FILE, or COLDSEND_CONFIG.
# What is commented out shows the default. Every key has a variable, which wins over this file: the one in
# brackets. Relative paths are relative to this file. `coldsend doctor` checks it all.
"""

WIDTH = 108


def text(values: Mapping[str, Any] | None = None) -> str:
    """The file; keys whose path is in ``values`` are in force, all others commented out."""
    values = values or {}
    lines = [HEAD]
    section = ""
    for key in all_keys():
        if key.section != section:
            section = key.section
            lines.append(f"\n[{section}]\n")
        lines.append(_documented(key))
        value = values.get(key.path)
        lines.append(
            f"# {key.name} = {toml(key.default)}\n" if value is None else f"{key.name} = {toml(value)}\n"
        )
    return "".join(lines)


def toml(value: Any) -> str:
    """A settings value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, (str, Path)):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _documented(key: Key) -> str:
    limits = ""
    if key.choices:
        limits = f" One of: {', '.join(key.choices)}."
    elif key.minimum is not None and key.maximum is not None:
        limits = f" {key.minimum:g} to {key.maximum:g}."
    elif key.minimum is not None:
        limits = f" At least {key.minimum:g}."
    sentence = f"{key.doc}{limits} ({key.variable})"
    return "\n" + "".join(f"# {line}\n" for line in textwrap.wrap(sentence, WIDTH - 2))


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201 - this is the way to write the example file
