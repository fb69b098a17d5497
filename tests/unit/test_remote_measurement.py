"""What Censored Planet's methods make of what came back: Hyperquack's trials, CenTrace's hops, permutations."""

from __future__ import annotations

import csv
import json
import ssl
from dataclasses import replace

import pytest
import trustme
from countries import small_country

from shutdownlab.model.remote_measurement import Server, request_for, servers_asked
from shutdownlab.model.topology import VantageId
from shutdownlab.observers import cenfuzz, centrace
from shutdownlab.observers.centrace import Hop, Trace, hop_of
from shutdownlab.observers.exchanges import Exchange
from shutdownlab.observers.hyperquack import Trial, answer_of, evaluation

SERVER = Server(VantageId("northnet", "capital", "datacentre"), "dc", "100.64.3.80", "http")
PAGE = b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2030 00:00:00 GMT\r\nServer: nginx\r\n\r\nhello"
LATER = PAGE.replace(b"00:00:00", b"00:00:09")
RESET = "read tcp 198.51.100.129:1->100.64.3.80:80: read: connection reset by peer"


def asked(received: bytes = b"", error: str = "", router: str = "", connected: bool = True) -> Exchange:
    made = Exchange("198.51.100.129", SERVER.address, 80, b"", received=received, error=error, connected=connected)
    made.began, made.ended = 100.0, 100.5
    made.exceeded = (router, b"") if router else None
    return made


def trial(*tries: Exchange, first: Exchange | None = None, controls: tuple[Exchange, Exchange] | None = None) -> Trial:
    template = answer_of(asked(PAGE))
    assert template is not None
    same, clean = controls or (None, None)
    return Trial(SERVER, "www.bbc.com", first or asked(LATER), tries, same, clean, template)


def test_answers_are_alike_whatever_their_date() -> None:
    assert answer_of(asked(PAGE)) == answer_of(asked(LATER)) != answer_of(asked(PAGE + b" "))
    assert answer_of(asked(PAGE, error=RESET)) is None and answer_of(asked(b"220 hello")) is None


@pytest.mark.parametrize(
    ("made", "anomaly", "controls_failed", "stateful"),
    [
        (trial(asked(LATER)), False, False, False),
        (trial(asked(error=RESET), asked(PAGE)), False, False, False),
        (trial(asked(error=RESET), asked(error=RESET), controls=(asked(PAGE), asked(PAGE))), True, False, False),
        (trial(asked(error=RESET), asked(error=RESET), controls=(asked(error=RESET), asked(PAGE))), True, False, True),
        (
            trial(asked(), asked(), first=asked(error="EOF"), controls=(asked(error="EOF"), asked(error="EOF"))),
            True,
            True,
            False,
        ),
    ],
)
def test_a_name_is_blocked_where_controls_are_answered_and_it_is_not(
    made: Trial, anomaly: bool, controls_failed: bool, stateful: bool
) -> None:
    assert (made.anomaly, made.controls_failed, made.stateful_block) == (anomaly, controls_failed, stateful)
    assert made.blocked == (anomaly and not controls_failed)


def test_an_echo_is_what_was_sent_and_nothing_else() -> None:
    request = request_for("www.bbc.com")

    def echoed(received: bytes, error: str = "") -> Exchange:
        return Exchange("198.51.100.129", SERVER.address, 7, request, received=received, error=error)

    assert answer_of(echoed(request)) == {} != answer_of(echoed(b"HTTP/1.1 403 Forbidden\r\n\r\n"))
    assert answer_of(echoed(b"", RESET)) is None
    server = replace(SERVER, service="echo")
    found = json.loads(evaluation(server, [echoed(request), echoed(request)], float))
    assert "issue" not in found and "template" not in found


def test_an_echo_server_is_asked_wherever_a_web_server_is() -> None:
    asked_for = [(str(server.vantage), server.service, server.port) for server in servers_asked(small_country())]
    place = "northnet/capital/datacentre"
    assert asked_for == [(place, "http", 80), (place, "https", 443), (place, "echo", 7)]


def test_a_line_has_the_fields_that_censored_planet_publishes() -> None:
    made = trial(asked(error=RESET), asked(b"HTTP/1.1 403 Forbidden\r\n\r\nno"), controls=(asked(PAGE), asked(PAGE)))
    found = json.loads(made.line(("Nowhere", "ZZ"), lambda wall: wall + 1000))
    keys = ["vp", "location", "service", "test_url", "response", "anomaly", "controls_failed", "stateful_block", "tag"]
    assert list(found) == keys
    assert found["location"] == {"country_name": "Nowhere", "country_code": "ZZ"}
    assert [("control_url" in each, each["matches_template"]) for each in found["response"]] == [
        (True, True), (False, False), (False, False), (True, True), (True, True),
    ]  # fmt: skip
    assert found["response"][1]["error"] == RESET
    assert found["response"][2]["response"] == {"status_line": "403 Forbidden", "headers": {}, "body": "no"}
    assert (found["response"][0]["start_time"], found["response"][0]["end_time"]) == (
        "1970-01-01T00:18:20.000Z", "1970-01-01T00:18:20.500Z",
    )  # fmt: skip


