"""A DNS server on loopback, UDP and TCP, that serves the records it is given."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Mapping, Sequence

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset

from tests.servers.ports import free_port

TTL = 60


class DnsServer:
    """``with DnsServer({"a.example": ["text"]}) as server:`` answers at ``server.address``.

    records: name -> texts of its TXT records; a name without any exists and has other records. May be changed
    at any time. others: (name, "MX") -> what such records say, as zone files write it. behave: "well",
    "silent" (answers nothing), "servfail", "refused".
    """

    def __init__(self, records: Mapping[str, Sequence[str]] | None = None) -> None:
        self.records = dict(records or {})
        self.others: dict[tuple[str, str], list[str]] = {}
        self.behave = "well"
        self.asked: list[tuple[str, str]] = []  # ("udp" or "tcp", name)
        self.port = free_port()
        self._tcp = _Tcp(("127.0.0.1", self.port), _TcpHandler)
        self._udp = _Udp(("127.0.0.1", self.port), _UdpHandler)
        self._tcp.of = self._udp.of = self

    @property
    def address(self) -> str:
        """As the settings take it."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> DnsServer:
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,)) for server in (self._udp, self._tcp)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join(timeout=60)

    def answer(self, wire: bytes, way: str) -> bytes | None:
        """The answer to a query; over UDP cut to what fits, with the flag that says so."""
        query = dns.message.from_wire(wire)
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append((way, name))
        if self.behave == "silent":
            return None
        reply = dns.message.make_response(query)
        if self.behave in {"servfail", "refused"}:
            reply.set_rcode(dns.rcode.from_text(self.behave.upper()))
        elif others := self.others.get((name, dns.rdatatype.to_text(question.rdtype))):
            reply.answer.append(dns.rrset.from_text(question.name, TTL, "IN", question.rdtype, *others))
        elif name not in self.records and not any(name == known for known, _kind in self.others):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.TXT and self.records.get(name):
            reply.answer.append(_rrset(question.name, self.records[name]))
        whole = reply.to_wire()
        if way == "tcp" or len(whole) <= 512:
            return whole
        reply.answer.clear()
        reply.flags |= dns.flags.TC
        return reply.to_wire()


def _rrset(name: dns.name.Name, texts: Sequence[str]) -> dns.rrset.RRset:
    found = dns.rrset.RRset(name, dns.rdataclass.IN, dns.rdatatype.TXT)
    for text in texts:
        data = text.encode()
        strings = [data[at : at + 255] for at in range(0, len(data), 255)] or [b""]
        found.add(dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings), TTL)
    return found


class _Udp(socketserver.ThreadingUDPServer):
    of: DnsServer


class _Tcp(socketserver.ThreadingTCPServer):
    of: DnsServer


class _UdpHandler(socketserver.BaseRequestHandler):
    server: _Udp

    def handle(self) -> None:
        wire, connection = self.request
        if (reply := self.server.of.answer(wire, "udp")) is not None:
            connection.sendto(reply, self.client_address)


class _TcpHandler(socketserver.StreamRequestHandler):
    server: _Tcp

    def handle(self) -> None:
        prefix = self.rfile.read(2)
        if len(prefix) == 2:
            wire = self.rfile.read(struct.unpack("!H", prefix)[0])
            if (reply := self.server.of.answer(wire, "tcp")) is not None:
                self.wfile.write(struct.pack("!H", len(reply)) + reply)
