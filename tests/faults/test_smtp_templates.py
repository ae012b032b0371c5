"""Poison templates: some cannot get in, those that do stop single recipients, never a sender process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.scenario import Scenario
from tests.faults import trouble
from tests.faults.oracle import assert_intact
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

LIST = ", ".join(str(number) for number in range(100))
ENDLESS = [
    "{% for x in range(10**9) %}x{% endfor %}",
    '{{ "x" * 1000000000 }}',
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    '{{ "%1000000000d" | format(1) }}',
    '{{ "x" | center(1000000000) }}',
    "{% for a in contact.email %}{{ a }}{% endfor %}",
    f"{{% for a in [{LIST}, 100] %}}a{{% endfor %}}",
    "{% for a in [1] %}{% for b in [1] %}{% for c in [1] %}{% endfor %}{% endfor %}{% endfor %}",
    "{{ ''.__class__.__mro__ }}",
]


@pytest.mark.parametrize("body", ENDLESS)
def test_a_template_that_could_run_for_ever_does_not_get_in(body: str, sqlite_scenario: Scenario) -> None:
    file = sqlite_scenario.project.write("endless.html", f"<p>{body}</p>")
    refused = sqlite_scenario.project.run(
        "template", "add", "endless", "--subject", "Hello", "--body-file", str(file), check=False
    )
    assert refused.code == 4
    assert sqlite_scenario.project.json("template", "list") == []


def test_a_template_that_explodes_at_some_recipients_stops_those_and_no_process(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    """A few kilobytes that would join to gigabytes, a link that leads nowhere, a variable that is missing."""
    scenario = sqlite_scenario
    trouble.impatient(scenario, patience=trouble.UNHURRIED)
    trouble.add_service(scenario, "alpha", server.port)
    long = "x" * 60_000
    body = (
        f'{{% set a = "{long}" %}}'
        '{% if contact.nickname == "Person 3" %}{{ a | join(a) }}{% endif %}'
        '{% if contact.nickname == "Person 13" %}{{ [a] | join | join(a) }}{% endif %}'
        '{% if contact.nickname == "Person 23" %}{{ ' + " ~ ".join(["a"] * 3_000) + " }}{% endif %}"
        '{% if contact.nickname == "Person 33" %}<a href="{{ contact.nickname }}">there</a>{% endif %}'
        '{% if contact.nickname == "Person 43" %}{{ contact.company }}{% endif %}'
        "<p>Hello {{ contact.nickname }}</p>"
    ).replace("{{ [a] | join | join(a) }}", "{{ a | urlencode | join(a | urlencode) }}")
    file = scenario.project.write("poison.html", body)
    scenario.contacts(300)
    scenario.project.run("contact", "update", "p0@example.com", "--field", "company=Acme")
    scenario.project.run("template", "add", "poison", "--subject", "Hello", "--body-file", str(file))
    scenario.project.run("template-set", "create", "rotation", "--template", "poison")
    scenario.campaign()
    process = trouble.start(scenario)
    trouble.until(scenario, lambda: bool(scenario.sender_pids()), "a sender runs")
    (sender,) = scenario.sender_pids()
    trouble.until(scenario, lambda: trouble.ended(scenario), "everything has ended")
    peak = most_memory(sender)
    trouble.stop(process)
    poisoned = {f"p{number}@example.com" for number in (3, 13, 23, 33, 43)}
    assert trouble.addresses_in(scenario, "skipped") == poisoned
    assert_intact(scenario, server, recipients=300)
    reasons = {address: trouble.rows(scenario)[address] for address in poisoned}
    for number in (3, 13, 23):
        assert "renders to too much text" in reasons[f"p{number}@example.com"].error_message
    assert reasons["p43@example.com"].reason == "missing_variable"
    assert peak < 300_000_000
    assert trouble.log(scenario, "worker_process_ended") == []


def most_memory(pid: int) -> int:
    """The most octets a process has held at once."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