def test_an_evaluation_has_a_template_where_answers_agree_and_an_issue_where_they_do_not() -> None:
    same = json.loads(evaluation(SERVER, [asked(PAGE), asked(LATER)], float))
    other = json.loads(evaluation(SERVER, [asked(PAGE), asked(PAGE + b"x")], float))
    none = json.loads(evaluation(SERVER, [asked(error="EOF"), asked(error="EOF")], float))
    assert same["template"]["body"] == "hello" and "issue" not in same
    assert (other["issue"], none["issue"]) == ("answers differ", "no answer") and "template" not in none


@pytest.mark.parametrize(
    ("made", "hop"),
    [
        (asked(PAGE), Hop("HTTP", "", PAGE)),
        (asked(b"\x16\x03\x03"), Hop("TLS", "", b"\x16\x03\x03")),
        (asked(error=RESET, router="10.0.0.1"), Hop("RST", "10.0.0.1")),
        (asked(error="EOF"), Hop("FIN")),
        (asked(error="i/o timeout", router="10.0.0.1"), Hop("ICMP_TTL", "10.0.0.1")),
        (asked(error="i/o timeout"), Hop("TIMEOUT")),
        (asked(error="i/o timeout", connected=False), Hop("HANDSHAKE_TIMEOUT")),
    ],
)
def test_what_came_of_a_packet_is_named_as_centrace_does(made: Exchange, hop: Hop) -> None:
    assert hop_of(made) == hop


ROUTERS = {1: Hop("ICMP_TTL", "10.0.0.1"), 2: Hop("ICMP_TTL", "10.0.0.2"), 3: Hop("ICMP_TTL", "10.0.0.3")}
CONTROL = {**ROUTERS, 4: Hop("HTTP", "", PAGE)}
AFTER = {3: Hop("TIMEOUT"), 4: Hop("TIMEOUT")}


@pytest.mark.parametrize(
    ("censored", "code", "end", "middlebox", "on_path"),
    [
        (CONTROL, "NO_OBSERVED_CENSORSHIP", 4, SERVER.address, False),
        ({**ROUTERS, 2: Hop("RST"), 3: Hop("RST"), 4: Hop("RST")}, "CAN_IDENTIFY_SERVER", 2, "10.0.0.2", False),
        ({**ROUTERS, 2: Hop("RST", "10.0.0.2"), 4: Hop("RST")}, "CAN_IDENTIFY_SERVER", 2, "10.0.0.2", True),
        ({**ROUTERS, **AFTER}, "CAN_IDENTIFY_SERVER", 3, "10.0.0.3", False),
        ({**ROUTERS, 4: Hop("RST")}, "ENDPOINT_FIREWALL", 4, SERVER.address, False),
    ],
)
def test_a_box_is_where_the_names_trace_ends(
    censored: dict[int, Hop], code: str, end: int, middlebox: str, on_path: bool
) -> None:
    trace = Trace(SERVER.address, "www.bbc.com", censored, CONTROL)
    assert (trace.code, trace.end, trace.middlebox, trace.on_path) == (code, end, middlebox, on_path)
    [row] = csv.reader(centrace.analysed([trace], {"10.0.0.2": "64501/ZZ"}).decode().splitlines()[1:])
    assert len(row) == len(centrace.COLUMNS) and row[2] == f"ResponseCode.{code}"


def test_a_trace_whose_control_never_arrives_tells_nothing() -> None:
    assert Trace(SERVER.address, "www.bbc.com", ROUTERS, ROUTERS).code == "PROBE_TERMINATED_EARLY"


def test_every_clienthello_is_one_that_openssl_reads_or_refuses_by_its_version_or_ciphers() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # Debian's Python leaves it to ciphers to refuse older ones
    trustme.CA().issue_cert("kaspi.kz").configure_cert(context)
    names = []
    context.sni_callback = lambda _object, name, _context: names.append(name)
    refused = set()
    for permutation in cenfuzz.permutations("https"):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(permutation.made("www.bbc.com"))
        try:
            context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            refused.add((permutation.strategy, error.reason))
    assert refused == {
        ("Max Version Alternate", "UNSUPPORTED_PROTOCOL"),
        ("CipherSuite Alternate", "NO_SHARED_CIPHER"),
    }
    assert {"www.bbc.com", "**www.bbc.com*", "www.bbc.comwww.bbc.com", "mail.bbc.com", "www.bbc.net", None} <= {*names}


def test_a_permutation_that_is_answered_as_the_control_is_evades_the_box() -> None:
    made = [next(cenfuzz.permutations("http")), *[p for p in cenfuzz.permutations("http") if "TLD" in p.strategy]]
    results = [cenfuzz.Result(made[0], asked(error=RESET), asked(PAGE))]
    results += [cenfuzz.Result(each, asked(LATER), asked(PAGE)) for each in made[1:]]
    found = [json.loads(line) for line in cenfuzz.lines("www.bbc.com", "http", results, float)]
    assert [(each["IsNormal"], each["MatchesNormal"], each["MatchesUncensored"]) for each in found] == [
        (True, True, False), *[(False, False, True)] * 3,
    ]  # fmt: skip
    assert found[0]["UncensoredDifferences"] == "No expected response;Different error;"
    assert found[2]["Request"].endswith("Host:www.bbc.xyz\r\n\r\n")
    assert found[2]["UncensoredRequest"].endswith("Host:example.xyz\r\n\r\n")
