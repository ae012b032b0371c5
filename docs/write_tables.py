"""Writes the tables of docs/events.md, docs/metrics.md and docs/apply.md from the source: `make docs`.

Events are the functions of coldsend/logbook/: name, level and fields of each call of ``event``, and the
function's docstring. Metrics are coldsend/metrics/catalogue.py, keys those that coldsend/blueprint reads.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from coldsend.blueprint.reference import reference
from coldsend.metrics import catalogue

DOCS = Path(__file__).parent
LOGBOOK = DOCS.parent / "coldsend" / "logbook"
BEGIN, END = "<!-- written by `make docs` -->", "<!-- end -->"


def pages() -> dict[Path, str]:
    """File -> its content with the table as it should be."""
    tables = {"events.md": events(), "metrics.md": catalogue.table(), "apply.md": reference()}
    return {DOCS / name: _with_table(DOCS / name, "\n".join(lines).strip()) for name, lines in tables.items()}


def events() -> Iterator[str]:
    """The table of events, in the order of their names."""
    yield "| event | level | fields | meaning |"
    yield "|---|---|---|---|"
    functions = [
        node
        for file in sorted(LOGBOOK.glob("*.py"))
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef)
    ]
    rows = {name: row for function in functions for name, row in _rows(function)}
    yield from (rows[name] for name in sorted(rows))


def _rows(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    meaning = " ".join((ast.get_docstring(function) or "").split())
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "event":
            level, name = call.args
            assert isinstance(level, ast.Attribute)
            assert isinstance(name, ast.Constant)
            fields = [keyword.arg or "**" for keyword in call.keywords if keyword.arg != "error"]
            shown = ", ".join(f"`{field}`" for field in fields)
            yield str(name.value), f"| `{name.value}` | {level.attr.lower()} | {shown} | {meaning} |"


def _with_table(page: Path, table: str) -> str:
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    assert len(pattern.findall(text)) == 1, f"{page} needs one {BEGIN} and {END}"
    return pattern.sub(lambda _: f"{BEGIN}\n\n{table}\n\n{END}", text)


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
