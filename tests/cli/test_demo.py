"""The demonstration, as `make demo` runs it: real processes, a real SMTP server, the real web part."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coldsend.demo.visitor import arrived
from coldsend.errors import ColdsendError


@pytest.mark.slow
def test_the_demonstration_sends_everything_and_hears_of_its_recipients(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    line = [sys.executable, "-m", "coldsend"]
    done = subprocess.run(
        [*line, "demo", "--folder", str(folder)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"24 messages lie in {folder / 'messages'}" in done.stdout
    assert "service_frozen service=carol" in done.stderr

    [unsubscribed] = re.findall(r"^(\S+) unsubscribes with one click$", done.stdout, re.MULTILINE)
    report = subprocess.run(
        [*line, "report", "campaign", "demo", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    counts = {status: count for status, count in json.loads(report.stdout)["by_status"].items() if count}
    assert counts == {"sent": 21, "opened": 1, "clicked": 1, "unsubscribed": 1}
    assert f" {unsubscribed} " in done.stdout.partition("$ coldsend suppression list")[2]


def test_a_message_without_its_links_is_named(tmp_path: Path) -> None:
    file = tmp_path / "001 ann@sender.example.eml"
    file.write_bytes(b"To: ann@sender.example\r\nSubject: x\r\n\r\nno links\r\n")
    with pytest.raises(ColdsendError, match=r"001 ann@sender\.example\.eml lacks"):
        arrived(file)
