"""DKIM keys (RFC 6376, 8301, 8463): what one is, which of them sign for a service, and its DNS record.

A key is published as ``<selector>._domainkey.<domain> TXT "v=DKIM1; k=..; p=.."``. It is ``new`` until it is
activated, so that it can be published before it signs; a ``retired`` key signs nothing, and its record stays
in the DNS until mail signed with it is no longer on its way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from coldsend.domain import address
from coldsend.domain.service import Service
from coldsend.errors import InvalidInput

LEAST_BITS = 2048  # RFC 8301 allows 1024 and asks for 2048
BITS = (2048, 3072, 4096)
STRING_OCTETS = 255  # of one character-string of a TXT record

SETTING = "dkim"  # of a service
BY_SERVER = "server"  # its value where the mail server signs

# What goes to these is no finished message: the provider builds it, and signs it.
PROVIDER_SIGNS = frozenset({"jiguang"})

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SELECTOR = re.compile(rf"(?=.{{1,63}}\Z){_LABEL}(?:\.{_LABEL})*")


class Algorithm(StrEnum):
    """The ``k=`` of a key; it signs as ``rsa-sha256`` or ``ed25519-sha256``."""

    RSA = "rsa"
    ED25519 = "ed25519"


class KeyStatus(StrEnum):
    NEW = "new"
    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A row of ``dkim_keys``. domain: in A-labels; public_key: the ``p=`` of its record; sealed: the private
    key as it is encrypted."""

    id: int
    domain: str
    selector: str
    algorithm: Algorithm
    bits: int
    public_key: str
    status: KeyStatus
    created_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    sealed: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """What operators call it: domain and selector."""
        return f"{self.domain}/{self.selector}"

    @property
    def record_name(self) -> str:
        """Where its record stands in the DNS, without the final dot."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """The text of its record, in one piece."""
        return f"v=DKIM1; k={self.algorithm}; p={self.public_key}"

    @property
    def record_strings(self) -> list[str]:
        """The text in pieces that fit into a zone file's character-strings."""
        text = self.record
        return [text[at : at + STRING_OCTETS] for at in range(0, len(text), STRING_OCTETS)]

    @property
    def zone_entry(self) -> str:
        """The record as a zone file has it."""
        pieces = " ".join(f'"{piece}"' for piece in self.record_strings)
        return f"{self.record_name}. IN TXT ( {pieces} )"


def checked_selector(text: str) -> str:
    """A selector in lower case; InvalidInput where it cannot be part of a DNS name."""
    selector = text.strip().lower()
    if not _SELECTOR.fullmatch(selector):
        raise InvalidInput(
            f"{text!r} cannot be a selector: letters, digits and '-' (not at an end), at most 63",
            hint="for example: --selector cs1",
        )
    return selector


def default_selector(algorithm: Algorithm, now: datetime, taken: Iterable[str]) -> str:
    """A free selector: ``cs20270301`` for RSA, ``cs20270301e`` for Ed25519, then ``cs20270301-2`` .."""
    used = set(taken)
    stem = f"cs{now:%Y%m%d}{'e' if algorithm is Algorithm.ED25519 else ''}"
    selector, number = stem, 1
    while selector in used:
        number += 1
        selector = f"{stem}-{number}"
    return selector


def signs_itself(service: Service) -> bool:
    """Whether coldsend leaves signing to the other side: the provider, or the mail server as configured."""
    return service.type in PROVIDER_SIGNS or service.settings.get(SETTING) == BY_SERVER


def keys_for(service: Service, active: Iterable[DkimKey]) -> tuple[DkimKey, ...]:
    """The keys to sign with, RSA first: those of its From domain, else of the nearest domain above it.

    One of each algorithm, the one activated last. Nothing where the other side signs. A domain above is as
    good: DMARC takes it for aligned unless it was told to be strict.
    """
    if signs_itself(service):
        return ()
    of_domain: dict[str, dict[Algorithm, DkimKey]] = {}
    for key in sorted(active, key=lambda key: (key.activated_at or key.created_at, key.id)):
        of_domain.setdefault(key.domain, {})[key.algorithm] = key
    for domain in _upwards(from_domain(service)):
        if found := of_domain.get(domain):
            return tuple(found[algorithm] for algorithm in Algorithm if algorithm in found)
    return ()


def from_domain(service: Service) -> str:
    """The domain of its From address, in A-labels."""
    return address.parse(service.from_email).domain


def _upwards(domain: str) -> list[str]:
    labels = domain.split(".")
    return [".".join(labels[at:]) for at in range(len(labels))]
