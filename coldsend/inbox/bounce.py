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

from flufl.bounce import all_failures

from coldsend.inbox import bounce_dsn, bounce_form, bounce_text
from coldsend.inbox.bounce_original import original_headers, split_text
from coldsend.inbox.bounce_severity import severity
from coldsend.inbox.classified import Failed
from coldsend.inbox.mail import Headers, Mail, read

TEXT = 4000
FLUFL_BYTES = 128 * 1024

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
    blocks = bounce_dsn.blocks(mail)
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
    found = _from_blocks(blocks, told, words, delay) or _from_text(mail, told, words, delay, raw)
    if not found:
        found = _from_original(original, own, words, delay)
    return Bounce(tuple(found), " ".join(words.split(" "))[:TEXT].strip(), original)


def own_words(mail: Mail) -> str:
    """The texts of a bounce for people, without what is attached."""
    texts = [part.text for part in mail.parts if part.content_type == "text/plain" and not part.is_attachment]
    if any(text.strip() for text in texts):
        return "\n".join(texts)
    pages = [part.text for part in mail.of_type("text/html")]
    return "\n".join(_unmarked(page) for page in pages)


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
    return {
        *mail.headers.addresses("to", "delivered-to", "x-original-to", "from", "reply-to", "sender"),
        *original.addresses("from", "return-path", "sender", "reply-to", "x-envelope-from", "errors-to"),
    }


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
        judged = severity(block.address, action, block.status, block.diagnostic, said or words)
        found.append(
            Failed(block.address, judged.status, action, judged.hard, judged.reason, judged.diagnostic)
        )
    return found


def _from_text(
    mail: Mail, told: Sequence[bounce_text.Told], words: str, delay: bool, raw: bytes
) -> list[Failed]:
    named = mail.headers.addresses("x-failed-recipients")
    if named:
        about = {each.address.lower(): each.words for each in told}
        told = [bounce_text.Told(address, about.get(address, words)) for address in named]
    if not told:
        told = [bounce_text.Told(address, words) for address in _flufl(raw)]
    return [_judged(each.address, each.words, words, delay) for each in told]


def _judged(address: str, said: str, words: str, delay: bool) -> Failed:
    action = "delayed" if delay else "failed"
    judged = severity(address, action, "", "", said)
    # Nothing in what stands beside the address: the reason may stand before all of them.
    if said is not words and not judged.hard and judged.reason in ("", *_NOTHING_SAID):
        whole = severity(address, action, "", "", words)
        if whole.reason not in ("", *_NOTHING_SAID):
            judged = whole
    return Failed(address, judged.status, action, judged.hard, judged.reason, judged.diagnostic)


# Rules that fit where words say nothing.
_NOTHING_SAID = ("lost_before_final_dot", "refused", "temporary", "unexpected_answer")


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
        temporary, permanent = all_failures(email.message_from_bytes(raw[:FLUFL_BYTES]))
        found = [
            each.decode("ascii", "replace") if isinstance(each, bytes) else str(each)
            for each in [*permanent, *temporary]
        ]
    except Exception:
        return []
    return sorted({address for address in found if "@" in address})


def _sns(words: str) -> Bounce | None:
    """Amazon's notifications, where they are sent by mail: one JSON object, and a note on unsubscribing."""
    start = words.find('{"notificationType"')
    if start < 0:
        return None
    try:
        document, _end = json.JSONDecoder().raw_decode(words[start:])
        told = document.get("bounce") or document.get("delivery") or document.get("complaint") or {}
        kind = str(document["notificationType"]).lower()
        original = document.get("mail") or {}
        found = [_from_sns(kind, each, told) for each in _sns_recipients(told)]
        headers = Headers((("message-id", f"<{original.get('messageId', '')}@email.amazonses.com>"),))
        return Bounce(tuple(found), "", headers) if kind in ("bounce", "delivery") else None
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


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
