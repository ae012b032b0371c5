"""The web application without a server: requests go in as ASGI, hits are read from its spool."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from coldsend.composing.tokens import Kind, Tokens
from coldsend.config.settings import Settings, WebSettings
from coldsend.web.app import Application
from coldsend.web.hits import Hit, decode
from coldsend.web.intake import Intake

SECRET = b"s" * 32
TOKENS = Tokens(SECRET)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SHOP = "https://shop.example/offer?a=1&b=ä#top"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Site:
    """web: settings of [web]."""

    def __init__(self, folder: Path, *, limit: int = 1 << 20, **web: Any) -> None:
        self.folder = folder
        self.settings = Settings(
            postal_address="Acme Ltd\n1 Test Street",
            web=WebSettings(**{"base_url": "https://mail.example.com", **web}),
        )
        self.intake = Intake(folder, limit)
        self.app = Application(self.settings, SECRET, self.intake)

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        peer: str = "198.51.100.7",
        agent: str = BROWSER,
    ) -> Answer:
        """One request. path: with its query, as it stands on the wire."""
        plain, _, query = path.partition("?")
        told = [("user-agent", agent), *headers]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": plain,
            "raw_path": plain.encode(),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "scheme": "http",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in told],
            "client": (peer, 4711),
            "server": ("testserver", 80),
        }
        return asyncio.run(self._run(scope, body))

    async def _run(self, scope: dict[str, Any], body: bytes) -> Answer:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))

    def hits(self) -> list[Hit]:
        """Everything taken in so far."""
        self.intake._spool.complete()
        found = [one for file in sorted(self.folder.glob("*.spool")) for one in decode(file.read_bytes())]
        assert all(isinstance(one, Hit) for one in found)
        return [one for one in found if isinstance(one, Hit)]


def pixel(row_id: int) -> str:
    return f"/o/{TOKENS.issue(Kind.OPEN, row_id)}.gif"


def link(row_id: int, url: str = SHOP) -> str:
    return f"/c/{TOKENS.issue(Kind.CLICK, row_id, url)}?u={quote(url, safe='')}"


def leave(row_id: int) -> str:
    return f"/u/{TOKENS.issue(Kind.UNSUBSCRIBE, row_id)}"


FORM = [("content-type", "application/x-www-form-urlencoded")]
ONE_CLICK = b"List-Unsubscribe=One-Click"


def multipart(**fields: str) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of a form with these fields; ``_`` in a name stands for ``-``."""
    parts = [
        f'--B0\r\nContent-Disposition: form-data; name="{name.replace("_", "-")}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return [("content-type", "multipart/form-data; boundary=B0")], ("".join(parts) + "--B0--\r\n").encode()
