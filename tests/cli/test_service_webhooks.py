"""coldsend service: whose webhooks tell of a service's mail, and how they are known."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from coldsend.composing.tokens import Kind, Tokens
from coldsend.config.secrets import load_key_ring, webhook_owner
from coldsend.config.settings import Settings
from coldsend.stores import sealed, services, signing_keys
from tests.conftest import Project, Result

APP_KEY = "app-key-of-engagelab"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:coldsend"
FROM = ("--from", "a@example.com", "--daily-quota", "10")


def add_api(project: Project) -> None:
    project.run(
        "service",
        "add",
        "api",
        "--type",
        "jiguang",
        "--username",
        "u",
        "--password-stdin",
        *FROM,
        stdin="k\n",
    )


def add_smtp(project: Project, host: str, *more: str) -> None:
    project.run("service", "add", "main", "--type", "smtp", "--host", host, *FROM, *more)


def enter(project: Project, name: str, secret: str, *more: str) -> Result:
    return project.run("service", "update", name, "--webhook-secret-stdin", *more, stdin=secret)


def public_key() -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(ec.SECP256R1()).public_key()


def test_the_url_for_the_provider_names_the_service(project: Project) -> None:
    add_api(project)
    shown = project.json("service", "show", "api")
    provider, token = shown["webhook"]["url"].removeprefix("https://mail.example.com/w/").split("/")
    keys = load_key_ring(Settings(secret_key_file=project.folder / "coldsend.key"))
    with project.database.read() as connection:
        tokens = Tokens(signing_keys.load(connection, keys, "links"))
    assert provider == shown["webhook"]["provider"] == "engagelab"
    assert tokens.read(token) == (Kind.WEBHOOK, shown["id"])


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("smtp.sendgrid.net", "sendgrid"),
        ("email-smtp.eu-west-1.amazonaws.com", "ses"),
        ("email-smtp-fips.us-east-1.amazonaws.com", "ses"),
    ],
)
def test_the_host_of_a_relay_tells_the_provider(sqlite_project: Project, host: str, provider: str) -> None:
    add_smtp(sqlite_project, host)
    assert sqlite_project.json("service", "show", "main")["webhook"]["provider"] == provider


def test_a_server_of_ones_own_has_no_webhooks_until_told_so(sqlite_project: Project) -> None:
    add_smtp(sqlite_project, "relay.example.com")
    assert sqlite_project.json("service", "show", "main")["webhook"] is None
    sqlite_project.run("service", "update", "main", "--webhook", "ses")
    assert sqlite_project.json("service", "show", "main")["webhook"]["provider"] == "ses"


@pytest.mark.costly
def test_a_secret_is_stored_encrypted_for_its_row_and_shown_nowhere(project: Project) -> None:
    add_api(project)
    assert project.json("service", "show", "api")["webhook"]["has_secret"] is False
    changed = enter(project, "api", f"{APP_KEY}\n")
    shown = [project.run("service", "show", "api", *way) for way in ([], ["--json"])]
    assert shown[1].json["webhook"]["has_secret"] is True
    assert all(APP_KEY not in result.out + result.err for result in (changed, *shown))
    keys = load_key_ring(Settings(secret_key_file=project.folder / "coldsend.key"))
    with project.database.read() as connection:
        row = services.find(connection, "api")
        assert APP_KEY not in json.dumps(row["webhook_secret"])
        opened = keys.open(row["webhook_secret"], webhook_owner(row["id"]))
    assert opened == {"provider": "engagelab", "secret": APP_KEY}


@pytest.mark.costly
def test_it_is_sealed_anew_when_the_key_is_rotated(project: Project) -> None:
    add_api(project)
    enter(project, "api", APP_KEY)
    project.run("key", "rotate", "--yes")
    keys = load_key_ring(Settings(secret_key_file=project.folder / "coldsend.key"))
    with project.database.read() as connection:
        found = [one for one in sealed.values(connection) if one.column.name == "webhook_secret"]
        assert [one.subject for one in found] == ["webhooks of service 'api'"]
        assert keys.is_current(found[0].value)
    assert project.json("service", "show", "api")["webhook"]["has_secret"] is True


def test_new_secrets_leave_credentials_and_settings_as_they_are(project: Project) -> None:
    add_api(project)
    with project.database.read() as connection:
        before = services.find(connection, "api")
    enter(project, "api", APP_KEY)
    with project.database.read() as connection:
        after = services.find(connection, "api")
    assert (after["credentials"], after["settings"]) == (before["credentials"], before["settings"])


@pytest.mark.parametrize("pem", [True, False])
def test_sendgrids_key_is_taken_as_it_shows_it_and_as_pem(sqlite_project: Project, pem: bool) -> None:
    add_smtp(sqlite_project, "smtp.sendgrid.net")
    encoded = public_key().public_bytes(
        Encoding.PEM if pem else Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    enter(sqlite_project, "main", encoded.decode() if pem else base64.b64encode(encoded).decode())
    assert sqlite_project.json("service", "show", "main")["webhook"]["has_secret"] is True


@pytest.mark.parametrize(
    ("host", "secret", "said"),
    [
        ("smtp.sendgrid.net", "SG.notakey", "no public key"),
        ("smtp.sendgrid.net", "", "standard input is empty"),
        ("email-smtp.eu-west-1.amazonaws.com", "coldsend", "arn:aws:sns:"),
        ("email-smtp.eu-west-1.amazonaws.com", TOPIC + "\n" + TOPIC, "arn:aws:sns:"),
        ("relay.example.com", TOPIC, "--webhook"),
    ],
)
def test_what_cannot_be_the_secret_is_refused_and_not_repeated(
    sqlite_project: Project, host: str, secret: str, said: str
) -> None:
    add_smtp(sqlite_project, host)
    refused = sqlite_project.run(
        "service", "update", "main", "--webhook-secret-stdin", stdin=secret, check=False
    )
    assert refused.code == 4
    assert said in refused.err
    assert "SG.notakey" not in refused.err
    with sqlite_project.database.read() as connection:
        assert services.find(connection, "main")["webhook_secret"] is None


def test_provider_and_secret_can_be_given_together(sqlite_project: Project) -> None:
    add_smtp(sqlite_project, "relay.example.com")
    enter(sqlite_project, "main", TOPIC, "--webhook", "ses")
    shown = sqlite_project.json("service", "show", "main")["webhook"]
    assert (shown["provider"], shown["has_secret"]) == ("ses", True)


def test_the_secret_of_one_provider_is_none_of_another(sqlite_project: Project) -> None:
    add_smtp(sqlite_project, "relay.example.com", "--webhook", "ses")
    enter(sqlite_project, "main", TOPIC)
    sqlite_project.run("service", "update", "main", "--webhook", "engagelab")
    assert sqlite_project.json("service", "show", "main")["webhook"]["has_secret"] is False


def test_standard_input_holds_one_secret(sqlite_project: Project) -> None:
    add_api(sqlite_project)
    both = ("--password-stdin", "--webhook-secret-stdin")
    refused = sqlite_project.run("service", "update", "api", *both, stdin="x\n", check=False)
    assert refused.code == 2
    assert "exclude each other" in refused.err


def test_an_unknown_provider_is_refused(sqlite_project: Project) -> None:
    add_smtp(sqlite_project, "relay.example.com")
    refused = sqlite_project.run("service", "update", "main", "--webhook", "mailgun", check=False)
    assert refused.code == 4
    assert "sendgrid" in refused.err


def test_without_a_base_url_there_is_no_url(sqlite_project: Project) -> None:
    add_api(sqlite_project)
    text = sqlite_project.config.read_text().replace('base_url = "https://mail.example.com"\n', "")
    sqlite_project.config.write_text(text)
    assert sqlite_project.json("service", "show", "api")["webhook"]["url"] is None


def test_whoever_names_a_provider_is_told_to_enter_what_proves_it(sqlite_project: Project) -> None:
    add_smtp(sqlite_project, "relay.example.com")
    told = sqlite_project.run("service", "update", "main", "--webhook", "sendgrid")
    assert "--webhook-secret-stdin" in told.err
