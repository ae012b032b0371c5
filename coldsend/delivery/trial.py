"""``service test`` and ``template test``: one real message through a service's channel, dialogue and all.

It goes through the same channel as a campaign's messages, counts in the day's quota and keeps the throttle
gap, but is no row of any send list: nothing of it is in the ledger, and the service's health is left alone.
A frozen service may be tested; that is how a person finds out whether it is mended.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from typing import Any

from coldsend.channels.registry import open_channel
from coldsend.channels.seam import Channel
from coldsend.composing.dkim import Signer
from coldsend.composing.load import load_signer
from coldsend.composing.own_addresses import OwnAddresses
from coldsend.composing.tokens import Tokens
from coldsend.config.secrets import KeyRing, service_owner
from coldsend.config.settings import Settings
from coldsend.database.engine import Connection, Database
from coldsend.domain import address
from coldsend.domain.answers import BEFORE_MESSAGE, Answer, Outcome, Phase, Verdict
from coldsend.domain.gates import ServiceFacts, limit_gates
from coldsend.domain.message import Contents, Message
from coldsend.domain.replies import judge
from coldsend.domain.service import Service
from coldsend.domain.suppression import keys_for
from coldsend.errors import ColdsendError, NotFound, Refused, Unreachable, WrongState
from coldsend.pacing import limits
from coldsend.pacing.facts import service_facts
from coldsend.stores import gaps, services, signing_keys, suppressions

DEADLINE_SECONDS = 60.0  # the whole test: somebody is waiting for it
WAIT_SECONDS = 60.0  # the longest wait for a throttle gap


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a test. dialogue: ("C" we, "S" the server; what was said), without secrets."""

    service: Service
    to: str
    answer: Answer
    verdict: Verdict
    message_id: str
    dialogue: list[tuple[str, str]]

    @property
    def accepted(self) -> bool:
        return self.verdict.outcome == Outcome.ACCEPTED

    def failure(self) -> Refused | Unreachable:
        """What an operator is told where it was not accepted."""
        answer, service = self.answer, self.service.name
        about = f"the test through service {service!r} failed: {answer}"
        if answer.phase in BEFORE_MESSAGE and not answer.code:
            return Unreachable(about, hint=f"check host, port and tls: coldsend service show {service!r}")
        said = " ".join(part for part in (str(answer.code or ""), answer.enhanced, answer.text) if part)
        return Refused(about, hint=f"what that means: coldsend explain {said!r} --phase {answer.phase}")

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "service": self.service.name,
            "to": self.to,
            "accepted": self.accepted,
            "outcome": self.verdict.outcome,
            "action": self.verdict.action,
            "rule": self.verdict.rule,
            "phase": self.answer.phase,
            "code": self.answer.code,
            "enhanced": self.answer.enhanced,
            "answer": str(self.answer),
            "message_id": self.message_id,
            "provider_message_id": self.answer.provider_message_id or None,
            "dialogue": [{"who": who, "line": line} for who, line in self.dialogue],
        }


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one message: what it took of the limits, the throttle gap held (None: none)."""

    facts: ServiceFacts
    unit: limits.Unit
    credentials: dict[str, Any]
    signer: Signer | None
    tokens: Sequence[str]
    wait: float = 0.0
    gap_held: datetime | None = None

    @property
    def service(self) -> Service:
        return self.facts.service

    @property
    def gap(self) -> timedelta:
        return _gap(self.facts)


Make = Callable[[Permit, address.Address, datetime], Message]


def run_trial(
    database: Database,
    keys: KeyRing,
    settings: Settings,
    given: str,
    to: str,
    clock_now: Callable[[], datetime],
    make: Make | None = None,
) -> Trial:
    """Send one message through service ``given`` to ``to``; make: what, else one that says what it is.

    Refused where the address is suppressed, WrongState where the quota is used up or a worker sends through
    the throttled service right now. What the server answers is no error here: it is in the Trial.
    """
    recipient = address.parse(to)
    started = clock_now()
    days = settings.dkim.expire_days
    permit = database.run(lambda connection: _permit(connection, keys, given, recipient, started, days))
    try:
        message = (make or _plain)(permit, recipient, started)
    except ColdsendError:
        database.run(lambda connection: _give_back(connection, permit, started))
        raise
    dialogue: list[tuple[str, str]] = []
    channel = open_channel(
        permit.service, permit.credentials, settings, lambda who, line: dialogue.append((who, line))
    )
    answer = asyncio.run(_send(channel, message, permit.wait))
    ended = clock_now()
    database.run(lambda connection: _settle(connection, permit, answer, ended))
    return Trial(permit.service, recipient.email, answer, judge(answer), message.message_id, dialogue)


def _plain(permit: Permit, recipient: address.Address, now: datetime) -> Message:
    message = compose(permit.service, recipient, now, permit.tokens)
    return message if permit.signer is None else replace(message, data=permit.signer.sign(message.data, now))


def compose(service: Service, to: address.Address, now: datetime, tokens: Sequence[str] = ()) -> Message:
    """A short message that says what it is.

    Return path and Reply-To are made as those of a campaign's messages are; tokens: as OwnAddresses has it.
    """
    sender = address.parse(service.from_email)
    from_email, rcpt_to = _ascii_domain(sender), _ascii_domain(to)
    own = OwnAddresses(service)
    mail_from, reply_to, _by_mail = own.of(tokens)
    smtputf8 = own.smtputf8 or not rcpt_to.isascii()
    document = EmailMessage(policy=SMTPUTF8 if smtputf8 else SMTP)
    from_header = _header(from_email, service.from_name or "")
    subject = f"Test of sender service {service.name}"
    text = (
        f"This message was sent by `coldsend service test` through the service {service.name!r}.\n"
        "It belongs to no campaign. Nobody needs to do anything.\n"
    )
    message_id = f"<test.{secrets.token_hex(12)}@{sender.domain}>"
    document["From"] = from_header
    document["To"] = _header(rcpt_to)
    document["Subject"] = subject
    document["Date"] = format_datetime(now)
    document["Message-ID"] = message_id
    extra = {"Reply-To": parseaddr(reply_to.partition(":")[2])[1]} if reply_to else {}
    for name, value in extra.items():
        document[name] = _header(value)
    document.set_content(text)
    contents = Contents(str(from_header), rcpt_to, subject, html="", text=text, headers=extra)
    return Message(
        row_id=0,
        mail_from=mail_from,
        rcpt_to=rcpt_to,
        message_id=message_id,
        data=document.as_bytes(),
        tell=lambda: contents,
        smtputf8=smtputf8,
    )


def _permit(
    connection: Connection,
    keys: KeyRing,
    given: str,
    to: address.Address,
    now: datetime,
    dkim_expire_days: float,
) -> Permit:
    row = services.find(connection, given)
    service = services.as_service(row)
    sealed = row["credentials"]
    credentials = keys.open(sealed, service_owner(service.id)) if sealed else {}
    signer = load_signer(connection, service, keys, dkim_expire_days)
    tokens = _tokens(connection, keys, service)
    _refuse_suppressed(connection, keys, to)
    facts = service_facts(connection, now, [service])[service.id]
    unit = limits.Unit(0, service.id, now, to.domain)
    if not limits.reserve(connection, [unit], {service.id: facts}, {}):
        raise _used_up(connection, facts, to.domain, now)
    permit = Permit(facts, unit, credentials, signer, tokens)
    if not service.throttled:
        return permit
    wait, held = _hold_gap(connection, facts, now)
    return replace(permit, wait=wait, gap_held=held)


def _used_up(connection: Connection, facts: ServiceFacts, domain: str, now: datetime) -> WrongState:
    """Which limit does not allow one more message, and until when."""
    known = replace(facts, domains_used=limits.domains_used(connection, facts, [domain], now))
    blocked = limit_gates(known, domain)
    detail = blocked[0].detail if blocked else f"the quota of service {facts.service.name!r} is used up"
    until = blocked[0].until if blocked else None
    return WrongState(detail, hint=f"try again from {until:%Y-%m-%d %H:%M} UTC on" if until else "")


def _tokens(connection: Connection, keys: KeyRing, service: Service) -> list[str]:
    """Of no row, for the addresses of the service that have tokens in them."""
    if not (kinds := OwnAddresses(service).in_addresses):
        return []
    tokens = Tokens(signing_keys.load(connection, keys, "links"))
    return [tokens.issue_folded(kind, 0) for kind in kinds]


def _refuse_suppressed(connection: Connection, keys: KeyRing, to: address.Address) -> None:
    try:
        pepper = signing_keys.load(connection, keys, "suppression")
    except NotFound:
        pepper = None  # `coldsend init` has not run to its end, so nobody was erased yet
    if suppressed := suppressions.matching(connection, keys_for(to.key, to.domain, pepper), 0):
        reason = next(iter(suppressed.values()))
        raise Refused(
            f"{to.email} is suppressed ({reason}): it gets no mail, not even a test",
            hint="test with an address of your own",
        )


def _gap(facts: ServiceFacts) -> timedelta:
    """From one message to the next, with all of the jitter."""
    return timedelta(seconds=facts.service.gap(facts.limit_today) + facts.service.jitter_sec)


def _hold_gap(connection: Connection, facts: ServiceFacts, now: datetime) -> tuple[float, datetime]:
    """Seconds to wait for the throttle gap, and the end of the gap as it is held while the test runs."""
    service, throttle = facts.service, _gap(facts)
    gap = gaps.read(connection, service.id)
    begins = max(gap.ends or now, now)
    if gap.owner is not None and not gap.owner_lives:
        # Its last message may be younger than the gap it wrote.
        begins = max(begins, now + throttle)
    wait = (begins - now).total_seconds()
    held = begins + timedelta(seconds=DEADLINE_SECONDS) + throttle
    if gap.owner_lives:
        raise WrongState(
            f"worker {gap.owner} is sending through service {service.name!r}, which is throttled",
            hint="try again when it is idle, or pause what sends through it",
        )
    if wait > WAIT_SECONDS:
        raise WrongState(
            f"service {service.name!r} is throttled and may send again at {begins:%Y-%m-%d %H:%M:%S} UTC",
            hint="try again then",
        )
    if not gaps.move(connection, service.id, gap, held):
        raise WrongState(f"service {service.name!r} was taken by a worker this moment", hint="try again")
    return wait, held


async def _send(channel: Channel, message: Message, wait: float) -> Answer:
    committed = False

    def before_commit() -> None:
        nonlocal committed
        committed = True

    await asyncio.sleep(wait)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await channel.send(message, before_commit)
    except TimeoutError:
        phase = Phase.FINAL if committed else Phase.CONNECT
        return Answer(phase, 0, "", f"no answer within {DEADLINE_SECONDS:g} s", lost=True)
    finally:
        await channel.close()


def _settle(connection: Connection, permit: Permit, answer: Answer, ended: datetime) -> None:
    service = permit.service
    if answer.phase not in (Phase.DATA, Phase.FINAL):
        limits.refund(connection, [permit.unit], {service.id: permit.facts}, {})
    if permit.gap_held is not None:
        gaps.settle(connection, service.id, permit.gap_held, ended + permit.gap)


def _give_back(connection: Connection, permit: Permit, started: datetime) -> None:
    """Nothing was sent: the quota and the gap are as they were."""
    limits.refund(connection, [permit.unit], {permit.service.id: permit.facts}, {})
    if permit.gap_held is not None:
        begins = started + timedelta(seconds=permit.wait)
        gaps.settle(connection, permit.service.id, permit.gap_held, begins)


def _ascii_domain(found: address.Address) -> str:
    return f"{found.email.rpartition('@')[0]}@{found.domain}"


def _header(addr_spec: str, name: str = "") -> Address:
    local, _, domain = addr_spec.rpartition("@")
    return Address(name, local, domain)
