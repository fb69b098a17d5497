"""What the report's sentences say of regions and of lists of them."""

from __future__ import annotations

import pytest

from shutdownlab.reporting.page.words import places, within


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("The other twelve regions", "the other twelve regions"),
        ("About fifteen provinces", "about fifteen provinces"),
        ("Four more universities", "four more universities"),
        ("Elsewhere", "elsewhere"),
        ("Almaty", "Almaty"),
        ("North Kazakhstan", "North Kazakhstan"),
        ("Theoule", "Theoule"),
    ],
)
def test_a_title_begins_with_a_capital_within_a_sentence_only_if_it_is_a_name(title: str, said: str) -> None:
    assert within(title) == said


def test_places_are_in_a_sentence_as_one_would_say_them() -> None:
    assert places(["Tashkent", "The other regions"]) == "in Tashkent and the other regions"
    assert places(["Elsewhere"]) == "elsewhere"
    assert places(["Elsewhere", "Yangon"], "in all of") == "in all of Yangon and elsewhere"
    assert places(["Doda, Kishtwar", "Kargil"]) == "in Doda, Kishtwar; and Kargil"
