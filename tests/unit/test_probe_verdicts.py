"""What probes conclude, and how they name it: no sockets, or the machine's own loopback."""

from __future__ import annotations

import ast
import asyncio
import errno
import json
import os
import resource
import socket
import ssl
import subprocess
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from shutdownlab import library
from shutdownlab.measure.controls import CHECKS
from shutdownlab.model.probe import Family, Probe, Surroundings
from shutdownlab.model.registered import kinds_of
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes import apps, http, kinds, run
from shutdownlab.probes.answer import Answer
from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.failure import StepFailed, failure_of
from shutdownlab.probes.kinds import AppTargets, Target
from shutdownlab.probes.openvpn import answers, client_reset
from shutdownlab.probes.run import run_probe
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.stream import TcpStream
from shutdownlab.probes.trace import Trace
from shutdownlab.probes.web import blocking_of, control_of
from shutdownlab.protocol.probing import Measurement, ProbeRequest
from shutdownlab.results.measurement import Context, record

TIMEOUT = "generic_timeout_error"


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (OSError(errno.ECONNREFUSED, ""), "connection_refused"),
        (OSError(errno.ECONNRESET, ""), "connection_reset"),
        (OSError(errno.EPIPE, ""), "connection_reset"),
        (OSError(errno.ECONNABORTED, ""), "connection_aborted"),
        (OSError(errno.EHOSTUNREACH, ""), "host_unreachable"),
        (OSError(errno.ENETUNREACH, ""), "network_unreachable"),
        (OSError(errno.ENETDOWN, ""), "network_down"),
        (OSError(errno.ETIMEDOUT, ""), TIMEOUT),
        (TimeoutError(), TIMEOUT),
        (EOFError(), "eof_error"),
        (ssl.SSLEOFError(ssl.SSL_ERROR_EOF, ""), "eof_error"),
        (ssl.SSLZeroReturnError(ssl.SSL_ERROR_ZERO_RETURN, ""), "eof_error"),
        (ssl.SSLError(ssl.SSL_ERROR_SSL, "[SSL: WRONG_VERSION_NUMBER]"), "ssl_failed_handshake"),
        (certificate_error(62), "ssl_invalid_hostname"),
        (certificate_error(20), "ssl_unknown_authority"),
        (certificate_error(18), "ssl_unknown_authority"),
        (certificate_error(10), "ssl_invalid_certificate"),
        (StepFailed("dns_nxdomain_error", "resolve"), "dns_nxdomain_error"),
        (ValueError("odd"), "unknown_failure: ValueError: odd"),
        (OSError(errno.EACCES, ""), "host_unreachable"),
        *(
            (OSError(own, os.strerror(own)), f"unknown_failure: the prober itself: {os.strerror(own).lower()}")
            for own in (
                *(errno.EMFILE, errno.EPERM, errno.EAGAIN, errno.EBADF, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL),
            )
        ),
    ],
)
def test_an_error_has_oonis_name(error: BaseException, failure: str) -> None:
    assert failure_of(error) == failure


def test_what_load_can_cause_is_doubtful_and_what_it_cannot_is_not() -> None:
    assert StepFailed(TIMEOUT, "connect").doubtful
    assert not StepFailed("connection_reset", "tls_handshake").doubtful
    assert StepFailed("unknown_failure: SIP 404 Not Found", "sip_invite", doubtful=True).doubtful


@pytest.mark.parametrize(
    ("addresses", "bogon"),
    [(("10.10.34.35",), True), (("fd00::1",), True), (("127.0.0.1",), True), (("100.64.1.1", "2001:db8::1"), False)],
)
def test_a_bogon_is_an_address_no_public_name_has(addresses: tuple[str, ...], bogon: bool) -> None:
    assert Answer(addresses).is_bogon is bogon


def test_an_answer_agrees_with_the_true_addresses_by_one_of_them() -> None:
    answer = Answer(("192.0.2.1", "192.0.2.2"))
    assert answer.agrees_with(("192.0.2.2",)) and answer.agrees_with(())
    assert not answer.agrees_with(("192.0.2.9",))


