"""What servers say when they mean something: one pattern per kind of answer, for all providers alike.

Patterns are searched in the answer's text, in any case. They describe kinds of sentences; a phrase that
turns up anew belongs into the pattern of its kind, not into a rule of its own.
"""

from __future__ import annotations

import re

from coldsend.domain.patterns import Pattern


def words(*patterns: str) -> Pattern:
    return Pattern("|".join(patterns), re.IGNORECASE)


# Half of what is about addresses and domains is about those of the sender.
ABOUT_SENDER = words(
    r"\bsender('s)?\b",
    r"\bmail[ _]from\b",
    r"\bfrom[ -]?(address|header|domain)",
    r"\byour (ip|server|domain|host)",
    r"\bhelo\b",
    r"return[ -](address|path)",
)

TOO_MANY_LOGINS = words(r"too many", r"try again", r"\brate\b", r"\blimit")

TLS = words(r"\btls\b")

TLS_REQUIRED = words(
    r"must issue a starttls",
    r"(starttls|\btls\b|encryption) (is |command )?(required|needed|first)",
    r"not (sent|using).{0,12}\btls\b",
    r"requires? (the use of )?(start)?tls",
)

SENDER_SUSPENDED = words(
    r"(sending|sender'?s?|your) (e-?mail )?(account|user|service|privileges?).{0,40}"
    r"(suspended|disabled|blocked|terminated|revoked)",
    r"suspended due to abuse",
    r"(sending|outbound|outgoing)( e?-?mail)?.{0,12} (is |has been )?(suspended|disabled)",
    r"(?<!\d is )not allowed to send (e?-?mail|messages)(?! (from|for|on behalf))",
)

SENDER_DOMAIN_UNKNOWN = words(r"domain (not found|of sender)", r"does not (exist|resolve)")

RECIPIENT_RATE = words(
    r"(user|recipient|mailbox|account|contact)\b.{0,40}receiv\w+ (e?-?mails?|messages) (too|at a)",
    r"recipient.{0,30}(has |have )?exceeded.{0,30}(limit|rate|number)",
    r"receiv\w+.{0,20}(too quickly|too many messages)",
)

DAILY_LIMIT = words(
    r"(daily|24.?hours?|per.?day)\b.{0,40}(limit|quota|exceed|allowance)",
    r"(limit|quota|exceed\w*)\b.{0,40}(daily|24.?hours?|per day|a day|for today)",
    r"(sending|relay|outgoing|outbound|submission) (limit|quota)",
    r"peak smtp relay limit",
)

DNS_TROUBLE = words(
    r"temporary dns",
    r"dns.{0,20}(timed? ?out|temporar|fail)",
    r"servfail",
    r"(name|host|domain)\w*.{0,20}(lookup|resolution).{0,20}(temporar|timed? ?out)",
    r"name service error|(host|domain|name) not found.{0,20}try again",
)

# For good, unlike what a name server says while it has trouble.
NO_SUCH_HOST = words(
    r"(host|domain)( or domain)?( name)? not found(?!.{0,20}try again)",
    r"nxdomain",
    r"host unknown|unknown host|no such (host|domain)",
)

# RFC 7504, 7505: there is no mail at this domain.
TAKES_NO_MAIL = words(
    r"(host|domain|server)\b.{0,30}does ?n.t (accept|receive) (any )?e?-?mail",
    r"(host|domain|server)\b.{0,30}does not (accept|receive) (any )?e?-?mail",
    r"(indicated|has) no smtp service|null ?mx|no mx( or a)? (records? )?(found )?for",
    r"could(n.t| not) find (a |any )?(mail exchanger|mx)",
)

NOT_AUTHENTICATED = words(
    r"\b(spf|dkim|dmarc|ptr|rdns)\b",
    r"reverse.?(dns|host|lookup|resol)",
    r"unauthenticated (e-?)?mail",
    r"(fail|not pass)\w*.{0,20}(sender|domain|mail|message|e-?mail) (authenticat|verif)\w+",
    r"invalid dns (mx|a\b|ns)",
    r"not (allowed|permitted|authori[sz]ed) to send (e?-?mail|messages?) (from|for|on behalf)",
)

SENDER_REFUSED = words(
    r"(sender|from|mail from|envelope)\b.{0,60}(address|domain).{0,40}"
    r"(reject|refus|invalid|not (found|exist|valid|verif|allow|accept)|unknown|does ?n.t|unresolv)",
    r"valid sender domain",
    r"(can.?not|could not|unable to) verify sender",
    r"domain of sender address.{0,60}does not",
)
NOT_SENDER_REFUSED = words(r"by (the )?(spam|content)", r"headers?\b")

