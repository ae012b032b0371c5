"""Clocks and disks of a host that is to send."""

from __future__ import annotations

import fcntl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coldsend import clock
from coldsend.database.engine import Database
from coldsend.installation import hosts
from coldsend.stores import workers
from tests.conftest import Project

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:40 / /srv rw - nfs4 server:/export rw,vers=4.2
41 40 8:2 / /srv/local rw - xfs /dev/sdb1 rw
42 22 0:41 / /mnt/a\\040b rw - fuse.sshfs host: rw
"""


def shifted(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("ahead", "severity"), [(0, None), (5, "warning"), (-5, "warning"), (40, "error"), (-40, "error")]
)
def test_a_clock_is_compared_with_the_database_servers(
    mariadb_url: str, ahead: float, severity: str | None
) -> None:
    database = Database(mariadb_url)
    with database.read() as connection:
        found = list(hosts.clock_findings(connection, lambda: shifted(ahead)))
    database.dispose()
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    if found:
        assert f"{abs(ahead)}.0 s {'ahead of' if ahead > 0 else 'behind'} the database" in found[0].message
        assert "NTP" in found[0].hint


def test_a_slow_connection_is_not_taken_for_a_wrong_clock(mariadb_url: str) -> None:
    database = Database(mariadb_url)
    asked = iter([0.0, 6.0] * 3)  # the answer takes six seconds
    begun = datetime.now(UTC)
    with database.read() as connection:
        found = list(hosts.clock_findings(connection, lambda: begun + timedelta(seconds=next(asked))))
    database.dispose()
    assert found == []


def test_a_file_has_no_clock_of_its_own(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.read() as connection:
        assert hosts.skew(connection, lambda: shifted(1000)) is None
    database.dispose()


def test_a_process_whose_heartbeat_lies_ahead_is_named(database: Database) -> None:
    now = clock.now()
    for host, ahead in (("right", 0.2), ("fast", 12.0)):
        database.run(
            lambda connection, host=host, ahead=ahead: workers.register(
                connection,
                kind="sender",
                host=host,
                host_id="x",
                pid=1,
                now=now + timedelta(seconds=ahead),
                lease_seconds=60,
            )
        )
    with database.read() as connection:
        found = list(hosts.neighbour_findings(connection, now))
    assert [finding.severity for finding in found] == ["warning"]
    assert "host fast has its clock 12.0 s ahead" in found[0].message


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/x", "nfs4"),
        ("/srvx", "ext4"),
        ("/srv/local/s", "xfs"),
        ("/mnt/a b", "fuse.sshfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path, folder: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert hosts.file_system(Path(folder), mounts) == kind


def test_a_state_directory_on_the_network_is_warned_of(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n40 22 0:40 / {tmp_path.resolve()} rw - nfs server:/ rw\n"
    )
    found = list(hosts.state_dir_findings(tmp_path / "state", mounts))
    assert [(finding.severity, finding.subject) for finding in found] == [("warning", "state_dir")]
    assert "network file system (nfs)" in found[0].message


def test_a_disk_whose_locks_keep_nobody_out_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(hosts.state_dir_findings(tmp_path / "state")) == []
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    found = list(hosts.state_dir_findings(tmp_path / "state"))
    assert [finding.severity for finding in found] == ["error"]
    assert list(tmp_path.iterdir()) == [], "the test file is gone"


def test_doctor_reports_a_wrong_clock(
    mariadb_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, mariadb_url)
    monkeypatch.setattr(hosts.clock_findings, "__defaults__", (lambda: shifted(-90),))
    result = project.run("doctor", "--json", check=False)
    project.database.dispose()
    assert result.code == 4
    assert [f["severity"] for f in result.json["findings"] if f["subject"] == "clock"] == ["error"]
