"""``[services.NAME]``: what mail goes out through.

Passwords and tokens never stand in a file: it names the environment variable they are in, or says ``login =
true``, and they are given later. A service without what it logs in with is frozen until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from shlex import quote
from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend.blueprint.keys import Key, flag, number, text, whole
from coldsend.blueprint.kind import Entry, Kind, Names, Portrait, Settled, Stage
from coldsend.channels import enrolment, pace_options, registry
from coldsend.channels.enrolment import Form
from coldsend.channels.registry import Login
from coldsend.config.secrets import service_owner
from coldsend.domain import sender
from coldsend.domain.access import require_admin, require_granted
from coldsend.domain.finding import Finding
from coldsend.domain.sender import Sender
from coldsend.domain.states import FreezeCode
from coldsend.errors import InvalidInput, NotFound, WrongState
from coldsend.stores import access, services
from coldsend.stores.lookup import checked_name


def _column(field: str, before: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Reads what one field of the form makes of a value, with the checks of `service add`."""

    def read(given: Any) -> Any:
        values, problems = enrolment.columns(Form(**{field: before(given)}))
        if problems:
            raise InvalidInput(problems[0].partition(": ")[2])
        if field == "sender":
            return Sender(values["from_name"], values["from_email"])
        return next(iter(values.values()))

    return read


def _from_text(found: Sender) -> str:
    """The sender as :func:`sender.parse` reads it, its name in quotes where it has some itself."""
    plain = str(found)
    if found.name is None or sender.parse(plain) == found:
        return plain
    return '"' + found.name.replace("\\", "\\\\").replace('"', '\\"') + f'" <{found.email}>'


def _type(given: Any) -> str:
    return registry.channel_type(text(given)).name


def _ramp(given: Any) -> str:
    """``{ start = 20, step = 10 }`` as an operator types it."""
    table = isinstance(given, Mapping) and set(given) == {"start", "step"}
    if not table or not 1 <= whole(given["start"]) < 10**9 or not 0 <= whole(given["step"]) < 10**9:
        raise ValueError(f"must be a table such as {{ start = 20, step = 10 }}, start from 1, not {given!r}")
    return pace_options.ramp_text(given)


def _as_text(read: Callable[[Any], Any]) -> Callable[[Any], str]:
    return lambda given: str(read(given))


# Key -> column; fields of the form have the names of the keys.
COLUMNS = {
    "daily_quota": "daily_quota",
    "throttle_sec": "throttle_sec",
    "time_zone": "time_zone",
    "ramp": "ramp",
    "hourly_quota": "hourly_quota",
    "domain_quota": "domain_quota",
    "jitter_sec": "jitter_sec",
    "spread_hours": "spread_hours",
    "max_errors": "max_consecutive_errors",
}
AS_TYPED = ("throttle_sec", "hourly_quota", "domain_quota", "jitter_sec", "spread_hours")


# What each type's settings mean; what is missing here fails when the module is imported.
SETTINGS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "host": ("text", text, "smtp: the mail server"),
    "port": ("whole number", whole, "smtp: left out, it follows from `tls`: 25, 587 or 465"),
    "tls": ("text", text, "smtp: `none`, `starttls` or `implicit`"),
    "helo_name": ("text", text, "smtp: name given in EHLO"),
    "allow_plaintext_auth": ("true or false", flag, "smtp: log in over an unencrypted connection"),
    "api_url": ("text", text, "jiguang: base URL of the data centre"),
    "folder": ("text", text, "console: folder that messages are written to, relative to this file"),
    "connections": ("whole number", whole, "connections a worker may open"),
    "reply_to": ("text", text, "where answers go; may hold `{token}`"),
    "bounce_address": ("text", text, "where bounces go (MAIL FROM); may hold `{token}`"),
    "unsubscribe_address": ("text", text, "where people unsubscribe by mail; holds `{token}`"),
    "web_url": ("text", text, "where links of its messages lead, instead of `[web] base_url`"),
    "dkim": ("text", text, "`server`: the mail server signs"),
    "webhook": ("text", text, "smtp: whose webhooks tell of its mail: `sendgrid`, `ses`, `engagelab`"),
}


def _settings() -> Iterator[Key]:
    checks = {setting.name: setting for kind in registry.TYPES.values() for setting in kind.settings}
    for name, setting in checks.items():
        shape, before, about = SETTINGS[name]

        def read(given: Any, before: Any = before, check: Any = setting.check) -> Any:
            return check(before(given))

        # What has a default, or follows from others, is never without a value.
        clears = (
            not setting.required and setting.default is None and name not in ("port", "allow_plaintext_auth")
        )
        yield Key(name, shape, about, read, clears=clears, path=name == "folder")


