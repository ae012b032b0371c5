"""Faults in the middle of a body that is too long for one write: before the final dot, so never in doubt."""

from __future__ import annotations

import pytest

from tests.acceptance.scenario import Scenario
from tests.faults import trouble
from tests.faults.oracle import assert_intact
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

RECIPIENTS = 12


def test_a_body_that_is_cut_off_or_not_taken_is_sent_again_whole(sqlite_scenario: Scenario) -> None:
    scenario = sqlite_scenario
    deeds = {
        1: {"do": "rst"},
        2: {"do": "drop"},
        3: {"do": "stop reading"},
        4: {"do": "raw", "bytes": "421 4.3.2 closing for repairs\r\n", "then": "drop"},
        5: {"do": "raw", "bytes": "250 2.0.0 taken already\r\n", "then": "stop reading"},
        6: {"do": "raw", "bytes": "552 5.3.4 message too big\r\n", "then": "stop reading"},
    }
    faults = [{"at": "body", "to": f"p{n}@", **deed, "times": 1} for n, deed in deeds.items()]
    trouble.impatient(scenario, patience=3)
    # Windows so small that a body does not fit into the kernel's buffers.
    with RecordingServer(faults=faults, receive_buffer=16_384) as server:
        trouble.add_service(scenario, "alpha", server.port, connections=3)
        line = "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 30
        body = scenario.project.write("long.html", f"<p>{line}</p>\n" * 14_000)
        text = scenario.project.write("long.txt", f"{line}\n" * 16_000)
        scenario.project.run(
            "template", "add", "long", "--subject", "A long one",
            "--body-file", str(body), "--text-file", str(text),
        )  # fmt: skip
        scenario.project.run("template-set", "create", "rotation", "--template", "long")
        scenario.contacts(RECIPIENTS)
        scenario.campaign()
        trouble.run_to_the_end(scenario)
        assert_intact(scenario, server, recipients=RECIPIENTS)
        assert trouble.addresses_in(scenario, "failed_to_send") == {"p6@example.com"}
        assert {message.size > 1_900_000 for message in server.messages()} == {True}, "whole, all of them"
    retried = {address for address, row in trouble.rows(scenario).items() if row.retries}
    assert retried >= {f"p{n}@example.com" for n in (1, 2, 3, 5)}
