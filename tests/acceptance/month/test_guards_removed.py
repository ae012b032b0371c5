"""The engine is broken on purpose, in a copy of the package, and the checker of the month must notice.

A sabotage replaces exact text; where that text is not there any more the test fails and says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.soak]

ROOT = Path(__file__).resolve().parents[3]
COPIED = ("coldsend", "schema", "templates_examples", "tests", "pyproject.toml", "coldsend.toml.example")
MONTH = "tests/acceptance/month/test_month.py::test_every_rule_holds_for_a_few_hundred_as_well"


@dataclass(frozen=True)
class Sabotage:
    """changes: file -> (text, what stands there instead). rule: whose violation the checker must tell."""

    changes: Mapping[str, tuple[str, str]]
    rule: str


SABOTAGES = {
    "replies and bounces end nothing": Sabotage(
        {
            "coldsend/feedback/sequences.py": (
                "    if not about:\n        return skipped\n",
                "    return skipped\n",
            )
        },
        "ended",
    ),
    "a reply ends nothing for colleagues": Sabotage(
        {
            "coldsend/feedback/sequences.py": (
                "steps.stop_domain_on_reply and not is_free_mail(domain)",
                "False and not is_free_mail(domain)",
            )
        },
        "ended",
    ),
    "nobody looks at the window before the intent": Sabotage(
        {"coldsend/delivery/sift.py": ("    if calendar.any_time:\n        return []\n", "    return []\n")},
        "window",
    ),
    "first messages take what follow-ups need": Sabotage(
        {
            "coldsend/pacing/followups.py": (
                "        if not tasks:\n            return {}\n",
                "        return {}\n",
            )
        },
        "follow_ups_first",
    ),
    "a follow-up goes through any service": Sabotage(
        {
            "coldsend/pacing/choose.py": (
                "if keeps in (None, offer.service_id)]",
                "]",
            ),
        },
        "same_service",
    ),
    "holidays are days like others": Sabotage(
        {
            "coldsend/pacing/calendar.py": (
                "        if not self.holidays:\n            return never\n",
                "        return never\n",
            )
        },
        "window",
    ),
    "days are so many hours": Sabotage(
        {
            "coldsend/pacing/calendar.py": (
                "        due = datetime.combine(day, local.time(), zone).astimezone(UTC)\n",
                "        due = sent_at + (day - local.date())\n",
            )
        },
        "complete",  # where clocks are set forward, it comes an hour late
    ),
    "a ramp allows everything": Sabotage(
        {"coldsend/domain/ramp.py": ("return self.start + self.step * days", "return 1_000_000")},
        "limits",
    ),
    "who is away is not waited for": Sabotage(
        {"coldsend/feedback/consequences.py": ("if until > now else 0", "if until > now and False else 0")},
        "absence",
    ),
    "a condition always holds": Sabotage(
        {"coldsend/delivery/sequences.py": ("        if missed is not None:\n", "        if False:\n")},
        "condition",
    ),
    "somebody is forgotten now and then": Sabotage(
        {
            "coldsend/planning/followups.py": (
                "            for number, one in enumerate(new)\n",
                "            for number, one in enumerate(new) if one.contact_id % 61\n",
            )
        },
        "complete",
    ),
}  # fmt: skip


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The project once more, tests included: what is run there imports nothing of the original."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SABOTAGES)
def test_the_month_notices_that(copied: Path, name: str) -> None:
    sabotage = SABOTAGES[name]
    for file, (before, after) in sabotage.changes.items():
        text = (copied / file).read_text()
        assert text.count(before) == 1, f"{file} has changed: where is now {before!r}?"
        (copied / file).write_text(text.replace(before, after))
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "soak"]
    done = subprocess.run(
        [*command, MONTH],
        cwd=copied,
        env={**environ, "PYTHONPATH": str(copied)},
        capture_output=True,
        text=True,
        timeout=1700,
        check=False,
    )
    assert done.returncode == 1, f"nobody noticed, or it did not run:\n{done.stdout[-3000:]}{done.stderr}"
    assert f"{sabotage.rule}: " in done.stdout, done.stdout[-4000:]
