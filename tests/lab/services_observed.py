"""What is seen of a small country's services from inside its sandbox, as JSON for the tests to judge."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent
from bridged_country import build, read_network
from softphone import Softphone

from shutdownlab.model.network import Network, Role
from shutdownlab.model.telephony import MEDIA, SMS, VOICE
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.servers import birdc
from shutdownlab.servers.start import Services, start_services
from shutdownlab.servers.tls import CertificateAuthority

SUBSCRIBER, NEIGHBOUR, OTHER = "northnet-capital", "northnet-coast", "southcell-coast"
_LONG_NAME = "a-run-directory-whose-name-is-longer-than-the-path-of-a-socket-file-may-be-" * 2
_DNS_SECONDS = 2.0
_DEADLINE_SECONDS = 60.0


class Observer:
    """Makes the observations; `payload` of `observe` names the file they go to."""

    def __init__(self, directory: Path) -> None:
        self.network: Network = read_network("two-operators")
        self.net: EmulatedNetwork = build(self.network)
        self.ca = CertificateAuthority(self.network.names_hosted(), self.network.addresses_hosted())
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(self.ca.pem)
        started = time.monotonic()
        self.services: Services = start_services(self.net, self.network, self.ca, directory / _LONG_NAME)
        self.services.wait_ready()
        self.ready_seconds = time.monotonic() - started

    def inside(self, node: str, function: Callable[[], Any]) -> Any:
        return self.net.get(node).namespace.run(function)

    def hosted(self, name: str, version: int) -> list[str]:
        """The addresses the network gives a name."""
        found = self.network.hosted_as(name)
        assert found is not None
        return [str(address) for address in found.addresses if address.version == version]

    def resolver(self, operator: str) -> str:
        return str(self.network.one(Role.RESOLVER, operator).address(4))

    def lookup(self, node: str, resolver: str, name: str, kind: str = "A", *, tls: bool = False) -> list[str] | str:
        """The addresses, or the response code, or `timeout`."""
        query = dns.message.make_query(name, kind)

        def ask() -> dns.message.Message:
            if tls:
                context = ssl.create_default_context(cadata=self.ca.pem.decode())
                return dns.query.tls(
                    query, resolver, timeout=_DNS_SECONDS, ssl_context=context, server_hostname="dns.google"
                )
            return dns.query.udp(query, resolver, timeout=_DNS_SECONDS)

        try:
            answer = self.inside(node, ask)
        except dns.exception.Timeout:
            return "timeout"
        if answer.rcode():
            return dns.rcode.to_text(answer.rcode())
        return sorted(str(item) for rrset in answer.answer for item in rrset)

    def over_https(self, node: str, url: str, name: str, *options: str) -> list[str] | str:
        """As `lookup` by curl's own hands: the body that comes back for a question by POST."""
        query = dns.message.make_query(name, "A", id=0)
        question = self.ca_file.parent / "question"
        question.write_bytes(query.to_wire())
        argv = ["curl", "-sS", "-m", "5", "--cacert", str(self.ca_file), *options, "--data-binary", f"@{question}"]
        argv += ["-H", "content-type: application/dns-message", "-w", "%{http_version} %{content_type}", url]
        run = self.net.get(node).spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, complaint = run.communicate(timeout=60)
        if run.returncode:
            return str(complaint.decode())
        told = re.search(rb"([\d.]+) application/dns-message$", out)
        assert told, out
        answer = dns.message.from_wire(out[: told.start()])
        return [told[1].decode(), *sorted(str(item) for rrset in answer.answer for item in rrset)]

    def curl(self, node: str, url: str, *options: str) -> dict[str, Any]:
        """Fetch as a subscriber does, with its own resolver; `code`, `version`, `body`, `size` and curl's status."""
        argv = ["curl", "-sS", "-m", "5", "--cacert", str(self.ca_file), *options]
        argv += ["-D", "-", "-w", "\n%{json}", url]
        run = self.net.get(node).spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, complaint = run.communicate(timeout=60)
        body, _, figures = out.decode(errors="replace").rpartition("\n")
        known = json.loads(figures)
        return {
            "status": run.returncode,
            "code": known["response_code"],
            "version": known["http_version"],
            "size": known["size_download"],
            "body": body[-20_000:],
            "complaint": complaint.decode(),
        }

    def as_path(self, router: str, prefix: str) -> list[int]:
        control = self.services.find("bird", router).control
        assert control is not None
        return list(birdc.as_path(control, prefix))

    def next_hop(self, router: str, destination: str) -> str:
        """The interface and gateway the kernel would use."""
        argv = ["ip", "-json", "route", "get", destination]
        run = self.net.get(router).spawn(argv, stdout=subprocess.PIPE)
        route = json.loads(run.communicate(timeout=60)[0])[0]
        return f"{route['dev']} {route.get('gateway', '')}".strip()

    def udp(self, node: str, address: str, port: int = 0) -> socket.socket:
        def make() -> socket.socket:
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((address, port))
            made.settimeout(3.0)
            return made

        sock: socket.socket = self.inside(node, make)
        return sock


