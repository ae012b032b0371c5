"""Pages: languages, what they may load, what they must not tell."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from coldsend.web import wording
from coldsend.web.wording import Texts, chosen, languages
from tests.web.site import FORM, Site, leave, link

LANGUAGES = ["en", "zh", "es", "ru", "he"]
SCRIPTS = {"zh": r"[\u4e00-\u9fff]", "ru": r"[\u0400-\u04ff]", "he": r"[\u0590-\u05ff]"}


def test_all_languages_have_all_texts() -> None:
    assert list(languages()) == LANGUAGES
    assert sorted(file.stem for file in wording._FOLDER.glob("*.toml")) == sorted(LANGUAGES)
    for code, texts in languages().items():
        for key in Texts.__slots__:
            text = getattr(texts, key)
            assert text.strip() == text != "", (code, key)
            if code in SCRIPTS and key not in {"direction"}:
                assert re.search(SCRIPTS[code], text), (code, key, "is in another script")
            if code != "en" and key not in {"direction"}:
                assert text != getattr(languages()["en"], key), (code, key, "is not translated")
    assert [code for code, texts in languages().items() if texts.direction == "rtl"] == ["he"]


@pytest.mark.parametrize(
    ("wanted", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "de-DE,de;q=0.9", "en"),
        ("", "de, es;q=0.8, ru;q=0.9", "ru"),
        ("", "zh-Hant-TW,en;q=0.5", "zh"),
        ("", "iw", "he"),
        ("", "en;q=0, he", "he"),
        ("", "ru;q=much, es", "es"),
        ("", ";;,,q=;=" * 200, "en"),
        ("he", "ru", "he"),
        ("HE-il", "ru", "he"),
        ("../../en", "ru", "ru"),
    ],
)
def test_a_visitor_reads_their_language(wanted: str, accepted: str, language: str) -> None:
    assert chosen(wanted, accepted) == language


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_page_comes_in_every_language(site: Site, code: str) -> None:
    texts = languages()[code]
    asked = site.ask("GET", f"{leave(1)}?lang={code}")
    assert f'<html lang="{code}" dir="{texts.direction}">' in asked.text
    assert asked.headers["content-language"] == code
    assert f"<title>{texts.unsubscribe_title}</title>" in asked.text
    assert texts.scope_campaign in asked.text
    done = site.ask("POST", f"{leave(1)}?lang={code}", headers=FORM, body=b"scope=campaign")
    assert texts.done_campaign in done.text
    missing = site.ask("GET", "/c/x", headers=[("accept-language", code)])
    assert texts.not_found_text in missing.text


def test_pages_load_nothing_and_are_kept_nowhere(site: Site) -> None:
    pages = [site.ask("GET", leave(1)), site.ask("GET", "/nothing"), site.ask("POST", leave(1), body=b"")]
    for answer in pages:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy, "else no browser would apply the style"
        assert "set-cookie" not in answer.headers
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "noindex" in answer.headers["x-robots-tag"]
        assert "no-store" in answer.headers["cache-control"]
        assert answer.headers["vary"] == "Accept-Language"
        assert not re.search(r"<script|src=|style=|https?://|url\(", answer.text)


def test_what_a_visitor_sends_does_not_come_back_in_a_page(site: Site) -> None:
    evil = "<script>alert(1)</script>"
    answers = [
        site.ask("GET", f"/u/{evil}?lang={evil}"),
        site.ask("GET", f"/{evil}"),
        site.ask("POST", f"{leave(1)}?lang={evil}", headers=FORM, body=f"scope={evil}".encode()),
        site.ask("POST", leave(1), headers=FORM, body=f"undo={evil}".encode()),
        site.ask("GET", link(1).replace("shop", evil)),
    ]
    assert all("alert(1)" not in answer.text for answer in answers)


def test_a_page_without_a_good_token_tells_nothing_of_the_sender(site: Site) -> None:
    assert "Acme" not in site.ask("GET", "/u/x").text
