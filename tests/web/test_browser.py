"""The pages in a real browser: nothing sticks out, nothing is loaded, everything works without a mouse."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from coldsend.web.hits import HitKind
from coldsend.web.wording import languages
from tests.web.site import Site, leave
from tests.web.test_protocol import Served

pytestmark = [pytest.mark.servers, pytest.mark.slow]

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STICKS_OUT = "document.documentElement.scrollWidth > window.innerWidth"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.fail(
            "chromium is not installed; run `make test`, or `make check` for the tests without servers"
        )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield started
        started.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Site, str]]:
    site = Site(tmp_path)
    running = Served(site)
    yield site, f"http://127.0.0.1:{running.port}"
    running.end()


def luminance(color: str) -> float:
    """Of ``rgb(r, g, b)``, by WCAG 2."""
    parts = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(page: Page, selector: str, behind: str) -> float:
    front = luminance(page.eval_on_selector(selector, "e => getComputedStyle(e).color"))
    back = luminance(page.eval_on_selector(behind, "e => getComputedStyle(e).backgroundColor"))
    return (max(front, back) + 0.05) / (min(front, back) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_language_fits_and_can_be_read(
    browser: Browser, served: tuple[Site, str], width: int, scheme: str
) -> None:
    _site, base = served
    context = browser.new_context(
        viewport={"width": width, "height": 740},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    for code, texts in languages().items():
        page.goto(f"{base}{leave(1)}?lang={code}")
        assert page.locator("html").get_attribute("dir") == texts.direction
        assert not page.evaluate(STICKS_OUT), (code, "sticks out")
        for selector, behind in (
            ("h1", "main"),
            ("address", "main"),
            ("button", "button"),
            ("nav a", "body"),
        ):
            assert contrast(page, selector, behind) >= 4.5, (code, selector)
        assert page.locator("button").bounding_box()["height"] >= 44  # type: ignore[index]
        page.get_by_label(texts.scope_campaign).check()
        page.get_by_role("button", name=texts.unsubscribe_button).click()
        assert page.locator("h1").inner_text() == texts.done_title
        assert not page.evaluate(STICKS_OUT), (code, "sticks out")
    assert all(url.startswith((base, "data:")) for url in asked)
    assert [error for error in errors if "favicon" not in error] == []
    assert context.cookies() == []
    context.close()


def test_a_keyboard_and_no_script_are_enough(browser: Browser, served: tuple[Site, str]) -> None:
    site, base = served
    context = browser.new_context(java_script_enabled=False, locale="ru-RU")
    page = context.new_page()
    page.goto(f"{base}{leave(7)}")
    assert page.locator("html").get_attribute("lang") == "ru"
    for key in ("Tab", "ArrowDown", "Tab", "Enter"):
        page.keyboard.press(key)
    page.get_by_text(languages()["ru"].done_campaign).wait_for(timeout=60_000)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text(languages()["ru"].undone_text).wait_for(timeout=60_000)
    context.close()
    assert [(hit.kind, hit.rest[0]) for hit in site.hits()] == [
        (HitKind.UNSUBSCRIBE, "campaign"),
        (HitKind.UNDO, "campaign"),
    ]