class Services(Kind):
    noun = "service"
    section = "services"
    keys = (
        Key("type", "text", "`smtp`, `jiguang` or `console`; stays as it is", _type, required=True),
        Key(
            "from",
            "text",
            "who the mail is from: `Name <address>`",
            _column("sender", text),
            required=True,
            write=_from_text,
        ),
        Key(
            "daily_quota",
            "whole number",
            "messages a day at most; 0: nothing is sent",
            _column("daily_quota", whole),
            required=True,
        ),
        Key(
            "throttle_sec",
            "number",
            "seconds between two messages at least; a new service has 1",
            _column("throttle_sec", _as_text(number)),
        ),
        Key("time_zone", "text", "of its quota day; an IANA name", _column("time_zone", text)),
        Key(
            "ramp",
            "table",
            "of a new service: `{ start = 20, step = 10 }` sends 20 on the first day, 10 more on each other, "
            "until daily_quota is reached",
            _column("ramp", _ramp),
            clears=True,
        ),
        Key(
            "hourly_quota",
            "whole number",
            "messages an hour at most",
            _column("hourly_quota", _as_text(whole)),
            clears=True,
        ),
        Key(
            "domain_quota",
            "whole number",
            "messages a day to one recipient domain at most",
            _column("domain_quota", _as_text(whole)),
            clears=True,
        ),
        Key(
            "jitter_sec",
            "number",
            "up to so many seconds more between two messages, by chance",
            _column("jitter_sec", _as_text(number)),
        ),
        Key(
            "spread_hours",
            "number",
            "a day's messages go out over so many hours",
            _column("spread_hours", _as_text(number)),
            clears=True,
        ),
        Key("max_errors", "whole number", "failures in a row that freeze it", _column("max_errors", whole)),
        *_settings(),
        Key(
            "login",
            "true or false",
            "whether it logs in. `true` without a name and a password: it is frozen until they are set with "
            "`service update`. `false` takes a login away",
            flag,
        ),
        Key("username", "text", "who logs in; an export leaves it out", text, listed=False),
        Key(
            "password_env",
            "text",
            "the environment variable the password (jiguang: the API key) is in; where it is not set, a "
            "password that is stored stays",
            text,
            listed=False,
        ),
        Key(
            "token_env",
            "text",
            "smtp: the same for an OAuth2 token, instead of a password",
            text,
            listed=False,
        ),
    )

    def checked_name(self, name: str) -> str:
        return checked_name(name, self.noun)

    def problems(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        given = [target for target in ("username", "password_env", "token_env") if target in values]
        if values.get("login") is False and given:
            yield "login", f"is false, but there is {' and '.join(given)}"
        if "password_env" in values and "token_env" in values:
            yield "token_env", "give a password or a token, not both"

    def missing(self, values: Mapping[str, Any]) -> list[str]:
        kind = registry.TYPES.get(values.get("type", ""))
        settings = kind.settings if kind else ()
        wanted = [
            setting.name for setting in settings if setting.required and values.get(setting.name) is None
        ]
        return [*super().missing(values), *wanted]

    def find(self, stage: Stage, names: Names) -> RowMapping | None:
        try:
            row = services.find(stage.connection, names[0])
        except NotFound:
            return None
        mine = access.granted(stage.connection, stage.actor.id)
        require_granted(stage.actor, mine, row["id"], row["name"])
        return row

    def portrait(self, stage: Stage, row: RowMapping) -> Portrait:
        stored = {target: row[column] for target, column in COLUMNS.items()}
        ramp = row["ramp"] and {name: row["ramp"][name] for name in ("start", "step")}
        return {
            "type": row["type"],
            "from": Sender(row["from_name"], row["from_email"]),
            **stored,
            "ramp": ramp,
            **(row["settings"] or {}),
            "login": _logs_in(row),
        }

    def all(self, stage: Stage) -> list[tuple[Names, RowMapping]]:
        mine = access.granted(stage.connection, stage.actor.id)
        rows = services.listed(stage.connection)
        seen = [row for row in rows if stage.actor.is_admin or row["id"] in mine]
        return [((row["name"],), row) for row in sorted(seen, key=lambda row: str(row["name"]))]

    def remarks(self, stage: Stage, row: RowMapping, entry: Entry) -> Iterator[Finding]:
        for target in ("password_env", "token_env"):
            variable = entry.values.get(target)
            if variable and not stage.environ.get(variable):
                message = f"{variable} is not set: its login stays as it is"
                yield Finding("warning", f"service {entry.name!r}", message, f"set it, or leave {target} out")

    def differing(self, stage: Stage, row: RowMapping, entry: Entry) -> Portrait:
        values = super().differing(stage, row, entry)
        for target in ("username", "password_env", "token_env"):
            values.pop(target, None)
        if "login" in values and entry.values.keys() & {"password_env", "token_env"}:
            values.pop("login")
        login = _new_login(stage, row, entry)
        return {**values, "credentials": login} if login is not None else values

    def create(self, stage: Stage, entry: Entry) -> Settled:
        require_admin(stage.actor, "add sender services")
        values = entry.values
        login = _given_login(stage, entry)
        has_secret = login.password is not None or login.token is not None
        awaits = not has_secret and bool(values.get("login") or values.get("username"))
        form = _form(values, Login() if awaits else login, awaits=awaits)
        enrolment.add(stage.connection, entry.names[0], values["type"], form, stage.keys(), stage.now)
        if not awaits:
            return Settled()
        variables = [values[target] for target in ("password_env", "token_env") if target in values]
        unset = f"{variables[0]} is not set here: " if variables else ""
        way_out = f"coldsend service update {quote(entry.name)} --username USER --password-stdin"
        return Settled(notes=(f"{unset}frozen until its login is set: {way_out}",))

    def change(self, stage: Stage, row: RowMapping, entry: Entry, values: Portrait) -> Settled:
        require_admin(stage.actor, "change sender services")
        if "type" in values:
            raise WrongState(
                f"a service of type {row['type']} cannot become one of type {values['type']}",
                hint="describe another service under another name",
            )
        if values.get("login") is True:
            raise WrongState(
                "it has no login, and none is given here",
                hint=f"set it: coldsend service update {quote(entry.name)} --username USER --password-stdin",
            )
        login = values.pop("credentials", Login())
        if values.pop("login", None) is False:
            login = Login(username="")
        _id, thawed = enrolment.change(
            stage.connection, row["name"], _form(values, login, awaits=False), stage.keys(), stage.now
        )
        fields = {"credentials": ("as before", "new")} if login.password or login.token else {}
        return Settled(notes=("thawed by its new login",) if thawed else (), fields=fields)


def _logs_in(row: RowMapping) -> bool:
    awaits = row["frozen_code"] == FreezeCode.CREDENTIALS
    return row["credentials"] is not None or awaits


def _form(values: Mapping[str, Any], login: Login, *, awaits: bool) -> Form:
    """The form of `service add` and `service update` for what a file gives."""
    settings = {name: "" if values[name] is None else values[name] for name in SETTINGS if name in values}
    stored = {target: values[target] for target in COLUMNS if target in values}
    for target in AS_TYPED:
        if target in stored:
            stored[target] = "" if stored[target] is None else str(stored[target])
    if "ramp" in stored:
        stored["ramp"] = pace_options.ramp_text(stored["ramp"])
    given = _from_text(values["from"]) if "from" in values else None
    return Form(sender=given, **stored, settings=settings, login=login, awaits_login=awaits)


def _given_login(stage: Stage, entry: Entry) -> Login:
    """What the file and the environment give to log in with; a variable that is not set gives nothing."""
    values = entry.values
    password = stage.environ.get(values.get("password_env", "")) or None
    token = stage.environ.get(values.get("token_env", "")) or None
    return Login(values.get("username"), password, token)


def _new_login(stage: Stage, row: RowMapping, entry: Entry) -> Login | None:
    """The login to be stored, None where it is the stored one or nothing is given; NotAllowed for operators,
    whom this would tell what is stored."""
    given = _given_login(stage, entry)
    if given.password is None and given.token is None and given.username is None:
        return None
    require_admin(stage.actor, "give a service its login")
    if row["credentials"] is None:
        still_waits = _logs_in(row) and given.password is None and given.token is None
        return None if still_waits else given
    known = stage.keys().open(row["credentials"], service_owner(row["id"]))
    stored = Login(
        known.get("username") or known.get("api_user"),
        known.get("password") or known.get("api_key"),
        known.get("token"),
    )
    same = all(
        getattr(given, name) in (None, getattr(stored, name)) for name in ("username", "password", "token")
    )
    return None if same else given