@pytest.mark.parametrize(
    ("operation", "consistent", "blocking"),
    [
        ("resolve", True, "dns"),
        ("connect", True, "tcp_ip"),
        ("connect", False, "dns"),
        ("tls_handshake", True, "http-failure"),
        ("http_round_trip", False, "dns"),
    ],
)
def test_blocking_follows_oonis_order(operation: str, consistent: bool, blocking: str) -> None:
    assert blocking_of(StepFailed(TIMEOUT, operation), consistent) == blocking


def test_only_the_servers_reset_for_our_session_counts_as_openvpns_answer() -> None:
    mine = b"12345678"
    reset = bytes([8 << 3]) + b"theirsid" + b"\x01" + b"\0\0\0\0" + mine + b"\0\0\0\0"
    assert client_reset(mine) == b"\x38" + mine + b"\0" + b"\0\0\0\0"
    assert answers(reset, mine)
    assert not answers(reset, b"87654321")
    assert not answers(client_reset(mine), mine)
    assert not answers(b"", mine)


# The app tests, with a network that fails as told.

Broken = Mapping[str, str]
V4 = "192.0.2.1"
PORTS = (("https", 443), ("tcp", 5222))
WHATSAPP = (*(Target(f"e{n}.whatsapp.net", (V4,), PORTS) for n in (1, 2)), Target("web.whatsapp.com"))
CENTRES = ("149.154.167.51", "149.154.175.50")
TELEGRAM = (*(Target("", (a,), (("http", 80), ("http", 443))) for a in CENTRES), Target("web.telegram.org"))
SIGNAL = (Target("chat.signal.org"), Target("storage.signal.org"))
MESSENGER = (Target("b-api.facebook.com", (V4,)), Target("star.c10r.facebook.com", (V4,)))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Callable[[Broken], None]:
    """Breaks places: `NAME`, `ADDRESS:PORT` or a URL, each with its failure; everything else works."""

    def install(broken: Broken) -> None:
        async def lookup(session: ProbeSession, host: str) -> Answer:
            failure = broken.get(host)
            session.trace.query(
                0.0,
                hostname=host,
                query_type="A",
                resolver="",
                engine="udp",
                answers=[] if failure else [{"answer_type": "A", "ipv4": broken.get(f"{host} is", V4)}],
                rcode=0,
                failure=failure,
                transaction=1,
            )
            if failure:
                raise StepFailed(failure, "resolve")
            return Answer((V4,))

        async def connect(session: ProbeSession, ip: str, port: int) -> TcpStream:
            failure = broken.get(f"{ip}:{port}")
            session.trace.connected(0.0, ip, port, failure, 1)
            if failure:
                raise StepFailed(failure, "connect")
            return TcpStream(session, socket.socket(), ip, port, 1)

        async def fetch(session: ProbeSession, url: str) -> None:
            if url in broken:
                raise StepFailed(broken[url], "tls_handshake")

        async def round_trip(stream: TcpStream, method: str, parts: Any) -> None:
            if f"{method} {parts.netloc}" in broken:
                raise StepFailed(broken[f"{method} {parts.netloc}"], "http_round_trip")

        for function in (lookup, connect, fetch, round_trip):
            monkeypatch.setattr(apps, function.__name__, function)

    return install


def run_app(app: str, targets: tuple[Target, ...]) -> Measurement:
    request = ProbeRequest("1", app, kinds.App.runs, AppTargets(app, targets))
    return asyncio.run(run_probe(request, Equipment()))


