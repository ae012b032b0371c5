"""From an HTTP response to an Answer that the reply table understands.

The API's statuses and messages become the SMTP code, enhanced code and phase that say the same: a refused
key is ``535 5.7.8`` at AUTH, a used-up limit ``550 5.4.5`` at MAIL, a malformed recipient ``550 5.1.3`` at
RCPT. So one table decides for all channels. The text keeps what was really answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from coldsend.domain.answers import Answer, Phase

AUTHENTICATION_FAILED = 30000
TEXT_LIMIT = 300
ID_LIMIT = 255

_SIZE = "5.3.4"

# What messages say -> what that is in SMTP. The first that matches counts. A recipient is only blamed
# where nothing else is named, because the verdict on a bad address is never to write to it again.
_SAID: tuple[tuple[re.Pattern[str], tuple[Phase, int, str]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        (r"too many requests|too frequent|rate.?limit|frequency|throttl", (Phase.MAIL, 451, "4.7.28")),
        (
            r"suspend|(account|api_?user|user) .{0,30}(frozen|disabled|locked|closed|banned)",
            (Phase.MAIL, 550, "5.7.0"),
        ),
        (r"quota|balance|insufficient|daily (send|sending )?limit|credits?\b", (Phase.MAIL, 550, "5.4.5")),
        (r"authenticat|unauthorized|api_?key|permission", (Phase.AUTH, 535, "5.7.8")),
        (
            r"too (large|long|big)|exceeds? .{0,40}(size|length|characters|bytes|kb|mb)",
            (Phase.DATA, 552, _SIZE),
        ),
        (
            r"\b(from|sender|domain)\b.{0,60}(not|invalid|illegal|unverified|unavailable|mismatch)"
            r"|(invalid|illegal|unverified|unknown) .{0,20}\b(from|sender|domain)\b",
            (Phase.MAIL, 550, "5.1.8"),
        ),
        (
            r"^(?!.*\b(from|sender|reply_?to|subject|domain|cc|bcc)\b).*"
            r"(\b(to|recipients?)\b.{0,40}\b(invalid|illegal|format|malformed|not exist)"
            r"|(invalid|illegal|malformed) .{0,20}\b(to|recipients?|e-?mail address(es)?)\b)",
            (Phase.RCPT, 550, "5.1.3"),
        ),
    )
)


def answer(status: int, body: bytes | None) -> Answer:
    """What the response means. body: None where the connection broke before all of it had come."""
    document = _document(body)
    text = _text(status, body, document)
    if 200 <= status < 300:
        return _success(document, text)
    if status == 503:
        return Answer(Phase.MAIL, 451, "4.3.2", text)
    if status >= 500:
        # Documented: after such an answer nobody knows whether the message was taken.
        return Answer(Phase.FINAL, 0, "", text, lost=True)
    if status in {401, 403} or document.get("code") == AUTHENTICATION_FAILED:
        return _said(text, only_suspended=True) or Answer(Phase.AUTH, 535, "5.7.8", text)
    if status == 402:
        return Answer(Phase.MAIL, 550, "5.4.5", text)
    if status == 408:
        return Answer(Phase.DATA, 451, "4.4.2", text)
    if status == 413:
        return Answer(Phase.DATA, 552, _SIZE, text)
    if status == 429:
        return Answer(Phase.MAIL, 451, "4.7.28", text)
    if status < 400 or status in {404, 405} or not document:
        return Answer(Phase.CONNECT, 0, "", f"{text} - this is not the API: check the service's API URL")
    return _said(text) or Answer(Phase.DATA, 501, "5.5.4", text)


def _success(document: Mapping[str, Any], text: str) -> Answer:
    ids = document.get("email_ids")
    if isinstance(ids, list) and ids:
        return Answer(Phase.FINAL, 250, "2.0.0", text, provider_message_id=_id(ids[0]))
    if document.get("code") and document.get("message"):
        return _said(text) or Answer(Phase.DATA, 501, "5.5.4", text)
    if "request_id" in document or "result" in document:
        return Answer(
            Phase.FINAL, 250, "2.0.0", text, provider_message_id=_id(document.get("request_id", ""))
        )
    return Answer(Phase.FINAL, 0, "", f"{text} - not an answer of the API", lost=True)


def _said(text: str, *, only_suspended: bool = False) -> Answer | None:
    for pattern, (phase, code, enhanced) in _SAID:
        if pattern.search(text) and (not only_suspended or enhanced == "5.7.0"):
            if enhanced == "5.7.0":
                text = f"account suspended: {text}"
            return Answer(phase, code, enhanced, text)
    return None


def _document(body: bytes | None) -> Mapping[str, Any]:
    try:
        found = json.loads(body or b"")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(status: int, body: bytes | None, document: Mapping[str, Any]) -> str:
    """``HTTP 400, code 30001: message``, printable and of bounded length."""
    head = f"HTTP {status}"
    code = document.get("code")
    if isinstance(code, int | str) and code != "":
        head += f", code {code}"
    said = document.get("message")
    if not isinstance(said, str):
        said = "" if document else (body or b"")[:TEXT_LIMIT].decode("utf-8", "replace")
    said = " ".join(said.split())
    whole = f"{head}: {said}" if said else head
    return "".join(letter if letter.isprintable() else "?" for letter in whole[:TEXT_LIMIT])


def _id(found: object) -> str:
    """The provider's id, as an ASCII key that fits its column."""
    return "".join(letter for letter in str(found) if "!" <= letter <= "~")[:ID_LIMIT]
