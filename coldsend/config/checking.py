"""What must hold of single values beyond type and limits, and paths made absolute.

ValueErrors here never quote a value that may hold a password.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coldsend.config import hosts
from coldsend.config.settings import Key
from coldsend.domain import alert_targets

DATABASE_EXAMPLES = "sqlite:///coldsend.db or mysql://user:password@localhost:3306/coldsend"
SQLITE = "sqlite:///"
LEAST_KEPT_DAYS = 30

# Read again by whoever uses them: what these make of a text is thrown away here.
ALERT_TARGETS: dict[str, Callable[[str], object]] = {
    "alerts.kinds": alert_targets.kinds,
    "alerts.email": alert_targets.addresses,
    "alerts.email_from": alert_targets.addresses,
    "alerts.webhooks": alert_targets.webhooks,
    "alerts.webhook_secret": alert_targets.secrets,
    "alerts.chat": alert_targets.chats,
}


def check(key: Key, value: Any) -> None:
    """ValueError where the value of this key makes no sense."""
    if key.path == "database.url":
        _check_database_url(value)
    elif key.path == "web.base_url" and value:
        _check_base_url(value)
    elif key.path == "dkim.dns_servers":
        name_servers(value)
    elif key.path in {"web.trusted_proxies", "web.own_networks"}:
        networks(value)
    elif key.path in ALERT_TARGETS:
        ALERT_TARGETS[key.path](value)
    elif (
        key.path in {"retention.events_days", "retention.messages_days", "retention.audit_days"}
        and 0 < value < LEAST_KEPT_DAYS
    ):
        # What came back is told more than once: by then it must still be known.
        raise ValueError(f"must be 0 or at least {LEAST_KEPT_DAYS}, not {value}")


def name_servers(text: str) -> list[tuple[str, int]]:
    """Addresses and ports in ``9.9.9.9, 127.0.0.1:5353, [::1]:53``; ValueError where one is neither."""
    found = []
    for given in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append((str(ipaddress.ip_address(given)), 53))
            continue
        except ValueError:
            host, _, port = given.rpartition(":")
        try:
            number = int(port)
            found.append((str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), number))
        except ValueError:
            number = 0
        if not 0 < number < 65536:
            raise ValueError(f"must be addresses such as 9.9.9.9 or 127.0.0.1:5353, not {given!r}")
    return found


def networks(text: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Networks in ``127.0.0.1, 10.0.0.0/8, fd00::/8``; ValueError where one is none."""
    found = []
    for given in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ipaddress.ip_network(given))
        except ValueError:
            raise ValueError(
                f"must be addresses or networks such as 127.0.0.1, 10.0.0.0/8, not {given!r}"
            ) from None
    return found


def absolute(key: Key, value: Any, base: Path) -> Any:
    """``value`` with a relative path in it resolved against ``base``; ValueError for an unknown ``~user``."""
    if key.path == "database.url" and value.startswith(SQLITE):
        # What begins the options of a URL, or an escape, may stand in a folder's name, too.
        folder = Path(str(base).replace("%", "%25").replace("?", "%3F"))
        return SQLITE + str(_below(folder, value.removeprefix(SQLITE)))
    if key.path in ("smtp.ca_file", "inbox.ca_file") and value:
        return str(_below(base, value))
    if isinstance(value, Path):
        return _below(base, str(value))
    return value


def _below(base: Path, path: str) -> Path:
    try:
        return base / Path(path).expanduser()
    except RuntimeError:
        raise ValueError("the home directory it begins with (~) is not known") from None


def _check_database_url(url: str) -> None:
    try:
        parts = urlsplit(hosts.split(url)[0])
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"cannot be read; it is like {DATABASE_EXAMPLES}") from None
    if url.startswith("sqlite:"):
        if not url.startswith(SQLITE) or url.removeprefix(SQLITE) in {"", ":memory:"}:
            raise ValueError(f"needs a file, three slashes before it: {SQLITE}coldsend.db")
        return
    if parts.scheme.partition("+")[0] not in {"mysql", "mariadb"}:
        raise ValueError(f"must be like {DATABASE_EXAMPLES}")
    name = parts.path.removeprefix("/")
    # A password with / # or ? in the clear cuts the URL in two, and a half would be shown as host or name.
    cut = set(name) & set("/@") or parts.fragment or "@" in parts.query
    if cut or not name or not (host or "unix_socket=" in parts.query):
        raise ValueError(
            f"must be like {DATABASE_EXAMPLES}; special characters in a password are written as %2F, %40 .."
        )


def _check_base_url(url: str) -> None:
    wanted = f"must be like https://mail.example.com, not {url!r}"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(wanted) from None
    if parts.scheme not in {"http", "https"} or not host or " " in url:
        raise ValueError(wanted)
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must end with the host or a path: no ?query, #fragment or user")
