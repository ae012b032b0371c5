"""The types of sender services: what each takes, how it is checked, and how its channel is opened.

``service add`` and ``service update`` check everything through :func:`checked` and report all problems at
once; delivery opens channels through :func:`open_channel`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from coldsend.channels import values, webhooks
from coldsend.channels.console import ConsoleChannel
from coldsend.channels.jiguang import DEFAULT_API_URL
from coldsend.channels.seam import Channel, Transcript
from coldsend.channels.smtp.channel import SmtpChannel
from coldsend.channels.values import PORTS_BY_TLS
from coldsend.config.settings import Settings
from coldsend.domain import dkim, own_address, webhook_provider
from coldsend.domain.service import DEFAULT_CONNECTIONS, WEB_URL, Service
from coldsend.errors import InvalidInput

MAX_CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class Login:
    """What an operator gives to log in with. Shown nowhere: neither repr nor errors hold a value."""

    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return any(value is not None for value in (self.username, self.password, self.token))


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of ``sender_services.settings``. check: gives the value in its stored form or ValueError.

    default None: the key is left out where it is not given.
    """

    name: str
    check: Callable[[Any], Any]
    required: bool = False
    default: Any = None

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class ChannelType:
    """What one type takes, and how it is opened.

    credentials: from a login to what is encrypted, with its problems; None: the type takes no login.
    complete: fills in what follows from other settings, and names what does not fit together.
    """

    name: str
    summary: str
    settings: tuple[Setting, ...]
    open: Callable[[Service, Mapping[str, Any], Settings, Transcript | None], Channel]
    credentials: Callable[[Login], tuple[dict[str, str], list[str]]] | None = None
    needs_credentials: bool = False
    complete: Callable[[dict[str, Any], bool], list[str]] | None = None


def channel_type(name: str) -> ChannelType:
    """The type of this name; InvalidInput lists those there are."""
    found = TYPES.get(name)
    if found is None:
        known = ", ".join(f"{each.name} ({each.summary})" for each in TYPES.values())
        raise InvalidInput(f"there are no services of type {name!r}", hint=f"types: {known}")
    return found


def open_channel(
    service: Service, credentials: Mapping[str, Any], settings: Settings, transcript: Transcript | None = None
) -> Channel:
    """The channel of a service, ready to send. credentials: opened ones, {} where there are none."""
    return channel_type(service.type).open(service, credentials, settings, transcript)


def checked(
    type_name: str, given: Mapping[str, Any], *, has_credentials: bool
) -> tuple[dict[str, Any], list[str]]:
    """Settings in their stored form, and everything that is wrong with them. None and "" are not given."""
    kind = channel_type(type_name)
    known = {setting.name: setting for setting in kind.settings}
    stored: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in given.items():
        if value is None or value == "":
            continue
        setting = known.get(name)
        if setting is None:
            option = "--" + name.replace("_", "-")
            problems.append(f"{option} means nothing to services of type {kind.name}")
            continue
        try:
            stored[name] = setting.check(value)
        except (ValueError, InvalidInput) as error:
            problems.append(f"{setting.option}: {error}")
    for setting in kind.settings:
        if setting.name in stored or given.get(setting.name) not in (None, ""):
            continue
        if setting.required:
            problems.append(f"{setting.option} is missing")
        elif setting.default is not None:
            stored[setting.name] = setting.default
    if kind.complete is not None and not problems:
        problems.extend(kind.complete(stored, has_credentials))
    return stored, problems


