"""Whether the packages that are there fit."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from coldsend.installation import versions

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize(
    ("version", "bounds", "fits"),
    [
        ("1.16.0", ">=1.16", True),
        ("1.15.9", ">=1.16", False),
        ("3.11.1", ">=3.11,<4", True),
        ("4.0.0a1", "<4,>=3.11", False),
        ("2.0", "<2.0.0", False),
        ("10.0", ">=9.5", True),
        ("2.1.9.post1", ">=2.1,<2.2", True),
        ("1", "", True),
    ],
)
def test_a_version_lies_in_its_bounds_or_not(version: str, bounds: str, fits: bool) -> None:
    assert versions.within(version, bounds) is fits


def test_bounds_of_this_project_use_only_signs_that_are_understood() -> None:
    for requirement in PYPROJECT["dependencies"]:
        bounds = re.sub(r"^[A-Za-z0-9_-]+", "", requirement)
        assert re.fullmatch(r"((>=|<)[0-9.]+,?)+", bounds), requirement


def test_what_is_installed_here_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: PYPROJECT["dependencies"])
    assert list(versions.findings()) == []


def test_missing_and_old_packages_are_errors_and_extras_are_not_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = ["no-such-package-here>=1", "rich>=999", "typer", "uvloop>=999; extra == 'speed'"]
    monkeypatch.setattr(metadata, "requires", lambda _: wanted)
    assert [(finding.severity, finding.subject) for finding in versions.findings()] == [
        ("error", "package no-such-package-here"),
        ("error", "package rich"),
    ]


def test_a_checkout_that_is_not_installed_is_not_judged() -> None:
    assert list(versions.findings("no-such-package-here")) == []
