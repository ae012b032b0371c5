"""The addresses of a sender service in its messages: return path, Reply-To, unsubscribing by mail.

Settings of the service, each with ``{token}`` in it or the same for all messages (domain/own_address.py):
``bounce_address`` is the MAIL FROM (else the From address), ``reply_to`` the Reply-To, and
``unsubscribe_address`` stands in List-Unsubscribe behind the link. Tokens of the first two are of
Kind.ADDRESS and alike, so that an answer tells its row whichever of them it comes to; those of the third are
of Kind.UNSUBSCRIBE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from email.utils import parseaddr
from urllib.parse import quote

from coldsend.composing import headers
from coldsend.composing.tokens import Kind
from coldsend.domain import own_address
from coldsend.domain.own_address import OwnAddress
from coldsend.domain.service import Service


class OwnAddresses:
    """What a service's messages say of them. CannotCompose or InvalidInput: a setting is no address.

    in_addresses: the tokens that :meth:`of` wants, in order. smtputf8: one of them is not in ASCII.
    """

    def __init__(self, service: Service) -> None:
        self._mail_from, self.smtputf8 = headers.address(service.from_email, "the sender address")
        self._reply_to = ""
        self._bounces = _personal(service, own_address.BOUNCE)
        self._answers = _personal(service, own_address.REPLY_TO)
        self._unsubscribing = _in_link(_personal(service, own_address.UNSUBSCRIBE))
        if given := str(service.settings.get(own_address.BOUNCE) or ""):
            self._mail_from = own_address.parse(given).before
        given = str(service.settings.get(own_address.REPLY_TO) or "")
        if given and self._answers is None:
            name, plain = parseaddr(headers.checked(given, "the reply-to address"))
            written, smtputf8 = headers.address(plain, "the reply-to address")
            self._reply_to = _reply_to(name, written)
            self.smtputf8 = self.smtputf8 or smtputf8
        self.in_addresses: list[Kind] = []
        if self._bounces or self._answers:
            self.in_addresses.append(Kind.ADDRESS)
        if self._unsubscribing:
            self.in_addresses.append(Kind.UNSUBSCRIBE)

    def of(self, tokens: Sequence[str]) -> tuple[str, str, str]:
        """For the tokens of one row: the MAIL FROM, the Reply-To field with its line end or nothing, and what
        stands in List-Unsubscribe behind the link."""
        if not tokens:
            return self._mail_from, self._reply_to, ""
        mail_from = self._bounces.filled(tokens[0]) if self._bounces else self._mail_from
        reply_to = _reply_to("", self._answers.filled(tokens[0])) if self._answers else self._reply_to
        if not self._unsubscribing:
            return mail_from, reply_to, ""
        by_mail = f", <mailto:{self._unsubscribing.filled(tokens[-1])}?subject=unsubscribe>"
        return mail_from, reply_to, by_mail


def _personal(service: Service, setting: str) -> OwnAddress | None:
    """The address where there is a token in it."""
    given = str(service.settings.get(setting) or "")
    return own_address.parse(given) if own_address.PLACE in given else None


def _reply_to(name: str, address: str) -> str:
    return f"Reply-To: {headers.mailbox(name, address, len('Reply-To: '))}\r\n"


def _in_link(found: OwnAddress | None) -> OwnAddress | None:
    """The address as mailto: has it (RFC 6068, section 2)."""
    if found is None:
        return None
    return replace(found, before=quote(found.before, safe="+"), after=quote(found.after, safe="@+"))
