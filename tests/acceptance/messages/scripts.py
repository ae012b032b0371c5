"""Words of ten scripts, and what people and programs with bad manners put into names, fields and subjects."""

from __future__ import annotations

import re

from hypothesis import strategies as st

# A name, a company, a sentence.
SCRIPTS = {
    "Latin": (
        "Zoë Müller-Åkesson",
        "Société Générale d'Été & Söhne",
        "Wie läuft's bei Ihnen mit den Rücksendungen?",
    ),
    "Cyrillic": ("Алексей Щёлоков", "ООО «Ромашка»", "Как вы обрабатываете возвраты?"),
    "Greek": ("Γεώργιος Παπαδόπουλος", "Ελληνικά Ταχυδρομεία Α.Ε.", "Πώς χειρίζεστε τις επιστροφές;"),
    "Han": ("张伟", "北京退货有限公司", "贵公司如何处理退货?我们想请教一个问题。"),
    "Japanese": ("田中 さくら", "株式会社サンプル", "返品はどのように処理されていますか。"),
    "Hangul": ("김민준", "주식회사 예시", "반품은 어떻게 처리하시나요?"),
    "Hebrew": ("יעל כהן־לוי", 'חברת דוגמה בע"מ', "איך אתם מטפלים בהחזרות?"),
    "Arabic": ("محمد عبد الرحمن", "شركة المثال المحدودة", "كيف تتعاملون مع المرتجعات؟"),
    "Devanagari": ("प्रिया शर्मा", "उदाहरण प्राइवेट लिमिटेड", "आप वापसी कैसे संभालते हैं?"),
    "Thai": ("สมชาย ใจดี", "บริษัท ตัวอย่าง จำกัด", "คุณจัดการสินค้าส่งคืนอย่างไร"),
}

LETTERS = "".join("".join(words) for words in SCRIPTS.values()) + "azAZ09😀👩\u200d👧\u00a0\u200b\u202e\u0301"
SIGNS = " .,;:!?\"'\\/()<>[]{}@&=#%*+-_|~^`$"
HOSTILE = st.sampled_from(
    [
        "a\r\nBcc: x@evil.example",
        "a\nBcc: x@evil.example",
        "a\rBcc: x@evil.example",
        "a\r\n\r\n<script>",
        "=?utf-8?q?a=0D=0ABcc=3A_x?=",
        "=?utf-8?b?YQ0KQmNjOiB4?=",
        "=?iso-2022-jp?b?GyRC?=",
        "=?utf-8?q?half",
        "x\0y",
        "x\u2028Bcc: y\u2029",
        "x\x85Bcc: y",
        "\udce9",
        '" <x@evil.example>, "',
        "a@evil.example, b",
        "<x@evil.example>",
        "Re: our talk",
        "{{ contact.email }}",
        "{% raw %}",
        "--=_\r\n\r\nContent-Type: text/html",
        ".\r\n.\r\nMAIL FROM:<x>",
        "\u202egnp.exe",
        "A" * 1200,
        "é" * 400,
        "a b " * 300,
    ]
)
FITTING = st.text(st.sampled_from(LETTERS + SIGNS), min_size=1, max_size=90).filter(
    lambda text: text.strip() and not re.search(r"\{\{|\{%|%\}|\{#|#\}|\[\[|\*\||%%|<<", text)
)
WORDS = st.sampled_from([word for words in SCRIPTS.values() for word in words])
VALUES = WORDS | FITTING | st.lists(WORDS, min_size=2, max_size=5).map(" ".join)
ANYTHING = VALUES | HOSTILE | st.text(max_size=60) | st.builds("{} {}".format, VALUES, HOSTILE)

ADDRESSES = st.sampled_from(
    [
        "bob@acme.example",
        "o'neil+tag@a-b.acme.example",
        "info@bücher.example",
        "kontakt@почта.example",
        "用户@例え.example",
        "jürgen@acme.example",
        "x" * 64 + "@" + ".".join(["y" * 58] * 3) + ".example",
    ]
)
