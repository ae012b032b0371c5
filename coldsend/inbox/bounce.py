"""Bounces: mail that came back because somebody could not be reached, and notices that it takes longer.

A report by its form (RFC 3464) is believed; what looks like a bounce otherwise (``bounce_form``) is read for
the addresses in its words (``bounce_text``), then in X-Failed-Recipients, then flufl.bounce is asked, then
the returned message tells whom it was for. How bad it is, ``bounce_severity`` judges.
"""

from __future__ import annotations

import email
import json
import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flufl.bounce import all_failures

from coldsend.inbox import bounce_dsn, bounce_form, bounce_text
from coldsend.inbox.bounce_original import original_headers, split_text
from coldsend.inbox.bounce_severity import NOTHING_SAID, severity
from coldsend.inbox.classified import Failed
from coldsend.inbox.mail import Headers, Mail, read

TEXT = 4000
WORDS, LINES = 64 * 1024, 1500  # what is read of the words of a bounce: they come first
FLUFL_BYTES = 16 * 1024

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it logs each detector, and each failure

_PROOF_OF_ARRIVAL = ("delivered", "relayed", "expanded")
_TAG = re.compile(r"<[^<>]{0,2000}>")


@dataclass(frozen=True, slots=True)
class Bounce:
    """text: what it says to people. original: the headers of the message it is about."""

    recipients: tuple[Failed, ...]
    text: str
    original: Headers

    @property
    def failed(self) -> bool:
        """Whether anybody was given up; else it only tells of a delay or an arrival."""
        told = {each.action for each in self.recipients}
        return not told or "failed" in told


def find(mail: Mail, *, raw: bytes = b"", depth: int = 0) -> Bounce | None:
    """The bounce that a message is, or None. raw: its bytes, for flufl.bounce."""
    words, returned = split_text(own_words(mail))
    original = original_headers(mail, returned)
    blocks = bounce_dsn.blocks(mail) or bounce_dsn.refusals(mail, words)
    notification = _sns(words) if not blocks else None
    if notification is not None:
        return notification
    if not blocks and not bounce_form.is_bounce(mail, words, returned=bool(original.fields)):
        return None
    blocks = blocks or bounce_dsn.blocks_in(words)
    delay = bounce_form.is_delay(mail, words)
    own = _own(mail, original)
    sent_to = set(original.addresses("to", "cc", "x-envelope-to", "x-failed-recipients"))
    told, sure = bounce_text.failed(words, own, sent_to)
    if not blocks and not sure and depth == 0 and (inner := _inner(mail, returned)) is not None:
        return inner
    found = _from_blocks(blocks, told, words, delay)
    found = found or _from_text(mail, told, words, raw, delay=delay, sure=sure)
    found = found or _from_original(original, own, words, delay)
    if not found and not original.fields and not bounce_form.has_null_path(mail):
        return None  # somebody's words about mail, a digest of what was blocked
    return Bounce(tuple(found), " ".join(words.split(" "))[:TEXT].strip(), original)


def own_words(mail: Mail) -> str:
    """The texts of a bounce for people, without what is attached: their beginning."""
    texts = [part.text for part in mail.parts if part.content_type == "text/plain" and not part.is_attachment]
    if any(text.strip() for text in texts):
        return _beginning("\n".join(texts))
    pages = [part.text[:WORDS] for part in mail.of_type("text/html")[:5]]
    return _beginning("\n".join(_unmarked(page) for page in pages))


def _beginning(text: str) -> str:
    lines = text[:WORDS].strip("\n").split("\n", LINES)
    return "\n".join(lines[:LINES])


def _unmarked(page: str) -> str:
    """The words of an HTML page, roughly: enough to find addresses and answers in."""
    page = re.sub(r"(?is)<(style|script|head)\b.{0,20000}?</\1>", " ", page)
    page = re.sub(r"(?i)<(?:br|p|div|tr|td|li|h\d)\b[^<>]{0,500}>", "\n", page)
    page = re.sub(r"<(" + bounce_text.ADDRESS + r")>", r" \1 ", page)
    page = _TAG.sub(" ", page)
    for name, sign in (("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&quot;", '"'), ("&amp;", "&")):
        page = page.replace(name, sign)
    return re.sub(r"[ \t]+", " ", page)


def _own(mail: Mail, original: Headers) -> Collection[str]:
    """Addresses that are not meant: ours, to which it came back, and the machine's that sent it."""
    sure = {*mail.headers.addresses("to", "from"), *original.addresses("from", "return-path")}
    likely = {
        *mail.headers.addresses("delivered-to", "x-original-to", "reply-to", "sender"),
        *original.addresses("sender", "reply-to", "x-envelope-from", "errors-to"),
    }
    return sure | (likely - set(original.addresses("to", "cc")))


