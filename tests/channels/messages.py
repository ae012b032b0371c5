"""Messages as composing makes them, for tests of channels that must not depend on composing."""

from __future__ import annotations

from typing import Any

from coldsend.domain.message import Contents, Message

TOKEN = "abcdefghijklmnopqrstuvwxyz"


def message(row_id: int = 1, **values: Any) -> Message:
    message_id = f"<{TOKEN}{row_id}@mail.example.com>"
    data = f"Message-ID: {message_id}\r\nSubject: Hello\r\n\r\nHello\r\n".encode()
    contents: dict[str, Any] = {
        "from_header": "Anna Smith <anna@mail.example.com>",
        "to_header": "bob@example.org",
        "subject": "Hello",
        "html": "<p>Hello</p>",
        "text": "Hello",
        "headers": {
            "List-Unsubscribe": f"<https://mail.example.com/u/{TOKEN}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    }
    contents |= {name: values.pop(name) for name in list(values) if name in contents}
    filled: dict[str, Any] = {
        "row_id": row_id,
        "mail_from": "anna@mail.example.com",
        "rcpt_to": "bob@example.org",
        "message_id": message_id,
        "data": data,
        **values,
    }
    return Message(tell=lambda: Contents(**contents), **filled)
