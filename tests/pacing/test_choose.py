"""Which service carries which row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.gates import ServiceFacts
from coldsend.domain.service import Service
from coldsend.pacing.choose import Offer, allocate


def offer(service_id: int, quota: int, used: int = 0, want: int = 1000) -> Offer:
    service = Service(service_id, f"s{service_id}", "smtp", "a@example.com", daily_quota=quota)
    return Offer(ServiceFacts(service, used=used), want)


def test_rows_go_where_the_largest_share_of_the_quota_is_left() -> None:
    rows = [(row, None) for row in range(30)]
    given_out = allocate(rows, [offer(1, quota=200), offer(2, quota=100)])
    assert {service: len(ids) for service, ids in given_out.items()} == {1: 20, 2: 10}


def test_a_row_that_keeps_its_service_goes_nowhere_else() -> None:
    assert allocate([(1, 2), (2, None)], [offer(1, quota=10)]) == {1: [2]}


def test_several_tasks_share_what_one_service_wants() -> None:
    offers = [offer(1, quota=10, want=3)]
    assert allocate([(1, None), (2, None)], offers) == {1: [1, 2]}
    assert allocate([(3, None), (4, None)], offers) == {1: [3]}


@pytest.mark.costly
@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=5),
    st.integers(0, 100),
)
def test_no_service_gets_more_than_it_wants_or_its_quota_leaves(
    services: list[tuple[int, int, int]], count: int
) -> None:
    offers = [offer(i, quota, used, want) for i, (quota, used, want) in enumerate(services, start=1)]
    given_out = allocate([(row, None) for row in range(count)], offers)
    rows = [row for ids in given_out.values() for row in ids]
    assert len(rows) == len(set(rows))
    room = {i: max(0, min(want, quota - used)) for i, (quota, used, want) in enumerate(services, start=1)}
    assert all(len(ids) <= room[service] for service, ids in given_out.items())
    assert len(rows) == min(count, sum(room.values())), "no row is left while somebody has room"


def test_a_row_goes_past_a_service_that_rests_for_its_provider() -> None:
    listed, other = offer(1, quota=100), offer(2, quota=100, used=50)
    found = allocate([(10, None), (11, None)], [listed, other], {10: {1}})
    assert found == {2: [10], 1: [11]}


def test_a_row_that_may_only_go_elsewhere_waits_for_room_there() -> None:
    listed, full = offer(1, quota=100), offer(2, quota=100, want=0)
    assert allocate([(10, None)], [listed, full], {10: {1}}) == {}


def test_a_row_that_nobody_may_carry_now_is_left_out() -> None:
    assert allocate([(10, None), (11, None)], [offer(1, quota=100)], {10: {1}}) == {1: [11]}


def test_first_messages_leave_the_quota_that_follow_ups_need() -> None:
    service = Service(1, "s1", "console", "a@example.com", daily_quota=10)
    taken = Offer(ServiceFacts(service, used=2, followups_due=5), want=10)
    assert allocate([(1, 1), (2, 1)], [taken], follows=True) == {1: [1, 2]}
    assert allocate([(row, None) for row in range(10, 20)], [taken]) == {1: [10, 11, 12]}
    assert taken.room == 3, "for the follow-ups that are due later today"


def test_no_more_is_given_out_than_the_hour_leaves() -> None:
    service = Service(1, "s1", "console", "a@example.com", daily_quota=100, hourly_quota=10)
    offered = Offer(ServiceFacts(service, hour_used=7), want=50)
    assert allocate([(row, None) for row in range(9)], [offered]) == {1: [0, 1, 2]}
