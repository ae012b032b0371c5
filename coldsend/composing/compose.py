"""From a template and a recipient to a finished message.

:func:`composer` compiles a template for one sender service; :meth:`Composer.compose` fills it. A message is
made whole or not at all: anything missing or malformed raises CannotCompose before a byte is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from coldsend.composing import headers, threads
from coldsend.composing.build import Parts, Reading, build, read, rendered
from coldsend.composing.dkim import Signer
from coldsend.composing.dynamic_links import DynamicLink
from coldsend.composing.language import (
    PLACEHOLDER,
    UNFIT,
    Broken,
    Missing,
    flat_name,
)
from coldsend.composing.layout import Token
from coldsend.composing.mime import Alternative, encoded, shorter, with_final_break
from coldsend.composing.own_addresses import OwnAddresses
from coldsend.composing.plan import Filled, plan
from coldsend.composing.source import (
    BAD_HEADER,
    TEMPLATE_ERROR,
    CannotCompose,
    Site,
    TemplateSource,
    Variable,
)
from coldsend.composing.tokens import STRIDE, URL_LENGTH, Kind, Tokens
from coldsend.composing.variables import Getter, Vocabulary, getter, tag_value
from coldsend.domain.message import Contents, Message, Recipient, Thread
from coldsend.domain.service import WEB_URL, Service
from coldsend.domain.states import VariableSource
from coldsend.errors import InvalidInput

__all__ = ["CannotCompose", "Composer", "Site", "composer"]

ONE_CLICK = "List-Unsubscribe=One-Click"


def composer(
    template: TemplateSource,
    variables: Sequence[Variable],
    service: Service,
    site: Site,
    signer: Signer | None = None,
) -> Composer:
    """Compile a template for a service; InvalidInput where the template, service or site is broken.

    ``signer``: signs its messages (DKIM); None: they stay unsigned. Links lead to the service's own web
    address where it has one.
    """
    site = replace(site, base_url=str(service.settings.get(WEB_URL) or site.base_url))
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
        self._unsubscribe = f"{site.base_url}/u/"
        self._parts = parts
        self._tokens = Tokens(site.link_secret)
        self._read_service(service)
        targets = parts.instrumented.targets
        self._issue = self._tokens.of_rows(
            [(Kind.UNSUBSCRIBE, ""), (Kind.OPEN, ""), *((Kind.CLICK, target) for target in targets)],
            self._own.in_addresses,
        )
        self._link_names = ["_open", *(f"_click_{index}" for index in range(len(targets)))]
        self._functions = reading.functions
        self._read_variables(reading, service)
        seed = f"{reading.template.id}/{service.id}/{reading.template.name}"
        self._transfers = shorter("".join(parts.text.statics)), shorter("".join(parts.html.statics))
        self._frame = Alternative(seed, *self._transfers)
        self._last_fields = (
            f"List-Unsubscribe-Post: {ONE_CLICK}\r\nMIME-Version: 1.0\r\n{self._frame.content_type}"
        )
        self._read_plan()
        self._date: tuple[datetime | None, str] = (None, "")

    def _read_plan(self) -> None:
        known: dict[str, list[str | Token]] = {
            name: [value] for name, value in self._fixed.items() if isinstance(value, str)
        }
        known |= {name: [Token(number)] for number, name in enumerate(self._link_names, 1)}
        for name in self._unsubscribe_names:
            known[name] = [self._unsubscribe, Token(0)]
        getters = {wanted.flat: wanted.get for wanted in self._wanted}
        self._plan = plan(self._parts, self._transfers, known, set(getters))
        self._getters = [getters[slot.name] for slot in self._plan.slots] if self._plan else []

    def _read_service(self, service: Service) -> None:
        try:
            from_email, _utf8 = headers.address(service.from_email, "the sender address")
            headers.checked(service.from_name or "", "the sender name")
            domain = str(service.settings.get("domain") or from_email.rpartition("@")[2])
            self._domain = headers.address(f"x@{domain}", "the Message-ID domain")[0][2:]
            sender = headers.mailbox(service.from_name, from_email, len("From: "))
            self._from_field = f"From: {sender}\r\n"
            self._from_readable = headers.readable_mailbox(service.from_name, from_email)
            self._own = OwnAddresses(service)
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
        tokens, (own_token, *in_addresses) = self._issue(recipient.row_id)
        mail_from, reply_to, by_mail = self._own.of(in_addresses)
        subject, text, html = self._filled(recipient, now, tokens)
        written, answers = (
            self._answering(recipient.thread) if recipient.thread else (self._subject(subject), "")
        )
        message_id = f"<{own_token}@{self._domain}>"
        head = (
            f"{self._from_field}"
            f"To: {headers.mailbox(name, rcpt_to, 4)}\r\n"
            f"{reply_to}"
            f"Subject: {written}\r\n"
            f"Date: {self._date_field(now)}\r\n"
            f"Message-ID: {message_id}\r\n"
            f"{answers}"
            f"List-Unsubscribe: <{self._unsubscribe}{tokens[:URL_LENGTH]}>{by_mail}\r\n"
            f"{self._last_fields}"
        )
        data = self._frame.assemble(head, text, html)
        return Message(
            recipient.row_id,
            mail_from,
            rcpt_to,
            message_id,
            data if self._signer is None else self._signer.sign(data, now),
            partial(self._contents, recipient, now),
            to_utf8 or self._own.smtputf8,
            clean=True,
            heading=threads.subject_of(recipient.thread) if recipient.thread else subject.strip(),
        )

    def subject(self, recipient: Recipient, now: datetime) -> str:
        """The subject alone, as people read it; CannotCompose where there is none."""
        tokens, _own_tokens = self._issue(recipient.row_id)
        return self._checked_subject(self._filled(recipient, now, tokens)[0])

    def _answering(self, thread: Thread) -> tuple[str, str]:
        """Of a follow-up its subject as it is written, and the fields that refer to the messages before."""
        subject = headers.unstructured(threads.subject_of(thread), len("Subject: "))
        return subject, threads.fields(threads.message_ids(thread, self._tokens, self._domain))

    def _filled(self, recipient: Recipient, now: datetime, tokens: str) -> Filled:
        """Subject and encoded parts: from the plan where there is one that can be used, else rendered."""
        planned = self._plan
        values: dict[str, Any] = {}
        if planned and not planned.decides:
            filled = planned.fill([get(recipient, now) for get in self._getters], tokens, values)
        else:
            values = self._values(recipient, now, tokens)
            slots = planned.slots if planned else []
            filled = planned.fill([values[slot.name] for slot in slots], tokens, values) if planned else None
        if filled:
            return filled
        values = values or self._values(recipient, now, tokens)
        subject, text, html = self._rendered(values, recipient.thread)
        return subject, encoded(text, self._transfers[0]), encoded(html, self._transfers[1])

    def _contents(self, recipient: Recipient, now: datetime) -> Contents:
        """What the message for this recipient says: rendered once more, since few want to know."""
        rcpt_to, _utf8 = headers.address(recipient.email, "the address")
        tokens, (_own_token, *in_addresses) = self._issue(recipient.row_id)
        _mail_from, reply_to, by_mail = self._own.of(in_addresses)
        thread = recipient.thread
        subject, text, html = self._rendered(self._values(recipient, now, tokens), thread)
        extra = {
            "List-Unsubscribe": f"<{self._unsubscribe}{tokens[:URL_LENGTH]}>{by_mail}",
            "List-Unsubscribe-Post": ONE_CLICK,
        }
        if reply_to:
            extra["Reply-To"] = reply_to.removeprefix("Reply-To: ").strip()
        if thread:
            found = threads.message_ids(thread, self._tokens, self._domain)
            extra |= {"In-Reply-To": found[-1], "References": " ".join(found)}
        to_header = headers.readable_mailbox(self._to_name(recipient), rcpt_to)
        return Contents(self._from_readable, to_header, subject, html, text, extra)

    def _values(self, recipient: Recipient, now: datetime, tokens: str) -> dict[str, Any]:
        """Everything that a template can name, checked."""
        values = self._fixed.copy()
        unsubscribe_url = f"{self._unsubscribe}{tokens[:URL_LENGTH]}"
        for name in self._unsubscribe_names:
            values[name] = unsubscribe_url
        for number, name in enumerate(self._link_names, 1):
            values[name] = tokens[number * STRIDE : number * STRIDE + URL_LENGTH]
        if self._parts.instrumented.dynamic:
            values["_link"] = DynamicLink(
                self._template, self._site, self._tokens, recipient.row_id, unsubscribe_url
            )
        for wanted in self._wanted:
            value = wanted.get(recipient, now)
            if isinstance(value, str):
                if not value or value.isspace():
                    value = wanted.missing
                elif UNFIT.search(value):
                    raise self._unfit(wanted.name, value)
            elif value is None:
                value = wanted.missing
            elif isinstance(value, tuple) and UNFIT.search("\t".join(value)):
                raise self._unfit(wanted.name, "\t".join(value))
            values[wanted.flat] = value
        if self._functions:
            values["tag"] = recipient.tags.__contains__
            values["tag_value"] = lambda prefix: self._tag_value(recipient, prefix)
        return values

    def _tag_value(self, recipient: Recipient, prefix: str) -> Any:
        found = tag_value(recipient.tags, prefix)
        if found and UNFIT.search(found):
            raise self._unfit(f"tag {prefix}", found)
        return found if found and not found.isspace() else Missing(name=f"tag_value({prefix})")

    def _unfit(self, name: str, value: str) -> CannotCompose:
        found = PLACEHOLDER.search(value)
        what = f"the placeholder {found.group()!r}" if found else "a control character"
        return CannotCompose(
            TEMPLATE_ERROR,
            f"{name} of this recipient contains {what}, and template {self._template!r} uses it",
        )

    def _rendered(self, values: dict[str, Any], thread: Thread | None) -> tuple[str, str, str]:
        """Subject, text and HTML; CannotCompose names the line where one cannot be rendered.

        In a thread the subject is that of its first message: the template's own is not looked at.
        """
        parts = self._parts
        if thread is None:
            subject = self._checked_subject(rendered(parts.subject, values))
        else:
            subject = threads.subject_of(thread)
        html, text = rendered(parts.html, values), rendered(parts.text, values)
        return subject, with_final_break(text), with_final_break(html)

    def _subject(self, subject: str) -> str:
        """A subject as it is written."""
        if mark := headers.reply_mark(subject):
            label = self._parts.subject.label
            detail = f"{label} begins with {mark!r} for this recipient, and it answers nothing"
            raise CannotCompose(BAD_HEADER, detail)
        if headers.is_plain(subject) and len(subject) <= headers.LINE - len("Subject: "):
            return subject
        return headers.unstructured(self._checked_subject(subject), len("Subject: "))

    def _checked_subject(self, subject: str) -> str:
        part = self._parts.subject
        # Checked before it is trimmed: a line break at either end is one, too.
        subject = headers.checked(subject, part.label).strip()
        if not subject:
            raise CannotCompose(BAD_HEADER, f"{part.label} is empty for this recipient")
        return subject

    def _to_name(self, recipient: Recipient) -> str | None:
        nickname = recipient.nickname
        if not nickname or nickname.isspace():
            return None
        return headers.checked(nickname, "contact.nickname").strip()

    def _date_field(self, now: datetime) -> str:
        # The rows of one turn have their time in common.
        if self._date[0] is not now:
            self._date = (now, headers.date(now))
        return self._date[1]
