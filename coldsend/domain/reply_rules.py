"""The reply table. ``RULES`` is read from top to bottom; the first rule that fits an answer decides.

They stand in the order phase, phrase, enhanced code (RFC 3463), basic code: the class digit alone is a poor
guide, since providers put most of what they mean into the words. Within the phrases, what concerns the
sender comes before what concerns the message, and that before the recipient: an address is suppressed only
where nothing else explains the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from coldsend.domain import reply_words as words
from coldsend.domain.answers import BEFORE_MESSAGE, Action, Answer, Phase
from coldsend.domain.patterns import Pattern
from coldsend.domain.states import FreezeCode

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of answer and what follows. Every criterion that is given must fit; of a list, one member.

    codes: basic codes; a single digit stands for its class, 0 for no code. enhanced: subject and detail
    ("7.26") of any class, "7.600-649" for a range. words: found in the text; unless: not found in it.
    providers: whose dialect this is; where the provider is not known it may be anybody's.
    wait_seconds: how long the service (with PAUSE_PROVIDER: for this provider) rests.
    """

    name: str
    action: Action
    phases: frozenset[Phase] = frozenset()
    codes: tuple[int, ...] = ()
    enhanced: tuple[str, ...] = ()
    words: Pattern | None = None
    unless: Pattern | None = None
    providers: tuple[str, ...] = ()
    blames_sender: bool = False
    wait_seconds: float = 0.0
    freeze: FreezeCode | None = None

    def fits(self, answer: Answer, provider: str) -> bool:
        if self.phases and answer.phase not in self.phases:
            return False
        if self.codes and answer.code not in self.codes and (answer.code // 100 or -1) not in self.codes:
            return False
        if self.enhanced and not any(within(answer.enhanced, wanted) for wanted in self.enhanced):
            return False
        if self.providers and provider and provider not in self.providers:
            return False
        if self.words and not self.words.search(answer.text):
            return False
        return not (self.unless and self.unless.search(answer.text))


def within(enhanced: str, wanted: str) -> bool:
    """Whether a code such as "5.7.26" is "7.26", or within "7.20-29"."""
    _, _, code = enhanced.partition(".")
    first, dash, last = wanted.partition("-")
    if not dash:
        return code == wanted
    subject, _, low = first.partition(".")
    own_subject, _, detail = code.partition(".")
    return own_subject == subject and detail.isdecimal() and int(low) <= int(detail) <= int(last)


def _service(
    name: str,
    wait_seconds: float,
    phases: frozenset[Phase] = frozenset(),
    codes: tuple[int, ...] = (),
    enhanced: tuple[str, ...] = (),
    said: Pattern | None = None,
    unless: Pattern | None = None,
) -> Rule:
    """The service is at fault, and rests; its recipients go to others."""
    return Rule(
        name,
        Action.COOL_DOWN,
        phases,
        codes,
        enhanced,
        said,
        unless,
        blames_sender=True,
        wait_seconds=wait_seconds,
    )


def _provider(
    name: str,
    wait_seconds: float,
    enhanced: tuple[str, ...] = (),
    said: Pattern | None = None,
    unless: Pattern | None = None,
) -> Rule:
    """One provider does not want this service's mail; a 250 from others does not help."""
    return Rule(
        name,
        Action.PAUSE_PROVIDER,
        _ENVELOPE,
        (0, 4, 5),
        enhanced,
        said,
        unless,
        blames_sender=True,
        wait_seconds=wait_seconds,
    )


def _frozen(
    name: str,
    freeze: FreezeCode,
    phases: frozenset[Phase] = frozenset(),
    codes: tuple[int, ...] = (),
    enhanced: tuple[str, ...] = (),
    said: Pattern | None = None,
    unless: Pattern | None = None,
) -> Rule:
    """A person must look at the service."""
    return Rule(
        name, Action.FREEZE_SERVICE, phases, codes, enhanced, said, unless, blames_sender=True, freeze=freeze
    )


# Codes that say that the address, and nothing else, is no good.
ADDRESS_CODES = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.6", "1.10", "1.351")

_ENVELOPE = frozenset({Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.FINAL})
_BODY = frozenset({Phase.DATA, Phase.FINAL})
_CONNECT = frozenset({Phase.CONNECT})
_GREETING = frozenset({Phase.GREETING})
_TLS = frozenset({Phase.TLS})
_AUTH = frozenset({Phase.AUTH})
_MAIL = frozenset({Phase.MAIL})
_RCPT = frozenset({Phase.RCPT})

SERVICE_RULES = (
    _service("no_connection", MINUTE, _CONNECT),
    _service("tls_failed", 5 * MINUTE, _TLS),
    _service("too_many_logins", HOUR, _AUTH, (4,), said=words.TOO_MANY_LOGINS),
    _service("too_many_logins", HOUR, codes=(454,), enhanced=("7.0",), unless=words.TLS),
    _service("authentication_unavailable", 15 * MINUTE, _AUTH, (0, 4)),
    _service("tls_required", HOUR, codes=(4, 5), said=words.TLS_REQUIRED),
    _frozen("credentials_refused", FreezeCode.CREDENTIALS, _AUTH),
    _frozen("credentials_refused", FreezeCode.CREDENTIALS, codes=(530, 534, 535, 538), unless=words.TOO_BIG),
    _frozen(
        "sender_suspended",
        FreezeCode.SUSPENDED,
        codes=(5,),
        enhanced=("1.8", "7.705", "7.708", "7.501-503"),
        unless=words.SENDER_DOMAIN_UNKNOWN,
    ),
    _frozen("sender_suspended", FreezeCode.SUSPENDED, codes=(5,), said=words.SENDER_SUSPENDED),
)

LIMIT_RULES = (
    Rule("recipient_rate_limited", Action.RETRY, _ENVELOPE, words=words.RECIPIENT_RATE),
    Rule("daily_limit", Action.NEXT_QUOTA_DAY, codes=(5,), enhanced=("4.5",)),
    Rule("daily_limit", Action.NEXT_QUOTA_DAY, words=words.DAILY_LIMIT),
    Rule(
        "dns_trouble",
        Action.RETRY,
        _ENVELOPE,
        codes=(0, 4),
        words=words.DNS_TROUBLE,
        unless=words.NO_SUCH_HOST,
    ),
    Rule("takes_no_mail", Action.SUPPRESS, _ENVELOPE, (0, 5), (), words.TAKES_NO_MAIL, words.ABOUT_SENDER),
)

IDENTITY_RULES = (
    _provider("sender_not_authenticated", 24 * HOUR, ("7.20-27", "7.29-32", "7.40", "7.509", "7.515")),
    _provider("sender_not_authenticated", 24 * HOUR, said=words.NOT_AUTHENTICATED),
    _service(
        "sender_refused",
        HOUR,
        codes=(0, 4, 5),
        said=words.SENDER_REFUSED,
        unless=words.NOT_SENDER_REFUSED,
    ),
    _service("sender_refused", HOUR, enhanced=("1.7", "1.8")),
)

STANDING_RULES = (
    Rule(
        "rate_limited", Action.SLOW_DOWN, codes=(4,), enhanced=("7.28", "7.650-659"), wait_seconds=5 * MINUTE
    ),
    Rule(
        "rate_limited",
        Action.SLOW_DOWN,
        codes=(0, 4, 5),
        words=words.RATE_LIMITED,
        unless=words.NOT_RATE_LIMITED,
        wait_seconds=5 * MINUTE,
    ),
    Rule("malformed", Action.PAUSE_CAMPAIGN, _ENVELOPE, (0, 5), (), words.MALFORMED, words.NOT_MALFORMED),
    _provider("bad_reputation", 4 * HOUR, ("7.28", "7.606-649", "7.511-514")),
    _provider("bad_reputation", 4 * HOUR, said=words.BAD_REPUTATION, unless=words.NOT_REPUTATION),
)

MESSAGE_RULES = (
    Rule("malformed", Action.PAUSE_CAMPAIGN, _ENVELOPE, (5,), ("6.0", "6.5"), unless=words.SPAM),
    Rule("needs_smtputf8", Action.FAIL, _ENVELOPE, codes=(5,), enhanced=("6.7",)),
    Rule("eight_bit_refused", Action.FAIL_TEMPLATE, _ENVELOPE, codes=(5,), enhanced=("6.3",)),
    Rule("mailbox_full", Action.RETRY, _ENVELOPE, words=words.MAILBOX_FULL),
    Rule("too_big", Action.FAIL_TEMPLATE, _ENVELOPE, codes=(0, 5), words=words.TOO_BIG),
    Rule("too_big", Action.FAIL_TEMPLATE, _ENVELOPE, codes=(5,), enhanced=("3.4", "2.3")),
    Rule("content_refused", Action.FAIL_CONTENT, _ENVELOPE, (0, 5), (), words.CONTENT, words.NOT_CONTENT),
)

RECIPIENT_RULES = (
    # Either the recipient's server or our service's credentials; five in a row freeze the service.
    Rule("relaying_denied", Action.FAIL, _ENVELOPE, codes=(0, 5), words=words.RELAYING, blames_sender=True),
    # "inactive address" with the code of an unknown one: the code says it exactly.
    Rule(
        "unknown_recipient",
        Action.SUPPRESS,
        _RCPT,
        (0, 5),
        ("1.1",),
        words.RECIPIENT_DISABLED,
        words.ABOUT_SENDER,
    ),
    Rule(
        "recipient_disabled",
        Action.FAIL,
        _ENVELOPE,
        words=words.RECIPIENT_DISABLED,
        unless=words.ABOUT_SENDER,
    ),
    Rule("recipient_declines", Action.FAIL, _ENVELOPE, codes=(0, 5), words=words.RECIPIENT_DECLINES),
    Rule("recipient_filtered", Action.FAIL, _ENVELOPE, codes=(0, 5), words=words.FILTERED),
    Rule("mailbox_moved", Action.SUPPRESS, _ENVELOPE, codes=(5,), enhanced=("1.6",)),
    Rule(
        "unknown_recipient",
        Action.SUPPRESS,
        _BODY,
        enhanced=ADDRESS_CODES,
        words=words.UNKNOWN_RECIPIENT,
        unless=words.ABOUT_SENDER,
    ),
    # Its server took the address, saw the message, and knows nobody now: more likely a filter that hides.
    Rule(
        "recipient_filtered",
        Action.FAIL,
        _BODY,
        words=words.STOCK_UNKNOWN,
        unless=words.ABOUT_SENDER,
    ),
    Rule(
        "unknown_recipient",
        Action.SUPPRESS,
        _ENVELOPE,
        words=words.UNKNOWN_RECIPIENT,
        unless=words.ABOUT_SENDER,
    ),
    Rule(
        "unknown_recipient",
        Action.SUPPRESS,
        _ENVELOPE,
        codes=(5,),
        enhanced=("5.0",),
        words=words.MAILBOX_UNAVAILABLE,
        providers=("outlook",),
    ),
    Rule(
        "unknown_recipient",
        Action.SUPPRESS,
        _RCPT,
        codes=(5,),
        enhanced=("4.1", "1.0"),
        words=words.ADDRESS_REJECTED,
    ),
    # No standard's code: how Symantec's gateways refuse an address that is not in their list.
    Rule("unknown_recipient", Action.SUPPRESS, _RCPT, codes=(542,), words=words.REJECTED),
    Rule("closing", Action.SLOW_DOWN, codes=(421,), wait_seconds=MINUTE),
    Rule("greylisted", Action.RETRY_SAME_SERVICE, _ENVELOPE, codes=(4,), words=words.GREYLISTED),
    Rule(
        "try_again_later",
        Action.RETRY_SAME_SERVICE,
        _ENVELOPE,
        codes=(4,),
        words=words.TRY_AGAIN,
    ),
)

CODE_RULES = (
    Rule("unknown_recipient", Action.SUPPRESS, _ENVELOPE, (0, 5), ("1.1", "1.2", "1.3", "1.10")),
    Rule("recipient_disabled", Action.FAIL, _ENVELOPE, (5,), ("2.1",)),
    Rule("takes_no_mail", Action.SUPPRESS, _RCPT, (556,)),
    Rule("takes_no_mail", Action.SUPPRESS, _RCPT, (521,), ("3.2",)),
    Rule("mailbox_full", Action.RETRY, _ENVELOPE, enhanced=("2.2",)),
    Rule("too_many_recipients", Action.RETRY_SOON, _ENVELOPE, (4, 5), ("5.3",)),
    Rule("recipient_refused", Action.FAIL, _RCPT, (5,), ("7.1",)),
    Rule("content_refused", Action.FAIL_CONTENT, _BODY, (5,), ("7.0", "7.1")),
    Rule("greylisted", Action.RETRY_SAME_SERVICE, _RCPT, (4,), ("7.1",)),
    Rule("address_refused", Action.FAIL, _RCPT, codes=(501, 553, 555)),
    Rule("our_fault", Action.PAUSE_CAMPAIGN, _ENVELOPE, codes=(500, 501, 502, 503, 555)),
    Rule("busy", Action.SLOW_DOWN, _GREETING | _MAIL, codes=(4,), wait_seconds=MINUTE),
    _service("no_service", 5 * MINUTE, BEFORE_MESSAGE),
    _service("mail_refused", 15 * MINUTE, _MAIL, codes=(5,)),
    Rule("storage", Action.RETRY, _ENVELOPE, codes=(452, 552)),
    Rule("temporary", Action.RETRY, codes=(4,)),
    Rule("refused", Action.FAIL, codes=(5,)),
    Rule("refused", Action.FAIL, codes=(0,), words=words.ANY_REFUSAL),
    Rule("lost_before_final_dot", Action.RETRY, codes=(0,), blames_sender=True),
)

RULES: tuple[Rule, ...] = (
    *SERVICE_RULES,
    *LIMIT_RULES,
    *IDENTITY_RULES,
    *STANDING_RULES,
    *MESSAGE_RULES,
    *RECIPIENT_RULES,
    *CODE_RULES,
)

# Not what a server may say at this point: as good as a lost connection.
UNEXPECTED = Rule("unexpected_answer", Action.RETRY)
