"""People, machines and our own."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.feedback import Actor
from coldsend.domain.visits import BURST_SECONDS, agent_sign, bursts, is_prefetch, judge

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def actor(agent: str = FIREFOX, *signs: str, click: bool = True, after: float | None = 60.0) -> Actor:
    return judge(agent, signs, is_click=click, after_sending=after, in_burst=False).actor


PEOPLE = [
    FIREFOX,
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
    "Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Mobile/15E148",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.3.0",
    "Outlook-iOS/723.4116443.prod.iphone (4.2513.0)",
    "Mozilla/5.0 (Linux; Android 15; CUBOT P80) AppleWebKit/537.36 Chrome/138.0 Mobile Safari/537.36",
]
MACHINES = [
    "",
    "Mozilla/5.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 "
    "Safari/537.36 Edge/12.246 Mozilla/5.0",
    "ProtonMail Image Proxy",
    "Mozilla/5.0 (compatible; Barracuda Sentinel)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "WhatsApp/2.24.1 A",
    "python-requests/2.32.3",
    "curl/8.7.1",
    "Go-http-client/2.0",
    "Java/17.0.2",
    "okhttp/4.12.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/140.0 Safari/537.36",
]
PROXIES = {
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)": "Google",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html": "Yahoo",
    "Mozilla/5.0 (compatible; Outlook-ImageProxy/1.0)": "Outlook",
    "Mozilla/5.0 (compatible; YandexImageResizer/2.0; +http://yandex.com/bots)": "Yandex",
    "Mozilla/5.0 (Windows NT 6.1) Firefox/3.6 (via Mail.Ru ImageProxy)": "Mail.ru",
    "Fastmail Image Proxy": "Fastmail",
}


@pytest.mark.parametrize("agent", PEOPLE)
def test_people_are_people(agent: str) -> None:
    assert agent_sign(agent) == ""
    assert actor(agent) is Actor.HUMAN


@pytest.mark.parametrize("agent", MACHINES)
def test_what_says_that_it_is_a_machine_is_one(agent: str) -> None:
    assert agent_sign(agent)
    assert actor(agent) is Actor.MACHINE
    assert actor(agent, click=False) is Actor.MACHINE


@pytest.mark.parametrize(("agent", "name"), PROXIES.items())
def test_a_proxy_that_asks_when_somebody_looks_stands_for_a_person(agent: str, name: str) -> None:
    judged = judge(agent, (), is_click=False, after_sending=2.0, in_burst=False)
    assert (judged.actor, judged.sign) == (Actor.HUMAN, f"{name} image proxy")
    assert actor(agent, click=False, after=None) is Actor.HUMAN, "when it was sent is not known"


@pytest.mark.parametrize("agent", PROXIES)
def test_nobody_has_opened_a_message_that_a_proxy_asks_for_at_once(agent: str) -> None:
    judged = judge(agent, (), is_click=False, after_sending=1.9, in_burst=False)
    assert (judged.actor, judged.sign) == (Actor.MACHINE, "at once after sending")


@pytest.mark.parametrize("agent", PROXIES)
def test_nobody_clicks_through_an_image_proxy(agent: str) -> None:
    assert actor(agent, click=True) is Actor.MACHINE
    assert actor(agent, "head", click=False) is Actor.MACHINE


def test_nobody_looks_at_the_answer_to_head_or_prefetching() -> None:
    assert actor(FIREFOX, "head") is Actor.MACHINE
    assert actor(FIREFOX, "prefetch") is Actor.MACHINE


def test_our_own_are_our_own_whatever_they_use() -> None:
    assert actor(FIREFOX, "own") is Actor.OWN
    assert actor("curl/8.7.1", "head", "own") is Actor.OWN


def test_no_person_clicks_within_two_seconds_of_the_sending() -> None:
    assert actor(after=1.9) is Actor.MACHINE
    assert actor(after=-0.5) is Actor.MACHINE, "before the server's answer was noted"
    assert actor(after=2.0) is Actor.HUMAN
    assert actor(after=None) is Actor.HUMAN
    assert actor(after=0.5, click=False) is Actor.HUMAN, "an open may be that quick"


def test_a_click_in_a_burst_is_a_machines() -> None:
    judged = judge(FIREFOX, (), is_click=True, after_sending=60, in_burst=True)
    assert (judged.actor, judged.sign) == (Actor.MACHINE, "many links at once")


def test_three_links_of_one_message_within_two_seconds_are_a_burst() -> None:
    assert bursts([(1, 0.0, "a"), (1, 1.0, "b"), (1, 2.0, "c")]) == {0, 1, 2}
    assert bursts([(1, 0.0, "a"), (1, 1.0, "b"), (1, 2.1, "c")]) == set()


def test_the_same_link_again_and_links_of_others_are_none() -> None:
    assert bursts([(1, 0.0, "a"), (1, 0.1, "b"), (1, 0.2, "a"), (1, 0.3, "b")]) == set()
    assert bursts([(1, 0.0, "a"), (2, 0.1, "b"), (3, 0.2, "c")]) == set()


def test_a_click_long_after_a_burst_is_not_part_of_it() -> None:
    assert bursts([(1, 9.0, "a"), (1, 0.0, "a"), (1, 0.1, "b"), (1, 0.2, "c")]) == {1, 2, 3}


@pytest.mark.costly
def test_a_flood_on_one_link_is_judged_in_time() -> None:
    began = process_time()
    assert len(bursts([(1, number / 20_000, "ab"[number % 2]) for number in range(40_000)])) == 0
    assert len(bursts([(1, number / 20_000, "abc"[number % 3]) for number in range(40_000)])) == 40_000
    assert process_time() - began < 30, "half a second; a look at each pair would take minutes"


@pytest.mark.costly
@given(st.lists(st.tuples(st.integers(1, 3), st.floats(0, 10), st.sampled_from("abcd")), max_size=12))
def test_bursts_are_what_their_definition_says(clicks: list[tuple[int, float, str]]) -> None:
    wanted: set[int] = set()
    for row, start, _link in clicks:
        window = {
            place
            for place, (other, at, _url) in enumerate(clicks)
            if other == row and start <= at and start >= at - BURST_SECONDS
        }
        if len({clicks[place][2] for place in window}) >= 3:
            wanted |= window
    assert bursts(clicks) == wanted


@pytest.mark.costly
@given(st.text(max_size=80))
def test_any_agent_can_be_judged(agent: str) -> None:
    assert isinstance(agent_sign(agent), str)


def test_prefetch_headers_are_read_by_their_values() -> None:
    assert is_prefetch({b"sec-purpose": b"prefetch;anonymous-client-ip"})
    assert not is_prefetch({b"purpose": b"navigate", b"accept": b"prefetch"})
