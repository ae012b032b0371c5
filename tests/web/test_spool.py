"""The spool: nothing that was taken in is lost, whoever dies; nothing torn is read."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend import clock, meter
from coldsend.web import spool
from coldsend.web.hits import Hit, HitKind, decode, encode, microseconds
from coldsend.web.intake import Intake
from coldsend.web.spool import CONSENT, HITS, ConsentSpool, Reader, Spool
from tests.web.site import Site, leave, link, pixel

pytestmark = pytest.mark.costly

HITS_OF_ANY_KIND = st.builds(
    Hit,
    kind=st.sampled_from([HitKind.OPEN, HitKind.CLICK]),
    row_id=st.integers(1, 2**56),
    at=st.integers(0, 2**53),
    client=st.text(max_size=5),
    network=st.text(max_size=5),
    agent=st.text(max_size=20),
    signs=st.lists(st.text(max_size=3), max_size=2).map(tuple),
    url=st.text(max_size=20),
)


@given(st.lists(HITS_OF_ANY_KIND, max_size=4))
def test_what_is_written_is_read(hits: list[Hit]) -> None:
    assert list(decode(b"".join(map(encode, hits)))) == hits


@given(st.lists(HITS_OF_ANY_KIND, min_size=1, max_size=3), st.data())
def test_a_changed_or_torn_line_is_never_a_hit(hits: list[Hit], data: st.DataObject) -> None:
    content = b"".join(map(encode, hits))
    cut = data.draw(st.integers(1, len(content) - 1))
    assert all(one in hits for one in decode(content[:cut]) if isinstance(one, Hit))
    changed = content[:cut] + bytes([content[cut] ^ data.draw(st.integers(1, 255))]) + content[cut + 1 :]
    assert all(one in hits for one in decode(changed) if isinstance(one, Hit))


def line(row_id: int) -> bytes:
    return encode(Hit(HitKind.OPEN, row_id, microseconds(clock.now())))


def rows(files: list[Path]) -> list[int]:
    return [one.row_id for file in files for one in decode(file.read_bytes()) if isinstance(one, Hit)]


class Steady:
    """The clock that the spool goes by, in the hands of a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)


def test_files_are_handed_over_when_they_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady, mine, reader = Steady(monkeypatch), Spool(tmp_path), Reader(tmp_path)
    mine.write(line(1))
    reader.take_over()
    assert reader.files(HITS) == [], "its process lives and writes it"
    mine.complete_old()
    assert reader.files(HITS) == [], "it is not old yet"
    steady.now += spool.ROTATE_SECONDS
    mine.complete_old()
    mine.write(line(2))
    mine.write(line(3))
    mine.complete()
    assert rows(reader.files(HITS)) == [1, 2, 3]


def test_while_nobody_reads_files_grow_longer_instead_of_countless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady, intake = Steady(monkeypatch), Intake(tmp_path, 1 << 30)
    for number in range(1200):  # five minutes
        intake.visit(Hit(HitKind.OPEN, number, 0))
        steady.now += 0.25
        if number % 4 == 0:
            intake.look()
    assert len(list(tmp_path.iterdir())) < 400
    for file in Reader(tmp_path).files(HITS):
        file.unlink()
    intake.look()
    intake.visit(Hit(HitKind.OPEN, 1, 0))
    steady.now += 0.25
    intake.look()
    assert Reader(tmp_path).files(HITS), "as soon as before, where somebody reads again"


def test_answers_do_not_wait_for_a_look_at_a_spool_full_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady, intake, looks = Steady(monkeypatch), Intake(tmp_path, 1 << 30), []

    def slow(_folder: Path) -> spool.Waiting:
        looks.append(steady.now)
        steady.now += 0.1
        return spool.Waiting(0, 0)

    monkeypatch.setattr(spool, "waiting", slow)
    while steady.now < 1010:
        intake.look()
        steady.now += 0.1
    assert 4 <= len(looks) <= 6, "a twentieth of the time"


