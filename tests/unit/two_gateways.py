"""A country with two gateways: the national one, and a research network's with a foreign transit of its own."""

from __future__ import annotations

from conditioned import Json
from conditioned import scenario as conditioned

ONE, TWO, DEPENDENT = "one/capital/people", "two/capital/people", "three/capital/people"

AWAY = {
    "quiet": set[str](), "national": {"one"}, "other": {"two", "three"}, "both": {"one", "two", "three"},
    "no-research": {"two", "three"}, "no-national": {"one"}, "cut": {"two", "three"},
}  # fmt: skip
"""By phase, whose subscribers reach nothing abroad."""


def scenario() -> Json:
    """As plain data: all that goes abroad is blocked at one gateway, at the other, at both, and at none; then the
    switch of the one is dead, or the cable of an operator to the other is cut."""
    made = conditioned()
    topology = made["topology"]
    topology["gateways"] = {"research": {"title": "Research network"}}
    topology["transits"]["cloud"]["gateway"] = "research"
    topology["operators"]["one"]["transit"] = ["world"]
    for number, (name, transit) in enumerate({"two": "cloud", "three": "two"}.items()):
        topology["operators"][name] = {
            "title": name.title(), "asn": 64502 + number, "subscribers": 1, "transit": [transit],
            "prefixes": [f"100.{65 + number}.0.0/16", f"2001:db8:{65 + number}::/48"],
            "gateway": "research", "regions": {"capital": {"people": {"access": "fixed"}}},
        }  # fmt: skip
    topology["operators"]["three"]["exchange"] = False
    made["probes"] = {key: made["probes"][key] for key in ("bbc", "wikipedia", "bank")}
    order = {"title": "", "source": "made up", "at": "gateway", "block": "everything"}
    made["policies"] = {
        "at-the-national-one": order | {"where": {"gateways": ["gateway"]}},
        "at-the-other": order | {"where": {"gateways": ["research"]}},
        "at-both": order,
    }
    made["faults"] = {
        "no-research": {"title": "", "source": "made up", "kill": {"switches": ["research"]}},
        "no-national": {"title": "", "source": "made up", "kill": {"switches": ["gateway"]}},
        "cut": {"title": "", "source": "made up", "cut": ["two to research"]},
    }
    phases = [
        ("quiet", {}), ("national", {"start": ["at-the-national-one"]}),
        ("other", {"stop": ["at-the-national-one"], "start": ["at-the-other"]}),
        ("both", {"stop": ["at-the-other"], "start": ["at-both"]}),
        ("no-research", {"stop": ["at-both"], "faults": ["no-research"]}),
        ("no-national", {"faults": ["no-national"]}), ("cut", {"faults": ["cut"]}),
    ]  # fmt: skip
    made["timeline"] = [
        {"phase": name, "at": f"2030-01-01T{hour:02}:00Z", "title": "", **more}
        for hour, (name, more) in enumerate(phases)
    ]
    made["expectations"] = {}
    return made
