"""Whether a message is a bounce, where it is no RFC 3464 report: by who sent it, its subject and its words.

One sign alone proves nothing: people answer to bounces, forward them, and write about mail that "could not
be delivered". Machines that return mail have no address to answer to, or one of few names, and say what they
are at the beginning of the subject or of the text.
"""

from __future__ import annotations

import re

from coldsend.inbox.mail import Mail

_DAEMON = re.compile(
    r"mailer[- ]?daemon|mail-?daemon|post_?-?master|mail delivery (?:sub)?system|mail administrator|"
    r"mail deliver system|<>|^\s*$|mailerdaemon|"
    r"^\s*(?:internet )?mail delivery|microsoft exchange|mdaemon|autobounce",
    re.IGNORECASE,
)
_LIST_ADMIN = re.compile(r"-(?:admin|owner|request|bounces?)@", re.IGNORECASE)
_SUBJECT = re.compile(
    r"undeliver|delivery (?:status )?(?:notif|fail|report|problem|status|error|has failed|incomplete)|"
    r"fail(?:ed|ure)\b.{0,30}(?:deliver|notice|mail|message)|failure notice|"
    r"(?:mail|message|e-mail|letter)\b.{0,40}(?:could not be|cannot be|not|never|un)\s?\w{0,4} ?deliver|"
    r"(?:mail|message).{0,20}fail|returned (?:e?-?mail|message|to sender)|returning (?:message|to sender)|"
    r"mail (?:system )?error|non[- ]?deliver|(?:error|problem)s? (?:sending|delivering|with)|"
    r"delivery (?:delay|warning)|delayed (?:mail|message|delivery)|warning: (?:message|could not)|"
    r"mail could not|unzustellbar|nicht zustellbar|zustell|fehlgeschlagen|non remis|échec|"
    r"non? (?:[eè] )?(?:stato )?(?:recapit|consegn)|mancat[ao] (?:recapito|consegna)|"
    r"no se (?:ha |pudo )|devuelto|não (?:entreg|foi)|devolvid|onbestelbaar|niet bezorgd|olevererbar|"
    r"недоставлен|не доставлен|не может быть доставлен|не удалось достав|невозможно доставить|"
    r"配信|送信できま|エラー|退信|投递失败|无法投递|投遞失敗|系统退信|notificação|notificación|"
    r"blocked by|message you sent blocked|returned mail|niedostarcz|undelivrable|kézbesíthetetlen|"
    r"teslim edile",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"(?:could|can|was|were|has|have|is|did)\s?(?:not|n't|n’t) (?:yet )?(?:been |be )?(?:deliver|reach|"
    r"sent\b)|"
    r"unable to (?:deliver|relay|reach)|undeliverable|undelivered|delivery (?:to .{0,80})?(?:has )?fail|"
    r"permanent(?:ly)? (?:fail|fatal|error)|fatal errors?|returned to (?:sender|you)|"
    r"delivery (?:status|errors?|problems?)|had delivery (?:errors|problems)|failed addresses|"
    r"failed recipient|"
    r"error (?:message|delivering|sending|while|from)|trouble delivering|transcript of session|"
    r"user(?:'s|s)? .{0,40}(?:is|are) (?:full|disabled|unknown)|unknown user|mailbox .{0,20}exceeds|"
    r"did not reach|not (?:been )?delivered|fail(?:ed)? to deliver|no such user|invalid user address|"
    r"(?:not|n't|n’t) (?:a|an) (?:valid|known|active|existing) (?:user|recipient|e?-?mail|address|"
    r"mail ?box|account)|"
    r"(?:has been|was|is being|were) returned\b|does(?: not|n't|n’t) exist|recipient (?:is )?(?:unknown|"
    r"not found)|"
    r"(?:delivery|deliver) .{0,80}postponed|been (?:automatically )?rejected|"
    r"failure reasons?|rejected by|was rejected|blocked by|server message|message delayed|"
    r"not yet been delivered|still (?:trying|being) |returning (?:your )?message|"
    r"konnte nicht|nicht zugestellt|zustellung|n'a pas (?:pu )?(?:être|été)|pas pu être|"
    r"no (?:se )?(?:ha podido|pudo) (?:ser )?entreg|não (?:pôde|foi)|impossibile recapitare|"
    r"не может быть доставлен|не доставлен|не удалось доставить|送信できま|配信できま|配送できま|届けられ|"
    r"存在しない|退信|无法(?:投递|送达|发送)|投递失败|無法(?:投遞|傳送)",
    re.IGNORECASE,
)
# How machines begin that sign with an ordinary address: who failed stands on a line of its own.
_OPENING = re.compile(
    r"(?:could ?n[o']t|can ?not|not|unable to|failed to) (?:be )?deliver(?:ed)?\b[^.!?]{0,80}"
    r"(?:to )?the following (?:user|recipient|address|person|people|mail ?box)[^\n@]{0,20}\n\s{0,20}\S*@|"
    r"^\W{0,10}failed (?:recipients?|address(?:es)?) ?:|^\W{0,10}undeliverable address(?:es)? ?:|"
    r"\brcpt to:\s*<|^\W{3,}message from .{1,60}(?:security|virus|scan|filter)|"
    r"^\W{0,10}(?:final-recipient|diagnostic-code) ?:|"
    r"(?:the )?following (?:recipient|address)\w*(?:\(e?s\))? (?:failed|could not|cannot|were not|was not)"
    r"[^\n@]{0,60}\n\s{0,20}\S*@",
    re.IGNORECASE | re.MULTILINE,
)
_GREETING = re.compile(
    r"\s*(?:hi|hello|hey|dear|hallo|guten|sehr geehrte|bonjour|hola|ciao|buongiorno|olá|hej|привет|"
    r"здравствуйте|good (?:morning|day|afternoon))\b",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"^\s*(?:re|aw|antw|sv|vs|ref|res|rif|odp|fwd?|wg|tr|rv|i|回复|答复|转发)\s*:", re.IGNORECASE
)
_DELAY_SUBJECT = re.compile(
    r"delay|warning: (?:message|mail|could|delivery|your|unable|e-?mail)|delivery warning|"
    r"could not send message for past|verzöger|retard|задерж|отлож|延迟|延遲|遅延",
    re.IGNORECASE,
)
_DELAY = re.compile(
    r"(?:is|has been|was) (?:temporarily )?delayed|delivery (?:is |has been )?delayed|"
    r"has not (?:yet been|been yet) delivered|will (?:be retried|continue to|keep|retry)|still trying|"
    r"you do not need to resend|this is a warning message only|not yet (?:been )?delivered|"
    r"(?:is|was) only a temporary failure report|no action is required|delivery attempts will continue|"
    r"will try (?:again|for up)|has been postponed|delivery attempts? will|message will be retried",
    re.IGNORECASE,
)
_GIVEN_UP = re.compile(
    r"permanent|given up|giving up|could not be delivered for|no further|failed permanently|has been removed|"
    r"expired|returned to you|no such user|is wrong or no longer|has NOT been delivered\.",
    re.IGNORECASE,
)


