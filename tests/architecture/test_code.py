"""Rules for the source that no linter checks: sizes, docstrings, names, and what only one file may do."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.costly

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "coldsend").rglob("*.py"))
SHOWN = [str(file.relative_to(ROOT / "coldsend")) for file in FILES]

LONGEST_FILE = 350
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
DIALECTS = {"sqlite", "mysql", "mariadb"}

# Where a dialect may be named: its differences, column types, and the URLs that people write.
KNOWS_DIALECTS = {
    "config/checking.py",
    "database/administration.py",
    "database/bulk.py",
    "database/dialect.py",
    "database/engine.py",
    "database/expressions.py",
    "database/types.py",
}
READS_TIME = {"clock.py"}
PRINTS = {"cli/output.py", "cli/main.py", "config/example.py"}  # the last writes coldsend.toml.example

TIME_CALLS = {
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "gmtime", "localtime"},
}

# Put together here, so that this file does not hold what it looks for.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("proxy", "golang", "org"),
    )
]


@functools.cache
def tree_of(shown: str) -> ast.Module:
    return ast.parse((ROOT / "coldsend" / shown).read_text(encoding="utf-8"))


def docstrings(tree: ast.Module) -> set[int]:
    """ids of the nodes that are docstrings."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, owners) and node.body]
    return {id(body[0].value) for body in bodies if isinstance(body[0], ast.Expr)}


def calls(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """("datetime", "now") for ``datetime.now(..)``, ("", "print") for ``print(..)``."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            yield "", node.func.id
        elif isinstance(node.func, ast.Attribute):
            owner = node.func.value
            yield (owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "?")), node.func.attr


def test_layers_and_other_contracts_hold() -> None:
    # A process of its own: in this one it would disable every logger there is, coldsend's among them.
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def offenders(offends: Callable[[str], object], *, exempt: Collection[str] = ()) -> dict[str, object]:
    """file -> what is wrong with it, of those that a rule finds something in."""
    found = {shown: offends(shown) for shown in SHOWN if shown not in exempt}
    return {shown: what for shown, what in found.items() if what}


def test_a_file_is_short_enough_to_be_read() -> None:
    def lines(shown: str) -> int:
        return (ROOT / "coldsend" / shown).read_text(encoding="utf-8").count("\n")

    assert {shown: count for shown in SHOWN if (count := lines(shown)) > LONGEST_FILE} == {}


def test_a_module_says_what_it_is_for() -> None:
    assert offenders(lambda shown: not ast.get_docstring(tree_of(shown))) == {}


def test_a_module_is_named_for_what_it_is() -> None:
    assert offenders(lambda shown: set(Path(shown).with_suffix("").parts) & EMPTY_NAMES) == {}


def test_dialects_differ_in_one_place_only() -> None:
    def named(shown: str) -> list[str]:
        tree = tree_of(shown)
        skipped = docstrings(tree)
        return [
            f"line {node.lineno}: {node.value!r}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and node.value in DIALECTS and id(node) not in skipped
        ]

    assert offenders(named, exempt=KNOWS_DIALECTS) == {}


def test_only_the_clock_reads_the_time() -> None:
    def read(shown: str) -> list[str]:
        made = calls(tree_of(shown))
        return [f"{owner}.{name}()" for owner, name in made if name in TIME_CALLS.get(owner, ())]

    assert offenders(read, exempt=READS_TIME) == {}


def test_only_the_output_prints() -> None:
    assert offenders(lambda shown: ("", "print") in set(calls(tree_of(shown))), exempt=PRINTS) == {}


def test_names_in_commands_that_are_to_be_typed_are_quoted() -> None:
    typed = re.compile(r"coldsend [a-z-]+ [a-z-]+ \{(?!quote\()[^{}!]*name[^{}!]*\}")
    assert (
        offenders(lambda shown: typed.findall((ROOT / "coldsend" / shown).read_text(encoding="utf-8"))) == {}
    )


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], check=True, capture_output=True, text=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def test_no_file_names_a_package_registry() -> None:
    pattern = re.compile("|".join(map(re.escape, REGISTRIES)))
    assert [str(f) for f in tracked_files() if pattern.search(text_of(f))] == []


def test_no_file_holds_a_path_of_the_machine_it_was_written_on() -> None:
    places = {str(ROOT), f"{Path.home()}/", sys.prefix, sys.base_prefix} - {"/usr", "/usr/local", "//"}
    assert [(str(f), p) for f in tracked_files() for p in places if p in text_of(f)] == []


def test_the_package_has_the_version_of_the_project() -> None:
    import tomllib

    import coldsend

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == coldsend.__version__
