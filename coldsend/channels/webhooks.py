"""The secret that proves who tells of a service's mail by webhooks (see domain/webhook_provider.py).

What the secret is differs: EngageLab signs with an app key, SendGrid with a key of which we keep the public
half, and Amazon signs for everybody, so what is kept there is the one topic that may speak for the service.
Two of the three are no secrets, but whoever could change them could forge: all are sealed alike.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from coldsend.domain.webhook_provider import ENGAGELAB, SENDGRID, SES

_TOPIC = re.compile(r"arn:aws(-[a-z-]+)?:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")


@dataclass(frozen=True, slots=True)
class WebhookProvider:
    """secret: what the operator gives as ``--webhook-secret-stdin``, and where it is found. check: gives it
    in its stored form, or ValueError."""

    name: str
    secret: str
    check: Callable[[str], str]


def checked_provider(value: Any) -> str:
    """A provider's name, or ValueError."""
    if value not in PROVIDERS:
        raise ValueError(f"must be {', '.join(PROVIDERS)}, not {value!r}")
    return str(value)


def sendgrid_key(text: str) -> ec.EllipticCurvePublicKey:
    """The public key in a text, base64 of its DER form or PEM; ValueError where it is none."""
    try:
        if "-----" in text:
            key = load_pem_public_key(text.encode())
        else:
            key = load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise ValueError("this is no public key") from error
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key
    raise ValueError("this is no elliptic-curve key")


def _app_key(text: str) -> str:
    if not (8 <= len(text) <= 500 and text.isascii() and text.isprintable()):
        raise ValueError("an app key is one line of 8 to 500 ASCII characters")
    return text


def _public_key(text: str) -> str:
    sendgrid_key(text)
    return text


def _topic(text: str) -> str:
    if not _TOPIC.fullmatch(text):
        raise ValueError("a topic is like arn:aws:sns:eu-west-1:123456789012:NAME")
    return text


PROVIDERS: Mapping[str, WebhookProvider] = {
    each.name: each
    for each in (
        WebhookProvider(ENGAGELAB, "the APP KEY under Send Settings, WebHook", _app_key),
        WebhookProvider(SENDGRID, "the verification key of the signed event webhook", _public_key),
        WebhookProvider(SES, "the ARN of the SNS topic that SES publishes to", _topic),
    )
}
