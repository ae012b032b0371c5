"""The URL that a provider is given for a service, and what is kept to know the provider by.

``{base_url}/w/<provider>/<token>``. The token names the service; nobody can make one up. It stays the same
for as long as the installation's link secret does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.engine import Connection, RowMapping

from coldsend.composing.tokens import Kind, Tokens
from coldsend.config.secrets import KeyRing, webhook_owner
from coldsend.config.settings import Settings
from coldsend.domain.webhook_provider import provider_of
from coldsend.stores import services, signing_keys


def path_of(provider: str, token: str) -> str:
    return f"/w/{provider}/{token}"


def service_of(tokens: Tokens, token: str) -> int | None:
    """The id of the service a token stands for; None: it is none of ours."""
    found = tokens.read(token)
    return found[1] if found is not None and found[0] is Kind.WEBHOOK else None


def secret_of(row: RowMapping, provider: str, keys: KeyRing) -> str | None:
    """What proves this provider's webhooks about a service; None where nothing was entered for it."""
    sealed: Mapping[str, Any] | None = row["webhook_secret"]
    if not sealed:
        return None
    found = keys.open(sealed, webhook_owner(row["id"]))
    return str(found["secret"]) if found["provider"] == provider else None


def portrait(
    connection: Connection, row: RowMapping, settings: Settings, keys: Callable[[], KeyRing]
) -> dict[str, Any] | None:
    """provider, url (None without a base URL) and has_secret, as `service show` tells them; None where no
    provider tells of this service's mail. keys: asked for only where they are needed.
    """
    provider = provider_of(services.as_service(row))
    if not provider:
        return None
    base_url = settings.web.base_url.strip().rstrip("/")
    url = None
    if base_url:
        tokens = Tokens(signing_keys.load(connection, keys(), "links"))
        url = base_url + path_of(provider, tokens.issue(Kind.WEBHOOK, row["id"]))
    has_secret = bool(row["webhook_secret"]) and secret_of(row, provider, keys()) is not None
    return {"provider": provider, "url": url, "has_secret": has_secret}