RATE_LIMITED = words(
    r"rate.?limit",
    r"\bthrottl",
    r"too (many|much) .{0,20}(connection|session|message|mail|concurrent|traffic|request)",
    r"(connections?|messages?|sending) (rate|too (fast|quickly|frequent))",
    r"(excessive|high|unusual) (volume|traffic|rate)",
    r"(exceed\w*|reached).{0,30}(rate|connections?|messages per|per (hour|minute|second))",
    r"slow down",
    r"sent too many",
)
NOT_RATE_LIMITED = words(
    r"spamhaus",
    r"has been blocked",
    r"disk (quota|space)",
    r"(stored|messages|mails) (in|on|auf) (the|his|her|their|dem) (mail ?box|server)",
)

BAD_REPUTATION = words(
    r"spamhaus|spamcop|sorbs|barracudacentral|uceprotect|invaluement|cloudmark|senderscore|senderbase",
    r"\b(black|block|deny|ban).?list",
    r"\b(rbl|dnsbl|dbl|xbl|sbl|pbl)\b",
    r"reputation",
    r"\blisted (at|in|by|on|with)\b|\bis listed\b",
    r"(ip|host|server|network|client|connections?|address)\b.{0,60}\b(is |has been |was |are )?"
    r"(temporarily |currently )?(blocked|banned|denied|not accepted|blacklisted)",
    r"(blocked|banned|block|rejected|refused|denied)\b.{0,30}\b(ip|host|network|server|client)\b",
    r"\bip.based|\bdomain.based",
    r"not authorized to send.{0,30}directly",
    r"\bpoor\b|untrusted (ip|network|host)",
    r"\bS31[45]0\b",
    r"\[(BL|IPTS|TSS?)\d+\]",
    r"dynamic (ip|host|address|range)|residential",
    r"\bcomplaints?\b",
    r"too many (invalid|unknown|bad|wrong|non-?existent) (recipient|user|address|rcpt)",
)
NOT_REPUTATION = words(r"recipient address", r"mailbox", r"all recipient", r"\bnot listed in\b")

MALFORMED = words(
    r"rfc ?\d*.{0,12}(complian|conform|violat)",
    r"not (rfc|standards?).{0,20}complian",
    r"(missing|invalid|malformed|duplicate|multiple|\bno|\bbad|non-compliant)\b.{0,40}\bheaders?\b",
    r"\bheaders?\b.{0,40}(missing|invalid|malformed|duplicate|too (big|long|large)|not (rfc|valid))",
    r"message is malformed|malformed (message|mime|mail)",
    r"bare (cr|lf|line ?feed)",
    r"line (is )?too long",
)
NOT_MALFORMED = words(r"recipient address", r"header based")

MAILBOX_FULL = words(
    r"over ?quota|over the (storage )?quota|out of (storage|space)",
    r"quota.{0,20}(exceed|full|violat|reached)|exceed\w*.{0,20}(quota|storage)",
    r"(mail ?box|mail ?folder|account|inbox).{0,30}\bfull\b|mail ?box size limit|full mailbox",
    r"disk ?quota|disk space (limit|quota)|(reached|exceed\w*).{0,30}quota|quota violation",
    r"mail ?box.{0,20}(space )?not enough|too many (messages|mails) (on|in) (the|his|her|their)",
    r"(insufficient|not enough).{0,20}(space|storage|disk).{0,30}(user|mailbox|recipient)",
    r"user.{0,20}has too many (messages|mails)|zu ?viele (e-?)?mails",
    r"mailbox exceeds allowed size|mailbox.{0,30}(size|limit).{0,20}exceeded|exceeds? .{0,20}mailbox",
    r"(postfach|mailbox).{0,30}(voll|überfüllt)|bo[^ ]{1,2}te.{0,40}pleine|buz[^ ]{1,2}n.{0,20}lleno|"
    r"casella.{0,20}piena",
    r"(ящик|mailbox).{0,40}переполнен|превышен.{0,20}квот|(邮箱|信箱|"
    r"容量).{0,12}(已满|满|超)|メールボックス.{0,12}(一杯|"
    r"いっぱい|超)",
)

TOO_BIG = words(
    r"(message|mail|size|body|content|attachment|header|data)\b.{0,40}"
    r"(too (big|large|long)|exceed\w*.{0,30}(size|limit|maximum))",
    r"(maximum|fixed|max).{0,20}message size",
    r"size exceeds",
)

