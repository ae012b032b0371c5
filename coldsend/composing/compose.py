"""From a template and a recipient to a finished message.

:func:`composer` compiles a template for one sender service; :meth:`Composer.compose` fills it. A message is
made whole or not at all: anything missing or malformed raises CannotCompose before a byte is sent.
"""

from __future__ import annotations

import html as html_module
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Any
from urllib.parse import quote

from jinja2 import UndefinedError
from markupsafe import Markup, escape

from coldsend.composing import headers
from coldsend.composing.build import Parts, Reading, build, read
from coldsend.composing.dkim import Signer
from coldsend.composing.instrument import is_web_address
from coldsend.composing.language import (
    PLACEHOLDER,
    Broken,
    Missing,
    Rendering,
    TooMuch,
    flat_name,
    missing_name,
)
from coldsend.composing.mime import Alternative, Body
from coldsend.composing.source import (
    BAD_HEADER,
    MISSING_VARIABLE,
    TEMPLATE_ERROR,
    CannotCompose,
    Site,
    TemplateSource,
    Variable,
)
from coldsend.composing.tokens import Kind, Tokens
from coldsend.composing.variables import Getter, Vocabulary, getter, tag_value
from coldsend.domain.message import Message, Recipient
from coldsend.domain.service import Service
from coldsend.domain.states import VariableSource
from coldsend.errors import InvalidInput

__all__ = ["CannotCompose", "Composer", "Site", "composer"]

ONE_CLICK = "List-Unsubscribe=One-Click"

_UNFIT = re.compile(f"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]|{PLACEHOLDER.pattern}")
_SCHEME = re.compile(r"(?:https?://[^\s/]|mailto:[^\s]|tel:[+\d]|sms:[+\d]|#)[^\s]*", re.IGNORECASE)


