"""What ``coldsend inbox classify`` tells of files with messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldsend import clock
from coldsend.domain.inbox import MessageKind
from coldsend.domain.reply_category import categorize
from coldsend.errors import NotFound, Refused

if TYPE_CHECKING:
    from coldsend.inbox.classified import Classified

LARGEST = 50 * 1024 * 1024  # bytes; what no mail server takes is no message
BEGINNING = 64 * 1024  # bytes that tell what a file is
SHOWN = 60


def require_files(files: Sequence[Path]) -> None:
    """All files can be read, before the first is: half a list helps nobody."""
    for file in files:
        if not file.exists():
            raise NotFound(f"there is no file {file}")
        if file.is_dir():
            raise Refused(f"{file} is a folder", hint=f"name its files: coldsend inbox classify {file}/*.eml")
        if file.stat().st_size > LARGEST:
            raise Refused(f"{file} is too large for a message", hint="name files with one message each")
        if _is_binary(file):
            what = f"{file} is neither a message nor a text: there are zero bytes in it, and no header"
            raise Refused(what, hint="name messages as they were received (.eml), or texts in UTF-8")


def documents(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """What each file was taken for."""
    from coldsend.inbox.classify import classify as classified  # noqa: PLC0415

    now = clock.now()
    for file in files:
        yield _document(str(file), classified(file.read_bytes(), now))


def _document(file: str, found: Classified) -> dict[str, Any]:
    return {
        "file": file,
        "kind": found.kind,
        "recipients": [
            {
                "address": each.address,
                "status": each.status,
                "action": each.action,
                "hard": each.hard,
                "reason": each.reason,
                "diagnostic": each.diagnostic,
            }
            for each in found.recipients
        ],
        "text": found.text,
        "sender": found.sender,
        "subject": found.subject,
        "message_ids": list(found.message_ids),
        "away_until": found.away_until,
        "category": categorize(found.text) if found.kind is MessageKind.REPLY else None,
    }


def rows(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One line for each recipient; for other messages one, with the beginning of their text."""
    text = " ".join(document["text"].split())
    row = {
        "file": document["file"],
        "kind": document["kind"],
        "text": text if len(text) <= SHOWN else f"{text[:SHOWN]}..",
    }
    if not document["recipients"]:
        yield row
    for each in document["recipients"]:
        yield {
            **row,
            "recipient": each["address"],
            "hard": each["hard"],
            "reason": each["reason"] if each["action"] in ("", "failed") else each["action"],
            "status": each["status"],
            "text": each["diagnostic"]
            if len(each["diagnostic"]) <= SHOWN
            else f"{each['diagnostic'][:SHOWN]}..",
        }


def _is_binary(file: Path) -> bool:
    """An image or an archive would else be taken for the text of a reply."""
    from coldsend.inbox.mail import read  # noqa: PLC0415

    with file.open("rb") as opened:
        beginning = opened.read(BEGINNING)
    return b"\0" in beginning and not read(beginning).headers.fields
