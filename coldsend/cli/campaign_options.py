"""The options that `campaign create` and `campaign update` share: when recipients are written to."""

from __future__ import annotations

from typing import Annotated

import typer

TimeZone = Annotated[
    str | None,
    typer.Option(
        metavar="ZONE",
        help="Of recipients whose own time zone and country are not known, and of the campaign's days; an "
        "IANA name. Left out: UTC.",
    ),
]
Window = Annotated[
    list[str] | None,
    typer.Option(
        metavar='"DAYS HH:MM-HH:MM"',
        help="When recipients are written to, in their own time: 'mon-fri 09:00-17:00'. May be given several "
        "times. Left out: at any time.",
    ),
]
Holidays = Annotated[
    list[str] | None,
    typer.Option(
        metavar="recipient|COUNTRY",
        help="Days on which nobody is written to: the public holidays of each recipient's country, or of "
        "countries or parts of them (DE, US-CA). May be given several times.",
    ),
]
Spread = Annotated[
    bool | None,
    typer.Option("--spread/--no-spread", help="Spread messages over the window, not all at its opening."),
]
StopOnReply = Annotated[
    bool | None,
    typer.Option(
        "--stop-on-reply/--no-stop-on-reply", help="Who replies gets no more follow-ups. So it is at first."
    ),
]
StopDomainOnReply = Annotated[
    bool | None,
    typer.Option(
        "--stop-domain-on-reply/--no-stop-domain-on-reply",
        help="Nor does anybody else at the same company domain. So it is at first.",
    ),
]
FollowupsFirst = Annotated[
    bool | None,
    typer.Option(
        "--followups-first/--no-followups-first",
        help="Follow-ups get what they need of a day's quota before new recipients do. So it is at first.",
    ),
]
NewPerDay = Annotated[
    str | None,
    typer.Option(metavar="N", help="New recipients a day at most; follow-ups do not count."),
]