def merged(current: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they would be after an update, still to be checked. A port that follows from tls goes on
    following it."""
    result = {**current, **{name: value for name, value in changes.items() if value is not None}}
    follows = "port" in current and current["port"] == PORTS_BY_TLS.get(current.get("tls", ""))
    if changes.get("tls") is not None and changes.get("port") is None and follows:
        del result["port"]
    return result


def checked_credentials(type_name: str, login: Login) -> tuple[dict[str, str] | None, list[str]]:
    """What is to be encrypted (None: nothing), and everything that is wrong with the login."""
    kind = channel_type(type_name)
    if not login:
        missing = ["--username and a password are missing: --password-stdin or --password-env VARIABLE"]
        return None, missing if kind.needs_credentials else []
    if kind.credentials is None:
        return None, [f"services of type {kind.name} need no login"]
    return kind.credentials(login)


def _smtp_credentials(login: Login) -> tuple[dict[str, str], list[str]]:
    found = {name: value for name in ("username", "password", "token") if (value := getattr(login, name))}
    problems = []
    if "username" not in found:
        problems.append("--username is missing: a password or token alone does not log in")
    if "password" in found and "token" in found:
        problems.append("give a password or a token, not both")
    elif "password" not in found and "token" not in found:
        problems.append("the password is missing: --password-stdin, --password-env VARIABLE or --token-stdin")
    return found, problems


def _api_credentials(login: Login) -> tuple[dict[str, str], list[str]]:
    problems = []
    if not login.username:
        problems.append("--username is missing: the API user")
    elif ":" in login.username:
        problems.append("--username: an API user has no colon in it")
    if login.token:
        problems.append("--token-stdin is for SMTP; give the API key as the password")
    elif not login.password:
        problems.append("the API key is missing: --password-stdin or --password-env VARIABLE")
    return {"api_user": login.username or "", "api_key": login.password or ""}, problems


def _complete_smtp(settings: dict[str, Any], has_credentials: bool) -> list[str]:
    settings.setdefault("port", PORTS_BY_TLS[settings["tls"]])
    in_clear = settings["tls"] == "none" and has_credentials and not values.is_loopback(settings["host"])
    if in_clear and not settings.get("allow_plaintext_auth"):
        return [
            f"--tls none would send the password to {settings['host']} in clear: use starttls or implicit "
            "(or --allow-plaintext-auth, on a network of your own)"
        ]
    return []


def _open_smtp(
    service: Service, credentials: Mapping[str, Any], settings: Settings, transcript: Transcript | None
) -> Channel:
    return SmtpChannel(service, credentials, settings.smtp, transcript=transcript)


def _open_jiguang(
    service: Service, credentials: Mapping[str, Any], _settings: Settings, transcript: Transcript | None
) -> Channel:
    from coldsend.channels.jiguang.channel import JiguangChannel  # noqa: PLC0415 - httpx is slow to import

    return JiguangChannel(service, credentials, transcript=transcript)


def _open_console(
    service: Service, _credentials: Mapping[str, Any], _settings: Settings, transcript: Transcript | None
) -> Channel:
    return ConsoleChannel(service, transcript=transcript)


_CONNECTIONS = Setting("connections", values.whole(1, MAX_CONNECTIONS), default=DEFAULT_CONNECTIONS)
_REPLY_TO = Setting(own_address.REPLY_TO, values.reply_to)
_BOUNCES = Setting(own_address.BOUNCE, values.bounce_address)
_UNSUBSCRIBING = Setting(own_address.UNSUBSCRIBE, values.unsubscribe_address)
_WEB_URL = Setting(WEB_URL, values.web_url)
_DKIM = Setting(dkim.SETTING, values.signed_by)

TYPES: dict[str, ChannelType] = {
    kind.name: kind
    for kind in (
        ChannelType(
            "smtp",
            "an SMTP server",
            (
                Setting("host", values.host, required=True),
                Setting("tls", values.tls, default="starttls"),
                Setting("port", values.whole(1, 65535)),
                Setting("helo_name", values.host),
                Setting("allow_plaintext_auth", values.flag),
                _CONNECTIONS,
                _REPLY_TO,
                _BOUNCES,
                _UNSUBSCRIBING,
                _WEB_URL,
                _DKIM,
                Setting(webhook_provider.SETTING, webhooks.checked_provider),
            ),
            _open_smtp,
            credentials=_smtp_credentials,
            complete=_complete_smtp,
        ),
        ChannelType(
            "jiguang",
            "the e-mail API of EngageLab / Jiguang",
            (
                Setting("api_url", values.url, default=DEFAULT_API_URL),
                _CONNECTIONS,
                _REPLY_TO,
                _UNSUBSCRIBING,
                _WEB_URL,
            ),
            _open_jiguang,
            credentials=_api_credentials,
            needs_credentials=True,
        ),
        ChannelType(
            "console",
            "dry runs: messages go to a folder, or are only named on stderr",
            (
                Setting("folder", values.folder),
                _CONNECTIONS,
                _REPLY_TO,
                _BOUNCES,
                _UNSUBSCRIBING,
                _WEB_URL,
                _DKIM,
            ),
            _open_console,
        ),
    )
}
