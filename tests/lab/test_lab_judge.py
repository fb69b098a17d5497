"""`sl.judge` on what was measured in a country: OONI's rules, from the raw observations, say what the records say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import shutdownlab as sl

SITES = ["kaspi.kz", "http://kaspi.kz/", "www.bbc.com", "http://www.bbc.com/"]
APPS = ["whatsapp", "telegram", "signal", "facebook"]
CAPITAL, COAST = "northnet/capital", "northnet/coast"


@pytest.fixture(scope="module")
def lab() -> Iterator[sl.Lab]:
    with sl.lab("first-shutdown") as lab:
        yield lab


def judged(lab: sl.Lab, vantage: str, probes: list[str]) -> dict[str, sl.Judged]:
    judgements = sl.judge(lab.probe(vantage, probe).record for probe in probes)
    found = dict(zip(probes, judgements, strict=True))
    assert not judgements.problems
    return found


@pytest.mark.parametrize(
    ("phase", "vantage", "blocking"),
    [
        ("baseline", CAPITAL, {"kaspi.kz": False, "http://www.bbc.com/": False}),
        ("messenger", CAPITAL, {"kaspi.kz": False, "http://www.bbc.com/": False}),
        ("blackout", CAPITAL, {"kaspi.kz": "dns", "http://www.bbc.com/": "dns"}),
        ("allowlist", CAPITAL, {"http://kaspi.kz/": False, "www.bbc.com": "tcp_ip", "http://www.bbc.com/": "tcp_ip"}),
    ],
)
def test_records_of_a_country_are_judged_as_its_probes_judged_them(
    lab: sl.Lab, phase: str, vantage: str, blocking: dict[str, object]
) -> None:
    lab.phase(phase)
    found = judged(lab, vantage, SITES + APPS)
    assert {name: each.differs for name, each in found.items()} == dict.fromkeys(SITES + APPS, ())
    assert {name: found[name].fields["blocking"] for name in blocking} == blocking


def test_a_reset_of_whatsapp_is_seen_in_its_own_fields(lab: sl.Lab) -> None:
    lab.phase("messenger")
    found = judged(lab, CAPITAL, ["whatsapp", "telegram"])
    assert found["whatsapp"].fields["whatsapp_web_status"] == "blocked"
    assert found["whatsapp"].fields["whatsapp_web_failure"] == "connection_reset"
    assert found["telegram"].fields["telegram_tcp_blocking"] is False
