"""Names as Prometheus wants them, and the documentation of metrics, alerts and events true to the source."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest
from prometheus_client.validation import _validate_labelname, _validate_metric_name

from coldsend.metrics.catalogue import METRICS, Metric

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
BY_NAME = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)

# Labels whose values are few however long coldsend runs.
FEW = {
    "channel",
    "service",
    "outcome",
    "phase",
    "status",
    "kind",
    "fate",
    "actor",
    "state",
    "job",
    "event",
    "code",
}


@BY_NAME
def test_a_name_follows_the_conventions(metric: Metric) -> None:
    _validate_metric_name(metric.name)
    for label in metric.labels:
        _validate_labelname(label)
    assert metric.name.startswith("coldsend_")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|millis|minutes|hours|kb|count|sum|bucket|created|info)$", metric.name)
    assert metric.name.endswith("_seconds") or metric.kind != "histogram"
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.help.endswith(".")


@BY_NAME
def test_labels_have_few_values(metric: Metric) -> None:
    assert set(metric.labels) <= FEW


@pytest.mark.parametrize("page", ["events.md", "metrics.md", "apply.md"])
def test_the_tables_of_the_documentation_are_those_of_the_source(page: str) -> None:
    written = runpy.run_path(str(ROOT / "docs" / "write_tables.py"))["pages"]()
    [(file, text)] = [(file, text) for file, text in written.items() if file.name == page]
    assert file.read_text(encoding="utf-8") == text, "run: make docs"


def test_rules_and_expressions_name_metrics_that_exist_with_labels_they_have() -> None:
    blocks = "".join(re.findall(r"```(?:yaml|promql)\n(.*?)```", PAGE, re.DOTALL))
    used = re.findall(r"\b(coldsend_[a-z_]+?)(?:_(?:bucket|count|sum))?\b(?:\{([^}]*)\})?", blocks)
    assert len(used) > 10
    for name, matchers in used:
        metric = METRICS[name]
        assert set(re.findall(r"(\w+)(?:=|!)", matchers or "")) <= {*metric.labels, "le"}, name


def test_events_that_rules_name_exist() -> None:
    files = (ROOT / "coldsend" / "logbook").glob("*.py")
    nodes = [node for file in files for node in ast.parse(file.read_text(encoding="utf-8")).body]
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    named = re.findall(r'event=~?"([a-z_|]+)"', PAGE)
    assert named
    assert {name for group in named for name in group.split("|")} <= functions
