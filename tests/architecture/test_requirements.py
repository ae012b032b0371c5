"""requirements/*.txt pin everything that pyproject.toml asks for, with hashes and without addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
RUN = PROJECT["project"]["dependencies"]
ASKED = {"run.txt": RUN, "dev.txt": RUN + EXTRAS["dev"] + PROJECT["build-system"]["requires"]}


def entries(file: str) -> list[str]:
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [entry.strip() for entry in re.split(r"\n(?=\S)", "\n".join(lines)) if entry.strip()]


def pins(file: str) -> dict[str, Version]:
    found = {}
    for entry in entries(file):
        name, version = re.match(r"([\w.-]+)==(\S+)", entry).groups()  # type: ignore[union-attr]
        found[canonicalize_name(name)] = Version(version)
    return found


@pytest.mark.parametrize("file", ASKED)
def test_every_entry_is_one_exact_version_with_its_hashes(file: str) -> None:
    for entry in entries(file):
        assert re.fullmatch(r"[\w.-]+==\S+( \\\n\s+--hash=sha256:[0-9a-f]{64})+", entry), entry


@pytest.mark.parametrize("file", ASKED)
def test_everything_the_project_asks_for_is_pinned_within_its_range(file: str) -> None:
    pinned = pins(file)
    for text in ASKED[file]:
        asked = Requirement(text)
        assert pinned[canonicalize_name(asked.name)] in asked.specifier, text


@pytest.mark.parametrize("file", ASKED)
def test_only_finished_versions_are_pinned(file: str) -> None:
    assert [name for name, version in pins(file).items() if version.is_prerelease] == []


def test_development_runs_on_the_versions_that_are_shipped() -> None:
    development = pins("dev.txt")
    assert {name: development.get(name) for name in pins("run.txt")} == pins("run.txt")
