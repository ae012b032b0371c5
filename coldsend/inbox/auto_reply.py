"""Automatic replies: out of office, "we have got your message", tickets. Not an answer of the person.

By headers first (RFC 3834: Auto-Submitted other than "no"; those that older responders set), then by what
subjects begin with in many languages. ``X-Auto-Response-Suppress`` tells what a sender does not want to get,
and says nothing about the message that carries it.
"""

from __future__ import annotations

import re

from coldsend.inbox.mail import Mail

_PRECEDENCE = re.compile(r"auto[_-]?reply|vacation", re.IGNORECASE)
_MARKS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-auto-reply",
    "x-autoreply-from",
    "x-mail-autoreply",
    "x-vacation",
    "x-facebook-notify-autoreply",
    "x-fc-machinegenerated",
    "x-ms-exchange-generated-message-source",
)
# At the beginning of a subject. Not behind "Re:": that is an answer to a message of ours with such a subject.
_SUBJECT = re.compile(
    r"^\W*(?:"
    r"auto\s*:|ooo\b|auto(?:matic)?[- ]?(?:repl(?:y|ies)|respon[sd]e?r?|answer)|automated (?:reply|"
    r"response|message)|"
    r"out of (?:the )?office|(?:i am|i'm|i’m|currently) (?:out of|away|(?:currently )?on \w{0,10} ?leave)|"
    r"away (?:from|until)|"
    r"on (?:vacation|holiday|(?:annual |parental |maternity |paternity |medical |sick )?leave)\b|"
    r"vacation (?:reply|notice|response)|annual leave|maternity leave|parental leave|"
    r"(?:auto|automatische|automatisch)\S{0,3}[- ]?(?:antwort|antwoord|svar|rückantwort)|abwesenheit\S*|"
    r"abwesend|(?:ich bin )?nicht im (?:büro|haus)|außer haus|ich bin (?:derzeit|zur zeit|momentan|"
    r"im urlaub)|"
    r"im urlaub|urlaub\W*$|urlaubs?(?:abwesenheit|meldung|notiz|vertretung)|"
    r"r[ée]ponse auto(?:matique)?\b|absen(?:t|te|t\(e\)|ce) du bureau|absence (?:du|de|notification)\b|"
    r"absence\W*$|absence ?:|message d['’]absence|en congés?\b|"
    r"respuesta autom[áa]tica|fuera de (?:la )?oficina|ausente|ausencia|"
    r"risposta automatica|fuori (?:sede|ufficio)|in ferie\b|assen(?:te|za)|"
    r"resposta autom[áa]tica|fora do escrit[óo]rio|"
    r"afwezig|niet aanwezig|niet op kantoor|ikke til ?stede|mimo kancelář|házon kívül|"
    r"automatisk[at]? (?:svar|besked)|autosvar|frånvar|fravær|poissa(?:olo)?|"
    r"automaattinen vastaus|odpowied[źz] automatyczna|automatyczna odpowied|automatski odgovor|"
    r"samodejni odgovor|automaatvastus|automātisk[āa]s? atbilde|automatinis atsakymas|автоматичен отговор|"
    r"balasan otomatis|autoodpowied|nieobecno|automatick[áa] odpov|"
    r"автоматический ответ|автоответ|автоматична відповідь|вне офиса|нет на месте|отсутств|в отпуске|"
    r"自动回复|自動回覆|自动答复|外出|不在办公室|休假|自動応答|自動返信|"
    r"不在(?:通知|連絡|の)|자동 ?(?:응답|회신)|부재중|"
    r"תשובה אוטומטית|מענה אוטומטי|הודעה אוטומטית|מחוץ למשרד|رد تلقائي|الرد التلقائي|خارج المكتب|"
    r"otomatik (?:yanıt|cevap)|ofis dışında|automatikus válasz|răspuns automat|αυτόματη απάντηση|"
    r"trả lời tự động"
    r")",
    re.IGNORECASE,
)
# Of somebody, by name: "AUTO" or no prefix, and never that of an answer.
_SOMEBODY_AWAY = re.compile(
    r"^(?!\s*(?:re|aw|antw|sv|vs|ref|fwd?|wg|tr|rv)\s*:)[^?]{0,80}\b(?:is|will be) (?:currently )?"
    r"(?:out of (?:the )?office|on (?:annual |parental |maternity |sick )?(?:leave|vacation|holiday)|"
    r"away (?:from|until))",
    re.IGNORECASE,
)
# Whoever writes is to prove that they are a person, before anybody sees what they wrote.
_CHALLENGE = re.compile(
    r"(?:account|mailbox|inbox|e-?mail address) is protected by|"
    r"(?:click|follow|visit|use)[^.]{0,60}\blink[^.]{0,120}\b(?:allowed|approved|white|safe|trusted)"
    r"[- ]?(?:senders?|lists?|contacts?)|"
    r"(?:click|follow|visit|use|reply)[^.]{0,120}\b(?:prove|confirm|verify)\b[^.]{0,60}\b"
    r"(?:you are|you're|you’re) (?:a |an )?(?:human|real|person|legitimate|not )",
    re.IGNORECASE,
)
_RECEIPT = re.compile(
    r"\b(?:ticket|case|request)\b.{0,30}(?:received|created|opened)|"
    r"(?:we|your) .{0,30}(?:have )?received (?:your )?(?:message|e-?mail|request|enquiry)|"
    r"^\W*(?:thank you for (?:contacting|your (?:message|e-?mail|enquiry|inquiry)))",
    re.IGNORECASE,
)


def is_auto_reply(mail: Mail, text: str = "") -> bool:
    """Whether a machine answered. text: what it wrote anew.

    Bounces are told apart before: many of them say they are auto-replied.
    """
    headers = mail.headers
    submitted = headers.get("auto-submitted").partition(";")[0].strip().lower()
    if submitted and submitted != "no":
        return True
    if "disposition-notification" in headers.get("content-type"):
        return True  # "your message was displayed" (RFC 8098)
    if _PRECEDENCE.search(headers.get("precedence")) or any(mark in headers for mark in _MARKS):
        return True
    if "list-id" in headers or "list-unsubscribe" in headers:
        return False
    subject = headers.text("subject")
    if _SUBJECT.match(subject) or _SOMEBODY_AWAY.match(subject):
        return True
    if _CHALLENGE.search(" ".join(text[:2000].split())):
        return True
    # "Your ticket was created" is a machine's only where it is answered by one that takes no answer.
    return bool(_RECEIPT.search(subject)) and not headers.get("return-path").replace(" ", "").strip("<>")
