"""The checker of the month does not rest on what it checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INDEPENDENT = ("almanac", "checker", "evidence", "mails", "plans", "record", "sabotage", "script", "waiting")


@pytest.mark.costly
def test_script_record_and_checker_import_nothing_of_coldsend() -> None:
    imports = "".join(f"import tests.acceptance.month.{name}\n" for name in INDEPENDENT)
    told = "import sys\nprint(*[name for name in sys.modules if name.partition('.')[0] == 'coldsend'])\n"
    command = [sys.executable, "-c", imports + told]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
