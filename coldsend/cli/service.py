"""``coldsend service``: the ways out, who may use them, and how they are."""

from __future__ import annotations

from shlex import quote
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.channels import enrolment, pace_options
from coldsend.channels.enrolment import Form
from coldsend.cli import login, service_grants, service_release
from coldsend.cli import service_options as option
from coldsend.cli.advice import next_step
from coldsend.cli.context import current
from coldsend.cli.login import LoginOptions
from coldsend.cli.noun import changes, noun, reads
from coldsend.database.engine import Connection
from coldsend.delivery import trial
from coldsend.domain.access import require_admin
from coldsend.domain.states import HealthStatus
from coldsend.errors import UsageError
from coldsend.pacing import portrait
from coldsend.pacing import services as health
from coldsend.stores import access, services
from coldsend.web.webhooks import identity as webhooks

app = noun("Sender services: the accounts that mail goes out through.")


@changes(
    app,
    "coldsend service add main --type smtp --host smtp.example.com --tls starttls --username anna "
    '--password-stdin --from "Anna Smith <anna@example.com>" --daily-quota 500 --throttle-sec 2 < password',
    "coldsend service add api --type jiguang --username API_USER --password-env API_KEY "
    "--from a@example.com --daily-quota 10000 --throttle-sec 0 --time-zone Asia/Shanghai",
    "coldsend service add dry --type console --folder out --from a@example.com --daily-quota 1000 "
    "--throttle-sec 0",
)
def add(
    name: Annotated[str, typer.Argument(help="Name of the new service.")],
    type_: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="smtp|jiguang|console",
            help="smtp: any mail server; jiguang: the EngageLab API; console: dry runs.",
        ),
    ],
    sender: option.From = None,
    daily_quota: option.DailyQuota = None,
    throttle_sec: option.ThrottleSec = None,
    jitter_sec: option.JitterSec = None,
    spread_hours: option.SpreadHours = None,
    ramp: option.Ramp = None,
    hourly_quota: option.HourlyQuota = None,
    domain_quota: option.DomainQuota = None,
    time_zone: option.TimeZone = None,
    connections: option.Connections = None,
    max_errors: option.MaxErrors = None,
    reply_to: option.ReplyTo = None,
    bounce_address: option.BounceAddress = None,
    unsubscribe_address: option.UnsubscribeAddress = None,
    web_url: option.WebUrl = None,
    dkim: option.Dkim = None,
    webhook: option.Webhook = None,
    host: option.Host = None,
    port: option.Port = None,
    tls: option.Tls = None,
    helo_name: option.HeloName = None,
    allow_plaintext_auth: option.PlaintextAuth = None,
    api_url: option.ApiUrl = None,
    folder: option.Folder = None,
    username: option.Username = None,
    password_stdin: option.PasswordStdin = False,
    password_env: option.PasswordEnv = None,
    password_prompt: option.PasswordPrompt = False,
    token_stdin: option.TokenStdin = False,
) -> None:
    """Add a sender service (admins only).

    Passwords, API keys and tokens are read from standard input, a variable or a prompt, never from the
    command line, and are stored encrypted. Without --throttle-sec there is a second between two messages.
    """
    run = current()
    require_admin(run.actor, "add sender services")
    options = LoginOptions(username, password_stdin, password_env, password_prompt, token_stdin)
    settings = {
        "host": host, "port": port, "tls": tls, "helo_name": helo_name,
        "allow_plaintext_auth": allow_plaintext_auth, "api_url": api_url, "folder": folder,
        "connections": connections, "reply_to": reply_to, "bounce_address": bounce_address,
        "unsubscribe_address": unsubscribe_address, "web_url": web_url, "dkim": dkim, "webhook": webhook,
    }  # fmt: skip
    given = login.read(options, may_prompt=True)
    form = Form(
        sender, daily_quota, throttle_sec, time_zone, max_errors, settings, given, ramp=ramp,
        hourly_quota=hourly_quota, domain_quota=domain_quota, jitter_sec=jitter_sec,
        spread_hours=spread_hours,
    )  # fmt: skip
    keys, now = run.keys, clock.now()

    def work(connection: Connection) -> dict[str, Any]:
        service_id = enrolment.add(connection, name, type_, form, keys, now)
        return portrait.of(connection, services.find(connection, service_id), now)

    added = run.database.run(work)
    run.out.done(f"service {added['name']!r} added", added)
    next_step(run, f"try it: coldsend service test {added['name']!r} --to YOUR-OWN-ADDRESS")
    next_step(run, f"let users send through it: coldsend service grant {added['name']!r} USER")


