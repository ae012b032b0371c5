"""Pixel and redirect: what is answered, what is noted, and what nobody can make them do."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.composing.tokens import NOBODY, Kind
from coldsend.web.hits import HitKind
from coldsend.web.targets import location, read_target
from coldsend.web.tracking import PIXEL
from tests.web.site import SHOP, TOKENS, Site, leave, link, pixel


def test_an_open_is_noted_and_answered_with_a_pixel_that_nobody_keeps(site: Site) -> None:
    answer = site.ask("GET", pixel(7))
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, PIXEL, "image/gif")
    assert PIXEL.startswith(b"GIF89a\x01\x00\x01\x00")
    assert "no-store" in answer.headers["cache-control"]
    [hit] = site.hits()
    assert (hit.kind, hit.row_id, hit.signs) == (HitKind.OPEN, 7, ())
    assert hit.network == "198.51.100.0/24", "no whole address is stored"


def test_a_click_is_noted_and_led_to_its_target(site: Site) -> None:
    answer = site.ask("GET", link(9))
    assert answer.status == 302
    assert answer.headers["location"] == "https://shop.example/offer?a=1&b=%C3%A4#top"
    assert "no-store" in answer.headers["cache-control"]
    [hit] = site.hits()
    assert (hit.kind, hit.row_id, hit.url) == (HitKind.CLICK, 9, SHOP)


def test_links_of_a_test_message_work_and_nothing_is_noted(site: Site) -> None:
    assert site.ask("GET", pixel(NOBODY)).body == PIXEL
    assert site.ask("GET", link(NOBODY)).headers["location"].startswith("https://shop.example/")
    assert site.hits() == []


def test_head_is_answered_alike_and_noted_as_such(site: Site) -> None:
    assert site.ask("HEAD", pixel(1)).status == 200
    assert site.ask("HEAD", link(2)).headers["location"].startswith("https://shop.example/")
    assert [hit.signs for hit in site.hits()] == [("head",), ("head",)]


def test_prefetching_is_noted(site: Site) -> None:
    for name, value in (("sec-purpose", "prefetch;prerender"), ("x-moz", "prefetch"), ("purpose", "preview")):
        site.ask("GET", pixel(1), headers=[(name, value)], peer=f"198.51.{len(name)}.1")
    assert [hit.signs for hit in site.hits()] == [("prefetch",)] * 3


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get"])
def test_other_methods_are_refused_and_nothing_is_noted(site: Site, method: str) -> None:
    for path in (pixel(1), link(1)):
        answer = site.ask(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert site.hits() == []


def altered(token: str) -> str:
    """Another letter in the middle of a token."""
    return token[:10] + ("A" if token[10] != "A" else "B") + token[11:]


def forged_pixels() -> list[str]:
    token = TOKENS.issue(Kind.OPEN, 5)
    others = [TOKENS.issue(kind, 5, SHOP) for kind in Kind if kind is not Kind.OPEN]
    folded = [TOKENS.issue_folded(Kind.MESSAGE_ID, 5), TOKENS.issue_folded(Kind.ADDRESS, 5)]
    return [altered(token), token[:-1], token + "A", "", "../" + token, token + "%00", *others, *folded]


@pytest.mark.parametrize("token", forged_pixels())
def test_a_forged_pixel_is_a_pixel_and_nothing_is_noted(site: Site, token: str) -> None:
    answer = site.ask("GET", f"/o/{token}.gif")
    assert (answer.status, answer.body) == (200, PIXEL)
    assert site.hits() == []


EVIL = [
    "https://evil.example/",
    "//evil.example/",
    "\\\\evil.example",
    "/\\evil.example",
    "https:evil.example",
    "https://shop.example@evil.example/",
    "https://evil.example/https://shop.example/offer?a=1&b=ä#top",
    "javascript:alert(1)",
    "data:text/html,x",
    SHOP + "x",
    SHOP[:-1],
    SHOP.upper(),
    "",
]


@pytest.mark.parametrize("url", EVIL)
def test_a_click_leads_nowhere_but_to_what_was_signed(site: Site, url: str) -> None:
    token = TOKENS.issue(Kind.CLICK, 5, SHOP)
    for written in (quote(url, safe=""), quote(quote(url, safe=""), safe=""), url.encode().decode("latin-1")):
        answer = site.ask("GET", f"/c/{token}?u={written}")
        assert answer.status == 404
        assert "location" not in answer.headers
    assert site.hits() == []


def test_a_second_target_beside_the_signed_one_changes_nothing(site: Site) -> None:
    good = link(5)
    for path in (f"{good}&u=https%3A%2F%2Fevil.example", good.replace("?u=", "?x=1&u=")):
        assert site.ask("GET", path).headers["location"].startswith("https://shop.example/")
    first = good.replace("?u=", "?u=https%3A%2F%2Fevil.example&u=")
    assert site.ask("GET", first).status == 404


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.CLICK])
def test_tokens_of_other_kinds_redirect_nobody(site: Site, kind: Kind) -> None:
    assert site.ask("GET", f"/c/{TOKENS.issue(kind, 5)}?u={quote(SHOP, safe='')}").status == 404
    assert site.ask("GET", f"/c/{TOKENS.issue(kind, 5)}").status == 404
    assert site.hits() == []


def test_an_altered_click_token_redirects_nobody(site: Site) -> None:
    token = TOKENS.issue(Kind.CLICK, 5, SHOP)
    assert site.ask("GET", f"/c/{altered(token)}?u={quote(SHOP, safe='')}").status == 404
    assert site.hits() == []


def rewritten() -> list[str]:
    """The query of a click as gateways change it on its way."""
    once = quote(SHOP, safe="")
    return [
        f"u={once}",
        f"u={quote(once, safe='')}",  # encoded again
        f"u={SHOP.encode().decode('latin-1')}",  # decoded
        f"u={once}&utm_source=gateway",
        f"click=1&u={once}",
    ]


@pytest.mark.parametrize("query", rewritten())
def test_a_link_that_a_gateway_rewrote_still_leads_to_its_target(site: Site, query: str) -> None:
    token = TOKENS.issue(Kind.CLICK, 5, SHOP)
    assert site.ask("GET", f"/c/{token}?{query}").headers["location"].startswith("https://shop.example/offer")


def test_a_giant_query_is_not_looked_at(site: Site) -> None:
    url = "https://shop.example/" + "a" * 9000
    assert site.ask("GET", link(5, url)).status == 404


def test_line_breaks_in_a_signed_target_reach_no_header() -> None:
    assert location("https://shop.example/a\r\nSet-Cookie: x=1") == "https://shop.example/aSet-Cookie:%20x=1"
    assert location("https://shop.example/\x00\x7f") == "https://shop.example/"


def test_a_target_that_is_no_web_address_is_none_even_where_it_was_signed(site: Site) -> None:
    for url in ("javascript:alert(1)", "ftp://shop.example/", "//shop.example", "https:///x"):
        assert site.ask("GET", link(5, url)).status == 404
    assert site.hits() == []


def test_international_targets_are_written_in_ascii() -> None:
    assert location("https://münchen.example/straße?q=ü") == (
        "https://xn--mnchen-3ya.example/stra%C3%9Fe?q=%C3%BC"
    )
    assert location("https://user@shop.example:8443/%41") == "https://user@shop.example:8443/%41"


@pytest.mark.costly
@given(st.text(max_size=60))
def test_any_signed_target_is_a_clean_header_or_none(url: str) -> None:
    for text in (url, f"https://shop.example/{url}", f"http://{url}"):
        found = location(text)
        if found is not None:
            assert found.isascii()
            assert all(32 < ord(letter) < 127 for letter in found)
            assert found.lower().startswith(("http://", "https://"))


@given(st.binary(max_size=200))
def test_any_query_is_read_without_an_error(query: bytes) -> None:
    assert read_target(b"u=" + query, lambda _url: None) is None


def test_the_same_client_doing_the_same_within_ten_seconds_has_done_it_once(site: Site) -> None:
    for _ in range(3):
        site.ask("GET", pixel(1))
    site.ask("GET", pixel(2))
    site.ask("GET", pixel(1), peer="203.0.113.9")
    site.ask("GET", pixel(1), agent="Another browser")
    assert [hit.row_id for hit in site.hits()] == [1, 2, 1, 1]


def test_what_a_browser_fetched_ahead_does_not_hide_the_person_who_follows(site: Site) -> None:
    for _ in range(2):
        site.ask("GET", link(7), headers=[("sec-purpose", "prefetch")])
        site.ask("GET", link(7))
    assert [hit.signs for hit in site.hits()] == [("prefetch",), ()]


def test_links_of_a_base_url_with_a_path_are_answered(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.app._prefix = "/track"
    assert site.ask("GET", f"/track{link(1)}").status == 302
    assert site.ask("GET", link(2)).status == 302, "where the proxy takes the path off"
    assert site.ask("GET", f"/track{leave(3)}").status == 200


def test_the_path_of_the_base_url_is_known(tmp_path: Path) -> None:
    from dataclasses import replace

    from coldsend.web.app import Application

    site = Site(tmp_path)
    web = replace(site.settings.web, base_url="https://example.com/track/")
    app = Application(replace(site.settings, web=web), b"s" * 32, site.intake)
    assert app._prefix == "/track"


@pytest.mark.parametrize(
    "path", ["/", "/o", "/c/", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/u/", "/metrics", "/w/", "//"]
)
def test_everything_else_is_not_found(site: Site, path: str) -> None:
    answer = site.ask("GET", path)
    assert answer.status == 404
    assert "root:" not in answer.text


def test_health_and_robots(site: Site) -> None:
    assert site.ask("GET", "/healthz").text == "ok\n"
    assert "Disallow: /" in site.ask("GET", "/robots.txt").text
    site.intake.ailment = "the spool cannot be written"
    assert site.ask("GET", "/healthz").status == 503
