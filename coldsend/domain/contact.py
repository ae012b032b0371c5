"""What may be known about a contact, in which form, and how new knowledge joins the old.

A contact has built-in columns (nickname, tags, time_zone, source, lawful_basis) and custom fields: text
under lower-case names that templates can use (``first_name``). No value holds a line break or another
control character, neither openly nor inside an encoded-word (RFC 2047): values reach message headers.
Values are stored stripped; tags are separated by commas wherever several stand in one text.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any
from zoneinfo import available_timezones

from coldsend.domain.address import Address
from coldsend.domain.printable import require_plain
from coldsend.errors import InvalidInput

NICKNAME_LIMIT = 255
VALUE_LIMIT = 1000
TAG_LIMIT = 100
TAGS_LIMIT = 100  # in one text
FIELD_NAME_LIMIT = 64
SOURCE_LIMIT = 255
LAWFUL_BASIS_LIMIT = 50

COLUMNS = ("nickname", "time_zone", "source", "lawful_basis")  # built-in, text
RESERVED = frozenset({"email", "tags", *COLUMNS})
_LIMITS = {"nickname": NICKNAME_LIMIT, "source": SOURCE_LIMIT, "lawful_basis": LAWFUL_BASIS_LIMIT}

_CONTROL_CLASS = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffd"
_CONTROL = re.compile(f"[{_CONTROL_CLASS}]")
_ENCODED_WORD = re.compile(r"=\?([^?]*)\?([^?]*)\?(.*?)\?=", re.DOTALL)

# What must be looked at closely before it may be stored; everything else is plain text.
SUSPICIOUS = re.compile(f"[{_CONTROL_CLASS}]|=\\?")

_SPACES = " \t\u00a0\u3000"


@dataclass(slots=True)
class ContactData:
    """What is given about one contact; None and empty mean: nothing given, what is known stays."""

    address: Address
    nickname: str | None = None
    tags: tuple[str, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    time_zone: str | None = None
    source: str | None = None
    lawful_basis: str | None = None


def merged(known: Mapping[str, Any], given: ContactData) -> dict[str, Any]:
    """The columns of a contact's row that ``given`` changes, with their new values.

    Tags are added, fields and columns that are given win. A removed contact comes back as it was.
    """
    changes: dict[str, Any] = {}
    for column in COLUMNS:
        value = getattr(given, column)
        if value and value != known[column]:
            changes[column] = value
    tags = known["tags"] or []
    added = [tag for tag in given.tags if tag not in tags]
    if added:
        changes["tags"] = [*tags, *added]
    fields = known["fields"] or {}
    if any(fields.get(name) != value for name, value in given.fields.items()):
        changes["fields"] = {**fields, **given.fields}
    if known["deleted_at"] is not None:
        changes["deleted_at"] = None
    return changes


def checked_value(text: str, what: str, limit: int = VALUE_LIMIT, *, suspicious: bool = True) -> str:
    """A value, stripped; InvalidInput where it is too long or could break a header.

    what: the name of the field, for the message. suspicious: False where the caller has found no
    :data:`SUSPICIOUS` in it already.
    """
    if suspicious:
        text = text.strip(_SPACES)
        _refuse_control_characters(text, what)
    text = text.strip()
    if len(text) > limit:
        raise InvalidInput(f"{what} has {len(text)} characters, {limit} are allowed")
    return text


def checked_column(column: str, text: str, *, suspicious: bool = True) -> str:
    """A value of a built-in text column, as it is stored; "" where nothing is given."""
    if column == "time_zone":
        return checked_time_zone(text)
    return checked_value(text, column, _LIMITS[column], suspicious=suspicious)


def _refuse_control_characters(text: str, what: str) -> None:
    found = _CONTROL.search(text)
    if found:
        character = found.group()
        is_byte = "\udc80" <= character <= "\udcff"
        hint = "if the file is in another encoding, name it: --encoding cp1252" if is_byte else ""
        raise InvalidInput(f"{what} has {_named(character)} in it", hint=hint)
    for charset, encoding, payload in _ENCODED_WORD.findall(text):
        decoded = _decoded_word(charset, encoding, payload)
        if decoded is None or _CONTROL.search(decoded):
            raise InvalidInput(f"{what} has an encoded-word in it that hides a line break or cannot be read")


def _named(character: str) -> str:
    names = {"\n": "a line break", "\r": "a carriage return", "\x00": "a NUL byte", "\t": "a tab"}
    if "\udc80" <= character <= "\udcff":
        return f"the byte 0x{ord(character) - 0xDC00:02x}, which is not UTF-8,"
    if character == "\ufffd":
        return "a character that was lost when its text was decoded"
    return names.get(character, f"a control character (U+{ord(character):04X})")


def _decoded_word(charset: str, encoding: str, payload: str) -> str | None:
    """The text of an encoded-word; None where a mail program would have to guess."""
    try:
        if encoding.lower() == "b":
            data = base64.b64decode(payload + "=" * (-len(payload) % 4), validate=False)
        elif encoding.lower() == "q":
            data = quopri.decodestring(payload.encode(), header=True)
        else:
            return None
        text, _ = codecs.lookup(charset.partition("*")[0]).decode(data, "strict")
    except (LookupError, ValueError, binascii.Error):
        return None
    return text if isinstance(text, str) else None


def checked_tag(text: str) -> str:
    """A tag as it is stored; InvalidInput where it is empty, too long, or holds a comma."""
    tag = unicodedata.normalize("NFC", text.strip())
    if not tag:
        raise InvalidInput("a tag needs at least one character")
    if len(tag) > TAG_LIMIT:
        raise InvalidInput(f"the tag {tag[:20] + '..'!r} has {len(tag)} characters, {TAG_LIMIT} are allowed")
    if "," in tag:
        raise InvalidInput(
            f"the tag {tag!r} has a comma in it", hint="commas separate tags: give them one by one"
        )
    require_plain(tag, f"the tag {tag!r}")
    return tag


def checked_tags(texts: Iterable[str]) -> tuple[str, ...]:
    """Tags without repetitions, in the order given."""
    return tuple(dict.fromkeys(checked_tag(text) for text in texts))


def split_tags(text: str) -> tuple[str, ...]:
    """The tags in one text, separated by commas."""
    return _split_tags(text) if len(text) <= TAG_LIMIT else _split_tags.__wrapped__(text)


@lru_cache(maxsize=4096)
def _split_tags(text: str) -> tuple[str, ...]:
    parts = [part for part in text.split(",") if part.strip()]
    if len(parts) > TAGS_LIMIT:
        raise InvalidInput(f"there are {len(parts)} tags, {TAGS_LIMIT} are allowed")
    return checked_tags(parts)


def checked_field_name(text: str) -> str:
    """The name of a custom field; InvalidInput with the nearest possible name where it is not one."""
    name = text.strip()
    if name in RESERVED:
        option = "tag" if name == "tags" else name.replace("_", "-")
        raise InvalidInput(f"{name!r} is built in and no custom field", hint=f"use --{option}")
    fitting = field_name_from(name)
    if not name or name != fitting:
        raise InvalidInput(
            f"{name[:80]!r} cannot be the name of a field: lower-case letters, digits and underscores, "
            f"a letter first, at most {FIELD_NAME_LIMIT}",
            hint=f"for example: {fitting or 'first_name'}",
        )
    return name


def field_name_from(header: str) -> str:
    """A field name made of a column's header ("First name" -> "first_name"); "" where nothing is left."""
    folded = unicodedata.normalize("NFKC", header).lower()
    name = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", folded)).strip("_")
    name = re.sub(r"_{2,}", "_", name)
    if name and not name[0].isalpha():
        name = f"field_{name}"
    name = name[:FIELD_NAME_LIMIT].rstrip("_")
    return name if name.isidentifier() else ""


@lru_cache(maxsize=1024)
def checked_time_zone(text: str) -> str:
    """An IANA time zone name, or "" for none; InvalidInput names the nearest."""
    name = text.strip()
    if not name or name in _time_zones():
        return name
    near = _time_zone_forms().get(name[:60].casefold().replace(" ", "_"), "Europe/Berlin")
    raise InvalidInput(f"{name[:60]!r} is not a time zone", hint=f"for example: {near}")


@cache
def _time_zone_forms() -> dict[str, str]:
    """Time zones by what people write instead: in other case, or only the city."""
    zones = sorted(_time_zones())
    cities = {zone.rpartition("/")[2].casefold(): zone for zone in zones}
    return cities | {zone.casefold(): zone for zone in zones}


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
