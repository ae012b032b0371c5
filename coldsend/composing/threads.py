"""What makes a follow-up an answer: ``Re:``, ``In-Reply-To`` and ``References`` (RFC 5322, 3.6.4).

Only a message of ours that was sent to the same recipient is answered, never anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coldsend.composing import headers
from coldsend.composing.message_ids import at_domain, domain_of
from coldsend.composing.source import BAD_HEADER, CannotCompose
from coldsend.composing.tokens import Tokens
from coldsend.domain.message import Thread
from coldsend.domain.service import Service

REPLY = "Re: "


def thread_of(messages: Sequence[Mapping[Any, Any]], services: Mapping[int, Service]) -> Thread:
    """The thread of the messages before, as ``stores/chains.py`` reads them. services: by id.

    They need not all have gone out through one service.
    """
    first = messages[0]
    carried = {row["id"]: row["sender_service_id"] for row in messages if row["message_id"] is None}
    return Thread(
        tuple((row["id"], row["message_id"]) for row in messages),
        first["subject"],
        first["selected_template_id"],
        {row_id: domain_of(services[one]) for row_id, one in carried.items() if one in services},
    )


def subject_of(thread: Thread) -> str:
    """``Re:`` and the subject that the thread began with; CannotCompose where nobody knows it."""
    if not thread.subject:
        raise CannotCompose(BAD_HEADER, "the subject of the message it follows is not known")
    return REPLY + headers.checked(thread.subject, "the subject of the message it follows").strip()


def message_ids(thread: Thread, tokens: Tokens, domain: str) -> list[str]:
    """The Message-IDs of the earlier messages, the oldest first.

    One that was never noted (its process was lost) is the row's token at the domain of its service. domain:
    of the service that sends the answer, as a rule the same.
    """
    return [
        noted or at_domain(tokens, row_id, thread.domains.get(row_id, domain))
        for row_id, noted in thread.earlier
    ]


def fields(found: list[str]) -> str:
    """The header fields that refer to these messages, each identifier on a line of its own."""
    references = "\r\n ".join(found)
    return f"In-Reply-To: {found[-1]}\r\nReferences: {references}\r\n"
