"""What is wrong with a database, all at once: `db check` shows it, `doctor` includes it.

Three questions: does it answer and hold this version's schema; is the schema unaltered; do its settings keep
what coldsend promises (a commit survives a power cut, times are UTC, text is compared byte by byte).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from coldsend.database import administration, revision
from coldsend.database.differences import differences
from coldsend.database.engine import Database
from coldsend.domain.finding import Finding
from coldsend.errors import Unreachable

# What the SQL needs: UPDATE .. FROM and RETURNING (SQLite), JSON_VALUE (MySQL); MariaDB: oldest maintained.
OLDEST = {"SQLite": (3, 35), "MariaDB": (10, 6), "MySQL": (8, 0, 21)}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a setting of the server or session must be. Checked where the database has such a setting."""

    setting: str
    holds: Callable[[str], bool]
    harm: str  # what happens otherwise
    hint: str


RULES = (
    Rule(
        "synchronous",
        lambda value: value in {"2", "3"},
        "a power cut can undo commits: messages would be sent twice",
        "coldsend sets synchronous=FULL itself; this SQLite ignores it: use another build",
    ),
    Rule(
        "journal_mode",
        lambda value: value == "wal",
        "readers and the sender block each other",
        "the file's folder must be on a local, writable disk; SQLite has no WAL on network file systems",
    ),
    Rule(
        "foreign_keys",
        lambda value: value == "1",
        "rows can refer to rows that do not exist",
        "coldsend sets foreign_keys=ON itself; this SQLite ignores it: use another build",
    ),
    Rule(
        "innodb_flush_log_at_trx_commit",
        lambda value: value == "1",
        "a power cut can undo the last second of commits: messages would be sent twice",
        "in the server's configuration: innodb_flush_log_at_trx_commit = 1, "
        "and now: SET GLOBAL innodb_flush_log_at_trx_commit = 1",
    ),
    Rule(
        "transaction_isolation",
        lambda value: value == "read-committed",
        "workers would wait for each other's locks and see stale rows",
        "coldsend asks for READ COMMITTED itself; a proxy in between changes it",
    ),
    Rule(
        "character_set_connection",
        lambda value: value == "utf8mb4",
        "names and subjects outside Latin script would be damaged",
        "coldsend asks for utf8mb4 itself; a proxy or init_connect in between changes it",
    ),
    Rule(
        "sql_mode",
        lambda value: "strict_trans_tables" in value or "strict_all_tables" in value,
        "values that do not fit would be cut without an error",
        "coldsend asks for STRICT_TRANS_TABLES itself; a proxy or init_connect in between changes it",
    ),
    Rule(
        "time_zone",
        lambda value: value in {"+00:00", "utc"},
        "times that the database fills in would not be UTC",
        "coldsend asks for +00:00 itself; a proxy or init_connect in between changes it",
    ),
)


def findings(database: Database) -> list[Finding]:
    """Everything found, errors first. A database that is out of reach or lacks the schema is one finding."""
    try:
        revision.require_current(database)
        with database.read() as connection:
            found = [*version(connection), *settings(connection), *differences(connection)]
    except Unreachable as error:
        return [Finding("error", "database", error.message, error.hint)]
    return sorted(found, key=lambda finding: finding.severity != "error")


def version(connection: Connection) -> list[Finding]:
    """An error where the database is older than what coldsend's SQL needs."""
    name, number = administration.product(connection)
    oldest = OLDEST[name]
    if number >= oldest:
        return []
    is_now, needed = (".".join(map(str, part)) for part in (number, oldest))
    return [
        Finding("error", "version", f"{name} {is_now} is too old", f"coldsend needs {name} {needed} or later")
    ]


def settings(connection: Connection) -> list[Finding]:
    """Settings that break a promise."""
    now = administration.settings(connection)
    found = [
        Finding("error", rule.setting, f"is {now[rule.setting]!r}: {rule.harm}", rule.hint)
        for rule in RULES
        if rule.setting in now and not rule.holds(now[rule.setting])
    ]
    if now.get("log_bin") in {"on", "1"} and now.get("sync_binlog") != "1":
        found.append(
            Finding(
                "warning",
                "sync_binlog",
                f"is {now.get('sync_binlog')!r}: after a power cut replicas may lack committed rows",
                "in the server's configuration: sync_binlog = 1",
            )
        )
    return found
