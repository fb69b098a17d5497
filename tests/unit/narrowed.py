"""A country with cables of a lower MTU: a tunnel to the gateway, a port at the exchange, and two abroad."""

from __future__ import annotations

from conditioned import Json
from conditioned import scenario as conditioned

TUNNEL, MEMBER, ABROAD, BACKBONE = 1476, 1440, 1420, 1400
"""The MTU of operator one's tunnel, of operator two's port, and of `cloud`'s cables to the gateway and to `world`."""
NO_ICMP = {"title": "No pings", "source": "made up", "at": "access", "by": "address", "block": {"protocols": ["icmp"]}}


def scenario() -> Json:
    """As plain data: a quiet phase, and one in which operator one drops all ICMP."""
    made = conditioned()
    topology = made["topology"]
    topology["operators"]["one"]["transit"] = ["world"]
    topology["operators"]["two"] = {
        "title": "Two", "asn": 64502, "subscribers": 1, "transit": ["cloud"],
        "prefixes": ["100.65.0.0/16", "2001:db8:65::/48"],
        "regions": {"capital": {"people": {"access": "fixed"}}},
    }  # fmt: skip
    topology["cables"] = {
        "one to gateway": {"mtu": TUNNEL},
        "exchange to two": {"mtu": MEMBER},
        "cloud to gateway": {"mtu": ABROAD},
        "world to cloud": {"mtu": BACKBONE},
    }
    made["probes"] = {key: made["probes"][key] for key in ("bbc", "wikipedia", "bank")}
    made["policies"] = {"no-icmp": NO_ICMP | {"where": {"operators": ["one"]}}}
    made["timeline"] = [
        {"phase": "quiet", "at": "2030-01-01T00:00Z", "title": ""},
        {"phase": "no-icmp", "at": "2030-01-01T01:00Z", "title": "", "start": ["no-icmp"]},
    ]
    return made
