"""From the spool to the event log: once each, judged, whatever fails in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from coldsend.database.engine import Database
from coldsend.database.tables import event_log, task_contacts
from coldsend.errors import Unreachable
from coldsend.web import drain as module
from coldsend.web.drain import Drain
from coldsend.web.hits import Hit, HitKind, encode, microseconds
from coldsend.web.spool import ConsentSpool
from tests.feedback.happenings import Sent
from tests.planning.world import NOW
from tests.web.site import BROWSER

LATER = NOW + timedelta(minutes=5)
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


class Spooled(Sent):
    """A campaign that went out, and a spool of what came back over the web. The time is LATER."""

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database)
        self.folder = folder
        self.now = LATER
        self.drain = self.reader()

    def reader(self) -> Drain:
        return Drain(self.folder, self.database, self.applier, lambda: self.now)

    def hits(self, *hits: Hit) -> Path:
        """A complete file with these, begun when the first came."""
        number = len(list(self.folder.glob("hits-*")))
        path = self.folder / f"hits-{hits[0].at:017d}-1-{number}.spool"
        path.write_bytes(b"".join(map(encode, hits)))
        return path

    def consent(self, *hits: Hit) -> None:
        ConsentSpool(self.folder).write([encode(hit) for hit in hits])

    def logged(self) -> list[tuple[str, str | None]]:
        return [(row["type"], row["details"].get("actor")) for row in self.all(event_log)]

    def waiting(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.suffix == ".spool")


def hit(kind: HitKind, row_id: int, seconds: float = 0.0, at: datetime = NOW, **values: Any) -> Hit:
    moment = microseconds(at) + round(seconds * 1_000_000)
    return Hit(kind, row_id, moment, **{"client": "c1", "agent": BROWSER, **values})


def opened(row_id: int, seconds: float = 0.0, **values: Any) -> Hit:
    return hit(HitKind.OPEN, row_id, seconds, **values)


def clicked(row_id: int, seconds: float = 0.0, url: str = "https://shop.example/", **values: Any) -> Hit:
    return hit(HitKind.CLICK, row_id, seconds, url=url, **values)


def left(row_id: int, scope: str = "all", seconds: float = 0.0) -> Hit:
    return hit(HitKind.UNSUBSCRIBE, row_id, seconds, rest=(scope, "page"))


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Spooled:
    folder = tmp_path / "spool"
    folder.mkdir()
    return Spooled(database, folder)


def test_opens_and_clicks_come_to_the_event_log_and_move_the_row(world: Spooled) -> None:
    one, two = world.sent(2)
    world.hits(opened(one), clicked(two, 1.0), opened(two, 2.0))
    assert world.drain.round() == 3
    assert world.waiting() == []
    assert (world.status(one), world.status(two)) == ("opened", "clicked")
    assert world.row(task_contacts, one)["opened_at"] == NOW
    assert sorted(world.logged()) == [("click", "human"), ("open", "human"), ("open", "human")]
    details = [row["details"] for row in world.all(event_log) if row["type"] == "click"]
    assert details == [
        {"source": "web", "actor": "human", "user_agent": BROWSER, "url": "https://shop.example/"}
    ]


def test_machines_are_logged_and_move_nothing(world: Spooled) -> None:
    row_ids = world.sent(3)
    world.hits(
        opened(row_ids[0], agent="Mozilla/5.0"),
        clicked(row_ids[1], signs=("head",)),
        opened(row_ids[2], signs=("own",)),
    )
    world.drain.round()
    assert sorted(world.logged()) == [("click", "machine"), ("open", "machine"), ("open", "own")]
    assert [world.status(row_id) for row_id in row_ids] == ["sent"] * 3
    signs = {row["details"]["sign"] for row in world.all(event_log)}
    assert signs == {"Apple mail privacy", "head", "own network"}


def test_a_click_at_once_after_the_sending_is_a_scanners(world: Spooled) -> None:
    quick, slow = world.sent(2, sent_at=NOW - timedelta(seconds=1))
    world.hits(clicked(quick), clicked(slow, 1.5))
    world.drain.round()
    assert (world.status(quick), world.status(slow)) == ("sent", "clicked")


def test_an_open_through_an_image_proxy_counts_unless_it_comes_at_once_after_the_sending(
    world: Spooled,
) -> None:
    soon, later, direct = world.sent(3, sent_at=NOW - timedelta(seconds=1))
    world.hits(opened(soon, agent=GMAIL), opened(direct), opened(later, 1.5, agent=GMAIL))
    world.drain.round()
    assert [world.status(row_id) for row_id in (soon, later, direct)] == ["sent", "opened", "opened"]
    signs = [row["details"].get("sign") for row in world.all(event_log)]
    assert sorted(signs, key=str) == ["Google image proxy", None, "at once after sending"]


def test_the_time_of_the_sending_is_looked_up_only_where_it_matters(
    world: Spooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct, through, click = world.sent(3)
    asked: list[set[int]] = []
    real = module.visits.accepted_at

    def accepted_at(connection: Connection, row_ids: set[int]) -> dict[int, datetime]:
        asked.append(set(row_ids))
        return real(connection, row_ids)

    monkeypatch.setattr(module.visits, "accepted_at", accepted_at)
    world.hits(opened(direct), opened(through, agent=GMAIL), clicked(click))
    world.drain.round()
    assert asked == [set(), {through, click}]


def test_an_open_through_an_image_proxy_waits_until_it_is_known_when_its_message_was_accepted(
    world: Spooled,
) -> None:
    [row_id] = world.sent(status="sending", attempt_at=NOW - timedelta(seconds=3))
    world.hits(opened(row_id, agent=GMAIL))
    world.now = NOW + timedelta(seconds=0.3)
    assert world.drain.round() == 0
    world.change(task_contacts, row_id, status="sent", sent_at=NOW - timedelta(seconds=1))
    world.now = LATER
    assert world.drain.round() == 1
    assert world.status(row_id) == "sent"


def test_links_followed_all_at_once_are_a_scanners_though_they_lie_in_several_files(world: Spooled) -> None:
    one, two = world.sent(2)
    world.hits(clicked(one, 0.0, "https://a.example/"), clicked(two, 0.0, "https://a.example/"))
    world.hits(clicked(one, 0.4, "https://b.example/"))
    world.hits(clicked(one, 0.8, "https://c.example/"))
    world.drain.round()
    assert (world.status(one), world.status(two)) == ("sent", "clicked")


def test_opens_wait_for_nothing_and_leave_the_clicks_of_their_file_behind(world: Spooled) -> None:
    one, two = world.sent(2)
    world.hits(opened(one), clicked(two), opened(two))
    world.hits(opened(one, 20.0))
    world.now = NOW + timedelta(seconds=0.3)
    assert world.drain.round() == 3
    assert (world.status(one), world.status(two), len(world.waiting())) == ("opened", "opened", 1)
    assert world.drain.round() == 0
    world.now = LATER
    assert world.drain.round() == 1
    assert (world.status(two), world.waiting()) == ("clicked", [])


def test_what_had_been_brought_of_a_file_when_its_reader_died_counts_once(world: Spooled) -> None:
    one, two = world.sent(2)
    world.hits(opened(one), clicked(two))
    world.now = NOW + timedelta(seconds=0.3)
    world.drain.round()
    world.drain.close()
    world.now = LATER
    assert world.reader().round() == 2
    assert sorted(world.logged()) == [("click", "human"), ("open", "human")]
    assert world.waiting() == []


def test_clicks_wait_until_a_burst_would_be_over_and_no_longer(world: Spooled) -> None:
    [row_id] = world.sent()
    world.hits(clicked(row_id))
    world.now = NOW + timedelta(seconds=2.2)
    assert world.drain.round() == 0
    world.now = NOW + timedelta(seconds=2.6)
    assert world.drain.round() == 1


def test_a_long_file_waits_for_what_could_follow_its_last_hit(world: Spooled) -> None:
    [row_id] = world.sent()
    world.hits(clicked(row_id), clicked(row_id, 20.0))
    world.now = NOW + timedelta(seconds=22.2)
    assert world.drain.round() == 0
    world.now = NOW + timedelta(seconds=22.6)
    assert world.drain.round() == 2


def test_a_burst_is_seen_in_files_that_are_completed_out_of_turn(world: Spooled) -> None:
    one, two = world.sent(2)
    world.now = NOW + timedelta(seconds=2)
    world.hits(clicked(one, 1.0, "https://b.example/"), clicked(one, 1.1, "https://c.example/"))
    world.hits(clicked(two, 20.0))
    assert world.drain.round() == 0
    world.hits(clicked(one, 0.5, "https://a.example/"))
    world.now = LATER
    assert world.drain.round() == 4
    assert (world.status(one), world.status(two)) == ("sent", "clicked")


def test_a_burst_is_seen_that_begins_in_a_file_that_is_gone(world: Spooled) -> None:
    [row_id] = world.sent()
    first = [clicked(row_id, 0.0, "https://a.example/"), clicked(row_id, 0.1, "https://b.example/")]
    world.hits(*first)
    world.drain.round()
    world.hits(clicked(row_id, 1.0, "https://c.example/"))
    world.drain.round()
    assert world.logged()[2] == ("click", "machine")


def test_a_clock_that_was_set_back_holds_nothing_up(world: Spooled) -> None:
    [row_id] = world.sent()
    world.hits(clicked(row_id))
    world.now = NOW - timedelta(hours=1)
    assert world.drain.round() == 1


def test_a_clock_that_was_set_back_makes_the_reader_remember_no_more_than_before(world: Spooled) -> None:
    [row_id] = world.sent()
    for seconds in (0, *range(-3600, -3500, 10)):
        world.hits(clicked(row_id, seconds))
        world.drain.round()
    assert len(world.drain._recent) == 1


def test_who_follows_a_link_that_their_browser_has_looked_at_before_has_clicked(world: Spooled) -> None:
    [row_id] = world.sent()
    world.hits(clicked(row_id, signs=("prefetch",)), clicked(row_id, 1.0))
    world.drain.round()
    assert (world.status(row_id), len(world.logged())) == ("clicked", 2)


def test_unsubscribes_go_at_once_and_suppress(world: Spooled) -> None:
    one, two = world.sent(2)
    world.now = NOW + timedelta(seconds=0.1)
    world.consent(left(one), left(two, "campaign"))
    world.drain.round()
    assert (world.status(one), world.status(two)) == ("unsubscribed", "unsubscribed")
    assert world.suppressed() == {
        (world.email(one), 0): "unsubscribe",
        (world.email(two), world.campaign_id): "unsubscribe",
    }
    assert world.waiting() == []


@pytest.mark.costly
def test_an_unsubscribe_waits_for_no_more_than_one_batch_of_hits(
    world: Spooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, leaving = world.sent(3)
    monkeypatch.setattr(module, "BATCH", 1)
    world.hits(opened(one), opened(two))
    real = module.apply
    applied: list[int | None] = []

    def apply(connection: Connection, items: Any, *rest: Any) -> Any:
        if not applied:
            world.consent(left(leaving))
        applied.extend(item.row_id for item in items)
        return real(connection, items, *rest)

    monkeypatch.setattr(module, "apply", apply)
    assert world.drain.round() == 3
    assert applied == [one, leaving, two]


def test_the_same_told_by_several_processes_is_one_happening(world: Spooled) -> None:
    [row_id] = world.sent()
    world.hits(opened(row_id, 0.0))
    world.hits(opened(row_id, 4.0))
    world.hits(opened(row_id, 4.0, client="another"))
    world.hits(opened(row_id, 14.0))
    world.drain.round()
    assert len(world.logged()) == 3


def test_a_process_that_died_after_the_commit_counts_nothing_twice(
    world: Spooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_ids = world.sent(3)
    world.hits(*map(opened, row_ids))

    class Killed(BaseException):
        pass

    def die(_files: object) -> None:
        raise Killed

    monkeypatch.setattr(module, "_remove", die)
    with pytest.raises(Killed):
        world.drain.round()
    monkeypatch.undo()
    world.drain.close()
    assert len(world.waiting()) == 1
    assert world.reader().round() == 3
    assert (len(world.logged()), world.waiting()) == (3, [])


def failing(times: int, error: Exception) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes of an apply one that fails at first."""
    left_over = [times]

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def apply(connection: Connection, *arguments: Any) -> Any:
            if left_over[0]:
                left_over[0] -= 1
                raise error
            return real(connection, *arguments)

        return apply

    return around


