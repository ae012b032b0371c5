"""JSON, terminal, CSV and HTML show the numbers that counting the event log by hand gives: whatever of it is
in the roll-ups already, and after old events were deleted."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from coldsend.analytics.reports.measures import MEASURES
from coldsend.analytics.rollup import RollUp
from coldsend.audience.retention import Keeper
from coldsend.config.settings import RetentionSettings
from coldsend.database.tables import contacts, event_log
from coldsend.domain import providers
from coldsend.domain.states import EventType
from tests.analytics.log import DOMAINS, Hand, Log
from tests.conftest import Project
from tests.planning.world import NOW

pytestmark = pytest.mark.costly

BERLIN = "Europe/Berlin"
KEPT = ("recipients", "funnel", "rates", "by_day", "by_hour", "templates", "services", "providers", "domains")
KEPT += ("links", "events")


def logged(project: Project, rolled_up: str) -> Log:
    """260 events, of which nothing, some or everything is in the roll-ups."""
    made = Log(project.database, time_zone=BERLIN)
    made.add(160)
    if rolled_up != "nothing":
        RollUp(project.database, grace=0).run(NOW)
    made.add(100)
    if rolled_up == "everything":
        RollUp(project.database, grace=0).run(NOW)
    return made


@pytest.fixture
def log(project: Project) -> Log:
    """Of whose events some are in the roll-ups."""
    return logged(project, "some")


def expected(hand: Hand, tasks: list[int]) -> dict[str, int]:
    """The measures, counted by hand."""
    return {
        "sent": hand.people("send_api_success", tasks),
        "delivered": hand.people("delivered", tasks),
        "opened": hand.people("open", tasks, "human"),
        "clicked": hand.people("click", tasks, "human"),
        "replied": hand.people("reply", tasks),
        "refused_hard": hand.people("send_api_fail", tasks, "hard"),
        "refused_soft": hand.people("send_api_fail", tasks, "soft"),
        "bounced": hand.people("bounce", tasks, "hard", "soft"),
        "bounced_hard": hand.people("bounce", tasks, "hard"),
        "bounced_soft": hand.people("bounce", tasks, "soft"),
        "unsubscribed": hand.people("unsubscribe", tasks),
        "complained": hand.people("complaint", tasks),
        "opened_by_machines": hand.people("open", tasks, "machine"),
        "clicked_by_machines": hand.people("click", tasks, "machine"),
    }


@pytest.mark.parametrize("rolled_up", ["nothing", "some", "everything"])
def test_a_campaigns_document_is_what_counting_by_hand_gives(project: Project, rolled_up: str) -> None:
    log = logged(project, rolled_up)
    hand, mine = log.by_hand(), log.tasks[:2]
    found = project.json("report", "campaign", "spring")
    wanted = expected(hand, mine)
    assert {name: found["funnel"][name] for name in MEASURES} == wanted
    for task, document in zip(mine, found["tasks"], strict=True):
        assert {name: document["funnel"][name] for name in MEASURES} == expected(hand, [task])
    for rate, measure in (("reply", "replied"), ("open", "opened"), ("complaint", "complained")):
        assert (found["rates"][rate]["count"], found["rates"][rate]["of"]) == (
            wanted[measure],
            wanted["sent"],
        )
        assert found["rates"][rate]["low"] <= found["rates"][rate]["rate"] <= found["rates"][rate]["high"]
    refused = wanted["refused_hard"] + wanted["refused_soft"]
    bounce = found["rates"]["bounce"]
    assert (bounce["count"], bounce["of"]) == (wanted["bounced"] + refused, wanted["sent"] + refused)
    for kind in EventType:
        listed = {e["nature"] or "": e["events"] for e in found["events"] if e["type"] == kind.value}
        assert listed == hand.total(kind.value, mine)


def test_days_and_hours_are_those_of_the_campaign(project: Project, log: Log) -> None:
    found = project.json("report", "campaign", "spring")
    assert found["time_zone"] == BERLIN
    days: dict[str, int] = {}
    hours = dict.fromkeys(range(24), 0)
    for (task, hour, kind, *_rest), numbers in log.by_hand().counts.items():
        if task in log.tasks[:2] and kind == "reply":
            local = hour.astimezone(ZoneInfo(BERLIN))
            days[local.date().isoformat()] = days.get(local.date().isoformat(), 0) + numbers[1]
            hours[local.hour] += numbers[1]
    assert {day["day"]: day["replied"] for day in found["by_day"] if day["replied"]} == {
        day: count for day, count in days.items() if count
    }
    assert {hour["hour"]: hour["replied"] for hour in found["by_hour"]} == hours


def test_links_domains_and_providers_are_those_counted_by_hand(project: Project, log: Log) -> None:
    hand, mine = log.by_hand(), log.tasks[:2]
    found = project.json("report", "campaign", "spring")
    links: dict[str, list[int]] = {}
    for (task, _template, nature, name), numbers in hand.links.items():
        if task in mine and nature == "human":
            known = links.setdefault(name, [0, 0])
            known[0] += numbers[0]
            known[1] += numbers[1]
    shown: dict[str, list[int]] = {}
    for link in found["links"]:
        known = shown.setdefault(link["url"], [0, 0])
        known[0] += link["clicks"]
        known[1] += link["recipients"]
    assert shown == links
    for domain in found["domains"]:
        for kind, measure in (("send_api_success", "sent"), ("reply", "replied")):
            by_hand = [hand.domains.get((task, domain["name"], kind, ""), [0, 0])[1] for task in mine]
            assert domain[measure] == sum(by_hand), domain["name"]
    assert {domain["name"] for domain in found["domains"]} <= set(DOMAINS)
    replies: dict[str, int] = {}
    for (task, domain, kind, _nature), numbers in hand.domains.items():
        if task in mine and kind == "reply" and providers.provider_of(domain) in providers.NAMES:
            name = providers.provider_of(domain)
            replies[name] = replies.get(name, 0) + numbers[1]
    assert {part["name"]: part["replied"] for part in found["providers"]} == replies


def test_templates_services_and_domains_have_their_own_reports(project: Project, log: Log) -> None:
    hand = log.by_hand()
    document = project.json("report", "template", str(log.templates[0]))
    sent = {key: n for key, n in hand.counts.items() if key[2] == "send_api_success"}
    assert document["funnel"]["sent"] == sum(n[1] for key, n in sent.items() if key[4] == log.templates[0])
    document = project.json("report", "service", "main", "--days", "3650")
    assert document["funnel"]["sent"] == sum(n[1] for key, n in sent.items() if key[5] == log.services[0])
    for name, members in (("acme.com", ["acme.com"]), ("google", ["gmail.com", "googlemail.com"])):
        document = project.json("report", "domain", name)
        by_hand = [
            n[1] for (_t, of, kind, _n), n in hand.domains.items() if of in members and kind == "reply"
        ]
        assert document["funnel"]["replied"] == sum(by_hand)


def test_terminal_csv_and_page_show_the_numbers_of_the_document(project: Project, log: Log) -> None:
    wanted = expected(log.by_hand(), log.tasks[:2])
    steps = {"accepted by a server": "sent", "opened by people": "opened", "replied": "replied"}
    lost = {"bounced, the address is no good": "bounced_hard", "unsubscribed": "unsubscribed"}
    said = project.run("report", "campaign", "spring").out
    rows = {row["item"]: row for row in csv_of(project, "funnel", "lost") if row["measure"] == "count"}
    project.run("report", "campaign", "spring", "--html", "report.html")
    page = tables_of((project.folder / "report.html").read_text(encoding="utf-8"))
    for words, measure in {**steps, **lost}.items():
        shown = f"{wanted[measure]:,}"
        assert re.search(rf"^{words} +{shown}\b", said, re.MULTILINE), words
        assert rows[words]["value"] == str(wanted[measure])
        assert page[words][1] == shown


def test_days_and_domains_are_those_of_the_log_in_all_four_forms(project: Project, log: Log) -> None:
    """Counted here, from nothing but the event log and the contacts."""
    by_day, by_domain = firsts_of(log, log.tasks[:2])
    document = project.json("report", "campaign", "spring")
    said = [line.split() for line in project.run("report", "campaign", "spring").out.splitlines()]
    lines = csv_of(project, "days", "domains")
    in_csv = {(line["section"], line["item"], line["measure"]): line["value"] for line in lines}
    project.run("report", "campaign", "spring", "--html", "report.html")
    page = tables_of((project.folder / "report.html").read_text(encoding="utf-8"))
    for key, name, wanted, shown in (("by_day", "day", by_day, 6), ("domains", "name", by_domain, 4)):
        section = "days" if key == "by_day" else key
        found = {row[name]: [row[measure] for measure in FIRSTS] for row in document[key]}
        assert found == {item: wanted.get(item, [0] * len(FIRSTS)) for item in found}
        assert found.keys() >= {item for item, numbers in wanted.items() if key == "by_day" or numbers[0]}
        for item, numbers in found.items():
            texts = [str(number) for number in numbers]
            assert [item, *texts[:shown]] in [line[: shown + 1] for line in said]
            assert [in_csv[section, item, measure] for measure in FIRSTS] == texts
            assert page[item][: shown + 1] == [item, *texts[:shown]]


# measure -> (type of event, its nature, None: any), in the order of the columns
FIRSTS: dict[str, tuple[str, str | None]] = {
    "sent": ("send_api_success", None),
    "opened": ("open", "human"),
    "clicked": ("click", "human"),
    "replied": ("reply", None),
    "bounced": ("bounce", None),
    "unsubscribed": ("unsubscribe", None),
}


def firsts_of(log: Log, tasks: list[int]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Recipients of each day of Berlin, and of each domain, by the first event of each measure."""
    with log.database.read() as connection:
        events = connection.execute(sa.select(event_log).order_by(event_log.c.id)).mappings().all()
        people = connection.execute(sa.select(contacts)).mappings().all()
    domains = {person["id"]: person["email_domain"] for person in people}
    seen: set[tuple[str, int, int]] = set()
    by_day: dict[str, list[int]] = {}
    by_domain: dict[str, list[int]] = {}
    for event in events:
        for place, (measure, (kind, nature)) in enumerate(FIRSTS.items()):
            mine = nature is None or (event["details"] or {}).get("actor", "human") == nature
            whose = (measure, event["task_id"], event["contact_id"])
            if event["type"] != kind or not mine or event["task_id"] not in tasks or whose in seen:
                continue
            seen.add(whose)
            day = event["ts"].astimezone(ZoneInfo(BERLIN)).date().isoformat()
            for sums, key in ((by_day, day), (by_domain, domains[event["contact_id"]])):
                sums.setdefault(key, [0] * len(FIRSTS))[place] += 1
    return by_day, by_domain


