"""coldsend doctor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.config.secrets import (
    KeyRing,
    load_key_ring,
    new_key,
    service_owner,
    webhook_owner,
    write_key_file,
)
from coldsend.config.settings import Settings
from coldsend.database.tables import sender_services, signing_keys
from coldsend.domain.states import Role
from coldsend.installation import doctor, hosts
from coldsend.stores import access, users
from coldsend.stores.lookup import inserted_id
from tests.conftest import Project
from tests.servers.ports import free_port

pytestmark = pytest.mark.costly


def keys_of(project: Project) -> KeyRing:
    return load_key_ring(Settings(secret_key_file=project.folder / "coldsend.key"))


def add_service(project: Project, name: str, **values: Any) -> int:
    """A service in good health unless ``values`` say otherwise."""
    signed = {"settings": {"dkim": "server"}}
    row = {"name": name, "type": "smtp", "from_email": "a@example.com", "daily_quota": 10, **signed, **values}
    with project.database.begin() as connection:
        service_id = inserted_id(connection.execute(sa.insert(sender_services).values(row)))
        secret = keys_of(project).seal({"password": "sesame"}, service_owner(service_id))
        of_it = sa.update(sender_services).where(sender_services.c.id == service_id)
        connection.execute(of_it.values(credentials=secret))
        return service_id


@pytest.fixture
def patient(project: Project) -> Project:
    """An installation in which there is nothing to find, on both databases."""
    add_service(project, "gmail-1")
    return project


@pytest.fixture
def sqlite_patient(sqlite_project: Project) -> Project:
    add_service(sqlite_project, "gmail-1")
    return sqlite_project


def found(project: Project, *arguments: str) -> list[tuple[str, str]]:
    """Severity and subject of all findings; the exit code goes with them."""
    result = project.run("doctor", "--json", *arguments, check=False)
    errors = [finding for finding in result.json["findings"] if finding["severity"] == "error"]
    assert result.code == (4 if errors else 0)
    assert result.json["ok"] is (not errors)
    assert all(
        set(finding) == {"severity", "subject", "message", "hint"} for finding in result.json["findings"]
    )
    assert all(finding["hint"] for finding in result.json["findings"])
    return [(finding["severity"], finding["subject"]) for finding in result.json["findings"]]


def configure(project: Project, text: str) -> None:
    project.config.write_text(text + f'\n[database]\nurl = "{project.url}"\n')
    project.config.chmod(0o600)


def relevant(findings: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without what the test server's own settings give rise to (it trades durability for speed)."""
    return [finding for finding in findings if not finding[1].startswith(("innodb_", "sync_binlog"))]


