"""The forecast in memory: what holds for every world, whatever waits in it."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.domain.gates import Gate
from coldsend.planning.forecast_run import Run
from coldsend.planning.forecast_world import NEVER, Campaign, Carrier, Line, Step, World

pytestmark = pytest.mark.costly

HOUR, DAY = 3600.0, 86400.0


class Window:
    """Open from one hour to another of every day (UTC)."""

    def __init__(self, opens: float = 0, closes: float = 24) -> None:
        self.begins, self.ends = opens * HOUR, closes * HOUR

    def opens(self, moment: float) -> float:
        day = moment - moment % DAY
        if moment < day + self.begins:
            return day + self.begins
        return moment if moment < day + self.ends else day + DAY + self.begins

    def closes(self, moment: float) -> float:
        return moment - moment % DAY + self.ends

    def follow_up(self, sent_at: float, days: int, business_days: bool) -> float:
        return self.opens(sent_at + days * DAY)


class Recorded(Run):
    """Notes each message group: (when, service, step, how many)."""

    def _sent(self, carrier: Carrier, line: Line, count: int, at: float) -> None:
        self.noted.append((at, carrier.id, line, count))
        super()._sent(carrier, line, count, at)

    noted: list[tuple[float, int, Line, int]]


def carrier(number: int, quota: int = 10, gap: float = 0.0, **values: object) -> Carrier:
    return Carrier(
        number,
        f"s{number}",
        limit_of=lambda days: quota,
        gap_of=lambda limit: gap,
        next_day=lambda moment: moment - moment % DAY + DAY,
        next_hour=lambda moment: moment - moment % HOUR + HOUR,
        **values,  # type: ignore[arg-type]
    )


def world_of(carriers: list[Carrier], *, new_per_day: int | None = None, steps: int = 1) -> World:
    world = World(grid=60.0)
    world.carriers = {one.id: one for one in carriers}
    campaign = Campaign(1, "spring", lambda moment: moment - moment % DAY + DAY, new_per_day=new_per_day)
    world.campaigns = {1: campaign}
    for number in range(1, steps + 1):
        step = Step(number, f"step{number}", campaign, list(world.carriers), follows=number > 1, days=2)
        world.steps[number] = step
        if number > 1:
            world.steps[number - 1].follow_ups.append((step, 1.0))
    return world


def run(world: World, *, until: float = 400 * DAY, effort: int = 1000) -> Recorded:
    made = Recorded(world, world.campaigns[1], 0.0, effort)
    made.noted = []
    made.until(until)
    return made


limits = st.fixed_dictionaries(
    {
        "quota": st.integers(1, 40),
        "gap": st.sampled_from([0.0, 60.0, 900.0, 5000.0]),
        "hourly": st.none() | st.integers(1, 9),
        "per_domain": st.none() | st.integers(1, 9),
    }
)
groups = st.tuples(
    st.integers(0, 3 * 24).map(lambda hours: hours * HOUR),
    st.integers(1, 60),
    st.sampled_from(["", "big.example"]),
    st.sampled_from([(0, 24), (9, 17), (13, 13.5)]),
)


@settings(max_examples=25, deadline=None)
@given(
    wanted=st.lists(limits, min_size=1, max_size=3),
    waiting=st.lists(groups, min_size=1, max_size=4),
    new_per_day=st.none() | st.integers(5, 30),
    steps=st.integers(1, 3),
    effort=st.sampled_from([5, 1000]),
)
def test_nobody_is_lost_and_no_limit_is_broken(
    wanted: list[dict[str, object]],
    waiting: list[tuple[float, int, str, tuple[float, float]]],
    new_per_day: int | None,
    steps: int,
    effort: int,
) -> None:
    carriers = [carrier(number, **values) for number, values in enumerate(wanted, 1)]  # type: ignore[arg-type]
    world = world_of(carriers, new_per_day=new_per_day, steps=steps)
    windows = {hours: Window(*hours) for hours in {group[3] for group in waiting}}
    for due, count, domain, hours in waiting:
        world.add(world.line(world.steps[1], windows[hours], domain, None), due, count)
    total = sum(count for _due, count, _domain, _hours in waiting)
    found = run(world, effort=effort)

    assert found.ended
    assert sum(day.sends for day in found.days) == total * steps
    a_day: Counter[tuple[int, int]] = Counter()
    an_hour: Counter[tuple[int, int]] = Counter()
    of_domain: Counter[tuple[int, int]] = Counter()
    new: Counter[int] = Counter()
    for at, service, line, count in found.noted:
        day = int(at // DAY)
        a_day[service, day] += count
        an_hour[service, int(at // HOUR)] += count
        of_domain[service, day] += count * (line.domain != "")
        new[day] += count * (not line.step.follows)
        assert line.hours.opens(at) == at, "only within its hours"
    for number, values in enumerate(wanted, 1):
        for counted, limit in ((a_day, "quota"), (an_hour, "hourly"), (of_domain, "per_domain")):
            most = values[limit]
            assert all(n <= most for (one, _), n in counted.items() if one == number and most is not None)  # type: ignore[operator]
        slots = sorted(at for at, service, _line, _count in found.noted if service == number)
        gap = values["gap"]
        assert all(later - at >= gap - 1e-6 for at, later in pairwise(slots))  # type: ignore[operator]
    assert new_per_day is None or max(new.values()) <= new_per_day


def test_who_keeps_a_service_goes_out_through_it_and_no_other() -> None:
    world = world_of([carrier(1), carrier(2)])
    world.add(world.line(world.steps[1], Window(), "", 2), 0.0, 25)
    found = run(world)
    assert [dict(day.by_carrier) for day in found.days] == [{2: 10}, {2: 10}, {2: 5}]
    assert found.days[0].limits == {(Gate.QUOTA, "s2"): "quota of s2: 10 a day"}


def test_a_ramp_counts_only_days_on_which_it_sent() -> None:
    ramped = carrier(1)
    ramped.limit_of = lambda days: min(10, 2 + 2 * days)
    ramped.full_limit = 10
    world = world_of([ramped])
    line = world.line(world.steps[1], Window(), "", None)
    world.add(line, 0.0, 2)
    world.add(line, 3 * DAY, 20)
    found = run(world)
    assert [(day.begins // DAY, day.sends) for day in found.days] == [(0, 2), (3, 4), (4, 6), (5, 8), (6, 2)]
    assert list(found.days[1].limits) == [(Gate.RAMP, "s1")]


def test_what_can_never_go_out_ends_the_forecast() -> None:
    world = world_of([carrier(1, paused_domains={"big.example": NEVER})])
    world.add(world.line(world.steps[1], Window(), "big.example", None), 0.0, 5)
    found = run(world, until=30 * DAY)
    assert (sum(day.sends for day in found.days), world.waiting()) == (0, 5)


@pytest.mark.parametrize(("first", "sends"), [(True, [(10, 0), (10, 0), (0, 10)]), (False, [(10, 0)] * 2)])
def test_follow_ups_have_the_quota_first_where_the_campaign_says_so(
    first: bool, sends: list[tuple[int, int]]
) -> None:
    world = world_of([carrier(1)], steps=2)
    world.campaigns[1].followups_first = first
    world.add(world.line(world.steps[1], Window(), "", None), 0.0, 40)
    found = run(world)
    assert [(day.new, day.sends - day.new) for day in found.days][: len(sends)] == sends


def test_a_service_that_sends_nothing_at_all_is_not_what_limits_a_day() -> None:
    frozen = carrier(2, used=10, gap=5.0, closed=(Gate.SERVICE_FROZEN, "frozen"))
    idle = carrier(3, gap=5.0, closed=(Gate.SERVICE_FROZEN, "frozen"))
    world = world_of([carrier(1), frozen, idle])
    world.add(world.line(world.steps[1], Window(), "", None), 0.0, 25)
    assert {service for day in run(world).days for _gate, service in day.limits} == {"s1"}


def test_services_keep_a_part_each_for_follow_ups_that_any_of_them_may_carry() -> None:
    """As those that were released from a service that does not send again."""
    world = world_of([carrier(1), carrier(2, quota=30)], steps=2)
    first, second = world.steps[1], world.steps[2]
    first.follow_ups.clear()
    world.add(world.line(second, Window(), "", None), 12 * HOUR, 20)
    world.add(world.line(first, Window(), "", None), 0.0, 100)
    made = run(world, until=DAY)
    sent = Counter((line.step.id, by) for _at, by, line, count in made.noted for _ in range(count))
    assert sent == {(1, 1): 5, (1, 2): 15, (2, 1): 5, (2, 2): 15}
