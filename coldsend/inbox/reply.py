"""Replies: what somebody wrote anew, without what they quote and without their signature.

Own rules, line by line: the libraries for this try regular expressions over the whole text, which a hostile
message can make run for hours, and know fewer languages. HTML is turned into text where there is no other;
what mail programs mark as quoted in it is taken out before.
"""

from __future__ import annotations

import binascii
import re

from inscriptis import get_text
from lxml import etree, html

from coldsend.inbox.mail import Mail
from coldsend.inbox.reply_quotes import QUOTED, Form, opens_quote
from coldsend.inbox.reply_signature import without_signature

TEXT, LINES, HTML, MOST_QUOTES = 100_000, 5000, 200_000, 20

_ANSWERS = re.compile(
    r"^\s*(?:re|aw|antw|antwort|sv|vs|ref|res|r|rif|odp|vá|ynt|atb|回复|回覆|答复|返信|회신|תשובה|השב|رد)\s*"
    r"(?:\[\d+\]|\(\d+\))?\s*[:：]",
    re.IGNORECASE,
)
# Who greets, and quotes, answers below.
_GREETING = re.compile(r"[^\n.?]{2,40}[,!:，！]")
_UNSEEN = dict.fromkeys([0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])  # of direction
_PAGE = re.compile(r"\A\s*<(?:!doctype html|html|head|body|div|meta)\b", re.IGNORECASE)
_QUOTES = (
    "//blockquote",
    "//*[contains(concat(' ', @class, ' '), ' gmail_quote ')]",
    "//*[contains(concat(' ', @class, ' '), ' gmail_quote_container ')]",
    "//*[contains(concat(' ', @class, ' '), ' yahoo_quoted ')]",
    "//*[contains(concat(' ', @class, ' '), ' moz-cite-prefix ')]",
    "//*[contains(concat(' ', @class, ' '), ' protonmail_quote ')]",
    "//*[contains(concat(' ', @class, ' '), ' zmail_extra ')]",
    "//*[contains(concat(' ', @class, ' '), ' gmail_signature ')]",
    "//*[contains(concat(' ', @class, ' '), ' ntes-mailmaster-quote ')]",
    "//*[@name='quote']",
    "//*[@id='mail-editor-reference-message-container']",
    "//includetail",
)
# Behind these everything is quoted.
_CUTS = (
    "//*[@id='divRplyFwdMsg']",
    "//*[@id='appendonsend']",
    "//hr[@id='zwchr' or @id='stopSpelling']",
    "//*[@id='isReplyContent' or @id='isForwardContent']",
    "//*[contains(@class, 'OutlookMessageHeader')]",
    "//div[contains(@style, 'border-top:solid #E1E1E1') or contains(@style, 'border-top:solid #B5C4DF')]",
)


def is_reply(mail: Mail) -> bool:
    """Whether it answers something: by its headers, or its subject; a mere text is taken for an answer."""
    headers = mail.headers
    if not mail.has_headers:
        return True
    return bool(
        headers.get("in-reply-to") or headers.get("references") or _ANSWERS.match(headers.text("subject"))
    )


def text_of(mail: Mail) -> str:
    """All of the text of a message, quotes too: its plain text, else its HTML as text."""
    plain = [part.text for part in mail.of_type("text/plain") if not part.is_attachment]
    text = "\n".join(plain)
    if text.strip() and not (not mail.has_headers and _PAGE.match(text)):
        return text[:TEXT]
    pages = [part.text for part in mail.of_type("text/html") if not part.is_attachment] or plain
    return "\n".join(from_html(page) for page in pages[:3])[:TEXT]


def from_html(page: str) -> str:
    """The text of a page without what is marked as quoted; where nothing else is left, with it."""
    page = page[:HTML]
    whole = _tree(page)
    if whole is None:
        return re.sub(r"<[^<>]{0,1000}>", " ", page)
    kept = _rendered(_unquoted(whole))
    if kept.strip():
        return kept
    again = _tree(page)
    return _rendered(again) if again is not None else ""


def _tree(page: str) -> html.HtmlElement | None:
    try:
        return html.document_fromstring(
            page.encode("utf-8", "replace"), parser=html.HTMLParser(encoding="utf-8")
        )
    except (etree.LxmlError, ValueError, AssertionError):
        return None


def _unquoted(tree: html.HtmlElement) -> html.HtmlElement:
    for path in _CUTS:
        for element in tree.xpath(path)[:1]:
            _drop_from(element)
    for path in _QUOTES:
        for element in tree.xpath(path):
            if element.getparent() is not None:
                element.drop_tree()
    return tree


