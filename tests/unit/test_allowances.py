"""Allowlists in layers: by whom, where to and by which name together."""

from __future__ import annotations

from typing import Any

import pytest
from layered import LAYERS, scenario

import shutdownlab as sl
from shutdownlab.compiler.boxes import compile_box
from shutdownlab.library import load
from shutdownlab.verifier.explained import explanation_lines
from shutdownlab.verifier.verdicts import Verifier
from shutdownlab.verifier.warnings import warnings_of

ONE = {"one/people", "one/pro", "one/white", "one/centre"}
ALL = ONE | {"two/people", "two/pro"}
PRO = {"one/pro", "two/pro"}
NOBODY: set[str] = set()
THROUGH = {
    "sites-of-some": {"wikipedia": PRO, "bbc": NOBODY, "bank": NOBODY, "ssh": NOBODY, "ping": NOBODY},
    "ports-of-addresses": {"wikipedia": NOBODY, "bbc": NOBODY, "bank": NOBODY, "ssh": ALL, "ping": ALL},
    "white-passes": {key: {"one/white"} for key in ("wikipedia", "bbc", "ssh", "ping")} | {"bank": NOBODY},
    "one-address": {"wikipedia": NOBODY, "bbc": {"one/people"}, "bank": ALL, "ssh": NOBODY, "ping": NOBODY},
    "names": {
        "wikipedia": {"one/white", "two/people", "two/pro"}, "bbc": {"one/pro", "two/people", "two/pro"},
        "bank": ONE, "ssh": ALL, "ping": ALL,
    },
    "names-of-addresses": {"wikipedia": NOBODY, "bbc": ALL, "bank": ONE, "ssh": ALL, "ping": ALL},
    "bank-for-pro": {"wikipedia": NOBODY, "bbc": NOBODY, "bank": PRO, "ssh": NOBODY, "ping": NOBODY},
}  # fmt: skip
"""Who gets through to what, in each layer but the one that slows."""


@pytest.fixture(scope="module")
def results() -> list[Any]:
    return list(sl.verify(scenario()).results)


@pytest.mark.parametrize("layer", THROUGH)
def test_a_layer_lets_through_what_all_of_its_keys_say_and_nothing_else(layer: str, results: list[Any]) -> None:
    through: dict[str, set[str]] = {result.target: set() for result in results if result.phase == layer}
    for result in results:
        if result.phase == layer and result.outcome.got_through:
            through[result.target].add(f"{result.operator}/{result.subscriber}")
    assert through == THROUGH[layer]


def test_what_is_allowed_of_what_is_slowed_is_not_slowed(results: list[Any]) -> None:
    fast = {(r.target, f"{r.operator}/{r.subscriber}") for r in results if r.outcome == "ok"}
    assert {who for target, who in fast if target == "file"} == PRO
    assert {who for target, who in fast if target == "film"} == NOBODY


def test_boxes_tell_apart_by_name_and_address_at_once() -> None:
    made = load(scenario())
    rules = compile_box(made.network, {n: made.scenario.policies[n] for n in ["names-of-addresses"]}, "one")
    (spared,) = (rule.when for rule in rules if rule.verdict.action == "pass")
    assert (spared.name_suffix, [str(a) for a in spared.address]) == (("bbc.com", "wikipedia.org"), ["151.101.0.0/16"])


def test_layers_of_several_policies_must_all_let_it_through() -> None:
    made = scenario()
    del made["probes"]["file"], made["probes"]["film"]
    made["timeline"] = [
        {"phase": "both", "at": "2030-01-01T00:00Z", "title": "", "start": ["one-address", "names"]},
    ]  # fmt: skip
    found = {(f"{r.operator}/{r.subscriber}", r.target) for r in sl.verify(made).results if r.outcome.got_through}
    assert {who for who, target in found if target == "bbc"} == NOBODY  # people by address, businesses by name


def test_an_unexpected_success_is_explained_by_the_allowance_that_let_it_through() -> None:
    made = scenario()
    made["timeline"][0]["expect"] = [{"outcome": "blocked", "source": "made up"}]
    verified = sl.verify(made)
    told = {verified.because(result) for result in verified.unmet}
    assert told == {"`sites-of-some` allows sites wikipedia.org with subscribers pro"}


def test_an_allowance_to_no_effect_is_warned_of() -> None:
    shutdown = load(scenario())
    found = [warned.text for warned in warnings_of(Verifier(shutdown, {}), shutdown.scenario.timeline)]
    assert "`one-address` allows inside 100.64.2.99/32 with apps bbc without any measured effect" in found
    assert not [text for text in found if "`names` allows" in text]


def test_explain_tells_which_layer_stopped_it() -> None:
    lines = list(explanation_lines(sl.explain(scenario(), at="names", vantage="one/capital/people", target="bbc")))
    assert "Policy names:" in "\n".join(lines)


def test_every_layer_is_looked_at() -> None:
    assert THROUGH.keys() == LAYERS.keys() - {"slow-but-for"}
