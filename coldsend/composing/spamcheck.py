"""What SpamAssassin says of a message, where it is installed: its score, and each rule that counts.

Its program gets the message as a recipient's server has it, and answers by a report template of ours: a line
``coldsend-score <score> <required>``, then ``<points> <RULE> <description>``, a description on several lines.
Nothing is learned or kept, and without ``network`` nobody is asked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from coldsend.errors import NotFound, Unreachable

SECONDS = 60.0
PREFERENCES = """\
use_bayes 0
use_auto_welcomelist 0
use_txrep 0
report_safe 0
clear_report_template
report coldsend-score _SCORE_ _REQD_
report _SUMMARY_
"""

_SCORE = re.compile(r"^coldsend-score (-?[\d.]+) (-?[\d.]+)\s*$", re.MULTILINE)
_RULE = re.compile(r"^\s{0,3}(-?\d+(?:\.\d+)?) (\w+)\s+(.*)$")
# What it only says because the message has not travelled.
_AT_HOME = frozenset({"NO_RECEIVED", "NO_RELAYS"})


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that the message meets. points: what it adds to the score; below 0: it speaks for it."""

    name: str
    points: float
    description: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """score: of all rules together. required: from there on the message is taken for spam."""

    score: float
    required: float
    rules: tuple[Rule, ...]

    @property
    def is_spam(self) -> bool:
        return self.score >= self.required


def check(message: bytes, *, network: bool = False) -> Verdict:
    """What is said of a message. NotFound without the program, Unreachable where it fails or takes long.

    network: DNS lists are asked, too; they judge this host and its links, and learn of both.
    """
    program = shutil.which("spamassassin", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")
    if program is None:
        raise NotFound(
            "SpamAssassin is not installed on this host",
            hint="on Debian or Ubuntu: apt-get install spamassassin; nothing else of coldsend needs it",
        )
    with tempfile.TemporaryDirectory(prefix="coldsend-spamcheck-") as home:
        preferences = Path(home) / "preferences"
        preferences.write_text(PREFERENCES)
        command = [program, "-t", "-x", "-p", str(preferences), *([] if network else ["-L"])]
        try:
            done = subprocess.run(
                command,
                input=message.replace(b"\r\n", b"\n"),
                capture_output=True,
                timeout=SECONDS,
                check=False,
                env={"PATH": "/usr/bin:/bin", "HOME": home, "LC_ALL": "C.UTF-8"},
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"SpamAssassin gave no answer within {SECONDS:g} s") from None
    return read(done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def read(output: str, complaint: str = "") -> Verdict:
    """The verdict in what the program wrote; Unreachable where there is none."""
    marks = list(_SCORE.finditer(output))
    if not marks:
        said = complaint.strip().splitlines()
        raise Unreachable(
            f"SpamAssassin gave no verdict: {said[-1] if said else 'it wrote nothing'}",
            hint="look whether it works by itself: spamassassin --lint",
        )
    last = marks[-1]  # the message may have such a line in it
    rules: list[Rule] = []
    for line in output[last.end() :].splitlines():
        if found := _RULE.match(line):
            rules.append(Rule(found[2], float(found[1]), found[3].strip()))
        elif rules and line.strip():
            before = rules.pop()
            rules.append(Rule(before.name, before.points, f"{before.description} {line.strip()}"))
    known = sorted(
        (rule for rule in rules if rule.name not in _AT_HOME), key=lambda rule: (-rule.points, rule.name)
    )
    return Verdict(float(last[1]), float(last[2]), tuple(known))
