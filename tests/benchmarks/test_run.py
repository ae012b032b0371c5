"""The table of `make bench`, and the page it is written into."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from benchmarks import run, stage
from benchmarks.result import Row

SLOW = Row("sending | MariaDB", "45 msg/s", "100 msg/s", 0.45, "x", ">= 0.5 (floor 0.4)", "floor", "1 round")


def ran(rows: list[Row] | None, failure: str = "") -> run.Ran:
    return run.Ran(run.Benchmark("end_to_end", "", ""), 1.0, rows, failure)


def test_a_row_tells_value_goal_and_whether_it_is_met() -> None:
    assert run.table([ran([SLOW])])[2] == (
        r"| sending \| MariaDB | 45 msg/s | 100 msg/s | 0.45 x | >= 0.5 (floor 0.4) | floor only | 1 round |"
    )


def test_a_benchmark_that_failed_is_a_row_that_says_so() -> None:
    assert "| end_to_end | failed with exit code 1 |" in run.table([ran(None, "failed with exit code 1")])[2]


@pytest.mark.parametrize(("load", "warned"), [(0.4, False), (3.0, True)])
def test_a_machine_that_was_not_idle_is_warned_about(load: float, warned: bool) -> None:
    assert ("not idle" in run.page_part([ran([SLOW])], load, 60, quick=False)) is warned


def test_only_what_lies_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{run.BEGIN}\nold\n{run.END}\nafter\n", encoding="utf-8")
    run.write(page, "new")
    run.write(page, "newer")
    assert page.read_text(encoding="utf-8") == f"before\n{run.BEGIN}\nnewer\n{run.END}\nafter\n"


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="lacks the markers"):
        run.write(page, "new")
    assert page.read_text(encoding="utf-8") == "text\n"


def test_the_page_of_this_project_has_its_markers() -> None:
    text = run.PAGE.read_text(encoding="utf-8")
    assert text.index(run.BEGIN) < text.index(run.END)


def test_a_benchmark_that_fails_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "broken.py").write_text("raise SystemExit('no')\n")
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    found = run.run(run.Benchmark("broken", "", ""), quick=False, keep=tmp_path)
    assert (found.rows, found.failure) == (None, "failed with exit code 1, see its output")


@pytest.mark.parametrize("name", sorted({benchmark.name for benchmark in run.BENCHMARKS}))
def test_every_benchmark_of_the_run_can_be_called(name: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{name}").main)


@pytest.mark.parametrize("benchmark", run.BENCHMARKS, ids=lambda benchmark: str(benchmark.called))
def test_benchmarks_have_names_of_their_own(benchmark: run.Benchmark) -> None:
    assert [each.called for each in run.BENCHMARKS].count(benchmark.called) == 1
