"""The rule sets for websites: the versions of web_connectivity that each applies to, and its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shutdownlab.ooni.flags import judge_flags
from shutdownlab.ooni.observations import judge_observations
from shutdownlab.ooni.records import Keys, version_of
from shutdownlab.ooni.summary import judge_summary
from shutdownlab.ooni.verdict import OoniVerdict

_PROBE: Final = "https://github.com/ooni/probe-cli/blob/master/internal"


@dataclass(frozen=True, slots=True)
class VerdictRules:
    """A rule set. `since`, `before`: the versions of web_connectivity that it applies to, the latter exclusive.

    `needs_tags`: whether it depends on steps being tagged with the number of redirects.
    """

    name: str
    title: str
    since: tuple[int, ...]
    before: tuple[int, ...]
    source: str
    judge: Callable[[str, Keys, object], OoniVerdict]
    needs_tags: bool = False

    @property
    def versions(self) -> str:
        return f"{_dotted(self.since)} to before {_dotted(self.before)}"


RULE_SETS: Final = (
    VerdictRules(
        "v0.4",
        "one view of the site, summed up in a fixed order",
        (0, 4, 0),
        (0, 5, 0),
        f"{_PROBE}/experiment/webconnectivity/summary.go",
        judge_summary,
    ),
    VerdictRules(
        "v0.5",
        "every observation may raise a flag, and the weightiest decides",
        (0, 5, 0),
        (0, 5, 27),
        f"{_PROBE}/experiment/webconnectivitylte/analysiscore.go",
        judge_flags,
    ),
    VerdictRules(
        "v0.5.27",
        "observations in a line, of which the first that tells decides",
        (0, 5, 27),
        (0, 6, 0),
        f"{_PROBE}/experiment/webconnectivitylte/analysisclassic.go",
        judge_observations,
        needs_tags=True,
    ),
)
BY_NAME: Final = {rules.name: rules for rules in RULE_SETS}
OURS: Final = "shutdownlab"
"""`software_name` of our own measurements. They have a `test_version` of their own, and follow 0.4."""


def rules_of(test_version: str, software_name: str) -> VerdictRules | None:
    """Returns the rules that the probe itself used; None if its version's rules aren't known."""
    if software_name == OURS:
        return BY_NAME["v0.4"]
    version = version_of(test_version)
    return next((rules for rules in RULE_SETS if version and rules.since <= version < rules.before), None)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
