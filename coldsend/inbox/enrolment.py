"""Adding, changing and removing mailboxes: everything is checked first, and reported at once.

Nothing here shows a credential: problems name options, not what was given for them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coldsend.channels import registry
from coldsend.config.secrets import KeyRing, mailbox_owner
from coldsend.database.engine import Connection
from coldsend.errors import InvalidInput
from coldsend.stores import mailboxes, services
from coldsend.stores.lookup import checked_name

PORTS = {"implicit": 993, "starttls": 143, "none": 143}
INBOX = "INBOX"
FOLDER_LIMIT = 500

# Where one of these changes, what was read so far was read elsewhere.
_PLACE = ("host", "username", "folder")


@dataclass(frozen=True, slots=True)
class Form:
    """What an operator said about a mailbox; None: nothing. service: its name or id; "": of none.

    password and token_command exclude each other; the command prints an OAuth 2 access token.
    """

    host: str | None = None
    port: int | None = None
    tls: str | None = None
    username: str | None = None
    folder: str | None = None
    allow_plaintext_auth: bool | None = None
    service: str | None = None
    enabled: bool | None = None
    password: str | None = field(default=None, repr=False)
    token_command: str | None = field(default=None, repr=False)

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "port": self.port,
            "tls": self.tls,
            "username": self.username,
            "folder": self.folder,
            "allow_plaintext_auth": self.allow_plaintext_auth,
        }


def add(connection: Connection, name: str, form: Form, keys: KeyRing, now: datetime) -> int:
    """Add a mailbox; InvalidInput with all that is wrong, Refused where the name is taken. Returns its id."""
    name = checked_name(name, "mailbox")
    settings, problems = _checked(form.settings)
    problems += _secret_problems(form)
    if form.password is None and form.token_command is None:
        problems.append(
            "the password is missing: --password-stdin, --password-env VARIABLE or --token-command COMMAND"
        )
    _raise(f"mailbox {name!r} cannot be added", "add", problems)
    values = {
        "name": name,
        "settings": settings,
        "sender_service_id": _service(connection, form.service),
        "enabled": form.enabled is not False,
    }
    mailbox_id = mailboxes.add(connection, values, now)
    sealed = keys.seal(_secret(form, settings["username"]), mailbox_owner(mailbox_id))
    mailboxes.change(connection, mailbox_id, {"credentials": sealed}, now)
    return mailbox_id


def change(connection: Connection, given: str, form: Form, keys: KeyRing, now: datetime) -> int:
    """Change what ``form`` says of a mailbox, and try it again from now on. Returns its id.

    InvalidInput with all that is wrong. Another host, user or folder is read from its beginning again.
    """
    row = mailboxes.find(connection, given)
    mailbox_id, before = int(row["id"]), row["settings"] or {}
    settings, problems = _checked(_merged(before, form.settings))
    problems += _secret_problems(form)
    _raise(f"mailbox {row['name']!r} cannot be changed so", "update", problems)
    values: dict[str, Any] = {"settings": settings, **mailboxes.WELL}
    if any(settings[name] != before.get(name) for name in _PLACE):
        values |= mailboxes.UNREAD
    if form.service is not None:
        values["sender_service_id"] = _service(connection, form.service)
    if form.enabled is not None:
        values["enabled"] = form.enabled
    owner = mailbox_owner(mailbox_id)
    if form.password is not None or form.token_command is not None:
        values["credentials"] = keys.seal(_secret(form, settings["username"]), owner)
    elif settings["username"] != before.get("username") and row["credentials"]:
        known = keys.open(row["credentials"], owner)
        values["credentials"] = keys.seal({**known, "username": settings["username"]}, owner)
    mailboxes.change(connection, mailbox_id, values, now)
    return mailbox_id


def _merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they would be. A port that follows from tls goes on following it."""
    merged = {**before, **{name: value for name, value in changes.items() if value is not None}}
    follows = before.get("port") == PORTS.get(before.get("tls", ""))
    if changes.get("tls") is not None and changes.get("port") is None and follows:
        merged["port"] = None
    return merged


def _checked(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Settings in their stored form, and everything that is wrong with them."""
    tls = given.get("tls") or "implicit"
    network = {
        "host": given.get("host"),
        "port": PORTS.get(tls) if given.get("port") is None else given["port"],
        "tls": tls,
        "allow_plaintext_auth": given.get("allow_plaintext_auth"),
    }
    # Host, port and encryption are what they are for SMTP.
    stored, problems = registry.checked("smtp", network, has_credentials=True)
    settings = {name: stored[name] for name in network if name in stored}
    for name, default in (("username", ""), ("folder", INBOX)):
        text = str(given.get(name) or default).strip()
        if not text:
            problems.append(f"--{name} is missing")
        elif not text.isprintable() or len(text) > FOLDER_LIMIT:
            problems.append(f"--{name} must be one line of at most {FOLDER_LIMIT} characters")
        settings[name] = text
    return settings, problems


def _secret_problems(form: Form) -> list[str]:
    problems = []
    if form.password is not None and form.token_command is not None:
        problems.append("give a password or --token-command, not both")
    if form.password is not None and not form.password.isprintable():
        problems.append("the password has a control character in it")
    if form.token_command is not None:
        try:
            words = shlex.split(form.token_command)
        except ValueError as error:
            problems.append(f"--token-command: {str(error).lower()}")
        else:
            if not words:
                problems.append("--token-command is empty")
    return problems


def _secret(form: Form, username: str) -> dict[str, str]:
    """What is encrypted. The command is, too: nobody who can write the database can have it replaced."""
    if form.token_command is not None:
        return {"username": username, "token_command": form.token_command}
    return {"username": username, "password": form.password or ""}


def _service(connection: Connection, given: str | None) -> int | None:
    return int(services.find(connection, given)["id"]) if given else None


def remove(connection: Connection, given: str) -> tuple[int, str]:
    """Delete a mailbox with its credentials; the messages found in it stay. Returns its id and name."""
    row = mailboxes.find(connection, given)
    mailboxes.remove(connection, row["id"])
    return int(row["id"]), str(row["name"])


def _raise(what: str, verb: str, problems: list[str]) -> None:
    hint = f"see: coldsend mailbox {verb} --help"
    if len(problems) == 1:
        raise InvalidInput(f"{what}: {problems[0]}", hint=hint)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise InvalidInput(f"{what}, for {len(problems)} reasons:\n{lines}", hint=hint)