def _drop_from(element: html.HtmlElement) -> None:
    """Take out an element and all that follows it in the page."""
    while element.getparent() is not None and element.tag not in ("body", "html"):
        parent = element.getparent()
        for sibling in list(element.itersiblings()):
            parent.remove(sibling)
        following = parent if parent.tag not in ("body", "html") else None
        element.tail = None
        if following is None:
            parent.remove(element)
            return
        inner, element = element, parent
        if inner.getparent() is not None and not len(inner):
            parent.remove(inner)


def _rendered(tree: html.HtmlElement) -> str:
    try:
        text = get_text(html.tostring(tree, encoding="unicode"))
    except (RecursionError, ValueError, IndexError, etree.LxmlError):
        text = tree.text_content()
    return "\n".join(line.strip() for line in str(text).split("\n"))


def new_text(text: str) -> str:
    """What was written anew in a text that may quote; all of it where nothing else is left.

    Above the quote, or below it, or between its lines: whichever has words. A text that has nothing but
    headers above it was forwarded, or sent so: it is read as if they were not there.
    """
    lines = [line.rstrip() for line in _readable(text).split("\n")[:LINES]]
    rest = lines
    for _ in range(MOST_QUOTES):
        found, start = _new_in(rest)
        if found or start is None:
            return found or _joined(lines)
        rest = rest[start:]
    return _joined(lines)


def _new_in(lines: list[str]) -> tuple[str, int | None]:
    """The new text, and where to look for it if there is none: behind what opens the first quote."""
    above, opened = _until_quote(lines)
    if opened is None:
        return _joined(without_signature(_unmarked(lines))), None
    form, start = opened
    written = [line.strip() for line in above if line.strip()]
    has_words = bool(written) and not (len(written) == 1 and _GREETING.fullmatch(written[0]))
    below = _answers(lines[start:], interleaved=has_words) if form is Form.ATTRIBUTION else []
    between = [""] if written and below else []
    return _joined([*without_signature(above), *between, *without_signature(below)]), start


def _until_quote(lines: list[str]) -> tuple[list[str], tuple[Form, int] | None]:
    """The lines above the first quote, and what opens it and where it begins."""
    for number in range(len(lines)):
        found = opens_quote(lines, number)
        if found is not None:
            return _unmarked(lines[:number]), found
    return lines, None


def _unmarked(lines: list[str]) -> list[str]:
    """Without the lines that quote; all of them where there are no others."""
    own = [line for line in lines if not QUOTED.match(line)]
    return own if any(line.strip() for line in own) else lines


def _answers(lines: list[str], *, interleaved: bool) -> list[str]:
    """What stands between and behind the quoted lines below an attribution.

    interleaved: there is text above, so that this is meant only where more of the quote follows it;
    else it is a footer.
    """
    marks = [number for number, line in enumerate(lines) if QUOTED.match(line)]
    if not marks or any(line.strip() for line in lines[: marks[0]]):
        return []  # quoted without marks: all that follows
    kept: list[str] = []
    answered = False
    for start, end in zip(marks, [*marks[1:], len(lines)], strict=True):
        between = lines[start + 1 : end]
        if not any(line.strip() for line in between) or _is_wrapped(lines, start, end):
            continue
        if end == len(lines) and interleaved and not answered:
            break
        for number in range(len(between)):
            if opens_quote(between, number) is not None:
                return [*kept, *between[:number]]
        kept += [*between, ""]
        answered = True
    return kept


def _is_wrapped(lines: list[str], start: int, end: int) -> bool:
    """The rest of a long quoted line that a mail program broke, and forgot to mark."""
    between = lines[start + 1 : end]
    return len(lines[start]) > 55 and len(between) == 1 and end < len(lines)


def _joined(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip().strip("\ufeff\u200b").strip()


def _readable(text: str) -> str:
    """Text that is quoted-printable, without saying so, decoded; without signs nobody sees."""
    text = text[:TEXT].replace("\r\n", "\n").replace("\r", "\n")
    if len(re.findall(r"=\n", text)) >= 2 and re.search(r"=[0-9A-F]{2}", text):
        text = binascii.a2b_qp(text.encode("utf-8", "replace")).decode("utf-8", "replace")
    return text.replace("\u00a0", " ").replace("\u202f", " ").translate(_UNSEEN)
