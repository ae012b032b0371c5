"""What an operator sets up before the month begins, with the commands an operator has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.acceptance.month.script import Person, Script
from tests.acceptance.scenario import Scenario
from tests.conftest import Project
from tests.servers.dovecot import HOST, PASSWORD, Dovecot
from tests.servers.smtp import RecordingServer

MAILBOX = "replies"
CAMPAIGN = "month"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def set_up(
    scenario: Scenario, script: Script, server: RecordingServer, dovecot: Dovecot, web_port: int
) -> None:
    """Services, templates, contacts, the campaign and its steps, a mailbox; and the campaign is started."""
    project = scenario.project
    project.config.write_text(
        project.config.read_text()
        + f'port = {web_port}\n[inbox]\nca_file = "{dovecot.authority.ca_file}"\npoll_seconds = 86400\n'
        "[feedback]\nbounce_rate = 0\ncomplaint_rate = 0\n"
    )
    for sender in script.senders:
        options = {
            "ramp": "{}+{}".format(*sender.ramp),
            "time_zone": sender.zone,
            "throttle_sec": sender.throttle,
            "jitter_sec": sender.jitter or None,
            "hourly_quota": sender.hourly_quota,
            "domain_quota": sender.domain_quota,
        }
        given = {name: value for name, value in options.items() if value is not None}
        scenario.service(sender.name, server, quota=sender.daily_quota, **given)
    _templates(project, script)
    add_people(project, script.wave(0), "people.csv")
    _campaign(project, script)
    project.run(
        "mailbox", "add", MAILBOX, "--host", HOST, "--port", str(dovecot.imaps),
        "--username", MAILBOX, "--service", script.senders[0].name, "--password-stdin",
        stdin=PASSWORD,
    )  # fmt: skip


def _templates(project: Project, script: Script) -> None:
    for step in script.steps:
        names = []
        for number, subject in enumerate(step.subjects):
            name = f"{step.name}-{number}"
            link = f'<a href="https://offer.example/{name}">our offer</a>'
            text = f"<p>{step.marker(number)}</p><p>Hello {{{{ contact.nickname }}}}, see {link}.</p>"
            body = project.write(f"{name}.html", text)
            written = subject.replace("NAME", "{{ contact.nickname }}")
            project.run("template", "add", name, "--subject", written, "--body-file", str(body))
            names += ["--template", name]
        project.run("template-set", "create", step.name, *names)


def add_people(project: Project, people: Sequence[Person], file_name: str) -> None:
    """Import contacts."""
    rows = [f"{one.email},{one.nickname},{one.place.time_zone},{one.place.country}" for one in people]
    file = project.write(file_name, "\n".join(["email,nickname,time_zone,country", *rows]) + "\n")
    assert project.json("contact", "import", str(file), "--tag", "lead")["imported"] == len(rows)


def _campaign(project: Project, script: Script) -> None:
    options = ["--time-zone", script.zone, "--holidays", "recipient"]
    for hours in script.window:
        named = ",".join(_DAYS[day] for day in hours.weekdays)
        options += ["--window", f"{named} {hours.start:02}:00-{hours.end:02}:00"]
    if script.new_per_day is not None:
        options += ["--new-per-day", str(script.new_per_day)]
    project.run("campaign", "create", CAMPAIGN, *options)
    before = ""
    for step in script.steps:
        follows = ["--rule", "tag:lead"]
        if before:
            follows = ["--after", before, "--days", str(step.days)]
            follows += ["--business-days"] if step.business_days else []
            follows += ["--if", "no click"] if step.unless_clicked else []
        project.run("task", "create", CAMPAIGN, step.name, "--template-set", step.name, *follows)
        before = step.name
    project.run("campaign", "start", CAMPAIGN)


def refusals(people: Sequence[Person]) -> list[dict[str, Any]]:
    """What the SMTP server answers to some recipients."""
    found: list[dict[str, Any]] = []
    for one in people:
        if one.refused:
            found.append({"at": "rcpt", "to": one.email, "reply": "550 5.1.1 no such user here"})
        elif one.greylisted:
            reply = "451 4.7.1 greylisted, please try again later"
            found.append({"at": "rcpt", "to": one.email, "times": 1, "reply": reply})
    return found
