"""Amazon SNS: the envelope in which SES's notifications come, its signature, and subscribing to a topic.

Looked up 2026-11 in "Verifying the signatures of Amazon SNS messages" and "Parsing Amazon SNS message
formats" (SNS developer guide): a POST is a JSON object of a ``Type``; some of its fields, each as name, LF,
value, LF, are signed with the RSA key of the certificate at ``SigningCertURL``, with SHA-1
(``SignatureVersion`` 1) or SHA-256 (2). Anybody with an account can have SNS sign for a topic of their own,
so only the service's own ``TopicArn`` counts. URLs in a message are used only where they lead to a host of
SNS, and that of the subscription only once the signature was checked.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from coldsend.errors import Unreachable
from coldsend.web.webhooks import reading
from coldsend.web.webhooks.proof import Forged, require_new, same

# SNS repeats for some hours, with a delivery policy of one's own longer. All that matters is signed.
WINDOW = timedelta(hours=26)

NOTIFICATION = "Notification"
CONFIRMATION = "SubscriptionConfirmation"
UNSUBSCRIBED = "UnsubscribeConfirmation"

_SIGNED: Mapping[str, tuple[str, ...]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    UNSUBSCRIBED: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_HASHES: Mapping[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303

# A region, as us-gov-west-1. Not whatever Amazon calls so: sns.s3-us-west-2 is somebody's bucket "sns".
_HOST = re.compile(r"sns\.[a-z]{2,5}(-[a-z]{2,20}){1,3}-\d{1,2}\.amazonaws\.com(\.cn)?")
_PEM = re.compile(r"/[A-Za-z0-9_-]{1,200}\.pem")
_AMAZON = re.compile(r"([a-z0-9-]+\.)*amazonaws\.com(\.cn)?")

CERTIFICATES_KEPT = 20
FETCH_SECONDS = 5.0
REST = timedelta(seconds=20)  # after a certificate could not be had
FETCH_LIMIT = 64 * 1024  # bytes

Fetch = Callable[[str], bytes]


def fetch(url: str) -> bytes:
    """GET of a URL that was checked; Unreachable where that does not go well."""
    try:
        with (
            httpx.Client(timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", url) as response,
        ):
            found = b""
            for piece in response.iter_bytes():
                found += piece
                if len(found) > FETCH_LIMIT:
                    raise Unreachable(f"{urlsplit(url).hostname} answers with too much")
            if response.status_code != httpx.codes.OK:
                raise Unreachable(f"{urlsplit(url).hostname} answers {response.status_code}")
            return found
    except httpx.HTTPError as error:
        raise Unreachable(f"{urlsplit(url).hostname} is out of reach: {error}") from error


class Certificates:
    """SNS's certificates, fetched once each. May be shared between threads."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._kept: dict[str, x509.Certificate] = {}
        self._failed: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def of(self, url: str, now: datetime) -> x509.Certificate:
        """The certificate at a URL; Forged where it is none of SNS, Unreachable where it cannot be had."""
        parts = checked_url(url)
        if parts.query or not _PEM.fullmatch(parts.path):
            raise Forged("its certificate is not one of SNS")
        with self._lock:
            found = self._kept.get(url) or self._read(url, now)
        if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
            raise Forged("its certificate is not valid now")
        return found

    def _read(self, url: str, now: datetime) -> x509.Certificate:
        failed = self._failed.get(url)
        if failed is not None and now - failed < REST:
            # Of many messages that wait for it, one at a time waits for the network.
            raise Unreachable(f"{urlsplit(url).hostname} was out of reach a moment ago")
        try:
            found = x509.load_pem_x509_certificate(self._fetch(url))
        except Unreachable:
            self._failed = {url: now}
            raise
        except ValueError as error:
            raise Forged("there is no certificate at its SigningCertURL") from error
        names = found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        if not any(_AMAZON.fullmatch(str(name.value).lower()) for name in names):
            raise Forged("its certificate was not issued for SNS")
        if len(self._kept) >= CERTIFICATES_KEPT:
            self._kept.clear()
        self._kept[url] = found
        return found


def checked_url(url: str) -> SplitResult:
    """The parts of an https URL of an SNS host; Forged for any other."""
    # What is not plain is read in one way here and in another by who fetches it.
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise Forged("a URL in it is none") from error
    if not plain or parts.scheme != "https" or parts.fragment or not _HOST.fullmatch(parts.netloc):
        raise Forged("a URL in it is not one of SNS")
    return parts


def verify(body: bytes, topic: str, now: datetime, certificates: Certificates) -> None:
    """Forged unless the message is signed by SNS and comes from ``topic``."""
    message = envelope(body)
    kind = _field(message, "Type")
    version = _HASHES.get(_field(message, "SignatureVersion"))
    if kind not in _SIGNED or version is None:
        raise Forged("it is no message of SNS")
    # First what costs nothing: nobody without the topic's name makes us fetch anything.
    if not same(_field(message, "TopicArn"), topic):
        raise Forged("it comes from another topic")
    try:
        at = datetime.fromisoformat(_field(message, "Timestamp"))
        require_new(at, now, WINDOW)
        signature = base64.b64decode(_field(message, "Signature"), validate=True)
        key = certificates.of(_field(message, "SigningCertURL"), now).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise Forged("its certificate has no RSA key")
        key.verify(signature, signed_text(message, kind), padding.PKCS1v15(), version)
    except (InvalidSignature, UnsupportedAlgorithm, binascii.Error, ValueError, TypeError) as error:
        raise Forged("its signature is missing or wrong") from error


def envelope(body: bytes) -> Mapping[str, Any]:
    """The message of SNS; Forged where the body is none."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Forged("it is no message of SNS") from error
    return reading.mapping(message)


def signed_text(message: Mapping[str, Any], kind: str) -> bytes:
    """What is signed of a message."""
    lines = [f"{name}\n{_field(message, name)}\n" for name in _SIGNED[kind] if message.get(name) is not None]
    return "".join(lines).encode("utf-8", "surrogatepass")


def confirm(message: Mapping[str, Any], fetch: Fetch) -> bool:
    """Subscribe to a topic whose message was verified, if that is what it asks; Unreachable, Forged."""
    if _field(message, "Type") != CONFIRMATION:
        return False
    url = _field(message, "SubscribeURL")
    checked_url(url)
    fetch(url)
    return True


def _field(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    return value if isinstance(value, str) else ""
