"""``coldsend dkim``: the keys that messages are signed with, and what to publish for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from coldsend import clock, logbook
from coldsend.cli import advice
from coldsend.cli.context import Run, current
from coldsend.cli.noun import changes, noun, reads
from coldsend.database.engine import Connection
from coldsend.domain.access import require_admin
from coldsend.domain.dkim import Algorithm, DkimKey, KeyStatus
from coldsend.errors import InvalidInput, NotFound, Refused, Unreachable
from coldsend.installation import dkim as use
from coldsend.installation import dkim_dns
from coldsend.stores import dkim_keys

app = noun("DKIM: the keys that messages are signed with, and their DNS records.")

KEY_FILE_LIMIT = 100_000

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="The domain of the From address.")]
Selector = Annotated[
    str | None, typer.Option(metavar="S", help="Which key, where the domain has several that could be meant.")
]


@changes(
    app,
    "coldsend dkim add example.com",
    "coldsend dkim add example.com --algorithm ed25519",
    "coldsend dkim add example.com --selector mail1 --import-key mail1.pem",
)
def add(
    domain: Domain,
    selector: Annotated[
        str | None, typer.Option(metavar="S", help="Name of the key; left out: made from the date.")
    ] = None,
    algorithm: Annotated[
        Algorithm,
        typer.Option(
            help="rsa: all receivers verify it; ed25519: a second key beside it, for those who can."
        ),
    ] = Algorithm.RSA,
    bits: Annotated[int | None, typer.Option(help="rsa: 2048 (the default), 3072 or 4096.")] = None,
    import_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take this private key (PEM) instead of a new one.")
    ] = None,
) -> None:
    """Make a key for a domain and show its DNS record (admins only).

    The key does not sign yet: publish the record, see with `dkim check` that the world can read it, then
    `dkim activate`. A key serves all services that send from the domain or from domains below it.
    """
    run, now = current(), clock.now()
    require_admin(run.actor, "add DKIM keys")
    keys = run.keys
    pair = use.generated(algorithm, bits) if import_key is None else _imported(import_key, bits)
    added = run.database.run(lambda connection: use.add(connection, keys, domain, selector, pair, now))
    logbook.dkim_key_changed(added.name, "added", by=run.actor.username)
    run.out.done(f"DKIM key {added.name} added ({_kind(added)}); publish it:\n", _document(added, []))
    if not run.json:
        _show_record(run, added)
    advice.next_step(run, f"see whether it is published: coldsend dkim check {added.domain}")
    advice.next_step(run, f"then sign with it: coldsend dkim activate {added.domain}")


@reads(app, "coldsend dkim list", name="list")
def list_keys() -> None:
    """List all keys and the services that sign with them (admins only)."""
    run = current()
    require_admin(run.actor, "see DKIM keys")
    with run.database.read() as connection:
        found, used = dkim_keys.listed(connection), use.signing(connection)
    columns = {
        "domain": "DOMAIN", "selector": "SELECTOR", "kind": "KEY", "status": "STATUS",
        "services": "SIGNS FOR", "created_at": "MADE (UTC)", "activated_at": "ACTIVE SINCE (UTC)",
    }  # fmt: skip
    documents = [_document(key, used.get(key.id, [])) for key in found]
    shown = [{**one, "kind": _kind(key)} for one, key in zip(documents, found, strict=True)]
    run.out.table(shown, columns, empty="no DKIM keys yet: coldsend dkim add example.com", document=documents)


@reads(app, "coldsend dkim show example.com", "coldsend dkim show example.com --selector cs20270301")
def show(domain: Domain, selector: Selector = None) -> None:
    """Show a domain's keys and their DNS records (admins only); never a private key.

    Each record comes twice: in one line for the web form of a DNS provider, and as an entry of a zone file,
    split into strings of at most 255 characters.
    """
    run = current()
    require_admin(run.actor, "see DKIM keys")
    with run.database.read() as connection:
        found, used = use.of_domain(connection, domain, selector), use.signing(connection)
    if run.json:
        run.out.data([_document(key, used.get(key.id, [])) for key in found])
        return
    for number, key in enumerate(found):
        if number:
            run.out.plain("")
        document = _document(key, used.get(key.id, []))
        del document["record"]
        run.out.fields(document)
        run.out.plain("")
        _show_record(run, key)


@reads(app, "coldsend dkim check example.com", "coldsend dkim check")
def check(
    domain: Annotated[
        str | None, typer.Argument(metavar="[DOMAIN]", help="This domain only; left out: all.")
    ] = None,
    selector: Selector = None,
) -> None:
    """Ask the DNS whether keys are published as they are (admins only); retired ones are left out.

    Exits with 4 where receivers would reject a signature, with 5 where the DNS cannot be asked. Changes of
    DNS records take a while to be seen everywhere. [dkim] dns_servers says whom to ask.
    """
    run = current()
    require_admin(run.actor, "check DKIM keys")
    with run.database.read() as connection:
        found = (
            dkim_keys.listed(connection) if domain is None else use.of_domain(connection, domain, selector)
        )
    examined = [key for key in found if key.status is not KeyStatus.RETIRED]
    verdicts = dkim_dns.examine(examined, run.settings.dkim.dns_servers)
    if run.json:
        keys = [_as_json(verdict) for verdict in verdicts]
        run.out.data({"keys": keys, "ok": all(verdict.good for verdict in verdicts)})
    else:
        _tell(run, verdicts)
    for verdict in verdicts:
        if verdict.trouble is not None:
            raise verdict.trouble
    if wrong := [verdict.key for verdict in verdicts if not verdict.good]:
        raise Refused(
            f"not published as needed: {', '.join(key.name for key in wrong)}",
            hint=f"what to publish: coldsend dkim show {wrong[0].domain}",
        )


@changes(
    app, "coldsend dkim activate example.com", "coldsend dkim activate example.com --selector cs20270301"
)
def activate(
    domain: Domain,
    selector: Selector = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Without asking the DNS whether it is published.")
    ] = False,
) -> None:
    """Sign with a key from now on (admins only); the domain's earlier key of this type is retired.

    Refused while the DNS does not have it. Workers sign with it within seconds.
    """
    run, now = current(), clock.now()
    require_admin(run.actor, "activate DKIM keys")
    with run.database.read() as connection:
        chosen = use.choose(connection, domain, selector, _activatable(selector), "activate")
    if not unchecked:
        _require_published(run, chosen)
    dkim_keys.private_pem(chosen, run.keys)

    def work(connection: Connection) -> tuple[DkimKey, list[DkimKey], list[str], bool]:
        active, before = use.activate(connection, chosen, now)
        names = use.signing(connection).get(active.id, [])
        of_domain = use.of_domain(connection, active.domain)
        alone = use.without_rsa(key for key in of_domain if key.status is KeyStatus.ACTIVE)
        return active, before, names, alone

    active, before, names, alone = run.database.run(work)
    logbook.dkim_key_changed(active.name, "activated", by=run.actor.username)
    document = {**_document(active, names), "retired": [key.selector for key in before]}
    signs = (
        f"signs the mail of {', '.join(names)}" if names else "is active; no service sends from its domain"
    )
    run.out.done(f"DKIM key {active.name} {signs}", document)
    for old in before:
        logbook.dkim_key_changed(old.name, "retired", by=run.actor.username)
        _say_retired(run, old)
    if alone and not run.json:
        run.out.warn(
            f"many receivers cannot verify Ed25519; add an RSA key: coldsend dkim add {active.domain}"
        )


@changes(app, "coldsend dkim retire example.com", "coldsend dkim retire example.com --selector cs20270301")
def retire(domain: Domain, selector: Selector = None) -> None:
    """Sign no more with a key (admins only); its record must stay published for a while.

    To change keys, activate the new one: that retires the old one without a gap.
    """
    run, now = current(), clock.now()
    require_admin(run.actor, "retire DKIM keys")
    with run.database.read() as connection:
        chosen = use.choose(connection, domain, selector, (KeyStatus.ACTIVE,), "retire")
        unsigned = use.left_unsigned(connection, chosen)
    if unsigned:
        run.out.confirm(f"Retire the key {chosen.name}? Unsigned from then on: {', '.join(unsigned)}.")
    retired = run.database.run(lambda connection: use.retire(connection, chosen, now))
    logbook.dkim_key_changed(retired.name, "retired", by=run.actor.username)
    run.out.done(f"DKIM key {retired.name} signs no more", _document(retired, []))
    _say_retired(run, retired)


@changes(app, "coldsend dkim remove example.com --selector cs20270301")
def remove(domain: Domain, selector: Selector = None) -> None:
    """Delete a key that does not sign, with its private half (admins only)."""
    run = current()
    require_admin(run.actor, "remove DKIM keys")
    fit = (KeyStatus.NEW, KeyStatus.RETIRED)
    with run.database.read() as connection:
        chosen = use.choose(connection, domain, selector, fit, "remove")
    run.out.confirm(f"Remove the {chosen.status} DKIM key {chosen.name}? It cannot be brought back.")
    run.database.run(lambda connection: use.remove(connection, chosen))
    logbook.dkim_key_changed(chosen.name, "removed", by=run.actor.username)
    run.out.done(f"DKIM key {chosen.name} removed", {"domain": chosen.domain, "selector": chosen.selector})
    advice.next_step(run, f"take its record out of the DNS: {chosen.record_name}")


def _imported(file: Path, bits: int | None) -> use.KeyPair:
    if bits is not None:
        raise InvalidInput("--bits is for new keys: an imported one has its size")
    try:
        with file.open("rb") as handle:
            data = handle.read(KEY_FILE_LIMIT + 1)
    except FileNotFoundError as error:
        raise NotFound(f"file {file} does not exist") from error
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > KEY_FILE_LIMIT:
        raise InvalidInput(f"{file} has more than {KEY_FILE_LIMIT:,} bytes: that is no key")
    return use.imported(data, str(file))


def _activatable(selector: str | None) -> tuple[KeyStatus, ...]:
    """A retired key comes back only where it is named."""
    return (KeyStatus.NEW,) if selector is None else (KeyStatus.NEW, KeyStatus.RETIRED)


def _require_published(run: Run, key: DkimKey) -> None:
    """Refused where the DNS has no such key, Unreachable where it cannot be asked."""
    (verdict,) = dkim_dns.examine([key], run.settings.dkim.dns_servers)
    way_round = f"; to sign with it all the same: coldsend dkim activate {key.domain} --unchecked"
    if verdict.trouble is not None:
        raise Unreachable(verdict.trouble.message, hint=verdict.trouble.hint + way_round)
    if verdict.problem is not None:
        problem = verdict.problem
        raise Refused(f"{problem.subject}: {problem.message}", hint=problem.hint + way_round)
    advice.warn(run, verdict.findings)


def _tell(run: Run, verdicts: Sequence[dkim_dns.Verdict]) -> None:
    if not verdicts:
        run.out.note("no DKIM keys to check: coldsend dkim list")
    for verdict in verdicts:
        for finding in verdict.findings:
            run.out.finding(finding)
        if verdict.trouble is not None:
            run.out.done(f"DKIM key {verdict.key.name}: {verdict.trouble.message}", None)
        elif verdict.good:
            run.out.done(f"DKIM key {verdict.key.name} is published ({verdict.key.status})", None)


def _as_json(verdict: dkim_dns.Verdict) -> dict[str, Any]:
    key = verdict.key
    return {
        "domain": key.domain,
        "selector": key.selector,
        "status": key.status,
        "published": None if verdict.trouble is not None else verdict.good,
        "findings": [
            {"severity": one.severity, "message": one.message, "hint": one.hint} for one in verdict.findings
        ],
    }


def _say_retired(run: Run, key: DkimKey) -> None:
    advice.next_step(
        run,
        f"{key.selector} signs no more; leave its record published for two weeks, for mail on its way, "
        f"then: coldsend dkim remove {key.domain} --selector {key.selector}",
    )


def _show_record(run: Run, key: DkimKey) -> None:
    run.out.plain(f"DNS record {key.record_name}  TXT")
    run.out.plain(f"\nin one line, for web forms:\n{key.record}")
    run.out.plain(f"\nfor zone files:\n{key.zone_entry}")


def _kind(key: DkimKey) -> str:
    return f"{key.algorithm} {key.bits}" if key.algorithm is Algorithm.RSA else str(key.algorithm)


def _document(key: DkimKey, services: Sequence[str]) -> dict[str, Any]:
    """A key for scripts and tables: everything but its private half."""
    return {
        "id": key.id,
        "domain": key.domain,
        "selector": key.selector,
        "algorithm": key.algorithm,
        "bits": key.bits,
        "status": key.status,
        "services": list(services),
        "created_at": key.created_at,
        "activated_at": key.activated_at,
        "retired_at": key.retired_at,
        "record": {
            "name": key.record_name,
            "type": "TXT",
            "value": key.record,
            "strings": key.record_strings,
            "zone": key.zone_entry,
        },
    }
