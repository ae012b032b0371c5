"""SASL over SMTP (RFC 4954): PLAIN, LOGIN and XOAUTH2, and keeping what they carry out of sight.

Credentials are ``{"username", "password"}`` or ``{"username", "token"}``; a token is an OAuth 2 access token
and goes with XOAUTH2 only (format: Google's and Microsoft's documentation of XOAUTH2).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from coldsend.errors import InvalidInput

MASK = "***"

_RUN = re.compile(r"[A-Za-z0-9+/=_~.\-]{6,}")  # what base64 and bearer tokens are made of
_SHORTEST_EXCERPT = 6


@dataclass(frozen=True, slots=True)
class Exchange:
    """One way to authenticate: ``AUTH mechanism``, then one response per challenge (base64, no CRLF).

    initial: the first response may stand in the AUTH line itself.
    """

    mechanism: str
    responses: tuple[bytes, ...] = field(repr=False)
    initial: bool


class Secrets:
    """What must never be shown. Its repr shows nothing."""

    def __init__(self, credentials: Mapping[str, Any]) -> None:
        self.username = str(credentials.get("username") or "")
        self._password = str(credentials.get("password") or "")
        self._token = str(credentials.get("token") or "")
        if "\0" in self.username + self._password or any(c in self._token for c in "\0\x01\r\n"):
            raise InvalidInput("user name, password or token has a control character in it")
        self._hidden = self._forms()
        self._long_forms = tuple(form for form in self._hidden if len(form) > _SHORTEST_EXCERPT)

    def __repr__(self) -> str:
        return f"Secrets({MASK})"

    def __bool__(self) -> bool:
        return bool(self._password or self._token)

    def exchange(self, offered: Collection[str]) -> Exchange | None:
        """The best mechanism the server offers (upper-case names) for what we have; None if there is none."""
        if self._token:
            # A refusal comes as a challenge first; the empty response asks for the final answer.
            wanted = Exchange("XOAUTH2", (self._bearer(self._token), b""), initial=True)
            return wanted if "XOAUTH2" in offered else None
        if "PLAIN" in offered:
            return Exchange("PLAIN", (self._plain(self._password),), initial=True)
        if "LOGIN" in offered:
            return Exchange("LOGIN", (_base64(self.username), _base64(self._password)), initial=False)
        return None

    def usable_mechanisms(self) -> str:
        return "XOAUTH2 (token)" if self._token else "PLAIN or LOGIN (password)"

    def mask(self, text: str) -> str:
        """``text`` without secrets, whole or cut off, plain or base64, should a server echo them."""
        if not self._hidden:
            return text
        for secret in self._hidden:
            if secret in text:
                text = text.replace(secret, MASK)
        return _RUN.sub(self._mask_excerpt, text) if len(text) > _SHORTEST_EXCERPT else text

    def _mask_excerpt(self, run: re.Match[str]) -> str:
        excerpt = run.group()
        return MASK if any(excerpt in secret for secret in self._long_forms) else excerpt

    def _plain(self, secret: str) -> bytes:
        return _base64(f"\0{self.username}\0{secret}")

    def _bearer(self, secret: str) -> bytes:
        return _base64(f"user={self.username}\x01auth=Bearer {secret}\x01\x01")

    def _forms(self) -> tuple[str, ...]:
        """Every form a secret has on the wire, longest first. The user name alone is no secret."""
        forms: set[str] = set()
        for secret in filter(None, (self._password, self._token)):
            forms.add(secret)
            forms.update(form(secret).decode() for form in (_base64, self._plain, self._bearer))
        return tuple(sorted(forms, key=len, reverse=True))


def _base64(text: str) -> bytes:
    return base64.b64encode(text.encode())
