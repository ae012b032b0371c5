"""Which row a happening is about: tokens are believed, addresses are hints, the rest is kept for people."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.composing.tokens import Kind as TokenKind
from coldsend.composing.tokens import Tokens
from coldsend.domain.feedback import Feedback, Kind
from coldsend.domain.states import SuppressionReason
from coldsend.domain.suppression import hashed_key, read
from coldsend.feedback.matching import email_key, row_of_message_id
from coldsend.stores import suppressions
from tests.feedback.happenings import FULL, NOBODY, PEPPER, TOKENS, Sent, on_sqlite
from tests.planning.world import NOW

DAY = timedelta(days=1)


def matched(world: Sent, kind: Kind = Kind.OPEN, **hints: object) -> int | None:
    [match] = world.apply(world.heard(kind, **hints)).matches
    return match.row_id if match is not None else None


class TestMessageIds:
    def test_a_message_id_of_ours_tells_its_row_in_any_case(self, world: Sent) -> None:
        [row_id] = world.sent()
        assert matched(world, message_ids=(world.message_id(row_id).upper(),)) == row_id

    def test_the_nearest_of_several_is_meant(self, world: Sent) -> None:
        one, two = world.sent(2)
        told = ("<other@example.org>", world.message_id(two), world.message_id(one))
        assert matched(world, message_ids=told) == two

    def test_one_of_another_installation_or_an_invented_one_is_nobodys(self, world: Sent) -> None:
        [row_id] = world.sent()
        foreign = Tokens(b"another".ljust(32)).issue_folded(TokenKind.MESSAGE_ID, row_id)
        assert matched(world, message_ids=(f"<{foreign}@main.example>", "<>", "", "x", "@", "<@>")) is None
        assert world.unmatched()[0]["message_ids"][0] == f"<{foreign}@main.example>"

    def test_another_kind_of_token_is_none(self, world: Sent) -> None:
        [row_id] = world.sent()
        token = TOKENS.issue_folded(TokenKind.UNSUBSCRIBE, row_id)
        assert row_of_message_id(TOKENS, f"<{token}@main.example>") is None

    def test_a_row_id_goes_before_everything(self, world: Sent) -> None:
        one, two, three = world.sent(3)
        hints = {"message_ids": (world.message_id(two),), "recipient": world.email(three)}
        assert matched(world, row_id=one, **hints) == one

    @pytest.mark.costly
    @given(st.text(max_size=60))
    def test_no_text_breaks_it(self, text: str) -> None:
        assert row_of_message_id(TOKENS, text) is None
        assert isinstance(email_key(text), str)


class TestAddresses:
    def test_the_newest_message_to_an_address_is_meant_in_any_form(self, world: Sent) -> None:
        [old] = world.sent(sent_at=NOW - 3 * DAY)
        new = world.again(old, world.begun("second"), sent_at=NOW - DAY)
        assert matched(world, recipient=f" <{world.email(old).upper()}> ") == new

    def test_that_had_been_sent_by_then(self, world: Sent) -> None:
        [old] = world.sent(sent_at=NOW - 3 * DAY)
        world.again(old, world.begun("second"), sent_at=NOW - DAY)
        assert matched(world, recipient=world.email(old), at=NOW - 2 * DAY) == old

    def test_of_the_same_service_first(self, world: Sent) -> None:
        other = world.service("other")
        [old] = world.sent(sent_at=NOW - 3 * DAY)
        world.again(old, world.begun("second"), sent_at=NOW - DAY, sender_service_id=other)
        assert matched(world, recipient=world.email(old), service_id=world.service_id) == old

    def test_else_of_any(self, world: Sent) -> None:
        [row_id] = world.sent(sender_service_id=None)
        assert matched(world, recipient=world.email(row_id), service_id=world.service("other")) == row_id

    @on_sqlite
    def test_what_befell_another_message_of_an_account_did_not_befall_ours(self, world: Sent) -> None:
        [row_id] = world.sent()
        about = {"message_ids": ("<invoice-7@shop.example>",), "recipient": world.email(row_id)}
        for kind in (Kind.DELIVERED, Kind.DELAYED, Kind.OPEN, Kind.CLICK):
            assert matched(world, kind, **about) is None
        assert world.status(row_id) == "sent"
        assert matched(world, Kind.BOUNCE, diagnostic=NOBODY, **about) == row_id, "the address is no good"

    def test_after_two_months_it_is_nobodys(self, world: Sent) -> None:
        [row_id] = world.sent(attempt_at=NOW - 62 * DAY, sent_at=NOW - 62 * DAY)
        assert matched(world, recipient=world.email(row_id)) is None

    @on_sqlite
    @pytest.mark.parametrize(
        ("status", "reason", "found"),
        [
            ("unknown", None, True),
            ("sending", None, True),
            ("failed_to_send", "given_up", True),
            ("failed_to_send", "refused", False),
            ("pending", None, False),
            ("skipped", "suppressed", False),
        ],
    )
    def test_only_what_is_or_may_be_out_there_is_meant(
        self, world: Sent, status: str, reason: str | None, found: bool
    ) -> None:
        [row_id] = world.sent(status=status, reason=reason, sent_at=None)
        assert (matched(world, recipient=world.email(row_id)) == row_id) is found

    def test_an_address_nobody_wrote_to_is_kept_for_people(self, world: Sent) -> None:
        applied = world.apply(
            world.heard(Kind.OPEN, recipient="eve@example.org", details={"ip": "192.0.2.0"})
        )
        assert (applied.matches, applied.unmatched) == ([None], 1)
        [kept] = world.unmatched()
        assert (kept["recipient"], kept["kind"], kept["ip"]) == ("eve@example.org", "open", "192.0.2.0")


class TestStrangers:
    @on_sqlite
    @pytest.mark.parametrize(
        ("kind", "words", "reason"),
        [
            (Kind.COMPLAINT, "", "complaint"),
            (Kind.UNSUBSCRIBE, "", "unsubscribe"),
            (Kind.BOUNCE, NOBODY, "hard_bounce"),
            (Kind.BOUNCE, FULL, None),
            (Kind.REPLY, "", None),
            (Kind.OPEN, "", None),
        ],
    )
    def test_who_wants_or_can_get_nothing_gets_nothing(
        self, world: Sent, kind: Kind, words: str, reason: str | None
    ) -> None:
        applied = world.apply(world.heard(kind, recipient="Eve@Example.org", diagnostic=words))
        assert world.suppressed() == ({("eve@example.org", 0): reason} if reason else {})
        assert applied.suppressed.total() == bool(reason)

    def test_leaving_one_campaign_is_leaving_all_where_nobody_knows_which(self, world: Sent) -> None:
        world.apply(world.heard(Kind.UNSUBSCRIBE, recipient="eve@example.org", campaign_only=True))
        assert world.suppressed() == {("eve@example.org", 0): "unsubscribe"}

    def test_of_somebody_who_was_erased_nothing_is_kept(self, world: Sent) -> None:
        entry = read(hashed_key("eve@example.org", PEPPER), SuppressionReason.ERASED)
        world.database.run(lambda connection: suppressions.add(connection, [entry], NOW))
        words = {"diagnostic": f"{NOBODY} eve@example.org", "details": {"to": "eve@example.org"}}
        world.apply(world.heard(Kind.BOUNCE, recipient="eve@example.org", **words))
        assert "eve" not in str(world.unmatched())
        assert world.suppressed() == {(None, 0): "erased"}
        assert world.unmatched()[0]["kind"] == "bounce"


def test_a_time_needs_its_zone_and_a_key_is_short() -> None:
    with pytest.raises(ValueError, match="naive"):
        Feedback(Kind.OPEN, NOW.replace(tzinfo=None), "web")
    for key in ("x" * 129, "ä"):
        with pytest.raises(ValueError, match="key"):
            Feedback(Kind.OPEN, NOW, "web", key=key)
