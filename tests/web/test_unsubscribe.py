"""The unsubscribe page: what unsubscribes, what does not, and taking it back."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence

import pytest

from coldsend.composing.tokens import NOBODY, Kind
from coldsend.web import unsubscribe
from coldsend.web.hits import HitKind
from tests.web.site import FORM, ONE_CLICK, TOKENS, Answer, Site, leave, multipart


def carried(answer: Answer) -> str:
    """What the page's form for taking back holds."""
    found = re.search(r'name="undo" value="([^"]+)"', answer.text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_at_the_page_never_unsubscribes(site: Site, method: str) -> None:
    for path in (leave(1), f"{leave(1)}?List-Unsubscribe=One-Click", f"{leave(1)}?scope=all&undo=x"):
        assert site.ask(method, path).status == 200
    assert site.hits() == []


@pytest.mark.costly
def test_the_page_of_a_test_message_does_what_it_says_to_nobody(site: Site) -> None:
    done = site.ask("POST", leave(NOBODY), headers=FORM, body=b"scope=all")
    assert (done.status, 'name="undo"' in done.text) == (200, True)
    undone = site.ask("POST", leave(NOBODY), headers=FORM, body=f"undo={carried(done)}".encode())
    assert undone.status == 200
    assert site.hits() == []


def test_the_page_asks_which_and_says_who_writes(site: Site) -> None:
    page = site.ask("GET", leave(1)).text
    assert page.count('name="scope"') == 2
    assert '<form method="post"' in page
    assert "Acme Ltd\n1 Test Street" in page


def one_clicks() -> list[tuple[Sequence[tuple[str, str]], bytes]]:
    return [
        (FORM, ONE_CLICK),
        ([("content-type", "application/x-www-form-urlencoded; charset=utf-8")], ONE_CLICK),
        multipart(List_Unsubscribe="One-Click"),
        (FORM, b"list-unsubscribe=one-click"),
        ([], ONE_CLICK),
        ([("content-type", "text/plain")], ONE_CLICK),
    ]


@pytest.mark.parametrize(("headers", "body"), one_clicks())
def test_one_click_unsubscribes_from_all_without_a_redirect(
    site: Site, headers: list[tuple[str, str]], body: bytes
) -> None:
    answer = site.ask("POST", leave(4), headers=headers, body=body)
    assert answer.status == 200
    assert not {"location", "set-cookie"} & set(answer.headers)
    [hit] = site.hits()
    assert (hit.kind, hit.row_id, hit.rest) == (HitKind.UNSUBSCRIBE, 4, ("all", "one_click"))


@pytest.mark.parametrize("scope", ["all", "campaign"])
def test_the_pages_form_unsubscribes_as_chosen(site: Site, scope: str) -> None:
    answer = site.ask("POST", leave(4), headers=FORM, body=f"scope={scope}".encode())
    assert (answer.status, "location" in answer.headers) == (200, False)
    assert [hit.rest for hit in site.hits()] == [(scope, "page")]
    assert carried(answer)


def test_a_repeated_request_is_answered_alike(site: Site) -> None:
    answers = [site.ask("POST", leave(4), headers=FORM, body=ONE_CLICK) for _ in range(3)]
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"unsubscribed\n")}
    assert len({hit.key for hit in site.hits()}) <= 2, "of one second they are one happening"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (FORM, b""),
        (FORM, b"scope=everything"),
        (FORM, b"List-Unsubscribe=Two-Click"),
        (FORM, b"&".join(b"a=1" for _ in range(30)) + b"&" + ONE_CLICK),
        ([("content-type", "multipart/form-data")], ONE_CLICK),
        ([("content-type", "multipart/form-data; boundary=B")], b"--B\r\n\xff"),
        ([("content-type", "application/json")], b'{"scope":"all"}'),
    ],
)
def test_what_asks_for_nothing_unsubscribes_nobody(
    site: Site, headers: list[tuple[str, str]], body: bytes
) -> None:
    answer = site.ask("POST", leave(4), headers=headers, body=body)
    assert answer.status == 400
    assert 'name="scope"' in answer.text, "the page asks again"
    assert site.hits() == []


