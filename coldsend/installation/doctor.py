"""`coldsend doctor`: everything that is wrong with an installation, in one report.

Each check stands by itself: a broken configuration does not hide a key file that others can read, and a
database that is away does not hide a missing postal address. Nothing here changes anything.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from coldsend import clock
from coldsend.config import loading
from coldsend.config.secrets import KeyRing, load_key_ring
from coldsend.config.settings import CONFIG_FILE_NAME, Settings, all_keys
from coldsend.database import checks
from coldsend.database.engine import Database, parse_url
from coldsend.domain.finding import Finding
from coldsend.errors import ColdsendError
from coldsend.installation import contents, dkim, dkim_dns, hosts, network, versions
from coldsend.stores import services

_KEYS_HINT = "every key is documented in coldsend.toml.example"


class Patient(NamedTuple):
    """What is examined: options of the command line, and the environment. over_network: servers, too."""

    config: str | None
    acting_as: str | None
    environ: Mapping[str, str]
    over_network: bool = True


def findings(
    patient: Patient,
    now: Callable[[], datetime] = clock.now,
    more: Sequence[Callable[[Settings], list[Finding]]] = (),
) -> list[Finding]:
    """Everything found, errors first. more: checks of a configuration that can be read."""
    found = [*versions.findings(), *_test_clock()]
    try:
        settings, problems = loading.read(patient.config, patient.environ)
    except ColdsendError as error:
        return _sorted([_as_finding("configuration", error), *found])
    found += [Finding("error", problem.where, problem.message, _KEYS_HINT) for problem in problems]
    broken = {problem.path for problem in problems}
    found += _configuration(settings, patient.environ, broken)
    if not broken & {loading.WHOLE_FILE, "secret_key", "secret_key_file"}:
        keys, troubles = _keys(settings)
        found += troubles
    else:
        keys = None
    if not broken & {loading.WHOLE_FILE, "database.url"}:
        found += _database(settings, patient, keys, now)
    for check in more if not problems else ():
        found += check(settings)
    return _sorted(found)


def _configuration(settings: Settings, environ: Mapping[str, str], broken: set[str]) -> Iterator[Finding]:
    if settings.source is None:
        yield Finding(
            "warning",
            "configuration",
            f"there is no {CONFIG_FILE_NAME} in {Path.cwd()}: defaults and variables are in force",
            "go to the folder that has it, or name it with --config; make one with: coldsend init",
        )
    elif loading.WHOLE_FILE in broken:
        return
    else:
        yield from _secrets_in_file(settings, environ)
    if not settings.postal_address.strip() and "postal_address" not in broken:
        yield Finding(
            "error",
            "postal_address",
            "is empty: campaigns do not start without the postal address that every message must show",
            'write it into the configuration: postal_address = "Acme Ltd, 1 Main Street, Springfield"',
        )
    if "web.base_url" not in broken:
        yield from _base_url(settings.web.base_url)
    if "state_dir" not in broken:
        yield from _state_dir(settings.state_dir)
        yield from hosts.state_dir_findings(settings.state_dir)


def _secrets_in_file(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """The configuration file is for its owner's eyes when a secret stands in it."""
    file = settings.source
    assert file is not None
    in_file = {key.path for key in all_keys() if key.secret and not environ.get(key.variable)}
    in_alerts = {name: getattr(settings.alerts, name) for name in ("smtp_password", "webhook_secret", "chat")}
    has_secret = (
        ("secret_key" in in_file and settings.secret_key)
        or ("database.url" in in_file and parse_url(settings.database.url).password is not None)
        or any(value and f"alerts.{name}" in in_file for name, value in in_alerts.items())
    )
    mode = stat.S_IMODE(file.stat().st_mode)
    if has_secret and mode & 0o077:
        yield Finding(
            "warning",
            str(file),
            f"holds a password or key and can be read by other users (mode {mode:04o})",
            f"run: chmod 600 {file}",
        )


def _base_url(url: str) -> Iterator[Finding]:
    if not url:
        yield Finding(
            "error",
            "[web] base_url",
            "is empty: campaigns do not start without the address that unsubscribe links begin with",
            'write it into the configuration: [web] base_url = "https://mail.example.com"',
        )
    elif urlsplit(url).scheme != "https":
        yield Finding(
            "warning",
            "[web] base_url",
            f"{url} is not https: mailbox providers do not offer one-click unsubscribe for it",
            "put a web server with a certificate before it, and write its https:// address",
        )


def _state_dir(folder: Path) -> Iterator[Finding]:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        reason = f"{existing} is not a directory"
    elif not os.access(existing, os.W_OK | os.X_OK):
        reason = f"{existing} cannot be written by this user"
    else:
        return
    yield Finding(
        "error",
        "state_dir",
        f"{folder} cannot be used: {reason}; workers keep their outcome journals there",
        "make it writable, or set state_dir or COLDSEND_STATE_DIR to a directory that is",
    )


def _test_clock() -> Iterator[Finding]:
    file = clock.test_clock_file()
    if file is not None:
        yield Finding(
            "warning",
            "clock",
            f"a test clock is in force ({file}): all times are shifted",
            f"unset {clock.TEST_CLOCK_VARIABLE} unless this is a test",
        )


def _database(
    settings: Settings, patient: Patient, keys: KeyRing | None, now: Callable[[], datetime]
) -> list[Finding]:
    found: list[Finding] = []
    wanted = settings.database
    database = Database(wanted.url, pool_size=wanted.pool_size, connect_timeout=wanted.connect_timeout)
    try:
        found += checks.findings(database)
        if any(finding.subject == "database" for finding in found):
            return found  # it is away, or its schema is not ours: there is nothing to read
        with database.read() as connection:
            found += hosts.clock_findings(connection)
            found += hosts.neighbour_findings(connection, now())
            found += contents.findings(connection, keys, patient.acting_as or settings.user or None, now)
            found += dkim.unsigned(connection)
            signing = dkim.in_use(connection)
            known = services.all_services(connection)
        if patient.over_network:
            found += dkim_dns.findings(signing, settings.dkim.dns_servers)
            found += network.findings(known, signing, settings)
    except ColdsendError as error:
        found.append(_as_finding("database", error))
    finally:
        database.dispose()
    return found


def _keys(settings: Settings) -> tuple[KeyRing | None, list[Finding]]:
    try:
        return load_key_ring(settings), []
    except ColdsendError as error:
        return None, [_as_finding("secret key", error)]


def _as_finding(subject: str, error: ColdsendError) -> Finding:
    return Finding("error", subject, error.message, error.hint)


def _sorted(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda finding: finding.severity != "error")
