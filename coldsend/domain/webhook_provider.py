"""Whose webhooks tell of a service's mail: as configured, else by its type or the host it sends through."""

from __future__ import annotations

import re

from coldsend.domain.service import Service

ENGAGELAB = "engagelab"
SENDGRID = "sendgrid"
SES = "ses"

SETTING = "webhook"

_HOSTS = (
    (re.compile(r"(.+\.)?sendgrid\.net"), SENDGRID),
    (re.compile(r"email-smtp(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?"), SES),
)


def provider_of(service: Service) -> str:
    """The provider's name; "" where nobody is known to tell."""
    configured = str(service.settings.get(SETTING) or "")
    if configured:
        return configured
    if service.type == "jiguang":
        return ENGAGELAB
    host = str(service.settings.get("host") or "").lower().rstrip(".")
    return next((name for pattern, name in _HOSTS if pattern.fullmatch(host)), "")