def test_health_comes_back_by_itself_once_the_disk_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake, full = Intake(tmp_path, 1 << 20), OSError(errno.ENOSPC, "No space left on device")

    def refuse(*_arguments: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "write", refuse)
        patch.setattr(Path, "write_bytes", refuse)
        intake.visit(Hit(HitKind.OPEN, 1, 0))
        intake.look()
        assert intake.ailment
    monkeypatch.setattr(intake, "_next_look", 0.0)
    intake.look()
    assert intake.ailment == ""
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_a_process_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from coldsend.web.spool import Spool; from tests.web.test_spool import line\n"
        "mine = Spool(Path(sys.argv[1]))\n"
        "for row in range(1, 51): mine.write(line(row))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=root, check=False)
    assert done.returncode == -9
    reader = Reader(tmp_path)
    assert reader.take_over() == 1
    assert rows(reader.files(HITS)) == list(range(1, 51))


def test_one_process_reads_at_a_time(tmp_path: Path) -> None:
    first, second = Reader(tmp_path), Reader(tmp_path)
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()


def test_a_line_that_does_not_fit_on_the_disk_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Spool(tmp_path)
    mine.write(line(1))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:10]))
    with pytest.raises(OSError, match="wrote 10 of"):
        mine.write(line(2))
    monkeypatch.undo()
    mine.write(line(3))
    mine.complete()
    assert rows(Reader(tmp_path).files(HITS)) == [1, 3]


def test_consent_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(file), fsync(file)))
    ConsentSpool(tmp_path).write([line(1), line(2)])
    assert len(synced) == 2, "the file, and the folder that names it"
    assert rows(Reader(tmp_path).files(CONSENT)) == [1, 2]

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ConsentSpool(tmp_path).write([line(3)])
    assert rows(Reader(tmp_path).files(CONSENT)) == [1, 2]
    assert not list(tmp_path.glob("*.new"))


def fates() -> dict[tuple[str, str], float]:
    found = meter.read().counters.items()
    return {key[1:]: count for key, count in found if key[0] == "coldsend_web_hits_total"}


def test_a_full_spool_drops_opens_first_then_clicks_and_never_an_unsubscribe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter.reset()
    Steady(monkeypatch)  # looks take no time: each is one
    site = Site(tmp_path, limit=1000)
    (tmp_path / "hits-00000000000000000-1-1.spool").write_bytes(b"x" * 1001)
    site.intake.look()
    assert (site.ask("GET", pixel(1)).status, site.ask("GET", link(2)).status) == (200, 302)
    (tmp_path / "hits-00000000000000000-1-2.spool").write_bytes(b"x" * 1001)
    site.intake.look()
    assert (site.ask("GET", pixel(3)).status, site.ask("GET", link(4)).status) == (200, 302)
    assert site.ask("POST", leave(5), body=b"scope=all").status == 200
    accepted = {("click", "accepted"): 1, ("unsubscribe", "accepted"): 1}
    assert fates() == {**accepted, ("open", "dropped"): 2, ("click", "dropped"): 1}
    for file in tmp_path.glob("hits-0000000*"):
        file.unlink()
    site.intake.look()
    site.ask("GET", pixel(6))
    assert fates()["open", "accepted"] == 1


def test_a_spool_that_cannot_be_written_costs_nobody_their_pixel(tmp_path: Path) -> None:
    meter.reset()
    site = Site(tmp_path / "gone")
    assert (site.ask("GET", pixel(1)).status, site.ask("GET", link(2)).status) == (200, 302)
    assert fates() == {("open", "dropped"): 1, ("click", "dropped"): 1}
    assert site.ask("GET", "/healthz").status == 503


def test_what_is_remembered_of_a_flood_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldsend.web.intake.REMEMBERED", 10)
    for row in range(100):
        site.ask("GET", pixel(row + 1))
    assert len(site.intake._recent) + len(site.intake._older) <= 20
    site.ask("GET", pixel(95))
    assert len(site.hits()) == 100, "the latest are known"


def test_files_of_somebody_else_are_left_alone(tmp_path: Path) -> None:
    foreign = [tmp_path / name for name in ("hits-copy.spool", "hits-old.new", "hits-x-1.open", "a-b.new")]
    for path in foreign:
        path.write_bytes(b"what is this")
    mine, reader = Spool(tmp_path), Reader(tmp_path)
    mine.write(line(1))
    mine.complete()
    assert reader.take_over() == 0
    assert rows(reader.files(HITS)) == [1]
    assert all(path.exists() for path in foreign)
