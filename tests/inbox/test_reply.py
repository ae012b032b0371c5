"""Replies: what is new in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.inbox import MessageKind
from coldsend.inbox.reply import from_html, new_text
from tests.inbox.messages import classified, message

ATTRIBUTIONS = [
    "On Mon, 20 Apr 2026 at 08:00, Us <us@sender.test> wrote:",
    "On Mon, Apr 20, 2026 at 8:00 AM Us With A Rather Long Name\n<us@sender.test> wrote:",
    "Am Mo., 20. Apr. 2026 um 08:00 Uhr schrieb Us <us@sender.test>:",
    "Le lun. 20 avr. 2026 à 08:00, Us <us@sender.test> a écrit :",
    "El lun, 20 abr 2026 a las 8:00, Us (<us@sender.test>) escribió:",
    "Il giorno lun 20 apr 2026 alle ore 08:00 Us <us@sender.test> ha scritto:",
    "Em seg., 20 de abr. de 2026 às 08:00, Us <us@sender.test> escreveu:",
    "Op ma 20 apr. 2026 om 08:00 schreef Us <us@sender.test>:",
    "Den mån 20 apr. 2026 kl 08:00 skrev Us <us@sender.test>:",
    "pon., 20 kwi 2026 o 08:00 Us <us@sender.test> napisał(a):",
    "пн, 20 апр. 2026 г. в 08:00, Us <us@sender.test>:",
    "20.04.2026 08:00, Us пишет:",
    "Us <us@sender.test> 于2026年4月20日周一 08:00写道：",
    "2026年4月20日(月) 8:00 Us <us@sender.test>:",
    "2026년 4월 20일 (월) 오전 8:00, Us <us@sender.test>님이 작성:",
    "\u202bבתאריך יום ב׳, 20 באפר׳ 2026 ב-8:00 מאת Us <us@sender.test> כתב:",
    "\u202bב-20 באפר׳ 2026 מאת \u202aUs\u202c <us@sender.test>:\u202c",
    "---- On Mon, 20 Apr 2026 08:00:00 +0000 Us <us@sender.test> wrote ----",
    "2026-04-20 8:00 GMT+02:00 Us",
    "2026/4/20 us <us@sender.test>",
    "Us via Sender wrote:",
    "Us wrote:",
    "Quoting Us <us@sender.test>:",
    "Zitat von Us <us@sender.test>:",
    "Message du 20/04/26 08:00",
    "---------- Původní e-mail ----------",
    "##- Please type your reply above this line -##",
]


@pytest.mark.parametrize("attribution", ATTRIBUTIONS, ids=range(len(ATTRIBUTIONS)))
def test_what_stands_below_an_attribution_is_quoted(attribution: str) -> None:
    assert (
        new_text(f"Yes, gladly.\n\nAnna\n\n{attribution}\n\n> Hello Anna\n> shall we talk?\n")
        == "Yes, gladly.\n\nAnna"
    )


HEADERS = [
    "From: Us <us@sender.test>\nSent: Monday, April 20, 2026 8:00 AM\nTo: Anna\nSubject: Hello",
    "Gesendet: Montag, 20. April 2026 um 08:00\nVon: Us <us@sender.test>\nAn: Anna\nBetreff: Hello",
    "Subject: Hello\nFrom: us@sender.test\nTo: Anna\nDate: Mon, 20 Apr 2026",
    "-----\nFrom: Us\nTo: Anna\nDate: 20 April 2026",
    "Forwarded message:\n\n> From: Us <us@sender.test>\n> To: Anna\n> Subject: Hello\n>",
    "*From:* Us\n*Date:* Monday, April 20, 2026\n*To:* Anna\n*Subject:* Hello",
    "Von: Us <us@sender.test>\nGesendet: Montag, 20. April 2026 08:00\nAn: Anna\nBetreff: Hello",
    "De : Us\nEnvoyé : lundi 20 avril 2026 08:00\nÀ : Anna\nObjet : Hello",
    "De: Us\nEnviado el: lunes, 20 de abril de 2026\nPara: Anna\nAsunto: Hello",
    "Da: Us\nInviato: lunedì 20 aprile 2026\nA: Anna\nOggetto: Hello",
    "От: Us\nОтправлено: 20 апреля 2026 г.\nКому: Anna\nТема: Hello",
    "发件人: Us\n发送时间: 2026年4月20日\n收件人: Anna\n主题: Hello",
    "差出人: Us\n送信日時: 2026年4月20日\n宛先: Anna\n件名: Hello",
    "________________________________\nFrom: Us\nSent: Monday\nTo: Anna\nSubject: Hello",
    "-----Original Message-----\nFrom: Us\nSent: Monday\nTo: Anna",
    "-----Ursprüngliche Nachricht-----\nVon: Us\nGesendet: Montag\nAn: Anna",
    "---------- Forwarded message ---------\nFrom: Us\nDate: Mon\nTo: Anna",
    "Begin forwarded message:\n\nFrom: Us\nDate: Monday",
]


@pytest.mark.parametrize("headers", HEADERS, ids=range(len(HEADERS)))
def test_what_stands_below_quoted_headers_is_quoted(headers: str) -> None:
    assert new_text(f"Yes, gladly.\n\n{headers}\n\nHello Anna,\nshall we talk?\n") == "Yes, gladly."


@pytest.mark.parametrize(
    "signature",
    [
        "-- \nAnna Smith\nACME",
        "Sent from my iPhone",
        "Sent from my Verizon Wireless BlackBerry",
        "Get Outlook for iOS<https://aka.test/x>",
        "Von meinem iPhone gesendet",
        "Envoyé de mon iPhone",
        "Отправлено с iPhone",
        "发自我的iPhone",
        "<<sent by galaxy>>",
        "Sent from my cell, please excuse any typos.",
        "Sent from my Galaxy phone.",
        "iPhone'umdan gönderildi",
        "Надіслано з iPhone",
        "Trimis de pe iPhone-ul meu",
        "Lähetetty iPhonesta",
        "发送自 iPhone",
        "____________________________\nlist mailing list\nlist@example.org",
        "CONFIDENTIALITY NOTICE: this is for you alone.",
        "This e-mail and any attachments are confidential and intended for the addressee.",
    ],
)
def test_what_is_marked_as_no_part_of_the_text_is_taken_off(signature: str) -> None:
    assert new_text(f"Yes, gladly.\n\n{signature}\n") == "Yes, gladly."


@pytest.mark.parametrize(
    "text",
    [
        "Sent from my desk, is much easier than my mobile phone.",
        "On Monday I told you: wait.",
        "From: tomorrow on we are closed.",
        "Date: any\nis fine for me",
        "He wrote: call me on 5 May",
        "this -- is a dash",
        "From my side it is fine.",
        "Sent by mistake, sorry.",
        "Quoting the contract: it ends in May.",
        "First this.\n\n______________________________\n\nThen that.",
        "Subject: to change\nTo: be told",
        "Two points:\n- one\n- two",
        "--\nonly a signature",
        "> all of it is quoted",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert new_text(text) == text.strip()


def test_answers_between_the_lines_are_found() -> None:
    text = (
        "See below.\n\nOn 20 Apr 2026, Us wrote:\n> Shall we talk?\n\nYes.\n\n"
        "> When?\n\nOn Monday.\n\n> Regards\n> Us\n"
    )
    assert new_text(text) == "See below.\n\nYes.\n\nOn Monday."


def test_an_answer_below_the_quote_is_found() -> None:
    assert (
        new_text("On 20 Apr 2026, Us wrote:\n> Shall we talk?\n> Us\n\nYes, on Monday.\n")
        == "Yes, on Monday."
    )


def test_who_only_greets_above_a_quote_answers_below_it() -> None:
    text = "Hallo Anna,\n\nAm 20.04.2026 um 08:00 schrieb Us:\n> Reden wir?\n\nGern, am Montag.\n"
    assert new_text(text) == "Hallo Anna,\n\nGern, am Montag."


def test_a_footer_below_the_quote_is_none() -> None:
    assert (
        new_text("Yes.\n\nOn 20 Apr 2026, Us wrote:\n> Shall we talk?\n\nScanned by a virus scanner.\n")
        == "Yes."
    )


def test_a_text_with_its_own_headers_above_it_is_that_text() -> None:
    assert new_text("From: Anna\nSent: Monday\nSubject: Hello\n\nYes, gladly.\n") == "Yes, gladly."


def test_quoted_printable_that_nobody_decoded_is_decoded() -> None:
    raw = (
        "J=C3=BCrgen says yes to what you pro=\nposed.\n\n"
        "On Mon, Apr 20, 2026 Us <us@sender.test> wro=\nte:\n\n> x\n"
    )
    assert new_text(raw) == "Jürgen says yes to what you proposed."


@pytest.mark.parametrize(
    "quote",
    [
        '<blockquote type="cite">Hello Anna</blockquote>',
        '<div class="gmail_quote">On Monday Us wrote:<blockquote>Hello Anna</blockquote></div>',
        '<div id="divRplyFwdMsg">From: Us</div><div>Hello Anna</div>',
        '<hr id="zwchr"><b>From: </b>Us<br>Hello Anna',
        '<div id="appendonsend"></div><hr><div>Hello Anna</div>',
    ],
)
def test_quotes_in_html_are_left_out(quote: str) -> None:
    page = f"<html><body><div>Yes, <b>gladly</b>.</div>{quote}</body></html>"
    assert classified(message(page, kind="text/html; charset=utf-8")).text == "Yes, gladly."


def test_html_that_is_nothing_but_a_quote_is_shown() -> None:
    assert "Hello Anna" in from_html("<blockquote>Hello Anna</blockquote>")


def test_plain_text_is_preferred_to_html() -> None:
    body = "--b\n\nplain\n\n--b\nContent-Type: text/html\n\n<p>page</p>\n\n--b--\n"
    assert classified(message(body, kind='multipart/alternative; boundary="b"')).text == "plain"


def test_a_mere_text_is_taken_for_a_reply() -> None:
    found = classified(b"Yes, gladly.\n\nSent from my iPhone\n")
    assert (found.kind, found.text) == (MessageKind.REPLY, "Yes, gladly.")


@pytest.mark.parametrize(
    ("subject", "headers", "kind"),
    [
        ("Re: Hello", {}, MessageKind.REPLY),
        ("AW: Hello", {}, MessageKind.REPLY),
        ("回复：Hello", {}, MessageKind.REPLY),
        ("Hello", {"In_Reply_To": "<row-17@sender.test>"}, MessageKind.REPLY),
        ("Hello", {}, MessageKind.OTHER),
        ("Regards", {}, MessageKind.OTHER),
    ],
)
def test_a_reply_answers_something(subject: str, headers: dict[str, str], kind: MessageKind) -> None:
    assert classified(message("Yes", subject=subject, **headers)).kind is kind


def test_the_thread_is_told_nearest_first() -> None:
    raw = message("Yes", In_Reply_To="<b@sender.test>", References="<a@sender.test> <b@sender.test>")
    assert classified(raw).message_ids == ("<b@sender.test>", "<a@sender.test>")


def test_the_addresses_it_was_sent_to_are_told() -> None:
    raw = message("Yes", Delivered_To="US+Token@sender.test", Cc="Them <them@sender.test>")
    assert classified(raw).addressed == ("us+token@sender.test", "us@sender.test", "them@sender.test")


lines = st.sampled_from(
    [
        "Yes",
        "> quoted",
        "",
        "-- ",
        "On 20 Apr 2026, Us wrote:",
        "From: Us",
        "Sent: Monday",
        "Subject: x",
        "____",
        "=3D",
    ]
)


@pytest.mark.costly
@given(st.lists(lines, max_size=30).map("\n".join) | st.text(max_size=200))
def test_any_text_has_some_new_text_if_it_has_words(text: str) -> None:
    found = new_text(text)
    assert bool(found) or not any(character.isalnum() for character in text)


@pytest.mark.costly
@given(st.text(alphabet="<>/abdivquote =\"'&;", max_size=200))
def test_any_page_can_be_read(page: str) -> None:
    from_html(page)
