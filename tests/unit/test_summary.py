"""The sentence with which a run ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.reporting.summary import verdict_line
from shutdownlab.results.result import THE_MODEL, Result

OK = Result(
    phase="baseline", time=datetime(2030, 5, 1, tzinfo=UTC), operator="kcell", region="almaty", subscriber="ordinary",
    target="ping", family=Family.IPV4, outcome=Outcome.OK,
)  # fmt: skip
AS_EXPECTED = OK.model_copy(update={"expected": Outcome.OK})
UNMET = OK.model_copy(update={"expected": Outcome.BLOCKED})
HELD = AS_EXPECTED.model_copy(update={"held": THE_MODEL, "tries": 0, "certainty": "held"})
HELD_UNMET = HELD.model_copy(update={"expected": Outcome.BLOCKED})
ERROR = AS_EXPECTED.model_copy(update={"outcome": Outcome.ERROR})
UNKNOWN = AS_EXPECTED.model_copy(update={"outcome": Outcome.UNKNOWN})


@pytest.mark.parametrize(
    ("results", "faults", "sentence"),
    [
        ([OK] * 3400, (), "No expectations; 3,400 measurements."),
        (
            [OK, OK],
            ("nginx was killed",),
            "No expectations; 2 measurements, after faults of the testbed were repaired.",
        ),
        ([OK, AS_EXPECTED], (), "All 1 expectations met."),
        ([AS_EXPECTED, UNMET], (), "1 of 2 measurements were not as expected."),
        ([UNMET, ERROR], (), "2 of 2 measurements were not as expected, 1 of them because the probe itself failed."),
        (
            [UNMET, UNKNOWN],
            (),
            "2 of 2 measurements were not as expected, 1 of them because the testbed failed, or may have.",
        ),
        (
            [ERROR, UNKNOWN, UNKNOWN],
            (),
            "3 of 3 measurements were not as expected, 1 of them because the probe itself failed, 2 of them because "
            "the testbed failed, or may have.",
        ),
        ([HELD] * 454, (), "Nothing was measured: all 454 cells are held, as the model has them."),
        ([AS_EXPECTED, HELD, HELD], (), "All 1 expectations met; 2 cells are held, as the model has them."),
        ([OK, HELD], (), "No expectations; 1 measurements; 1 cells are held, as the model has them."),
        (
            [UNMET, HELD, HELD_UNMET],
            (),
            "1 of 1 measurements were not as expected; 2 cells are held, as the model has them, and 1 of them not as "
            "expected.",
        ),
    ],
)
def test_a_run_ends_with_what_was_expected_of_it(results: list[Result], faults: tuple[str], sentence: str) -> None:
    assert verdict_line(results, faults) == sentence
