"""Who gets nothing, and by which key a suppression is found.

Three forms of key: ``a:`` + email_key for one address, ``d:`` + A-label domain for a domain and everything
below it, ``h:`` + keyed hash (hex) of the email_key of a person whose data was erased. A suppression holds
for one campaign or, with campaign 0, for all. It does not depend on a contact: it stays when the contact is
removed and is in force when the address is imported again.

An entry stands by itself or on a named list (customers, competitors ..) that is replaced as a whole. The same
address may stand on several lists and by itself besides; it gets mail when none of them is left.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from coldsend.domain import address
from coldsend.domain.printable import require_plain
from coldsend.domain.states import SuppressionReason, SuppressionScope
from coldsend.errors import InvalidInput

ALL_CAMPAIGNS = 0

# From weak to strong: a stronger reason replaces a weaker one, never the other way round.
_STRENGTH = (
    SuppressionReason.IMPORT,
    SuppressionReason.MANUAL,
    SuppressionReason.HARD_BOUNCE,
    SuppressionReason.UNSUBSCRIBE,
    SuppressionReason.COMPLAINT,
    SuppressionReason.ERASED,
)

# What the recipient asked for: lifting it is not an operator's decision.
ASKED_BY_RECIPIENT = frozenset(
    {SuppressionReason.UNSUBSCRIBE, SuppressionReason.COMPLAINT, SuppressionReason.ERASED}
)

LIST_NAME_LIMIT = 100
NO_LIST = ""

_HASHED = re.compile(r"h:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Suppression:
    """One entry. value: address or domain in clear, None where only a hash is left.

    source: where it came from ("cli", "import:FILE", "unsubscribe page"); detail: the words of a server or
    an operator. list_name: of the list it stands on, "" where it stands by itself.
    """

    key: str
    scope: SuppressionScope
    value: str | None
    reason: SuppressionReason
    campaign_id: int = ALL_CAMPAIGNS
    source: str | None = None
    detail: str | None = None
    list_name: str = NO_LIST


def checked_list_name(text: str) -> str:
    """The name of a list as it is stored; InvalidInput where it is none."""
    name = unicodedata.normalize("NFC", text.strip())
    if not name:
        raise InvalidInput("a list needs a name", hint="for example: --list customers")
    if len(name) > LIST_NAME_LIMIT:
        raise InvalidInput(f"the name of a list has at most {LIST_NAME_LIMIT} characters, not {len(name)}")
    require_plain(name, "the name of a list")
    return name


def read(
    text: str,
    reason: SuppressionReason,
    *,
    campaign_id: int = ALL_CAMPAIGNS,
    source: str | None = None,
    detail: str | None = None,
    list_name: str = NO_LIST,
) -> Suppression:
    """A suppression of what was written: ``bob@acme.com``, ``@acme.com``, ``acme.com`` or ``h:<hash>``."""
    key, scope, value = target(text)
    return Suppression(key, scope, value, reason, campaign_id, source, detail, list_name)


def target(text: str) -> tuple[str, SuppressionScope, str | None]:
    """Key, scope and clear value of what was written; InvalidInput where it is neither."""
    text = text.strip()
    if not text:
        raise InvalidInput("the address or domain is missing")
    if text.startswith("h:"):
        if not _HASHED.fullmatch(text):
            raise InvalidInput(f"{text[:80]!r} is not a hashed suppression: 'h:' and 64 hexadecimal digits")
        return text, SuppressionScope.HASHED, None
    if "@" in text[1:]:
        found = address.parse(text)
        return address_key(found.key), SuppressionScope.ADDRESS, found.email
    domain = address.parse_domain(text)
    return domain_key(domain), SuppressionScope.DOMAIN, domain


def address_key(email_key: str) -> str:
    return f"a:{email_key}"


def domain_key(domain: str) -> str:
    """domain: as A-labels."""
    return f"d:{domain}"


def hashed_key(email_key: str, pepper: bytes) -> str:
    """The key that is left of an erased person. pepper: the secret of signing key "suppression"."""
    return "h:" + hashlib.blake2b(email_key.encode(), key=pepper[:64], digest_size=32).hexdigest()


def keys_for(email_key: str, domain: str, pepper: bytes | None) -> list[str]:
    """Every key under which this address may be suppressed.

    The address, its domain and each parent domain down to two labels, and the hash where ``pepper`` is given.
    """
    keys = [address_key(email_key), *_domain_keys(domain)]
    if pepper is not None:
        keys.append(hashed_key(email_key, pepper))
    return keys


@lru_cache(maxsize=4096)
def _domain_keys(domain: str) -> tuple[str, ...]:
    labels = domain.split(".")
    parents = (domain_key(".".join(labels[start:])) for start in range(1, len(labels) - 1))
    return domain_key(domain), *parents


def is_stronger(reason: SuppressionReason, than: SuppressionReason) -> bool:
    return _STRENGTH.index(reason) > _STRENGTH.index(than)
