"""Groups of an operator's subscribers that are not as many each: postpaid and prepaid, hospitals, businesses."""

from __future__ import annotations

import pytest

from shutdownlab.library import load
from shutdownlab.model.topology import Access, SubscriberClass, Subscribers, shares_of


def group(share: float | None = None, class_: SubscriberClass = SubscriberClass.ORDINARY) -> Subscribers:
    return Subscribers.model_validate({"class": class_, "access": Access.MOBILE, "share": share})


def test_groups_without_a_share_divide_what_is_left_alike() -> None:
    groups = {
        "postpaid": group(0.25),
        "prepaid": group(),
        "business": group(),
        "state": group(None, SubscriberClass.GOVERNMENT),
    }
    assert shares_of(groups) == pytest.approx({"postpaid": 0.25, "prepaid": 0.375, "business": 0.375})


def test_groups_of_which_none_has_a_share_are_as_many_each() -> None:
    assert shares_of({"one": group(), "two": group()}) == {"one": 0.5, "two": 0.5}


def test_in_kashmir_postpaid_are_a_quarter_of_each_operators_subscribers_in_a_district() -> None:
    weights = {str(v.id): v.weight for v in load("kashmir-2019").topology.vantages()}
    assert weights["airtel/valley/prepaid"] == pytest.approx(3 * weights["airtel/valley/postpaid"])
    assert sum(w for name, w in weights.items() if name.startswith("airtel/")) == pytest.approx(5)
