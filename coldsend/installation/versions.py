"""Are the packages coldsend needs there, in versions it can work with?

Read from the metadata of the installed package; a checkout that is not installed has none and is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

from coldsend.domain.finding import Finding

PACKAGE = "coldsend"

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(;.*)?$")
_BOUND = re.compile(r"(>=|<)\s*([0-9.]+)")


def findings(package: str = PACKAGE) -> Iterator[Finding]:
    """An error for each requirement that is missing, too old or too new."""
    try:
        requirements = metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return
    for requirement in requirements:
        parsed = _REQUIREMENT.match(requirement)
        if parsed is None or "extra" in (parsed.group(3) or ""):
            continue
        name, bounds = parsed.group(1), parsed.group(2).strip()
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield _finding(name, f"is not installed; coldsend needs {requirement}")
            continue
        if not within(installed, bounds):
            yield _finding(name, f"version {installed} does not fit; coldsend needs {bounds}")


def within(version: str, bounds: str) -> bool:
    """Whether ``version`` lies in ``bounds``, such as ">=1.2,<2"; only >= and < are known."""
    number = _number(version)
    return all(
        number >= _number(limit) if sign == ">=" else number < _number(limit)
        for sign, limit in _BOUND.findall(bounds)
    )


def _number(version: str) -> tuple[int, ...]:
    """The release part of a version, without closing zeros: 2.0 and 2 are the same."""
    leading = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in leading.group().split(".")] if leading else [0]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _finding(name: str, message: str) -> Finding:
    return Finding("error", f"package {name}", message, "install coldsend again in a fresh environment")
