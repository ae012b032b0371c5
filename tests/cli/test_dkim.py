"""coldsend dkim, and what doctor and other commands say of DKIM keys."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.config.loading import load
from coldsend.config.secrets import load_key_ring, new_key, write_key_file
from coldsend.database.tables import dkim_keys
from coldsend.stores import dkim_keys as stored
from tests.composing.verifiers import by_dkimpy
from tests.conftest import Project
from tests.servers.dns import DnsServer
from tests.servers.smtp import RecordingServer

pytestmark = pytest.mark.costly


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    with DnsServer() as server:
        monkeypatch.setenv("COLDSEND_DKIM_DNS_SERVERS", server.address)
        yield server


def publish(dns: DnsServer, key: dict[str, Any]) -> None:
    dns.records[key["record"]["name"]] = [key["record"]["value"]]


def add_service(project: Project, name: str = "main", *more: str, sender: str = "anna@example.com") -> None:
    project.run(
        *("service", "add", name, "--type", "smtp", "--host", "127.0.0.1", "--port", "9", "--tls", "none"),
        *("--from", sender, "--daily-quota", "9", "--throttle-sec", "0", *more),
    )


def added(project: Project, *options: str, domain: str = "example.com") -> dict[str, Any]:
    return dict(project.json("dkim", "add", domain, *options))


def states(project: Project) -> dict[str, str]:
    return {key["selector"]: key["status"] for key in project.json("dkim", "list")}


def openssl(*arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def test_a_key_is_made_published_checked_and_activated(project: Project, dns: DnsServer) -> None:
    add_service(project)
    key = added(project, "--selector", "One")
    assert (key["selector"], key["algorithm"], key["bits"], key["status"]) == ("one", "rsa", 2048, "new")
    assert key["record"]["name"] == "one._domainkey.example.com"
    assert project.run("dkim", "check", "example.com", check=False).code == 4
    assert project.run("dkim", "activate", "example.com", check=False).code == 4
    assert states(project) == {"one": "new"}
    publish(dns, key)
    assert project.json("dkim", "check", "example.com")["ok"] is True
    active = project.json("dkim", "activate", "example.com")
    assert (active["status"], active["services"], active["retired"]) == ("active", ["main"], [])


def test_the_record_is_shown_in_one_line_and_for_zone_files(sqlite_project: Project) -> None:
    result = sqlite_project.run("dkim", "add", "example.com", "--selector", "one")
    lines = result.out.splitlines()
    assert "DKIM key example.com/one added (rsa 2048); publish it:" in lines
    shown = sqlite_project.json("dkim", "show", "example.com")[0]["record"]
    assert shown["value"] in lines
    assert shown["zone"] in lines
    assert "".join(shown["strings"]) == shown["value"]
    assert max(map(len, shown["strings"])) <= 255
    again = sqlite_project.run("dkim", "show", "example.com").out
    assert shown["value"] in again
    assert shown["zone"] in again
    assert "coldsend dkim activate example.com" in result.err


def test_rotation_never_leaves_a_gap_and_the_old_key_can_come_back(project: Project, dns: DnsServer) -> None:
    for selector in ("old", "new"):
        publish(dns, added(project, "--selector", selector))
    project.run("dkim", "activate", "example.com", "--selector", "old")
    done = project.json("dkim", "activate", "example.com")
    assert (done["selector"], done["retired"]) == ("new", ["old"])
    assert states(project) == {"old": "retired", "new": "active"}
    back = project.json("dkim", "activate", "example.com", "--selector", "old")
    assert (back["retired"], back["retired_at"]) == (["new"], None)


def test_an_ed25519_key_stands_beside_the_rsa_key(project: Project, dns: DnsServer) -> None:
    add_service(project)
    publish(dns, added(project, "--algorithm", "ed25519"))
    alone = project.run("dkim", "activate", "example.com")
    assert "many receivers cannot verify Ed25519" in alone.err
    assert "signed with Ed25519 alone" in doctor(project)["service 'main'"]
    publish(dns, added(project))
    project.run("dkim", "activate", "example.com")
    assert sorted(states(project).values()) == ["active", "active"]
    assert "service 'main'" not in doctor(project)


def findings(project: Project) -> list[dict[str, str]]:
    """What `doctor` says about services and DKIM."""
    found = project.run("doctor", "--json", check=False).json["findings"]
    return [one for one in found if "service " in one["subject"] or "DKIM" in one["subject"]]


def doctor(project: Project) -> dict[str, str]:
    """The same: subject -> message."""
    return {one["subject"]: one["message"] for one in findings(project)}


def test_doctor_tells_of_unsigned_mail_until_a_key_is_active_and_published(
    project: Project, dns: DnsServer
) -> None:
    add_service(project)
    assert "no active DKIM key for example.com" in doctor(project)["service 'main'"]
    key = added(project, "--selector", "one")
    (waiting,) = findings(project)
    assert "coldsend dkim activate example.com" in waiting["hint"]
    project.run("dkim", "activate", "example.com", "--unchecked")
    (missing,) = findings(project)
    assert (missing["severity"], missing["subject"]) == ("error", "DKIM key example.com/one")
    assert "is not published" in missing["message"]
    publish(dns, key)
    assert doctor(project) == {}


def test_doctor_is_content_where_another_signs_or_nothing_is_sent(project: Project, dns: DnsServer) -> None:
    add_service(project, "relay", "--dkim", "server")
    project.run(
        *("service", "add", "dry", "--type", "console", "--from", "a@example.com", "--daily-quota", "9"),
    )
    project.run(
        *("service", "add", "api", "--type", "jiguang", "--from", "a@example.com", "--daily-quota", "9"),
        *("--username", "u", "--password-stdin"),
        stdin="sesame",
    )
    project.run("service", "update", "api", "--webhook-secret-stdin", stdin="its app key")
    assert doctor(project) == {}
    project.run("service", "update", "relay", "--dkim", "")
    assert list(doctor(project)) == ["service 'relay'"]


def test_doctor_only_warns_where_the_dns_cannot_be_asked(project: Project, dns: DnsServer) -> None:
    add_service(project)
    added(project)
    project.run("dkim", "activate", "example.com", "--unchecked")
    dns.behave = "refused"
    (found,) = findings(project)
    assert (found["severity"], found["subject"]) == ("warning", "DKIM")
    assert "could not be asked" in found["message"]


def test_dns_that_is_out_of_reach_is_no_reason_to_call_a_key_unpublished(
    sqlite_project: Project, dns: DnsServer
) -> None:
    added(sqlite_project)
    dns.behave = "servfail"
    result = sqlite_project.run("dkim", "check", "--json", check=False)
    assert result.code == 5
    assert result.json["keys"][0]["published"] is None
    result = sqlite_project.run("dkim", "activate", "example.com", "--json", check=False)
    assert result.code == 5
    assert "--unchecked" in result.error["hint"]


def test_check_leaves_retired_keys_out(sqlite_project: Project, dns: DnsServer) -> None:
    added(sqlite_project)
    sqlite_project.run("dkim", "activate", "example.com", "--unchecked")
    sqlite_project.run("dkim", "retire", "example.com")
    assert sqlite_project.json("dkim", "check") == {"keys": [], "ok": True}
    assert dns.asked == []


def test_retiring_the_last_key_of_a_service_is_asked_about(sqlite_project: Project) -> None:
    add_service(sqlite_project)
    added(sqlite_project)
    sqlite_project.run("dkim", "activate", "example.com", "--unchecked")
    asked = sqlite_project.run("dkim", "retire", "example.com", check=False)
    assert asked.code == 2
    assert "Unsigned from then on: main." in asked.err
    assert sqlite_project.json("dkim", "retire", "example.com", "--yes")["status"] == "retired"


def test_a_key_that_signs_cannot_be_removed_and_another_only_after_a_question(project: Project) -> None:
    added(project, "--selector", "one")
    project.run("dkim", "activate", "example.com", "--unchecked")
    assert project.run("dkim", "remove", "example.com", "--yes", check=False).code == 4
    project.run("dkim", "retire", "example.com")
    assert project.run("dkim", "remove", "example.com", check=False).code == 2
    assert project.json("dkim", "remove", "example.com", "--yes") == {
        "domain": "example.com",
        "selector": "one",
    }
    assert states(project) == {}


def test_which_key_is_meant_must_be_clear(sqlite_project: Project) -> None:
    for selector in ("one", "two"):
        added(sqlite_project, "--selector", selector)
    result = sqlite_project.run("dkim", "activate", "example.com", "--unchecked", "--json", check=False)
    assert result.code == 4
    assert "2 DKIM keys to activate: one, two" in result.error["message"]
    assert "--selector one" in result.error["hint"]


def test_what_does_not_exist_is_not_found(sqlite_project: Project) -> None:
    assert sqlite_project.run("dkim", "show", "example.com", check=False).code == 3
    added(sqlite_project, "--selector", "one")
    result = sqlite_project.run("dkim", "show", "example.com", "--selector", "two", "--json", check=False)
    assert (result.code, result.error["hint"]) == (3, "it has: one")


def test_a_selector_is_used_once(project: Project) -> None:
    added(project, "--selector", "one")
    assert project.run("dkim", "add", "example.com", "--selector", "ONE", check=False).code == 4
    assert added(project)["selector"] != added(project)["selector"]
    assert added(project, "--selector", "one", domain="other.example")["selector"] == "one"


def test_an_idn_domain_is_kept_as_the_dns_has_it(sqlite_project: Project) -> None:
    assert added(sqlite_project, domain="Bücher.example")["domain"] == "xn--bcher-kva.example"
    assert len(sqlite_project.json("dkim", "show", "bücher.example")) == 1


@pytest.mark.parametrize("make", [("genrsa", "2048"), ("genpkey", "-algorithm", "ed25519")])
def test_a_key_made_elsewhere_is_imported(sqlite_project: Project, make: tuple[str, ...]) -> None:
    openssl(make[0], "-out", "key.pem", *make[1:], folder=sqlite_project.folder)
    key = added(sqlite_project, "--import-key", "key.pem")
    assert key["algorithm"] == ("rsa" if make[0] == "genrsa" else "ed25519")
    openssl(
        "pkey",
        "-in",
        "key.pem",
        "-pubout",
        "-outform",
        "DER",
        "-out",
        "public.der",
        folder=sqlite_project.folder,
    )
    import base64

    public = (sqlite_project.folder / "public.der").read_bytes()
    published = base64.b64decode(key["record"]["value"].partition("p=")[2])
    assert public.endswith(published)
    assert len(published) == (len(public) if make[0] == "genrsa" else 32)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (("genrsa", "-out", "key.pem", "1024"), "1024 bits: 2048 to 4096 are accepted"),
        (("genrsa", "-out", "key.pem", "-aes128", "-passout", "pass:sesame", "2048"), "passphrase"),
        (
            ("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", "key.pem"),
            "neither RSA nor Ed25519",
        ),
        (("rand", "-out", "key.pem", "100"), "no private key in PEM form"),
    ],
)
def test_a_key_that_cannot_sign_well_is_refused(
    sqlite_project: Project, make: tuple[str, ...], said: str
) -> None:
    openssl(*make, folder=sqlite_project.folder)
    result = sqlite_project.run(
        "dkim", "add", "example.com", "--import-key", "key.pem", "--json", check=False
    )
    assert result.code == 4
    assert said in result.error["message"]
    assert states(sqlite_project) == {}


@pytest.mark.parametrize(
    "options",
    [
        ["--bits", "1024"],
        ["--bits", "2048", "--algorithm", "ed25519"],
        ["--selector", "a b"],
        ["--bits", "2048", "--import-key", "k"],
    ],
)
def test_wishes_that_make_no_sense_are_refused(sqlite_project: Project, options: list[str]) -> None:
    assert sqlite_project.run("dkim", "add", "example.com", *options, check=False).code == 4
    assert sqlite_project.run("dkim", "add", "com", check=False).code == 4
    assert sqlite_project.run("dkim", "add", "example.com", "--import-key", "none.pem", check=False).code == 3
    assert states(sqlite_project) == {}


@pytest.mark.parametrize(
    "verb",
    [
        ["add", "x.example"],
        ["list"],
        ["show", "x.example"],
        ["check"],
        ["activate", "x.example"],
        ["retire", "x.example"],
        ["remove", "x.example"],
    ],
)
def test_only_admins_have_to_do_with_keys(sqlite_project: Project, verb: list[str]) -> None:
    sqlite_project.run("user", "add", "anna")
    result = sqlite_project.run("dkim", *verb, "--as", "anna", "--json", check=False)
    assert (result.code, result.error["code"]) == (4, "not_allowed")


def test_a_private_key_is_shown_nowhere_and_lies_encrypted(project: Project, dns: DnsServer) -> None:
    add_service(project)
    openssl("genrsa", "-out", "key.pem", "2048", folder=project.folder)
    shown = ""
    for line in (
        ["add", "example.com", "--selector", "one", "--import-key", "key.pem"],
        ["list"],
        ["show", "example.com"],
        ["check"],
        ["activate", "example.com", "--unchecked"],
        ["add", "example.com", "--selector", "one", "--import-key", "key.pem"],
        ["retire", "example.com", "--yes"],
    ):
        for form in ([], ["--json"]):
            result = project.run("dkim", *line, *form, check=False)
            shown += result.out + result.err
    shown += project.run("doctor", check=False).out
    with project.database.read() as connection:
        shown += str(list(connection.execute(sa.select(dkim_keys))))
        (key,) = stored.listed(connection)
        pem = stored.private_pem(key, load_key_ring(load(str(project.config), environ={}))).decode()
    inner = [line for line in pem.splitlines() if not line.startswith("-----")]
    assert len(inner) > 20
    # The first line holds what all keys begin with.
    assert [line for line in inner[1:] if line in shown] == []


def test_rotating_the_secret_key_seals_dkim_keys_anew(project: Project) -> None:
    added(project)
    before = project.json("key", "status")[0]
    assert project.json("key", "rotate")["dropped"] == [before["id"]]
    assert project.json("dkim", "activate", "example.com", "--unchecked")["status"] == "active"


def test_a_key_that_does_not_open_is_not_activated_and_doctor_names_it(sqlite_project: Project) -> None:
    added(sqlite_project, "--selector", "one")
    write_key_file(sqlite_project.folder / "coldsend.key", [new_key()])
    result = sqlite_project.run("dkim", "activate", "example.com", "--unchecked", "--json", check=False)
    assert result.code == 4
    assert "dkim_keys/example.com/one needs key" in result.error["message"]
    subjects = [
        one["subject"] for one in sqlite_project.run("doctor", "--json", check=False).json["findings"]
    ]
    assert "DKIM key example.com/one" in subjects


def test_a_key_moved_to_another_domain_does_not_open(sqlite_project: Project) -> None:
    added(sqlite_project, "--selector", "one")
    with sqlite_project.database.begin() as connection:
        connection.execute(sa.update(dkim_keys).values(domain="other.example"))
    result = sqlite_project.run("dkim", "activate", "other.example", "--unchecked", "--json", check=False)
    assert "was altered or belongs to another row" in result.error["message"]
    assert "coldsend dkim add other.example" in result.error["hint"]


def test_a_preview_is_signed_as_the_message_will_be(project: Project) -> None:
    add_service(project, sender="anna@mail.example.com")
    key = added(project)
    project.run("dkim", "activate", "example.com", "--unchecked")
    project.run("contact", "add", "bob@acme.com")
    project.run(
        "template", "add", "t", "--subject", "S", "--body-file", str(project.write("b.html", "<p>Hi</p>"))
    )
    project.run("template", "preview", "t", "--contact", "bob@acme.com", "--out", "x.eml")
    data = (project.folder / "x.eml").read_bytes()
    assert b" d=example.com; s=" in data
    assert by_dkimpy(data, key["record"]["value"])


def test_a_test_message_is_signed(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    with RecordingServer(store=str(folder)) as server:
        project.run(
            *("service", "add", "main", "--type", "smtp", "--host", "127.0.0.1", "--port", str(server.port)),
            *("--tls", "none", "--from", "anna@example.com", "--daily-quota", "9", "--throttle-sec", "0"),
        )
        key = added(project)
        project.run("dkim", "activate", "example.com", "--unchecked")
        project.run("service", "test", "main", "--to", "me@example.com")
        server.wait_for(1)
        (file,) = [folder / name for name in os.listdir(folder)]
        assert by_dkimpy(file.read_bytes(), key["record"]["value"])


def test_the_setting_takes_one_word(sqlite_project: Project) -> None:
    add_service(sqlite_project)
    result = sqlite_project.run("service", "update", "main", "--dkim", "yes", check=False)
    assert result.code == 4
    assert "--dkim: must be server" in result.err


def test_name_servers_are_checked_when_they_are_read(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for good in ("9.9.9.9", "127.0.0.1:5353, [::1]:53", "::1"):
        monkeypatch.setenv("COLDSEND_DKIM_DNS_SERVERS", good)
        sqlite_project.run("dkim", "list")
    for bad in ("dns.example", "1.2.3.4:x", "1.2.3.4:70000", "1.2.3.4 5.6.7.8"):
        monkeypatch.setenv("COLDSEND_DKIM_DNS_SERVERS", bad)
        assert sqlite_project.run("dkim", "list", check=False).code == 4
