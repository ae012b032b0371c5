"""What SpamAssassin says is read as it is written; and the real one, where it is installed, is asked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from coldsend.composing import spamcheck
from coldsend.composing.spamcheck import Rule
from coldsend.errors import NotFound, Unreachable

WRITTEN = """\
Subject: hello

coldsend-score 0.0 5.0
 9.9 NOT_MINE   this line is the message's own

coldsend-score 3.4 5.0
-0.0 NO_RECEIVED            Informational: message has no Received headers
 0.0 HTML_MESSAGE           BODY: HTML included in message
 2.5 MISSING_DATE           Missing Date: header, which
                            goes on here
-1.1 GOOD_ONE               RAW: speaks for it
 2.0 SOME_RULE              Another
"""


def test_the_last_verdict_counts_and_rules_come_by_their_points() -> None:
    verdict = spamcheck.read(WRITTEN)
    assert (verdict.score, verdict.required, verdict.is_spam) == (3.4, 5.0, False)
    assert verdict.rules == (
        Rule("MISSING_DATE", 2.5, "Missing Date: header, which goes on here"),
        Rule("SOME_RULE", 2.0, "Another"),
        Rule("HTML_MESSAGE", 0.0, "BODY: HTML included in message"),
        Rule("GOOD_ONE", -1.1, "RAW: speaks for it"),
    )


def test_from_the_required_score_on_it_is_spam() -> None:
    assert spamcheck.read("coldsend-score 5.0 5.0\n").is_spam
    assert not spamcheck.read("coldsend-score 4.9 5.0\n").is_spam


def test_no_verdict_is_told_with_what_was_said() -> None:
    with pytest.raises(Unreachable, match="no verdict: config: broken"):
        spamcheck.read("nothing", "warning\nconfig: broken\n")


def test_where_it_is_not_installed_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_arguments, **_options: None)
    with pytest.raises(NotFound, match="not installed") as missing:
        spamcheck.check(b"")
    assert "apt-get install spamassassin" in missing.value.hint


def test_it_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "spamassassin"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(spamcheck, "SECONDS", 0.2)
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
        spamcheck.check(b"Subject: x\n\ny\n")


@pytest.mark.servers
@pytest.mark.slow
def test_the_real_one_knows_its_own_test_message() -> None:
    gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
    verdict = spamcheck.check(f"From: a@acme.org\r\nSubject: test\r\n\r\n{gtube}\r\n".encode())
    assert verdict.is_spam
    assert verdict.rules[0].name == "GTUBE"
    assert verdict.rules[0].points >= 1000
