"""A country whose paths have routers: TTL-limited probes find the DPI box where it is, and traces the way to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from invocation import SMALL

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome
from shutdownlab.verifier.explain import explain

SITE = "www.bbc.com"
WAY = [
    "100.64.0.131", "100.64.0.130", "100.64.0.129",  # the routers on the subscriber's line
    "100.64.4.1",  # its operator's border
    "198.18.48.33", "198.18.48.34",  # those on the link of the second transit
    "198.18.32.2",  # its router
]  # fmt: skip
TTL_LIMITED = r"""
import json, socket, ssl, struct, sys

address, name = sys.argv[1:]
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
try:
    context = ssl.create_default_context()
    context.set_ecdh_curve("prime256v1")  # OpenSSL 3.5 would send a share of ML-KEM too, and two segments
    context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
except ssl.SSLWantReadError:
    hello = outgoing.read()
errors = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
for ttl in range(1, 10):
    with socket.create_connection((address, 443), 10) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        own = probe.getsockname()[1]
        probe.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        probe.send(hello)
        # Whatever comes of it comes within the round trip, or the kernel sends again: one wait for all three.
        probe.settimeout(1)
        try:
            said = "answer" if probe.recv(1) else "end"
        except ConnectionResetError:
            said = "reset"
        except TimeoutError:
            said = "silence"
    router = None
    errors.setblocking(False)
    try:
        while True:
            packet, sender = errors.recvfrom(2048)
            if packet[20] == 11 and struct.unpack("!H", packet[48:50])[0] == own:
                router = sender[0]
    except BlockingIOError:
        pass
    print(json.dumps([ttl, said, router]))
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("far")
    topology = yaml.safe_load((Path(__file__).parents[2] / "topologies/two-operators.yaml").read_text())
    for kind, count in (("fixed", 3), ("transit", 2)):
        topology["links"][kind]["hops"] = count
    (place / "far.yaml").write_text(yaml.safe_dump(topology, sort_keys=False))
    resets = {
        "title": "Resets", "block": {"sites": [SITE]}, "by": "dpi", "action": "reset",
        "where": {"operators": ["northnet"]}, "source": "FACT",
    }  # fmt: skip
    probe = {"test": "web", "url": f"https://{SITE}/", "families": ["ipv4", "ipv6"]}
    timeline = [
        {"phase": "before", "at": "2030-05-01T08:00Z", "title": "Before", "expect": []},
        {"phase": "resets", "at": "2030-05-02T08:00Z", "title": "Resets", "start": ["resets"], "expect": []},
    ]
    made = {
        **{key: SMALL[key] for key in ("format", "name", "title", "sources") if key in SMALL},
        "topology": "far.yaml", "profile": "gfw-tls", "policies": {"resets": resets}, "probes": {"site": probe},
        "expectations": {}, "timeline": timeline, "ends": "2030-05-03T08:00Z",
    }  # fmt: skip
    path = place / "far-country.yaml"
    path.write_text(yaml.safe_dump(made, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def country(scenario: Path) -> Iterator[sl.Lab]:
    with sl.lab(scenario) as lab:
        yield lab
        assert lab.faults == ()


def probed(lab: sl.Lab, scenario: Path) -> list[tuple[int, str, str | None]]:
    hosted = sl.load(scenario).network.hosted_as(SITE)
    assert hosted is not None
    address = str(hosted.addresses[0])
    said = lab.exec("northnet/coast", ["python3", "-c", TTL_LIMITED, address, SITE], check=True, timeout=60).stdout
    return [tuple(json.loads(line)) for line in said.splitlines()]


def test_a_trace_shows_every_router_in_its_order_and_only_a_ttl_for_all_of_them_reaches_the_server(
    country: sl.Lab, scenario: Path
) -> None:
    country.phase("before")
    assert probed(country, scenario) == [
        *[(ttl, "silence", router) for ttl, router in enumerate(WAY, 1)], (8, "answer", None), (9, "answer", None),
    ]  # fmt: skip


def test_the_smallest_ttl_that_is_reset_is_the_box_s_place_as_explain_says(country: sl.Lab, scenario: Path) -> None:
    country.phase("resets")
    found = probed(country, scenario)
    told = dict(explain(scenario, at="resets", vantage="northnet/coast", target="site").ttls)
    assert told == {"northnet-box": 5, "transit-two-servers": 8}
    assert [said for _, said, _ in found] == ["silence"] * 4 + ["reset"] * 5
    assert [router for _, _, router in found][:4] == WAY[:4]


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_probes_come_out_as_in_the_model(country: sl.Lab, scenario: Path, family: str) -> None:
    for phase in ("before", "resets"):
        country.phase(phase)
        for vantage in ("northnet/coast", "southcell/coast"):
            seen = country.probe(vantage, "site", family)
            modelled = explain(scenario, at=phase, vantage=vantage, target="site", family=family).verdict
            assert (seen.outcome, seen.failure) == (modelled.outcome, modelled.failure)
            blocked = phase == "resets" and vantage == "northnet/coast"
            assert (seen.outcome is Outcome.BLOCKED) is blocked
