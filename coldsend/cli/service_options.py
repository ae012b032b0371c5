"""The options that `service add` and `service update` share."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the service.")]
Campaign = Annotated[str | None, typer.Option(metavar="CAMPAIGN", help="Only who waits in this one.")]
Host = Annotated[str | None, typer.Option(help="smtp: name or address of the server.")]
Port = Annotated[int | None, typer.Option(help="smtp: else 587 for starttls, 465 for implicit, 25 for none.")]
Tls = Annotated[
    str | None, typer.Option(metavar="none|starttls|implicit", help="smtp: how the connection is encrypted.")
]
Username = Annotated[str | None, typer.Option(help="To log in as; jiguang: the API user.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password or API key from standard input.")
]
PasswordEnv = Annotated[
    str | None, typer.Option(metavar="VARIABLE", help="Read the password or API key from this variable.")
]
PasswordPrompt = Annotated[bool, typer.Option("--password-prompt", help="Ask for it on the terminal.")]
TokenStdin = Annotated[
    bool, typer.Option("--token-stdin", help="smtp: read an OAuth2 token from standard input (XOAUTH2).")
]
From = Annotated[str | None, typer.Option("--from", metavar='"NAME <ADDRESS>"', help="Who the mail is from.")]
DailyQuota = Annotated[int | None, typer.Option(help="Messages a day at most; 0: nothing is sent.")]
ThrottleSec = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS", help="Least time between two messages, such as 0.5; 0: as fast as it goes."
    ),
]
Ramp = Annotated[
    str | None,
    typer.Option(
        metavar="START+STEP",
        help="For a new account: START messages on the first day it sends, STEP more on each day after that "
        "it does, up to the daily quota; such as 20+10.",
    ),
]
HourlyQuota = Annotated[
    str | None, typer.Option(metavar="N", help="Messages in an hour of the clock at most.")
]
DomainQuota = Annotated[
    str | None, typer.Option(metavar="N", help="Messages a day to one recipient domain at most.")
]
JitterSec = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS", help="Up to so much is added to each gap between two messages, by chance."
    ),
]
SpreadHours = Annotated[
    str | None,
    typer.Option(
        metavar="HOURS", help="Spread a day's messages over so many hours, by longer gaps between them."
    ),
]
Connections = Annotated[
    int | None, typer.Option(help="Connections a worker may open; a throttled service uses one.")
]
TimeZone = Annotated[str | None, typer.Option(metavar="ZONE", help="Of its quota day; IANA name.")]
MaxErrors = Annotated[int | None, typer.Option(help="Failures in a row that freeze it.")]
ReplyTo = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Address that answers go to; with {token} in it, such as ann+{token}@example.com, every message "
        "has its own, and an answer tells what it answers.",
    ),
]
BounceAddress = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Address that bounces go to (MAIL FROM), such as bounce+{token}@example.com: every message has "
        "its own. Left out: the From address.",
    ),
]
UnsubscribeAddress = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Offer unsubscribing by mail as well, to an address such as unsubscribe+{token}@example.com; "
        "`inbox poll` must read its mailbox.",
    ),
]
WebUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where links of its messages lead, instead of [web] base_url: a name below the sender's own "
        "domain, such as https://link.example.com, that leads to the same web part.",
    ),
]
Dkim = Annotated[
    str | None,
    typer.Option(
        metavar="server", help="The mail server signs (DKIM): coldsend does not, and `doctor` is content."
    ),
]
ApiUrl = Annotated[str | None, typer.Option(help="jiguang: base URL of the data centre.")]
Webhook = Annotated[
    str | None,
    typer.Option(
        metavar="sendgrid|ses|engagelab",
        help="smtp: whose webhooks tell of its mail, where the host does not say so.",
    ),
]
WebhookSecretStdin = Annotated[
    bool,
    typer.Option(
        "--webhook-secret-stdin",
        help="Read from standard input what proves that webhooks come from the provider. SendGrid: the "
        "verification key; EngageLab: the app key; SES: the ARN of the SNS topic.",
    ),
]
Folder = Annotated[str | None, typer.Option(help="console: folder that messages are written to.")]
HeloName = Annotated[str | None, typer.Option(help="smtp: name given in EHLO.")]
PlaintextAuth = Annotated[
    bool | None,
    typer.Option(
        "--allow-plaintext-auth/--no-allow-plaintext-auth",
        help="smtp: log in over an unencrypted connection. Only on a network of your own.",
    ),
]
