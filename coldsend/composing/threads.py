"""What makes a follow-up an answer: ``Re:``, ``In-Reply-To`` and ``References`` (RFC 5322, 3.6.4).

Only a message of ours that was sent to the same recipient is answered, never anything else.
"""

from __future__ import annotations

from coldsend.composing import headers
from coldsend.composing.source import BAD_HEADER, CannotCompose
from coldsend.composing.tokens import Kind, Tokens
from coldsend.domain.message import Thread

REPLY = "Re: "


def subject_of(thread: Thread) -> str:
    """``Re:`` and the subject that the thread began with; CannotCompose where nobody knows it."""
    if not thread.subject:
        raise CannotCompose(BAD_HEADER, "the subject of the message it follows is not known")
    return REPLY + headers.checked(thread.subject, "the subject of the message it follows").strip()


def message_ids(thread: Thread, tokens: Tokens, domain: str) -> list[str]:
    """The Message-IDs of the earlier messages, the oldest first.

    One that was never noted (its process was lost) is the row's token at the domain of its service.
    """
    return [
        noted or f"<{tokens.issue_folded(Kind.MESSAGE_ID, row_id)}@{domain}>"
        for row_id, noted in thread.earlier
    ]


def fields(found: list[str]) -> str:
    """The header fields that refer to these messages, each identifier on a line of its own."""
    references = "\r\n ".join(found)
    return f"In-Reply-To: {found[-1]}\r\nReferences: {references}\r\n"
