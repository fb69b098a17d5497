"""What a switch counts of policies' rules, between two looks at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shutdownlab.network.flow_statistics import StatisticsMissing, rule_counts, since


def test_only_what_was_met_since_the_first_look_counts() -> None:
    before, now = {("cut", 2): (10, 1000), ("dpi", 5): (3, 300)}, {("cut", 2): (14, 1400), ("dpi", 5): (3, 300)}
    assert since(before, now) == {("cut", 2): (4, 400)}


def test_of_rules_that_were_put_anew_in_between_all_counts() -> None:
    assert since({("cut", 2): (10, 1000)}, {("cut", 2): (4, 400)}) == {("cut", 2): (4, 400)}


def test_nobody_is_asked_about_no_policies_and_a_switch_that_is_gone_is_reported(tmp_path: Path) -> None:
    assert rule_counts(tmp_path / "gone.mgmt", ()) == {}
    with pytest.raises(StatisticsMissing, match=r"gone\.mgmt: .*No such file"):
        rule_counts(tmp_path / "gone.mgmt", ("cut",))
