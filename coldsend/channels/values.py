"""Checks of what a sender service is set to: each gives a value in its stored form, or ValueError."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coldsend.channels.jiguang import DEFAULT_API_URL
from coldsend.domain import dkim, own_address, sender

PORTS_BY_TLS = {"none": 25, "starttls": 587, "implicit": 465}

_HOST = re.compile(r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.?)+")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def host(value: Any) -> str:
    text = str(value).strip()
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        pass
    try:
        ascii_form = text.encode("idna").decode() if not text.isascii() else text
    except UnicodeError:
        ascii_form = ""
    if not _HOST.fullmatch(ascii_form):
        raise ValueError(f"{text!r} is neither a host name nor an address")
    return ascii_form


def whole(minimum: int, maximum: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        number = int(value)
        if not minimum <= number <= maximum:
            raise ValueError(f"must be from {minimum} to {maximum}, not {number}")
        return number

    return check


def tls(value: Any) -> str:
    if value not in PORTS_BY_TLS:
        raise ValueError(f"must be {', '.join(PORTS_BY_TLS)}, not {value!r}")
    return str(value)


def url(value: Any) -> str:
    text = str(value).strip().rstrip("/")
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is not a URL") from error
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment or parts.username:
        raise ValueError(f"must be like {DEFAULT_API_URL}, not {text!r}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must begin with https://: the API key would travel in clear")
    return text


def web_url(value: Any) -> str:
    text = str(value).strip().rstrip("/")
    wanted = f"must be like https://link.example.com, without a path, not {text!r}"
    try:
        parts = urlsplit(text)
        name, _port = host(parts.hostname or ""), parts.port
    except ValueError as error:
        raise ValueError(wanted) from error
    if parts.scheme not in {"http", "https"} or parts.path or parts.query or parts.fragment or parts.username:
        raise ValueError(wanted)
    if parts.scheme == "http" and not is_loopback(name):
        raise ValueError("must begin with https://: mail providers take no one-click unsubscribe without it")
    return text


def folder(value: Any) -> str:
    """Absolute, because workers are started from other directories."""
    text = str(value).strip()
    if not text.isprintable() or len(text) > 1000:
        raise ValueError("must be one line of at most 1000 characters")
    return str(Path(text).expanduser().absolute())


def reply_to(value: Any) -> str:
    given = str(value)
    return own_address.checked(given) if own_address.PLACE in given else sender.parse(given).email


def bounce_address(value: Any) -> str:
    return own_address.checked(str(value))


def unsubscribe_address(value: Any) -> str:
    return own_address.checked(str(value), needs_token=True)


def flag(value: Any) -> bool:
    return bool(value)


def signed_by(value: Any) -> str:
    if value != dkim.BY_SERVER:
        raise ValueError(f"must be {dkim.BY_SERVER} (the mail server signs) or '', not {value!r}")
    return str(value)
