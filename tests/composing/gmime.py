"""GMime, a strict parser of mail, in C and in this process: it shares nothing with the standard library's.

It names what is against the rules in a message (RFC 2045, 2047, 5322) instead of silently making the best of
it. Debian: libgmime-3.0-0. What it warns of is in ``gmime-parser-options.h``.
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, c_char_p, c_int, c_int64, c_size_t, c_void_p
from dataclasses import dataclass, field
from functools import cache
from typing import Any

LIBRARY = "libgmime-3.0.so.0"
STRICT, LOOSE = 1, 0
MESSAGE = 0  # the format: no mbox

WARNINGS = (
    "duplicated header",
    "duplicated parameter",
    "8-bit header that is not encoded",
    "invalid content type",
    "invalid encoded-word",
    "malformed multipart",
    "truncated message",
    "malformed message",
    "invalid header name",
    "conflicting header",
    "conflicting parameter",
    "multipart without boundary",
    "invalid parameter",
    "invalid address list",
    "nesting overflow",
    "part without content",
    "part without headers or content",
)

POINTERS = (
    "g_mime_parser_options_new",
    "g_mime_stream_mem_new_with_buffer",
    "g_mime_parser_new_with_stream",
    "g_mime_parser_construct_message",
    "g_mime_message_get_from",
    "g_mime_message_get_to",
    "g_mime_message_get_mime_part",
    "g_mime_object_get_header_list",
    "g_mime_header_list_get_header_at",
    "g_mime_multipart_get_part",
    "g_mime_text_part_get_text",
    "g_mime_object_get_content_type",
    "g_mime_content_type_get_mime_type",
    "internet_address_list_get_address",
)
TEXTS = (
    "g_mime_message_get_subject",
    "g_mime_header_get_name",
    "g_mime_header_get_raw_value",
    "internet_address_get_name",
    "internet_address_mailbox_get_idn_addr",
)

_Warn = CFUNCTYPE(None, c_int64, c_int, c_char_p, c_void_p)


@dataclass
class Read:
    """A message as GMime reads it. fields: names and raw values; parts: content types and decoded texts."""

    warnings: list[str] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    subject: str = ""
    senders: list[tuple[str, str]] = field(default_factory=list)
    to: list[tuple[str, str]] = field(default_factory=list)
    parts: list[tuple[str, str]] = field(default_factory=list)


@cache
def _library() -> Any:
    gmime = ctypes.CDLL(LIBRARY)
    for name in POINTERS:
        getattr(gmime, name).restype = c_void_p
    for name in TEXTS:
        getattr(gmime, name).restype = c_char_p
    gmime.g_mime_init()
    return gmime


def read(data: bytes) -> Read:
    """The message, read strictly."""
    gmime, found = _library(), Read()

    def warn(offset: int, code: int, item: bytes | None, _user: int | None) -> None:
        about = (item or b"").decode("utf-8", "replace")
        found.warnings.append(f"{WARNINGS[code - 1]} at {offset}: {about}")

    options = c_void_p(gmime.g_mime_parser_options_new())
    gmime.g_mime_parser_options_set_address_compliance_mode(options, STRICT)
    gmime.g_mime_parser_options_set_parameter_compliance_mode(options, STRICT)
    gmime.g_mime_parser_options_set_rfc2047_compliance_mode(options, STRICT)
    callback = _Warn(warn)
    gmime.g_mime_parser_options_set_warning_callback(options, callback, None)
    stream = c_void_p(gmime.g_mime_stream_mem_new_with_buffer(data, c_size_t(len(data))))
    parser = c_void_p(gmime.g_mime_parser_new_with_stream(stream))
    gmime.g_mime_parser_set_format(parser, MESSAGE)
    message = c_void_p(gmime.g_mime_parser_construct_message(parser, options))
    assert message, "GMime finds no message at all"
    try:
        _fill(gmime, found, message)
    finally:
        for each in (message, parser, stream):
            gmime.g_object_unref(each)
        gmime.g_mime_parser_options_free(options)
    return found


def _fill(gmime: Any, found: Read, message: c_void_p) -> None:
    headers = c_void_p(gmime.g_mime_object_get_header_list(message))
    for number in range(gmime.g_mime_header_list_get_count(headers)):
        header = c_void_p(gmime.g_mime_header_list_get_header_at(headers, number))
        name, value = gmime.g_mime_header_get_name(header), gmime.g_mime_header_get_raw_value(header)
        found.fields.append((name.decode(), value.decode()))
    found.subject = (gmime.g_mime_message_get_subject(message) or b"").decode()
    found.senders = _mailboxes(gmime, c_void_p(gmime.g_mime_message_get_from(message)))
    found.to = _mailboxes(gmime, c_void_p(gmime.g_mime_message_get_to(message)))
    whole = c_void_p(gmime.g_mime_message_get_mime_part(message))
    for number in range(gmime.g_mime_multipart_get_count(whole)):
        part = c_void_p(gmime.g_mime_multipart_get_part(whole, number))
        content_type = c_void_p(gmime.g_mime_object_get_content_type(part))
        kind = _taken(gmime, gmime.g_mime_content_type_get_mime_type(content_type))
        found.parts.append((kind, _taken(gmime, gmime.g_mime_text_part_get_text(part))))


def _mailboxes(gmime: Any, addresses: c_void_p) -> list[tuple[str, str]]:
    found = []
    for number in range(gmime.internet_address_list_length(addresses)):
        one = c_void_p(gmime.internet_address_list_get_address(addresses, number))
        name = gmime.internet_address_get_name(one) or b""
        found.append((name.decode(), gmime.internet_address_mailbox_get_idn_addr(one).decode()))
    return found


def _taken(gmime: Any, text: int) -> str:
    """A text that GMime hands over for good."""
    copied = ctypes.string_at(text).decode()
    gmime.g_free(c_void_p(text))
    return copied
