"""How ``coldsend template`` tries a template: a message to oneself, and what SpamAssassin says of it."""

from __future__ import annotations

from email import message_from_bytes
from email.header import decode_header, make_header

from coldsend import clock
from coldsend.cli import advice
from coldsend.cli.context import Run
from coldsend.composing import spamcheck
from coldsend.composing import templates as use
from coldsend.composing.load import template_of
from coldsend.composing.source import Site, site_of
from coldsend.database.engine import Connection
from coldsend.delivery import sample
from coldsend.delivery.sample import Sample
from coldsend.domain.message import Message
from coldsend.errors import Refused
from coldsend.stores import signing_keys


def send(run: Run, name: str, to: str, contact: str | None, service: str | None) -> None:
    """Send one message and tell what became of it."""
    actor = run.actor
    with run.database.read() as connection:
        template = template_of(use.owned(connection, actor, name))
        through = use.preview_service(connection, actor, service)
        if through is None:
            raise Refused(
                "there is no sender service that you may use",
                hint="add one: coldsend service add --help; or have it granted: coldsend service grant",
            )
        person = sample.contact_for(connection, contact, to)
        site = site_of(run.settings, signing_keys.load(connection, run.keys, "links"))
    wanted = Sample(template, person, through, site, to)
    result = sample.send(run.database, run.keys, run.settings, actor, wanted, clock.now)
    if not result.accepted:
        raise result.failure()
    document = {
        "template": template.name,
        "to": result.to,
        "contact": person["email"],
        "service": through.name,
        "message_id": result.message_id,
        "answer": str(result.answer),
    }
    sentence = f"sent to {result.to} through {through.name!r}, with the data of {person['email']}"
    run.out.done(sentence, document)
    advice.next_step(run, "its links lead where they should; nothing is recorded of who follows them")


def spamcheck_of(run: Run, template: str, message: Message, *, network: bool) -> None:
    """Tell the score and the rules; Refused where the message would be taken for spam."""
    verdict = spamcheck.check(_received(message), network=network)
    rows = [
        {"rule": rule.name, "points": rule.points, "description": rule.description} for rule in verdict.rules
    ]
    document = {
        "template": template,
        "score": verdict.score,
        "required": verdict.required,
        "spam": verdict.is_spam,
        "rules": rows,
    }
    columns = {"points": "POINTS#", "rule": "RULE", "description": "WHAT IT SAYS"}
    run.out.table(rows, columns, empty="no rule speaks for or against it", document=document)
    about = f"score {verdict.score:g}; from {verdict.required:g} on it is taken for spam"
    if verdict.is_spam:
        raise Refused(f"template {template!r}: {about}", hint="mend what the rules with most points say")
    if not run.json:
        run.out.note(f"{about}. Other filters judge by other rules, and most of all by who sends")


def _received(message: Message) -> bytes:
    """The message as the recipient's server has it: with its return path."""
    return f"Return-Path: <{message.mail_from}>\r\n".encode() + message.data


def site_to_look_at(run: Run, connection: Connection) -> Site:
    """The site as configured, with stand-ins for what is not, so that a preview works from the first day."""
    site = site_of(run.settings, signing_keys.load(connection, run.keys, "links"))
    if not site.base_url or not site.postal_address:
        run.out.note("[web] base_url or postal_address is not configured: stand-ins are shown")
    return Site(
        base_url=site.base_url or "https://links.example.com",
        postal_address=site.postal_address or "(postal address)",
        link_secret=site.link_secret,
        track_opens=site.track_opens,
        track_clicks=site.track_clicks,
    )


def legible_head(message: Message) -> str:
    """The headers in their order; what mail programs decode is decoded."""
    head = message_from_bytes(message.data.split(b"\r\n\r\n", 1)[0])
    lines = ((name, str(value).replace("\r\n", "\n")) for name, value in head.items())
    return "\n".join(
        f"{name}: {make_header(decode_header(value)) if '=?' in value else value}" for name, value in lines
    )
