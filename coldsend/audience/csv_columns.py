"""Which column of a CSV file is what: headers are matched leniently, the rest become custom fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coldsend.audience.csv_detect import folded
from coldsend.domain import address
from coldsend.domain.contact import (
    COLUMNS,
    RESERVED,
    SUSPICIOUS,
    ContactData,
    checked_column,
    checked_value,
    field_name_from,
    split_tags,
)
from coldsend.errors import InvalidInput

COLUMN_LIMIT = 1000

# Other headers people write, folded. A column with the exact name wins over these.
_ALIASES: dict[str, frozenset[str]] = {
    "email": frozenset(
        {
            "email",
            "mail",
            "emailaddress",
            "mailaddress",
            "emailaddr",
            "emailadresse",
            "mailadresse",
            "correo",
            "correoelectronico",
            "correoelectrónico",
            "courriel",
            "adressemail",
            "почта",
            "электроннаяпочта",
            "邮箱",
            "電子郵件",
            "电子邮件",
            "电子邮箱",
            "邮箱地址",
            "メール",
            "メールアドレス",
            "אימייל",
        }
    ),
    "nickname": frozenset({"nickname", "nick", "昵称"}),
    "tags": frozenset({"tags", "tag", "标签"}),
    "time_zone": frozenset({"timezone", "tz", "时区"}),
    "source": frozenset({"source"}),
    "lawful_basis": frozenset({"lawfulbasis"}),
}
EMAIL_HEADERS = _ALIASES["email"]

IGNORED = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row to find what. ``fields``: (place, name) of custom fields; ``others``: built-in ones."""

    width: int
    email: int
    tags: int | None = None
    others: tuple[tuple[int, str], ...] = ()
    fields: tuple[tuple[int, str], ...] = ()
    ignored: tuple[str, ...] = field(default=())

    def read(self, cells: Sequence[str]) -> ContactData:
        """A row as a contact; InvalidInput where any cell that is used cannot be stored."""
        if len(cells) != self.width:
            raise InvalidInput(f"the row has {len(cells)} cells, the header has {self.width}")
        suspicious = SUSPICIOUS.search("".join(cells)) is not None
        email = cells[self.email]
        data = ContactData(address.parse(checked_value(email, "email") if suspicious else email.strip()))
        for place, name in self.others:
            if text := checked_column(name, cells[place], suspicious=suspicious):
                setattr(data, name, text)
        for place, name in self.fields:
            if text := checked_value(cells[place], name, suspicious=suspicious):
                data.fields[name] = text
        if self.tags is not None and cells[self.tags]:
            text = cells[self.tags]
            data.tags = split_tags(checked_value(text, "tags", len(text)) if suspicious else text)
        return data


def columns(header: Sequence[str], mapping: Mapping[str, str]) -> Columns:
    """Understand a header row. mapping: header -> field, as told by the operator; "" leaves a column out.

    InvalidInput where no column is the address, or two would be the same field.
    """
    if len(header) > COLUMN_LIMIT:
        raise InvalidInput(f"the header has {len(header)} columns, {COLUMN_LIMIT} are allowed")
    names = _told(header, mapping)
    for name, aliases in _ALIASES.items():
        _claim(header, names, name, aliases)
    for place, text in enumerate(header):
        if place not in names:
            names[place] = field_name_from(text)
    _check(header, names)
    places = {name: place for place, name in names.items()}
    return Columns(
        width=len(header),
        email=places["email"],
        tags=places.get("tags"),
        others=tuple((places[name], name) for name in COLUMNS if name in places),
        fields=tuple((place, name) for place, name in sorted(names.items()) if name and name not in RESERVED),
        ignored=tuple(header[place].strip() for place, name in sorted(names.items()) if name == IGNORED),
    )


def _told(header: Sequence[str], mapping: Mapping[str, str]) -> dict[int, str]:
    names: dict[int, str] = {}
    for column, name in mapping.items():
        places = [place for place, text in enumerate(header) if text.strip() == column.strip()]
        places = places or [place for place, text in enumerate(header) if folded(text) == folded(column)]
        if len(places) != 1:
            what = "is no column" if not places else "is the header of several columns"
            raise InvalidInput(f"--map: {column!r} {what} of the file", hint=_listed(header))
        if name != IGNORED and name not in RESERVED and field_name_from(name) != name:
            raise InvalidInput(
                f"--map: {name!r} cannot be the name of a field",
                hint=f"for example: --map '{column}={field_name_from(name) or 'first_name'}'",
            )
        names[places[0]] = name
    return names


def _claim(header: Sequence[str], names: dict[int, str], name: str, aliases: frozenset[str]) -> None:
    """Find the column for a built-in ``name`` among those that nobody told about."""
    if name in names.values():
        return
    free = [(place, text) for place, text in enumerate(header) if place not in names]
    exact = [place for place, text in free if text.strip().lower() == name]
    alike = exact or [place for place, text in free if folded(text) in aliases]
    if len(alike) > 1:
        shown = " and ".join(repr(header[place].strip()) for place in alike)
        raise InvalidInput(
            f"the columns {shown} could both be the {name}",
            hint=f"say which: --map '{header[alike[0]].strip()}={name}', and leave the other out: "
            f"--map '{header[alike[1]].strip()}='",
        )
    if alike:
        names[alike[0]] = name


def _check(header: Sequence[str], names: Mapping[int, str]) -> None:
    if "email" not in names.values():
        if any(_is_address(text) for text in header):
            raise InvalidInput(
                "the first line is a contact, not a header",
                hint="put a line with the names of the columns on top, such as: email,nickname,company",
            )
        raise InvalidInput(
            "no column of the header is the e-mail address",
            hint=f"say which: --map 'COLUMN=email'; {_listed(header)}",
        )
    seen: dict[str, int] = {}
    for place, name in names.items():
        if name != IGNORED and name in seen:
            first, second = header[seen[name]].strip(), header[place].strip()
            raise InvalidInput(
                f"the columns {first!r} and {second!r} would both be the field {name!r}",
                hint=f"give one another name or leave it out: --map '{second}='",
            )
        seen[name] = place


def _is_address(text: str) -> bool:
    try:
        address.parse(text.strip())
    except InvalidInput:
        return False
    return True


def _listed(header: Sequence[str]) -> str:
    shown = ", ".join(repr(text.strip()[:40]) for text in header[:20])
    return f"its columns are: {shown}" + (" .." if len(header) > 20 else "")
