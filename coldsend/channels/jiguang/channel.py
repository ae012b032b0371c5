"""One HTTP request a message, over kept-open connections.

Where the outcome becomes unknown: the API acts on a request once it has all of its body. So
``before_commit`` is called between head and body of the request, when the connection stands, and what goes
wrong before that is a retry (phases CONNECT, TLS, DATA); afterwards only an answer tells (phase FINAL).
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from coldsend.channels.jiguang import DEFAULT_API_URL, answers, payload
from coldsend.channels.limits import raise_if_ours
from coldsend.channels.seam import Transcript
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.message import Message
from coldsend.domain.service import Service

PATH = "/v1/mail/send"

CONNECT_SECONDS = 30.0
ANSWER_SECONDS = 60.0  # between two pieces of the answer
DEADLINE_SECONDS = 180.0  # one message in all
BODY_LIMIT = 64 * 1024  # bytes of an answer that are read

# Shorter than servers keep idle connections, so that a request seldom meets one that is being closed.
IDLE_SECONDS = 4.0


class JiguangChannel:
    """The way out through one EngageLab account.

    service.settings: ``api_url`` (base URL of the data centre), ``reply_to``, ``connections``.
    credentials: ``api_user`` and ``api_key``. The three times are in seconds; ``deadline`` is for one
    message in all. transcript: hears what is said, without secrets.
    """

    def __init__(
        self,
        service: Service,
        credentials: Mapping[str, Any],
        *,
        connect_seconds: float = CONNECT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        deadline_seconds: float = DEADLINE_SECONDS,
        transcript: Transcript | None = None,
    ) -> None:
        self.capacity = self.appetite = service.connections
        user, key = str(credentials.get("api_user", "")), str(credentials.get("api_key", ""))
        self._url = str(service.settings.get("api_url") or DEFAULT_API_URL).rstrip("/") + PATH
        self._reply_to = str(service.settings.get("reply_to") or "")
        self._deadline = deadline_seconds
        self._transcript = transcript
        basic = base64.b64encode(f"{user}:{key}".encode()).decode()
        self._secrets = [secret for secret in (basic, key) if secret]
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Basic {basic}", "Accept": "application/json"},
            timeout=httpx.Timeout(answer_seconds, connect=connect_seconds, pool=None),
            limits=httpx.Limits(max_connections=self.capacity, keepalive_expiry=IDLE_SECONDS),
            follow_redirects=False,
            # Proxies and .netrc of whoever started the process are not part of the service's settings.
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"JiguangChannel({self._url})"

    async def send(
        self,
        message: Message,
        before_commit: Callable[[], None],
        answered: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Hand ``message`` over; see the seam for what callers may rely on."""
        if refused := payload.refusal(message):
            return refused
        document = payload.document(message, self._reply_to)
        progress = _Progress(before_commit)
        self._show_request(document)
        try:
            async with asyncio.timeout(self._deadline):
                found = await self._post(document, progress)
        except TimeoutError:
            found = progress.broken(f"no answer within {self._deadline:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            if isinstance(error, httpx.ConnectError):
                raise_if_ours(error)
            found = progress.broken(_described(error))
        found = self._without_secrets(found)
        if self._transcript:
            self._transcript("S", found.text)
        return found

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _post(self, document: Mapping[str, Any], progress: _Progress) -> Answer:
        content = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        request = self._client.stream(
            "POST",
            self._url,
            content=content,
            headers={"Content-Type": "application/json; charset=utf-8"},
            extensions={"trace": progress.trace},
        )
        async with request as response:
            return answers.answer(response.status_code, await _body(response))

    def _show_request(self, document: Mapping[str, Any]) -> None:
        if self._transcript:
            shown = {**document, "body": {**document["body"], "content": "..."}}
            self._transcript("C", f"POST {self._url}")
            self._transcript("C", "Authorization: Basic ***")
            self._transcript("C", json.dumps(shown, ensure_ascii=False))

    def _without_secrets(self, found: Answer) -> Answer:
        """A server may repeat what it was told; nothing of that reaches logs or the database."""
        text = found.text
        for secret in self._secrets:
            text = text.replace(secret, "***")
        if text == found.text:
            return found
        return Answer(found.phase, found.code, found.enhanced, text, found.lost, found.provider_message_id)


class _Progress:
    """How far the request has come, told by the HTTP library's trace of its steps."""

    def __init__(self, before_commit: Callable[[], None]) -> None:
        self._before_commit = before_commit
        self._phase = Phase.CONNECT

    async def trace(self, event: str, _info: Mapping[str, Any]) -> None:
        if event == "connection.start_tls.started":
            self._phase = Phase.TLS
        elif event == "http11.send_request_headers.started":
            self._phase = Phase.DATA
        elif event == "http11.send_request_body.started":
            # What it raises stops the request here: the body has not been written.
            self._before_commit()
            self._phase = Phase.FINAL

    def broken(self, text: str) -> Answer:
        """The answer where none came."""
        return Answer(self._phase, 0, "", text, lost=True)


async def _body(response: httpx.Response) -> bytes | None:
    """The answer's body up to a limit; None where it broke off or did not come in time."""
    found = b""
    try:
        async for piece in response.aiter_bytes():
            found += piece
            if len(found) >= BODY_LIMIT:
                return found[:BODY_LIMIT]
    except httpx.HTTPError:
        return None
    return found


def _described(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return " ".join(text.split())[: answers.TEXT_LIMIT]
