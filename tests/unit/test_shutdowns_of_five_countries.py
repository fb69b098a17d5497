"""How the shutdowns of Belarus, Egypt, Iran, Russia and Syria work, where facts alone do not show it."""

from __future__ import annotations

import pytest
from documented import Fact, cell, shipped
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app


@pytest.mark.parametrize(
    ("scenario", "phase", "vantage", "target", "server"),
    [
        ("syria-exams-2019", "exam-2", "syriatel/aleppo", "public-dns", "answered, and the answer did not arrive"),
        ("iran-2019", "tci", "tci/kurdistan", "ping", "answered, and the answer did not arrive"),
        ("iran-june-2025", "blackout", "tci/kurdistan", "www.bbc.com", "received nothing"),
    ],
)
def test_whether_questions_still_leave_the_country_depends_on_the_means(
    scenario: str, phase: str, vantage: str, target: str, server: str
) -> None:
    asked = ["explain", scenario, "--at", phase, "--from", vantage, "--to", target]
    assert f"The server: {server}\n" in CliRunner().invoke(app, asked).output


def test_a_name_that_only_contains_twitters_is_fast_again_once_the_rule_has_been_mended() -> None:
    made = dict(shipped("russia-twitter-2021"))
    unmended = {
        name: policy | {"inspect": [rule for rule in policy["inspect"] if rule["name"] != "only-looks-like-it"]}
        for name, policy in made["policies"].items()
        if name.endswith("-exact")
    }
    made["policies"] = made["policies"] | unmended
    fact = Fact("russia-twitter-2021", "exact", "mts/moscow/ordinary", "www.microsoft.com", "mobile-exact")
    assert cell(sl.verify(fact.scenario, at=fact.phase), fact).outcome == "ok"
    assert cell(sl.verify(made, at=fact.phase), fact).outcome == "throttled"
