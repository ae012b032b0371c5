"""A webhook's whole way: the URL that `service show` prints, a running `coldsend web run`, the ledger."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from coldsend import clock
from coldsend.composing.tokens import Kind, Tokens
from coldsend.config.loading import load
from coldsend.config.secrets import load_key_ring
from coldsend.database.tables import task_contacts
from coldsend.stores import signing_keys
from tests.conftest import Project
from tests.planning.world import World
from tests.servers.ports import free_port
from tests.web.webhooks.samples import RECIPIENT, SendGridAccount, sendgrid_event

PATIENCE = 120.0  # seconds


@pytest.fixture
def web(sqlite_project: Project) -> Iterator[str]:
    """Address of the project's web part."""
    port = free_port()
    process = sqlite_project.start("web", "run", "--port", str(port), stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        _out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err


def _wait_for(address: str, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{address}/healthz", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    pytest.fail(f"the web part does not answer: {process.communicate()[1] if process.poll() else ''}")


@pytest.mark.slow
def test_a_signed_request_to_the_url_given_out_reaches_the_ledger(sqlite_project: Project, web: str) -> None:
    project, account = sqlite_project, SendGridAccount()
    world = World(project.database)
    project.run(
        "service", "add", "main", "--type", "smtp", "--host", "smtp.sendgrid.net", "--from", "a@example.com",
        "--daily-quota", "10",
    )  # fmt: skip
    shown = project.json("service", "update", "main", "--webhook-secret-stdin", stdin=account.public_key)
    url = project.json("service", "show", "main")["webhook"]["url"]
    url = url.replace("https://mail.example.com", web)
    sent_at = clock.now() - timedelta(hours=1)
    task = world.task(world.campaign("spring", "active"), "intro", "sending", expanded_at=sent_at)
    (row,) = world.rows(task, "sent", sent_at=sent_at, attempt_at=sent_at, sender_service_id=shown["id"])
    keys = load_key_ring(load(str(project.config), environ={}))
    with project.database.read() as connection:
        tokens = Tokens(signing_keys.load(connection, keys, "links"))
    event = sendgrid_event(
        "bounce",
        **{"smtp-id": f"<{tokens.issue_folded(Kind.MESSAGE_ID, row)}@example.com>"},
        bounce_classification="Invalid Address",
        reason="550 5.1.1 no such user",
        timestamp=int(clock.now().timestamp()),
    )
    body = json.dumps([event]).encode()
    with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
        forged = client.post(url, content=body, headers=SendGridAccount().headers(body, clock.now()))
        assert forged.status_code == 403
        assert world.row(task_contacts, row)["status"] == "sent"
        headers = account.headers(body, clock.now())
        answers = [client.post(url, content=body, headers=headers).status_code for _ in range(3)]
    assert answers == [200, 200, 200]
    assert world.row(task_contacts, row)["status"] == "bounced"
    bounces = [event for event in project.json("event", "list") if event["type"] == "bounce"]
    assert len(bounces) == 1
    assert bounces[0]["details"]["source"] == "webhook:sendgrid"
    assert RECIPIENT not in json.dumps(bounces)
    (suppressed,) = project.json("suppression", "list")
    assert suppressed["reason"] == "hard_bounce"
