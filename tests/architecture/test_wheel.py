"""What is installed works without the checkout: migrations and examples are in the wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(folder)]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True, capture_output=True
    )
    return folder


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # PYTHONPATH goes before the checkout that an editable installation puts on the path.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COLDSEND_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_schema_and_examples_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "coldsend/schema/migrations/env.py",
        "coldsend/schema/migrations/versions/0001_initial.py",
        "coldsend/schema/migrations/versions/0002_dkim_keys.py",
        "coldsend/schema/migrations/versions/0003_what_comes_back.py",
        "coldsend/schema/migrations/versions/0004_sequences.py",
        "coldsend/schema/mysql.sql",
        "coldsend/schema/sqlite.sql",
    } <= names
    examples = {p.name for p in (ROOT / "templates_examples").rglob("*") if p.is_file()}
    assert examples <= {Path(name).name for name in names if name.startswith("coldsend/templates_examples/")}
    assert [name for name in names if name.startswith("tests")] == []


def test_an_installed_coldsend_makes_its_own_schema(installed: Path, tmp_path: Path) -> None:
    where = run(installed, tmp_path, "-c", "import coldsend; print(coldsend.__file__)")
    assert Path(where.stdout.strip()).is_relative_to(installed)
    upgrade = run(installed, tmp_path, "-m", "coldsend", "db", "upgrade")
    assert upgrade.returncode == 0, upgrade.stderr
    status = run(installed, tmp_path, "-m", "coldsend", "db", "status", "--json")
    assert json.loads(status.stdout)["state"] == "current"


def test_the_wheel_has_an_entry_point(installed: Path) -> None:
    [entry_points] = installed.glob("coldsend-*.dist-info/entry_points.txt")
    assert "coldsend = coldsend.cli.main:run" in entry_points.read_text(encoding="utf-8")
