"""Every verdict of the probes, from real packets: agents in namespaces of their own, servers and filters that fail."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

import probe_servers as servers
import pytest
from cables import Cables

from shutdownlab.config.addresses import endpoint
from shutdownlab.measure.confirmation import Prober
from shutdownlab.measure.supervisor import AgentError
from shutdownlab.measure.task import PATIENCE
from shutdownlab.model.probe import Errand, Probe
from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.probes import kinds
from shutdownlab.probes.kinds import (
    AppTargets,
    Destination,
    Download,
    NameQuestion,
    Page,
    Target,
    TelephoneLine,
    TelephoneLines,
)
from shutdownlab.protocol.probing import Measurement, ProbeRequest
from shutdownlab.servers.telephone import kamailio_config
from shutdownlab.system.syscalls import CLONE_NEWNET, die_with_parent, setns

SERVER = {Family.IPV4: "192.0.2.1", Family.IPV6: "2001:db8:a::1"}
PROGRAMS = f"{os.environ['PATH']}:/usr/sbin:/sbin"
FILTERED = {Family.IPV4: "203.0.113.1", Family.IPV6: "2001:db8:f::1"}
"""Addresses of the server too, behind its filter."""
CALLEE = {Family.IPV4: "198.51.100.2", Family.IPV6: "2001:db8:b::2"}
TIMEOUT = "generic_timeout_error"
# Over a bare veth pair an ICMP error to a SYN is back before connect(2) has let go of the socket, which then hears only
# the second one, to the retransmission after 1 s.
TIMEOUT_S = 1.3
WHATSAPP = (
    *(Target(f"e{n}.whatsapp.net", (SERVER[Family.IPV4],), (("https", 443), ("tcp", 5222))) for n in range(1, 17)),
    Target("v.whatsapp.net"),
    Target("web.whatsapp.com"),
)
SIGNAL = tuple(Target(f"{name}.signal.org") for name in ("cdsi", "chat", "sfu.voip", "storage"))


def telegram(*addresses: str) -> tuple[Target, ...]:
    centres = tuple(Target("", (address,), (("http", 80), ("http", 443))) for address in addresses)
    return (*centres, Target("web.telegram.org", (), (("https", 443),)))


def patient(_family: Family) -> dict[str, Any]:
    """For what a router may tell only when the kernel repeats its SYN, after one second and three."""
    return {"timeout": 6.0}


# What the server's filter does to FILTERED, by destination port.
FILTER = """
table inet filter {
  chain faults {
    tcp dport 1001 drop
    tcp dport 1002 reject with tcp reset
    tcp dport 1003 reject with icmpx type host-unreachable
    tcp dport 1004 reject with icmpx type no-route
    meta nfproto ipv4 tcp dport 4007 tcp flags == syn numgen inc mod 2 == 0 drop
    meta nfproto ipv6 tcp dport 4007 tcp flags == syn numgen inc mod 2 == 0 drop
    tcp dport { 443, 80 } tcp flags & psh == psh drop
    tcp dport 5222 accept
    tcp dport 4001 tcp flags & psh == psh reject with tcp reset
    udp dport { 443, 53, 1194 } drop
    udp dport 1195 reject with icmpx type port-unreachable
    icmp type echo-request drop
    icmpv6 type echo-request drop
  }
  chain input {
    type filter hook input priority 0;
    ip daddr 203.0.113.1 jump faults
    ip6 daddr 2001:db8:f::1 jump faults
  }
  chain output {
    type filter hook output priority 0;
    tcp sport 4009 limit rate over 20 kbytes/second burst 8 kbytes drop
  }
}
"""

OK, BLOCKED, THROTTLED, _, ERROR, UNKNOWN = Outcome


@dataclass(frozen=True)
class Case:
    """A probe of one family, and what must become of it."""

    name: str
    test: type[Probe]
    outcome: Outcome
    failure: str | None = None
    families: tuple[Family, ...] = (Family.IPV4, Family.IPV6)
    ask: Callable[[Family], Any] = lambda _: None
    more: Callable[[Family], dict[str, Any]] = lambda _: {}

    def request(self, family: Family, ca: str) -> ProbeRequest:
        more = {"resolver": SERVER[family], "timeout": TIMEOUT_S, **self.more(family)}
        identity, ask = f"{self.name} {family}", self.ask(family)
        return ProbeRequest(identity, self.name, self.test.runs, ask, family=family, ca=ca, **more)


def web(url: str, marker: str = "") -> Callable[[Family], Page]:
    return lambda _: Page(url, marker)


def download(url: str) -> Callable[[Family], Download]:
    return lambda _: Download(url)


def name(host: str) -> Callable[[Family], NameQuestion]:
    return lambda _: NameQuestion(host)


def host(host: str, port: int = 0) -> Callable[[Family], Destination]:
    return lambda _: Destination(host, port)


def filtered(port: int = 0, transport: Literal["tcp", "udp"] = "tcp") -> Callable[[Family], Destination]:
    return lambda family: Destination(FILTERED[family], port, transport)


def at_filter(scheme: str, port: int) -> Callable[[Family], Page]:
    return lambda family: Page(f"{scheme}://{endpoint(FILTERED[family], port)}/")


def true(family: Family) -> dict[str, Any]:
    return {"addresses": (SERVER[family],)}


V4 = (Family.IPV4,)
CASES = (
    Case("dns", kinds.Dns, OK, ask=name("site.test")),
    Case("dns-right", kinds.Dns, OK, None, V4, ask=name("site.test"), more=true),
    Case("dns-wrong", kinds.Dns, BLOCKED, None, V4, ask=name("poisoned.test"), more=true),
    Case("dns-truncated", kinds.Dns, OK, ask=name("long.test")),
    Case("dns-nxdomain", kinds.Dns, BLOCKED, "dns_nxdomain_error", ask=name("nxdomain.test")),
    Case("dns-refused", kinds.Dns, BLOCKED, "dns_refused_error", ask=name("refused.test")),
    Case("dns-servfail", kinds.Dns, BLOCKED, "dns_servfail_error", ask=name("servfail.test")),
    Case("dns-empty", kinds.Dns, BLOCKED, "dns_no_answer", ask=name("empty.test")),
    Case("dns-formerr", kinds.Dns, BLOCKED, "dns_server_misbehaving", ask=name("formerr.test")),
    Case("dns-bogon", kinds.Dns, BLOCKED, "dns_bogon_error", ask=name("bogon.test")),
    Case("dns-dropped", kinds.Dns, BLOCKED, TIMEOUT, ask=name("a.test"), more=lambda f: {"resolver": FILTERED[f]}),
    Case("tcp", kinds.Tcp, OK, ask=host("site.test", 443)),
    Case("tcp-refused", kinds.Tcp, BLOCKED, "connection_refused", ask=host("site.test", 9)),
    Case("tcp-dropped", kinds.Tcp, BLOCKED, TIMEOUT, ask=filtered(1001)),
    Case("tcp-reset", kinds.Tcp, BLOCKED, "connection_refused", ask=filtered(1002)),
    Case("tcp-unreachable", kinds.Tcp, BLOCKED, "host_unreachable", ask=filtered(1003)),
    Case("tcp-no-net", kinds.Tcp, BLOCKED, "network_unreachable", ask=filtered(1004)),
    Case("tcp-no-route", kinds.Tcp, BLOCKED, "network_unreachable", V4, ask=host("198.19.0.1", 443), more=patient),
    Case("tcp-one-syn-lost", kinds.Tcp, OK, ask=filtered(servers.MUTE)),
    Case("tls", kinds.Tls, OK, ask=host("site.test", 443)),
    Case("tls-expired", kinds.Tls, BLOCKED, "ssl_invalid_certificate", ask=host("site.test", servers.EXPIRED)),
    Case("tls-untrusted", kinds.Tls, BLOCKED, "ssl_unknown_authority", ask=host("site.test", servers.UNTRUSTED)),
    Case("tls-misnamed", kinds.Tls, BLOCKED, "ssl_invalid_hostname", ask=host("site.test", servers.MISNAMED)),
    Case("tls-not-tls", kinds.Tls, BLOCKED, "ssl_failed_handshake", ask=host("site.test", servers.NOT_TLS)),
    Case("tls-closed", kinds.Tls, BLOCKED, "eof_error", ask=host("site.test", servers.CLOSES)),
    Case("tls-reset", kinds.Tls, BLOCKED, "connection_reset", ask=host("site.test", servers.RESETS)),
    Case("tls-dropped", kinds.Tls, BLOCKED, TIMEOUT, ask=filtered(443)),
    Case("tls-filter-reset", kinds.Tls, BLOCKED, "connection_reset", ask=filtered(4001)),
    Case("https", kinds.Web, OK, ask=web("https://site.test/", marker="<title>site.test</title>")),
    Case("http", kinds.Web, OK, ask=web("http://site.test/moved", marker="<title>site.test</title>")),
    Case("http-half", kinds.Web, OK, ask=web("http://half-gone.test/moved", marker="<title>site.test</title>")),
    Case("https-dropped", kinds.Web, BLOCKED, TIMEOUT, ask=at_filter("https", 443)),
    Case("http-dropped", kinds.Web, BLOCKED, TIMEOUT, ask=at_filter("http", 80)),
    Case("http-reset", kinds.Web, BLOCKED, "connection_reset", ask=web(f"http://site.test:{servers.RESETS}/")),
    Case("http-closed", kinds.Web, BLOCKED, "eof_error", ask=web(f"http://site.test:{servers.CLOSES}/")),
    Case("http-mute", kinds.Web, BLOCKED, TIMEOUT, ask=web(f"http://site.test:{servers.MUTE}/")),
    Case("http-blockpage", kinds.Web, BLOCKED, ask=web("http://site.test/blockpage", marker="<title>site.test")),
    Case("http-forbidden", kinds.Web, BLOCKED, ask=web("http://site.test/forbidden")),
    Case("web-nxdomain", kinds.Web, BLOCKED, "dns_nxdomain_error", ask=web("https://nxdomain.test/")),
    Case("http3", kinds.Http3, OK, ask=web("https://site.test/", marker="<title>site.test</title>")),
    Case("http3-dropped", kinds.Http3, BLOCKED, TIMEOUT, ask=at_filter("https", 443)),
    Case("http3-refused", kinds.Http3, BLOCKED, "connection_refused", ask=web("https://site.test:444/")),
    Case("http3-misnamed", kinds.Http3, BLOCKED, "ssl_invalid_hostname", ask=web("https://other.example/")),
    Case(
        "http3-old", kinds.Http3, BLOCKED, "quic_incompatible_version",
        ask=web(f"https://site.test:{servers.OLD_QUIC}/"),
    ),
    Case("ping", kinds.Ping, OK, ask=host("site.test")),
    Case("ping-dropped", kinds.Ping, BLOCKED, TIMEOUT, ask=filtered()),
    Case("vpn-dropped", kinds.Vpn, BLOCKED, TIMEOUT, ask=filtered(1194, "udp")),
    Case("vpn-refused", kinds.Vpn, BLOCKED, "connection_refused", ask=filtered(1195, "udp")),
    Case("vpn-closed", kinds.Vpn, BLOCKED, "eof_error", ask=host("site.test", servers.CLOSES)),
    Case("whatsapp", kinds.App, OK, None, V4, ask=lambda _: AppTargets("whatsapp", WHATSAPP)),
    Case("signal", kinds.App, OK, None, V4, ask=lambda _: AppTargets("signal", SIGNAL)),
    Case(
        "telegram-some-centres-dropped", kinds.App, OK, None, V4,
        ask=lambda f: AppTargets("telegram", telegram(SERVER[f], FILTERED[f])),
    ),
    Case(
        "telegram-all-centres-dropped", kinds.App, BLOCKED, TIMEOUT, V4,
        ask=lambda f: AppTargets("telegram", telegram(FILTERED[f])),
    ),
    Case(
        "site-app", kinds.App, OK, None, V4,
        ask=lambda _: AppTargets("site", (Target("site.test", (), (("https", 443),)),)),
    ),
    Case("throughput", kinds.Throughput, OK, ask=download("https://site.test/")),
    Case(
        "throughput-policed", kinds.Throughput, THROTTLED, None, V4,
        ask=download(f"https://site.test:{servers.SLOW}/"),
    ),
    Case(
        "throughput-frozen", kinds.Throughput, BLOCKED, TIMEOUT, V4,
        ask=download(f"http://site.test:{servers.FROZEN}/"),
    ),
    Case("throughput-too-small", kinds.Throughput, ERROR, "unknown_failure", V4, ask=web("https://site.test/small")),
    Case("throughput-mute", kinds.Throughput, BLOCKED, TIMEOUT, V4, ask=download(f"http://site.test:{servers.MUTE}/")),
)  # fmt: skip
EVERY = [(case, family) for case in CASES for family in case.families]


@dataclass(frozen=True)
class Lab:
    cables: Cables
    server: Path
    prober: Prober
    directory: Path

    @property
    def ca(self) -> str:
        return str(self.directory / "ca.pem")

    def measure(self, request: ProbeRequest) -> Measurement:
        [(_, _, measurement)] = self.prober.run({"caller": [request]})
        return measurement

    @contextmanager
    def server_running(self, *argv: str, until: Callable[[str], bool], cwd: Path | None = None) -> Iterator[None]:
        """A daemon in the server's namespace; ready when `until` says so of its listening sockets (ss -Hlun, -Hltn)."""
        process = subprocess.Popen(
            ["nsenter", f"--net={self.server}", *argv],
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 20
            while not until(self.cables.run(self.server, "ss", "-Hlutn")):
                assert process.poll() is None, f"{argv[0]} ended with status {process.returncode}"
                assert time.monotonic() < deadline, f"{argv[0]} does not listen"
                select.select([], [], [], 0.02)
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for_line(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    deadline = time.monotonic() + 20
    while select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        read = process.stdout.readline()
        if read.strip() == line:
            return
        if not read:
            break
    process.kill()
    pytest.fail(f"servers not ready: {process.communicate()[1]}")


def entrance(netns: Path) -> Callable[[], None]:
    def enter() -> None:
        with netns.open("rb") as namespace:
            setns(namespace.fileno(), CLONE_NEWNET)

    return enter


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed")
    directory = tmp_path_factory.mktemp("probes")
    with Cables() as cables:
        caller, server, callee = (cables.netns() for _ in range(3))
        cables.veth(caller, "eth0", server, "caller")
        cables.veth(callee, "eth0", server, "callee")
        cables.address(caller, "eth0", "192.0.2.2/24", "2001:db8:a::2/64")
        cables.address(callee, "eth0", f"{CALLEE[Family.IPV4]}/24", f"{CALLEE[Family.IPV6]}/64")
        cables.address(server, "caller", f"{SERVER[Family.IPV4]}/24", f"{SERVER[Family.IPV6]}/64")
        cables.address(server, "callee", "198.51.100.1/24", "2001:db8:b::1/64")
        cables.address(server, "lo", f"{FILTERED[Family.IPV4]}/32", f"{FILTERED[Family.IPV6]}/128")
        for place, near in ((caller, ("192.0.2.1", "2001:db8:a::1")), (callee, ("198.51.100.1", "2001:db8:b::1"))):
            for gateway in near:
                cables.run(place, "ip", "route", "add", "default", "via", gateway)
        # No "unreachable" after the neighbour's silence: what the filter says must be what is heard.
        cables.run(server, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        cables.run(server, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        # The filter counts packets as the wire has them, not the bundles of segmentation offload.
        cables.run(server, "ip", "link", "set", "dev", "caller", "gso_max_segs", "1")
        rules = directory / "filter.nft"
        rules.write_text(FILTER)
        cables.run(server, "nft", "-f", str(rules))
        program = [sys.executable, str(Path(servers.__file__)), str(directory)]
        process = cables.start(server, *program, SERVER[Family.IPV4], SERVER[Family.IPV6])
        prober = Prober()
        try:
            wait_for_line(process, "ready")
            prober.start({"caller": entrance(caller), "callee": entrance(callee)})
            yield Lab(cables, server, prober, directory)
        finally:
            prober.stop()
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def measured(lab: Lab) -> dict[str, Measurement]:
    """All cases at once, as a run does."""
    requests = [case.request(family, lab.ca) for case, family in EVERY]
    return {request.id: measurement for _, request, measurement in lab.prober.run({"caller": requests})}


@pytest.mark.parametrize(("case", "family"), EVERY, ids=lambda value: getattr(value, "name", value))
def test_a_probe_tells_what_was_done_to_it(case: Case, family: Family, measured: dict[str, Measurement]) -> None:
    found = measured[f"{case.name} {family}"]
    failure = "unknown_failure" if (found.failure or "").startswith("unknown_failure") else found.failure
    assert (found.outcome, failure) == (case.outcome, case.failure), found


@pytest.mark.parametrize("family", list(Family))
def test_one_lost_syn_is_made_good_within_the_first_try(family: Family, measured: dict[str, Measurement]) -> None:
    found = measured[f"tcp-one-syn-lost {family}"]
    [attempt] = found.test_keys["tcp_connect"]
    lasted = attempt["t"] - attempt["t0"]
    assert PATIENCE[0] * TIMEOUT_S / 2 <= lasted < 1, "after a second the kernel would have sent it again"


@pytest.mark.parametrize("family", list(Family))
def test_while_one_address_does_not_answer_the_next_is_tried(family: Family, measured: dict[str, Measurement]) -> None:
    dialled = measured[f"http-half {family}"].test_keys["tcp_connect"]
    assert {attempt["ip"] for attempt in dialled if attempt["status"]["success"]} == {SERVER[family]}


def messages(measurement: Measurement) -> list[tuple[str, int]]:
    [seen] = [measurement.test_keys[key] for key in ("x_call", "x_sms") if key in measurement.test_keys]
    return [(answer["operation"], answer["code"]) for answer in seen["answers"]]


def telephone_request(kind: type[Probe], family: Family, peer: TelephoneLine | None = None) -> ProbeRequest:
    """A call or message to a number; the callee's telephone registers, unless it is another's."""
    registrar = SERVER[family]
    callee = TelephoneLine("77002", registrar)
    ask = TelephoneLines(TelephoneLine("77001", registrar), peer or callee)
    errand = None if peer else Errand("callee", TelephoneLines(callee))
    identity = f"{kind.__name__} {family}"
    return ProbeRequest(identity, identity, kind.runs, ask, family=family, timeout=TIMEOUT_S, errand=errand)


@pytest.fixture(scope="module")
def telephones(lab: Lab) -> Iterator[None]:
    kamailio = shutil.which("kamailio", path=PROGRAMS)
    if kamailio is None:
        pytest.skip("kamailio is not installed")
    home = lab.directory / "kamailio"
    home.mkdir()
    config = home / "kamailio.cfg"
    config.write_text(kamailio_config([ip_address(address) for address in SERVER.values()]))
    argv = (kamailio, "-DD", "-E", "-m", "8", "-M", "4", "-f", str(config), "-P", str(home / "pid"), "-Y", str(home))
    with lab.server_running(*argv, until=lambda sockets: sockets.count(":5060 ") >= 2 and ":5062 " in sockets):
        yield


@pytest.mark.usefixtures("telephones")
@pytest.mark.parametrize("family", Family)
def test_a_call_is_heard_at_both_ends(lab: Lab, family: Family) -> None:
    found = lab.measure(telephone_request(kinds.Call, family))
    assert found.outcome is OK, found
    assert messages(found) == [("sip_register", 200), ("sip_invite", 200), ("sip_bye", 200)]
    assert found.test_keys["x_call"]["rtp_received"] == found.test_keys["x_call"]["rtp_received_by_peer"] == 5


@pytest.mark.usefixtures("telephones")
@pytest.mark.parametrize("family", Family)
def test_a_short_message_is_acknowledged_by_the_callee(lab: Lab, family: Family) -> None:
    found = lab.measure(telephone_request(kinds.Sms, family))
    assert (found.outcome, messages(found)) == (OK, [("sip_register", 200), ("sip_message", 200)])


@pytest.mark.usefixtures("telephones")
def test_a_number_that_never_registered_cannot_be_called(lab: Lab) -> None:
    nobody = TelephoneLine("77009", SERVER[Family.IPV4])
    found = lab.measure(telephone_request(kinds.Call, Family.IPV4, nobody))
    assert (found.outcome, found.failure) == (BLOCKED, "unknown_failure: SIP 404 Not Found")


@pytest.mark.usefixtures("telephones")
@pytest.mark.parametrize(
    ("rule", "operation"),
    [
        ("udp dport 5060", "sip_register"),
        ("ip saddr 192.0.2.2 udp dport 16384-16399", "rtp"),
        ("ip saddr 198.51.100.2 udp dport 16384-16399", "rtp"),
    ],
    ids=["signalling", "sound-to-the-callee", "sound-to-the-caller"],
)
def test_a_call_is_blocked_when_any_part_of_it_is(lab: Lab, rule: str, operation: str) -> None:
    lab.cables.run(lab.server, "nft", "add", "table", "inet", "voice")
    try:
        for hook in ("input", "forward"):
            chain = f"{{ type filter hook {hook} priority 1; }}"
            lab.cables.run(lab.server, "nft", "add", "chain", "inet", "voice", hook, chain)
            lab.cables.run(lab.server, "nft", "add", "rule", "inet", "voice", hook, *rule.split(), "drop")
        found = lab.measure(telephone_request(kinds.Call, Family.IPV4))
    finally:
        lab.cables.run(lab.server, "nft", "delete", "table", "inet", "voice")
    assert (found.outcome, found.failure) == (BLOCKED, TIMEOUT), found
    assert found.test_keys["failed_operation"] == operation


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_openvpn_answers_the_first_packet(lab: Lab, transport: str) -> None:
    openvpn = shutil.which("openvpn", path=PROGRAMS)
    if openvpn is None:
        pytest.skip("openvpn is not installed")
    protocol = "udp4" if transport == "udp" else "tcp4-server"
    options = {"proto": protocol, "dev": "vpn0", "dev-type": "tun", "server": "10.8.0.0 255.255.255.0", "dh": "none"}
    options |= {"local": SERVER[Family.IPV4], "port": "1196", "ca": "ca.pem", "cert": "chain.pem", "key": "key.pem"}
    argv = [openvpn, *(word for key, value in options.items() for word in (f"--{key}", *value.split()))]
    with lab.server_running(*argv, until=lambda sockets: ":1196 " in sockets, cwd=lab.directory):
        ask = Destination(SERVER[Family.IPV4], 1196, "udp" if transport == "udp" else "tcp")
        found = lab.measure(ProbeRequest("vpn", "vpn", kinds.Vpn.runs, ask, timeout=TIMEOUT_S))
    assert found.outcome is OK, found


def test_an_agent_that_dies_makes_its_probes_unknown_and_no_other(lab: Lab) -> None:
    prober = Prober()
    with lab.cables.netns().open("rb") as namespace:
        enter = entrance(Path(namespace.name))
        prober.start({"doomed": enter, "spared": enter})
    slow = ProbeRequest("slow", "slow", kinds.Tcp.runs, Destination("::1", 9), family=Family.IPV6)
    mute = ProbeRequest("mute", "mute", kinds.Dns.runs, NameQuestion("a.test"), resolver="127.0.0.1", timeout=5.0)
    lab.cables.run(Path(f"/proc/{prober.pids['doomed']}/ns/net"), "nft", "-f", str(drop_everything(lab.directory)))
    run = prober.run({"doomed": [mute, replace(mute, id="other")], "spared": [slow]})
    first = next(run)
    assert first[0] == "spared", first
    os.kill(prober.pids["doomed"], signal.SIGKILL)
    rest = [(agent, found.outcome, found.failure) for agent, _, found in run]
    assert rest == [("doomed", UNKNOWN, "unknown_failure: agent died: it was killed by SIGKILL")] * 2
    [later] = prober.run({"doomed": [slow]})
    assert later[2].outcome is UNKNOWN
    prober.stop()


def drop_everything(directory: Path) -> Path:
    rules = directory / "mute.nft"
    rules.write_text("table inet mute { chain input { type filter hook input priority 0; ip daddr 127.0.0.1 drop; }; }")
    return rules


def test_all_agents_have_one_turn_at_the_processors_together(lab: Lab) -> None:
    """Each by itself, they would take the turns of switches and delay lines: see `child_process.fork`."""
    assert {os.getsid(pid) for pid in lab.prober.pids.values()} == {os.getsid(0)}


def test_agents_end_with_the_process_that_forked_them(lab: Lab) -> None:
    read, write = os.pipe()
    runner = os.fork()
    if runner == 0:
        try:
            die_with_parent()
            prober = Prober()
            prober.start({"one": lambda: None, "two": lambda: None})
            os.write(write, " ".join(map(str, prober.pids.values())).encode())
            signal.pause()
        finally:
            os._exit(1)  # never back into the tests
    os.close(write)
    pids = [int(pid) for pid in os.read(read, 100).split()]
    os.close(read)
    watched = [os.pidfd_open(pid) for pid in pids]
    os.kill(runner, signal.SIGKILL)
    os.waitpid(runner, 0)
    for fd in watched:
        assert select.select([fd], [], [], 10)[0], "an agent outlived its runner"
        os.close(fd)
    assert len(watched) == 2


def test_an_agent_that_cannot_enter_its_namespace_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    def enter() -> None:
        raise FileNotFoundError("/run/netns/nowhere")

    prober = Prober()
    with pytest.raises(AgentError, match=r"did not start: lost \(agent died: it ended with status 1\)"):
        prober.start({"fine": lambda: None, "lost": enter})
    prober.stop()
    assert "/run/netns/nowhere" in capfd.readouterr().err
