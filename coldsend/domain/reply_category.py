"""What a reply wants, by cautious rules on its new text, in several languages. Pure.

Categories are proposals for a person, who corrects them (``inbox label``), and what conditions such as
``replied:interested`` ask for. Only plain words decide; what they do not tell is ``other``. Of several
categories the one that asks for the greatest care wins: who says no is never taken for interested.

Text is compared in lower case (NFKC), with straight apostrophes and single spaces: its first 2,000
characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum

from coldsend.domain.patterns import Pattern


class ReplyCategory(StrEnum):
    """From the one that asks for the greatest care to the least."""

    UNSUBSCRIBE_REQUEST = "unsubscribe_request"
    NOT_INTERESTED = "not_interested"
    REFERRAL = "referral"
    INTERESTED = "interested"
    QUESTION = "question"
    OTHER = "other"


_LOOKED_AT = 2000  # characters
_A_WORD = 60  # a text this short, and no longer, may say it with one word

_ORDER = list(ReplyCategory)
_APOSTROPHES = str.maketrans("\u2019\u2018\u02bc\u00b4`", "'''''")
_SPACES = re.compile(r"\s+")
_QUOTED = re.compile(r"^[ \t]*>.*$", re.MULTILINE)


def _any(*parts: str) -> Pattern:
    return Pattern("|".join(f"(?:{part})" for part in parts))


# Somebody may have asked not to be taken off, or write about unsubscribing in general.
_NEGATED = r"(?<!not )(?<!n't )(?<!never )(?<!nicht )(?<!pas )"

_UNSUBSCRIBE = _any(
    rf"{_NEGATED}\b(?:please |kindly |pls )?(?:remove|take|delete) (?:me|us|my (?:e-?mail|address|"
    rf"name|details))"
    r"\b[^.!?]{0,40}\b(?:list|lists|database|mailing|mailings|contacts|off|records)\b",
    rf"^(?:hi|hello|hey)?[ ,]*{_NEGATED}(?:please |kindly |pls )?(?:remove|delete) (?:me|us)\b",
    r"\b(?:please|pls|kindly) (?:remove|delete) (?:me|us|my (?:e-?mail|address))\b",
    rf"{_NEGATED}\b(?:please|pls|kindly|(?:i|we)(?:'d| would)? (?:want|like|wish) to) (?:unsubscribe|"
    rf"opt[ -]?out|"
    r"be (?:removed|unsubscribed))\b(?! (?:here|below|by|at|via|using|with|through|on)\b)",
    r"\bunsubscribe (?:me|us|my|this (?:address|e-?mail))\b",
    rf"{_NEGATED}\bopt (?:me|us) out\b",
    rf"{_NEGATED}\bstop (?:e-?mailing|contacting|spamming|writing|messaging|"
    r"sending (?:me|us|these|this|your))\b",
    r"\b(?:do not|don't|never) (?:e-?mail|contact|write|message|spam)(?: to)? (?:me|us)\b",
    r"\b(?:do not|don't) send (?:me|us) (?:any ?more|any|further|more)\b",
    r"\bno (?:more|further) e-?mails?\b",
    r"\bcease and desist\b",
    # German
    r"\b(?:bitte )?(?:nehmen|nimm|streichen|streiche|löschen|lösche|entfernen|"
    r"entferne) (?:sie )?(?:mich|uns|meine|unsere)\b"
    r"[^.!?]{0,60}\b(?:verteiler|liste|datenbank|adresse|daten|mailingliste|newsletter|kontakte)",
    r"\b(?:keine|keinerlei) (?:weiteren |weitere )?(?:e-?mails?|mails?|nachrichten|werbung|"
    r"zusendungen|newsletter) (?:mehr\b|erhalten|schicken|senden)",
    r"\b(?:schreiben|kontaktieren|mailen) sie (?:mir|mich|uns) (?:bitte )?nicht(?: mehr)?\b",
    r"\b(?:möchte|will|bitte)\b[^.!?]{0,30}\b(?:abmelden|abbestellen|austragen)\b",
    r"\bunterlassen sie\b",
    # French
    r"\b(?:désinscri|désabonn)(?:re|vez|ez|er)[ -](?:moi|nous)\b|\bme (?:désinscrire|désabonner)\b",
    r"\b(?:retire|supprime|enlève)[rz]?e?z?[ -](?:moi|nous|mon adresse|mes coordonnées|notre adresse)\b",
    r"\bne (?:m'|me |nous )(?:écrivez|contactez|envoyez|sollicitez) plus\b",
    r"\bne plus (?:me|nous|recevoir)\b",
    # Spanish, Portuguese, Italian
    r"\b(?:darme|dame|dadme|denme|denos|darnos) de baja\b|\bdeme de baja\b",
    r"\bno (?:me|nos) (?:escriba|contacte|env[ií]e|escriban|contacten|env[ií]en)n? más\b|"
    r"\b(?:elim[ií]ne|b[oó]rre)me\b",
    r"\b(?:remov|retir|exclu)(?:a|am|ir|er|ar|e)[ -]?(?:-me|me|o meu|meu)\b[^.!?]{0,40}\b(?:lista|"
    r"e-?mail|contato|contacto)",
    r"\bnão (?:me )?(?:envie|enviem|contacte|contate)m? mais\b|\bdescadastr",
    r"\b(?:cancell|rimuov|togl|elimin)\w{1,8}\b[^.!?]{0,40}\b(?:lista|mailing|indirizzo|elenco|"
    r"database)\b|\bdisiscriver",
    r"\bnon (?:mi |ci )?(?:scriva|scrivete|contattate|contatti|mandate|inviate)(?:mi|ci)? più\b|"
    r"\bnon (?:scrivetemi|contattatemi) più\b",
    # Dutch, Swedish, Danish, Norwegian, Polish, Czech
    r"\b(?:verwijder|haal|schrap) (?:mij|me|ons|mijn)\b[^.!?]{0,40}\b(?:lijst|bestand|database|"
    r"mailing|adres)|\b(?:mij|me|ons) uitschrijven\b",
    r"\b(?:mail|schrijf|stuur|benader) (?:mij|me|ons) niet meer\b",
    r"\b(?:ta|tag|fjern|slet) (?:bort )?(?:mig|meg|oss|os)\b[^.!?]{0,40}\b(?:lista|liste|listen|"
    r"listan|register|registret)|\bavregistrera\b",
    r"\b(?:proszę|prosze)[^.!?]{0,30}\b(?:usun|wypisa|wykreśl)|\b(?:nie|niech) (?:pisz|wysyłaj|"
    r"kontaktuj)\w* (?:do|się|mi|nam|więcej|już)",
    r"\b(?:odhl[aá]s|vyma[zž]|odstra[nň])\w* (?:m[eě]|n[aá]s)\b",
    # Russian, Ukrainian, Turkish
    r"(?:удалите|уберите|исключите|вычеркните) (?:меня|нас|мой|наш)|отпишите|(?:не пишите|"
    r"не присылайте|больше не)[^.!?]{0,15}(?:мне|нам|пишите|присылайте)",
    r"(?:видаліть|приберіть|відпишіть) (?:мене|нас)",
    r"\blistenizden ç[ıi]kar|\bbeni ç[ıi]kar",
    # Chinese, Japanese, Korean
    r"退订|取消订阅|(?:请|請)?(?:不要|别|勿)再(?:给我|給我|联系|聯絡|发|發|寄|打扰)|取消訂閱",
    r"配信(?:を)?(?:停止|解除)|(?:今後|以後)[^。]{0,12}(?:送らないで|不要です|お控え)|メール(?:を)?(?:停止|送らないで)",
    r"수신\s?거부|(?:더 이상|앞으로)[^.]{0,15}보내지",
)
_UNSUBSCRIBE_WORD = Pattern(
    r"(?:please |bitte |hi,? |hello,? )?"
    r"(?:un-?subscribe|unsuscribe|stop|remove|opt[ -]?out|abmelden|abbestellen|austragen|"
    r"désinscription|désabonnement|"
    r"désinscrire|baja|dar de baja|cancellami|cancellazione|disiscrizione|uitschrijven|afmelden|avregistrera|"
    r"avmeld|afmeld|wypisz|отписаться|отписка|退订|td|t)(?: please| bitte| thanks| thank you| me)?[ .!]*"
)

_NOT_INTERESTED = _any(
    r"\b(?:not|isn't|aren't|no longer|never|hardly)(?: (?:really|currently|at all|particularly|very|"
    r"be|so|that|at this time|right now|personally))* (?:interested|looking|a (?:good )?fit|relevant|"
    r"a priority|in the market|for us)\b",
    r"\bnot of (?:any )?interest\b|\b(?:no|zero|lack of) interest\b|\buninterested\b",
    r"\b(?:no,? (?:thanks|thank you|thx|ty)|thanks,? but no|thank you,? but no|no need)\b",
    r"\b(?:we(?:'ll| will)?|i(?:'ll| will)?|going to|have to) (?:have to )?pass\b(?! (?:it|this|that|"
    r"your|the|on|along))",
    r"\b(?:don't|do not|doesn't|does not|won't|will not) (?:have (?:a|any) (?:need|use|budget|"
    r"interest)|need (?:this|it|any|your|that)|see (?:a|any) (?:need|fit|value))\b",
    r"\bwe(?:'re| are) (?:all set|happy with (?:our|what)|already (?:working with|using))\b",
    # German
    r"\bkein(?:e|en|erlei)? (?:interesse|bedarf)\b|\bnicht (?:interessiert|interessant|relevant)\b|"
    r"\bnein,? danke\b|\bdanke,? nein\b|\bkommt (?:für uns )?nicht in ?frage\b",
    # French
    r"\b(?:pas|plus|aucunement|nullement) (?:du tout )?intéressée?s?\b|\bne (?:m'|"
    r"nous )intéresse(?:nt)? pas\b|\bnon,? merci\b|\bpas (?:d'intérêt|besoin)\b",
    # Spanish, Portuguese, Italian
    r"\bno (?:me|nos|estoy|estamos) (?:interesa|interesan|interesad[oa]s?)\b|\bno,? gracias\b|"
    r"\bno tenemos interés\b",
    r"\b(?:não|nao) (?:tenho|temos|estou|estamos|há) (?:interesse|interessad[oa]s?)\b|\b(?:não|"
    r"nao),? obrigad[oa]\b",
    r"\bnon (?:sono|siamo|è|ci|mi) (?:interessat[oaie]|interessante|interessa)\b|\bno,? grazie\b",
    # Dutch, Swedish, Danish, Norwegian, Polish, Czech
    r"\b(?:geen|niet) (?:interesse|geïnteresseerd|belangstelling|behoefte)\b|\bnee,? (?:dank|bedankt)",
    r"\b(?:inte|ikke|ej) (?:interesser(?:ad|ade|et|t|ede)|intresser(?:ad|ade))\b|\b(?:nej|"
    r"nei),? ta(?:ck|k)\b",
    r"\bnie (?:jestem|jesteśmy) zainteresowan|\bnie,? dziękuj|\bbrak zainteresowania\b|\bnem[aá](?:m|"
    r"me) z[aá]jem\b|\bne,? d[eě]kuj",
    # Russian, Ukrainian, Turkish
    r"не (?:интересует|интересно|заинтересован|актуально|нужно)|нет,? спасибо|не цікав|ні,? дякую",
    r"\bilgilenmiyor|\bhay[ıi]r,? te[sş]ekk[uü]r",
    # Chinese, Japanese, Korean
    r"不感兴趣|沒有?興趣|没有?兴趣|不需要|不考虑|不考慮|興味(?:は|が)?(?:ありません|ない|ございません)|(?:必要|不要)(?:は)?(?:ありません|です)|관심\s?(?:이\s?)?없",
)

_REFERRAL = _any(
    r"\b(?:not|isn't|am not) the (?:right|best|correct) (?:person|contact|one)\b|\bwrong (?:person|"
    r"contact)\b",
    r"\b(?:please |you (?:should|can|could|may|might want to) |best to |try to |i(?:'d|"
    r" would) suggest (?:you )?)(?:contact|reach out to|talk to|speak (?:to|with)|get in touch with|"
    r"e-?mail|write to|ask|connect with|try)\b"
    r"(?! (?:me|us)\b)",
    r"\b(?:forward(?:ed|ing)|passed|passing|pass) (?:this|it|your (?:e-?mail|message|note|mail|"
    r"request))? ?(?:on |along )?to\b",
    r"\b(?:cc(?:'?d|'?ing|ed)?|copying|copied|looping in|adding) (?:my (?:colleague|manager|boss|"
    r"team)|our|in)\b",
    r"\b(?:my|our) (?:colleague|manager|boss|ceo|cto|cfo|head of) [^.!?]{0,50}\b(?:handles|"
    r"is responsible|is in charge|takes care|is the (?:right|best) (?:person|contact))",
    # German, French, Spanish, Italian, Portuguese, Dutch, Polish, Russian
    r"\b(?:wenden|richten) sie sich (?:bitte )?an\b|\bnicht (?:der|die) (?:richtige|zuständige)|"
    r"\bnicht (?:dafür )?zuständig\b|\bansprechpartner(?:in)? (?:ist|wäre|dafür)|\b(?:weitergeleitet|"
    r"leite[^.!?]{0,30} weiter) an\b|\bweitergeleitet\b",
    r"\b(?:veuillez|merci de|vous pouvez) (?:contacter|vous adresser|joindre)\b(?! moi)|"
    r"\bpas la bonne personne\b|\bje transfère\b",
    r"\b(?:contacte|p[oó]ngase en contacto|hable|escriba)n? (?:con|a)\b|\bno soy la persona\b|"
    r"\breenv(?:ío|iado)\b",
    r"\b(?:contatti|contattare|si rivolga|rivolgersi)\b|\bnon sono la persona\b|\bho inoltrato\b",
    r"\b(?:contacte|contate|fale com|entre em contato com)\b|\bnão sou a pessoa\b|\bencaminhei\b",
    r"\bneem (?:dan )?contact op met (?!mij|me|ons)|\bniet de juiste persoon\b|\bdoorgestuurd\b",
    r"\b(?:proszę|prosze) (?:się )?(?:skontaktować|kontaktować|zwrócić) (?:się )?(?:z|do)\b(?! nami|"
    r" mną)|\bnie jestem (?:właściwą )?osobą\b",
    r"(?:обратитесь|обращайтесь|свяжитесь|напишите) (?:к|с|в)\b|\bпереслал",
    r"请联系(?!我)|請聯[絡繫](?!我)|转发给|轉寄給|担当者?に転送|担当(?:は|の)",
)

_INTERESTED = _any(
    r"\b(?:i'm|i am|we're|we are|am|are|very|definitely|quite|might be|could be|would be|be|sounds|"
    r"potentially|certainly) (?:\w+ )?(?:interested|interesting)\b",
    r"^(?:yes,? )?(?:very |definitely |really )?interested\b|\b(?:love|like|happy|glad|keen|open|"
    r"curious|willing) to (?:\w+ )?(?:learn more|hear more|know more|see (?:more|a demo)|chat|talk|"
    r"discuss|meet|have a (?:call|chat|look)|hop on|jump on|connect|try)\b",
    r"\b(?:let's|let us|can we|could we|shall we|we (?:can|could|should)) (?:talk|chat|meet|discuss|"
    r"speak|schedule|set up|have a call|jump on|hop on|do a call|connect|book)\b",
    r"\b(?:sounds|looks) (?:good|great|promising|excellent)\b|\b(?:call|ring) me\b|\b(?:give (?:me|"
    r"us) a call)\b",
    r"\b(?:please |could you |can you |pls )?send (?:me|us|over|through) (?:\w+ ){0,3}(?:details|"
    r"information|info|proposal|offer|quote|brochure|deck|pricing|prices|demo|link|more|material|"
    r"materials)\b",
    r"\b(?:tell me more|more (?:info|information|details),? please|book(?:ed)? a (?:call|demo|meeting|"
    r"slot)|free for a call)\b",
    # German
    r"\b(?:bin|sind|wäre|wären|sehr|grundsätzlich|durchaus) (?:\w+ )?(?:interessiert|interessant)\b|"
    r"\b(?:haben|habe|hätten|hätte) (?:\w+ )?interesse\b|\b(?:klingt|hört sich) (?:\w+ )?(?:gut|"
    r"interessant|spannend) ?|\brufen sie (?:mich|uns)[^.!?]{0,20}an\b|\b(?:senden|"
    r"schicken) sie (?:mir|uns) (?!keine|nichts|nie)",
    # French
    r"\b(?:suis|sommes|serais|serions|très|vivement) (?:\w+ )?intéressée?s?\b|\b(?:m'|"
    r"nous )intéresse(?! pas)|\bappelez[ -]moi\b|\benvoyez[ -](?:moi|nous) (?!plus)",
    # Spanish, Portuguese, Italian
    r"\b(?:me|nos) interesa(?:ría)?\b|\b(?:estoy|estamos|muy) interesad[oa]s?\b|\bll[aá]meme\b|"
    r"\benv[ií]e(?:me|nos)\b",
    r"\b(?:tenho|temos|estou|estamos) (?:\w+ )?(?:interesse|interessad[oa]s?)\b|\bpode (?:me )?ligar\b",
    r"\b(?:sono|siamo|sarei|saremmo|molto) (?:\w+ )?interessat[oaie]\b|\bmi interessa\b|\bmi chiami\b",
    # Dutch, Swedish, Danish, Norwegian, Polish, Czech
    r"\b(?:ben|zijn|heel|zeer|wel) (?:\w+ )?geïnteresseerd\b|\bklinkt (?:goed|interessant)\b|"
    r"\bbel (?:mij|me)\b",
    r"\b(?:är|er|mycket|meget) (?:\w+ )?(?:intresserade?|interesser(?:et|t|ede))\b|\b(?:låter|"
    r"lyder) (?:bra|intressant|godt|interessant)\b",
    r"\b(?:jestem|jesteśmy|bardzo) (?:\w+ )?zainteresowan|\bproszę o (?:kontakt|telefon|ofertę|"
    r"więcej)|\bm[aá](?:m|me) z[aá]jem\b",
    # Russian, Turkish, Chinese, Japanese, Korean
    r"(?:меня|нас) (?:\w+ )?(?:интересует|заинтересовало)|(?:мне|нам) (?:\w+ )?интересно|"
    r"позвоните мне|\bilgileniyor",
    r"(?<!不)感兴趣|有兴趣|有興趣|感興趣|興味(?:が)?(?:あり|ござい)ます|詳し(?:く|い)[^。]{0,10}(?:お聞かせ|教えて|知りたい)|관심\s?(?:이\s?)?있",
)

# What our own footers say, where somebody quotes one without marking it: the offer to ask, not a request.
_OFFER = Pattern(
    r"\b(?:if you|should you|you can|you may|to unsubscribe|to stop receiving|wenn sie|falls sie|wenn du|"
    r"können sie|si vous|vous pouvez|si usted|si (?:ya )?no (?:desea|quiere)|si desea|puede|"
    r"se (?:não|non)|se desidera|als u|als je|u kunt|jeśli|om du|hvis du|du kan)\b|"
    r"если вы|вы можете|如果您|如果你|您可以"
)
_SENTENCE = re.compile(r"[.!?。！？]")
_QUESTION = Pattern(r"[?？؟]")
_ADDRESSES = re.compile(r"(?:https?://|www\.)\S+|<[^<>\s]+>")

_RULES = (
    (ReplyCategory.NOT_INTERESTED, _NOT_INTERESTED),
    (ReplyCategory.REFERRAL, _REFERRAL),
    (ReplyCategory.INTERESTED, _INTERESTED),
    (ReplyCategory.QUESTION, _QUESTION),
)


def categorize(text: str) -> ReplyCategory:
    """The category of a reply by its new text, without quotes and signature; never fails."""
    text = _QUOTED.sub("", text[:_LOOKED_AT])
    plain = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).lower()
    plain = _SPACES.sub(" ", _ADDRESSES.sub(" ", plain)).strip()
    if len(plain) <= _A_WORD and _UNSUBSCRIBE_WORD.fullmatch(plain):
        return ReplyCategory.UNSUBSCRIBE_REQUEST
    said = ". ".join(part for part in _SENTENCE.split(plain) if not _OFFER.search(part))
    if _UNSUBSCRIBE.search(said):
        return ReplyCategory.UNSUBSCRIBE_REQUEST
    return next((category for category, words in _RULES if words.search(plain)), ReplyCategory.OTHER)


def weightiest(categories: Iterable[str | None]) -> ReplyCategory | None:
    """Of several replies to one message the category that counts; None where none is known."""
    known = {ReplyCategory(category) for category in categories if category}
    return min(known, key=_ORDER.index, default=None)
