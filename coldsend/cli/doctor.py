"""``coldsend doctor``: one report of everything that is wrong."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from coldsend.alerts import checking
from coldsend.cli.context import current
from coldsend.cli.noun import reads, single
from coldsend.errors import Refused
from coldsend.installation.doctor import Patient, findings

app = single()


@reads(app, "coldsend doctor", "coldsend doctor --json --config /etc/coldsend/coldsend.toml")
def doctor(
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask neither DNS nor SMTP servers nor the web address.")
    ] = False,
) -> None:
    """Check configuration, keys, database and services; report everything at once.

    Over the network, for half a minute at most: SPF, DKIM, DMARC and MX of the domains that mail is sent
    from, the name of this host where mail leaves from it, certificates of SMTP hosts, the public web address,
    and the clock. What does not answer is told of as not checked. Works with a broken configuration and
    without a database. Changes nothing. Exit code 0 when there is no error (there may be warnings), else 4.
    """
    run = current()
    found = findings(
        Patient(run.config, run.acting_as, os.environ, over_network=not offline),
        more=[partial(checking.findings, over_network=not offline)],
    )
    errors = sum(finding.severity == "error" for finding in found)
    if run.out.json:
        run.out.data({"findings": [asdict(finding) for finding in found], "ok": errors == 0})
    else:
        for finding in found:
            run.out.finding(finding)
        run.out.done(_summary(errors, len(found) - errors), None)
    if errors:
        raise typer.Exit(Refused.exit_code)


def _summary(errors: int, warnings: int) -> str:
    def counted(number: int, noun: str) -> str:
        return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"

    return f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