@pytest.mark.parametrize(
    ("app", "targets", "broken", "failure"),
    [
        ("whatsapp", WHATSAPP, {}, None),
        ("whatsapp", WHATSAPP, {f"{V4}:5222": TIMEOUT}, None),
        ("whatsapp", WHATSAPP, {f"{V4}:5222": TIMEOUT, f"{V4}:443": "connection_reset"}, TIMEOUT),
        ("whatsapp", WHATSAPP, {"e2.whatsapp.net": "dns_nxdomain_error"}, "dns_nxdomain_error"),
        ("whatsapp", WHATSAPP, {"https://web.whatsapp.com/": "connection_reset"}, "connection_reset"),
        ("telegram", TELEGRAM, {}, None),
        ("telegram", TELEGRAM, {f"{a}:{p}": TIMEOUT for a in CENTRES for p in (80, 443)}, TIMEOUT),
        ("telegram", TELEGRAM, {f"{a}:{p}": TIMEOUT for a in CENTRES[:1] for p in (80, 443)}, None),
        ("telegram", TELEGRAM, {f"POST {a}:{p}": "eof_error" for a in CENTRES for p in (80, 443)}, "eof_error"),
        ("telegram", TELEGRAM, {"https://web.telegram.org/": TIMEOUT}, TIMEOUT),
        ("signal", SIGNAL, {}, None),
        ("signal", SIGNAL, {"https://storage.signal.org/": TIMEOUT}, TIMEOUT),
        ("facebook", MESSENGER, {}, None),
        ("facebook", MESSENGER, {"b-api.facebook.com": "dns_refused_error"}, "dns_refused_error"),
        ("facebook", MESSENGER, {f"{V4}:443": TIMEOUT}, TIMEOUT),
        ("site", (Target("a.kz", (), PORTS), Target("b.kz", (), PORTS)), {"https://b.kz/": TIMEOUT}, TIMEOUT),
    ],
)
def test_an_app_is_blocked_as_oonis_test_of_it_says(
    network: Callable[[Broken], None], app: str, targets: tuple[Target, ...], broken: Broken, failure: str | None
) -> None:
    network(broken)
    found = run_app(app, targets)
    assert (found.outcome, found.failure) == (Outcome.BLOCKED if failure else Outcome.OK, failure), found.test_keys
    assert found.doubtful is (failure == TIMEOUT)


def test_telegrams_keys_tell_tcp_from_http_blocking(network: Callable[[Broken], None]) -> None:
    network({f"POST {a}:{p}": "eof_error" for a in CENTRES for p in (80, 443)})
    keys = run_app("telegram", TELEGRAM).test_keys
    assert (keys["telegram_tcp_blocking"], keys["telegram_http_blocking"]) == (False, True)


def test_a_forged_answer_blocks_messenger_though_something_answers_there(network: Callable[[Broken], None]) -> None:
    network({"b-api.facebook.com is": "192.0.2.99"})
    found = run_app("facebook", MESSENGER)
    assert (found.outcome, found.failure) == (Outcome.BLOCKED, None)
    assert found.test_keys["facebook_dns_blocking"] and not found.test_keys["facebook_tcp_blocking"]


@pytest.mark.parametrize("app", ["whatsapp", "telegram", "signal", "facebook", "site"])
def test_an_app_with_nothing_to_test_is_an_error_not_a_success(network: Callable[[Broken], None], app: str) -> None:
    network({})
    found = run_app(app, ())
    assert (found.outcome, found.failure) == (Outcome.ERROR, f"unknown_failure: {app} has nothing to test over ipv4")


def test_an_app_without_a_web_page_is_an_error_not_a_block(network: Callable[[Broken], None]) -> None:
    network({})
    assert run_app("odd", (Target("", (V4,), (("tcp", 1),)),)).outcome is Outcome.ERROR


def test_a_prober_that_breaks_is_an_error_not_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch(session: ProbeSession, url: str) -> None:
        raise ZeroDivisionError("bug")

    monkeypatch.setattr(apps, "fetch", fetch)
    found = run_app("signal", SIGNAL)
    assert found.outcome is Outcome.ERROR and "ZeroDivisionError at test_probe_verdicts.py" in (found.failure or "")


@pytest.mark.parametrize("app", ["telegram", "whatsapp"])
def test_a_prober_that_can_open_nothing_more_is_an_error_not_a_block(app: str) -> None:
    """Nobody listens at these addresses; but while it has no descriptor left, it does not find that out."""
    targets = {"telegram": TELEGRAM, "whatsapp": WHATSAPP}[app]
    here = tuple(replace(target, addresses=("127.0.0.1",)) for target in targets)
    request = ProbeRequest("1", app, kinds.App.runs, AppTargets(app, here), resolver="127.0.0.1")

    async def scarce() -> Measurement:
        usual = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, usual[1]))
        try:
            return await run_probe(request, Equipment())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, usual)

    found = asyncio.run(scarce())
    assert (found.outcome, found.failure) == (
        Outcome.ERROR, "unknown_failure: the prober itself: too many open files"
    ), found.test_keys  # fmt: skip


