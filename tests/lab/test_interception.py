"""Kazakhstan's TLS interception of 2019, on the wire: whose connections are taken, and what their clients see."""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

import harm
import outside
import pytest
from crossing import DEADLINE_S, SERVER, Crossing
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from switches import until

from shutdownlab.country.starvation import Starvation
from shutdownlab.probes.handshake import client_context
from shutdownlab.protocol.messages import Failure, decode
from shutdownlab.servers.tls import CertificateAuthority
from shutdownlab.system.processor import WaitedTimes

NAME = "www.blocked.example"
QAZNET = "CN=Qaznet Trust Network"


@dataclass
class Site:
    """An HTTPS server that answers every line with the same, and who trusts it."""

    crossing: Crossing
    authority: CertificateAuthority
    listener: socket.socket
    context: ssl.SSLContext
    seen: list[str] = field(default_factory=list)
    resets: tuple[int, ...] = ()
    """Which connections are reset at their hello: the client's own is the first, the proxy's for the certificate next.
    """
    ports: list[int] = field(default_factory=list)
    """From which it was connected to."""

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, peer = self.listener.accept()
                self.ports.append(peer[1])
                threading.Thread(target=self._answer, args=(connection, peer, len(self.ports)), daemon=True).start()

    def _answer(self, connection: socket.socket, peer: tuple[str, int], number: int) -> None:
        if number in self.resets:
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            return
        with suppress(OSError), self.context.wrap_socket(connection, server_side=True) as channel:
            while data := channel.recv(65536):
                self.seen.append(peer[0])
                channel.sendall(data)

    def visit(self, name: str = NAME, said: bytes = b"hello", port: int = 0) -> x509.Certificate:
        """Say something as the subscriber, be answered, and return the certificate that was shown (see `open`)."""
        with self.open(name, port) as channel:
            channel.sendall(said)
            answer = b""
            while len(answer) < len(said):
                answer += channel.recv(65536)
            assert answer == said
            shown = channel.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown)

    def open(self, name: str = NAME, port: int = 0) -> ssl.SSLSocket:
        """The subscriber's end of a connection, with its handshake done.

        port: the subscriber's, which is free at once for the next: it resets what it closes.
        """
        context = client_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = self.crossing.end(socket.SOCK_STREAM, version=6 if self.listener.family == socket.AF_INET6 else 4)
        if port:
            client.bind(("", port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.connect(self.listener.getsockname()[:2])
        return context.wrap_socket(client, server_hostname=name)


def site(crossing: Crossing, authority: CertificateAuthority, directory: Path, version: Literal[4, 6] = 4) -> Site:
    issued = authority.issue([NAME, "www.other.example", "blocked.example"])
    path = directory / "site.pem"
    path.write_bytes(issued.chain + issued.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    listener = crossing.listener(443, version=version)
    listener.settimeout(None)
    made = Site(crossing, authority, listener, context)
    threading.Thread(target=made.serve, daemon=True).start()
    return made


@pytest.fixture
def authority() -> CertificateAuthority:
    return CertificateAuthority(["example"])


@pytest.fixture
def crossing(tmp_path: Path, authority: CertificateAuthority) -> Iterator[Crossing]:
    with intercepting(tmp_path, authority, "kazakhstan-mitm-2019") as crossing:
        crossing.block(sites=["blocked.example"])
        yield crossing


def intercepting(directory: Path, authority: CertificateAuthority, profile: str) -> Crossing:
    trusted = directory / "trusted.pem"
    trusted.write_bytes(authority.pem)
    return Crossing(directory, profile, far_ms=5, trusted=trusted, root=directory / "state-root.pem")


@pytest.fixture
def assembling(tmp_path: Path, authority: CertificateAuthority) -> Iterator[Crossing]:
    """A box that intercepts, and puts segments together as well."""
    with intercepting(tmp_path, authority, "perfect") as crossing:
        names = {"name_suffix": "blocked.example"}
        crossing.inspect({"name": "forged", "when": names, "verdict": {"action": "intercept"}})
        yield crossing


@pytest.mark.parametrize("version", [4, 6])
def test_a_trusted_servers_connection_is_taken_over_with_a_forged_certificate(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path, version: Literal[4, 6]
) -> None:
    place = site(crossing, authority, tmp_path, version)
    true = place.visit("www.other.example")
    forged = place.visit()
    assert true.issuer.rfc4514_string() != QAZNET
    assert forged.issuer.rfc4514_string() == QAZNET
    assert forged.subject == true.subject
    assert forged.not_valid_before_utc == true.not_valid_before_utc - timedelta(hours=6)
    assert forged.not_valid_after_utc == true.not_valid_after_utc - timedelta(hours=6)
    assert forged.serial_number >> 32 == true.serial_number >> 32
    assert forged.serial_number != true.serial_number
    assert [extension.oid for extension in forged.extensions] == [x509.SubjectAlternativeName.oid]
    names = true.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert forged.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names.value
    key = forged.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    assert set(place.seen) == {crossing.subscriber[version]}, "the server sees its client's address"
    assert crossing.counters()["intercepted"] == 1


def test_a_client_that_checks_sees_an_authority_it_does_not_know(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    context = client_context()
    context.load_verify_locations(cadata=authority.pem.decode())
    client = crossing.end(socket.SOCK_STREAM)
    client.connect(place.listener.getsockname())
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer certificate"):
        context.wrap_socket(client, server_hostname=NAME)


def test_a_megabyte_passes_through_both_ways(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    for _ in range(2):
        assert place.visit(said=b"x" * 16_000).issuer.rfc4514_string() == QAZNET
    context = client_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = crossing.end(socket.SOCK_STREAM)
    client.connect(place.listener.getsockname())
    with context.wrap_socket(client, server_hostname=NAME) as channel:
        # In one thread: OpenSSL's connections are not safe to use from two, and Python 3.12 crashed.
        channel.setblocking(False)
        left, got, end = memoryview(bytes(1 << 20)), 0, time.monotonic() + DEADLINE_S
        while got < 1 << 20:
            assert time.monotonic() < end, f"{got} bytes came back"
            with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if left:
                    left = left[channel.send(left[:16_384]) :]
            with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                got += len(channel.recv(65536))
                continue
            select.select([channel], [channel] if left else [], [], 1.0)


def test_a_server_that_browsers_do_not_trust_is_left_alone(crossing: Crossing, tmp_path: Path) -> None:
    own = CertificateAuthority(["example"])
    place = site(crossing, own, tmp_path)
    shown = place.visit()
    assert shown.issuer.rfc4514_string() != QAZNET
    counters = crossing.counters()
    assert (counters["intercepted"], counters["not_intercepted"]) == (0, 1)


def test_a_client_that_uses_a_port_again_begins_a_connection_like_any_other(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    first, second = place.visit(port=41000), place.visit(port=41000)
    assert {shown.issuer.rfc4514_string() for shown in (first, second)} == {QAZNET}
    assert place.visit("www.other.example", port=41000).issuer.rfc4514_string() != QAZNET
    assert crossing.counters()["intercepted"] == 2


def proxy_of(crossing: Crossing) -> int:
    """The process of the box's TLS proxy."""
    (proxy,) = (pid for pid in outside.descendants(crossing.box.pid) if outside.names(pid).startswith("prx-"))
    return proxy


@pytest.mark.parametrize("version", [4, 6])
def test_a_proxy_that_has_yet_to_close_a_clients_last_connection_takes_the_next_from_that_port(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path, version: Literal[4, 6]
) -> None:
    """What the proxy still says on the old one must not be taken for the new one's: its handshake timed out."""
    place = site(crossing, authority, tmp_path, version)
    client = place.open(port=41000)
    proxy = proxy_of(crossing)
    os.kill(proxy, signal.SIGSTOP)
    client.close()
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(place.visit, port=41000)
        until("the new connection is there", lambda: len(place.ports) == 3, DEADLINE_S)
        os.kill(proxy, signal.SIGCONT)
        assert second.result().issuer.rfc4514_string() == QAZNET
    assert crossing.counters()["intercepted"] == 2


def test_the_box_asks_for_a_certificate_from_no_port_that_its_client_may_come_to_use(
    crossing: Crossing, tmp_path: Path
) -> None:
    place = site(crossing, CertificateAuthority(["example"]), tmp_path)  # not trusted: it is asked for each time
    for _ in range(3):
        place.visit()
    first, last = map(int, crossing.cables.run(crossing.near, "sysctl", "-n", "net.ipv4.ip_local_port_range").split())
    own = [port for port in place.ports if first <= port <= last]
    assert (len(own), len(place.ports)) == (3, 6), place.ports


# -- real clients ------------------------------------------------------------------------------------------------------

NGINX = """
daemon off; worker_processes 1; error_log stderr; pid nginx.pid;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
  server {{
    listen {address}:443 ssl http2;
    ssl_certificate site.pem; ssl_certificate_key site.pem;
    return 200 "from $server_protocol\\n";
  }}
}}
"""


@contextmanager
def nginx(crossing: Crossing, authority: CertificateAuthority, directory: Path) -> Iterator[None]:
    """A real web server in the server's place, which speaks HTTP/2 and HTTP/1.1."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        pytest.skip("nginx-light is not installed")
    issued = authority.issue([NAME, "www.other.example"])
    (directory / "site.pem").write_bytes(issued.chain + issued.key)
    (directory / "nginx.conf").write_text(NGINX.format(address=SERVER[4]))
    argv = ["nsenter", f"--net={crossing.far}", program, "-p", str(directory), "-c", "nginx.conf"]
    server = subprocess.Popen(argv)
    try:
        until("nginx listens", lambda: "203.0.113.10:443" in run(crossing.far, "ss", "-ltnH").stdout)
        yield
    finally:
        server.terminate()
        server.wait(DEADLINE_S)


def run(netns: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    inside = ["nsenter", f"--net={netns}", *argv]
    return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=60)


def curl(crossing: Crossing, *options: str, name: str = NAME) -> subprocess.CompletedProcess[str]:
    form = "%{http_version} %{http_code}"
    alike = ("--curves", "P-256")  # with OpenSSL 3.5 its ClientHello would be of two segments: see client_context
    words = ["curl", "-q", "-sS", "-m", "10", *alike, "--resolve", f"{name}:443:{SERVER[4]}", "-w", form, *options]
    return run(crossing.near, *words, f"https://{name}/")


def cut_segments(crossing: Crossing, mss: int) -> None:
    """Have what the subscriber sends cut into segments this long, each a frame of its own."""
    route = ["ip", "route", "replace", crossing.subscriber[4], "dev", "server", "advmss", str(mss)]
    assert run(crossing.far, *route).returncode == 0
    assert run(crossing.near, "ethtool", "-K", "client", "tso", "off", "gso", "off").returncode == 0


def test_who_installs_the_states_root_is_intercepted_without_a_warning(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    trusted, root = (str(tmp_path / name) for name in ("trusted.pem", "state-root.pem"))
    with nginx(crossing, authority, tmp_path):
        warned = curl(crossing, "--cacert", trusted)
        assert warned.returncode == 60, warned
        assert "unable to get local issuer certificate" in warned.stderr
        installed = curl(crossing, "--cacert", root)
        assert installed.returncode == 0, installed
        assert installed.stdout == "from HTTP/2.0\n2 200"
        assert curl(crossing, "--cacert", trusted, name="www.other.example").returncode == 0
    assert crossing.counters()["intercepted"] == 2


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)],
    ids=["both", "the older", "none"],
)
def test_of_the_protocols_a_client_offers_it_gets_the_servers_choice(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path, offered: list[str], chosen: str | None
) -> None:
    with nginx(crossing, authority, tmp_path):
        until("the root is there", lambda: (tmp_path / "state-root.pem").exists())
        for name, root in (("www.other.example", "trusted.pem"), (NAME, "state-root.pem")):
            context = client_context()
            context.load_verify_locations(tmp_path / root)
            if offered:
                context.set_alpn_protocols(offered)
            client = crossing.end(socket.SOCK_STREAM)
            client.connect((SERVER[4], 443))
            with context.wrap_socket(client, server_hostname=name) as channel:
                assert channel.selected_alpn_protocol() == chosen, name


def test_a_server_that_chooses_none_of_them_is_not_made_to(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    context = client_context()
    context.load_verify_locations(tmp_path / "state-root.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = crossing.end(socket.SOCK_STREAM)
    client.connect(place.listener.getsockname())
    with context.wrap_socket(client, server_hostname=NAME) as channel:
        assert channel.selected_alpn_protocol() is None


@pytest.mark.parametrize("mss", [400, 100])
def test_a_hello_in_several_segments_is_intercepted_by_a_box_that_assembles(
    assembling: Crossing, authority: CertificateAuthority, tmp_path: Path, mss: int
) -> None:
    """With 100 bytes a segment, the name comes in a later one than the first."""
    cut_segments(assembling, mss)
    with nginx(assembling, authority, tmp_path):
        seen = curl(assembling, "--cacert", str(tmp_path / "state-root.pem"))
        assert seen.stdout == "from HTTP/2.0\n2 200", seen
        spared = curl(assembling, "--cacert", str(tmp_path / "trusted.pem"), name="www.other.example")
        assert spared.stdout == "from HTTP/2.0\n2 200", spared
    counters = assembling.counters()
    assert (counters["intercepted"], counters["not_intercepted"]) == (1, 0)


def test_half_a_hello_has_no_name_for_kazakhstans_box_even_if_the_name_is_in_it(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    """Geneva's segmentation evaded it every time (CCS 2019), though the first half of a hello mostly has the name."""
    cut_segments(crossing, 400)
    with nginx(crossing, authority, tmp_path):
        spared = curl(crossing, "--cacert", str(tmp_path / "trusted.pem"))
        assert spared.stdout == "from HTTP/2.0\n2 200", spared
    counters = crossing.counters()
    assert (counters["intercepted"], counters["not_intercepted"]) == (0, 0)


def test_a_proxy_that_has_no_processor_for_a_connection_is_reported_though_its_first_thread_rests(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    """Whoever measures a speed through it must know: octets lie with it meanwhile, and come all at once."""
    place = site(crossing, authority, tmp_path)
    place.visit()
    proxy = proxy_of(crossing)
    with Starvation({proxy: "the proxy"}, keepers=[proxy]) as seen, WaitedTimes([proxy]) as first:
        before, began, end = first.read()[0], time.monotonic(), time.monotonic() + 120
        served = [int(thread.name) for thread in Path(f"/proc/{proxy}/task").iterdir()]
        assert len(served) > 1, "the threads that have served connections stay"
        with harm.crowd(served):
            while not (said := seen.held_up(began, time.monotonic(), 0.4, keepers=True)) and time.monotonic() < end:
                place.visit(said=bytes(500_000))
                seen.look()
        assert said.startswith("the proxy had no processor for ")
        assert first.read()[0] - before < 0.4


def told_by(crossing: Crossing) -> list[str]:
    """The failures that a box tells, once it tells any."""
    told: list[str] = []

    def tells() -> bool:
        told.extend(m.text for m in map(decode, crossing.box.receive()) if isinstance(m, Failure))
        return bool(told)

    until("the box tells", tells)
    return told


@pytest.mark.parametrize("room", [0, 1])
def test_a_proxy_that_can_open_nothing_more_says_so_for_what_it_does_not_intercept_is_no_way_through(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path, room: int
) -> None:
    """Nor does it end a connection of which it has taken one end, and cannot take the other."""
    place, proxy = site(crossing, authority, tmp_path), proxy_of(crossing)

    def opened() -> set[int]:
        return {int(file.name) for file in Path(f"/proc/{proxy}/fd").iterdir()}

    before = opened()
    assert place.visit().issuer.rfc4514_string() == QAZNET
    until("it has closed that connection", lambda: opened() == before)
    usual = resource.prlimit(proxy, resource.RLIMIT_NOFILE)
    limit = [number for number in range(100) if number not in before][room]
    resource.prlimit(proxy, resource.RLIMIT_NOFILE, (limit, usual[1]))
    assert place.visit().issuer.rfc4514_string() != QAZNET
    told = told_by(crossing)
    assert "its TLS proxy failed, and did not intercept as it should: OSError: [Errno 24]" in told[0]
    resource.prlimit(proxy, resource.RLIMIT_NOFILE, usual)
    assert place.visit().issuer.rfc4514_string() == QAZNET


def test_a_proxy_that_stands_still_for_a_moment_is_reported_for_no_control_passes_it(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    place.visit()
    assert crossing.counters()["intercepted"] == 1, "it has been asked for what it does"
    assert not [m for m in map(decode, crossing.box.receive()) if isinstance(m, Failure)], "so far it was alive"
    proxy = proxy_of(crossing)
    os.kill(proxy, signal.SIGSTOP)
    (told,) = told_by(crossing)
    assert told.startswith("its TLS proxy has not answered for ")
    os.kill(proxy, signal.SIGCONT)
    assert place.visit().issuer.rfc4514_string() == QAZNET


def test_a_proxy_whose_link_loses_long_packets_is_reported_for_its_handshakes_only_time_out(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    place.visit()
    proxy = proxy_of(crossing)
    argv = ["nsenter", f"--target={proxy}", "--net", "ip", "link", "set", "proxy", "mtu", "1280"]
    subprocess.run(argv, check=True)
    (told,) = told_by(crossing)
    assert told.startswith("the link to its TLS proxy has carried no packet of full size for ")


def test_a_box_that_stood_still_itself_blames_no_proxy(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    place.visit()
    os.kill(crossing.box.pid, signal.SIGSTOP)
    time.sleep(1.5)  # longer than a proxy may take
    os.kill(crossing.box.pid, signal.SIGCONT)
    assert crossing.counters()["intercepted"] == 1
    assert not [m for m in map(decode, crossing.box.receive()) if isinstance(m, Failure)]


def test_a_server_that_answers_a_client_and_not_the_proxy_is_reported_for_its_client_got_through(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    place.resets = (2,)
    assert place.visit().issuer.rfc4514_string() != QAZNET
    told = told_by(crossing)
    assert told == [
        "its TLS proxy did not intercept a connection that its server has answered: "
        "ConnectionResetError: [Errno 104] Connection reset by peer"
    ]
    assert place.visit().issuer.rfc4514_string() == QAZNET


def test_a_client_that_a_server_resets_is_no_fault_of_the_proxy(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    place.resets = (1, 2)
    with pytest.raises(ConnectionResetError):
        place.visit()
    assert place.visit().issuer.rfc4514_string() == QAZNET
    assert not [message for message in map(decode, crossing.box.receive()) if isinstance(message, Failure)]


def test_clients_that_come_at_once_have_the_server_asked_for_its_certificate_once(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        shown = list(pool.map(lambda _: place.visit().issuer.rfc4514_string(), range(8)))
    assert shown == [QAZNET] * 8
    assert len(place.ports) == 8 + 1


def records(hello: bytes, size: int) -> bytes:
    """The same ClientHello in TLS records of so many bytes."""
    body = hello[5:]
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(hello[:3] + len(part).to_bytes(2, "big") + part for part in parts)


@pytest.mark.parametrize("quick", [True, False], ids=["at once", "waiting for acknowledgments"])
@pytest.mark.parametrize("name", [NAME, "www.other.example"])
def test_a_hello_in_many_records_that_dribbles_in_is_intercepted_and_others_are_not_kept(
    assembling: Crossing, authority: CertificateAuthority, tmp_path: Path, name: str, quick: bool
) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = client_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    channel = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        channel.do_handshake()
    hello = records(outgoing.read(), 60)
    with nginx(assembling, authority, tmp_path):
        client = assembling.end(socket.SOCK_STREAM)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, quick)
        client.connect((SERVER[4], 443))
        for at in range(0, len(hello), 50):
            client.sendall(hello[at : at + 50])
        while True:
            try:
                channel.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.sendall(outgoing.read())
                incoming.write(client.recv(65536))
        shown = channel.getpeercert(binary_form=True)
    assert shown is not None
    issuer = x509.load_der_x509_certificate(shown).issuer.rfc4514_string()
    assert (issuer == QAZNET) is (name == NAME)


def test_what_only_begins_like_a_hello_is_let_go_when_its_client_leaves(
    assembling: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    connection = assembling.connect()
    connection.client.sendall(b"\x16\x03\x01")
    connection.client.shutdown(socket.SHUT_WR)
    assert connection.server.recv(100) == b"\x16\x03\x01"


def test_a_box_that_is_started_again_signs_by_the_same_root(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    before = (tmp_path / "state-root.pem").read_bytes()
    os.kill(crossing.box.pid, signal.SIGKILL)
    until("the box is gone", lambda: not crossing.box.alive())
    crossing.start_box()
    crossing.block(sites=["www.blocked.example"])
    with nginx(crossing, authority, tmp_path):
        assert curl(crossing, "--cacert", str(tmp_path / "state-root.pem")).returncode == 0
    assert (tmp_path / "state-root.pem").read_bytes() == before