def observe(payload: Mapping[str, object]) -> int:
    """The sandbox's entry point."""
    directory = Path(str(payload["directory"]))
    observer = Observer(directory)
    found: dict[str, Any] = {"ready seconds": observer.ready_seconds}
    for part in (_routes, _names, _web, _http3, _telephone, _sms, _vpn, _isolation, _deaths):
        found[part.__name__.strip("_")] = part(observer)
    (directory / "observed.json").write_text(json.dumps(found, indent=1))
    return 0


def _routes(seen: Observer) -> dict[str, Any]:
    return {
        "southcell to 8.8.8.8": seen.as_path("southcell-border", "8.8.8.8"),
        "southcell to 8.8.8.8 by": seen.next_hop("southcell-border", "8.8.8.8"),
        "southcell to northnet": seen.as_path("southcell-border", "100.64.1.10"),
        "southcell to northnet by": seen.next_hop("southcell-border", "100.64.1.10"),
        "southcell to northnet by IPv6": seen.next_hop("southcell-border", "2001:db8:64:1::10"),
        "northnet to southcell by": seen.next_hop("northnet-border", "100.65.1.10"),
        "transit-one to southcell": seen.as_path("transit-one", "100.65.1.10"),
        "transit-one to southcell by": seen.next_hop("transit-one", "100.65.1.10"),
        "transit-one to 1.1.1.1": seen.as_path("transit-one", "1.1.1.1"),
        "transit-two to southcell": seen.as_path("transit-two", "2001:db8:65:1::10"),
    }


def _names(seen: Observer) -> dict[str, Any]:
    own, other = seen.resolver("southcell"), seen.resolver("northnet")
    wrong = {}
    for hosted in seen.network.hosted:
        for name in hosted.names:
            for version, kind in ((4, "A"), (6, "AAAA")):
                known = {
                    str(a) for h in seen.network.hosted if name in h.names for a in h.addresses if a.version == version
                }
                answer = seen.lookup(OTHER, own, name, kind)
                if answer != sorted(known):
                    wrong[f"{name} {kind}"] = answer
    return {
        "wrong": wrong,
        "absent": seen.lookup(OTHER, own, "absent.kaspi.kz"),
        "absent domain": seen.lookup(OTHER, own, "no.such.domain"),
        "another operator's resolver": seen.lookup(OTHER, other, "kaspi.kz"),
        "8.8.8.8": seen.lookup(OTHER, "8.8.8.8", "kaspi.kz"),
        "8.8.8.8 over IPv6": seen.lookup(OTHER, "2001:4860:4860::8888", "kaspi.kz"),
        "8.8.8.8 over TLS": seen.lookup(OTHER, "8.8.8.8", "kaspi.kz", tls=True),
        "8.8.8.8 over HTTPS": seen.over_https(OTHER, "https://dns.google/dns-query", "kaspi.kz"),
        "8.8.8.8 over HTTP/1.1": seen.over_https(OTHER, "https://8.8.8.8/dns-query", "kaspi.kz", "--http1.1"),
        "1.1.1.1 over HTTPS": seen.over_https(SUBSCRIBER, "https://one.one.one.one/dns-query", "kaspi.kz"),
        "1.1.1.1": seen.lookup(SUBSCRIBER, "1.1.1.1", "www.youtube.com"),
        "kaspi.kz": seen.hosted("kaspi.kz", 4),
        "www.youtube.com": seen.hosted("www.youtube.com", 4),
    }


