"""How fast messages are composed, against ``email.message.EmailMessage`` built for each recipient.

    python benchmarks/composing.py [--messages N] [--template note|returns] [--profile]

Both make the same message: personalised HTML and text, tracked links, open pixel, List-Unsubscribe. ``note``
is the template of ``end_to_end.py``, about 4 KB; ``returns`` is longer, has a choice in it and a text part
derived from the HTML. Composing fills the templates and signs the links as well; ``EmailMessage`` is handed
the rendered text, so the ratio is a lower bound. Processor time, best of several interleaved rounds.
"""

from __future__ import annotations

import argparse
import cProfile
import email.policy
import pstats
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import end_to_end
from coldsend.composing.compose import Composer, composer
from coldsend.composing.source import Site, TemplateSource
from coldsend.domain.message import Message, Recipient
from coldsend.domain.service import Service

PARAGRAPH = (
    '<p style="margin: 0 0 16px">Returned parcels wait because nobody owns them, the same parcel is\n'
    "touched four or five times, and refunds go out late. Teams that give every parcel an owner on the\n"
    "day it arrives see the pile shrink within weeks, with the same people and the same space as before,\n"
    "and tell us so.</p>\n"
)
LINK = '<p><a href="https://stillwater.example.com/page/{0}?from=mail">More about this, number {0}</a></p>\n'
BODY = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    "<title>Returns</title>\n</head>\n<body>\n"
    "<p>Hello {{ contact.nickname | default('there') }},</p>\n"
    "<p>this is about returns at {{ contact.company }} in {{ contact.city | default('your city') }}.</p>\n"
    + "".join(PARAGRAPH + LINK.format(number) for number in range(4))
    + PARAGRAPH * 4
    + "{% if contact.country == 'DE' %}<p>Gern auch auf Deutsch.</p>\n{% endif %}"
    "<p>Kind regards<br>{{ sender.name }}</p>\n</body>\n</html>\n"
)  # fmt: skip
PARAGRAPHS = "\n".join([f"<p>{end_to_end.LINE * 2}</p>"] * 5)
TEMPLATES = {
    "note": TemplateSource(
        1,
        "note",
        "A note for {{ contact.company }}",
        end_to_end.BODY.format(paragraphs=PARAGRAPHS),
        end_to_end.TEXT.format(paragraphs=f"{end_to_end.LINE}\n\n" * 7),
    ),
    "returns": TemplateSource(2, "returns", "Returns at {{ contact.company }}", BODY),
}
SERVICE = Service(1, "main", "smtp", "robin@stillwater.example.com", "Robin Field")
SITE = Site("https://mail.example.com", "Stillwater, 1 Example Street, 12345 Sampletown", bytes(range(32)))
NOW = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)


def recipients(count: int) -> list[Recipient]:
    return [
        Recipient(
            number,
            1,
            number,
            f"person{number}@company{number}.example",
            f"Person {number}",
            ("lead", "tier:a"),
            {"company": f"Company {number} & Söhne", "city": "Köln", "country": "DE" if number % 2 else "FR"},
        )
        for number in range(count)
    ]


def as_email_message(message: Message, to: Recipient) -> bytes:
    """The same message, built as most programs do."""
    built = EmailMessage(policy=email.policy.SMTP)
    built["From"] = Address("Robin Field", addr_spec=message.mail_from)
    built["To"] = Address(to.nickname or "", addr_spec=message.rcpt_to)
    built["Subject"] = message.subject
    built["Date"] = format_datetime(NOW)
    built["Message-ID"] = message.message_id
    for name, value in message.headers.items():
        built[name] = value
    built.set_content(message.text)
    built.add_alternative(message.html, subtype="html")
    return built.as_bytes()


def seconds_each(work: Callable[[], None], count: int) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) / count


def measure(made: Composer, everybody: list[Recipient], rounds: int) -> tuple[float, float]:
    """Seconds a message: composed, and as EmailMessage."""
    few = everybody[: max(1, len(everybody) // 20)]
    ready = [made.compose(to, NOW) for to in few]
    assert all(message.contents for message in ready)  # made before the clock runs
    composed = built = float("inf")
    for _ in range(rounds):
        composed = min(composed, seconds_each(lambda: compose_all(made, everybody), len(everybody)))
        built = min(built, seconds_each(lambda: build_all(ready, few), len(few)))
    return composed, built


def compose_all(made: Composer, everybody: list[Recipient]) -> None:
    for to in everybody:
        made.compose(to, NOW)


def build_all(ready: list[Message], everybody: list[Recipient]) -> None:
    for message, to in zip(ready, everybody, strict=True):
        as_email_message(message, to)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--template", choices=[*TEMPLATES], action="append")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    options = parser.parse_args()
    everybody = recipients(options.messages)
    for name in options.template or TEMPLATES:
        made = composer(TEMPLATES[name], [], SERVICE, SITE)
        sample = made.compose(everybody[-1], NOW)
        if options.profile:
            profile = cProfile.Profile()
            profile.runcall(compose_all, made, everybody)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
            continue
        composed, built = measure(made, everybody, options.rounds)
        print(
            f"{name}: {len(sample.data)} octets, HTML {len(sample.html)}, text {len(sample.text)} characters"
        )
        print(f"  composed:     {1 / composed:9,.0f} messages/s and core  {composed * 1e6:7.1f} us each")
        print(f"  EmailMessage: {1 / built:9,.0f} messages/s and core  {built * 1e6:7.1f} us each")
        print(f"  ratio: {built / composed:.1f}")


if __name__ == "__main__":
    main()