@changes(
    app,
    "coldsend service update main --daily-quota 800 --hourly-quota 100 --domain-quota 20",
    "coldsend service update main --ramp 20+10 --spread-hours 8 --jitter-sec 30",
    "coldsend service update main --password-stdin < password.txt",
    "coldsend service update main --username ''     (no login any more)",
    "coldsend service update main --webhook-secret-stdin < key.txt",
)
def update(
    name: option.Name,
    sender: option.From = None,
    daily_quota: option.DailyQuota = None,
    throttle_sec: option.ThrottleSec = None,
    jitter_sec: option.JitterSec = None,
    spread_hours: option.SpreadHours = None,
    ramp: option.Ramp = None,
    hourly_quota: option.HourlyQuota = None,
    domain_quota: option.DomainQuota = None,
    time_zone: option.TimeZone = None,
    connections: option.Connections = None,
    max_errors: option.MaxErrors = None,
    reply_to: option.ReplyTo = None,
    bounce_address: option.BounceAddress = None,
    unsubscribe_address: option.UnsubscribeAddress = None,
    web_url: option.WebUrl = None,
    dkim: option.Dkim = None,
    webhook: option.Webhook = None,
    host: option.Host = None,
    port: option.Port = None,
    tls: option.Tls = None,
    helo_name: option.HeloName = None,
    allow_plaintext_auth: option.PlaintextAuth = None,
    api_url: option.ApiUrl = None,
    folder: option.Folder = None,
    username: option.Username = None,
    password_stdin: option.PasswordStdin = False,
    password_env: option.PasswordEnv = None,
    password_prompt: option.PasswordPrompt = False,
    token_stdin: option.TokenStdin = False,
    webhook_secret_stdin: option.WebhookSecretStdin = False,
) -> None:
    """Change a sender service (admins only); what is not given stays, '' takes a setting away.

    New credentials thaw a service that was frozen because its old ones were refused. A smaller quota holds
    at once, also for today. Workers take changes over within seconds.
    """
    run = current()
    require_admin(run.actor, "change sender services")
    options = LoginOptions(username, password_stdin, password_env, password_prompt, token_stdin)
    settings = {
        "host": host, "port": port, "tls": tls, "helo_name": helo_name,
        "allow_plaintext_auth": allow_plaintext_auth, "api_url": api_url, "folder": folder,
        "connections": connections, "reply_to": reply_to, "bounce_address": bounce_address,
        "unsubscribe_address": unsubscribe_address, "web_url": web_url, "dkim": dkim, "webhook": webhook,
    }  # fmt: skip
    given = login.read(options, may_prompt=False)
    secret = login.read_webhook_secret(options) if webhook_secret_stdin else None
    form = Form(
        sender, daily_quota, throttle_sec, time_zone, max_errors, settings, given, secret, ramp=ramp,
        hourly_quota=hourly_quota, domain_quota=domain_quota, jitter_sec=jitter_sec,
        spread_hours=spread_hours,
    )  # fmt: skip
    if form == Form(settings=dict.fromkeys(settings)):
        raise UsageError(
            "nothing is given that could be changed",
            hint=f"for example: coldsend service update {quote(name)} --daily-quota 800",
        )
    keys, now = run.keys, clock.now()

    def work(connection: Connection) -> tuple[dict[str, Any], bool]:
        service_id, thawed = enrolment.change(connection, name, form, keys, now)
        return portrait.of(connection, services.find(connection, service_id), now), thawed

    changed, thawed = run.database.run(work)
    run.out.done(f"service {changed['name']!r} changed" + (" and thawed" if thawed else ""), changed)
    if webhook and secret is None:
        next_step(
            run, f"what proves them: coldsend service update {quote(name)} --webhook-secret-stdin < FILE"
        )
    if secret is not None:
        next_step(run, f"give the provider the webhook url of: coldsend service show {changed['name']!r}")


@reads(app, "coldsend service list", name="list")
def list_services() -> None:
    """List sender services; operators see those granted to them."""
    run = current()
    actor, now = run.actor, clock.now()
    with run.database.read() as connection:
        mine = None if actor.is_admin else access.granted(connection, actor.id)
        rows = [row for row in services.listed(connection) if mine is None or row["id"] in mine]
        shown = portrait.of_all(connection, rows, now)
    columns = {
        "id": "ID#", "name": "SERVICE", "type": "TYPE", "from": "FROM", "health": "HEALTH",
        "used_today": "USED#", "limit_today": "TODAY#", "daily_quota": "QUOTA#", "gap_sec": "GAP s#",
    }  # fmt: skip
    empty = "no services yet: coldsend service add --help"
    if not actor.is_admin:
        empty = f"no service is granted to {actor.username!r}: ask an admin"
    run.out.table(shown, columns, empty=empty)


@reads(app, "coldsend service show main")
def show(name: option.Name) -> None:
    """Show a service: settings, health, quota and who may use it; never its credentials."""
    run = current()
    with run.database.read() as connection:
        service_id = health.usable(connection, run.actor, name).id
        row = services.find(connection, service_id)
        document = portrait.of(connection, row, clock.now())
        document["webhook"] = webhooks.portrait(connection, row, run.settings, lambda: run.keys)
    if run.json:
        run.out.data(document)
        return
    settings = document.pop("settings")
    if told := document.pop("webhook"):
        document |= {f"webhook_{name}": value for name, value in told.items()}
    for key in ("health_status", "frozen_code", "frozen_reason", "cool_down_until", "cool_down_reason"):
        document.pop(key)
    lines = {"health": document.pop("health"), **document, **settings}
    if ramp := document["ramp"]:
        lines["ramp"] = f"{pace_options.ramp_text(ramp)}, since {ramp['since']}"
    lines["provider_pauses"] = [
        f"{one['provider']}: {one['reason']}" for one in document.get("provider_pauses", [])
    ]
    run.out.fields(lines)


