"""What a happening means beyond its row: who gets nothing any more, who waits, which service rests."""

from __future__ import annotations

import itertools
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from coldsend.database.tables import contacts, provider_pauses, sender_services, suppressions, task_contacts
from coldsend.domain.feedback import Kind
from tests.feedback.happenings import DISABLED, FULL, LISTED, NOBODY, SUSPENDED, Sent, on_sqlite
from tests.planning.world import NOW

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class TestBounces:
    def test_an_address_that_does_not_exist_gets_nothing_any_more(self, world: Sent) -> None:
        [row_id] = world.sent()
        world.apply(world.bounce(row_id, NOBODY, source="inbox:bounces"))
        [entry] = world.all(suppressions)
        assert world.suppressed() == {(world.email(row_id), 0): "hard_bounce"}
        assert (entry["source"], entry["detail"]) == ("inbox:bounces", NOBODY)

    @on_sqlite
    @pytest.mark.parametrize(
        ("diagnostic", "hard", "suppressed"),
        [
            (NOBODY, None, True),
            (NOBODY, False, False),
            ("550 5.7.1 rejected", True, True),
            ("550 5.7.1 rejected", None, False),
            ("450 4.4.1 no answer from host", None, False),
            (LISTED, True, False),
            (SUSPENDED, True, False),
            ("554 5.7.1 message content rejected as spam", True, False),
            ("552 5.3.4 message too big", True, False),
            ("", None, False),
        ],
    )
    def test_what_blames_the_sender_never_costs_a_recipient_anything(
        self, world: Sent, diagnostic: str, hard: bool | None, suppressed: bool
    ) -> None:
        [row_id] = world.sent()
        world.apply(world.bounce(row_id, diagnostic, hard=hard))
        assert bool(world.suppressed()) is suppressed
        assert world.status(row_id) == "bounced"

    def test_a_status_code_says_it_without_words(self, world: Sent) -> None:
        [row_id] = world.sent()
        world.apply(world.bounce(row_id, "", status="5.1.1"))
        assert world.suppressed()

    @on_sqlite
    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    def test_a_full_mailbox_is_given_up_with_the_third_message_within_two_weeks_in_any_order(
        self, world: Sent, order: tuple[int, ...]
    ) -> None:
        [first] = world.sent(attempt_at=NOW - 40 * DAY, sent_at=NOW - 40 * DAY)
        long_ago = {"attempt_at": NOW - 40 * DAY, "sent_at": NOW - 40 * DAY}
        rows = [first, *(world.again(first, world.begun(f"t{n}"), **long_ago) for n in range(3))]
        world.apply(world.bounce(rows[3], FULL, at=NOW - 30 * DAY))
        items = [world.bounce(rows[n], FULL, at=NOW - 15 * DAY + n * 7 * DAY) for n in range(3)]
        for number in order[:2]:
            world.apply(items[number])
            assert world.suppressed() == {}
        world.apply(items[order[2]])
        assert list(world.suppressed().values()) == ["hard_bounce"]

    def test_not_where_they_lie_further_apart(self, world: Sent) -> None:
        long_ago = {"attempt_at": NOW - 40 * DAY, "sent_at": NOW - 40 * DAY}
        [first] = world.sent(**long_ago)
        rows = [first, *(world.again(first, world.begun(f"t{n}"), **long_ago) for n in range(2))]
        world.apply(*(world.bounce(row, FULL, at=NOW - (1 + n * 8) * DAY) for n, row in enumerate(rows)))
        assert world.suppressed() == {}

    def test_one_message_that_is_told_of_three_times_is_one(self, world: Sent) -> None:
        [row_id] = world.sent()
        world.apply(*(world.bounce(row_id, FULL) for _ in range(3)))
        assert world.suppressed() == {}

    def test_an_account_that_is_disabled_is_given_up_with_the_second_message(self, world: Sent) -> None:
        [first] = world.sent()
        second = world.again(first, world.begun("second"))
        world.apply(world.bounce(first, DISABLED))
        assert world.suppressed() == {}
        world.apply(world.bounce(second, DISABLED))
        assert list(world.suppressed().values()) == ["hard_bounce"]


class TestServices:
    def test_a_bad_reputation_pauses_the_service_for_that_provider_from_when_it_was_said(
        self, world: Sent
    ) -> None:
        [row_id] = world.sent()
        said = NOW - HOUR
        applied = world.apply(world.bounce(row_id, LISTED, at=said))
        [pause] = world.all(provider_pauses)
        assert (pause["provider"], pause["paused_until"]) == ("example.com", said + 4 * HOUR)
        assert [change.kind for change in applied.changes] == ["provider_paused"]
        assert world.health()[0] == "active"

    def test_a_suspended_account_freezes_the_service(self, world: Sent) -> None:
        [row_id] = world.sent()
        applied = world.apply(world.bounce(row_id, SUSPENDED))
        service = world.row(sender_services, world.service_id)
        assert (service["health_status"], service["frozen_code"]) == ("frozen", "suspended")
        assert [change.kind for change in applied.changes] == ["frozen"]

    @on_sqlite
    @pytest.mark.parametrize(
        ("diagnostic", "at"),
        [
            (LISTED, NOW - 5 * HOUR),
            (SUSPENDED, NOW - 2 * DAY),
            ("530 5.7.0 authentication required", NOW),
            ("421 4.7.0 too many messages, slow down", NOW),
            (NOBODY, NOW),
            (FULL, NOW),
        ],
    )
    def test_what_is_over_or_not_about_the_service_does_nothing_to_it(
        self, world: Sent, diagnostic: str, at: object
    ) -> None:
        [row_id] = world.sent(attempt_at=NOW - 3 * DAY, sent_at=NOW - 3 * DAY)
        applied = world.apply(world.bounce(row_id, diagnostic, at=at))
        assert (world.health(), applied.changes) == (("active", []), [])

    def test_the_same_news_again_is_no_change(self, world: Sent) -> None:
        one, two = world.sent(2)
        world.apply(world.bounce(one, LISTED))
        assert world.apply(world.bounce(two, LISTED)).changes == []