def _web(seen: Observer) -> dict[str, Any]:
    return {
        "domestic": seen.curl(OTHER, "https://kaspi.kz/"),
        "foreign": seen.curl(OTHER, "https://www.youtube.com/"),
        "over IPv6": seen.curl(SUBSCRIBER, "https://www.wikipedia.org/wiki/Kazakhstan", "-6"),
        "plain": seen.curl(SUBSCRIBER, "http://kaspi.kz/"),
        "TLS 1.2": seen.curl(SUBSCRIBER, "https://kaspi.kz/", "--tls-max", "1.2"),
        "wrong name": seen.curl(SUBSCRIBER, "https://kaspi.kz/", "--connect-to", "kaspi.kz:443:www.bbc.com:443"),
        "download": seen.curl(SUBSCRIBER, "https://www.youtube.com/bytes/1000000", "-o", os.devnull),
        "registration": seen.curl(SUBSCRIBER, "https://v.whatsapp.net/v2/register"),
        "telegram": seen.curl(SUBSCRIBER, "http://149.154.175.50:443/", "-d", ""),
        "chat port": seen.curl(SUBSCRIBER, "http://e3.whatsapp.net:5222/"),
        "bridge": [seen.curl(SUBSCRIBER, f"http://bridge.example.net:{port}/")["code"] for port in (179, 3785, 5060)],
    }