def test_while_the_database_is_away_everything_waits(world: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = world.sent(2)
    world.hits(opened(one))
    world.consent(left(two))
    monkeypatch.setattr(module, "apply", failing(1, Unreachable("the database is away"))(module.apply))
    assert world.drain.round() == 0
    assert (world.drain.away, len(world.waiting())) == ("the database is away", 2)
    assert world.drain.round() == 2
    assert (world.drain.away, world.waiting()) == ("", [])
    assert sorted(kind for kind, _actor in world.logged()) == ["open", "unsubscribe"]


def test_a_hit_that_cannot_be_applied_is_kept_and_holds_up_no_other(
    world: Spooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_ids = world.sent(5)
    world.hits(*map(opened, row_ids))
    real = module.apply

    def apply(connection: Connection, items: Any, *rest: Any) -> Any:
        if any(item.row_id == row_ids[2] for item in items):
            raise ValueError("a bug")
        return real(connection, items, *rest)

    monkeypatch.setattr(module, "apply", apply)
    world.drain.round()
    assert [world.status(row_id) for row_id in row_ids] == ["opened", "opened", "sent", "opened", "opened"]
    assert (world.folder / "refused").read_bytes() == encode(opened(row_ids[2]))
    assert world.waiting() == []


def test_damaged_lines_are_kept_and_torn_ends_are_nothing(world: Spooled) -> None:
    one, two = world.sent(2)
    path = world.hits(opened(one), opened(two))
    whole = path.read_bytes()
    path.write_bytes(b"00000000 damaged\n" + whole + whole[:30])
    assert world.drain.round() == 2
    assert (world.folder / "refused").read_bytes() == b"00000000 damaged\n"


def test_only_one_of_two_readers_reads(world: Spooled) -> None:
    [row_id] = world.sent()
    other = world.reader()
    assert other.round() == 0
    world.hits(opened(row_id))
    assert world.drain.round() == 0
    assert other.round() == 1
    other.close()
    world.hits(opened(row_id, 20))
    assert world.drain.round() == 1


def test_at_the_end_everything_goes_that_there_is_time_for(world: Spooled) -> None:
    [row_id] = world.sent()
    world.now = NOW
    world.hits(opened(row_id))
    world.hits(opened(row_id, 20.0))
    assert world.drain.round(everything=True, go_on=lambda: False) == 0
    assert world.drain.left() == 2
    assert world.drain.round(everything=True) == 2


def test_of_a_row_that_is_not_there_it_is_kept_as_matching_nobody(world: Spooled) -> None:
    world.hits(opened(999_999))
    world.drain.round()
    assert world.logged() == []
    assert [found["kind"] for found in world.unmatched()] == ["open"]
