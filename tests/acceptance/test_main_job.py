"""The main job, whole: import, expand, rotate, pace, send, report; and the rest on the next quota day."""

from __future__ import annotations

import itertools

import pytest

from tests.acceptance.scenario import TASK, Scenario, assert_nobody_twice
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]


def test_twenty_thousand_contacts_through_two_quotas_and_two_days(
    scenario: Scenario, server: RecordingServer, database_url: str
) -> None:
    """Four thousand on SQLite, where others try how it bears the load."""
    unit = 200 if database_url.startswith("sqlite") else 1_000
    everybody, alpha, beta = 20 * unit, 12 * unit, 5 * unit
    scenario.service("alpha", server, quota=alpha, connections=8)
    scenario.service("beta", server, quota=beta, connections=8)
    scenario.templates(3)
    scenario.contacts(everybody)
    scenario.campaign()
    scenario.run_until_idle(workers=2)

    first_day = server.messages()
    assert len(first_day) == alpha + beta
    assert_nobody_twice(first_day)
    by_sender = [
        sum(message.mail_from.startswith(name) for message in first_day) for name in ("alpha", "beta")
    ]
    assert by_sender == [alpha, beta]
    report = scenario.project.json("report", "campaign", "spring")
    assert report["by_status"] == {"pending": everybody - alpha - beta, "sent": alpha + beta}
    assert sum(report["by_template"].values()) == everybody
    assert max(report["by_template"].values()) - min(report["by_template"].values()) <= 1
    assert report["by_service"] == {"alpha": alpha, "beta": beta}

    sent_to = {message.rcpt_to[0] for message in first_day}
    waiting = next(f"p{n}@example.com" for n in range(everybody) if f"p{n}@example.com" not in sent_to)
    why = scenario.project.json("why", TASK, waiting)
    assert why["state"] == "pending"
    quota_gates = [gate for gate in why["blocked_by"] if gate["gate"] == "quota"]
    assert {name for name in ("alpha", "beta") if any(name in gate["detail"] for gate in quota_gates)} == {
        "alpha",
        "beta",
    }
    assert all(gate["until"] for gate in quota_gates)

    scenario.jump(86_400)
    scenario.run_until_idle(workers=2)
    both_days = server.messages()
    assert len(both_days) == everybody
    assert_nobody_twice(both_days)
    assert scenario.project.json("task", "show", TASK)["status"] == "finished"
    assert scenario.project.json("campaign", "show", "spring")["status"] == "completed"


@pytest.mark.parametrize(
    "database_url", ["mariadb"], indirect=True
)  # SQLite: domain and stores have tests of their own
def test_throttle_gaps_are_never_undercut_by_three_workers(
    scenario: Scenario, server: RecordingServer
) -> None:
    scenario.service("quick", server, throttle_sec=0.2)
    scenario.service("slow", server, throttle_sec=1)
    scenario.templates(1)
    scenario.contacts(40)
    scenario.campaign()
    scenario.run_until_idle(workers=3)
    messages = server.messages()
    assert len(messages) == 40
    assert_nobody_twice(messages)
    for name, throttle in (("quick", 0.2), ("slow", 1.0)):
        times = sorted(m.monotonic for m in messages if m.mail_from.startswith(name))
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert gaps, f"{name} sent nothing"
        assert min(gaps) >= throttle
    slow = sum(m.mail_from.startswith("slow") for m in messages)
    assert slow >= 2, "the slow one did its share, how late its worker began"
