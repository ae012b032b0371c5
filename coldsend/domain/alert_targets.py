"""Where alerts go, as ``[alerts]`` names it: addresses, webhooks, chats, secrets. Pure.

Every refusal is a ValueError whose sentence never quotes a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import urlsplit

from coldsend.domain import address
from coldsend.domain.alert import AlertKind
from coldsend.errors import InvalidInput

ALL_KINDS = "all"
SECRET_PREFIX = "whsec_"  # noqa: S105 - as Standard Webhooks writes secrets
SECRET_BYTES = range(24, 65)

LONGEST_ADDRESS = 240  # alert_deliveries.target holds it behind "email:"

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_BETWEEN = re.compile(rf",\s*(?={_NAME}\s*=\s*[A-Za-z][\w+.-]*://)")
_NAMED = re.compile(rf"\s*({_NAME})\s*=\s*([A-Za-z][\w+.-]*://\S.*?)\s*")
_NAMED_SECRET = re.compile(rf"({_NAME})\s*=\s*({SECRET_PREFIX}.*)")


def kinds(text: str) -> frozenset[AlertKind]:
    """The kinds that are told of."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words == [ALL_KINDS]:
        return frozenset(AlertKind)
    known = {kind.value for kind in AlertKind}
    for word in words:
        if word not in known:
            raise ValueError(f"must be all, or some of {', '.join(AlertKind)}, not {word!r}")
    return frozenset(AlertKind(word) for word in words)


def addresses(text: str) -> list[str]:
    """E-mail addresses, in the order they stand, each once."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            parsed = address.parse(part)
        except InvalidInput as error:
            raise ValueError(f"must be addresses separated by commas: {error.message}") from None
        if len(parsed.email) > LONGEST_ADDRESS:
            raise ValueError(f"must be addresses of at most {LONGEST_ADDRESS} characters")
        found.append(parsed.email)
    return list(dict.fromkeys(found))


def webhooks(text: str) -> dict[str, str]:
    """Name -> URL."""
    found = _named(text, "ops=https://hooks.example.com/coldsend")
    for name, url in found.items():
        try:
            parts = urlsplit(url)
            host, _port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in {"http", "https"} or parts.fragment or not url.isprintable():
            raise ValueError(f"{name}: must be an http or https URL without #fragment")
    return found


def chats(text: str) -> dict[str, str]:
    """Name -> URL of Apprise."""
    return _named(text, "team=slack://TOKEN_A/TOKEN_B/TOKEN_C")


def secrets(text: str) -> list[tuple[str, bytes]]:
    """(name of the webhook, "" for all of them; key) of each secret."""
    found = []
    for number, part in enumerate(filter(None, (part.strip() for part in text.split(","))), start=1):
        named = _NAMED_SECRET.fullmatch(part)
        name, written = (named[1], named[2]) if named else ("", part)
        found.append((name, _key(written, number)))
    return found


def keys_for(name: str, known: list[tuple[str, bytes]]) -> list[bytes]:
    """The keys that sign what goes to the webhook of this name: its own, else those of all."""
    own = [key for whose, key in known if whose == name]
    return own or [key for whose, key in known if not whose]


def _key(text: str, number: int) -> bytes:
    written = text.removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(written + "=" * (-len(written) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or len(key) not in SECRET_BYTES:
        raise ValueError(
            f"secret {number} is not {SECRET_PREFIX} and the base64 of {SECRET_BYTES.start} to "
            f"{SECRET_BYTES.stop - 1} bytes; `coldsend alert secret` makes one"
        )
    return key


def written_secret(key: bytes) -> str:
    """A key as configurations and receivers have it."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def _named(text: str, example: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, part in enumerate(_BETWEEN.split(text) if text.strip() else (), start=1):
        named = _NAMED.fullmatch(part.rstrip(", "))
        if named is None:
            raise ValueError(f"entry {number} must be like {example}")
        if named[1] in found:
            raise ValueError(f"{named[1]} stands there twice: each needs a name of its own")
        found[named[1]] = named[2]
    return found