class _Client(QuicConnectionProtocol):
    """Fetches one page."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._http = H3Connection(self._quic)
        self.done = asyncio.Event()
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    def get(self, host: str, path: str) -> None:
        wanted = {":method": "GET", ":scheme": "https", ":authority": host, ":path": path}
        stream = self._quic.get_next_available_stream_id()
        self._http.send_headers(stream, [(k.encode(), v.encode()) for k, v in wanted.items()], end_stream=True)
        self.transmit()

    def quic_event_received(self, event: QuicEvent) -> None:
        for happened in self._http.handle_event(event):
            if isinstance(happened, HeadersReceived):
                self.headers = dict(happened.headers)
            elif isinstance(happened, DataReceived):
                self.body += happened.data
                if happened.stream_ended:
                    self.done.set()


def _http3(seen: Observer) -> dict[str, Any]:
    async def fetch(host: str, address: str, path: str) -> dict[str, Any]:
        configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=host)
        configuration.load_verify_locations(cadata=seen.ca.pem)
        async with asyncio.timeout(10):
            async with connect(address, 443, configuration=configuration, create_protocol=_Client) as client:
                assert isinstance(client, _Client)
                client.get(host, path)
                await client.done.wait()
                return {"status": client.headers[b":status"].decode(), "body": client.body[:20_000].decode()}

    def get(host: str, version: int, path: str = "/") -> dict[str, Any]:
        address = seen.hosted(host, version)[0]
        found: dict[str, Any] = seen.inside(OTHER, lambda: asyncio.run(fetch(host, address, path)))
        return found

    return {
        "www.youtube.com": get("www.youtube.com", 4),
        "www.facebook.com": get("www.facebook.com", 6),
        "download": len(get("www.youtube.com", 4, "/bytes/10000")["body"]),
    }


def _telephone(seen: Observer) -> dict[str, Any]:
    caller, callee = _phones(seen, VOICE.first)
    registered = [_register(phone) for phone in (caller, callee)]
    media = [seen.udp(node, phone.address, MEDIA.first) for node, phone in _lines((caller, callee))]
    caller.ask("INVITE", callee.number, f"m=audio {MEDIA.first} RTP/AVP 0\r\n", "application/sdp")
    invitation = callee.hear()
    callee.reply(invitation, "180 Ringing")
    callee.reply(invitation, "200 OK", f"m=audio {MEDIA.first} RTP/AVP 0\r\n")
    answer = caller.hear(final=True)
    caller.follow("ACK", answer)
    acknowledged = callee.hear().first.split()[0]
    heard = []
    for a, b in ((0, 1), (1, 0)):
        packet = struct.pack("!BBHII", 0x80, 0, 1, 160, 7) + bytes(160)
        media[a].sendto(packet, media[b].getsockname())
        heard.append(media[b].recv(2000) == packet)
    caller.follow("BYE", answer)
    goodbye = callee.hear()
    callee.reply(goodbye, "200 OK")
    ended = caller.hear(final=True).status
    caller.ask("INVITE", "nobody", "", "application/sdp")
    return {
        "registered": registered,
        "through the proxy": len(answer.all("record-route")),
        "answered": answer.status,
        "acknowledged": acknowledged,
        "media both ways": heard,
        "ended": [goodbye.first.split()[0], ended],
        "nobody": caller.hear(final=True).status,
    }


def _sms(seen: Observer) -> dict[str, Any]:
    sender, receiver = _phones(seen, SMS.first)
    before = sender.ask("MESSAGE", receiver.number, "hello")
    unregistered = sender.hear(final=True).status
    registered = [_register(phone) for phone in (sender, receiver)]
    sender.ask("MESSAGE", receiver.number, "hello again")
    message = receiver.hear()
    receiver.reply(message, "200 OK")
    sent = sender.hear(final=True).status
    voice, _ = _phones(seen, VOICE.first)
    voice.ask("MESSAGE", receiver.number, "by the voice port")
    return {
        "first call": before.split("-")[0],
        "not registered for SMS": unregistered,
        "registered": registered,
        "heard": message.body,
        "sent": sent,
        "on the voice port": voice.hear(final=True).status,
    }


def _phones(seen: Observer, port: int) -> tuple[Softphone, Softphone]:
    registrar = (str(seen.network.one(Role.TELEPHONE, "northnet").address(4)), port)
    phones = []
    for number, node in (("7701", SUBSCRIBER), ("7702", NEIGHBOUR)):
        address = str(seen.network.nodes[node].address(4))
        phones.append(Softphone(number, seen.udp(node, address), registrar))
    return phones[0], phones[1]


def _lines(phones: tuple[Softphone, Softphone]) -> list[tuple[str, Softphone]]:
    return [(SUBSCRIBER, phones[0]), (NEIGHBOUR, phones[1])]


def _register(phone: Softphone) -> int:
    phone.ask("REGISTER", phone.number)
    return phone.hear(final=True).status


def _vpn(seen: Observer) -> dict[str, Any]:
    """OpenVPN's first exchange: P_CONTROL_HARD_RESET_CLIENT_V2 (7), answered by ..._SERVER_V2 (8)."""
    session = b"labclien"
    reset = bytes([7 << 3]) + session + bytes([0]) + struct.pack("!I", 0)
    answers: dict[str, Any] = {}
    for address in (address for version in (4, 6) for address in seen.hosted("node-nl-1.protonvpn.net", version)):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        datagram = seen.udp(SUBSCRIBER, "::" if ":" in address else "0.0.0.0")
        datagram.sendto(reset, (address, 1194))
        stream = seen.inside(SUBSCRIBER, lambda: socket.create_connection((address, 443), 3.0))  # noqa: B023
        stream.sendall(struct.pack("!H", len(reset)) + reset)
        for name, answer in (("UDP", datagram.recv(2000)), ("TCP", stream.recv(2000)[2:])):
            answers[f"{name} {family.name}"] = [answer[0] >> 3, session in answer]
    return answers


def _isolation(seen: Observer) -> dict[str, Any]:
    """What a resolver knows with every international link down, before and after it is told to forget."""
    own = seen.resolver("southcell")
    seen.lookup(OTHER, own, "www.youtube.com")
    links = seen.net.get("gateway").intfList()
    for link in links:
        link.ifconfig("down")
    found = {"cached": seen.lookup(OTHER, own, "www.youtube.com")}
    seen.services.flush_dns()
    found |= {
        "foreign": seen.lookup(OTHER, own, "www.youtube.com"),
        "domestic": seen.lookup(OTHER, own, "egov.kz"),
        "domestic page": seen.curl(OTHER, "https://egov.kz/")["code"],
    }
    for link in links:
        link.ifconfig("up")
    seen.services.wait_ready()
    seen.services.flush_dns()
    return {**found, "again": seen.lookup(OTHER, own, "www.youtube.com")}


def _deaths(seen: Observer) -> dict[str, Any]:
    before = list(seen.services.died())
    process = seen.net.get("transit-two").namespace.running()[0]
    process.kill()
    process.wait(_DEADLINE_SECONDS)
    return {"before": before, "after": list(seen.services.died())}
