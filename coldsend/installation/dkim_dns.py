"""Are the keys that sign published as they are? Asks the DNS, within a time limit, and changes nothing.

A verifier takes a signature for good only if the TXT record at ``<selector>._domainkey.<domain>`` holds the
very key it was made with. :func:`judge` says in words what a verifier would stumble over (RFC 6376, 3.6.1).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from coldsend.domain.dkim import DkimKey
from coldsend.domain.finding import Finding
from coldsend.errors import Unreachable
from coldsend.installation.names import Names

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the DNS says of a key. trouble: it could not be asked, and nothing is known."""

    key: DkimKey
    findings: list[Finding] = field(default_factory=list)
    trouble: Unreachable | None = None

    @property
    def problem(self) -> Finding | None:
        """The reason why receivers reject signatures of this key."""
        return next((finding for finding in self.findings if finding.severity == "error"), None)

    @property
    def good(self) -> bool:
        return self.trouble is None and self.problem is None


def examine(keys: Sequence[DkimKey], dns_servers: str) -> list[Verdict]:
    """Look all keys up at once. ``dns_servers``: as in the settings; empty: those of the system."""
    if not keys:
        return []
    names = Names(dns_servers)

    def ask(key: DkimKey) -> Verdict:
        try:
            return Verdict(key, judge(key, names.texts(key.record_name)))
        except Unreachable as trouble:
            return Verdict(key, trouble=trouble)

    with ThreadPoolExecutor(min(AT_ONCE, len(keys))) as threads:
        return list(threads.map(ask, keys))


def findings(keys: Sequence[DkimKey], dns_servers: str) -> Iterator[Finding]:
    """What `doctor` says of keys that sign; one warning where nothing can be looked up."""
    verdicts = examine(keys, dns_servers)
    for verdict in verdicts:
        yield from verdict.findings
    if silent := [verdict.key.name for verdict in verdicts if verdict.trouble is not None]:
        yield Finding(
            "warning",
            "DKIM",
            f"the DNS could not be asked whether these keys are published: {', '.join(silent)}",
            "when this host is connected: coldsend dkim check",
        )


def judge(key: DkimKey, texts: Sequence[str]) -> list[Finding]:
    """What is wrong with the TXT records found at a key's place; errors: verifiers reject its signatures."""
    subject = f"DKIM key {key.name}"
    publish = f"publish what this shows: coldsend dkim show {key.domain} --selector {key.selector}"

    def error(message: str, hint: str = publish) -> list[Finding]:
        return [Finding("error", subject, message, hint)]

    place = key.record_name
    if not texts:
        return error(f"is not published: there is no TXT record at {place}")
    ours = [text for text in texts if "p=" in text]
    if not ours:
        return error(f"is not published: the TXT record at {place} is not a DKIM record")
    if len(ours) > 1:
        return error(f"there are {len(ours)} DKIM records at {place}: there must be one", "remove the others")
    tags = _tags(ours[0])
    if tags is None:
        return error(f"the record at {place} cannot be read: {_shown(ours[0])}")
    if problem := _problem(key, tags):
        return error(f"{problem}, in the record at {place}")
    if "y" in tags.get("t", "").replace(" ", "").split(":"):
        message = f"the record at {place} has the flag t=y (testing): receivers may ignore its signatures"
        return [Finding("warning", subject, message, "take t=y out of the record when mail is signed well")]
    return []


def _problem(key: DkimKey, tags: Mapping[str, str]) -> str:
    """Why verifiers reject signatures of ``key``; "" where they do not."""
    given = "".join(tags.get("p", "").split())
    if tags.get("v", "DKIM1") != "DKIM1" or ("v" in tags and next(iter(tags)) != "v"):
        return "v=DKIM1 is not what the record begins with"
    if not given:
        return "p= is empty: the key is revoked"
    if tags.get("k", "rsa") != key.algorithm:
        return f"k={tags.get('k', 'rsa')} is not the type of the key, which is {key.algorithm}"
    if given != key.public_key:
        return _difference(key, given)
    if "h" in tags and "sha256" not in _list(tags["h"]):
        return f"h={tags['h']} does not allow sha256"
    if "s" in tags and not {"*", "email"} & set(_list(tags["s"])):
        return f"s={tags['s']} does not allow e-mail"
    return ""


def _difference(key: DkimKey, given: str) -> str:
    if key.public_key.startswith(given):
        return f"the key is cut off after {len(given)} of {len(key.public_key)} characters"
    bits = _rsa_bits(given)
    if bits is not None and bits < 1024:
        return f"another key is published, and its {bits} bits are too few for any receiver"
    return "another key is published than the one that signs"


def _rsa_bits(given: str) -> int | None:
    try:
        found = serialization.load_der_public_key(base64.b64decode(given, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
    return found.key_size if isinstance(found, RSAPublicKey) else None


def _tags(text: str) -> dict[str, str] | None:
    """The tags of a record, in order; None where it is no tag list (RFC 6376, 3.2)."""
    tags: dict[str, str] = {}
    parts = text.split(";")
    if not parts[-1].strip():
        parts.pop()
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not name or name in tags:
            return None
        tags[name] = value.strip()
    return tags


def _list(value: str) -> list[str]:
    return [item.strip() for item in value.split(":")]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "..")
