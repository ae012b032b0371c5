"""Which variables templates may use, and where each recipient's value comes from.

Built in: ``contact.email``, ``contact.nickname``, ``contact.tags``, ``contact.time_zone`` and
``contact.<custom field>``; ``sender.name``, ``sender.email``, ``sender.domain``; ``unsubscribe_url``,
``postal_address``, ``date``, ``year``; the functions ``tag("vip")`` and ``tag_value("city:")``. Definitions
in ``email_variables`` add names and win over built-in ones.

A value that is None, empty or blank is *missing*: printing it, or handing it to a filter other than
``default``, stops that recipient; testing it (``if``, ``==``, ``in``, ``is defined``) does not.
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from coldsend.composing.source import Variable
from coldsend.domain.message import Recipient
from coldsend.domain.states import VariableSource
from coldsend.errors import InvalidInput

Getter = Callable[[Recipient, datetime], Any]

CONTACT, SENDER = "contact", "sender"
CONTACT_COLUMNS = ("email", "nickname", "tags", "time_zone")
SYSTEM_NAMES = (
    "date",
    "year",
    "postal_address",
    "unsubscribe_url",
    "sender.name",
    "sender.email",
    "sender.domain",
)
FUNCTIONS = ("tag", "tag_value")
KEY_LIMIT = 100

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)?")
_RESERVED = {CONTACT, SENDER, "loop", "true", "false", "none", "filter", "set", "endif", "endfor", *FUNCTIONS}
_DETAILS_HINT = {
    VariableSource.CONTACT_FIELD: 'for example: --details \'{"field": "nickname"}\'',
    VariableSource.CONTACT_TAG: 'for example: --details \'{"tag": "vip"}\' or \'{"prefix": "city:"}\'',
    VariableSource.SYSTEM: f"--details '{{\"name\": ..}}' with one of: {', '.join(SYSTEM_NAMES)}",
}


class Vocabulary:
    """All names a template may use. Built once per compilation from the variables defined."""

    def __init__(self, variables: Iterable[Variable]) -> None:
        self._defined = {variable.key: variable for variable in variables}
        self.namespaces = {CONTACT, SENDER} | {key.split(".")[0] for key in self._defined if "." in key}
        self.reserved = _RESERVED | set(SYSTEM_NAMES) | set(self._defined) | self.namespaces

    def origin(self, name: str) -> Variable | None:
        """What stands behind ``name`` ("contact.company", "first_name"); None: no such variable."""
        if name in self._defined:
            return self._defined[name]
        if name in SYSTEM_NAMES:
            return Variable(name, VariableSource.SYSTEM, {"name": name})
        namespace, _, attribute = name.partition(".")
        if namespace == CONTACT and attribute:
            return Variable(name, VariableSource.CONTACT_FIELD, {"field": attribute})
        return None

    def nearest(self, name: str) -> str:
        """A hint for a name that does not exist."""
        known = [*self._defined, *SYSTEM_NAMES, *(f"{CONTACT}.{column}" for column in CONTACT_COLUMNS)]
        near = difflib.get_close_matches(name, known, n=1) or [
            f"{CONTACT}.{column}" for column in difflib.get_close_matches(name, CONTACT_COLUMNS, n=1)
        ]
        if near:
            return f"did you mean {{{{ {near[0]} }}}}?"
        return f"custom fields are written {{{{ contact.{name} }}}}; see: coldsend variable list"

    def is_system(self, name: str, system: str) -> bool:
        """Whether ``name`` stands for the system variable ``system``, under its own name or another."""
        found = self.origin(name)
        return (
            found is not None
            and found.source == VariableSource.SYSTEM
            and found.details.get("name") == system
        )


def getter(variable: Variable) -> Getter:
    """How to read a CONTACT_FIELD, CONTACT_TAG or per-recipient SYSTEM variable; None means missing."""
    details = variable.details
    if variable.source == VariableSource.CONTACT_FIELD:
        return _field_getter(details["field"])
    if variable.source == VariableSource.CONTACT_TAG:
        if "tag" in details:
            tag = details["tag"]
            return lambda recipient, _now: tag in recipient.tags
        prefix = details["prefix"]
        return lambda recipient, _now: tag_value(recipient.tags, prefix)
    if details["name"] == "year":
        return lambda recipient, now: str(local_date(recipient, now).year)
    return local_date


def _field_getter(field: str) -> Getter:
    if field == "email":
        return lambda recipient, _now: recipient.email
    if field == "nickname":
        return lambda recipient, _now: recipient.nickname
    if field == "tags":
        return lambda recipient, _now: recipient.tags or None
    if field == "time_zone":
        return lambda recipient, _now: recipient.time_zone
    return lambda recipient, _now: recipient.fields.get(field)


def local_date(recipient: Recipient, now: datetime) -> date:
    """The date where the recipient is; in UTC where that is not known."""
    try:
        zone = ZoneInfo(recipient.time_zone) if recipient.time_zone else UTC
    except (LookupError, ValueError, OSError):
        zone = UTC
    return now.astimezone(zone).date()


def tag_value(tags: Iterable[str], prefix: str) -> str | None:
    """The rest of the first tag that begins with ``prefix``."""
    return next((tag[len(prefix) :] for tag in tags if tag.startswith(prefix)), None)


def checked_key(key: str) -> str:
    """A new variable's key; InvalidInput where templates could not use it."""
    key = key.strip()
    if not _KEY.fullmatch(key) or "__" in key or len(key) > KEY_LIMIT:
        raise InvalidInput(
            f"{key!r} cannot be a variable key: letters, digits and single underscores, at most one dot, "
            f"at most {KEY_LIMIT} characters",
            hint="for example: first_name or contact.first_name",
        )
    if key in _RESERVED or key in FUNCTIONS or any(keyword.iskeyword(part) for part in key.split(".")):
        raise InvalidInput(f"{key!r} has a meaning of its own in templates", hint="choose another key")
    return key


def checked_details(source: VariableSource, details: Mapping[str, Any]) -> dict[str, str]:
    """The details of a definition; InvalidInput where they do not fit the source."""
    allowed = {
        VariableSource.CONTACT_FIELD: ({"field"},),
        VariableSource.CONTACT_TAG: ({"tag"}, {"prefix"}),
        VariableSource.SYSTEM: ({"name"},),
    }[source]
    if set(details) not in allowed or not all(isinstance(v, str) and v.strip() for v in details.values()):
        keys = " or ".join(f'"{next(iter(names))}"' for names in allowed)
        raise InvalidInput(
            f"the details of a {source} variable are a JSON object with {keys} and a text value",
            hint=_DETAILS_HINT[source],
        )
    if source == VariableSource.SYSTEM and details["name"] not in SYSTEM_NAMES:
        raise InvalidInput(
            f"there is no system variable {details['name']!r}", hint=f"one of: {', '.join(SYSTEM_NAMES)}"
        )
    return dict(details)
