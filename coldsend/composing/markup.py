"""Whether a template's HTML is sound: tags closed, links and images usable in a mail."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from coldsend.composing.language import Fault
from coldsend.composing.plain import VOID
from coldsend.composing.skeleton import MARKER, Data, End, Piece, Skeleton, Start

# Elements whose end tag HTML lets one leave out.
_OPTIONAL = {
    *("html", "head", "body", "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option"),
    *("colgroup", "caption", "rt", "rp", "optgroup"),
}
_DROPPED = {"script", "form", "iframe", "object", "embed", "video", "audio", "input", "button"}
_TAG_BEGINS = re.compile(r"</?[A-Za-z]\w*")
_BRANCH = re.compile(r"\{%[-+]?\s*(?:else|elif)\b")


@dataclass(frozen=True, slots=True)
class Remark:
    """A fault in the HTML. ``fatal``: the template must not be used like this."""

    fatal: bool
    fault: Fault


def remarks(taken: Skeleton, found: list[Piece]) -> Iterator[Remark]:
    """Everything there is to say about the HTML, in no particular order."""
    branches = any(_BRANCH.match(code) for code in taken.codes)
    for fault in _nesting(taken, found):
        # The tags of two branches are both there, though only one is ever sent: no certainty then.
        yield Remark(not branches, fault)
    for piece in found:
        if isinstance(piece, Start):
            line = taken.line(piece.at)
            if piece.tag in {"a", "area"} and "href" in piece.attributes:
                yield from _link(piece.attributes["href"].strip(), line)
            elif piece.tag == "img":
                yield from _image(piece.attributes, line)
            elif piece.tag in _DROPPED:
                yield Remark(False, Fault(line, f"<{piece.tag}> is dropped or blocked by most mail programs"))


def _nesting(taken: Skeleton, found: list[Piece]) -> Iterator[Fault]:
    """Tags that are not closed, or closed without having been opened."""
    stack: list[Start] = []
    opened: Counter[str] = Counter()  # tags in the stack
    for piece in found:
        if isinstance(piece, Data):
            # The parser takes a tag without an end for text, which then begins where the tag does.
            if stray := _TAG_BEGINS.match(taken.text, piece.at):
                yield Fault(taken.line(piece.at), f"the tag {stray.group()!r} lacks its '>'")
        elif isinstance(piece, Start):
            if piece.tag not in VOID and not piece.closed:
                stack.append(piece)
                opened[piece.tag] += 1
        elif opened[piece.tag]:
            yield from _closed(taken, stack, opened, piece)
        elif piece.tag not in VOID and piece.tag != "p":
            yield Fault(taken.line(piece.at), f"</{piece.tag}> closes nothing")
    for start in stack:
        if start.tag not in _OPTIONAL:
            yield Fault(taken.line(start.at), f"<{start.tag}> is not closed")


def _closed(taken: Skeleton, stack: list[Start], opened: Counter[str], end: End) -> Iterator[Fault]:
    while True:
        start = stack.pop()
        opened[start.tag] -= 1
        if start.tag == end.tag:
            return
        if start.tag not in _OPTIONAL:
            line = taken.line(end.at)
            message = f"<{start.tag}> is not closed before </{end.tag}> in line {line}"
            yield Fault(taken.line(start.at), message)


def _link(address: str, line: int) -> Iterator[Remark]:
    """A link must say by itself where it leads: mails have no page that it could be relative to."""
    hint = "write the whole address: https://example.com/page"
    begin = MARKER.split(address)[0]
    if not address:
        yield Remark(True, Fault(line, "a link leads nowhere: its href is empty", hint))
    if not begin or begin.startswith("#"):
        return
    scheme, colon, rest = begin.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) or rest[:1].isdigit():
        yield Remark(True, Fault(line, f"the link {shown(address)} has no scheme", hint))
    elif scheme.lower() == "http":
        yield Remark(False, Fault(line, f"the link {shown(address)} is not encrypted", "use https://"))
    elif scheme.lower() == "https":
        if not _has_host(begin, address):
            yield Remark(True, Fault(line, f"the link {shown(address)} names no host", hint))
    elif scheme.lower() not in {"mailto", "tel", "sms"}:
        message = f"the link {shown(address)} has the scheme {scheme!r}: mail programs will not follow it"
        yield Remark(True, Fault(line, message, "use https://, mailto: or tel:"))


def _has_host(begin: str, address: str) -> bool:
    try:
        return bool(urlsplit(begin).hostname) or begin != address
    except ValueError:
        return False


def _image(attributes: dict[str, str], line: int) -> Iterator[Remark]:
    source = attributes.get("src", "").strip()
    if "alt" not in attributes:
        hint = 'describe it: alt="..", or alt="" for decoration'
        yield Remark(False, Fault(line, "an image has no alt text, and many readers see no images", hint))
    if source.lower().startswith("data:"):
        yield Remark(
            False, Fault(line, "an image is embedded as data:, which many mail programs do not show")
        )
    elif source and not MARKER.match(source) and not source.lower().startswith(("https://", "http://")):
        message = f"the image {shown(source)} has no scheme"
        yield Remark(True, Fault(line, message, "write the whole address: https://example.com/picture.png"))
    elif not source:
        yield Remark(True, Fault(line, "an image has no src"))


def shown(address: str) -> str:
    """An address for a message: markers as ``..``, not too long."""
    text = MARKER.sub("{..}", address)
    return repr(text if len(text) <= 60 else text[:57] + "...")