def csv_of(project: Project, *sections: str) -> list[dict[str, Any]]:
    project.run("report", "campaign", "spring", "--csv", "report.csv")
    text = (project.folder / "report.csv").read_text(encoding="utf-8")
    return [row for row in csv.DictReader(io.StringIO(text)) if row["section"] in sections]


def tables_of(page: str) -> dict[str, list[str]]:
    """The first row of each name in the page's tables, as the texts of its cells."""
    reader = _Rows()
    reader.feed(page)
    return reader.rows


class _Rows(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[str]] = {}
        self._cells: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self._cells = []
        if tag in ("td", "th"):
            self._cells.append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False
        if tag == "tr" and self._cells:
            self.rows.setdefault(self._cells[0].strip(), [cell.strip() for cell in self._cells])

    def handle_data(self, data: str) -> None:
        if self._inside:
            self._cells[-1] += data


def test_reports_keep_their_numbers_when_old_events_are_deleted(project: Project) -> None:
    log = Log(project.database)
    log.add(200)

    def told() -> list[Any]:
        found = [project.json("report", *what) for what in (("campaign", "spring"), ("domain", "acme.com"))]
        return [{name: document.get(name) for name in KEPT} for document in found]

    before = told()
    RollUp(project.database, grace=0).run(NOW)
    later = NOW + timedelta(days=100)
    assert Keeper(project.database, RetentionSettings(events_days=10)).run(later).events == 200
    with project.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(event_log)).scalar() == 0
    assert told() == before
