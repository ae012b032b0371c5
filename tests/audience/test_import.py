"""Importing contacts: what becomes of each row, in the database and in the rejects file."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend import clock
from coldsend.audience import importing, merging
from coldsend.audience.importing import Request, Result, import_contacts
from coldsend.audience.rejects import Rejects
from coldsend.database import migrate
from coldsend.database.engine import Database
from coldsend.database.tables import contact_tags, contacts
from coldsend.errors import ColdsendError, InvalidInput, UsageError

pytestmark = pytest.mark.costly

ROOT = Path(__file__).parents[2]


def run(database: Database, file: Path, content: str | bytes, **options: Any) -> Result:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return import_contacts(database, Request(str(file), **options), clock.now())


def counts(result: Result) -> tuple[int, int, int, int]:
    return result.imported, result.updated, result.unchanged, result.rejected


def rejects(result: Result) -> list[tuple[int, str]]:
    assert result.rejects_file
    with Path(result.rejects_file).open(newline="", encoding="utf-8") as file:
        return [(int(row[0]), row[1]) for row in list(csv.reader(file))[1:]]


def stored(database: Database) -> dict[str, dict[str, Any]]:
    """All contacts by address, and a check that both forms of their tags are equal."""
    with database.read() as connection:
        rows = {row["email"]: dict(row) for row in connection.execute(sa.select(contacts)).mappings()}
        tags = {(row.tag, row.contact_id) for row in connection.execute(sa.select(contact_tags))}
    assert tags == {(tag, row["id"]) for row in rows.values() for tag in row["tags"] or ()}
    return rows


PEOPLE = (
    "email,nickname,tags,company,time_zone\n"
    'bob@acme.com,Bob,"vip,de",Acme,Europe/Berlin\n'
    "Ann@BÜCHER.example,,,=1+1,\n"
    "josé@example.com,José,vip,,\n"
)


def test_rows_become_contacts(database: Database, tmp_path: Path) -> None:
    result = run(
        database, tmp_path / "p.csv", PEOPLE, tags=("spring",), source="fair", lawful_basis="consent"
    )
    assert counts(result) == (3, 0, 0, 0)
    assert result.rejects_file is None
    assert list(tmp_path.glob("*rejects*")) == []
    people = stored(database)
    bob, ann = people["bob@acme.com"], people["Ann@bücher.example"]
    assert bob["nickname"] == "Bob"
    assert bob["tags"] == ["vip", "de", "spring"]
    assert bob["fields"] == {"company": "Acme"}
    assert (bob["time_zone"], bob["source"], bob["lawful_basis"]) == ("Europe/Berlin", "fair", "consent")
    assert ann["email_key"] == "ann@xn--bcher-kva.example"
    assert ann["email_domain"] == "xn--bcher-kva.example"
    assert ann["fields"] == {"company": "=1+1"}
    assert ann["nickname"] is None
    assert people["josé@example.com"]["tags"] == ["vip", "spring"]


def test_a_second_run_changes_nothing(database: Database, tmp_path: Path) -> None:
    run(database, tmp_path / "p.csv", PEOPLE, tags=("spring",))
    before = stored(database)
    assert counts(run(database, tmp_path / "p.csv", PEOPLE, tags=("spring",))) == (0, 0, 3, 0)
    assert stored(database) == before


def test_known_contacts_get_tags_added_and_filled_cells_overwritten(
    database: Database, tmp_path: Path
) -> None:
    run(database, tmp_path / "p.csv", PEOPLE)
    changed = (
        "email,nickname,tags,company,country\n"
        "BOB@acme.com,,press,Initech,DE\n"
        "ann@xn--bcher-kva.example,Ann,,,\n"
        "josé@example.com,,vip,,\n"
    )
    assert counts(run(database, tmp_path / "p2.csv", changed)) == (0, 2, 1, 0)
    people = stored(database)
    assert len(people) == 3
    bob, ann = people["bob@acme.com"], people["Ann@bücher.example"]
    assert bob["nickname"] == "Bob"
    assert bob["tags"] == ["vip", "de", "press"]
    assert bob["fields"] == {"company": "Initech", "country": "DE"}
    assert bob["updated_at"] > bob["created_at"]
    assert (ann["nickname"], ann["fields"]) == ("Ann", {"company": "=1+1"})


def test_a_removed_contact_comes_back_as_the_same_row(database: Database, tmp_path: Path) -> None:
    run(database, tmp_path / "p.csv", PEOPLE)
    first = stored(database)["bob@acme.com"]
    with database.begin() as connection:
        connection.execute(sa.update(contacts).values(deleted_at=clock.now()))
    assert counts(run(database, tmp_path / "p.csv", "email,tags\nBob@ACME.com,new\n")) == (1, 0, 0, 0)
    again = stored(database)["bob@acme.com"]
    assert again["id"] == first["id"]
    assert again["deleted_at"] is None
    assert again["tags"] == ["vip", "de", "new"]


def test_a_dry_run_counts_and_changes_nothing(database: Database, tmp_path: Path) -> None:
    result = run(database, tmp_path / "p.csv", PEOPLE + "nobody,,,,\n", dry_run=True)
    assert counts(result) == (3, 0, 0, 1)
    assert stored(database) == {}
    assert rejects(result)[0][0] == 5


HOSTILE = (
    b"\xef\xbb\xbfemail,nickname,company,tags,time_zone\r\n"
    b"good1@x.com,One,A,vip,UTC\r\n"  # 2
    b"GOOD1@X.COM,Again,A,,\r\n"  # 3
    b'cr@x.com,"a\r\nBcc: evil@x.com",A,,\r\n'  # 4, 5
    b"word@x.com,=?utf-8?q?a=0D=0ABcc=3A_x?=,A,,\r\n"  # 6
    b"nul@x.com,a\x00b,A,,\r\n"  # 7
    b"few@x.com,a\r\n"  # 8
    b"many@x.com,a,b,c,UTC,f\r\n"  # 9
    b'stray@x.com,"a" b,c,,\r\n'  # 10
    b"big@x.com," + b"x" * 10_000_000 + b",A,,\r\n"  # 11
    b"long@x.com," + b"x" * 256 + b",A,,\r\n"  # 12
    b"bytes@x.com,\xc3(,A,,\r\n"  # 13
    b"zone@x.com,a,A,,Mars/Base\r\n"  # 14
    b"tag@x.com,a,A," + b"t" * 101 + b",\r\n"  # 15
    b"no-address,a,A,,\r\n"  # 16
    b'"inj@x.com\nBcc: y@x.com",a,A,,\r\n'  # 17, 18
    b"lone@x.com,a\rb,A,,\r\n"  # 19
    b",a,A,,\r\n"  # 20
    b"good2@x.com,\xc3\xbc,=cmd|' /C calc'!A0,,\r\n"  # 21
    b'tail@x.com,"a,A,,\r\n'  # 22
    b"good3@x.com,Three,A,,\r\n"  # 23
)


def test_hostile_rows_are_rejected_one_by_one(database: Database, tmp_path: Path) -> None:
    result = run(database, tmp_path / "h.csv", HOSTILE)
    assert set(stored(database)) == {"good1@x.com", "good2@x.com", "good3@x.com"}
    reasons = dict(rejects(result))
    assert list(reasons) == [3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 22]
    for line, words in {
        3: "the same address as in line 2",
        4: "nickname has a carriage return",
        6: "encoded-word",
        7: "NUL",
        8: "2 cells, the header has 5",
        9: "6 cells",
        10: "text after a closing quote",
        11: "characters",
        12: "256 characters, 255",
        13: "0xc3",
        14: "Mars/Base",
        15: "101 characters",
        16: "@-sign",
        17: "email has a line break",
        19: "carriage return",
        20: "missing",
        22: "quote",
    }.items():
        assert words in reasons[line], (line, reasons[line])
    assert Path(str(result.rejects_file)).stat().st_size < 20_000


def test_the_rejects_file_does_not_repeat_rows_that_are_hostile_by_their_size(
    database: Database, tmp_path: Path
) -> None:
    rows = "".join(f"u{number}@x.com,{'x' * 90_000},{'y' * 90_000}\n" for number in range(20))
    result = run(database, tmp_path / "p.csv", "email,a,b\n" + rows)
    assert counts(result) == (0, 0, 0, 20)
    text = Path(str(result.rejects_file)).read_text()
    assert "u19@x.com" in text
    assert len(text) < 20 * 1000


def test_rejects_that_cannot_be_kept_are_told_before_anything_is_imported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        Rejects(tmp_path)


def test_the_rejects_file_can_be_corrected_and_imported(database: Database, tmp_path: Path) -> None:
    result = run(
        database, tmp_path / "p.csv", "email;Company;time_zone\nbob@acme;Acme, Inc;UTC\nann@x.com;B;utcc\n"
    )
    assert counts(result) == (0, 0, 0, 2)
    file = Path(str(result.rejects_file))
    assert file == tmp_path / "p.rejects.csv"
    corrected = file.read_text().replace("bob@acme,", "bob@acme.com,").replace("utcc\n", "UTC\n")
    assert counts(run(database, file, corrected)) == (2, 0, 0, 0)
    assert stored(database)["bob@acme.com"]["fields"] == {"company": "Acme, Inc"}


def test_a_duplicate_in_a_later_chunk_names_the_first_line(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 10)
    lines = [f"u{number}@x.com" for number in range(45)] + ["U3@x.com", "nobody", "u44@x.com"]
    result = run(database, tmp_path / "p.csv", "email\n" + "\n".join(lines) + "\n")
    assert counts(result) == (45, 0, 0, 3)
    assert rejects(result) == [
        (47, "the same address as in line 5"),
        (48, "'nobody' is not an e-mail address: an email address must have an @-sign"),
        (49, "the same address as in line 46"),
    ]


def test_an_interrupted_import_leaves_whole_chunks_and_a_second_run_completes_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 10)
    content = "email,tags\n" + "".join(f"u{number}@x.com,t\n" for number in range(35)) + "nobody,t\n"
    file = tmp_path / "p.csv"
    file.write_text(content)
    steps = 0

    def interrupted(_done: int, _total: int | None) -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_contacts(database, Request(str(file)), clock.now(), progress=interrupted)
    assert len(stored(database)) == 20
    assert [path.name for path in tmp_path.iterdir() if "reject" in path.name] == []
    assert counts(run(database, file, content)) == (15, 0, 20, 1)
    assert len(stored(database)) == 35


def test_an_address_that_another_session_adds_meanwhile_is_merged(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = merging.contacts.by_keys
    looks = 0

    def blind_at_first(*arguments: Any, **options: Any) -> Any:
        nonlocal looks
        looks += 1
        return [] if looks == 1 else look_up(*arguments, **options)

    run(database, tmp_path / "p.csv", PEOPLE)
    monkeypatch.setattr(merging.contacts, "by_keys", blind_at_first)
    assert counts(run(database, tmp_path / "p.csv", PEOPLE, tags=("x",))) == (0, 3, 0, 0)
    assert len(stored(database)) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "has no header"),
        (b"bob@acme.com,Bob\n", "not a header"),
        (b"name,company\nBob,Acme\n", "no column of the header"),
        (b'"email,nick\nbob@acme.com,Bob\n', "a quote is opened"),
    ],
)
def test_a_file_without_a_usable_header_is_refused_whole(
    sqlite_url: str, tmp_path: Path, content: bytes, message: str
) -> None:
    database = Database(sqlite_url)
    with pytest.raises(InvalidInput, match=message) as error:
        run(database, tmp_path / "p.csv", content)
    assert "p.csv" in error.value.message
    assert error.value.hint
    database.dispose()


def test_a_header_alone_imports_nobody(database: Database, tmp_path: Path) -> None:
    assert counts(run(database, tmp_path / "p.csv", "email,nickname\n")) == (0, 0, 0, 0)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Database:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('scratch')}/c.db")
    migrate.upgrade(database)
    return database


PIECES = st.sampled_from(
    [
        b'"',
        b'""',
        b",",
        b"\n",
        b"\r\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"\xc3\xa9",
        b"a@x.com",
        b"A@X.com",
        b"b@",
        b" ",
        b"=?",
    ]
)


@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(b"".join)), st.booleans())
@settings(max_examples=250, deadline=None)
def test_any_bytes_are_imported_or_rejected_and_nothing_is_lost(
    scratch: Database, tmp_path_factory: pytest.TempPathFactory, content: bytes, with_header: bool
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    content = (b"email,a\n" if with_header else b"") + content
    try:
        result = run(scratch, file, content)
    except ColdsendError:
        return
    with importing.CsvSource(str(file), knows=importing.EMAIL_HEADERS) as source:
        assert sum(counts(result)) == len(list(source.records())) - 1
    if result.rejects_file:
        assert len(rejects(result)) == result.rejected


SCALE = """
import json, resource, sys
from pathlib import Path
from coldsend import clock
from coldsend.audience.importing import Request, import_contacts
from coldsend.database.engine import Database
sizes = []
def progress(done, total):
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    sizes.append(pages * resource.getpagesize() / 2**20)
request = Request(sys.argv[1], tags=("spring",))
result = import_contacts(Database(sys.argv[2]), request, clock.now(), progress=progress)
# Not ru_maxrss, which remembers the size of the test run that this process was forked from.
status = Path("/proc/self/status").read_text()
peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024
growth = max(sizes[-5:]) - max(sizes[5:10])
print(json.dumps([result.imported, result.rejected, result.rejects_file, peak, growth]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # memory is that of the reading
def test_of_200000_rows_exactly_the_bad_ones_are_rejected_in_flat_memory(
    database_url: str, tmp_path: Path
) -> None:
    bad_rows = [
        '"x{0}@x.com\r\nBcc: y@x.com",n,c',
        "nul{0}@x.com,a\x00b,c",
        "few{0}@x.com",
        "many{0}@x.com,a,b,c",
        "not-an-address-{0},a,b",
        "USER1@example.com,a,b",
        "word{0}@x.com,=?utf-8?q?=0D=0ABcc=3A_x?=,b",
        'stray{0}@x.com,"a"b,c',
    ]
    line, bad = 2, []
    file = tmp_path / "big.csv"
    with file.open("w", newline="") as out:
        out.write("email,nickname,company\n")
        for number in range(200_000):
            text = f"user{number}@example.com,Person {number},Company {number % 500}"
            if number % 50 == 49:
                text = bad_rows[number // 50 % len(bad_rows)].format(number)
                bad.append(line)
            out.write(text + "\n")
            line += text.count("\n") + 1
    done = subprocess.run(
        [sys.executable, "-c", SCALE, str(file), database_url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    imported, rejected, rejects_file, peak, growth = json.loads(done.stdout)
    assert (imported, rejected) == (196_000, 4_000)
    with Path(rejects_file).open(newline="") as found:
        assert [int(row[0]) for row in list(csv.reader(found))[1:]] == bad
    assert peak < 200
    assert growth < 16
