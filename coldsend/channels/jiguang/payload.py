"""The request for one message, or the reason why the API could not take it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import parseaddr
from typing import Any

from coldsend.channels.jiguang import ROW_ARGUMENT
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.message import Message

SUBJECT_LIMIT = 256  # characters
HEADERS_LIMIT = 1024  # bytes, as JSON
REQUEST_ID_LIMIT = 128  # characters

# The API sets these itself and refuses a request that names them. Compared without regard to case.
OWN_HEADERS = frozenset(
    name.lower()
    for name in (
        "DKIM-Signature", "Received", "Sender", "Date", "From", "To", "Reply-To", "Cc", "Bcc", "Subject",
        "Content-Type", "Content-Transfer-Encoding", "X-SENDCLOUD-UUID", "X-SENDCLOUD-LOG",
        "X-Remote-Web-IP", "X-SMTPAPI", "Return-Path", "X-SENDCLOUD-LOG-NEW",
    )
)  # fmt: skip

_SETTINGS = {
    "send_mode": 0,
    "return_email_id": True,
    "sandbox": False,
    "open_tracking": False,
    "click_tracking": False,
    "unsubscribe_tracking": False,
}


def document(message: Message, reply_to: str = "") -> dict[str, Any]:
    """The JSON document of the request. reply_to: the service's own, "" for none."""
    token = message.message_id.strip("<>")
    content = {"html": message.html, "text": message.text}
    body: dict[str, Any] = {
        "subject": message.subject,
        "content": {name: value for name, value in content.items() if value},
        "headers": _headers(message),
        "settings": dict(_SETTINGS),
    }
    answers_go_to = _header(message.headers, "Reply-To") or reply_to
    if answers_go_to:
        body["reply_to"] = [_readable(answers_go_to)]
    return {
        "from": _readable(message.from_header),
        "to": [message.rcpt_to],
        "body": body,
        # Webhooks repeat these: they lead back to the row also where a provider replaced the Message-ID.
        "custom_args": {ROW_ARGUMENT: token.partition("@")[0]},
        "request_id": token[:REQUEST_ID_LIMIT],
    }


def refusal(message: Message) -> Answer | None:
    """Why the API cannot take this message; None where nothing speaks against it."""
    if message.smtputf8:
        return Answer(Phase.RCPT, 553, "5.6.7", "the API takes no addresses with a non-ASCII local part")
    if len(message.subject) > SUBJECT_LIMIT:
        return Answer(
            Phase.DATA, 552, "5.3.4", f"the subject has more than {SUBJECT_LIMIT} characters, the API's limit"
        )
    if len(json.dumps(_headers(message)).encode()) > HEADERS_LIMIT:
        return Answer(
            Phase.DATA,
            552,
            "5.3.4",
            f"the extra headers take more than {HEADERS_LIMIT} bytes, the API's limit",
        )
    if not message.html and not message.text:
        return Answer(Phase.DATA, 554, "5.6.0", "the message has neither an HTML part nor a text part")
    return None


def _headers(message: Message) -> dict[str, str]:
    headers = {name: value for name, value in message.headers.items() if name.lower() not in OWN_HEADERS}
    return {**headers, "Message-ID": message.message_id}


def _header(headers: Mapping[str, str], wanted: str) -> str:
    return next((value for name, value in headers.items() if name.lower() == wanted.lower()), "")


def _readable(header: str) -> str:
    """``Name <address>`` with the name as people write it: encoded-words have no place in JSON."""
    name, address = parseaddr(header)
    with contextlib.suppress(HeaderParseError, LookupError, UnicodeError):
        name = str(make_header(decode_header(name)))
    name = re.sub(r"[\x00-\x1f\x7f]+", " ", name).strip()
    if not name:
        return address
    if re.search(r'[()<>@,:;.\\"\[\]]', name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'
    return f"{name} <{address}>"
