"""Whom a policy, a probe or an expectation is about: by what selects, and by `not`, `any` and `all` of others."""

from __future__ import annotations

from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab import library
from shutdownlab.config.problems import BadInput
from shutdownlab.model.scope import Scope

VANTAGES = list(library.topology("two-operators").vantages())
EVERYBODY = {str(vantage.id) for vantage in VANTAGES}


def about(**scope: Any) -> set[str]:
    return {str(vantage.id) for vantage in Scope.model_validate(scope).select(VANTAGES)}


def test_not_is_everybody_else() -> None:
    assert about(**{"not": {"subscribers": ["government", "datacentre"]}}) == about(subscribers=["ordinary"])
    assert about(**{"not": {"operators": ["southcell"], "regions": ["coast"]}}) == EVERYBODY - {
        "southcell/coast/ordinary"
    }


def test_any_is_who_is_meant_by_one_of_them_and_all_who_is_by_each() -> None:
    mobile_or_state = about(any=[{"access": ["mobile"]}, {"subscribers": ["government"]}])
    assert mobile_or_state == {"southcell/capital/ordinary", "southcell/coast/ordinary", "northnet/capital/government"}
    assert about(all=[{"regions": ["capital"]}, {"access": ["mobile"]}]) == {"southcell/capital/ordinary"}


def test_they_are_limited_by_what_stands_beside_them_and_may_be_nested() -> None:
    nested = {"any": [{"not": {"access": ["fixed"]}}, {"groups": ["government"]}]}
    assert about(regions=["capital"], **nested) == {"southcell/capital/ordinary", "northnet/capital/government"}


def test_only_scopes_of_whole_operators_are_about_what_is_seen_from_outside() -> None:
    but_south = Scope.model_validate({"not": {"operators": ["southcell"]}})
    assert (but_south.covers_operator("northnet"), but_south.covers_operator("southcell")) == (True, False)
    assert not Scope.model_validate({"not": {"access": ["mobile"]}}).covers_operator("northnet")


def test_a_prefix_is_about_the_groups_that_have_their_addresses_in_it() -> None:
    second = {str(v.id) for v in VANTAGES if "100.65.2.0/24" in map(str, v.subnets)}
    assert about(prefixes=["100.65.2.0/24"]) == second == {"southcell/coast/ordinary"}
    assert about(prefixes=["2001:db8:65:2::/64"]) == second
    assert about(prefixes=["100.65.0.0/16"]) == about(operators=["southcell"])
    assert not Scope.model_validate({"prefixes": ["100.65.0.0/16"]}).covers_operator("southcell")


def test_a_share_is_about_the_first_groups_of_each_operator() -> None:
    assert about(share=0.5) == {
        "northnet/capital/ordinary", "northnet/capital/government", "southcell/capital/ordinary",
    }  # fmt: skip
    assert about(share=0.01, operators=["southcell"]) == {"southcell/capital/ordinary"}
    assert about(**{"not": {"share": 0.5}}) == EVERYBODY - about(share=0.5)
    assert about(share=1) == EVERYBODY


def made(where: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": 1,
        "name": "scopes",
        "title": "Whom",
        "topology": "two-operators",
        "policies": {"dark": {"title": "Off", "block": "everything", "where": where, "source": "made up"}},
        "probes": {"ping": {"test": "ping", "host": "8.8.8.8"}},
        "timeline": [{"phase": "dark", "at": "2030-05-01T08:00Z", "title": "", "start": ["dark"]}],
        "ends": "2030-05-02T08:00Z",
    }


def test_a_policy_for_all_but_some_cuts_off_those_and_no_others() -> None:
    found = sl.verify(made({"not": {"any": [{"subscribers": ["government"]}, {"operators": ["southcell"]}]}}))
    blocked = {result.vantage for result in found if result.outcome.value == "blocked"}
    assert blocked == {"northnet/capital/ordinary", "northnet/capital/datacentre", "northnet/coast/ordinary"}


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"not": {"operators": ["nobody"]}}, "policies.dark.where.not.operators[0]: found unknown operator 'nobody'"),
        ({"any": [{"regions": ["cost"]}]}, "policies.dark.where.any[0].regions[0]: found unknown region 'cost'"),
        ({"not": {}}, "policies.dark.where: found a scope that selects nobody"),
        ({"none": [{}]}, "policies.dark.where.none: found unknown key 'none'"),
        ({"any": {"access": ["mobile"]}}, "policies.dark.where.any: found a mapping; expected a list"),
    ],
)
def test_mistakes_are_reported_where_they_are(where: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as raised:
        sl.load(made(where))
    assert told in str(raised.value)
