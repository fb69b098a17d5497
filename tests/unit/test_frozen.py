"""What is let through for so many bytes, and what stays blocked once it has been: orders that DPI boxes remember."""

from __future__ import annotations

from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.compiler.boxes import compile_box
from shutdownlab.compiler.program import compile_switch
from shutdownlab.config.scalars import size, size_text
from shutdownlab.config.wording import Expected
from shutdownlab.library import load
from shutdownlab.verifier.explained import explanation_lines

BBC = {"addresses": ["151.101.0.0/16", "2a04:4e40::/32"]}
PROBES = {
    "page": {"test": "web", "url": "https://www.bbc.com/", "families": ["ipv4", "ipv6"]},
    "file": {"test": "throughput", "url": "https://www.bbc.com/bytes/1000000"},
    "bank": {"test": "throughput", "url": "https://kaspi.kz/bytes/1000000"},
    "ping": {"test": "ping", "host": "8.8.8.8"},
}


def scenario(**policies: dict[str, Any]) -> dict[str, Any]:
    """Two operators, and one phase with all these policies in force."""
    return {
        "format": 1, "name": "frozen", "title": "", "topology": "two-operators", "probes": PROBES,
        "policies": {name: {"title": name, "source": "made up", **policy} for name, policy in policies.items()},
        "timeline": [{"phase": "now", "at": "2030-05-01T00:00Z", "title": "", "start": list(policies)}],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip


def found(made: dict[str, Any], who: str = "") -> dict[str, set[tuple[str, str | None]]]:
    cells: dict[str, set[tuple[str, str | None]]] = {}
    for result in sl.verify(made):
        if str(result.vantage).startswith(who):
            cells.setdefault(result.target, set()).add((result.outcome.value, result.failure))
    return cells


@pytest.mark.parametrize(
    ("text", "bytes_"), [("16KiB", 16384), ("500kB", 500_000), ("1.5 MiB", 1_572_864), ("20B", 20)]
)
def test_sizes_have_a_unit(text: str, bytes_: int) -> None:
    assert size(text) == bytes_
    assert size(size_text(bytes_)) == bytes_


@pytest.mark.parametrize("text", [16384, "16384", "16K", "16kib", "0B", "2000MiB"])
def test_what_has_no_unit_is_no_size(text: object) -> None:
    with pytest.raises(Expected):
        size(text)


@pytest.mark.parametrize("block", [{"sites": ["bbc.com"]}, BBC, {"apps": ["bbc"]}, {"ports": [443], **BBC}])
def test_a_frozen_connection_opens_and_never_ends_however_it_was_recognised(block: dict[str, Any]) -> None:
    cells = found(scenario(frozen={"block": block, "freeze_after": "16KiB"}), "southcell")
    assert cells["page"] == cells["ping"] == {("ok", None)}  # a page is smaller
    assert cells["file"] == {("blocked", "generic_timeout_error")}
    assert cells["bank"] == ({("blocked", "generic_timeout_error")} if "ports" in block else {("ok", None)})


def test_what_is_spared_is_not_frozen() -> None:
    frozen = {"block": "everything", "freeze_after": "16KiB", "except": {"sites": ["kaspi.kz"]}}
    cells = found(scenario(frozen=frozen | {"where": {"operators": ["northnet"]}}), "northnet")
    assert cells["file"] == {("blocked", "generic_timeout_error")}
    assert cells["bank"] == cells["page"] == cells["ping"] == {("ok", None)}


def test_what_is_longer_than_the_size_alone_is_frozen() -> None:
    assert found(scenario(frozen={"block": BBC, "freeze_after": "2MiB"}))["file"] == {("ok", None)}


def test_a_block_outweighs_a_freeze_and_of_two_freezes_the_shorter_counts() -> None:
    frozen = {"block": {"sites": ["bbc.com"]}, "freeze_after": "16KiB"}
    blocked = {"block": {"sites": ["bbc.com"]}, "action": "drop"}
    assert found(scenario(frozen=frozen, blocked=blocked))["page"] == {("blocked", "generic_timeout_error")}
    made = load(scenario(frozen=frozen, later=frozen | {"freeze_after": "64KiB"}))
    rules = compile_box(made.network, made.scenario.policies, "northnet")
    assert {rule.verdict.cap_bytes for rule in rules if rule.when.name_suffix} == {16384}


def test_switches_drop_nothing_that_boxes_freeze() -> None:
    made = load(scenario(frozen={"block": "everything", "freeze_after": "16KiB"}))
    for node in made.network.nodes.values():
        if node.role.is_openflow:
            program = compile_switch(made.network, made.apps, made.scenario.policies, node.name)
            assert not [rule for rule in program.rules if rule.policy and not rule.goto and not rule.outputs]


def test_the_bytes_of_the_end_that_answers_are_counted() -> None:
    made = load(scenario(frozen={"block": {"sites": ["bbc.com"]}, "freeze_after": "16KiB"}))
    rules = compile_box(made.network, made.scenario.policies, "northnet")
    counted = {rule.when.opener: rule.verdict.directions for rule in rules if rule.verdict.action == "freeze"}
    assert counted == {"inside": "server", "outside": "client"}


def test_explain_tells_who_froze_it() -> None:
    made = scenario(frozen={"block": {"sites": ["bbc.com"]}, "freeze_after": "16KiB"})
    told = "\n".join(explanation_lines(sl.explain(made, at="now", vantage="northnet/coast", target="file")))
    assert "freezes it for frozen" in told
    assert "Policy frozen: frozen" in told


def test_what_is_caught_stays_blocked_as_the_policy_says() -> None:
    kept = {"block": {"sites": ["bbc.com"]}, "residual": {"for": "60s", "key": "2-tuple"}}
    made = load(scenario(kept=kept))
    (rule,) = compile_box(made.network, made.scenario.policies, "northnet")
    assert rule.verdict.action == "block"  # whatever the profile does
    assert rule.verdict.residual is not None
    assert (rule.verdict.residual.key, rule.verdict.residual.seconds) == ("2-tuple", 60.0)
    assert {outcome for outcome, _ in found(scenario(kept=kept))["page"]} == {"blocked"}