CONTENT = words(
    r"\bspam\b|spammy|unsolicited|\bjunk\b|bulk (e-?)?mail",
    r"virus|malware|phish|infected|trojan|ransom|security (issue|risk)|malicious",
    r"suspicious|objectionable|prohibited",
    r"\bcontent\b|attachment|\burls?\b.{0,30}(block|reject|list)|links? within",
    r"header based",
    r"looks like|identified as",
    r"(message|mail).{0,20}(rejected|refused|blocked).{0,30}(policy|filter)",
)
NOT_CONTENT = words(r"recipient address rejected", r"user unknown")

RELAYING = words(
    r"relay\w*.{0,30}(denied|not (allowed|permitted)|prohibited|refused)",
    r"(unable|not (allowed|permitted|authorized)) to relay",
    r"\bno relay|we do not relay|relay access",
)

# The person, or a rule of theirs, does not want it; the address is good.
RECIPIENT_DECLINES = words(
    r"recipient.?s? preferences?",
    r"(refused|blocked|rejected|declined) by (the |their )?(recipient|user|addressee)\b",
    r"(recipient|user|addressee) (has )?(refused|blocked|declined|does not accept)",
    r"(not (allowed|permitted|authori[sz]ed)|permission) to (post|send|write|e-?mail).{0,40}(group|list|"
    r"recipient|user)",
    r"message filtered",
)

SPAM = words(r"\bspam", r"unsolicited", r"virus|malware")

# An answer of Japanese carriers' filters: the place of the address is empty where they know it.
FILTERED = words(r"^\s*: user unknown|\d : user unknown")

# What servers say of an address they do not have, and filters of one they have; see the rules.
# The name in quotes: the mailbox's own server knows nobody.
STOCK_UNKNOWN = words(r"\buser unknown\b", r"\bunknown user\b(?!: \")")

RECIPIENT_DISABLED = words(
    r"(account|mailbox|user|address|recipient)\b.{0,60}\b"
    r"(disabled|inactive|deactivated|suspended|closed|locked|blocked|expired|not active)",
    r"inactiv\w+|no longer (active|available|in use)|disabled (account|user|mailbox|recipient)",
)