class TestRequests:
    def test_a_complaint_ends_all_mail(self, world: Sent) -> None:
        [row_id] = world.sent()
        applied = world.apply(world.heard(Kind.COMPLAINT, row_id, campaign_only=True))
        assert world.suppressed() == {(world.email(row_id), 0): "complaint"}
        assert applied.suppressed == {"complaint": 1}

    @pytest.mark.parametrize("only", [True, False])
    def test_who_unsubscribes_chooses_whether_of_the_campaign_or_of_all(
        self, world: Sent, only: bool
    ) -> None:
        [row_id] = world.sent()
        world.apply(world.heard(Kind.UNSUBSCRIBE, row_id, campaign_only=only))
        campaign = world.campaign_id if only else 0
        assert world.suppressed() == {(world.email(row_id), campaign): "unsubscribe"}

    def test_the_stronger_reason_stays_whatever_comes_first(self, world: Sent) -> None:
        one, two = world.sent(2)
        items = {row_id: [world.bounce(row_id), world.heard(Kind.COMPLAINT, row_id)] for row_id in (one, two)}
        world.apply(*items[one])
        world.apply(*items[two][::-1])
        assert set(world.suppressed().values()) == {"complaint"}

    @on_sqlite
    @pytest.mark.parametrize("kind", [Kind.OPEN, Kind.CLICK, Kind.REPLY, Kind.DELIVERED, Kind.DELAYED])
    def test_nothing_else_does(self, world: Sent, kind: Kind) -> None:
        [row_id] = world.sent()
        world.apply(world.heard(kind, row_id))
        assert world.suppressed() == {}


class TestAbsences:
    def postponed(self, world: Sent, row_id: int) -> tuple[object, object]:
        row = world.row(task_contacts, row_id)
        return row["scheduled_send_at"], row["reason"]

    def test_whatever_waits_for_somebody_who_is_away_waits_until_they_are_back(self, world: Sent) -> None:
        [row_id] = world.sent()
        waiting = world.again(row_id, world.begun("second"), "pending", sent_at=None)
        other = world.rows(world.begun("third"), "pending")[0]
        back = NOW + 5 * DAY
        applied = world.apply(world.heard(Kind.AUTO_REPLY, row_id, away_until=back))
        assert applied.postponed == 1
        assert self.postponed(world, waiting) == (back, "away")
        assert self.postponed(world, other) == (NOW, None)
        assert world.row(contacts, world.row(task_contacts, row_id)["contact_id"])["away_until"] == back
        assert world.status(row_id) == "sent", "and it is no reply"

    def test_never_shorter_in_any_order(self, world: Sent) -> None:
        [row_id] = world.sent()
        later = NOW + 20 * DAY
        waiting = world.again(row_id, world.begun("second"), "pending", scheduled_send_at=later)
        for days in (9, 5):
            world.apply(world.heard(Kind.AUTO_REPLY, row_id, away_until=NOW + days * DAY))
        assert self.postponed(world, waiting) == (later, None)
        contact = world.row(contacts, world.row(task_contacts, row_id)["contact_id"])
        assert contact["away_until"] == NOW + 9 * DAY

    def test_who_writes_of_years_is_written_to_after_two_months(self, world: Sent) -> None:
        [row_id] = world.sent()
        item = world.heard(Kind.AUTO_REPLY, row_id, away_until=NOW + 4000 * DAY)
        world.apply(item)
        contact = world.row(contacts, world.row(task_contacts, row_id)["contact_id"])
        assert contact["away_until"] == item.at + 60 * DAY

    @pytest.mark.parametrize(
        ("values", "zone"),
        [
            ({"time_zone": "Pacific/Honolulu"}, "Pacific/Honolulu"),
            ({"fields": {"country": "NZ"}}, "Pacific/Auckland"),
            ({}, "UTC"),
        ],
    )
    def test_the_day_they_tell_begins_where_they_are(
        self, world: Sent, values: dict[str, object], zone: str
    ) -> None:
        [row_id] = world.sent()
        contact_id = world.row(task_contacts, row_id)["contact_id"]
        if values:
            with world.database.begin() as connection:
                connection.execute(contacts.update().where(contacts.c.id == contact_id).values(values))
        day = (NOW + 5 * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
        world.apply(world.heard(Kind.AUTO_REPLY, row_id, away_until=day))
        there = day.replace(tzinfo=ZoneInfo(zone))
        assert world.row(contacts, contact_id)["away_until"] == there

    @on_sqlite
    @pytest.mark.parametrize("until", [None, NOW - DAY, NOW])
    def test_who_is_back_already_waits_for_nothing(self, world: Sent, until: object) -> None:
        [row_id] = world.sent()
        waiting = world.again(row_id, world.begun("second"), "pending")
        assert world.apply(world.heard(Kind.AUTO_REPLY, row_id, away_until=until)).postponed == 0
        assert self.postponed(world, waiting) == (NOW, None)
