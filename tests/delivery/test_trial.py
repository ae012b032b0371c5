"""`service test`: the message it makes, and the throttle gap it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email import message_from_string
from email.policy import default

import pytest

from coldsend import clock
from coldsend.config.secrets import KeyRing, new_key, parse_key, service_owner
from coldsend.config.settings import Settings
from coldsend.database.engine import Database
from coldsend.delivery import trial
from coldsend.domain import address
from coldsend.domain.service import Service
from coldsend.errors import WrongState
from coldsend.stores import gaps, leases, quota, services, workers
from tests.servers.engagelab import API_KEY, API_USER, EngageLab
from tests.stores.rows import NOON, add_service


@pytest.fixture
def api() -> Iterator[EngageLab]:
    with EngageLab() as server:
        yield server


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing([parse_key(new_key(), "test")])


def add_api(database: Database, keys: KeyRing, url: str, throttle: float) -> int:
    service_id = add_service(
        database, "api", type="jiguang", settings={"api_url": url}, throttle_sec=throttle, daily_quota=9
    )
    sealed = keys.seal({"api_user": API_USER, "api_key": API_KEY}, service_owner(service_id))
    with database.begin() as connection:
        services.change(connection, service_id, {"credentials": sealed}, NOON)
    return service_id


def run(database: Database, keys: KeyRing) -> trial.Trial:
    return trial.run_trial(database, keys, Settings(), "api", "me@example.com", clock.now)


@pytest.mark.costly
def test_two_tests_of_a_throttled_service_keep_the_gap(
    database: Database, keys: KeyRing, api: EngageLab
) -> None:
    service_id = add_api(database, keys, api.url, 0.7)
    for _ in range(2):
        assert run(database, keys).accepted
    assert api.times[1] - api.times[0] >= 0.7
    with database.begin() as connection:
        left = gaps.read(connection, service_id)
    assert left.ends is not None
    assert left.ends <= clock.now() + timedelta(seconds=0.7)


def test_a_failed_test_keeps_the_gap_too(database: Database, keys: KeyRing, api: EngageLab) -> None:
    service_id = add_api(database, keys, api.url, 30)
    api.behave(fault="drop", take=True)
    assert not run(database, keys).accepted
    with database.begin() as connection:
        ends = gaps.read(connection, service_id).ends
    assert ends is not None
    assert timedelta(seconds=20) < ends - clock.now() <= timedelta(seconds=30)


@pytest.mark.costly
def test_a_test_does_not_send_while_a_worker_owns_the_service(
    database: Database, keys: KeyRing, api: EngageLab
) -> None:
    service_id = add_api(database, keys, api.url, 0.5)
    now = clock.now()
    with database.begin() as connection:
        worker = workers.register(
            connection, kind="sender", host="h", host_id="h", pid=1, now=now, lease_seconds=60
        )
        assert leases.take_sender(connection, service_id, worker, now, 0.5)
    with pytest.raises(WrongState, match=f"worker {worker}"):
        run(database, keys)
    assert api.messages == []
    with database.begin() as connection:
        workers.stop(connection, worker, now)
    assert run(database, keys).accepted


def test_a_test_is_refused_where_the_gap_is_longer_than_anybody_waits(
    database: Database, keys: KeyRing, api: EngageLab
) -> None:
    service_id = add_api(database, keys, api.url, 3600)
    with database.begin() as connection:
        gap = gaps.read(connection, service_id)
        assert gaps.move(connection, service_id, gap, clock.now() + timedelta(hours=1))
    with pytest.raises(WrongState, match="throttled"):
        run(database, keys)
    assert api.messages == []


def test_a_refused_test_takes_nothing_out_of_the_quota(
    database: Database, keys: KeyRing, api: EngageLab
) -> None:
    service_id = add_api(database, keys, api.url, 0)
    api.behave(status=401, body={"code": 30000, "message": "Authentication failed."})
    assert not run(database, keys).accepted
    with database.read() as connection:
        assert quota.used(connection, service_id, clock.now().date()) == 0


def test_of_two_who_move_the_same_gap_one_succeeds(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        known = gaps.read(connection, service_id)
        assert gaps.move(connection, service_id, known, NOON)
        assert not gaps.move(connection, service_id, known, NOON + timedelta(seconds=1))


def test_a_test_travels_under_the_addresses_of_the_service() -> None:
    service = Service(
        1, "main", "smtp", "anna@example.com", settings={"bounce_address": "b+{token}@example.com"}
    )
    made = trial.compose(service, address.parse("me@example.com"), NOON, ["x" * 26])
    assert made.mail_from == "b+xxxxxxxxxxxxxxxxxxxxxxxxxx@example.com"
    assert message_from_string(made.data.decode(), policy=default)["From"].addresses[0].addr_spec == (
        "anna@example.com"
    )


@pytest.mark.parametrize(
    ("name", "email"),
    [(None, "anna@example.com"), ("Smith, Jörg", "j@bücher.example"), ("张三", "zhang@example.com"),
     ("Jörg", "jörg@example.com")],
)  # fmt: skip
def test_the_message_is_one_that_servers_accept(name: str | None, email: str) -> None:
    service = Service(1, "main", "smtp", email, from_name=name, settings={"reply_to": "team@bücher.example"})
    made = trial.compose(service, address.parse("me@bücher.example"), NOON)
    parsed = message_from_string(made.data.decode(), policy=default)
    assert parsed["From"].addresses[0].display_name == (name or "")
    assert made.mail_from.rpartition("@")[2].isascii()
    assert made.rcpt_to == "me@xn--bcher-kva.example"
    assert made.smtputf8 == (not email.partition("@")[0].isascii())
    for header in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Reply-To"):
        assert len(parsed.get_all(header)) == 1
    assert made.data.count(b"\n") == made.data.count(b"\r\n")