def test_a_healthy_installation_has_nothing_to_complain_of(
    patient: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.config.chmod(0o600)
    assert relevant(found(patient)) == []


def test_all_problems_of_configuration_key_and_services_come_at_once(sqlite_patient: Project) -> None:
    add_service(
        sqlite_patient, "frozen", health_status="frozen", frozen_code="credentials", frozen_reason="535"
    )
    add_service(sqlite_patient, "empty", daily_quota=0)
    configure(sqlite_patient, "[web]\nport = 'x'\nhots = 1\n")
    (sqlite_patient.folder / "coldsend.key").chmod(0o644)
    assert found(sqlite_patient) == [
        ("error", "coldsend.toml:2 [web] port"),
        ("error", "coldsend.toml:3 [web] hots"),
        ("error", "postal_address"),
        ("error", "[web] base_url"),
        ("error", "secret key"),
        ("warning", "service 'frozen'"),
        ("warning", "service 'empty'"),
    ]


def test_people_read_each_finding_with_its_way_out_and_a_summary(sqlite_patient: Project) -> None:
    configure(sqlite_patient, '[web]\nbase_url = "http://x.example"\n')
    result = sqlite_patient.run("doctor", check=False)
    assert "error: postal_address: is empty" in result.out
    assert "  put a web server with a certificate" in result.out
    assert result.out.endswith("1 error, 1 warning\n")
    assert result.code == 4


@pytest.mark.parametrize("text", ["x = ", "[database]\nurl = 'mysql://u:sesame/1@h/x'\n", "secret_key = 5"])
def test_a_broken_configuration_is_a_finding_and_no_secret_is_shown(
    sqlite_patient: Project, text: str
) -> None:
    sqlite_patient.config.write_text(text)
    result = sqlite_patient.run("doctor", "--json", check=False)
    assert result.code == 4
    assert result.json["findings"][0]["subject"].startswith("coldsend.toml:")
    assert "sesame" not in result.out + result.err


def test_without_a_configuration_file_that_is_said(
    sqlite_patient: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coldsend.installation.doctor import Patient, findings

    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    subjects = [(finding.severity, finding.subject) for finding in findings(Patient(None, None, {}))]
    assert subjects == [
        ("error", "postal_address"),
        ("error", "[web] base_url"),
        ("error", "secret key"),
        ("error", "database"),
        ("warning", "configuration"),
    ]
    assert list((tmp_path / "empty").iterdir()) == []  # looking made nothing


def test_a_named_configuration_that_is_missing_is_an_error(sqlite_project: Project) -> None:
    sqlite_project.config.unlink()
    assert found(sqlite_project) == [("error", "configuration")]


def test_a_database_out_of_reach_does_not_hide_the_rest(sqlite_project: Project) -> None:
    url = f"mysql://u:sesame@127.0.0.1:{free_port()}/x"
    sqlite_project.config.write_text(f'[database]\nurl = "{url}"\n')
    sqlite_project.config.chmod(0o600)
    assert found(sqlite_project) == [
        ("error", "postal_address"),
        ("error", "[web] base_url"),
        ("error", "database"),
    ]


def test_an_outdated_schema_is_one_finding(sqlite_patient: Project) -> None:
    with sqlite_patient.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")
    assert ("error", "database") in found(sqlite_patient)


def test_a_password_in_a_file_that_others_can_read_is_a_warning(
    sqlite_patient: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = sqlite_patient.config.read_text()
    key = (sqlite_patient.folder / "coldsend.key").read_text().splitlines()[-1]
    sqlite_patient.config.write_text(f'secret_key = "{key}"\n{text}')
    sqlite_patient.config.chmod(0o644)
    assert found(sqlite_patient) == [("warning", str(sqlite_patient.config))]
    monkeypatch.setenv("COLDSEND_SECRET_KEY", key)  # the file may hold anything then
    assert found(sqlite_patient) == []
    monkeypatch.delenv("COLDSEND_SECRET_KEY")
    sqlite_patient.config.chmod(0o600)
    assert found(sqlite_patient) == []


def test_values_that_do_not_open_are_named(patient: Project) -> None:
    write_key_file(patient.folder / "coldsend.key", [new_key()])
    subjects = [subject for severity, subject in relevant(found(patient)) if severity == "error"]
    assert subjects == ["service 'gmail-1'", "signing key 'links'", "signing key 'suppression'"]


def test_missing_signing_keys_lead_to_init(sqlite_patient: Project) -> None:
    with sqlite_patient.database.begin() as connection:
        connection.execute(sa.delete(signing_keys))
    assert found(sqlite_patient) == [
        ("error", "signing key 'links'"),
        ("error", "signing key 'suppression'"),
    ]


def test_a_rotation_left_half_way_and_a_key_that_is_not_needed_are_warnings(sqlite_patient: Project) -> None:
    file = sqlite_patient.folder / "coldsend.key"
    old = file.read_text().splitlines()[-1]
    write_key_file(file, [new_key(), old])
    half_way = sqlite_patient.json("doctor")["findings"]
    assert half_way[0]["hint"] == "finish it with: coldsend key rotate"
    write_key_file(file, [old, new_key()])
    unneeded = sqlite_patient.json("doctor")["findings"]
    assert "nothing in the database needs key" in unneeded[0]["message"]


def test_a_service_granted_to_nobody_is_a_warning_once_there_are_operators(patient: Project) -> None:
    with patient.database.begin() as connection:
        anna = users.add(connection, "anna", Role.OPERATOR, clock.now())
    assert ("warning", "service 'gmail-1'") in found(patient)
    with patient.database.begin() as connection:
        access.grant(connection, anna, 1, clock.now())
    assert ("warning", "service 'gmail-1'") not in found(patient)


def test_a_provider_that_nobody_listens_to_is_a_warning(sqlite_project: Project) -> None:
    service_id = add_service(sqlite_project, "sg", settings={"host": "smtp.sendgrid.net", "dkim": "server"})
    findings = sqlite_project.json("doctor")["findings"]
    assert [one["message"] for one in findings if one["subject"] == "service 'sg'"] == [
        "has no webhook secret: what sendgrid tells of bounces and complaints is refused"
    ]
    with sqlite_project.database.begin() as connection:
        secret = keys_of(sqlite_project).seal(
            {"provider": "sendgrid", "secret": "k"}, webhook_owner(service_id)
        )
        connection.execute(sa.update(sender_services).values(webhook_secret=secret))
    assert found(sqlite_project) == []


def test_an_installation_without_services_is_told_how_to_add_one(sqlite_project: Project) -> None:
    assert ("warning", "services") in found(sqlite_project)


def test_a_wrong_acting_user_is_found(sqlite_patient: Project) -> None:
    assert found(sqlite_patient, "--as", "nobody") == [("error", "user")]


def test_a_test_clock_in_force_is_a_warning(sqlite_patient: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLDSEND_TEST_CLOCK", str(sqlite_patient.write("offset", "86400")))
    assert found(sqlite_patient) == [("warning", "clock")]


@pytest.mark.parametrize(("seconds", "told"), [(-60, "error"), (60, "error"), (9, "warning"), (0, "")])
def test_a_clock_that_is_not_the_database_servers_is_told_of_once(
    patient: Project, seconds: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = timedelta(seconds=seconds)
    shifted = lambda: datetime.now(UTC) + wrong  # noqa: E731
    monkeypatch.setattr(hosts.clock_findings, "__defaults__", (shifted,))
    monkeypatch.setattr(doctor.findings, "__defaults__", (shifted, ()))
    its_own = patient.database.dialect_name == "sqlite"  # it asks this host
    assert [severity for severity, subject in found(patient) if subject == "clock"] == (
        [told] if told and not its_own else []
    )


def test_a_state_directory_that_cannot_be_used_is_an_error(sqlite_patient: Project) -> None:
    sqlite_patient.write("file", "")
    text = sqlite_patient.config.read_text()
    sqlite_patient.config.write_text('state_dir = "file/state"\n' + text)
    assert found(sqlite_patient) == [("error", "state_dir")]


def test_looking_changes_nothing(sqlite_patient: Project) -> None:
    found(sqlite_patient)
    before = {path: path.read_bytes() for path in sqlite_patient.folder.iterdir() if path.is_file()}
    found(sqlite_patient)
    assert {path: path.read_bytes() for path in sqlite_patient.folder.iterdir() if path.is_file()} == before
