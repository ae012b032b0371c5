"""DKIM signatures (RFC 6376, 8301, 8463): relaxed/relaxed, rsa-sha256 and ed25519-sha256, never ``l=``.

    DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
     d=example.com; s=cs1;
     t=1772357405;
     h=content-type: .. :to:from:from:to: .. ;
     bh=<SHA-256 of the body>;
     b=<signature>

Every field of ``SIGNED`` is in ``h=`` once more than the message has it, so that none can be added, either: a
second From, or a List-Unsubscribe that leads elsewhere (RFC 6376, section 8.15; RFC 8058, section 4). Fields
that relays may add (Sender, Received, List-Id) are not signed.

Messages need not be in canonical form. What has to be changed is looked for first, because messages made by
``compose`` hardly ever need it, and looking is far cheaper than changing.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from coldsend.errors import InvalidInput

SIGNED = (
    b"from",
    b"to",
    b"cc",
    b"reply-to",
    b"subject",
    b"date",
    b"message-id",
    b"in-reply-to",
    b"references",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
)

_SIGNED = frozenset(SIGNED)
_LINE = 72
_PADDING, _SHA256 = PKCS1v15(), hashes.SHA256()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs: ``d=`` (in A-labels), ``s=``, and the private key (PEM)."""

    domain: str
    selector: str
    private_pem: bytes

    def __repr__(self) -> str:
        return f"Identity({self.domain}/{self.selector})"


class Signer:
    """Signs messages with one or more keys; each makes a signature of its own. Threads may share it."""

    def __init__(self, identities: Sequence[Identity], lifetime: timedelta | None = None) -> None:
        """``lifetime``: signatures are good for so long (``x=``); None: for ever. InvalidInput: not a key."""
        self._keys = [_Key(identity) for identity in identities]
        self._lifetime = None if lifetime is None else int(lifetime.total_seconds())
        self._lists: dict[tuple[bytes, ...], bytes] = {}

    def sign(self, data: bytes, now: datetime) -> bytes:
        """``data``, an RFC 5322 message with CRLF line ends, with its signatures on top."""
        end = data.find(b"\r\n\r\n")
        head, body = (data[: end + 2], data[end + 4 :]) if end >= 0 else (data, b"")
        names, fields = signed_fields(head)
        listed = self._lists.get(names)
        if listed is None:
            listed = self._lists[names] = _listed(names)
        body_hash = binascii.b2a_base64(sha256(relaxed_body(body)).digest(), newline=False)
        moment = int(now.timestamp())
        times = (
            b"t=%d" % moment if self._lifetime is None else b"t=%d; x=%d" % (moment, moment + self._lifetime)
        )
        rest = b";\r\n %b;\r\n h=%b;\r\n bh=%b;\r\n b=" % (times, listed, body_hash)
        return b"".join([*(key.field(rest, fields) for key in self._keys), data])


class _Key:
    """One key and what is constant in its signatures."""

    def __init__(self, identity: Identity) -> None:
        self._private = private_key(identity.private_pem, f"{identity.domain}/{identity.selector}")
        algorithm = "rsa" if isinstance(self._private, RSAPrivateKey) else "ed25519"
        beginning = (
            f"v=1; a={algorithm}-sha256; c=relaxed/relaxed;\r\n d={identity.domain}; s={identity.selector}"
        )
        self._beginning = beginning.encode("ascii")

    def field(self, rest: bytes, fields: bytes) -> bytes:
        """The DKIM-Signature field. rest: its tags from ``t=`` on; fields: the canonical fields it signs."""
        value = self._beginning + rest
        # Folds are the only place where this value is not canonical.
        signed = fields + b"dkim-signature:" + value.replace(b"\r\n ", b" ")
        if isinstance(self._private, RSAPrivateKey):
            signature = self._private.sign(signed, _PADDING, _SHA256)
        else:
            signature = self._private.sign(sha256(signed).digest())  # RFC 8463, section 3
        text = binascii.b2a_base64(signature, newline=False)
        lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
        return b"DKIM-Signature: " + value + b"\r\n ".join(lines) + b"\r\n"


def private_key(pem: bytes, whose: str) -> RSAPrivateKey | Ed25519PrivateKey:
    """The key in a PEM text; InvalidInput where there is none that DKIM knows."""
    try:
        found = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None  # the reason may quote the text
    if isinstance(found, RSAPrivateKey | Ed25519PrivateKey):
        return found
    raise InvalidInput(
        f"the DKIM key {whose} cannot be read",
        hint="make another: coldsend dkim add DOMAIN; then publish and activate it",
    )


def signed_fields(head: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """The fields of a header section that are signed, from the last to the first: names, and canonical lines.

    In this order the n-th mention of a name in ``h=`` means the n-th field of that name from below, as RFC
    6376, section 5.4.2, has it.
    """
    unfolded = collapsed(head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" "))
    names: list[bytes] = []
    lines: list[bytes] = []
    for line in reversed(unfolded.split(b"\r\n")):
        name, colon, value = line.partition(b":")
        name = name.strip(b" ").lower()
        if colon and name in _SIGNED:
            names.append(name)
            lines.append(name + b":" + value.strip(b" ") + b"\r\n")
    return tuple(names), b"".join(lines)


def relaxed_body(body: bytes) -> bytes:
    """A body in relaxed form (RFC 6376, 3.4.4)."""
    body = collapsed(body)
    if b" \r\n" in body:
        body = body.replace(b" \r\n", b"\r\n")
    if body.endswith(b" "):
        body = body[:-1]
    if body and not body.endswith(b"\r\n"):
        return body + b"\r\n"
    if body.endswith(b"\r\n\r\n"):
        while body.endswith(b"\r\n\r\n"):
            body = body[:-2]
    return b"" if body == b"\r\n" else body


def collapsed(data: bytes) -> bytes:
    """``data`` with each run of spaces and tabs as one space."""
    if b"\t" in data:
        data = data.replace(b"\t", b" ")
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data


def _listed(names: Sequence[bytes]) -> bytes:
    """The value of ``h=``, folded: the fields there are, then every one once more."""
    lines = [b""]
    for name in (*names, *SIGNED):
        if len(lines[-1]) + len(name) > _LINE:
            lines.append(b"")
        lines[-1] += name + b":"
    return b"\r\n ".join(lines).rstrip(b":")