def _from_blocks(
    blocks: Sequence[bounce_dsn.Block], told: Sequence[bounce_text.Told], words: str, delay: bool
) -> list[Failed]:
    about = {each.address.lower(): each.words for each in told}
    found = []
    for block in blocks:
        said = about.get(block.address.lower()) or about.get(block.final_address.lower())
        action = block.action or ("delayed" if delay or block.status.startswith("4") else "failed")
        if block.status.startswith("2") and not block.action:
            action = "delivered"
        judged = severity(block.address, action, block.status, block.diagnostic, said or words[:TEXT], words)
        found.append(
            Failed(block.address, judged.status, action, judged.hard, judged.reason, judged.diagnostic)
        )
    return found


def _from_text(
    mail: Mail, told: Sequence[bounce_text.Told], words: str, raw: bytes, *, delay: bool, sure: bool
) -> list[Failed]:
    named = mail.headers.addresses("x-failed-recipients")
    about = {each.address.lower(): each.words for each in told}
    if named and (not sure or any(address in about for address in named)):
        told = [bounce_text.Told(address, about.get(address, words)) for address in named]
    if not told:
        told = [bounce_text.Told(address, words) for address in _flufl(raw)]
    context = words if len(told) == 1 else ""
    return [_judged(each.address, each.words, context, delay) for each in told]


def _judged(address: str, said: str, words: str, delay: bool) -> Failed:
    action = "delayed" if delay else "failed"
    judged = severity(address, action, "", "", said, words)
    # Nothing in what stands beside the address: the reason may stand before all of them.
    if words and said is not words and not judged.hard and judged.reason in ("", *NOTHING_SAID):
        whole = severity(address, action, "", "", words, words)
        if whole.reason not in ("", *NOTHING_SAID):
            judged = whole
    return Failed(address, judged.status, action, judged.hard, judged.reason, judged.diagnostic)


def _from_original(original: Headers, own: Collection[str], words: str, delay: bool) -> list[Failed]:
    """Whom the returned message was for: sure enough where it was one person, as ours are."""
    named = original.addresses("x-failed-recipients", "x-envelope-to", "to", "envelope-to", "delivered-to")
    strangers = [address for address in named if address not in own]
    return [_judged(strangers[0], words, words, delay)] if len(strangers) == 1 else []


def _inner(mail: Mail, returned: str) -> Bounce | None:
    """Some gateways return a bounce as the message that was bounced."""
    attached = [part.text for part in mail.of_type("message/rfc822")]
    for text in [*attached, returned]:
        inner = find(read(text.encode("utf-8", "replace")), depth=1) if text else None
        if inner is not None and inner.recipients:
            return inner
    return None


def _flufl(raw: bytes) -> list[str]:
    """The addresses flufl.bounce finds. It raises on much, and its severity is not to be relied on."""
    try:
        # Runs of empty lines take it seconds.
        shortened = re.sub(rb"[\r\n]{5,}", b"\n\n", raw[:FLUFL_BYTES])
        temporary, permanent = all_failures(email.message_from_bytes(shortened))
        found = [
            each.decode("ascii", "replace") if isinstance(each, bytes) else str(each)
            for each in [*permanent, *temporary]
        ]
    except Exception:
        return []
    return sorted({address for address in found if "@" in address})


def _sns(words: str) -> Bounce | None:
    """Amazon's notifications, where they are sent by mail: JSON, often as a text within JSON."""
    if '"notificationType' not in words.replace("\\", ""):
        return None
    try:
        document = _json_in(words)
        if isinstance(document.get("Message"), str):
            document = _json_in(document["Message"])
        kind = str(document["notificationType"]).lower()
        told = document[kind]
        headers = Headers((("message-id", f"<{document['mail']['messageId']}@email.amazonses.com>"),))
        found = [_from_sns(kind, each, told) for each in _sns_recipients(told)]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    return Bounce(tuple(found), "", headers) if kind in ("bounce", "delivery") else None


def _json_in(text: str) -> dict[str, Any]:
    # Lines of a thousand characters and more are broken by sendmail, with "!" at their ends.
    text = text.replace("!\n ", "")
    document = json.JSONDecoder(strict=False).raw_decode(text, max(text.find("{"), 0))[0]
    if not isinstance(document, dict):
        raise TypeError("no object")
    return document


def _sns_recipients(told: dict[str, object]) -> list[dict[str, str]]:
    listed = told.get("bouncedRecipients") or told.get("recipients") or []
    if not isinstance(listed, list):
        return []
    return [each if isinstance(each, dict) else {"emailAddress": str(each)} for each in listed[:200]]


def _from_sns(kind: str, each: dict[str, str], told: dict[str, object]) -> Failed:
    address = str(each.get("emailAddress", ""))
    if kind == "delivery":
        answer = severity(address, "delivered", "", str(told.get("smtpResponse", "")), "")
        return Failed(address, answer.status, "delivered", None, "delivered", answer.diagnostic)
    action = str(each.get("action", "failed"))
    diagnostic = bounce_dsn.typeless(str(each.get("diagnosticCode", "")))
    judged = severity(address, action, str(each.get("status", "")), diagnostic, "")
    return replace(
        Failed(address, judged.status, action, judged.hard, judged.reason, judged.diagnostic),
        hard=bool(judged.hard) and told.get("bounceType") == "Permanent",
    )
