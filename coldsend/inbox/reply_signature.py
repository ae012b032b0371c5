"""What stands below the text of a reply and is not part of it: signatures, lists' footers, disclaimers.

Only what is marked as such is taken off. The words with which somebody ends ("Regards, Anna") stay: where
they end and a signature begins cannot be told surely, and a text too long does no harm, one cut short does.
"""

from __future__ import annotations

import re

_DELIMITER = re.compile(r"^\s{0,2}(?:--|—-|––|__)\s*$")
_FOOTER_WORDS = re.compile(
    r"https?://|www\.|mailing list|unsubscribe|list ?info|confidential|disclaimer|scanned|virus|intended|"
    r"vertraulich|confidentiel|confidencial|riservat",
    re.IGNORECASE,
)
_LIST_FOOTER = re.compile(r"^\s{0,2}_{20,}\s*$")
_DEVICE = re.compile(
    r"^\W{0,3}(?:"
    r"(?:sent|sendt|skickat|verzonden|verstuurd|gesendet|envoyé|enviado|inviato|wysłane|odesláno|lähetetty) "
    r"(?:from|fra|från|vanaf|met|von|mit|depuis|de|à partir de|desde|do|da|dal|z|mojego|with|via|using)"
    r"(?: [^\s.,!?]+){1,6}\s?(?:<[^<>]*>|\(https?://[^()]*\)|\[[^\[\]]*\])?"
    r"|[<(\[]{1,2}sent (?:from|via|by|with) [^<>()\[\]]{1,40}[>)\]]{1,2}|sent with proton ?mail.{0,30}"
    r"|from my (?:iphone|ipad|ipod|phone|mobile|galaxy|android)(?: ?\w{1,3})?"
    r"|sent from my [^,.]{1,60}(?:[,.]\s{0,3}(?:please |pls )?(?:excuse|pardon|forgive|sorry).{0,60}|\.)?|"
    r"get \S{1,20} for (?:android|ios|iphone|ipad|windows|mac).{0,200}"
    r"|\S{2,12}(?:['’]\S{1,8})? gönderildi|lähetetty \S{2,30}|odosl(?:ané|áno) z .{1,40}|发送自.{1,40}"
    r"|надіслано (?:з|із|через) .{1,60}|trimis de pe .{1,40}|poslan[oe] (?:z|iz|sa) .{1,40}|"
    r"내 .{1,20}에서 보냄"
    r"|dikirim dari .{1,40}|đã gửi từ .{1,40}|στάλθηκε από .{1,40}|küldve: ?.{1,40}"
    r"|(?:enviado|inviato|envoyé|gesendet|skickat|sendt|verzonden) (?:con|com|avec|mit|med|met) .{1,40}"
    r"|get outlook for \w+.{0,200}|outlook (?:für|pour|para|per|voor) \w+ (?:herunterladen|beziehen).{0,200}"
    r"|von meinem .{1,40} gesendet|(?:envoyé|enviado|inviato) (?:de|desde|dal|do|da) m\w+ .{1,40}"
    r"|diese nachricht wurde von meinem .{1,60} gesendet.?|télécharger outlook pour .{1,200}"
    r"|отправлено (?:с|из|через) .{1,60}|发自我的.{1,40}|"
    r"從我的.{1,30}傳送|.{1,30}から送信|나의 .{1,20}에서 보냄"
    r"|נשלח מה.{1,30}|مرسل من .{1,30}|sent from (?:yahoo|aol|mail|outlook|proton|samsung|blackberry).{0,80}"
    r")\s*$",
    re.IGNORECASE,
)
_DISCLAIMER = re.compile(
    r"^\W{0,4}(?:(?:confidentiality|privacy|legal|important) (?:notice|note|statement)\b|disclaimer\s*[:：]?|"
    r"this (?:e-?mail|message|communication)(?: \(.{0,60}\)|,?(?: together with| and| including).{0,60})? "
    r"(?:is|are|may be|contains?|may contain)[^.]{0,80}(?:confidential|intended|privileged)|"
    r"the information (?:contained )?in this (?:e-?mail|message).{0,40}(?:confidential|intended)|"
    r"diese (?:e-?mail|nachricht) enthält .{0,40}vertraulich|der inhalt dieser e-?mail|"
    r"ce (?:message|courriel).{0,60}confidentiel|este (?:mensaje|correo|e-?mail).{0,80}confidencial|"
    r"questo messaggio.{0,80}(?:riservat|confidenzial)|это сообщение .{0,60}конфиденциальн|"
    r"본 메일은|本邮件.{0,20}(?:保密|机密))",
    re.IGNORECASE,
)


def without_signature(lines: list[str]) -> list[str]:
    """The lines up to the first that begins something else; all of them where nothing would be left."""
    for number, line in enumerate(lines):
        short = line[:400]
        if _DELIMITER.match(short) or _DEVICE.match(short):
            return _kept(lines, number)
        if _LIST_FOOTER.match(short) and _FOOTER_WORDS.search(
            "\n".join(lines[number + 1 : number + 7])[:1000]
        ):
            return _kept(lines, number)
        begins = number == 0 or not lines[number - 1].strip()
        if begins and _DISCLAIMER.match(
            f"{short} {lines[number + 1][:200] if number + 1 < len(lines) else ''}"
        ):
            return _kept(lines, number)
    return lines


def _kept(lines: list[str], end: int) -> list[str]:
    """A text that begins with such a line is no signature."""
    return lines[:end] if any(line.strip() for line in lines[:end]) else lines
