"""`judge` on files: of any size, of apps, of ours, and of what cannot be judged."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ooni_files import FIELDS, Json, answer, connect, control, lines, measurement, query, request, website

import shutdownlab as sl
from shutdownlab.ooni.reading import MAX_LINE
from shutdownlab.reporting.judgements import judgement_table

URL, HOST, ADDRESS = "http://blocked.example/", "blocked.example", "93.184.216.34"
SAYS = dict(zip(FIELDS, ("tcp_ip", False, "consistent", None, None), strict=True))


def dropped(version: str = "0.4.3", **says: object) -> Json:
    """Every connect fails, and the test helper's does not."""
    return website(
        URL,
        version,
        queries=[query(HOST, answer(ADDRESS, 15133))],
        connects=[connect(ADDRESS, 80, "generic_timeout_error")],
        helper=control(ADDRESS, tcp={f"{ADDRESS}:80": None}, asns={ADDRESS: 15133}),
        says=SAYS | says,
    )


def judge(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shutdownlab", "judge", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def test_json_lines_have_the_verdict_and_where_the_file_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(lines(dropped(), dropped(blocking=False, accessible=True)))
    done = judge("m.jsonl", "--format", "jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert {name: first[name] for name in ("input", *FIELDS)} == {"input": URL} | SAYS
    assert first["differs"] == []
    assert (first["rules"], first["line"]) == ("v0.4", 1)
    why = "every connect failed; DNS is consistent"
    assert second["differs"] == [
        {"field": "blocking", "file": False, "judged": "tcp_ip", "why": why},
        {"field": "accessible", "file": True, "judged": False, "why": why},
    ]
    assert done.stderr == "2 measurements judged; of 1 the file says something else\n"


def test_the_table_has_a_line_a_measurement_and_a_line_a_difference(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(lines(dropped(), dropped(blocking=False)))
    done = judge("m.jsonl", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "line    rules               blocking      accessible  DNS           input",
        f"1       v0.4                tcp_ip        false       consistent    {URL}",
        f"2       v0.4                tcp_ip        false       consistent    {URL}",
        "        blocking: tcp_ip; the file says false (every connect failed; DNS is consistent)",
        "2 measurements judged; of 1 the file says something else",
    ]


def test_what_a_file_says_cannot_steer_the_terminal() -> None:
    clear = "\x1b[2J\r"
    failed = measurement("signal", "0.2.4", None, {"requests": [request("https://cdn.signal.org/", clear)]})
    said = dropped(blocking=clear, dns_consistency=clear)
    table = list(judgement_table(sl.judge([said, failed])))
    assert all(row.isprintable() for row in table), table
    assert "        blocking: tcp_ip; the file says \\x1b[2J\\r (every connect failed; DNS is consistent)" in table
    assert any(row.endswith("(cdn.signal.org: \\x1b[2J\\r)") for row in table)


@pytest.mark.parametrize(
    ("version", "rules"),
    [("0.4.0", "v0.4"), ("0.4.3", "v0.4"), ("0.5.0", "v0.5"), ("0.5.26", "v0.5"), ("0.5.27", "v0.5.27")],
)
def test_a_file_is_judged_by_the_rules_of_its_own_version(version: str, rules: str) -> None:
    assert [found.rules for found in sl.judge(dropped(version))] == [rules]


@pytest.mark.parametrize("rules", ["v0.4", "v0.5", "v0.5.27"])
def test_rules_can_be_forced(rules: str) -> None:
    assert [found.rules for found in sl.judge(dropped("0.0.1"), rules=rules)] == [rules]


def test_steps_without_tags_are_judged_by_rules_that_need_none() -> None:
    untagged = dropped("0.5.28")
    for step in (*untagged["test_keys"]["queries"], *untagged["test_keys"]["tcp_connect"]):
        del step["tags"], step["transaction_id"]
    assert [(found.rules, found.fields["blocking"]) for found in sl.judge(untagged)] == [("v0.5", "tcp_ip")]


def test_rules_that_there_are_none_of_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(lines(dropped()))
    done = judge("m.jsonl", "--rules", "v0.3", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "--rules: found 'v0.3'; expected one of v0.4, v0.5, v0.5.27\n1 problem found; the command stopped.\n"
    )


@pytest.mark.parametrize("rules", ["v0.4", "v0.5", "v0.5.27"])
@pytest.mark.parametrize(("claimed", "blocking"), [("consistent", "http-failure"), ("inconsistent", "dns")])
def test_what_the_file_does_not_decide_is_taken_over_from_it_and_said_so(
    claimed: str, blocking: str, rules: str
) -> None:
    """The AS of the test helper's address is in no file of an old test helper."""
    there = website(
        URL,
        queries=[query(HOST, answer("93.184.216.34", 15133))],
        connects=[connect("93.184.216.34", 80)],
        requests=[request(URL, "connection_reset")],
        helper=control("93.184.216.35"),
        says={"dns_consistency": claimed},
    )
    (found,) = sl.judge(there, rules=rules)
    assert found.fields["dns_consistency"] == claimed
    assert found.fields["blocking"] == blocking
    missing = "the file does not give the AS of every address that the test helper was answered with"
    assert found.assumed == {"dns_consistency": missing}


# -- apps -------------------------------------------------------------------------------------------------------------


def app(name: str, version: str, **keys: Any) -> sl.Judged:
    judgements = sl.judge(measurement(name, version, None, keys))
    (found,) = judgements
    assert not judgements.problems
    return found


WHATSAPP = {
    "queries": [
        query("e1.whatsapp.net", answer("1.0.0.1", 32934)),
        query("e2.whatsapp.net", answer("1.0.0.2", 32934)),
        query("web.whatsapp.com", answer("1.0.0.3", 32934)),
    ],
    "requests": [request("https://web.whatsapp.com/"), request("https://v.whatsapp.net/v2/register")],
}


def test_whatsapp_is_blocked_where_no_endpoint_is_reached() -> None:
    shut = [connect(f"1.0.0.{n}", port, "connection_reset") for n in (1, 2) for port in (443, 5222)]
    found = app("whatsapp", "0.11.0", **WHATSAPP, tcp_connect=shut).fields
    assert found["whatsapp_endpoints_status"] == "blocked"
    assert found["whatsapp_endpoints_blocked"] == ["e1.whatsapp.net", "e2.whatsapp.net"]
    assert (found["whatsapp_web_status"], found["registration_server_status"]) == ("ok", "ok")


def test_whatsapp_is_ok_where_one_port_of_one_endpoint_is_open() -> None:
    shut = [connect(f"1.0.0.{n}", port, "connection_reset") for n in (1, 2) for port in (443, 5222)]
    shut[3] = connect("1.0.0.2", 5222)
    found = app("whatsapp", "0.11.0", **WHATSAPP, tcp_connect=shut).fields
    assert found["whatsapp_endpoints_status"] == "ok"
    assert found["whatsapp_endpoints_blocked"] == ["e1.whatsapp.net"]


@pytest.mark.parametrize("status", ["ok", "blocked"])
def test_whatsapps_endpoints_are_as_the_file_says_where_none_was_looked_up(status: str) -> None:
    rest = WHATSAPP | {"queries": [q for q in WHATSAPP["queries"] if not q["hostname"].startswith("e")]}
    found = app("whatsapp", "0.11.0", **rest, tcp_connect=[], whatsapp_endpoints_status=status)
    assert found.fields["whatsapp_endpoints_status"] == status
    assert found.assumed == {"whatsapp_endpoints_status": "no endpoint was looked up"}


def test_whatsapps_web_fails_by_the_failure_of_its_request() -> None:
    requests = [request("https://web.whatsapp.com/", "connection_reset"), WHATSAPP["requests"][1]]
    found = app("whatsapp", "0.11.0", **WHATSAPP | {"requests": requests}).fields
    assert (found["whatsapp_web_status"], found["whatsapp_web_failure"]) == ("blocked", "connection_reset")


REGISTRATION = request("https://v.whatsapp.net/v2/register", code=400)
PLAIN, SECURE = "http://web.whatsapp.com/", "https://web.whatsapp.com/"


@pytest.mark.parametrize(
    ("version", "plain", "web"),
    [
        ("0.9.0", request(PLAIN, code=302, headers={"Location": SECURE}), None),
        (
            "0.9.0",
            request(PLAIN, code=302, headers={"location": "http://block.example/"}),
            "http_unexpected_redirect_url",
        ),
        ("0.9.0", request(PLAIN, code=403), "http_unexpected_status_code"),
        ("0.9.0", request(PLAIN, "connection_reset"), "connection_reset"),
        ("0.7.0", request(PLAIN, code=200), None),
        ("0.7.0", request(PLAIN, "connection_reset"), "connection_reset"),
        ("0.10.0", request(PLAIN, "connection_reset"), None),
    ],
)
def test_whatsapps_web_is_to_redirect_from_http_too_before_010(version: str, plain: Json, web: str | None) -> None:
    found = app("whatsapp", version, **WHATSAPP | {"requests": [request(SECURE), plain]}).fields
    assert (found["whatsapp_web_failure"], found["whatsapp_web_status"]) == (web, "blocked" if web else "ok")


@pytest.mark.parametrize(
    ("version", "failure"), [("0.9.0", "http_request_failed"), ("0.10.0", "http_request_failed"), ("0.11.0", None)]
)
def test_whatsapps_registration_is_to_answer_below_400_before_011(version: str, failure: str | None) -> None:
    found = app("whatsapp", version, **WHATSAPP | {"requests": [request(SECURE), REGISTRATION]}).fields
    assert found["registration_server_failure"] == failure


CENTRE = "149.154.175.50"


@pytest.mark.parametrize(
    ("connected", "posted", "tcp", "http"),
    [
        (None, None, False, False),
        (None, "connection_reset", False, True),
        ("generic_timeout_error", "generic_timeout_error", True, True),
    ],
)
def test_telegrams_data_centres_are_blocked_by_tcp_or_by_http(
    connected: str | None, posted: str | None, tcp: bool, http: bool
) -> None:
    found = app(
        "telegram",
        "0.3.1",
        queries=[query("web.telegram.org", answer("149.154.167.99", 62041))],
        tcp_connect=[connect(CENTRE, 80, connected)],
        requests=[request(f"http://{CENTRE}/", posted, method="POST"), request("https://web.telegram.org/", code=200)],
        telegram_http_blocking=http,
        telegram_tcp_blocking=tcp,
        telegram_web_failure=None,
        telegram_web_status="ok",
    )
    assert (found.fields["telegram_tcp_blocking"], found.fields["telegram_http_blocking"]) == (tcp, http)
    assert found.differs == ()


TELEGRAMS_PAGE = "<html><title>Telegram Web</title>"


@pytest.mark.parametrize(
    ("version", "plain", "page", "failure"),
    [
        ("0.2.0", None, TELEGRAMS_PAGE, None),
        ("0.2.0", "connection_reset", TELEGRAMS_PAGE, "connection_reset"),
        ("0.2.0", None, "<title>Blocked</title>", "telegram_missing_title_error"),
        ("0.3.0", "connection_reset", "<title>Blocked</title>", None),
    ],
)
def test_telegrams_web_is_judged_on_http_too_and_by_its_title_before_03(
    version: str, plain: str | None, page: str, failure: str | None
) -> None:
    """As in January 2022 in Kazakhstan, whose measurements are of 0.2.0."""
    pages = [
        request("http://web.telegram.org/", plain, code=0 if plain else 301),
        request("https://web.telegram.org/", code=200, body=page),
    ]
    posts = [request(f"http://{CENTRE}/", method="POST", code=501)]
    says: Json = {"telegram_web_failure": failure, "telegram_web_status": "blocked" if failure else "ok"}
    says |= {"telegram_http_blocking": False, "telegram_tcp_blocking": False}
    found = app("telegram", version, tcp_connect=[connect(CENTRE, 80)], requests=posts + pages, **says)
    assert found.fields["telegram_web_failure"] == failure
    assert found.differs == ()


def test_the_failure_of_any_page_of_telegrams_web_will_do_before_03_but_a_status_of_400_is_one() -> None:
    pages = [
        request("http://web.telegram.org/", code=404, body=TELEGRAMS_PAGE),
        request("https://web.telegram.org/", "generic_timeout_error"),
    ]
    for told in ("http_request_failed", "generic_timeout_error"):
        says = {"telegram_web_failure": told, "telegram_web_status": "blocked"}
        found = app(
            "telegram", "0.2.0", requests=pages, telegram_http_blocking=True, telegram_tcp_blocking=True, **says
        )
        assert found.differs == ()


def test_signals_servers_whose_lookup_failed_are_blocked_though_nothing_was_asked_of_them() -> None:
    """The name of its uptime is only looked up, and is not judged."""
    uptime = query("uptime.signal.org", failure="dns_nxdomain_error")
    failed = query("cdn.signal.org", failure="generic_timeout_error")
    assert app("signal", "0.2.4", queries=[uptime]).fields["signal_backend_status"] == "ok"
    found = app("signal", "0.2.4", queries=[failed, uptime]).fields
    assert (found["signal_backend_status"], found["signal_backend_failure"]) == ("blocked", "generic_timeout_error")


def test_signal_is_blocked_where_one_server_is_and_any_of_its_failures_will_do() -> None:
    requests = [
        request("https://storage.signal.org/", "generic_timeout_error"),
        request("https://cdn.signal.org/", "connection_reset"),
        request("https://cdn2.signal.org/", code=404),
    ]
    for told in ("generic_timeout_error", "connection_reset"):
        found = app("signal", "0.2.4", requests=requests, signal_backend_status="blocked", signal_backend_failure=told)
        assert found.differs == ()
    wrong = app("signal", "0.2.4", requests=requests, signal_backend_status="ok", signal_backend_failure=None)
    assert [each.field for each in wrong.differs] == ["signal_backend_failure", "signal_backend_status"]


def test_facebooks_names_are_to_be_in_facebooks_as_and_reachable_there() -> None:
    found = app(
        "facebook_messenger",
        "0.2.1",
        queries=[
            query("b-api.facebook.com", answer("157.240.1.1", 32934)),
            query("b-graph.facebook.com", answer("157.240.1.2", 32934)),
            query("edge-mqtt.facebook.com", answer("10.10.34.36")),
            query("star.c10r.facebook.com", failure="dns_nxdomain_error"),
        ],
        tcp_connect=[connect("157.240.1.1", 443), connect("157.240.1.2", 443, "generic_timeout_error")],
    ).fields
    assert (found["facebook_b_api_dns_consistent"], found["facebook_b_api_reachable"]) == (True, True)
    assert (found["facebook_b_graph_dns_consistent"], found["facebook_b_graph_reachable"]) == (True, False)
    assert (found["facebook_edge_dns_consistent"], found["facebook_edge_reachable"]) == (False, None)
    assert (found["facebook_star_dns_consistent"], found["facebook_star_reachable"]) == (False, None)
    assert found["facebook_stun_dns_consistent"] is None
    assert (found["facebook_dns_blocking"], found["facebook_tcp_blocking"]) == (True, True)


# -- files ------------------------------------------------------------------------------------------------------------


def inputs(path: Path) -> list[str | None]:
    return [found.input for found in sl.judge(path)]


def test_a_file_may_be_lines_one_document_or_an_array_compressed_or_not(tmp_path: Path) -> None:
    several = [dropped(), dropped()]
    kinds = {
        "lines.jsonl": lines(*several),
        "lines.jsonl.gz": gzip.compress(lines(*several)),
        "two-members.jsonl.gz": gzip.compress(lines(dropped())) + gzip.compress(lines(dropped())),
        "blank-lines.jsonl": b"\n" + lines(dropped()) + b"\n  \n" + lines(dropped()) + b"\n",
        "no-last-end.jsonl": lines(*several).rstrip(),
        "crlf.jsonl": lines(*several).replace(b"\n", b"\r\n"),
        "bom.jsonl": b"\xef\xbb\xbf" + lines(*several),
        "boms.jsonl": (b"\xef\xbb\xbf" + lines(dropped())) * 2,
        "array.json": json.dumps(several).encode(),
        "array-an-element-a-line.json": b"[" + lines(*several).strip().replace(b"\n", b",\n") + b"]\n",
        "array-with-its-end-apart.json": b"[" + lines(*several).strip().replace(b"\n", b"\n,") + b"\n]\n",
        "commas.json": lines(*several).replace(b"\n", b",\n"),
        "indented-array.json": json.dumps(several, indent=2).encode(),
    }
    for name, content in kinds.items():
        (tmp_path / name).write_bytes(content)
        assert inputs(tmp_path / name) == [URL, URL], name
    (tmp_path / "indented.json").write_text(json.dumps(dropped(), indent=2))
    assert inputs(tmp_path / "indented.json") == [URL]


def test_of_an_array_it_is_reported_which_element_a_verdict_or_problem_is_of(tmp_path: Path) -> None:
    (tmp_path / "array.json").write_text(json.dumps([dropped(), measurement("ndt", "0.10.0", None, {}), {}, dropped()]))
    table = judge("array.json", cwd=tmp_path)
    assert table.returncode == 2
    assert [row.split()[0] for row in table.stdout.splitlines()[1:3]] == ["1:1", "1:4"]
    assert "array.json:1: element 2: found a measurement of 'ndt'" in table.stderr
    assert "array.json:1: element 3: found a JSON object of another kind" in table.stderr
    told = map(json.loads, judge("array.json", "--format", "jsonl", cwd=tmp_path).stdout.splitlines())
    assert [(each["line"], each["element"]) for each in told] == [(1, 1), (1, 4)]

    (tmp_path / "lines.jsonl").write_bytes(lines(dropped(), dropped()))
    (tmp_path / "cut.json").write_text(json.dumps([dropped(), dropped()])[:-40])
    assert [(found.line, found.element) for found in sl.judge(tmp_path / "lines.jsonl")] == [(1, 0), (2, 0)]
    cut = judge("cut.json", cwd=tmp_path).stderr
    assert "cut.json:1: found a line that is not JSON" in cut and "element" not in cut


BAD = {
    "not-json": (
        b"{nonsense\n",
        "found a line that is not JSON (JSON is malformed: object keys must be strings (byte 1))",
    ),
    "truncated": (lines(dropped())[:400], "found a line that is not JSON (Input data was truncated)"),
    "a number": (b"12\n", "found int; expected object"),
    "no test": (b"{}\n", "found a JSON object of another kind (Object missing required field `test_name`)"),
    "another test": (lines(measurement("ndt", "0.10.0", None, {})), "found a measurement of 'ndt'; expected one of"),
    "an older version": (
        lines(dropped("0.0.1")),
        "found web_connectivity of version '0.0.1'; expected 0.4.0 to before",
    ),
    "a newer version": (lines(dropped("0.6.0")), "found web_connectivity of version '0.6.0'; expected 0.4.0 to before"),
    "no version": (lines(dropped("newest")), "found web_connectivity of version 'newest'; expected 0.4.0 to before"),
    "no URL": (lines(dropped() | {"input": "nonsense"}), "found the input 'nonsense'; expected the URL of the website"),
    "no input": (lines(dropped() | {"input": None}), "found the input None; expected the URL of the website"),
    "a wrong type": (
        lines(measurement("web_connectivity", "0.4.3", URL, {"queries": [{"answers": 1}]})),
        "found int at test_keys.queries[0].answers; expected array | null",
    ),
    "nothing observed": (
        lines(measurement("signal", "0.2.4", None, {})),
        "found a measurement without raw observations; expected queries, tcp_connect, tls_handshakes or requests",
    ),
    "no keys": (lines(measurement("signal", "0.2.4", None, {}) | {"test_keys": None}), "found null at test_keys"),
    "deep": (b'{"test_name": "signal", "x": ' + b"[" * 100_000 + b"\n", "found a line that is not JSON ("),
    "not UTF-8": (b'{"test_name": "\xff"}\n', "found a line that is not UTF-8"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_judged_gets_one_message_and_all_else_is_judged(tmp_path: Path, name: str) -> None:
    content, message = BAD[name]
    (tmp_path / "m.jsonl").write_bytes(lines(dropped()) + content)
    done = judge("m.jsonl", "--format", "jsonl", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 1
    counted, problem, total = done.stderr.splitlines()
    assert counted == "1 measurement judged, all as the file says"
    assert problem.startswith(f"m.jsonl:2: {message}")
    assert total == "1 problem found; all others were judged."


def test_of_very_many_problems_the_first_hundred_are_reported_and_all_are_counted(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(lines(dropped()) + b"nonsense\n" * 5000)
    done = judge("m.jsonl", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == ["and 4,900 more problems", "5,000 problems found; all others were judged."]
    assert len(done.stderr.splitlines()) == 102


def test_of_a_file_without_a_measurement_one_message_says_so(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(b"nonsense\n" * 5000)
    done = judge("m.jsonl", cwd=tmp_path)
    assert done.returncode == 2
    problem, total = done.stderr.splitlines()
    assert problem.startswith(
        "m.jsonl:1: found no measurement in any of 5,000 lines; in the first, a line that is not JSON"
    )
    assert total == "1 problem found; nothing was judged."


def test_a_line_of_a_message_is_a_number_and_no_picture(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(lines(dropped()) + b"\n" * 98 + b"nonsense\n")
    assert judge("m.jsonl", cwd=tmp_path).stderr.startswith("m.jsonl:100: found a line that is not JSON")


def test_measurements_of_another_test_or_version_get_one_message_however_many(tmp_path: Path) -> None:
    others = [measurement("ndt", "0.10.0", None, {})] * 3000 + [dropped("0.0.1")] * 2
    (tmp_path / "m.jsonl").write_bytes(lines(dropped(), *others))
    done = judge("m.jsonl", cwd=tmp_path)
    assert done.returncode == 2
    ndt, old, total = done.stderr.splitlines()
    assert ndt.startswith(
        "m.jsonl:2: found a measurement of 'ndt', the first of 3,000; expected one of web_connectivity"
    )
    assert old.startswith("m.jsonl:3002: found web_connectivity of version '0.0.1', the first of 2; expected 0.4.0 to")
    assert total == "2 problems found; all others were judged."


def test_other_tests_of_a_run_here_are_counted_and_are_no_problem(tmp_path: Path) -> None:
    ours = measurement("x_throughput", "0.1.0", None, {}) | {"software_name": "shutdownlab"}
    (tmp_path / "m.jsonl").write_bytes(lines(ours, dropped(), ours))
    done = judge("m.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("1 measurement judged, all as the file says; 2 of other tests skipped\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found an empty file; expected a file of OONI measurements, a JSON object a line, also compressed"),
        (b"\n\n", "found an empty file; expected a file of OONI measurements, a JSON object a line, also compressed"),
        (
            gzip.compress(lines(dropped()) * 100, mtime=0)[:-9],
            "found the compressed data ends in the middle; expected a whole",
        ),
        (
            gzip.compress(lines(dropped()), mtime=0) + b"appended",
            "found the bytes after the compressed data were left out; expected a whole file",
        ),
    ],
)
def test_a_file_with_nothing_in_it_or_cut_off_is_reported(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m").write_bytes(content)
    done = judge("m", cwd=tmp_path)
    assert done.returncode == 2
    assert any(line.startswith(f"m: {message}") for line in done.stderr.splitlines()), done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x28\xb5\x2f\xfdgarbage", "found the compressed data is damaged ("),
        (lines(dropped()).decode().encode("utf-16"), "found text in UTF-16; expected a file of OONI measurements"),
        (b"m.jsonl".ljust(257, b"\0") + b"ustar\x0000" + lines(dropped()), "found a tar archive; expected a file of"),
    ],
)
def test_a_file_of_another_kind_gets_that_message_alone(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m").write_bytes(content)
    done = judge("m", cwd=tmp_path)
    assert done.returncode == 2
    problem, *_, total = done.stderr.splitlines()
    assert problem.startswith(f"m: {message}"), done.stderr
    assert total in {"1 problem found; the command stopped.", "1 problem found; nothing was judged."}


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    done = judge("nothing.jsonl", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("nothing.jsonl: found no such file or directory; expected a file of OONI")


_PEAK = """
import sys
from pathlib import Path
import shutdownlab as sl
judgements = sl.judge(sys.argv[1])
count = sum(1 for _ in judgements)
# Not getrusage's: that of what has executed this one counts there.
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(count, int(peak) // 1024, *judgements.problems, sep="\\n")
"""


def read_in_another_process(path: Path) -> tuple[int, int, list[str]]:
    """How many are judged, the most memory that it took in MiB, and the problems."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path)], capture_output=True, text=True, timeout=600, check=True
    )
    count, peak, *problems = done.stdout.splitlines()
    return int(count), int(peak), problems


def test_a_line_above_64_mib_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(lines(dropped()) + b'{"test_name": "web_connectivity", "x": "')
        for _ in range(500):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n' + lines(dropped()))
    count, peak, problems = read_in_another_process(path)
    size = (500 << 20) + len('{"test_name": "web_connectivity", "x": ""}')
    expected = f"expected at most {MAX_LINE:,} of a measurement; it was skipped"
    assert (count, problems) == (2, [f"{path}:2: found {size:,} octets; {expected}"])
    assert peak < 300


def test_a_file_of_any_size_is_read_in_bounded_memory(tmp_path: Path) -> None:
    padded = dropped()
    padded["test_keys"]["network_events"] = [{"operation": "read", "t": n} for n in range(500)]
    with gzip.open(tmp_path / "m.jsonl.gz", "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(lines(padded) * 30)
    count, peak, problems = read_in_another_process(tmp_path / "m.jsonl.gz")
    assert (count, problems) == (9000, [])
    assert peak < 120
