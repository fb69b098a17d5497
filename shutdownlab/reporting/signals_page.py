"""Generates docs/signals.md from the scenarios that ship, for `make reference`. Works only in a checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shutdownlab import library
from shutdownlab.signals.catalogue import SIGNALS
from shutdownlab.verifier.verify import Verified, verify

PAGE: Final = Path("docs/signals.md")
_HEAD: Final = """\
# What outsiders saw, and what is emulated

<!-- Made by `make reference` from `signals:` of scenarios/*.yaml; edit those. -->

When a country goes dark, outsiders see graphs. Each line below is a documented one, with its source, held against what
the scenario's mechanisms make of the same signal: worked out by `shutdownlab verify`, without a packet. What is
documented and cannot be shown is under [left out](library.md). Which mechanism shows in which signal, how late and how
strongly: `shutdownlab detect`.

100% is the level of a quiet day. `alert`: by the detector's published rule.
"""


def rendered() -> str:
    """Returns the page. Takes some seconds, as it verifies every scenario."""
    found = [verify(name) for name, _ in library.shipped("scenarios")]
    lines = [_HEAD, "| signal | in reports | what it is of | a value every |", "| --- | --- | --- | ---: |"]
    lines += [
        f"| `{signal.name}` | {signal.title} | {signal.about} | {signal.step} min |" for signal in SIGNALS.values()
    ]
    judged = [verdict for verified in found for verdict in verified.signals]
    passed = sum(verdict.met is True for verdict in judged)
    assumed = sum(verdict.source == "ASSUMED" for verdict in judged)
    lines.append(
        f"\n{passed} of {len(judged)} facts pass, of {sum(bool(v.signals) for v in found)} scenarios. "
        f"{assumed} of them are assumed: no source says so."
    )
    for verified in found:
        lines += _scenario(verified)
    return "\n".join(lines) + "\n"


def _scenario(verified: Verified) -> Iterator[str]:
    scenario = verified.shutdown.scenario
    if not verified.signals:
        return
    yield f"\n## {scenario.title}\n\n[{scenario.name}](../scenarios/{scenario.name}.yaml)\n"
    yield "| fact | source | emulated | passed |"
    yield "| --- | --- | --- | --- |"
    for verdict in verified.signals:
        passed = {True: "yes", False: "**no**", None: "left out"}[verdict.met]
        yield f"| {_cell(verdict.expected)} | {_cell(verdict.source)} | {_cell(verdict.found)} | {passed} |"
    codes = {code for verdict in verified.signals for code in verdict.source.replace(",", " ").split()}
    yield ""
    yield " · ".join(f"{code}: {text}" for code, text in scenario.sources.items() if code in codes)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(rendered())
