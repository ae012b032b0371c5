"""Where quoted text begins: the lines that mail programs put above it, in many languages.

Three forms, all looked for line by line, in time linear in the text: an attribution ("On <date> <somebody>
wrote:", over up to four lines), a block of header fields ("From: .. Sent: .. Subject: .."), a separator
("-----Original Message-----", "Begin forwarded message:"). A line that quotes begins with ">".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

ATTRIBUTION_LINES, ATTRIBUTION_LENGTH = 4, 400

QUOTED = re.compile(r"^[ \t\ufeff\u200b]{0,4}[>＞|](?!-)")

_WROTE = re.compile(
    r"\b(?:wrote|writes|schrieb|geschrieben|a écrit|escribi[óo]|ha scritto|scrisse|escreveu|schreef|"
    r"geschreven|"
    r"skrev|kirjoitti|napisał\w?|pisze|napsal\w?|napísal\w?|je napisao|írta|yazdı|a scris|menulis|"
    r"đã viết|viết)\b|"
    r"написал|пишет|писал|написав|пише|έγραψε|写道|寫道|写到|书写|書きました|작성|썼|כתב|כתבה|كتب|kirj\."
    r"|さんからのメール",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^\W{0,3}(?:on|am|le|el|il|em|op|den|dne|dnia|w dniu|в|på|pada|vào|a|la|ma|dňa|la data|στις|ב|في|"
    r"(?:mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so|lun|mar|mer|jeu|ven|sam|dim|mié|jue|vie|sáb|"
    r"dom|gio|"
    r"man|tir|ons|tor|tors|fre|lør|lör|søn|sön|mån|tis|ma|ti|ke|to|pe|la|su|pon|wt|śr|czw|pt|sob|ndz|"
    r"пн|вт|ср|чт|пт|сб|вс|понед\w+|вторник|сред\w|четверг|пятниц\w|суббот\w|воскресень\w)"
    r"(?:\w{0,6})?[.,]?\s+(?:\w+\s+)?\d|\d{1,4}[./年-]\s?\d{1,2})",
    re.IGNORECASE,
)
# "Quoting Anna <a@b.com>:", "Anna via List wrote:", and Zoho's "---- On <date> <somebody> wrote ----".
_QUOTING = re.compile(
    r"^\W{0,3}(?:quoting|zitat von|citando(?: a)?|citat(?:ion)? (?:från|de|di)|quoth) [^\n]{1,120}[:：]$|"
    r"^[^\n:]{1,80} via [^\n:]{1,80} (?:wrote|schrieb)[:：]$|"
    r"^message du \d[^\n]{0,40}$|"
    r"^-{2,20} ?(?=[^\n]*\d)[^\n]{3,300}-{2,20}$",
    re.IGNORECASE,
)
# "2013/10/2 anna <a@b.com>", and with the time and zone in place of the address.
_DATED = re.compile(
    r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2},? (?:\d{1,2}:\d{2}(?::\d{2})? )?(?:GMT|UTC)?[^\n<>]{0,80}"
    r"(?:<[^<>\s]{1,200}@[^<>\s]{1,200}>)?[:：]?$"
)
_ADDRESS_END = re.compile(r"<[^<>\s]{1,200}@[^<>\s]{1,200}>\s*[:：]$")
_DATE = re.compile(r"\d{1,4}\s?[./年-]\s?\d{1,2}|\d{1,2}:\d{2}|\b(?:19|20)\d\d\b")

_FROM = re.compile(
    r"^[ \t>*_]{0,6}(?:from|von|de|da|van|fra|från|od|von|от|от кого|від|lähettäjä|kimden|feladó|de la|"
    r"από|dari|"
    r"发件人|寄件者|寄件人|差出人|送信者|보낸 ?사람|מאת|من)[ \t*_]{0,4}[:：]",
    re.IGNORECASE,
)
_OTHER_FIELD = re.compile(
    r"^[ \t>*_]{0,6}(?:sent|date|gesendet|datum|envoyé(?: le)?|date d'envoi|enviado(?: el)?|fecha|"
    r"inviato|data|"
    r"verzonden|sendt|dato|skickat|lähetetty|päivämäärä|wysłano|odesláno|dátum|отправлено|дата|надіслано|"
    r"tarih|gönderildi|发送时间|發送時間|寄件日期|日期|时间|送信日時|日時|보낸 ?날짜|נשלח|תאריך|تاريخ|"
    r"to|an|à|para|a|aan|til|till|do|komu|кому|vastaanottaja|kime|címzett|"
    r"către|收件人|收件者|宛先|받는 ?사람|אל|إلى|"
    r"subject|betreff|objet|asunto|oggetto|assunto|onderwerp|emne|ämne|aihe|temat|předmět|predmet|тема|konu|"
    r"tárgy|subiect|θέμα|主题|主旨|标题|件名|제목|נושא|الموضوع|cc|kopie|kopi|copie|копия|抄送|副本|reply-to|"
    r"organization|importance|wichtigkeit|priorit\w+)[ \t*_]{0,4}[:：]",
    re.IGNORECASE,
)
_NAMED = (
    r"original (?:message|appointment)|forwarded message|reply message|original e?-?mail|"
    r"ursprüngliche (?:nachricht|mail)|originalnachricht|weitergeleitete nachricht|message d'origine|"
    r"message (?:transféré|original)|mensaje (?:original|reenviado)|messaggio (?:originale|inoltrato)|"
    r"mensagem (?:original|encaminhada)|oorspronkelijk bericht|origineel bericht|doorgestuurd bericht|"
    r"opprinnelig melding|oprindelig meddelelse|videresendt (?:meddelelse|melding)|ursprungligt meddelande|"
    r"vidarebefordrat meddelande|alkuperäinen viesti|wiadomość oryginalna|oryginalna wiadomość|"
    r"původní (?:zpráva|e-?mail)|邮件原件|郵件原件|"
    r"pôvodná správa|исходное сообщение|пересылаемое сообщение|оригінальне повідомлення|"
    r"orijinal (?:ileti|mesaj)|"
    r"eredeti üzenet|mesaj original|原始邮件|原始郵件|转发邮件|元のメッセージ|原文|원본 메시지|הודעה מקורית|"
    r"الرسالة الأصلية"
)
_SEPARATOR = re.compile(
    rf"^[ \t>]{{0,4}}[-_=*—–]{{2,80}}\s?(?:{_NAMED})\s?[-_=*—–:]{{0,80}}\s*$", re.IGNORECASE
)
_TITLED = re.compile(rf"^[ \t>*]{{0,4}}(?:{_NAMED})\s*[:：]\*?\s*$", re.IGNORECASE)
_FORWARDED = re.compile(
    r"^[ \t>]{0,4}(?:begin forwarded message|anfang der weitergeleiteten (?:e-?mail|nachricht)|"
    r"début du message (?:réexpédié|transféré)|inicio del mensaje reenviado|inizio messaggio inoltrato|"
    r"begin doorgestuurd bericht|início da mensagem (?:re)?encaminhada|vidarebefordrat brev|"
    r"начало переадресованного сообщения|"
    r"original message processed by .{1,40}|下面是被转发的邮件)\s*[:：]?\s*$",
    re.IGNORECASE,
)
_FRAMED = re.compile(r"^[ \t>]{0,4}-{3,60}\s?[^\s-][^\n]{2,60}?[^\s-]\s?-{3,60}\s*$")
_RULE = re.compile(r"^[ \t>]{0,4}(?:[-_—]{3,}|[*]{3,}|={3,})\s*$")
# Help desks put it above what they send, and so above what is quoted.
_ABOVE = re.compile(
    r"^[\W_]{0,8}(?:please )?(?:type|write|reply|respond|enter|add|put) [^\n]{0,40}\babove this line"
    r"[^\n]{0,40}$",
    re.IGNORECASE,
)


class Form(StrEnum):
    """What stands above the quoted text; after an attribution the quote may be answered line by line."""

    ATTRIBUTION = "attribution"
    HEADERS = "headers"
    SEPARATOR = "separator"


def opens_quote(lines: Sequence[str], number: int) -> tuple[Form, int] | None:
    """What opens a quote at a line, and the first line behind it; None where nothing does."""
    line = lines[number]
    if not line.strip() or len(line) > 1000:
        return None
    if _SEPARATOR.match(line) or _FORWARDED.match(line) or _ABOVE.match(line):
        return Form.SEPARATOR, number + 1
    if _TITLED.match(line) and _field_count(lines, _next_text(lines, number + 1)) >= 2:
        return Form.SEPARATOR, number + 1
    if _FRAMED.match(line) and _field_count(lines, number + 1) >= 2:
        return Form.SEPARATOR, number + 1
    if _RULE.match(line) and (end := _headers_end(lines, _next_text(lines, number + 1))):
        return Form.HEADERS, end
    if end := _headers_end(lines, number):
        return Form.HEADERS, end
    end = _attribution_end(lines, number)
    return (Form.ATTRIBUTION, end) if end else None


def _attribution_end(lines: Sequence[str], number: int) -> int:
    """The line behind an attribution that begins here; 0 where none does."""
    first = lines[number].strip()
    if _QUOTING.match(first) and (_WROTE.search(first) or "@" in first or _quote_follows(lines, number + 1)):
        return number + 1
    if _DATED.match(first) and ("@" in first or ":" in first) and _quote_follows(lines, number + 1):
        return number + 1
    opening = _OPENING.match(lines[number]) is not None
    text = ""
    for end in range(number, min(number + ATTRIBUTION_LINES, len(lines))):
        line = lines[end].strip()
        if not line or QUOTED.match(line):
            break
        text = f"{text} {line}".strip()
        if len(text) > ATTRIBUTION_LENGTH:
            break
        wrote = _WROTE.search(text) is not None
        known = bool(_DATE.search(text)) or "@" in text
        if line.endswith((":", "：")):
            if wrote and end == number and _quote_follows(lines, end + 1):
                return end + 1
            if wrote and known and (opening or end == number or _names_somebody(lines[number])):
                return end + 1
            if opening and _ADDRESS_END.search(text) and _DATE.search(text):
                return end + 1
            break
        if wrote and known and opening and _quote_follows(lines, end + 1):
            return end + 1
    return 0


def _names_somebody(line: str) -> bool:
    return "@" in line or _DATE.search(line) is not None


def _quote_follows(lines: Sequence[str], number: int) -> bool:
    following = _next_text(lines, number)
    return following < len(lines) and QUOTED.match(lines[following]) is not None


def _next_text(lines: Sequence[str], number: int) -> int:
    """The next line that is not empty, at most three further."""
    for each in range(number, min(number + 3, len(lines))):
        if lines[each].strip():
            return each
    return len(lines)


def _field_count(lines: Sequence[str], number: int) -> int:
    return sum(
        1 for line in lines[number : number + 6] if _FROM.match(line[:200]) or _OTHER_FIELD.match(line[:200])
    )


def _begins_headers(lines: Sequence[str], number: int) -> bool:
    """Whether a block begins here: with From, or with another field where From is one of the next."""
    if _FROM.match(lines[number][:200]):
        return True
    if not _OTHER_FIELD.match(lines[number][:200]) or (number and lines[number - 1].strip(" \t_-*=>")):
        return False
    block = [line[:200] for line in lines[number : number + 4]]
    return all(_FROM.match(line) or _OTHER_FIELD.match(line) for line in block[:3]) and any(
        map(_FROM.match, block)
    )


def _headers_end(lines: Sequence[str], number: int) -> int:
    """The line behind a block of header fields that begins here with From; 0 where none does."""
    if number >= len(lines) or not _begins_headers(lines, number):
        return 0
    fields, end = 0, number + 1
    begins = _FROM.match(lines[number][:200])
    for each in range(number + 1, min(number + 30, len(lines))):
        line = lines[each][:200]
        if _OTHER_FIELD.match(line) or (not begins and _FROM.match(line)):
            fields, end = fields + 1, each + 1
        elif not line.strip() and fields:
            break  # the end of the block, where it has any
        elif each - end > 6:
            break  # a list of recipients may go over lines, but not over many
    if fields < 2:
        return 0
    # A subject may go over a second line.
    more = "".join(lines[end : end + 1]).strip() and not "".join(lines[end + 1 : end + 2]).strip()
    return end + 1 if more and end + 1 < len(lines) else end