def test_a_giant_body_is_refused(site: Site) -> None:
    assert site.ask("POST", leave(4), headers=FORM, body=ONE_CLICK + b"&a=" + b"x" * 70_000).status == 413
    told = [*FORM, ("content-length", "9" * 30)]
    assert site.ask("POST", leave(4), headers=told, body=ONE_CLICK).status == 413
    assert site.hits() == []


def bad_tokens() -> list[str]:
    good = TOKENS.issue(Kind.UNSUBSCRIBE, 4)
    others = [TOKENS.issue(kind, 4) for kind in Kind if kind is not Kind.UNSUBSCRIBE]
    changed = good[:5] + ("a" if good[5] != "a" else "b") + good[6:]
    return [changed, good[:-1], good + "A", good.swapcase(), "x", *others]


@pytest.mark.parametrize("token", bad_tokens())
def test_a_forged_or_foreign_token_unsubscribes_nobody(site: Site, token: str) -> None:
    assert site.ask("GET", f"/u/{token}").status == 404
    assert site.ask("POST", f"/u/{token}", headers=FORM, body=ONE_CLICK).status == 404
    assert site.hits() == []


def test_nobody_is_told_to_be_unsubscribed_while_that_is_not_on_disk(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_lines: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(site.intake._consent, "write", full)
    for body in (ONE_CLICK, b"scope=all"):
        answer = site.ask("POST", leave(4), headers=FORM, body=body)
        assert (answer.status, answer.headers["retry-after"]) == (503, "60")
    assert site.ask("GET", "/healthz").status == 503
    monkeypatch.undo()
    assert site.ask("POST", leave(4), headers=FORM, body=ONE_CLICK).status == 200
    assert site.ask("GET", "/healthz").status == 200


def test_an_unsubscribe_is_on_disk_when_it_is_answered(site: Site) -> None:
    site.ask("POST", leave(4), headers=FORM, body=ONE_CLICK)
    [file] = site.folder.glob("consent-*.spool")
    assert b"unsubscribe" in file.read_bytes()


@pytest.mark.costly
def test_an_unsubscribe_is_taken_back_from_its_page(site: Site) -> None:
    page = site.ask("POST", leave(4), headers=FORM, body=b"scope=campaign")
    answer = site.ask("POST", leave(4), headers=FORM, body=f"undo={carried(page)}".encode())
    assert answer.status == 200
    assert "Undone" in answer.text
    first, back = site.hits()
    assert (back.kind, back.row_id, back.rest) == (HitKind.UNDO, 4, ("campaign", str(first.at)))
    assert back.at // 1_000_000 > first.at // 1_000_000, "what comes now has another key than what was undone"


def test_one_cannot_take_back_for_somebody_else_or_otherwise(site: Site) -> None:
    given = carried(site.ask("POST", leave(4), headers=FORM, body=b"scope=campaign"))
    wider = given.replace("campaign", "all")
    for path, text in (
        (leave(5), given),
        (leave(4), wider),
        (leave(4), given[:-1] + "z"),
        (leave(4), "all.1.é"),
    ):
        answer = site.ask("POST", path, headers=FORM, body=f"undo={text}".encode())
        assert answer.status == 400
        assert "Too late" in answer.text
    assert [hit.kind for hit in site.hits()] == [HitKind.UNSUBSCRIBE]


def test_taking_back_is_over_after_an_hour(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    page = site.ask("POST", leave(4), headers=FORM, body=b"scope=all")
    monkeypatch.setattr(unsubscribe, "UNDO_SECONDS", -1)
    assert site.ask("POST", leave(4), headers=FORM, body=f"undo={carried(page)}".encode()).status == 400
    assert len(site.hits()) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_do_nothing(site: Site, method: str) -> None:
    assert site.ask(method, leave(4), headers=FORM, body=ONE_CLICK).status == 405
    assert site.hits() == []