@pytest.mark.parametrize("operation", ["connect", "ping", "tls_handshake", "http_round_trip"])
def test_a_prober_whose_own_node_refuses_is_an_error_in_whatever_step(
    operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(session: ProbeSession, ask: object) -> None:
        raise StepFailed(failure_of(OSError(errno.EPERM, "Operation not permitted")), operation)

    monkeypatch.setattr("shutdownlab.probes.run.test_function", lambda runs: refused)
    found = asyncio.run(run_probe(ProbeRequest("1", "web", f"refused:{operation}"), Equipment()))
    assert (found.outcome, found.doubtful) == (Outcome.ERROR, False)


# HTTP over a real socket pair.


def over_a_pair(answer: bytes, use: Callable[[TcpStream], Coroutine[Any, Any, Any]], patience: float = 0.5) -> Any:
    async def run() -> Any:
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
        request = ProbeRequest("1", "web", kinds.Web.runs, timeout=patience)
        stream = TcpStream(ProbeSession(request, Equipment()), ours, "192.0.2.1", 80, 1)
        theirs.send(answer)
        theirs.shutdown(socket.SHUT_WR)
        with stream, theirs:
            return await use(stream)

    return asyncio.run(run())


async def get(stream: TcpStream) -> http.Response:
    return await http.round_trip(stream, "GET", urlsplit("http://site.test/"))


def test_a_response_is_read_to_its_end() -> None:
    response = over_a_pair(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", get)
    assert (response.code, response.body, response.truncated, response.is_fine) == (200, b"abc", False, True)


def test_a_long_body_is_cut_and_said_to_be() -> None:
    response = over_a_pair(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000, get)
    assert response.truncated and 65536 <= len(response.body) <= 200_000


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"", "eof_error"),
        (b"SSH-2.0-x\r\n\r\n", "unknown_failure"),
        (b"HTTP/1.1 200 OK\r\nContent-", "eof_error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "eof_error"),
    ],
)
def test_bytes_that_are_not_a_response_fail_the_round_trip(answer: bytes, failure: str) -> None:
    with pytest.raises(StepFailed, match=failure) as failed:
        over_a_pair(answer, get)
    assert failed.value.operation == "http_round_trip"


# OONI's records.

CONTEXT = Context(
    asn=29355,
    cc="KZ",
    network_name="Kcell",
    run="r1",
    began=datetime(2022, 1, 5, 10, 30, tzinfo=UTC),
    at=datetime(2022, 1, 5, 10, 31, tzinfo=UTC),
    software_version="0.1.0",
    annotations={"phase": "blackout"},
)


@pytest.mark.parametrize(
    ("fields", "name", "input_"),
    [
        ({"test": "web", "url": "https://www.bbc.com/"}, "web_connectivity", "https://www.bbc.com/"),
        ({"test": "app", "app": "facebook"}, "facebook_messenger", None),
        ({"test": "app", "app": "youtube"}, "urlgetter", "youtube"),
        ({"test": "dns", "host": "www.bbc.com"}, "urlgetter", "dnslookup://www.bbc.com"),
        ({"test": "tcp", "host": "2001:db8::1", "port": 443}, "urlgetter", "tcpconnect://[2001:db8::1]:443"),
        ({"test": "vpn", "host": "v.net", "port": 1194}, "openvpn", "openvpn://v.net:1194/?transport=tcp"),
        ({"test": "call"}, "x_call", "tel:77000000009"),
    ],
)
def test_a_probe_has_oonis_test_name_and_input(fields: dict[str, object], name: str, input_: str | None) -> None:
    network = library.network("kazakhstan")
    probe = Probe.model_validate(fields)
    at = Surroundings(network, network.vantages[0], Family.IPV4)
    assert (probe.ooni_name(), probe.ooni_input(at)) == (name, input_)


