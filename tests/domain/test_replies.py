"""The reply table: what answers mean, and what never happens whatever is answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.answers import Action, Answer, Outcome, Phase, Verdict
from coldsend.domain.replies import judge, provider_of, repeated
from coldsend.domain.reply_rules import RULES, within
from coldsend.domain.reply_text import parse
from coldsend.domain.states import FreezeCode

CORPUS = Path(__file__).parents[2] / "../shared/corpora/smtp_replies/provider_replies.json"

FAILS = {Action.FAIL, Action.SUPPRESS, Action.FAIL_CONTENT, Action.FAIL_TEMPLATE}

# (phase, answer, action): the rows of the reply table, in the words of several servers.
TABLE = [
    ("auth", "535 5.7.8 Username and Password not accepted", Action.FREEZE_SERVICE),
    ("auth", "534 5.7.9 Application-specific password required", Action.FREEZE_SERVICE),
    ("mail", "530 5.7.0 Authentication required", Action.FREEZE_SERVICE),
    ("auth", "454 4.7.0 Too many login attempts, please try again later", Action.COOL_DOWN),
    ("auth", "421 4.7.0 temporary problem", Action.COOL_DOWN),
    ("final", "550 5.4.5 Daily user sending quota exceeded", Action.NEXT_QUOTA_DAY),
    ("mail", "550 5.7.1 Daily SMTP relay sending limit exceeded for this customer", Action.NEXT_QUOTA_DAY),
    ("mail", "450 4.2.1 Peak SMTP relay limit exceeded for customer", Action.NEXT_QUOTA_DAY),
    ("mail", "454 Throttling failure: Daily message quota exceeded.", Action.NEXT_QUOTA_DAY),
    (
        "mail",
        "550 5.7.0 The sending email account has been temporarily suspended due to abuse",
        Action.FREEZE_SERVICE,
    ),
    ("mail", "550 5.1.8 Access denied, bad outbound sender", Action.FREEZE_SERVICE),
    (
        "mail",
        "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP",
        Action.FREEZE_SERVICE,
    ),
    (
        "final",
        "550 5.7.26 This mail has been blocked because the sender is unauthenticated",
        Action.PAUSE_PROVIDER,
    ),
    ("final", "421 4.7.30 Your email has been rate limited because DKIM did not pass", Action.PAUSE_PROVIDER),
    (
        "final",
        "550 5.7.515 Access denied, sending domain does not meet the required level",
        Action.PAUSE_PROVIDER,
    ),
    ("mail", "550 5.7.25 The sending IP does not have a PTR record", Action.PAUSE_PROVIDER),
    (
        "rcpt",
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
        Action.PAUSE_PROVIDER,
    ),
    ("mail", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", Action.PAUSE_PROVIDER),
    (
        "mail",
        "550 5.7.1 messages from [192.0.2.1] weren't sent. Part of their network is listed (S3150)",
        Action.PAUSE_PROVIDER,
    ),
    (
        "mail",
        "554 5.7.1 Rejected: your IP has poor reputation",
        Action.PAUSE_PROVIDER,
    ),
    ("mail", "421 4.7.28 Gmail has detected an unusual rate of mail from your IP", Action.SLOW_DOWN),
    ("connect", "421 4.7.0 Too many connections from your IP", Action.COOL_DOWN),
    ("greeting", "421 4.3.2 Too many concurrent connections", Action.SLOW_DOWN),
    ("rcpt", "451 4.7.1 Greylisting in action, please come back in 00:05:00", Action.RETRY_SAME_SERVICE),
    (
        "rcpt",
        "450 4.2.0 <a@b>: Recipient address rejected: Greylisted, see http://example.org",
        Action.RETRY_SAME_SERVICE,
    ),
    ("rcpt", "451 4.3.0 Temporary lookup failure, try again later", Action.RETRY_SAME_SERVICE),
    ("final", "550 5.7.1 This message is likely unsolicited mail", Action.FAIL_CONTENT),
    ("final", "554 5.7.1 Message contains a virus", Action.FAIL_CONTENT),
    ("mail", "501 5.5.4 Syntax error", Action.PAUSE_CAMPAIGN),
    ("data", "503 5.5.1 Bad sequence of commands", Action.PAUSE_CAMPAIGN),
    ("final", "554 5.6.0 Email message is malformed. Not accepted.", Action.PAUSE_CAMPAIGN),
    ("final", "550 5.7.1 Messages missing a valid Message-ID header are not accepted", Action.PAUSE_CAMPAIGN),
    ("rcpt", "501 5.1.3 Bad recipient address syntax", Action.SUPPRESS),
    (
        "rcpt",
        "550 5.1.1 <a@b>: Recipient address rejected: User unknown in virtual mailbox table",
        Action.SUPPRESS,
    ),
    ("rcpt", "550 no such user here", Action.SUPPRESS),
    ("rcpt", "553 5.1.2 We weren't able to find the recipient domain", Action.SUPPRESS),
    ("rcpt", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", Action.SUPPRESS),
    ("rcpt", "556 5.1.10 Recipient address has null MX", Action.SUPPRESS),
    ("rcpt", "551 5.1.6 Recipient no longer here", Action.SUPPRESS),
    ("rcpt", "556 domain does not accept mail", Action.SUPPRESS),
    ("rcpt", "550 Host does not accept mail", Action.SUPPRESS),
    ("mail", "550 5.7.27 Sender address has null MX", Action.PAUSE_PROVIDER),
    ("rcpt", "550 5.1.1 RCP-P2 Refused due to recipient preferences", Action.FAIL),
    ("rcpt", "550 User unknown", Action.SUPPRESS),
    ("final", "550 User unknown", Action.FAIL),
    ("final", "550 5.1.10 RecipientNotFound; Recipient not found by SMTP address lookup", Action.SUPPRESS),
    ("rcpt", "550 : User unknown", Action.FAIL),
    ("rcpt", "550 5.1.1 El usuario no existe", Action.SUPPRESS),
    ("rcpt", "550 Postfach existiert nicht", Action.SUPPRESS),
    ("rcpt", "552 Das Postfach ist voll", Action.RETRY),
    ("rcpt", "550 5.2.1 The email account that you tried to reach is disabled", Action.FAIL),
    ("rcpt", "452 4.2.2 The recipient's inbox is out of storage space", Action.RETRY),
    ("final", "552 5.2.2 Mailbox full", Action.RETRY),
    ("rcpt", "452 4.5.3 Too many recipients", Action.RETRY_SOON),
    ("mail", "552 5.3.4 Message size exceeds fixed limit", Action.FAIL_TEMPLATE),
    ("final", "552 5.2.3 Your message exceeded message size limits", Action.FAIL_TEMPLATE),
    ("mail", "530 5.7.0 Must issue a STARTTLS command first", Action.COOL_DOWN),
    ("tls", "454 4.7.0 TLS not available due to temporary reason", Action.COOL_DOWN),
    ("rcpt", "421 4.3.2 Service shutting down", Action.SLOW_DOWN),
    ("greeting", "554 5.7.1 No SMTP service here", Action.COOL_DOWN),
    ("rcpt", "451 4.4.3 Temporary DNS failure", Action.RETRY),
    ("rcpt", "450 4.1.1 <a@b>: unverified address: user unknown", Action.RETRY),
    ("rcpt", "450 4.2.1 The user you are trying to contact is receiving mail too quickly", Action.RETRY),
    ("mail", "553 5.1.7 The sender address is not a valid RFC 5321 address", Action.COOL_DOWN),
    ("mail", "450 4.1.8 <a@b>: Sender address rejected: Domain not found", Action.COOL_DOWN),
    ("rcpt", "554 5.7.1 <a@b>: Relay access denied", Action.FAIL),
    ("rcpt", "550 something nobody ever said", Action.FAIL),
    ("rcpt", "450 something nobody ever said", Action.RETRY),
    ("final", "250 2.0.0 queued", Action.NONE),
    ("connect", "connection refused", Action.COOL_DOWN),
    ("tls", "certificate has expired", Action.COOL_DOWN),
    ("rcpt", "553 5.6.7 the address needs SMTPUTF8", Action.FAIL),
    ("mail", "554 5.6.3 8-bit data", Action.FAIL_TEMPLATE),
    ("rcpt", "501 5.5.2 cannot decode", Action.FAIL),
    ("rcpt", "550 5.7.1 you cannot write to this group", Action.FAIL),
    ("mail", "451 4.3.0 queue file write error", Action.SLOW_DOWN),
    ("mail", "550 5.3.0 no", Action.COOL_DOWN),
    ("rcpt", "452 4.3.1 Insufficient system resources", Action.RETRY),
    ("rcpt", "552 no", Action.RETRY),
    ("rcpt", "connection lost", Action.RETRY),
]


@pytest.mark.parametrize(("phase", "said", "action"), TABLE, ids=[f"{row[0]} {row[1][:40]}" for row in TABLE])
def test_the_table(phase: str, said: str, action: Action) -> None:
    assert judge(parse(said, Phase(phase))).action == action


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("550 192.0.2.1 is not allowed to send mail from example.com", "sender_not_authenticated"),
        ("550 you are not authorized to send messages on behalf of example.com", "sender_not_authenticated"),
        ("534 SIZE=Message too big", "too_big"),
        ("554 5.6.0 this message appears to be spam", "content_refused"),
        ("550 Too many invalid recipients", "bad_reputation"),
        ("550 User has too many messages on the server", "mailbox_full"),
        ("552 disk quota exceeded, too much mail stored", "mailbox_full"),
        ("554 mailfolder is full", "mailbox_full"),
    ],
)
def test_neither_the_service_nor_the_campaign_pays_for_what_is_said_of_something_else(
    said: str, rule: str
) -> None:
    assert judge(parse(said, Phase.RCPT)).rule == rule


def test_credentials_that_are_refused_freeze_the_service_until_there_are_new_ones() -> None:
    verdict = judge(Answer(Phase.AUTH, 535, "5.7.8", "no"))
    assert (verdict.freeze, verdict.blames_sender) == (FreezeCode.CREDENTIALS, True)


def test_a_suspended_account_freezes_the_service_until_a_person_looks() -> None:
    verdict = judge(Answer(Phase.MAIL, 550, "5.1.8", "Access denied, bad outbound sender"))
    assert verdict.freeze == FreezeCode.SUSPENDED


def test_only_a_2xx_to_the_final_dot_is_acceptance() -> None:
    assert judge(Answer(Phase.FINAL, 250)) == Verdict(Outcome.ACCEPTED, Action.NONE, "accepted")
    for phase in Phase:
        if phase != Phase.FINAL:
            assert judge(Answer(phase, 250)).outcome == Outcome.TEMPORARY


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase != Phase.FINAL])
def test_a_loss_before_the_final_dot_is_tried_again_whatever_its_description_says(phase: Phase) -> None:
    verdict = judge(Answer(phase, 0, text="the server refused: user unknown, spam, virus", lost=True))
    assert verdict.outcome == Outcome.TEMPORARY
    assert verdict.action in {Action.RETRY, Action.COOL_DOWN}


@pytest.mark.parametrize("phase", Phase)
def test_a_lost_connection_blames_the_service(phase: Phase) -> None:
    assert judge(Answer(phase, 0, lost=True)).blames_sender


@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.RCPT, Phase.DATA])
def test_a_connection_lost_again_under_the_same_recipient_does_not(phase: Phase) -> None:
    lost = Answer(phase, 0, lost=True)
    again = repeated(judge(lost), lost)
    assert (again.action, again.blames_sender) == (Action.RETRY, False)


@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DATA, Phase.FINAL])
@pytest.mark.parametrize("words", ["421 4.3.2 closing", "451 4.7.1 too many messages, slow down"])
def test_a_service_rests_once_for_what_one_recipient_meets_each_time(phase: Phase, words: str) -> None:
    code, enhanced, text = words.split(" ", 2)
    answer = Answer(phase, int(code), enhanced, text)
    verdict = judge(answer)
    assert verdict.action == Action.SLOW_DOWN
    again = repeated(verdict, answer)
    assert (again.action, again.blames_sender, again.wait_seconds) == (Action.RETRY, False, 0)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(Phase.CONNECT, 0, lost=True),
        Answer(Phase.GREETING, 421, "", "busy"),
        Answer(Phase.MAIL, 421, "4.7.0", "too many messages"),
        Answer(Phase.FINAL, 0, lost=True),
        Answer(Phase.RCPT, 550, "5.4.5", "daily user sending limit exceeded"),
        Answer(Phase.RCPT, 535, "5.7.8", "credentials"),
        Answer(Phase.FINAL, 250),
    ],
    ids=str,
)
def test_what_cannot_be_about_a_recipient_means_the_same_the_second_time(answer: Answer) -> None:
    assert repeated(judge(answer), answer) == judge(answer)


def test_a_refused_recipient_blames_nobody_else() -> None:
    assert not judge(Answer(Phase.RCPT, 550, "5.1.1", "user unknown")).blames_sender


texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(" ".join(row[1] for row in TABLE).split()), max_size=15).map(" ".join),
)
answers = st.builds(
    Answer,
    phase=st.sampled_from(Phase),
    code=st.one_of(st.integers(-5, 1000), st.sampled_from([0, 250, 354, 421, 450, 451, 452, 550, 552, 554])),
    enhanced=st.one_of(
        st.just(""),
        st.text(max_size=8),
        st.builds("{}.{}.{}".format, st.integers(0, 6), st.integers(0, 9), st.integers(0, 999)),
    ),
    text=texts,
    lost=st.booleans(),
)


@pytest.mark.costly
@given(answers, st.sampled_from(["", "google", "outlook", "example.com"]))
def test_every_answer_has_a_verdict_and_the_promises_hold(answer: Answer, provider: str) -> None:
    verdict = judge(answer, provider=provider)
    assert (verdict.outcome == Outcome.UNKNOWN) == (verdict.action == Action.RECORD_UNKNOWN)
    if answer.phase == Phase.FINAL:
        assert not (answer.lost and verdict.outcome != Outcome.UNKNOWN)
        if verdict.outcome == Outcome.ACCEPTED:
            assert 200 <= answer.code < 300
    else:
        assert verdict.outcome in {Outcome.TEMPORARY, Outcome.PERMANENT}
    if answer.lost:
        assert verdict.action not in FAILS
    if 400 <= answer.code < 500:
        assert verdict.action not in FAILS
    assert (verdict.action == Action.FREEZE_SERVICE) == (verdict.freeze is not None)


@given(st.text(max_size=200), st.sampled_from([None, *Phase]))
def test_any_text_can_be_read_as_an_answer(text: str, phase: Phase | None) -> None:
    judge(parse(text, phase))


@pytest.mark.parametrize(
    ("text", "phase", "code", "enhanced", "rest"),
    [
        ("550 5.1.1 no such user", "rcpt", 550, "5.1.1", "no such user"),
        ("550-5.7.1 no", "rcpt", 550, "5.7.1", "no"),
        ("smtp; 550 5.1.1 <a@b>... User unknown", "rcpt", 550, "5.1.1", "<a@b>... User unknown"),
        (
            "host mx.example.com[192.0.2.1] said: 554 5.7.1 spam (in reply to end of DATA command)",
            "final",
            554,
            "5.7.1",
            "spam (in reply to end of DATA command)",
        ),
        (
            "SMTP error from remote mail server after MAIL FROM:<a@b> SIZE=2022: 553 5.7.1 no",
            "mail",
            553,
            "5.7.1",
            "no",
        ),
        ("550: 5.1.1 no such user", "rcpt", 550, "5.1.1", "no such user"),
        ("550, 5.7.1 no", "rcpt", 550, "5.7.1", "no"),
        ("(550) no", "rcpt", 550, "", "no"),
        ("it said '550 5.1.10 no'", "rcpt", 550, "5.1.10", "no'"),
        ("535 5.7.8 bad password", "auth", 535, "5.7.8", "bad password"),
        ("250 2.0.0 ok", "final", 250, "2.0.0", "ok"),
        ("4.4.7 expired", "rcpt", 0, "4.4.7", "4.4.7 expired"),
        ("relay 192.0.2.550 is no code", "rcpt", 0, "", "relay 192.0.2.550 is no code"),
    ],
)
def test_an_answer_is_found_in_what_people_paste(
    text: str, phase: str, code: int, enhanced: str, rest: str
) -> None:
    found = parse(text)
    assert (found.phase, found.code, found.enhanced, found.text) == (phase, code, enhanced, rest)


def test_a_described_loss_is_a_loss() -> None:
    assert judge(parse("connection lost", Phase.FINAL)).outcome == Outcome.UNKNOWN
    assert judge(parse("timed out waiting for a reply", Phase.RCPT)).outcome == Outcome.TEMPORARY
    assert not parse("450 4.4.2 timeout", Phase.RCPT).lost


@pytest.mark.parametrize(
    ("enhanced", "wanted", "fits"),
    [
        ("5.7.26", "7.26", True),
        ("4.7.26", "7.20-27", True),
        ("5.7.28", "7.20-27", False),
        ("5.1.26", "7.20-27", False),
        ("5.7", "7.20-27", False),
        ("", "7.26", False),
        ("5.7.x", "7.20-27", False),
    ],
)
def test_enhanced_codes_are_matched_by_subject_and_detail(enhanced: str, wanted: str, *, fits: bool) -> None:
    assert within(enhanced, wanted) == fits


def test_every_rule_decides_an_answer_of_the_table() -> None:
    decided = {judge(parse(said, Phase(phase))).rule for phase, said, _ in TABLE}
    assert {rule.name for rule in RULES} - decided == set()


@pytest.mark.parametrize(
    ("domain", "provider"),
    [
        ("gmail.com", "google"),
        ("GoogleMail.com.", "google"),
        ("hotmail.co.uk", "outlook"),
        ("live.fr", "outlook"),
        ("msn.com", "outlook"),
        ("yahoo.com", "yahoo"),
        ("yahoo.com.br", "yahoo"),
        ("aol.com", "yahoo"),
        ("me.com", "apple"),
        ("yandex.ru", "yandex"),
        ("bk.ru", "mailru"),
        ("foxmail.com", "qq"),
        ("126.com", "netease"),
        ("gmx.net", "gmx"),
        ("web.de", "webde"),
        ("live.example.com", "live.example.com"),
        ("yahoo.evil", "yahoo.evil"),
        ("notgmail.com", "notgmail.com"),
        ("example.com", "example.com"),
        ("", ""),
    ],
)
def test_providers_are_known_by_their_domains(domain: str, provider: str) -> None:
    assert provider_of(domain) == provider


# The corpus of provider answers: read here where it is at hand, never copied.


@pytest.fixture(scope="module")
def corpus() -> list[dict[str, Any]]:
    if not CORPUS.exists():
        pytest.skip("the corpus of provider answers is not here")
    return list(json.loads(CORPUS.read_text()))


def test_the_corpus_is_told_apart_as_labelled(corpus: list[dict[str, Any]]) -> None:
    wrong = []
    for entry in corpus:
        verdict = judge(parse(entry["response"]), provider=entry["provider"])
        labelled = Outcome.TEMPORARY if entry["code"] // 100 == 4 else Outcome.PERMANENT
        if verdict.outcome != labelled:
            wrong.append(entry["response"])
    assert len(wrong) <= 0.05 * len(corpus), wrong


def test_no_severe_answer_of_the_corpus_is_held_against_the_recipient(corpus: list[dict[str, Any]]) -> None:
    """Severity is how much an answer says about the sender: from 3 it is rate, standing or proofs."""
    severe = [entry for entry in corpus if entry["severity"] >= 3]
    actions = {entry["response"]: judge(parse(entry["response"])).action for entry in severe}
    mild = {
        text for text, action in actions.items() if action in {Action.FAIL, Action.SUPPRESS, Action.RETRY}
    }
    assert not mild


def test_nothing_of_the_corpus_is_suppressed_that_says_nothing_of_the_address(
    corpus: list[dict[str, Any]],
) -> None:
    about_address = (
        "exist",
        "invalid",
        "not found",
        "syntax",
        "not a valid",
        "mailbox unavailable",
        "rejected",
    )
    for entry in corpus:
        if judge(parse(entry["response"]), provider=entry["provider"]).action == Action.SUPPRESS:
            assert any(words in entry["response"].lower() for words in about_address), entry


@pytest.mark.parametrize(
    "said",
    [
        "550 address not present in directory",
        "550 bad destination email address",
        "550 can't accept user",
        "550 destination addresses were unknown",
        "550 mailbox invalid",
        "550 this address no longer accepts mail",
        "550 undeliverable address",
        "550 This address has been replaced by b@c",
        "550 not our user",
        "550 Unknown local part anna",
        "550 User anna not listed in public Name & Address Book",
        "550 5.4.4 Invalid domain name",
        "all relevant MX records point to non-existent hosts",
        "550 收件人不存在",
        "550 is not an active address at this host",
        'unknown local-part "anna" in domain "example.org"',
        "550 Error: Wrong recipients",
        "550 User not a member of domain: <a@b.c>",
        "553 5.3.0 <a@b.c>... Recipient address no longer exists",
        "550 anna: nobody by that name here",
        "550 Recipient a@b.c not in our database",
        "550 non existent user",
        "550 destin. sconosciuto",
        "No MX or A records for example.org",
        "anna wasn't found at example.org",
        "550 Anna no longer works here: user is no longer with us",
        "550 we could not find the recipient",
        "550 No one of that name here",
        "550 Het adres bestaat niet",
        "550 Odbiorca nie istnieje",
        "550 Mottagaren finns inte: adressen finns inte",
        "550 L'adresse n'existe pas",
        "550 La dirección no existe",
        "550 존재하지 않는 계정: 계정이 존재하지 않습니다",
        "550 Adresát neznámý: adresa neexistuje",
        "550 Пользователь не найден",
    ],
)
def test_an_address_that_is_no_good_is_known_by_many_sentences(said: str) -> None:
    assert judge(parse(said, Phase.RCPT)).action == Action.SUPPRESS


@pytest.mark.parametrize(
    "said",
    [
        "550 Sender unknown",
        "550 sender domain does not exist",
        "550 Domain of sender address a@b does not exist",
        "554 Client host rejected: cannot find your reverse hostname",
        "550 IP address not found",
        "450 4.1.1 user unknown; unverified address",
        "550 Too many invalid recipients",
        "550 Bad HELO - host unknown",
        "550 HELO should be a FQDN, host not found",
        "550 Return address is invalid",
        "550 IP address is unknown",
        "550 Undeliverable address: a@b.c is over quota",
        "host not found, try again",
        "550 mailbox unavailable: blocked",
        "550 User is over quota",
        "501 5.1.7 bad sender address syntax",
        "550 the group does not exist or you have no permission to post to the group",
    ],
)
def test_what_is_about_somebody_or_something_else_costs_no_address(said: str) -> None:
    assert judge(parse(said, Phase.RCPT)).action != Action.SUPPRESS
