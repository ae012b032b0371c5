"""Requests as providers send them, signed: the shapes of their documentation, with values of our own."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TOKEN = "abcdefghijklmnopqrstuvwxyz"  # has the looks of one
MESSAGE_ID = f"<{TOKEN}@example.com>"
RECIPIENT = "jane@example.org"

APP_KEY = "app-key-of-engagelab"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:coldsend"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem"


def engagelab_headers(at: datetime, key: str = APP_KEY) -> dict[str, str]:
    told = str(int(at.timestamp()))
    return {
        "x-webhook-timestamp": told,
        "x-webhook-appkey": "email",
        "x-webhook-signature": hashlib.md5(f"{told}email{key}".encode()).hexdigest(),
    }


def engagelab_status(name: str, *, token: str = TOKEN, to: str = RECIPIENT, **more: Any) -> dict[str, Any]:
    return {
        "server": "email",
        "message_id": f"1763640000000_15555_32350_1.sc-10_9_1_1-inbound0${to}",
        "from": "ann@example.com",
        "subject": "Hello",
        "to": to,
        "itime": 1763640000325,
        "status": {
            "message_status": name,
            "status_data": {
                "message": "Successfully delivered",
                "task_id": 0,
                "api_user": "acme",
                "email_id": f"1763640000000_15555_32350_1.sc-10_9_1_1-inbound0${to}",
                "label_id": 0,
            },
            **more,
        },
        "custom_args": {"coldsend": token},
    }


def engagelab_response(name: str, *, token: str = TOKEN, to: str = RECIPIENT, **data: Any) -> dict[str, Any]:
    return {
        "server": "email",
        "message_id": f"1763640000000_15555_32350_1.sc-10_9_1_1-inbound0${to}",
        "to": to,
        "itime": 1763641000000,
        "response": {
            "event": name,
            "response_data": {
                "email_id": f"1763640000000_15555_32350_1.sc-10_9_1_1-inbound0${to}",
                "message": f"{name} email",
                **data,
            },
        },
        "custom_args": {"coldsend": token},
    }


class SendGridAccount:
    """Signs as SendGrid does. ``public_key``: what its settings page shows."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        der = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public_key = base64.b64encode(der).decode()

    def headers(self, body: bytes, at: datetime = NOW) -> dict[str, str]:
        told = str(int(at.timestamp()))
        signature = self._key.sign(told.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {
            "x-twilio-email-event-webhook-timestamp": told,
            "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        }


def sendgrid_event(name: str, **more: Any) -> dict[str, Any]:
    return {
        "email": RECIPIENT,
        "timestamp": 1763640000,
        "smtp-id": MESSAGE_ID,
        "event": name,
        "category": ["coldsend"],
        "sg_event_id": f"event-{name}-1",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        **more,
    }


class Topic:
    """Signs as SNS does for one topic. ``pem``: what lies at CERTIFICATE_URL."""

    def __init__(self, *, common_name: str = "sns.amazonaws.com", until: datetime | None = None) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
        built = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(NOW - timedelta(days=100))
            .not_valid_after(until or NOW + timedelta(days=3650))
            .sign(self._key, hashes.SHA256())
        )
        self.pem = built.public_bytes(Encoding.PEM)

    def signed(self, message: dict[str, Any], version: str = "2") -> bytes:
        names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
        kind = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = base64.b64encode(self._key.sign(text.encode(), padding.PKCS1v15(), kind)).decode()
        return json.dumps({**message, "SignatureVersion": version, "Signature": signature}).encode()

    def notification(self, event: Any, at: datetime = NOW, **more: Any) -> bytes:
        return self.signed(sns_notification(event, at, **more))


def sns_notification(event: Any, at: datetime = NOW, **more: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": event if isinstance(event, str) else json.dumps(event),
        "Timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        **more,
    }


def sns_confirmation(at: datetime = NOW, **more: Any) -> dict[str, Any]:
    return {
        "Type": "SubscriptionConfirmation",
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "Token": "2336412f37fb687f5d51e6e2425f",
        "TopicArn": TOPIC,
        "Message": "You have chosen to subscribe to the topic.",
        "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f",
        "Timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SigningCertURL": CERTIFICATE_URL,
        **more,
    }


def ses_mail(*, headers: bool = True, to: str = RECIPIENT, message_id: str = MESSAGE_ID) -> dict[str, Any]:
    mail: dict[str, Any] = {
        "timestamp": "2026-11-20T11:40:00.000Z",
        "source": "ann@example.com",
        "sourceArn": "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
        "sendingAccountId": "123456789012",
        "messageId": "0102017c44f053b-61b59c11-9236-11e6-8f96-000000",
        "destination": [to],
    }
    if headers:
        mail |= {
            "headersTruncated": False,
            "headers": [
                {"name": "From", "value": "Ann <ann@example.com>"},
                {"name": "Message-ID", "value": message_id},
            ],
            "commonHeaders": {"from": ["Ann <ann@example.com>"], "messageId": message_id, "subject": "Hello"},
        }
    return mail


def ses_bounce(kind: str, sub_type: str, *, dsn: bool = True, **recipient: Any) -> dict[str, Any]:
    told = {"emailAddress": RECIPIENT}
    if dsn:
        told |= {"status": "5.1.1", "action": "failed", "diagnosticCode": "smtp; 550 5.1.1 user unknown"}
    return {
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": kind,
            "bounceSubType": sub_type,
            "bouncedRecipients": [{**told, **recipient}],
            "timestamp": "2026-11-20T11:41:00.000Z",
            "feedbackId": "0102017c44f053b-000000",
            "reportingMTA": "dsn; a1.smtp-out.amazonses.com",
        },
        "mail": ses_mail(),
    }


def ses_complaint(**more: Any) -> dict[str, Any]:
    return {
        "notificationType": "Complaint",
        "complaint": {
            "complainedRecipients": [{"emailAddress": RECIPIENT}],
            "timestamp": "2026-11-20T11:42:00.000Z",
            "feedbackId": "0102017c44f053c-000000",
            "complaintSubType": None,
            "complaintFeedbackType": "abuse",
            "userAgent": "Feedback/1.0",
            **more,
        },
        "mail": ses_mail(),
    }


def ses_event(name: str, place: str, **told: Any) -> dict[str, Any]:
    return {
        "eventType": name,
        place: {"timestamp": "2026-11-20T11:43:00.000Z", **told},
        "mail": ses_mail(),
    }
