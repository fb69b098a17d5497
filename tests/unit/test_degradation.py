"""Lines that orders make worse: what comes of it, who is meant, and what the delay line does once it is told."""

from __future__ import annotations

from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.compiler.lines import line_of
from shutdownlab.library import load
from shutdownlab.network.delay_line import DelayedLink, LinkDirection
from shutdownlab.protocol.messages import Applied, LineSetting, Retune, decode, encode
from shutdownlab.verifier.explained import explanation_lines

MOBILE = {"where": {"access": ["mobile"]}}


def scenario(**policies: dict[str, Any]) -> dict[str, Any]:
    """Two operators, and one phase with all these policies in force."""
    titled = {name: {"title": name, "source": "made up", **policy} for name, policy in policies.items()}
    return {
        "format": 1,
        "name": "degraded",
        "title": "Degraded",
        "topology": "two-operators",
        "policies": titled,
        "probes": {
            "www.bbc.com": {"test": "web", "url": "https://www.bbc.com/"},
            "download": {"test": "throughput", "url": "https://www.bbc.com/bytes/1000000"},
            "encyclopedia": {"test": "throughput", "url": "https://www.wikipedia.org/bytes/1000000"},
            "call": {"test": "call"},
        },
        "timeline": [{"phase": "now", "at": "2030-05-01T00:00Z", "title": "", "start": list(policies)}],
        "ends": "2030-05-02T00:00Z",
    }


def found(made: dict[str, Any], who: str) -> dict[str, set[str]]:
    """The outcomes of probes of all vantage points whose name begins so."""
    cells: dict[str, set[str]] = {}
    for result in sl.verify(made):
        if str(result.vantage).startswith(who):
            cells.setdefault(result.target, set()).add(result.outcome.value)
    return cells


def test_second_generation_throttles_downloads_of_mobile_lines_and_lets_pages_and_calls_through() -> None:
    made = scenario(slow={"degrade": {"generation": "2G"}, **MOBILE})
    assert found(made, "southcell") == {
        "www.bbc.com": {"ok"}, "download": {"throttled"}, "encyclopedia": {"throttled"}, "call": {"ok"},
    }  # fmt: skip
    assert found(made, "northnet")["download"] == {"ok"}


@pytest.mark.parametrize("generation", ["3G", "4G"])
def test_later_generations_are_fast_enough(generation: str) -> None:
    assert found(scenario(slow={"degrade": {"generation": generation}, **MOBILE}), "southcell")["download"] == {"ok"}


def test_a_rate_of_some_traffic_leaves_the_rest() -> None:
    made = scenario(slow={"degrade": {"rate": {"down": "256kbit"}}, "only": {"apps": ["wikipedia"]}})
    assert found(made, "")["encyclopedia"] == {"throttled"}
    assert found(made, "")["download"] == {"ok"}


def test_a_rate_of_one_direction_leaves_the_other() -> None:
    made = scenario(slow={"degrade": {"rate": {"up": "64kbit"}}})
    assert found(made, "")["download"] == {"ok"}


def test_cells_that_depend_on_losses_are_called_undecided() -> None:
    made = scenario(slow={"degrade": {"loss": 0.2}, **MOBILE})
    verdict = next(r for r in sl.verify(made) if r.operator == "southcell")
    assert verdict.outcome.value == "unknown"
    assert "loses 20 % of them" in (verdict.failure or "")


def test_of_several_orders_the_worst_figure_of_each_counts() -> None:
    loaded = load(
        scenario(
            lossy={"degrade": {"loss": 0.1, "delay": "20ms"}},
            long={"degrade": {"delay": "200ms", "jitter": "30ms"}},
        )
    )
    vantage = next(v for v in loaded.network.vantages if v.access.value == "mobile")
    line = line_of(loaded.topology.links["mobile"], vantage, loaded.scenario.policies)
    assert (round(line.delay, 3), line.jitter, round(line.loss, 3)) == (0.21, 0.03, 0.1)
    assert line.policies == ("lossy", "long")


def test_an_explanation_tells_how_long_the_line_is_and_what_the_switch_holds_it_to() -> None:
    made = scenario(slow={"degrade": {"generation": "2G"}, **MOBILE})
    text = "\n".join(explanation_lines(sl.explain(made, at="now", vantage="southcell/coast", target="download")))
    assert "southcell-coast      subscriber:  a line of 410 ms one way for slow" in text
    assert "access switch:  holds it to 256 kbit/s for slow" in text
    assert "except: {sites" not in text  # which a line that is long for all that it carries cannot


def test_a_line_that_is_retuned_delays_and_loses_what_comes_from_then_on() -> None:
    line = LinkDirection(DelayedLink("line", None, "a", "b", 10.0), "seed")
    line.accept(bytes(64), 0.0)
    line.retune(LineSetting(400.0))
    line.accept(bytes(64), 0.0)
    assert line.release(0.01) == [bytes(64)]
    assert line.due == pytest.approx(0.4)
    line.retune(LineSetting(0.0, loss=1.0))
    line.accept(bytes(64), 1.0)
    assert line.lost == 1


def test_what_a_delay_line_is_told_and_says_survives_the_wire() -> None:
    told = Retune(3, {"line0a": LineSetting(400.0, 20.0, 0.05)})
    assert decode(encode(told)) == told
    assert decode(encode(Applied(3))) == Applied(3)