def as_ooni_reads(python: Path, record: Mapping[str, Any], *wanted: str) -> list[Any]:
    """What OONI's own reader, in an environment of its own, makes of a record: its class, and what is wanted of it."""
    code = (
        "import json, sys; from oonidata.dataclient import load_measurement\n"
        "read = load_measurement(json.load(sys.stdin))\n"
        "print(repr([type(read).__name__, *(eval(f'read.{each}') for each in sys.argv[1:])]))"
    )
    argv = [str(python), "-c", code, *wanted]
    done = subprocess.run(argv, input=json.dumps(record), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(ast.literal_eval(done.stdout))


@pytest.mark.thorough
def test_a_record_is_one_that_oonis_own_reader_takes(
    environment: Callable[[str], Path], network: Callable[[Broken], None]
) -> None:
    network({"https://web.whatsapp.com/": "connection_reset"})
    ask = AppTargets("whatsapp", WHATSAPP)
    request = ProbeRequest("1", "WhatsApp", kinds.App.runs, ask, resolver="192.0.2.53", ooni_test="whatsapp")
    found = asyncio.run(run_probe(request, Equipment()))
    assert as_ooni_reads(
        environment("oonidata"), record(request, found, CONTEXT),
        "probe_asn", "resolver_ip", "test_start_time",
        "test_keys.whatsapp_web_status", "test_keys.whatsapp_endpoints_status",
        "test_keys.tcp_connect.__len__()", "test_keys.tcp_connect[3].status.success",
        "test_keys.queries[0].answers[0].ipv4",
    ) == ["Whatsapp", "AS29355", "192.0.2.53", "2022-01-05 10:30:00", "blocked", "ok", 4, True, V4]  # fmt: skip


@pytest.mark.thorough
def test_a_web_record_is_one_that_oonis_own_reader_takes(environment: Callable[[str], Path]) -> None:
    trace = Trace()
    trace.requested(
        0.1, method="GET", url="https://a.kz/", headers=[("Host", "a.kz")], failure=None, transaction=1,
        code=200, response_headers=[("server", "a"), ("server", "b")], body=b"\xff\xfe",
    )  # fmt: skip
    trace.requested(0.2, method="GET", url="https://a.kz/2", headers=[], failure=TIMEOUT, transaction=2)
    trace.shook_hands(
        0.0, address="192.0.2.1:443", server_name="a.kz", failure=None, transaction=1, certificates=[b"\x30\x00"]
    )
    trace.event("read", 1, num_bytes=7)
    request = ProbeRequest(
        "1", "a.kz", kinds.Web.runs, resolver="192.0.2.53", ooni_test="web_connectivity", ooni_input="https://a.kz/"
    )
    concluded = {"blocking": "http-failure", "control": control_of(("192.0.2.1",), "<title>a</title>")}
    found = Measurement(Outcome.BLOCKED, TIMEOUT, 1.0, 0.5, trace.keys() | concluded, passes=2)
    written = record(request, replace(found, doubtful=True), CONTEXT)
    assert as_ooni_reads(
        environment("oonidata"), written,
        "test_keys.requests[0].request.url", "test_keys.requests[0].failure",
        "test_keys.requests[1].response.code", "test_keys.requests[1].response.body_bytes",
        "test_keys.requests[1].response.headers_list_str",
        "test_keys.blocking", "test_keys.tls_handshakes[0].peer_certificates[0].format",
        "test_keys.control.dns.addrs", "test_keys.control.http_request.title",
    ) == [
        "WebConnectivity", "https://a.kz/2", TIMEOUT, 200, b"\xff\xfe", [("server", "a"), ("server", "b")],
        "http-failure", "base64", ["192.0.2.1"], "a",
    ]  # fmt: skip
    assert written["test_keys"]["x_passes"] == 2 and written["annotations"]["phase"] == "blackout"
    assert not {"bucket_date", "report_filename", "backend_version"} & set(written)


def test_what_agents_ask_for_is_made_before_they_are_forked() -> None:
    run.prepare([CHECKS])
    made = run._type_asked.cache_info().misses
    registered = kinds_of(Probe)
    for name in registered:
        run._type_asked(registered[name].runs)
    run._type_asked(CHECKS)
    assert run._type_asked.cache_info().misses == made


def test_a_kind_of_probe_that_cannot_be_imported_does_not_keep_the_others_from_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Kind:
        def __init__(self, runs: str) -> None:
            self.runs = runs

    two = {"broken": Kind("shutdownlab.no_such_module:test"), "web": Kind("shutdownlab.probes.web:web_test")}
    monkeypatch.setattr(run, "kinds_of", lambda _: two)
    run._type_asked.cache_clear()
    run.prepare()
    assert run._type_asked.cache_info().currsize == 1
