"""Webhooks as the web application answers them."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from coldsend import clock
from coldsend.composing.tokens import Kind
from coldsend.config.settings import DatabaseSettings, Settings
from coldsend.database.engine import Database
from coldsend.domain.webhook_provider import ENGAGELAB
from coldsend.web.app import Application
from coldsend.web.intake import Intake
from coldsend.web.webhooks import routes as module
from coldsend.web.webhooks.identity import path_of
from coldsend.web.webhooks.receiving import Post, Received
from coldsend.web.webhooks.routes import BODY_LIMIT, WAITING, Webhooks, routes
from tests.feedback.happenings import TOKENS
from tests.web.webhooks.desk import KEYS, Desk, told
from tests.web.webhooks.samples import APP_KEY, engagelab_headers, engagelab_status

SECRET = b"s" * 32
SERVICE = TOKENS.issue(Kind.WEBHOOK, 1)


@pytest.fixture
def desk(sqlite_url: str) -> Desk:
    made = Desk(Database(sqlite_url), sqlite_url)
    made.enter(ENGAGELAB, APP_KEY)
    return made


def ask(
    url: str, method: str, path: str, headers: dict[str, str] | None = None, content: Any = b""
) -> httpx.Response:
    """One request to the application on this database."""
    settings = Settings(database=DatabaseSettings(url=url))

    async def run() -> httpx.Response:
        with tempfile.TemporaryDirectory() as folder:
            intake = Intake(Path(folder), 1 << 20)
            app = Application(settings, SECRET, intake, routes(settings, SECRET, lambda: KEYS))
            try:
                return await _asked(app)
            finally:
                await intake.close()

    async def _asked(app: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, headers=headers, content=content)

    return asyncio.run(run())


def path(service_id: int, provider: str = ENGAGELAB, kind: Kind = Kind.WEBHOOK) -> str:
    return path_of(provider, TOKENS.issue(kind, service_id))


def test_a_proven_request_is_answered_200_once_it_is_in_the_ledger(desk: Desk, sqlite_url: str) -> None:
    (row,) = desk.sent()
    body = json.dumps(told(engagelab_status("delivered", token=desk.token(row)))).encode()
    answer = ask(sqlite_url, "POST", path(desk.service_id), engagelab_headers(clock.now()), body)
    assert (answer.status_code, answer.text) == (200, "taken\n")
    assert desk.status(row) == "delivered"


def test_a_request_that_is_not_proven_is_answered_403(desk: Desk, sqlite_url: str) -> None:
    headers = engagelab_headers(clock.now(), "guessed-key")
    assert ask(sqlite_url, "POST", path(desk.service_id), headers, b"{}").status_code == 403


def test_a_provider_may_try_the_url_with_get(desk: Desk, sqlite_url: str) -> None:
    assert ask(sqlite_url, "GET", path(desk.service_id)).status_code == 200
    assert ask(sqlite_url, "HEAD", path(desk.service_id)).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "wrong",
    [
        path_of(ENGAGELAB, "A" * 22),
        path_of(ENGAGELAB, SERVICE[:-1]),
        path_of(ENGAGELAB, SERVICE + "/"),
        path_of("mailgun", SERVICE),
        path_of("", SERVICE),
        *(path(1, kind=kind) for kind in Kind if kind not in (Kind.WEBHOOK, Kind.CLICK)),
    ],
)
def test_a_url_that_was_not_given_out_is_unknown(sqlite_url: str, method: str, wrong: str) -> None:
    assert ask(sqlite_url, method, wrong, engagelab_headers(clock.now()), b"{}").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(desk: Desk, sqlite_url: str, method: str) -> None:
    assert ask(sqlite_url, method, path(desk.service_id)).status_code == 405


async def _pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 1000


@pytest.mark.parametrize("content", [lambda: b"x" * (BODY_LIMIT + 1), lambda: _pieces(1100)])
def test_a_body_beyond_the_limit_is_refused(desk: Desk, sqlite_url: str, content: Callable[[], Any]) -> None:
    answer = ask(sqlite_url, "POST", path(desk.service_id), engagelab_headers(clock.now()), content())
    assert answer.status_code == 413
    assert desk.payloads() == []


def test_without_a_database_the_provider_is_asked_to_come_again() -> None:
    answer = ask("sqlite:////nowhere/at/all.db", "POST", path(1), engagelab_headers(clock.now()), b"{}")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


class Slow:
    """A receiver that takes its time."""

    def __init__(self) -> None:
        self.entered = 0

    def receive(self, posts: list[Post], _now: Any) -> list[Received]:
        self.entered += len(posts)
        return [Received.TAKEN] * len(posts)


def test_where_too_many_wait_providers_are_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    webhooks = Webhooks(TOKENS, slow)
    monkeypatch.setattr(module, "WAITING", 3)
    gate = asyncio.Event()

    async def held_back() -> AsyncIterator[bytes]:
        yield b"{}"
        await gate.wait()

    async def run() -> list[int]:
        app = Starlette(routes=[Route("/w/{provider}/{token}", webhooks.answer, methods=["POST"])])
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            waiting = [asyncio.create_task(client.post(path(1), content=held_back())) for _ in range(3)]
            while webhooks._waiting < 3:
                await asyncio.sleep(0)
            turned_away = await client.post(path(1), content=b"{}")
            gate.set()
            taken = await asyncio.gather(*waiting)
            afterwards = await client.post(path(1), content=b"{}")
            return [turned_away.status_code, *(each.status_code for each in taken), afterwards.status_code]

    assert asyncio.run(run()) == [503, 200, 200, 200, 200]
    assert slow.entered == 4
    assert WAITING > 3
