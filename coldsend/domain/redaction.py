"""Taking an address out of what others wrote: server answers, messages, payloads, rules.

An address is found in any case, as itself, with its domain in Unicode or as A-labels, percent-encoded (in
links), and with ``=`` for ``@`` (quoted-printable, return paths of others). It is not found inside another
one: ``jimbob@acme.com`` and ``bob@acme.com.au`` are other people. :data:`SUBSTITUTE` stands in its place, an
address that cannot exist, so that what needs an address there (a recipient rule, say) still holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from coldsend.domain.address import Address

SUBSTITUTE = "erased@erased.invalid"

_SIGNS = ("@", "%40", "=40", "=")
# What may stand before an address without being a part of it, where it looks as if it were.
_ESCAPES = r"(?:(?<=%[0-9A-Fa-f]{2})|(?<==[0-9A-Fa-f]{2})|(?<=\\[nrt])|(?<![\w.+-]))"
_END = r"(?![\w-]|\.\w)"

# What may be kept of an event about somebody who was erased: it says what happened, not to whom.
PLAIN_FACTS = frozenset(
    {
        "actor",
        "at",
        "code",
        "enhanced",
        "hard",
        "kind",
        "known_by",
        "reason",
        "retry_at",
        "rule",
        "source",
        "status",
        "campaign_only",
    }
)
_PLAIN = re.compile(r"[\w.:+-]{0,64}")


class Redactor:
    """Finds one person's addresses. ``sought``: what every text has in it, in lower case, that names one.

    A database that looks for it finds all candidates, and few others; what it finds is looked at here.
    """

    def __init__(self, addresses: Iterable[Address]) -> None:
        whole: set[tuple[str, str]] = set()
        for known in addresses:
            for text in (known.email, known.key):
                local, _, domain = text.rpartition("@")
                whole |= {(local.lower(), domain.lower()), (local.lower(), known.domain)}
        forms = sorted(f"{local}{sign}{domain}" for local, domain in whole for sign in _SIGNS)
        self.sought = sorted(set(map(_sought, forms)))
        pattern = f"{_ESCAPES}(?:{'|'.join(map(re.escape, forms))}){_END}"
        self._text = re.compile(pattern, re.IGNORECASE)
        self._octets = re.compile(pattern.encode(), re.IGNORECASE)

    def finds(self, value: Any) -> bool:
        """Whether an address of theirs stands anywhere in a text, octets or JSON document."""
        return bool(self.without(value) != value)

    def without(self, value: Any) -> Any:
        """The same value with the substitute in the place of each of their addresses."""
        if isinstance(value, str):
            return self._text.sub(SUBSTITUTE, value)
        if isinstance(value, bytes):
            return self._octets.sub(SUBSTITUTE.encode(), value)
        if isinstance(value, Mapping):
            return {self.without(name): self.without(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.without(item) for item in value]
        return value


def _sought(form: str) -> str:
    """The part of it that every database finds in any case: not all know that Ü is a capital ü."""
    if all(character.isascii() or character.upper() == character.lower() for character in form):
        return form
    runs: list[str] = re.findall(r"[\x00-\x7f]+", form)
    return max(runs, key=len)


def plain_facts(details: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What may be kept of an event's details: known names with short words, numbers or truth values."""
    kept = {
        name: value
        for name, value in (details or {}).items()
        if name in PLAIN_FACTS
        and (value is None or isinstance(value, (bool, int)) or _PLAIN.fullmatch(str(value)))
    }
    return kept or None
