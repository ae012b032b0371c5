"""Until when somebody is away, where an automatic reply tells it by a plain date.

A date counts only behind words that say what it is: "back on 5 May", "bis zum 5. Mai", "до 5 мая". "until"
includes its day, as people mean it; "back on" does not. Without a year the next such day is meant. 05/06/2026
is read only where one of its numbers can be no month. What lies in the past or beyond half a year is not
believed.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

LONGEST = timedelta(days=183)
TEXT = 4000

_MONTHS = (
    "january|jan|januar|janvier|janv|enero|ene|gennaio|gen|janeiro|januari|января|січня",
    "february|feb|februar|février|fevrier|févr|febrero|febbraio|fevereiro|februari|февраля|лютого",
    "march|mar|märz|maerz|mars|marzo|março|maart|mrt|марта|березня",
    "april|apr|avril|avr|abril|abr|aprile|апреля|квітня",
    "may|mai|mayo|maggio|mag|maio|mei|maj|мая|травня",
    "june|jun|juni|juin|junio|giugno|giu|junho|июня|червня",
    "july|jul|juli|juillet|juil|julio|luglio|lug|julho|июля|липня",
    "august|aug|août|aout|agosto|ago|augustus|augusti|августа|серпня",
    "september|sept|sep|septembre|septiembre|settembre|set|setembro|сентября|вересня",
    "october|oct|oktober|okt|octobre|octubre|ottobre|ott|outubro|out|октября|жовтня",
    "november|nov|novembre|noviembre|novembro|ноября|листопада",
    "december|dec|dezember|dez|décembre|decembre|déc|diciembre|dic|dicembre|dezembro|desember|декабря|грудня",
)
_MONTH_OF = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split("|")}
_NAMES = "|".join(sorted(_MONTH_OF, key=len, reverse=True))
_WEEKDAYS = (
    "monday|montag|lundi|lunes|lunedì|понедельник\\w*",
    "tuesday|dienstag|mardi|martes|martedì|вторник\\w*",
    "wednesday|mittwoch|mercredi|miércoles|mercoledì|сред[уы]",
    "thursday|donnerstag|jeudi|jueves|giovedì|четверг\\w*",
    "friday|freitag|vendredi|viernes|venerdì|пятниц\\w",
    "saturday|samstag|samedi|sábado|sabato|суббот\\w",
    "sunday|sonntag|dimanche|domingo|domenica|воскресень\\w",
)
_ANY_WEEKDAY = "|".join(_WEEKDAYS)

# "until" and the like: the day itself is part of the absence.
_UNTIL = (
    r"until(?: and including)?|till|til|through|thru|up to|bis(?: (?:einschließlich|inklusive))?(?: zum)?|"
    r"jusqu.au|hasta(?: el)?|fino al?|até(?: o)?(?: dia)?|tot(?: en met)?|"
    r"t/m|t\.o\.m\.|til og med|до|по"
)
# What is said of the day on which somebody is there again.
_BACK = (
    r"(?:back|return\w*|available|reachable|in the office)(?: again)?(?: (?:to|in|at) (?:the |"
    r"my )?(?:office|work|desk))?"
    r"(?: again)?(?: on| by| from)?|zurück(?: (?:am|ab))?|wieder (?:\w+ ){0,3}?(?:am|ab)(?: dem)?|ab(?: dem)|"
    r"de retour(?: (?:le|à partir du))?|retour le|vuelv\w+(?: a la oficina)? el|de vuelta(?: el)?|"
    r"regres\w+ el|"
    r"rientr\w+(?: il)?|di ritorno(?: il)?|tornerò il|de volta(?: em)?|(?:weer|terug)(?: \w+)? (?:op|vanaf)|"
    r"tilbake|tillbaka(?: den)?|tilbage|вернусь|буду (?:на месте|на связи|доступ\w+)(?: с)?|返回|回来"
)
_DAY = (
    r"(?P<iso>20\d\d-\d{1,2}-\d{1,2})|"
    r"(?P<cjk>(?:20\d\d年)?\d{1,2}月\d{1,2}日)|"
    r"(?P<d1>\d{1,2})(?:st|nd|rd|th|\.|er|º|-го|\s)?\s{0,2}(?:of |de |di )?(?P<m1>" + _NAMES + r")\b\.?"
    r"(?:,?\s{0,2}(?:de |del )?(?P<y1>20\d\d))?|"
    r"(?P<m2>"
    + _NAMES
    + r")\.?\s{1,2}(?:the )?(?P<d2>\d{1,2})(?:st|nd|rd|th)?\b(?:,?\s{0,2}(?P<y2>20\d\d))?|"
    r"(?P<d3>\d{1,2})\.\s?(?P<m3>\d{1,2})\.(?:\s?(?P<y3>20\d\d|\d\d)\b)?|"
    r"(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<y4>20\d\d)|"
    r"(?P<weekday>" + _ANY_WEEKDAY + r")\b"
)
_SAID = re.compile(
    r"(?:(?P<until>(?<!\w)(?:" + _UNTIL + r")|[至到])|(?P<back>(?<!\w)(?:" + _BACK + r")))"
    r"(?:\s{0,3}[:,]?\s{0,3})(?:on |am |le |el |il |the |den |dem |o dia |next |nächsten |kommenden |в |с )?"
    r"(?:(?:"
    + _ANY_WEEKDAY
    + r"|mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr)\.?,?\s{1,2}(?:the |dem |den |le |el )?(?=\d|"
    + _NAMES
    + r"))?(?:"
    + _DAY
    + r")",
    re.IGNORECASE,
)


def away_until(text: str, sent: datetime) -> datetime | None:
    """The moment (aware UTC, the beginning of a day) from which somebody is there again; None if not told.

    sent: when the reply was sent. Of several dates the latest counts.
    """
    found = []
    for match in _SAID.finditer(text[:TEXT]):
        day = _day(match, sent.date())
        if day is None:
            continue
        back = day + timedelta(days=1) if match["until"] else day
        if sent.date() < back <= sent.date() + LONGEST:
            found.append(back)
    return datetime.combine(max(found), time(), UTC) if found else None


def _day(match: re.Match[str], sent: date) -> date | None:
    if match["weekday"]:
        wanted = next(n for n, names in enumerate(_WEEKDAYS) if re.fullmatch(names, match["weekday"].lower()))
        return sent + timedelta(days=(wanted - sent.weekday() - 1) % 7 + 1)
    if match["iso"]:
        return _date(*(int(part) for part in match["iso"].split("-")))
    if match["cjk"]:
        numbers = [int(part) for part in re.findall(r"\d+", match["cjk"])]
        return _in_year(numbers[0] if len(numbers) > 2 else 0, numbers[-2], numbers[-1], sent)
    if match["a"]:
        first, second = int(match["a"]), int(match["b"])
        if first <= 12 and second <= 12 and first != second:
            return None  # day and month cannot be told apart
        month, day = (second, first) if first > 12 else (first, second)
        return _date(int(match["y4"]), month, day)
    if match["d3"]:
        year = int(match["y3"] or 0)
        return _in_year(year + 2000 if 0 < year < 100 else year, int(match["m3"]), int(match["d3"]), sent)
    month = _MONTH_OF[(match["m1"] or match["m2"]).lower()]
    year = int(match["y1"] or match["y2"] or 0)
    return _in_year(year, month, int(match["d1"] or match["d2"]), sent)


def _in_year(year: int, month: int, day: int, sent: date) -> date | None:
    if year:
        return _date(year, month, day)
    this_year = _date(sent.year, month, day)
    return this_year if this_year is not None and this_year >= sent else _date(sent.year + 1, month, day)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