UNKNOWN_RECIPIENT = words(
    r"(user|mail ?box|recipient|account|addressee?|alias|person|name)\b.{0,80}\b"
    r"(unknown|not (be )?found|no[tn][ -]?exist\w*|does ?n.t exist|does not exist|not known|"
    r"not (a )?(valid|listed|recogni[sz]ed|local)|doesn.t have|is not a\b|isn.t a\b|undeliverable)",
    r"\b(no|not an?|unknown|invalid|bad|non[ -]?existent|illegal|undefined)( such| valid| local| known)?"
    r"( e-?mail| mail)?.?(user|recipient|mail ?box|account|address|alias|person|addressee)",
    r"no such (user|recipient|mail ?box|person|address|account|name|alias|local|domain|host)",
    r"(no|not a).{0,8} mail ?box (here|by)|does ?n.t have an? [\w.]* ?account|no account",
    r"(domain|host)\b.{0,40}(not found|unknown|does ?n.t exist|does not exist|no mx|can.?not be found)",
    r"domain is not reachable",
    r"unrout(e)?able|null ?mx|nxdomain|bad destination (host|mailbox|system)",
    r"adresse?.{0,60}(invalide|inconnue?)|destinataire.{0,20}inconnu",
    r"unknown in (virtual|local|relay)|unknown local[ -]part|recip(ient)?notfound",
    r"(?<!ip )(?<!host )\baddress(es)? (is |are |was |were )?(unknown|invalid|"
    r"undeliverable|not (present|known)|"
    r"could not be found|has been replaced|no longer accepts)|(undeliverable|"
    r"bad destination) (e-?mail )?address(?!(es)?\s*:)",
    r"(mail ?box|user) (is )?(invalid|not present)|can.?t accept (user|recipient)|not our (user|customer)",
    r"(recipient )?domain must exist|invalid domain( name)?\W*$|\bunknown host\W*$|non-?existent hosts",
    r"recipient address rejected\.?\s*($|\()",
    r"invalid final delivery|no (mail ?box|user|account|one|person)( here)? (by|with|of) that name",
    r"\bwrong (recipient|address|user|mail ?box)|not a member of domain",
    r"(nobody|no ?one) (here )?(by|with|of) that name",
    r"(?<!ip )(?<!host )\b(address|mail ?box|account|user|recipient)(es|s)? (no longer exist|(are|"
    r"is) (invalid|unknown))|"
    r"was ?n.t found at \S+\.\w",
    r"not an active (e-?mail )?address|address is (wrong|incorrect|not valid|no longer valid)",
    r"(could ?n.t|could not|can ?not|can.t|unable to|were ?n.t able to) (find|locate|recogni[sz]e) "
    r"(the |this |that |such )?(recipient|user|mail ?box|address|account|person|domain|host)",
    r"(?<!ip )(?<!host )address (could ?n.t|was ?n.t|not) (be )?found|(invalid|unknown|"
    r"bad) .{0,20}user ?name",
    r"(user|recipient|address|mail ?box|account)\b.{0,60} not (found )?in (our |the |its )?.{0,30}"
    r"(directory|address book|user list|database)|no (such )?local user",
    r"(user|recipient|person|employee).{0,20} (is )?no longer (with|at|works?|employed|on server|here)",
    r"recipient name is not recogni[sz]ed|(user|person|recipient).{0,30} not exist\b|not our customer",
    r"(empf[^ ]{1,3}nger|adressat|benutzer|postfach|adresse).{0,40}(unbekannt|existiert nicht|"
    r"nicht gefunden)",
    r"(destin\w*\.?|usuario|buz[^ ]{1,2}n|cuenta|direcci[^ ]{1,2}n|casella|utente|indirizzo).{0,50}"
    r"(desconocid|no (existe|encontrad)|inesistente|sconosciut|non (esiste|trovat))",
    r"(utilisateur|compte|bo[^ ]{1,2}te|adresse|destinataire).{0,60}(inconnue?|n.existe (pas|plus)|"
    r"inexistant)",
    r"(usu[^ ]{1,2}rio|conta|endere[^ ]{1,2}o|caixa|destinat[^ ]{1,2}rio).{0,40}"
    r"(desconhecid|n[^ ]{1,2}o (existe|encontrad)|inexistente)",
    r"(gebruiker|ontvanger|adres|postbus).{0,40}(onbekend|bestaat niet|niet gevonden)",
    r"(u[^ ]{1,2}ytkownik|odbiorca|adres|skrzynka|konto).{0,50}(nie istnieje|nieznan)",
    r"(anv[^ ]{1,2}ndare|mottagare|bruker|mottaker|modtager|adresse?n?|konto).{0,40}"
    r"(finns inte|findes ikke|finnes ikke|eksisterer ikke|ok[^ ]{1,2}nd|ukendt|ukjent)",
    r"(u[^ ]{1,2}ivatel|p[^ ]{1,4}jemce|adresa|schr[^ ]{1,2}nka).{0,40}(neexist|nezn[^ ]{1,2}m|nenalezen)",
    r"(kullan[^ ]{1,2}c[^ ]{1,2}|al[^ ]{1,2}c[^ ]{1,2}|adres).{0,40}(bulunamad|mevcut de)",
    r"(felhaszn[^ ]{1,2}l[^ ]{1,2}|c[^ ]{1,2}mzett|postafi[^ ]{1,2}k).{0,40}(nem l[^ ]{1,2}tezik|ismeretlen)",
    r"(사용자|수신자|메일함|계정|주소).{0,20}(존재하지 ?않|없습니다|찾을 수 없)",
    r"(пользовател|ящик|получател|адрес).{0,60}"
    r"(не существует|не найден|не зарегистрирован|неизвест|нев(ерн|ірн)|не існує)",
    r"(ユーザー?|アドレス|宛先|受信者)[^、。\s]{0,20}(存在し(な|ま)|見つかりま)",
    r"(用户|用戶|收件人|邮箱|郵箱|信箱|地址|账号|"
    r"帳號)[^，。、\s]{0,12}(?<!可能)(不存在|未找到|找不到)|查無此|查无此",
)

ADDRESS_REJECTED = words(r"address(es)? rejected")
REJECTED = words(r"^\s*<?\S+@\S+ rejected\W*$")
MAILBOX_UNAVAILABLE = words(r"mailbox unavailable")

GREYLISTED = words(r"gr[ea]y.?list")
TRY_AGAIN = words(r"(try|retry|come back|re-?send).{0,30}(again|later|in \d)", r"deferr|temporarily reject")

ANY_REFUSAL = words(
    r"reject|refus|denied|deny|not (accepted|allowed|permitted)|unavailable|fail|block|policy"
)
