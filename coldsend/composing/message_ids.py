"""The Message-ID of a row: the same at every attempt, so it is known also where nobody lived to note it."""

from __future__ import annotations

from coldsend.composing import headers
from coldsend.composing.tokens import Kind, Tokens
from coldsend.domain.service import Service


def message_id(tokens: Tokens, row_id: int, service: Service) -> str:
    """``<token@domain>`` as the row's message through this service carries it.

    The token is the row's own; only the domain is the service's, as it is configured now.
    """
    return at_domain(tokens, row_id, domain_of(service))


def domain_of(service: Service) -> str:
    """The domain of a service's Message-IDs, as it was entered."""
    return str(service.settings.get("domain") or service.from_email.rpartition("@")[2])


def at_domain(tokens: Tokens, row_id: int, domain: str) -> str:
    """The Message-ID of a row at a domain, which is written as A-labels."""
    written = headers.address(f"x@{domain}", "the Message-ID domain")[0][2:]
    return f"<{tokens.issue_folded(Kind.MESSAGE_ID, row_id)}@{written}>"