def is_bounce(mail: Mail, words: str, *, returned: bool) -> bool:
    """Whether a message that is no report is a bounce. words: its own; returned: it returns a message."""
    headers = mail.headers
    if "x-failed-recipients" in headers:
        return True
    sender = headers.text("from") if "from" in headers else headers.get("return-path")
    if "x-mlserver" in headers and returned and _LIST_ADMIN.search(sender):
        return True  # a list gives back what it does not distribute
    from_daemon = _DAEMON.search(sender) is not None
    null_path = has_null_path(mail)
    subject = headers.text("subject")
    said = _WORDS.search(words[:4000]) is not None
    titled = _SUBJECT.search(subject) is not None
    if from_daemon:
        return said or titled
    if _ANSWER.match(subject) or "in-reply-to" in headers:
        return False
    if not (titled and said):
        return False
    return returned or null_path or _begins_as_machines_do(words)


def _begins_as_machines_do(words: str) -> bool:
    own = "\n".join(line for line in words[:1500].split("\n") if not line.lstrip().startswith(">"))
    return _OPENING.search(own) is not None and _GREETING.match(own) is None


def has_null_path(mail: Mail) -> bool:
    """Whether nobody is to answer: so the envelope of mail that machines return."""
    return mail.headers.get("return-path").replace(" ", "").upper() in ("<>", "<MAILER-DAEMON>")


def is_delay(mail: Mail, words: str) -> bool:
    """Whether a bounce only tells that it will be tried again."""
    head = words[:3000]
    if _GIVEN_UP.search(head):
        return False
    return bool(_DELAY.search(head)) or bool(_DELAY_SUBJECT.search(mail.headers.text("subject")))