@changes(app, "coldsend service test main --to me@example.com", name="test")
def send_test(
    name: option.Name,
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Who gets the test message: yourself.")],
) -> None:
    """Send one real message and show what was said, without secrets.

    It counts in the day's quota and keeps the throttle gap, but belongs to no campaign, and neither freezes
    nor thaws the service. Exits with 4 where the message was refused, with 5 where no server was reached.
    """
    run = current()
    with run.database.read() as connection:
        service = health.usable(connection, run.actor, name)
    result = trial.run_trial(run.database, run.keys, run.settings, str(service.id), to, clock.now)
    if run.json:
        run.out.data(result.document())
    else:
        for who, line in result.dialogue:
            run.out.done(f"{who}: {line}", None)
    if not result.accepted:
        raise result.failure()
    if not run.json:
        run.out.done(f"accepted: {result.answer}", None)
    if service.health_status == HealthStatus.FROZEN:
        next_step(
            run, f"it works but is still frozen; let it send again: coldsend service thaw {service.name!r}"
        )


@changes(app, "coldsend service freeze main --reason 'domain is being moved'")
def freeze(
    name: option.Name,
    reason: Annotated[str, typer.Option(help="Why; shown wherever its work waits.")] = "by hand",
) -> None:
    """Stop a service until somebody thaws it (admins only); its work moves to other services.

    But for follow-ups: they wait for the service of the message before, until `service release` frees them.
    """
    run = current()
    require_admin(run.actor, "freeze sender services")
    now = clock.now()

    def work(connection: Connection) -> tuple[bool, dict[str, Any]]:
        service = services.as_service(services.find(connection, name))
        change = health.freeze(connection, service, reason, now)
        return change is not None, portrait.of(connection, services.find(connection, service.id), now)

    changed, frozen = run.database.run(work)
    sentence = "frozen" if changed else f"was frozen by hand already: {frozen['frozen_reason']}"
    run.out.done(f"service {frozen['name']!r} {sentence}", frozen)


@changes(app, "coldsend service thaw main")
def thaw(name: option.Name) -> None:
    """Let a service send again (admins only).

    Forgets its errors and ends its rests, also those for single mailbox providers. A service whose
    credentials were refused thaws by itself when it gets new ones.
    """
    run = current()
    require_admin(run.actor, "thaw sender services")
    now = clock.now()

    def work(connection: Connection) -> tuple[bool, dict[str, Any]]:
        service = services.as_service(services.find(connection, name))
        change = health.thaw(connection, service, now)
        return change is not None, portrait.of(connection, services.find(connection, service.id), now)

    changed, thawed = run.database.run(work)
    run.out.done(f"service {thawed['name']!r} {'may send again' if changed else 'was not frozen'}", thawed)


@changes(app, "coldsend service release old", "coldsend service release old --campaign spring --yes")
def release(name: option.Name, campaign: option.Campaign = None) -> None:
    """Free who waits for a service that will not send again, for the other services of their tasks.

    Follow-ups wait for the service of the message before, greylisted messages for the one they were tried
    with. Yours are freed, of an admin all, where the task may use another service; a thread stays one, from
    another sender. What a worker holds just now, or comes in later, waits for it again: run it again.
    """
    service_release.release(current(), name, campaign)


@changes(app, "coldsend service grant main anna")
def grant(name: option.Name, user: Annotated[str, typer.Argument(help="Name or id of the user.")]) -> None:
    """Let a user send through a service (admins only); admins need no grant."""
    run = current()
    require_admin(run.actor, "grant sender services")
    service_grants.change(run, name, user, granted=True)


@changes(app, "coldsend service revoke main anna")
def revoke(name: option.Name, user: Annotated[str, typer.Argument(help="Name or id of the user.")]) -> None:
    """Take a service from a user (admins only)."""
    run = current()
    require_admin(run.actor, "revoke sender services")
    service_grants.change(run, name, user, granted=False)


@changes(app, "coldsend service remove old")
def remove(name: option.Name) -> None:
    """Remove a service that was never used (admins only); freeze the others instead."""
    run = current()
    require_admin(run.actor, "remove sender services")
    with run.database.read() as connection:
        found = services.find(connection, name)
    run.out.confirm(f"Remove service {found['name']!r} with its credentials?")
    removed = run.database.run(lambda connection: enrolment.remove(connection, str(found["id"])))
    run.out.done(f"service {removed.name!r} removed", {"id": removed.id, "name": removed.name})
