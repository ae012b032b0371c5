"""DMARC records (RFC 7489): the policy, and whether a domain is aligned with that of the From address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

POLICIES = ("none", "quarantine", "reject")


@dataclass(frozen=True, slots=True)
class Policy:
    """policy: for the domain itself. of_subdomains: for those without a record of their own.

    strict_dkim, strict_spf: only the very domain is aligned, none above or below it.
    """

    policy: str
    of_subdomains: str
    strict_dkim: bool
    strict_spf: bool


def records_in(texts: Sequence[str]) -> list[str]:
    """Those of the TXT records at ``_dmarc`` that are DMARC records."""
    return [text for text in texts if text.replace(" ", "").upper().startswith("V=DMARC1")]


def parse(text: str) -> Policy:
    """A record taken apart; ValueError with a sentence where receivers would ignore it."""
    tags: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is no tag")
        tags.setdefault(name.strip().lower(), value.strip())
    policy = tags.get("p", "").lower()
    if policy not in POLICIES:
        raise ValueError(f"p={tags.get('p', '')} is none of {', '.join(POLICIES)}")
    below = tags.get("sp", policy).lower()
    return Policy(
        policy,
        below if below in POLICIES else policy,
        strict_dkim=tags.get("adkim", "r").lower() == "s",
        strict_spf=tags.get("aspf", "r").lower() == "s",
    )


def aligned(domain: str, from_domain: str, organisation: str, *, strict: bool) -> bool:
    """Whether ``domain`` vouches for mail from ``from_domain``; organisation: where its record was found."""
    if domain == from_domain:
        return True
    return not strict and (domain == organisation or domain.endswith(f".{organisation}"))