def composer(
    template: TemplateSource,
    variables: Sequence[Variable],
    service: Service,
    site: Site,
    signer: Signer | None = None,
) -> Composer:
    """Compile a template for a service; InvalidInput where the template, service or site is broken.

    ``signer``: signs its messages (DKIM); None: they stay unsigned.
    """
    if not site.base_url or not site.postal_address:
        absent = "[web] base_url" if not site.base_url else "postal_address"
        raise InvalidInput(f"{absent} is not configured: messages need it", hint="see coldsend.toml.example")
    reading = read(template, Vocabulary(variables))
    faults = [str(fault) for fault in reading.faults]
    if not faults:
        try:
            return Composer(reading, build(reading, site), service, site, signer)
        except Broken as broken:
            faults = [str(fault.message) for fault in broken.faults]
    raise InvalidInput(
        f"template {template.name!r} cannot be compiled: {'; '.join(faults)}",
        hint=f"see: coldsend template lint {template.name!r}",
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A variable that is read from each recipient. ``flat``: its name in compiled templates."""

    flat: str
    name: str
    get: Getter
    missing: Missing


class Composer:
    """Makes the messages of one template through one service. Compiled once; not shared between threads."""

    def __init__(
        self, reading: Reading, parts: Parts, service: Service, site: Site, signer: Signer | None
    ) -> None:
        self._template = reading.template.name
        self._signer = signer
        self._site = site
        self._parts = parts
        self._tokens = Tokens(site.link_secret)
        targets = parts.instrumented.targets
        kinds = [(Kind.UNSUBSCRIBE, ""), (Kind.OPEN, ""), *((Kind.CLICK, target) for target in targets)]
        self._prefixes = [self._tokens.prefix(kind, target) for kind, target in kinds]
        self._click_names = [f"_click_{index}" for index in range(len(targets))]
        self._functions = reading.functions
        self._read_service(service)
        self._read_variables(reading, service)
        seed = f"{reading.template.id}/{service.id}/{reading.template.name}"
        self._frame = Alternative(seed, Body("plain", parts.text.statics), Body("html", parts.html.statics))
        self._date: tuple[int, str] = (0, "")

    def _read_service(self, service: Service) -> None:
        try:
            self._mail_from, self._from_utf8 = headers.address(service.from_email, "the sender address")
            headers.checked(service.from_name or "", "the sender name")
            domain = str(service.settings.get("domain") or self._mail_from.rpartition("@")[2])
            self._domain = headers.address(f"x@{domain}", "the Message-ID domain")[0][2:]
            self._from = headers.mailbox(service.from_name, self._mail_from, len("From: "))
            self._from_readable = headers.readable_mailbox(service.from_name, self._mail_from)
            self._reply_to = _reply_to(service)
        except CannotCompose as error:
            raise InvalidInput(
                f"service {service.name!r} cannot send: {error.detail}",
                hint=f"mend it: coldsend service update {service.name!r} --from 'Name <address>'",
            ) from error

    def _read_variables(self, reading: Reading, service: Service) -> None:
        """Sort the variables used: those that are the same for all, and those read from each recipient."""
        system = {
            "postal_address": self._site.postal_address,
            # A sender without a name is called by its address, as mail programs do: a service that lacks one
            # must not cost its recipients their message.
            "sender.name": service.from_name or service.from_email,
            "sender.email": service.from_email,
            "sender.domain": service.from_email.rpartition("@")[2],
        }
        self._fixed: dict[str, Any] = {"_postal_address": self._site.postal_address}
        self._unsubscribe_names = ["_unsubscribe_url"]
        self._wanted: list[_Wanted] = []
        for name in sorted(reading.names):
            variable = reading.vocabulary.origin(name)
            assert variable is not None
            flat, missing = flat_name(name), Missing(name=name)
            detail = variable.details.get("name", "")
            if variable.source == VariableSource.SYSTEM and detail in system:
                self._fixed[flat] = system[detail] or missing
            elif variable.source == VariableSource.SYSTEM and detail == "unsubscribe_url":
                self._unsubscribe_names.append(flat)
            else:
                self._wanted.append(_Wanted(flat, name, getter(variable), missing))

    def compose(self, recipient: Recipient, now: datetime) -> Message:
        """The message for one recipient; CannotCompose where it cannot be made whole. ``now``: its Date."""
        rcpt_to, to_utf8 = headers.address(recipient.email, "the address")
        name = self._to_name(recipient)
        unsubscribe, opened, *clicks = self._tokens.issue_many(self._prefixes, recipient.row_id)
        unsubscribe_url = f"{self._site.base_url}/u/{unsubscribe}"
        values = self._values(recipient, now, unsubscribe_url)
        values["_open"] = opened
        values.update(zip(self._click_names, clicks, strict=True))
        if self._parts.instrumented.dynamic:
            values["_link"] = _Link(self, recipient.row_id, unsubscribe_url)
        subject = self._subject(values)
        html = self._rendered(self._parts.html, values)
        text = self._rendered(self._parts.text, values)
        message_id = f"<{self._tokens.issue_folded(Kind.MESSAGE_ID, recipient.row_id)}@{self._domain}>"
        head = (
            f"From: {self._from}\r\n"
            f"To: {headers.mailbox(name, rcpt_to, 4)}\r\n"
            f"{self._reply_to}"
            f"Subject: {headers.unstructured(subject, 9)}\r\n"
            f"Date: {self._date_field(now)}\r\n"
            f"Message-ID: {message_id}\r\n"
            f"List-Unsubscribe: <{unsubscribe_url}>\r\n"
            f"List-Unsubscribe-Post: {ONE_CLICK}\r\n"
            "MIME-Version: 1.0\r\n"
            f"{self._frame.content_type}"
        )
        data = self._frame.assemble(head.encode(), text, html)
        return Message(
            row_id=recipient.row_id,
            mail_from=self._mail_from,
            rcpt_to=rcpt_to,
            message_id=message_id,
            from_header=self._from_readable,
            to_header=headers.readable_mailbox(name, rcpt_to),
            subject=subject,
            html="".join(html),
            text="".join(text),
            headers=self._extra_headers(unsubscribe_url),
            data=data if self._signer is None else self._signer.sign(data, now),
            smtputf8=to_utf8 or self._from_utf8,
        )

    def _values(self, recipient: Recipient, now: datetime, unsubscribe_url: str) -> dict[str, Any]:
        values = self._fixed.copy()
        for name in self._unsubscribe_names:
            values[name] = unsubscribe_url
        for wanted in self._wanted:
            value = wanted.get(recipient, now)
            if isinstance(value, str):
                if not value or value.isspace():
                    value = wanted.missing
                elif _UNFIT.search(value):
                    raise self._unfit(wanted.name, value)
            elif value is None:
                value = wanted.missing
            elif isinstance(value, tuple) and _UNFIT.search("\t".join(value)):
                raise self._unfit(wanted.name, "\t".join(value))
            values[wanted.flat] = value
        if self._functions:
            values["tag"] = recipient.tags.__contains__
            values["tag_value"] = lambda prefix: self._tag_value(recipient, prefix)
        return values

    def _tag_value(self, recipient: Recipient, prefix: str) -> Any:
        found = tag_value(recipient.tags, prefix)
        if found and _UNFIT.search(found):
            raise self._unfit(f"tag {prefix}", found)
        return found if found and not found.isspace() else Missing(name=f"tag_value({prefix})")

    def _unfit(self, name: str, value: str) -> CannotCompose:
        found = PLACEHOLDER.search(value)
        what = f"the placeholder {found.group()!r}" if found else "a control character"
        return CannotCompose(
            TEMPLATE_ERROR,
            f"{name} of this recipient contains {what}, and template {self._template!r} uses it",
        )

    def _rendered(self, part: Rendering, values: dict[str, Any]) -> list[str]:
        chunks = self._chunks(part, values)
        if not chunks or not chunks[-1].endswith("\n"):
            chunks.append("\n")
        return chunks

    def _chunks(self, part: Rendering, values: dict[str, Any]) -> list[str]:
        try:
            return part.chunks(part.context(values))
        except CannotCompose:
            raise
        except UndefinedError as error:
            line = part.line_of(error.__traceback__)
            name = missing_name(error)
            detail = f"{name} is missing: {part.label} line {line} gives no default for it"
            hint = f'write {{{{ {name} | default("..") }}}}, or give the contact a value'
            raise CannotCompose(MISSING_VARIABLE, detail, hint=hint) from error
        except TooMuch as error:
            raise CannotCompose(TEMPLATE_ERROR, f"{part.label} renders to too much text") from error
        except Exception as error:
            # A template must not stop a worker, whatever it does.
            line = part.line_of(error.__traceback__)
            raise CannotCompose(TEMPLATE_ERROR, f"{part.label} line {line}: {error}") from error

    def _subject(self, values: dict[str, Any]) -> str:
        part = self._parts.subject
        # Checked before it is trimmed: a line break at either end is one, too.
        subject = headers.checked("".join(self._chunks(part, values)), part.label).strip()
        if not subject:
            raise CannotCompose(BAD_HEADER, f"{part.label} is empty for this recipient")
        return subject

    def _to_name(self, recipient: Recipient) -> str | None:
        nickname = recipient.nickname
        if not nickname or nickname.isspace():
            return None
        return headers.checked(nickname, "contact.nickname").strip()

    def _date_field(self, now: datetime) -> str:
        second = int(now.timestamp())
        if self._date[0] != second:
            self._date = (second, headers.date(now))
        return self._date[1]

    def _extra_headers(self, unsubscribe_url: str) -> dict[str, str]:
        extra = {"List-Unsubscribe": f"<{unsubscribe_url}>", "List-Unsubscribe-Post": ONE_CLICK}
        if self._reply_to:
            extra["Reply-To"] = self._reply_to.removeprefix("Reply-To: ").strip()
        return extra

    def link(self, row_id: int, unsubscribe_url: str, address: str, *, track: bool) -> Markup:
        """A link whose address came out of rendering: checked, and tracked where it may be."""
        url = html_module.unescape(address).strip()
        if not _SCHEME.fullmatch(url):
            raise CannotCompose(
                TEMPLATE_ERROR,
                f"a link of template {self._template!r} leads to {url[:80]!r} for this recipient: it must "
                "begin with https://, mailto: or tel:",
            )
        if track and self._site.track_clicks and is_web_address(url) and url != unsubscribe_url:
            token = self._tokens.issue(Kind.CLICK, row_id, url)
            url = f"{self._site.base_url}/c/{token}?u={quote(url, safe='')}"
        return escape(url)


@dataclass(frozen=True, slots=True)
class _Link:
    """:meth:`Composer.link` for one recipient, as the compiled template calls it."""

    composer: Composer
    row_id: int
    unsubscribe_url: str

    def __call__(self, address: str, *, track: bool) -> Markup:
        return self.composer.link(self.row_id, self.unsubscribe_url, address, track=track)


def _reply_to(service: Service) -> str:
    """The Reply-To field with its line end, or nothing."""
    given = str(service.settings.get("reply_to") or "")
    if not given:
        return ""
    headers.checked(given, "the reply-to address")
    name, plain_address = parseaddr(given)
    written, _utf8 = headers.address(plain_address, "the reply-to address")
    return f"Reply-To: {headers.mailbox(name, written, len('Reply-To: '))}\r\n"
