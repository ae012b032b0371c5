"""The process behind :class:`tests.servers.smtp.RecordingServer`; imports nothing of coldsend.

Reads its rules (JSON) from the command line, prints ``{"port": .., "control": ..}``, ends with its stdin.
Every accepted message is appended to the record file before the 250 goes out. Rules may be changed at any
time by sending a JSON object and a line feed to the control port; see ``RecordingServer`` for the keys.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

DEFAULTS: dict[str, Any] = {
    "pipelining": True,
    "eight_bit": True,
    "smtputf8": True,
    "size": 0,
    "tls": "none",
    "offer_starttls": True,
    "receive_buffer": 0,
    "users": None,
    "mechanisms": ["PLAIN", "LOGIN"],
    "refuse_auth": False,
    "latency": {},
    "brake": None,
    "faults": [],
    "store": None,
    "clock": None,
    "refusals": None,
}
IN_THE_END = ("delay", "drip", "late")  # deeds that do what was asked for, only not as it should be
REFUSED_AUTH = "535 5.7.8 Authentication credentials invalid"
MESSAGE_ID = re.compile(rb"^message-id:[ \t]*(?:\r\n[ \t]+)?(<[^>\r\n]*>)", re.I | re.M)
ADDRESS = re.compile(r"^(?:MAIL FROM|RCPT TO):\s*<([^>]*)>\s*(.*)$", re.I)


class Server:
    def __init__(self, rules: dict[str, Any], record: str) -> None:
        self.rules = rules
        self.context: ssl.SSLContext | None = None
        if rules.get("certificate"):
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*rules["certificate"])
        self.record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.messages = 0
        self.held_back: dict[asyncio.TimerHandle, Callable[[], None]] = {}

    def later(self, seconds: float, deed: Callable[[], None]) -> None:
        """Do this after so many seconds, or as soon as the latencies are others."""

        def due() -> None:
            del self.held_back[timer]
            deed()

        timer = asyncio.get_running_loop().call_later(seconds, due)
        self.held_back[timer] = deed

    def let_go(self) -> None:
        held_back, self.held_back = self.held_back, {}
        for timer, deed in held_back.items():
            timer.cancel()
            deed()

    def write_record(self, document: dict[str, Any]) -> None:
        os.write(self.record, json.dumps(document).encode() + b"\n")

    def write_refusal(self, recipient: str, reply: str) -> None:
        if self.rules["refusals"]:
            with open(self.rules["refusals"], "a") as file:
                file.write(json.dumps({"time": self.now(), "to": recipient, "reply": reply}) + "\n")

    def now(self) -> float:
        """Seconds since 1970, shifted by what the file of a test clock says."""
        if not self.rules["clock"]:
            return time.time()
        with open(self.rules["clock"]) as file:
            return time.time() + float(file.read())

    def fault(self, at: str, recipient: str = "") -> dict[str, Any] | None:
        """The first fault for this point and recipient; one that has a number of times is used up."""
        for fault in self.rules["faults"]:
            if fault["at"] != at or fault.get("times") == 0:
                continue
            if fault.get("to") and fault["to"] not in recipient:
                continue
            if fault.get("skip"):
                fault["skip"] -= 1
                continue
            if "times" in fault:
                fault["times"] -= 1
            return dict(fault)
        return None


class Session(asyncio.Protocol):
    def __init__(self, server: Server, *, implicit_tls: bool) -> None:
        self.server = server
        self.encrypted = implicit_tls
        self.buffer = b""
        self.in_data = False
        self.held = False  # an answer is on its way: what arrives meanwhile waits
        self.dead = False
        self.user = ""
        self.challenge: list[str] = []
        self.answers: list[str] = []
        self.reset()

    def reset(self) -> None:
        self.mail_from: str | None = None
        self.recipients: list[str] = []

    def connection_made(self, transport: Any) -> None:
        server = self.server
        self.transport = transport
        server.connections += 1
        server.open += 1
        server.most_open = max(server.most_open, server.open)
        self.number = server.connections
        self.respond("connect", "220 recorder.test ESMTP ready")
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.dead = True
        self.server.open -= 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.in_data and self.server.rules["faults"]:
            fault = self.server.fault("body", self.recipients[0] if self.recipients else "")
            if fault:
                self.act(fault, "")
        self.proceed()

    def proceed(self) -> None:
        while not self.held and not self.dead:
            if self.in_data:
                if not self.take_message():
                    break
                continue
            line, ending, rest = self.buffer.partition(b"\r\n")
            if not ending:
                break
            self.buffer = rest
            self.command(line.decode("utf-8", "surrogateescape"))
        self.flush()

    # answering

    def respond(self, at: str, text: str, recipient: str = "") -> None:
        """Answer, unless a fault says otherwise; after the latency of this point."""
        rules = self.server.rules
        fault = self.server.fault(at, recipient) if rules["faults"] else None
        if fault:
            self.act(fault, text)
            return
        delay = rules["latency"].get(at, 0) if rules["latency"] else 0
        if rules["brake"] and at == "final" and self.server.messages >= rules["brake"][0]:
            delay = rules["brake"][1]
        if delay:
            self.held = True
            self.server.later(delay, partial(self.release, text))
        else:
            self.answers.append(text)

    def release(self, text: str) -> None:
        self.held = False
        self.answers.append(text)
        self.proceed()

    def flush(self) -> None:
        if self.answers and not self.dead:
            self.transport.write(
                "".join(f"{answer}\r\n" for answer in self.answers).encode("utf-8", "surrogateescape")
            )
        self.answers.clear()

    def act(self, fault: dict[str, Any], normal: str) -> None:
        deed = fault.get("do", "reply")
        self.flush()
        if deed == "reply":
            self.answers.append(fault["reply"])
            if fault["reply"].startswith("421"):
                self.flush()
                self.dead = True
                self.transport.close()
        elif deed == "raw":
            self.transport.write(fault["bytes"].encode("latin-1") * fault.get("repeat", 1))
            if "then" in fault:
                self.act({"do": fault["then"]}, "")
        elif deed == "drop":
            self.dead = True
            self.transport.close()
        elif deed == "rst":
            self.dead = True
            with contextlib.suppress(OSError):
                raw = self.transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        elif deed == "hang":
            self.held = True
        elif deed == "stop reading":
            self.held = True
            self.transport.pause_reading()
        elif deed == "drip":
            self.held = True
            self.drip((fault.get("reply") or normal) + "\r\n", fault.get("interval", 0.05))
        elif deed == "late":
            self.answers.append(normal)
            self.flush()
            asyncio.get_running_loop().call_later(fault["seconds"], self.say_and_end, fault["bytes"])
        elif deed == "delay":
            self.held = True
            asyncio.get_running_loop().call_later(fault["seconds"], self.release, normal)

    def say_and_end(self, text: str) -> None:
        """What nobody asked for, and the end of the connection; never in place of an answer that is owed."""
        if self.held:
            asyncio.get_running_loop().call_later(0.01, self.say_and_end, text)
        elif not self.dead:
            self.dead = True
            self.transport.write(text.encode())
            self.transport.close()

    def drip(self, text: str, interval: float) -> None:
        if self.dead:
            return
        self.transport.write(text[0].encode())
        if text[1:]:
            asyncio.get_running_loop().call_later(interval, self.drip, text[1:], interval)
        else:
            self.held = False
            self.proceed()

    # the commands

    def command(self, line: str) -> None:
        if self.challenge:
            self.auth_response(line)
            return
        verb = line.partition(" ")[0].upper()
        handler = getattr(self, f"do_{verb.lower()}", None) if verb.isalpha() else None
        if handler is None:
            self.respond("unknown", "500 5.5.2 Command not recognised")
        else:
            handler(line)

    def do_ehlo(self, line: str) -> None:
        rules = self.server.rules
        offers = ["recorder.test"]
        offers += ["PIPELINING"] * rules["pipelining"] + ["8BITMIME"] * rules["eight_bit"]
        offers += ["SMTPUTF8"] * rules["smtputf8"] + ["ENHANCEDSTATUSCODES"]
        offers += [f"SIZE {rules['size']}"]
        if rules["tls"] == "starttls" and rules["offer_starttls"] and not self.encrypted:
            offers.append("STARTTLS")
        if rules["users"] is not None:
            offers.append("AUTH " + " ".join(rules["mechanisms"]))
        lines = [f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"]
        self.respond("ehlo", "\r\n".join(lines))

    def do_helo(self, line: str) -> None:
        self.respond("helo", "250 recorder.test")

    def do_noop(self, line: str) -> None:
        self.respond("noop", "250 2.0.0 OK")

    def do_rset(self, line: str) -> None:
        self.reset()
        self.respond("rset", "250 2.0.0 OK")

    def do_quit(self, line: str) -> None:
        fault = self.server.fault("quit")
        if fault:
            self.act(fault, "221 2.0.0 Bye")
            return
        self.answers.append("221 2.0.0 Bye")
        self.flush()
        self.dead = True
        self.transport.close()

    def do_starttls(self, line: str) -> None:
        if self.encrypted or self.server.context is None:
            self.respond("starttls", "502 5.5.1 Not available")
            return
        fault = self.server.fault("starttls")
        if fault:
            self.act(fault, "220 2.0.0 Ready")
            return
        self.flush()
        self.held = True
        self.buffer = b""
        self.transport.write(b"220 2.0.0 Ready to start TLS\r\n")
        task = asyncio.get_running_loop().create_task(self.upgrade())
        TASKS.add(task)
        task.add_done_callback(TASKS.discard)

    async def upgrade(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(self.transport, self, self.server.context, server_side=True)
        except OSError:
            self.dead = True
            return
        if transport is None:
            self.dead = True
            return
        self.transport, self.encrypted, self.held = transport, True, False
        self.reset()
        self.proceed()

    def do_auth(self, line: str) -> None:
        _, mechanism, *initial = line.split(" ")
        if self.server.rules["users"] is None or mechanism.upper() not in self.server.rules["mechanisms"]:
            self.respond("auth", "504 5.5.4 Unrecognised authentication type")
            return
        self.challenge = [mechanism.upper()]
        if initial:
            self.auth_response(initial[0])
        else:
            self.respond("challenge", "334 " + ("VXNlcm5hbWU6" if mechanism.upper() == "LOGIN" else ""))

    def auth_response(self, line: str) -> None:
        self.challenge.append(line)
        mechanism, *responses = self.challenge
        if mechanism == "LOGIN" and len(responses) == 1:
            self.respond("challenge", "334 UGFzc3dvcmQ6")
            return
        if mechanism == "XOAUTH2" and len(responses) == 1 and not self.known(mechanism, responses):
            self.respond("challenge", "334 " + base64.b64encode(b'{"status":"401"}').decode())
            return
        self.challenge = []
        if self.server.rules["refuse_auth"] or not self.known(mechanism, responses):
            self.respond("auth", REFUSED_AUTH)
            return
        self.respond("auth", "235 2.7.0 Authentication successful")

    def known(self, mechanism: str, responses: list[str]) -> bool:
        try:
            texts = [base64.b64decode(response, validate=True).decode() for response in responses]
        except ValueError:
            return False
        if mechanism == "PLAIN":
            _, user, secret = texts[0].split("\0")
        elif mechanism == "LOGIN":
            user, secret = texts
        else:
            user, _, secret = texts[0].removeprefix("user=").rstrip("\x01").partition("\x01auth=Bearer ")
        self.user = user
        return bool(self.server.rules["users"].get(user) == secret)

    def do_mail(self, line: str) -> None:
        match = ADDRESS.match(line)
        if self.server.rules["users"] is not None and not self.user:
            self.respond("mail", "530 5.7.0 Authentication required")
        elif self.mail_from is not None:
            self.respond("mail", "503 5.5.1 Nested MAIL command")
        elif match is None:
            self.respond("mail", "501 5.5.4 Syntax: MAIL FROM:<address>")
        else:
            fault = self.server.fault("mail") if self.server.rules["faults"] else None
            if fault:
                if fault.get("do") in IN_THE_END:
                    self.mail_from = match[1]
                self.act(fault, "250 2.1.0 OK")
                return
            self.mail_from = match[1]
            self.respond_plain("mail", "250 2.1.0 OK")

    def respond_plain(self, at: str, text: str) -> None:
        """Answer where the faults of this point have been looked at already."""
        delay = self.server.rules["latency"].get(at, 0)
        if delay:
            self.held = True
            self.server.later(delay, partial(self.release, text))
        else:
            self.answers.append(text)

    def do_rcpt(self, line: str) -> None:
        match = ADDRESS.match(line)
        if self.mail_from is None:
            self.respond("rcpt", "503 5.5.1 MAIL first")
        elif match is None or not match[1]:
            self.respond("rcpt", "501 5.5.4 Syntax: RCPT TO:<address>")
        else:
            fault = self.server.fault("rcpt", match[1]) if self.server.rules["faults"] else None
            if fault:
                self.server.write_refusal(match[1], str(fault.get("reply", "")))
                if fault.get("do") in IN_THE_END:
                    self.recipients.append(match[1])
                self.act(fault, "250 2.1.5 OK")
                return
            self.recipients.append(match[1])
            self.respond_plain("rcpt", "250 2.1.5 OK")

    def do_data(self, line: str) -> None:
        recipient = self.recipients[0] if self.recipients else ""
        fault = self.server.fault("data", recipient) if self.server.rules["faults"] else None
        if fault:
            agrees = bool(self.recipients) and fault.get("do") in IN_THE_END
            if agrees or str(fault.get("reply", "")).startswith("354"):
                self.in_data = True
            self.act(fault, "354 Go ahead")
        elif not self.recipients:
            self.respond("no_recipients", "503 5.5.1 RCPT first")
        else:
            self.in_data = True
            self.respond_plain("data", "354 End data with <CR><LF>.<CR><LF>")

    def take_message(self) -> bool:
        """Take one message out of the buffer; False where it is not complete yet."""
        if self.buffer.startswith(b".\r\n"):
            data, self.buffer = b"", self.buffer[3:]
        else:
            end = self.buffer.find(b"\r\n.\r\n")
            if end < 0:
                return False
            data, self.buffer = self.buffer[: end + 2], self.buffer[end + 5 :]
        self.in_data = False
        self.accept(data)
        return True

    def accept(self, data: bytes) -> None:
        server, recipient = self.server, self.recipients[0] if self.recipients else ""
        sender, recipients = self.mail_from, self.recipients
        self.reset()
        fault = server.fault("final", recipient) if server.rules["faults"] else None
        refused = fault is not None and not fault.get("recorded", fault.get("reply", "2")[0] not in "45")
        if not recipients or refused:
            self.act(fault or {"reply": "554 5.5.1 No valid recipients"}, "")
            return
        server.messages += 1
        number = server.messages
        if data.startswith(b".") or b"\r\n." in data:
            data = re.sub(rb"(^|\r\n)\.", rb"\1", data)
        if server.rules["store"]:
            with open(os.path.join(server.rules["store"], f"{number:08}.eml"), "wb") as file:
                file.write(data)
        found = MESSAGE_ID.search(data)
        server.write_record(
            {
                "time": server.now(),
                "monotonic": time.monotonic(),
                "mail_from": sender,
                "rcpt_to": recipients,
                "message_id": found[1].decode("utf-8", "replace") if found else "",
                "size": len(data),
                "connection": self.number,
                "user": self.user,
                "encrypted": self.encrypted,
                "number": number,
            }
        )
        if fault:
            self.act(fault, f"250 2.0.0 OK queued as {number}")
        else:
            self.respond_plain("final", f"250 2.0.0 OK queued as {number}")


TASKS: set[Any] = set()


async def control(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        changes = json.loads(line)
        server.rules.update(changes)
        if "latency" in changes:
            server.let_go()
        writer.write(
            json.dumps(
                {"connections": server.connections, "open": server.open, "most_open": server.most_open}
            ).encode()
            + b"\n"
        )
    writer.close()


async def main(rules: dict[str, Any], record: str) -> None:
    loop = asyncio.get_running_loop()
    server = Server({**DEFAULTS, **rules}, record)
    implicit = rules.get("tls") == "implicit"
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if rules.get("receive_buffer"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rules["receive_buffer"])
        # Loopback's huge segments would let the client's kernel hold megabytes.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
    listener.bind(("127.0.0.1", rules.get("port", 0)))
    smtp = await loop.create_server(
        lambda: Session(server, implicit_tls=implicit),
        sock=listener,
        ssl=server.context if implicit else None,
        backlog=512,
    )
    controller = await asyncio.start_server(
        lambda reader, writer: control(server, reader, writer), "127.0.0.1", 0
    )
    ports = {"port": smtp.sockets[0].getsockname()[1], "control": controller.sockets[0].getsockname()[1]}
    print(json.dumps(ports), flush=True)
    ended = asyncio.Event()

    def watch_parent() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch_parent, daemon=True).start()
    await ended.wait()
    # What is still open ends with the process.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), sys.argv[2]))
