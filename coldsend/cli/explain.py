"""``coldsend explain``: what the engine would do on a server's answer, and by which rule."""

from __future__ import annotations

from typing import Annotated

import typer

from coldsend.cli.context import current
from coldsend.cli.noun import reads, single
from coldsend.domain.answers import Action, Outcome, Phase, Verdict
from coldsend.domain.providers import provider_of
from coldsend.domain.replies import judge
from coldsend.domain.reply_text import parse
from coldsend.errors import InvalidInput

app = single()

MEANING: dict[Action, str] = {
    Action.NONE: "nothing more to do",
    Action.FAIL: "this recipient fails",
    Action.SUPPRESS: "this recipient fails, and the address is never mailed again",
    Action.RETRY: "this recipient is tried again later, by any service",
    Action.RETRY_SAME_SERVICE: "this recipient is tried again later, by the same service",
    Action.RETRY_SOON: "this recipient is tried again at once; the attempt does not count",
    Action.SLOW_DOWN: "the service slows down; the recipient waits, the attempt does not count",
    Action.NEXT_QUOTA_DAY: "the service rests until its next quota day; the recipient waits",
    Action.COOL_DOWN: "the service rests for a while; the recipient goes to other services or waits",
    Action.FREEZE_SERVICE: "the service is frozen until a person mends it; the recipient goes to others",
    Action.PAUSE_PROVIDER: "the service rests for this provider's recipients; they wait",
    Action.FAIL_CONTENT: "this recipient fails; too many of these pause the campaign",
    Action.FAIL_TEMPLATE: "this recipient fails, as all that get the same template would",
    Action.PAUSE_CAMPAIGN: "the campaign is paused: something of ours is wrong; the recipient waits",
    Action.RECORD_UNKNOWN: "it may have been delivered: recorded as unknown and never sent again by itself",
}


@reads(
    app,
    'coldsend explain "550 5.1.1 no such user"',
    'coldsend explain "421 4.7.28 unusual rate of mail" --provider google',
    'coldsend explain "connection lost" --phase final',
)
def explain(
    answer: Annotated[str, typer.Argument(help="The answer, as a server, a log or a bounce has it.")],
    phase: Annotated[
        Phase | None, typer.Option(help="Where in the dialogue it came; guessed where it is not given.")
    ] = None,
    provider: Annotated[
        str, typer.Option(help="Provider or domain of the recipient, such as google or gmail.com.")
    ] = "",
) -> None:
    """Explain a server's answer: what it means, what the engine would do, by which rule."""
    run = current()
    if run.acting_as:  # else it needs neither configuration nor database
        _ = run.actor
    if not answer.strip():
        raise InvalidInput("there is no answer to explain", hint='example: coldsend explain "550 5.1.1 .."')
    read = parse(answer, phase)
    verdict = judge(read, provider=provider_of(provider))
    document = {
        "outcome": verdict.outcome,
        "action": verdict.action,
        "rule": verdict.rule,
        "meaning": MEANING[verdict.action],
        "recipient": _recipient(verdict),
        "blames_sender": verdict.blames_sender,
        "wait_seconds": verdict.wait_seconds or None,
        "phase": read.phase,
        "code": read.code or None,
        "enhanced": read.enhanced or None,
        "text": read.text,
    }
    run.out.fields(document)


def _recipient(verdict: Verdict) -> str:
    """What becomes of the recipient: the state its row would get."""
    if verdict.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN):
        return "sent" if verdict.outcome is Outcome.ACCEPTED else "unknown"
    return "failed" if verdict.action in _FAILING else "waits"


_FAILING = frozenset({Action.FAIL, Action.SUPPRESS, Action.FAIL_CONTENT, Action.FAIL_TEMPLATE})
