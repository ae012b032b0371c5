"""Settings: what they are, their defaults, and how they are read.

Sources, later ones win: defaults, ``coldsend.toml``, ``COLDSEND_*`` variables. A key's variable is its
path in capitals: ``[web] base_url`` is ``COLDSEND_WEB_BASE_URL``. Relative paths in the file are relative
to the file, those in variables to the working directory; loaded settings hold absolute ones. All errors are
reported at once, each with its key and line (``config/loading.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

CONFIG_FILE_NAME = "coldsend.toml"
CONFIG_VARIABLE = "COLDSEND_CONFIG"


def key(
    default: Any,
    doc: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    """A settings key: its default, its sentence of documentation, and its limits."""
    checks = {"doc": doc, "minimum": minimum, "maximum": maximum, "choices": choices, "secret": secret}
    return field(default=default, metadata=checks, repr=not secret)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    url: str = key(
        "sqlite:///coldsend.db",
        "Database URL: sqlite:///FILE or mysql://USER:PASSWORD@HOST:PORT/NAME (MariaDB too). "
        "Nodes of a Galera cluster: HOST:PORT,HOST:PORT, the nearest first.",
        secret=True,
    )
    pool_size: int = key(5, "Connections one process keeps open.", minimum=1, maximum=100)
    connect_timeout: float = key(10.0, "Seconds to wait for a connection.", minimum=1, maximum=300)


@dataclass(frozen=True, slots=True)
class WebSettings:
    host: str = key("127.0.0.1", "Address that `coldsend web run` listens on.")
    port: int = key(8025, "Port that `coldsend web run` listens on.", minimum=0, maximum=65535)
    base_url: str = key("", "Public address of the web part: links in messages begin with it.")
    processes: int = key(1, "Server processes that `web run` starts.", minimum=1, maximum=64)
    trusted_proxies: str = key(
        "127.0.0.1, ::1",
        "Addresses or networks of reverse proxies, whose X-Forwarded-For is believed; empty: nobody's.",
    )
    own_networks: str = key(
        "", "Networks of your own offices and servers, such as 203.0.113.0/24: their opens do not count."
    )
    keep_ip: bool = key(False, "Store whole IP addresses of visitors instead of their network (/24, /48).")
    spool_megabytes: int = key(
        256,
        "Spool of opens and clicks that wait for the database; beyond it they are dropped.",
        minimum=1,
        maximum=1_000_000,
    )
    max_connections: int = key(
        5000, "Connections one server process answers at a time.", minimum=10, maximum=100_000
    )


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    workers: int = key(1, "Sender processes that `scheduler run` starts.", minimum=0, maximum=64)
    lease_seconds: float = key(
        60.0, "A worker silent for this long is taken for dead.", minimum=5, maximum=3600
    )
    retry_minutes: tuple[float, ...] = key(
        (5.0, 15.0, 30.0, 60.0, 120.0, 240.0),
        "Waits between attempts; the last one repeats.",
        minimum=0.001,
        maximum=10080,
    )
    give_up_days: float = key(
        5.0, "After this long without success a recipient fails.", minimum=0.001, maximum=60
    )
    probe_minutes: float = key(
        30.0, "Rest of a service frozen for errors before it is probed.", minimum=0.01, maximum=10080
    )
    render_errors_pause: int = key(
        20, "Render errors in a row that pause a task.", minimum=1, maximum=1_000_000
    )
    track_opens: bool = key(True, "Put an open pixel into HTML parts.")
    track_clicks: bool = key(True, "Send links of HTML parts through the click redirect.")


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    connect_timeout: float = key(30.0, "Seconds for DNS and TCP.", minimum=0.1, maximum=600)
    greeting_timeout: float = key(
        300.0, "Seconds for the banner, EHLO, STARTTLS and AUTH.", minimum=0.1, maximum=3600
    )
    mail_timeout: float = key(300.0, "Seconds for the answer to MAIL.", minimum=0.1, maximum=3600)
    rcpt_timeout: float = key(300.0, "Seconds for the answer to RCPT.", minimum=0.1, maximum=3600)
    data_timeout: float = key(120.0, "Seconds for the answer to DATA.", minimum=0.1, maximum=3600)
    block_timeout: float = key(
        180.0, "Seconds for each block of the body to be taken.", minimum=0.1, maximum=3600
    )
    final_timeout: float = key(600.0, "Seconds for the answer to the final dot.", minimum=0.1, maximum=3600)
    session_deadline: float = key(
        900.0, "Seconds one message may take up to its final dot.", minimum=0.1, maximum=7200
    )
    idle_seconds: float = key(20.0, "An unused connection is closed after this long.", minimum=0, maximum=300)
    ca_file: str = key("", "Extra certificate authorities (PEM) for servers with private certificates.")
    helo_name: str = key("", "Name given in EHLO; empty: this host's name.")


@dataclass(frozen=True, slots=True)
class DkimSettings:
    expire_days: float = key(
        0.0, "Days after which signatures are no longer good (x=); 0: they stay good.", minimum=0, maximum=365
    )
    dns_servers: str = key(
        "", "Name servers that check keys, such as 9.9.9.9, 127.0.0.1:5353; empty: those of the system."
    )


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    bounce_rate: float = key(
        5.0, "Per cent of recipients whose bounces pause a campaign; 0: never.", minimum=0, maximum=100
    )
    complaint_rate: float = key(
        0.3, "Per cent of recipients whose complaints pause a campaign; 0: never.", minimum=0, maximum=100
    )
    minimum_sent: int = key(
        50, "Recipients reached or refused before a rate says anything.", minimum=1, maximum=1_000_000
    )
    window_days: float = key(
        7.0,
        "Days that the rates look back; never before the last `campaign resume`.",
        minimum=0.01,
        maximum=365,
    )


@dataclass(frozen=True, slots=True)
class InboxSettings:
    poll_seconds: float = key(
        60.0, "Seconds between two looks at each mailbox that is enabled.", minimum=5, maximum=86400
    )
    first_days: float = key(
        14.0, "A mailbox that is new is read from so many days ago.", minimum=0, maximum=3650
    )
    message_kb: int = key(
        256, "Of each message, so many KB are read and kept: header and beginning.", minimum=16, maximum=8192
    )
    timeout: float = key(30.0, "Seconds a mail server may be silent.", minimum=1, maximum=600)
    ca_file: str = key("", "Extra certificate authorities (PEM) for servers with private certificates.")


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    events_days: int = key(
        0,
        "Days that events are kept, 30 or more; 0: for good. Rules that ask for older ones find none.",
        minimum=0,
        maximum=36500,
    )
    messages_days: int = key(
        730,
        "Days that replies and other messages of mailboxes are kept, 30 or more; 0: for good.",
        minimum=0,
        maximum=36500,
    )
    payloads_days: int = key(
        90,
        "Days that messages and webhooks are kept as they came, byte by byte; 0: for good.",
        minimum=0,
        maximum=36500,
    )
    audit_days: int = key(
        730,
        "Days that the audit log, and alerts that are over, are kept, 30 or more; 0: for good.",
        minimum=0,
        maximum=36500,
    )


@dataclass(frozen=True, slots=True)
class AlertsSettings:
    kinds: str = key(
        "all",
        "What is told of: all, or some of service_frozen, breaker, campaign_done, unknown_rows, "
        "daemon_silent, mailbox_failing; empty: nothing.",
    )
    email: str = key("", "Addresses that alerts are mailed to, separated by commas.")
    smtp_host: str = key("", "Server that takes these mails: best none that campaigns go out through.")
    smtp_port: int = key(
        0, "Its port; 0: 25 for none, 587 for starttls, 465 for implicit.", minimum=0, maximum=65535
    )
    smtp_tls: str = key(
        "starttls", "How the connection is encrypted.", choices=("none", "starttls", "implicit")
    )
    smtp_username: str = key("", "To log in there as; empty: no login.")
    smtp_password: str = key("", "Password there; rather in the variable than in a file.", secret=True)
    email_from: str = key("", "Address the mails come from; empty: the first they go to.")
    webhooks: str = key(
        "",
        "Where to POST alerts to: NAME=https://.. , separated by commas. See docs/alerts.md.",
        secret=True,
    )
    webhook_secret: str = key(
        "",
        "Secrets that sign webhooks, whsec_.. , separated by commas; all sign. NAME=whsec_.. is for one.",
        secret=True,
    )
    chat: str = key(
        "",
        "Chats, as Apprise names them: NAME=slack://.. , separated by commas. Needs: pip install "
        "'coldsend[chat]'.",
        secret=True,
    )
    unknown_rows: int = key(
        1,
        "Recipients of one task with unknown outcome that are worth an alert.",
        minimum=1,
        maximum=1_000_000,
    )
    unknown_minutes: float = key(
        15.0, "Minutes that an outcome must have been unknown for that.", minimum=0, maximum=10080
    )
    silent_minutes: float = key(
        10.0,
        "Minutes without a living scheduler, while a campaign is active, before somebody is told.",
        minimum=1,
        maximum=10080,
    )
    mailbox_minutes: float = key(
        60.0, "Minutes that a mailbox could not be read before somebody is told.", minimum=1, maximum=10080
    )
    quiet_minutes: float = key(
        60.0, "Minutes before the same alert is told again when it comes and goes.", minimum=0, maximum=10080
    )
    digest_over: int = key(
        3, "More than so many at once go into one mail or chat message.", minimum=1, maximum=1000
    )


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    host: str = key("127.0.0.1", "Address that metrics are served on, without a password: keep it private.")
    port: int = key(
        0,
        "Port that schedulers and workers serve /metrics and /healthz on; 0: none.",
        minimum=0,
        maximum=65535,
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    level: str = key(
        "info", "Least severe level that is logged.", choices=("debug", "info", "warning", "error")
    )
    format: str = key("text", "One line of text or one JSON object per event.", choices=("text", "json"))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be configured. ``source`` is the file it was read from, if any."""

    secret_key: str = key(
        "",
        "Key(s) that encrypt credentials; several separated by commas: the first encrypts, all decrypt.",
        secret=True,
    )
    secret_key_file: Path = key(Path("coldsend.key"), "File that holds the key(s) where secret_key is empty.")
    postal_address: str = key("", "Postal address shown in every message; campaigns do not start without.")
    state_dir: Path = key(
        Path(".coldsend"), "Directory for journals and the web spool of this host's processes."
    )
    user: str = key("", "User to act as; empty: the one that `coldsend init` made. `--as` wins.")
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    web: WebSettings = field(default_factory=WebSettings)
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    smtp: SmtpSettings = field(default_factory=SmtpSettings)
    dkim: DkimSettings = field(default_factory=DkimSettings)
    feedback: FeedbackSettings = field(default_factory=FeedbackSettings)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    alerts: AlertsSettings = field(default_factory=AlertsSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    log: LogSettings = field(default_factory=LogSettings)
    source: Path | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """One settings key as the loader, the example file and the documentation see it."""

    section: str  # "" for top-level keys
    name: str
    type: Any
    default: Any
    doc: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    secret: bool

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def variable(self) -> str:
        return "COLDSEND_" + self.path.replace(".", "_").upper()


SECTIONS: dict[str, type[Any]] = {
    "database": DatabaseSettings,
    "web": WebSettings,
    "delivery": DeliverySettings,
    "smtp": SmtpSettings,
    "dkim": DkimSettings,
    "feedback": FeedbackSettings,
    "inbox": InboxSettings,
    "retention": RetentionSettings,
    "alerts": AlertsSettings,
    "metrics": MetricsSettings,
    "log": LogSettings,
}


@cache
def all_keys() -> Sequence[Key]:
    """Every key there is, top level first, in the order of the classes above."""
    found: list[Key] = []
    for section, owner in [("", Settings), *SECTIONS.items()]:
        hints = get_type_hints(owner)
        found.extend(
            Key(section, f.name, hints[f.name], f.default, **f.metadata)
            for f in fields(owner)
            if "doc" in f.metadata
        )
    return tuple(found)
