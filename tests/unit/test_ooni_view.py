"""The report `ooni`: where OONI's tests would say of a run what is not so."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ooni_files import Json, answer, connect, control, measurement, query, request, website

from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.reporting.ooni_view import misleading, views_of
from shutdownlab.results.result import Result

AT = datetime(2030, 5, 1, tzinfo=UTC)
URL, HOST, ADDRESS = "https://a.example/", "a.example", "192.0.2.7"


def result(target: str, outcome: Outcome, phase: str = "one", region: str = "capital") -> Result:
    return Result(
        phase=phase,
        time=AT,
        operator="northnet",
        region=region,
        subscriber="ordinary",
        target=target,
        family=Family.IPV4,
        outcome=outcome,
    )


def record(of: Result, found: Json, step: str | None = None) -> Json:
    """A measurement as a run here writes it. step: the one that failed."""
    keys = {"x_id": f"{of.phase} {of.vantage} {of.target} {of.family}", "failed_operation": step}
    return found | {"software_name": "shutdownlab", "test_version": "0.1.0", "test_keys": found["test_keys"] | keys}


def site(*answers: str, connected: str | None = None, fetched: str | None = None, lookup: str | None = None) -> Json:
    return website(
        URL,
        queries=[query(HOST, *map(answer, answers), failure=lookup)],
        connects=[connect(each, 443, connected) for each in answers],
        requests=[request(URL, fetched or connected or lookup, code=200)],
        helper=control(ADDRESS),
    )


GENUINE = site(ADDRESS)
RESET = site(ADDRESS, fetched="connection_reset")
DROPPED = site(ADDRESS, connected="generic_timeout_error")
NO_SUCH_NAME = site(lookup="dns_nxdomain_error")
REFUSED = site(lookup="dns_refused_error")
APP_REACHED = measurement("signal", "0.1.0", None, {"requests": [request("https://cdn.signal.org/", code=404)]})
APP_LOST = measurement("signal", "0.1.0", None, {"requests": [request("https://cdn.signal.org/", "eof_error")]})


def told(found: Json, outcome: Outcome, step: str | None = None, beside: tuple[Result, ...] = ()) -> list[str]:
    cell = result("it", outcome)
    return list(misleading(views_of([cell, *beside], [record(cell, found, step)])))


@pytest.mark.parametrize(
    ("found", "outcome", "step"),
    [
        (GENUINE, Outcome.OK, None),
        (RESET, Outcome.BLOCKED, "http_round_trip"),
        (DROPPED, Outcome.BLOCKED, "connect"),
        (NO_SUCH_NAME, Outcome.BLOCKED, "resolve"),
        (APP_REACHED, Outcome.OK, None),
        (APP_LOST, Outcome.BLOCKED, "resolve"),
    ],
)
def test_a_right_conclusion_of_oonis_tests_is_not_reported(found: Json, outcome: Outcome, step: str | None) -> None:
    assert told(found, outcome, step) == ["Of 1 measurement by OONI's tests, 0 would mislead."]


@pytest.mark.parametrize(
    ("found", "outcome", "step", "what"),
    [
        (GENUINE, Outcome.BLOCKED, None, "accessible, though it is blocked"),
        (REFUSED, Outcome.BLOCKED, "resolve", "nothing, though it is blocked"),
        (RESET, Outcome.BLOCKED, "resolve", "http-failure, though it is DNS"),
        (DROPPED, Outcome.DOWN, "connect", "tcp_ip, though the server, or the way to it, is down"),
        (APP_LOST, Outcome.DOWN, None, "an anomaly, though the server, or the way to it, is down"),
        (APP_LOST, Outcome.OK, None, "an anomaly, though it is reached"),
        (GENUINE, Outcome.THROTTLED, None, "accessible, though the line is throttled"),
    ],
)
def test_a_wrong_conclusion_of_oonis_tests_is_reported(
    found: Json, outcome: Outcome, step: str | None, what: str
) -> None:
    assert told(found, outcome, step) == [f"one: it (1): {what}", "Of 1 measurement by OONI's tests, 1 would mislead."]


def test_a_line_is_throttled_where_a_download_says_so() -> None:
    slow = result("speed", Outcome.THROTTLED)
    assert told(GENUINE, Outcome.OK, beside=(slow,))[0] == "one: it (1): accessible, though the line is throttled"
    for elsewhere in (slow.model_copy(update={"phase": "two"}), slow.model_copy(update={"region": "coast"})):
        assert told(GENUINE, Outcome.OK, beside=(elsewhere,)) == ["Of 1 measurement by OONI's tests, 0 would mislead."]


def test_what_has_no_verdict_or_no_test_of_oonis_is_left_out() -> None:
    assert told(RESET, Outcome.UNKNOWN) == ["Of 1 measurement by OONI's tests, 0 would mislead."]
    for other in (measurement("x_call", "0.1.0", None, {}), measurement("signal", "0.1.0", None, {})):
        assert told(other, Outcome.OK) == ["Of 0 measurements by OONI's tests, 0 would mislead."]
