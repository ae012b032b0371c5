"""Adding, changing and removing sender services: everything is checked first, and reported at once.

Credentials are sealed for the row they stand in, so a new row is inserted before they are; both happen in
one transaction. Nothing here shows a credential: problems name options, not what was given for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from coldsend.channels import pace_options, registry, webhooks
from coldsend.channels.registry import Login
from coldsend.config.secrets import KeyRing, service_owner, webhook_owner
from coldsend.database.engine import Connection
from coldsend.domain import contact, sender
from coldsend.domain.service import Service
from coldsend.domain.states import CountKind, FreezeCode
from coldsend.domain.webhook_provider import provider_of
from coldsend.errors import ColdsendError, InvalidInput, WrongState
from coldsend.stores import access, mailboxes, provider_pauses, quota, send_counts, services
from coldsend.stores.lookup import checked_name

MAX_QUOTA = 2_000_000_000
MAX_ERRORS = 1_000_000


@dataclass(frozen=True, slots=True)
class Form:
    """What an operator said about a service; None: nothing.

    sender: ``Name <address>``. throttle_sec: seconds as text, exact to the millisecond. settings: by name,
    what each type takes is in ``registry.TYPES``. webhook_secret: what it is, is in ``webhooks.PROVIDERS``.
    awaits_login: a new service has a login that is given later, and is frozen until then. ramp and all after
    it: text, as ``pace_options.py`` reads it; "" takes a limit away.
    """

    sender: str | None = None
    daily_quota: int | None = None
    throttle_sec: str | None = None
    time_zone: str | None = None
    max_errors: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    login: Login = field(default_factory=Login)
    webhook_secret: str | None = field(default=None, repr=False)
    awaits_login: bool = False
    ramp: str | None = None
    hourly_quota: str | None = None
    domain_quota: str | None = None
    jitter_sec: str | None = None
    spread_hours: str | None = None


class InvalidForm(InvalidInput):
    """All that is wrong with a form; ``problems`` begin with the option they are about (``--from: ..``)."""

    def __init__(self, what: str, verb: str, problems: list[str]) -> None:
        lines = "\n".join(f"  {problem}" for problem in problems)
        reasons = f": {problems[0]}" if len(problems) == 1 else f", for {len(problems)} reasons:\n{lines}"
        super().__init__(what + reasons, hint=f"see: coldsend service {verb} --help")
        self.problems = problems


def add(connection: Connection, name: str, type_name: str, form: Form, keys: KeyRing, now: datetime) -> int:
    """Add a service; InvalidInput with all that is wrong, Refused where the name is taken. Returns its id."""
    registry.channel_type(type_name)
    name = checked_name(name, "service")
    values, problems = columns(form)
    for option, given in (("--from", form.sender), ("--daily-quota", form.daily_quota)):
        if given is None:
            problems.append(f"{option} is missing")
    credentials: Mapping[str, Any] | None = None
    more: list[str] = []
    if form.login or not form.awaits_login:
        credentials, more = registry.checked_credentials(type_name, form.login)
    has_login = bool(credentials) or form.awaits_login
    settings, still_more = registry.checked(type_name, form.settings, has_credentials=has_login)
    _raise(f"service {name!r} cannot be added", "add", [*problems, *more, *still_more])
    if "ramp" in values:
        today = now.astimezone(ZoneInfo(values.get("time_zone", "UTC"))).date()
        values["ramp"] = pace_options.since(values["ramp"], None, today)
    row = {"name": name, "type": type_name, "settings": settings, **values}
    service_id = services.add(connection, row, now)
    if credentials:
        sealed = keys.seal(credentials, service_owner(service_id))
        services.change(connection, service_id, {"credentials": sealed}, now)
    elif form.awaits_login:
        reason = f"waits for its login: coldsend service update {name!r} --username USER --password-stdin"
        services.freeze(connection, service_id, FreezeCode.CREDENTIALS, reason, now)
    return service_id


def change(connection: Connection, given: str, form: Form, keys: KeyRing, now: datetime) -> tuple[int, bool]:
    """Change what ``form`` says of a service; returns its id, and whether new credentials thawed it."""
    row = services.find(connection, given)
    service_id, type_name = int(row["id"]), str(row["type"])
    values, problems = columns(form)
    sealed = row["credentials"]
    if form.login:
        login = _completed(form.login, sealed, keys, service_owner(service_id))
        credentials, more = registry.checked_credentials(type_name, login)
        problems += more
        if not more:
            sealed = keys.seal(credentials, service_owner(service_id)) if credentials else None
            values["credentials"] = sealed
    settings = registry.merged(row["settings"] or {}, form.settings)
    values["settings"], more = registry.checked(type_name, settings, has_credentials=bool(sealed))
    before = services.as_service(row)
    if form.webhook_secret is not None:
        after = replace(before, settings=values["settings"])
        values["webhook_secret"], still_more = _webhook_secret(form.webhook_secret, after, keys)
        more = [*more, *still_more]
    _raise(f"service {row['name']!r} cannot be changed so", "update", [*problems, *more])
    today = replace(before, time_zone=values.get("time_zone", before.time_zone)).quota_day(now)
    if "ramp" in values:
        values["ramp"] = pace_options.since(values["ramp"], row["ramp"], today)
    services.change(connection, service_id, values, now)
    _carry_over(connection, service_id, before.quota_day(now), today)
    thawed = form.login and services.thaw(connection, service_id, now, FreezeCode.CREDENTIALS)
    return service_id, bool(thawed)


def _carry_over(connection: Connection, service_id: int, before: date, today: date) -> None:
    """What went out this very day must not be allowed once more because the day has another date now."""
    if today != before:
        quota.carry_over(connection, service_id, before, today)
        periods = [datetime.combine(day, time.min, UTC) for day in (before, today)]
        send_counts.carry_over(connection, CountKind.SERVICE_DOMAIN, service_id, *periods)


def remove(connection: Connection, given: str) -> Service:
    """Delete a service that has carried nothing, with its credentials and grants; WrongState otherwise."""
    service = services.as_service(services.find(connection, given))
    hint = f"stop it instead: coldsend service freeze {service.name!r}"
    if tasks := services.tasks_using(connection, service.id):
        raise WrongState(f"service {service.name!r} is named by tasks: {', '.join(tasks)}", hint=hint)
    if names := mailboxes.of_service(connection, service.id):
        raise WrongState(
            f"mailboxes belong to service {service.name!r}: {', '.join(names)}",
            hint=f"take it from them first: coldsend mailbox update {names[0]!r} --service ''",
        )
    # The quota tells at once that nothing was sent; only where something was, maybe a test, the ledger and
    # the event log are walked.
    if quota.ever_used(connection, service.id) and services.has_history(connection, service.id):
        raise WrongState(f"service {service.name!r} has been sent through", hint=hint)
    access.revoke_all(connection, service.id)
    provider_pauses.remove(connection, service.id)
    quota.remove(connection, service.id)
    send_counts.remove_service(connection, service.id)
    services.remove(connection, service.id)
    return service


def _webhook_secret(text: str, service: Service, keys: KeyRing) -> tuple[Mapping[str, Any] | None, list[str]]:
    """What proves webhooks, sealed together with whose they are; and what is wrong with it."""
    name = provider_of(service)
    if not name:
        known = "|".join(webhooks.PROVIDERS)
        return None, [f"--webhook-secret-stdin: say whose webhooks tell of this service: --webhook {known}"]
    provider = webhooks.PROVIDERS[name]
    try:
        secret = {"provider": name, "secret": provider.check(text)}
    except ValueError as error:
        return None, [f"--webhook-secret-stdin: {error}; {name} wants {provider.secret}"]
    return keys.seal(secret, webhook_owner(service.id)), []


def columns(form: Form) -> tuple[dict[str, Any], list[str]]:
    """Columns for what the form says, and what is wrong with it; settings and login are not looked at."""
    values: dict[str, Any] = {}
    problems: list[str] = []

    def take(option: str, given: Any, read: Any) -> None:
        if given is None:
            return
        try:
            values.update(read(given))
        except ColdsendError as error:
            problems.append(f"{option}: {error.message}" + (f"; {error.hint}" if error.hint else ""))
        except ValueError as error:
            problems.append(f"{option}: {error}")

    take("--from", form.sender, _sender)
    take("--daily-quota", form.daily_quota, lambda n: {"daily_quota": _between(n, 0, MAX_QUOTA)})
    take("--throttle-sec", form.throttle_sec, lambda text: {"throttle_sec": pace_options.seconds(text)})
    take("--time-zone", form.time_zone, lambda text: {"time_zone": contact.checked_time_zone(text) or "UTC"})
    take("--ramp", form.ramp, lambda text: {"ramp": pace_options.ramp(text)})
    take("--hourly-quota", form.hourly_quota, lambda text: {"hourly_quota": pace_options.quota(text)})
    take("--domain-quota", form.domain_quota, lambda text: {"domain_quota": pace_options.quota(text)})
    take("--jitter-sec", form.jitter_sec, lambda text: {"jitter_sec": pace_options.seconds(text)})
    take("--spread-hours", form.spread_hours, lambda text: {"spread_hours": pace_options.hours(text)})
    take("--max-errors", form.max_errors, lambda n: {"max_consecutive_errors": _between(n, 1, MAX_ERRORS)})
    return values, problems


def _sender(text: str) -> dict[str, Any]:
    found = sender.parse(text)
    return {"from_name": found.name, "from_email": found.email}


def _between(number: int, minimum: int, maximum: int) -> int:
    if not minimum <= number <= maximum:
        raise ValueError(f"must be from {minimum} to {maximum}, not {number}")
    return number


def _completed(login: Login, sealed: Mapping[str, Any] | None, keys: KeyRing, owner: str) -> Login:
    """A login of which only a part was given, with the rest as it is stored. An empty user name ends it."""
    if login.username == "":
        return Login()
    has_secret = login.password is not None or login.token is not None
    if sealed is None or (login.username is not None and has_secret):
        return login
    known = keys.open(sealed, owner)
    username = login.username or known.get("username") or known.get("api_user")
    if has_secret:
        return Login(username, login.password, login.token)
    return Login(username, known.get("password") or known.get("api_key"), known.get("token"))


def _raise(what: str, verb: str, problems: list[str]) -> None:
    if problems:
        raise InvalidForm(what, verb, problems)
