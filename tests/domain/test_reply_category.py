"""What a reply wants, told from its words, in several languages."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.reply_category import ReplyCategory, categorize, weightiest

SAID = {
    ReplyCategory.UNSUBSCRIBE_REQUEST: [
        "Unsubscribe",
        "Please remove me from your mailing list.",
        "Stop emailing me.",
        "STOP",
        "take me off this list, thanks",
        "Do not contact me again.",
        "Bitte nehmen Sie mich aus Ihrem Verteiler.",
        "Bitte keine weiteren E-Mails mehr!",
        "Merci de ne plus me contacter.",
        "Désinscrivez-moi de votre liste svp",
        "Por favor, no me escriban más",
        "Quiero darme de baja",
        "Rimuovetemi dalla vostra mailing list",
        "Verwijder mij uit jullie lijst aub",
        "Proszę usunąć mój adres z bazy",
        "Удалите меня из рассылки",
        "请不要再给我发邮件",
        "今後メールは送らないでください",
    ],
    ReplyCategory.NOT_INTERESTED: [
        "Thanks, but we're not interested at this time.",
        "No thanks!",
        "Hi Robin, we are not currently interested. Have you tried others?",
        "Kein Interesse.",
        "Nein danke",
        "Pas intéressé, merci",
        "No nos interesa, gracias",
        "Non siamo interessati.",
        "Geen interesse",
        "Dziękuję, nie jesteśmy zainteresowani.",
        "Спасибо, нас это не интересует",
        "不需要，谢谢",
        "We'll pass.",
        "We don't have a need for this.",
    ],
    ReplyCategory.REFERRAL: [
        "I'm not the right person for this. Please contact Jane Roe.",
        "You should talk to our CTO, Jim.",
        "I have forwarded your email to my colleague.",
        "Bitte wenden Sie sich an Frau Meier.",
        "Veuillez contacter mon collègue",
    ],
    ReplyCategory.INTERESTED: [
        "Sounds great, let's talk next week.",
        "I'm interested. Call me on Monday?",
        "We would be very interested in a demo",
        "Please send me more information.",
        "Klingt gut, rufen Sie mich bitte morgen an.",
        "Je suis très intéressée",
        "Me interesa, gracias",
        "我们很感兴趣",
        "I'd love to learn more",
    ],
    ReplyCategory.QUESTION: [
        "How much does it cost?",
        "Was kostet das?",
        "Where did you get my address?",
        "多少钱？",
        "Please don't remove me from your list yet - what does it cost?",
    ],
    ReplyCategory.OTHER: [
        "Thanks.",
        "Got it, will read tomorrow.",
        "",
        "Ok",
        "Our unsubscribe rates went down a lot last year.",
        "See https://x.com/?a=b",
        "One is not on the list and the other one is.",
        "I will be there. Best, Bob",
        "Please don't stop writing to me",
    ],
}


@pytest.mark.parametrize(
    ("text", "category"), [(text, category) for category, texts in SAID.items() for text in texts]
)
def test_a_reply_is_taken_for_what_its_words_say(text: str, category: ReplyCategory) -> None:
    assert categorize(text) is category


@pytest.mark.parametrize("text", SAID[ReplyCategory.NOT_INTERESTED])
def test_who_says_no_is_never_taken_for_interested(text: str) -> None:
    assert (
        categorize(f"{text} But I am interested in how you found me. Call me?")
        is ReplyCategory.NOT_INTERESTED
    )


def test_a_word_unsubscribes_only_where_it_is_all_that_was_written() -> None:
    assert categorize("Stop.") is ReplyCategory.UNSUBSCRIBE_REQUEST
    assert categorize("We take the train to the last stop.") is ReplyCategory.OTHER


def test_typographic_apostrophes_wide_letters_and_line_breaks_say_the_same() -> None:
    assert categorize("we\u2019re not\n interested") is ReplyCategory.NOT_INTERESTED
    assert categorize("\uff35\uff4e\uff53\uff55\uff42\uff53\uff43\uff52\uff49\uff42\uff45") is (
        ReplyCategory.UNSUBSCRIBE_REQUEST
    )


@pytest.mark.parametrize(
    "footer",
    [
        "If you wish to unsubscribe, click here.",
        "You received this mail because you registered. To unsubscribe please unsubscribe here: https://x.example/u/1",
        "Should you want no more e-mails, opt out: https://x.example/u/1",
        "Wenn Sie keine weiteren E-Mails mehr erhalten möchten, können Sie sich hier abmelden.",
        "Si vous souhaitez ne plus recevoir nos messages, vous pouvez vous désinscrire.",
        "Si ya no desea recibir más correos, puede darse de baja aquí.",
        "如果您不想再收到邮件，请退订。",
        "> Please remove me from your list.",
    ],
)
def test_what_our_own_footers_offer_is_no_request(footer: str) -> None:
    assert categorize(footer) is not ReplyCategory.UNSUBSCRIBE_REQUEST


def test_a_question_mark_in_an_address_asks_nothing() -> None:
    assert categorize("See https://x.example/?a=b") is ReplyCategory.OTHER


@pytest.mark.costly
@given(st.text(max_size=300))
def test_any_text_has_a_category(text: str) -> None:
    assert categorize(text) in ReplyCategory


@pytest.mark.parametrize("words", ["please remove me ", "nicht ", "send me ", "we are ", "a "])
def test_repeated_words_of_any_number_are_looked_at_in_no_time(words: str) -> None:
    assert categorize(words * 20_000) in ReplyCategory


def test_of_several_categories_the_one_that_asks_for_most_care_counts_in_any_order() -> None:
    for one, other in itertools.combinations(ReplyCategory, 2):
        assert weightiest([one, other]) is weightiest([other, one, None]) is one
    assert weightiest([None]) is None
