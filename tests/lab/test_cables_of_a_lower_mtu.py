"""Cables that carry only shorter packets: routers tell senders so, and pages come all the same."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import shutdownlab as sl

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from narrowed import ABROAD, BACKBONE, MEMBER, TUNNEL, scenario

pytestmark = pytest.mark.thorough

HEADERS = {"-4": 20 + 8, "-6": 40 + 8}
"""What is before an echo's data."""
ONE, TWO = "one/capital/people", "two/capital/people"
WORLD, CLOUD = "world-servers", "cloud-servers"


@pytest.fixture(scope="module")
def lab() -> Iterator[sl.Lab]:
    with sl.lab(scenario()) as country:
        yield country


@pytest.fixture(autouse=True)
def quiet(lab: sl.Lab) -> None:
    lab.phase("quiet")


def ping(lab: sl.Lab, node: str, family: str, octets: int, address: str) -> subprocess.CompletedProcess[str]:
    size = str(octets - HEADERS[family])
    argv = ["ping", family, "-n", "-c", "2", "-W", "5", "-M", "do", "-s", size, address]
    return lab.node(node).exec(argv, timeout=60)


@pytest.mark.parametrize("family", ["-4", "-6"])
@pytest.mark.parametrize(
    ("sender", "receiver", "mtu"),
    [
        (ONE, WORLD, TUNNEL),
        (WORLD, ONE, TUNNEL),  # the router abroad knows of the tunnel behind the gateway
        (ONE, TWO, MEMBER),
        (TWO, ONE, MEMBER),
        (TWO, CLOUD, ABROAD),
        (CLOUD, TWO, ABROAD),
        (TWO, WORLD, BACKBONE),  # by cloud, which is its provider
        (WORLD, CLOUD, BACKBONE),
    ],
)
def test_the_longest_packet_passes_and_the_sender_of_a_longer_one_is_told(
    lab: sl.Lab, family: str, sender: str, receiver: str, mtu: int
) -> None:
    address = str(lab.node(receiver).addresses[0 if family == "-4" else 1])
    passed = ping(lab, sender, family, mtu, address)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    refused = ping(lab, sender, family, mtu + 1, address)
    assert refused.returncode and re.search(rf"mtu\s?[:=]\s?{mtu}\b", refused.stdout + refused.stderr), refused.stdout


def fetch(
    lab: sl.Lab, vantage: str, family: str, site: str, octets: int, seconds: int = 60
) -> subprocess.CompletedProcess[str]:
    """So many octets of what a site offers."""
    argv = ["curl", family, "-sS", "-o", "/dev/null", "-w", "%{size_download}", "-m", str(seconds)]
    return lab.exec(vantage, [*argv, "-r", f"0-{octets - 1}", f"{site}/bytes/1000000"])


@pytest.mark.parametrize("family", ["-4", "-6"])
@pytest.mark.parametrize(
    ("vantage", "site"), [(ONE, "www.wikipedia.org"), (TWO, "www.bbc.com"), (TWO, "kaspi.kz"), (ONE, "www.bbc.com")]
)
def test_a_page_of_many_packets_comes_over_every_cable(lab: sl.Lab, family: str, vantage: str, site: str) -> None:
    done = fetch(lab, vantage, family, f"https://{site}", 1_000_000)
    assert (done.returncode, done.stdout) == (0, "1000000"), done.stderr


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_without_icmp_longer_packets_are_in_a_black_hole_and_shorter_ones_arrive(lab: sl.Lab, family: str) -> None:
    site = "http://kaspi.kz"
    known = fetch(lab, TWO, family, site, 1_000_000)
    assert (known.returncode, known.stdout) == (0, "1000000"), known.stderr
    lab.phase("no-icmp")  # which is an hour later: the server's host has forgotten what it was told of the way
    short = fetch(lab, TWO, family, site, 1000)
    assert (short.returncode, short.stdout) == (0, "1000"), short.stderr
    timed_out = 28  # curl's own word for it
    assert fetch(lab, TWO, family, site, 1_000_000, seconds=12).returncode == timed_out
    lab.phase("quiet")
    again = fetch(lab, TWO, family, site, 1_000_000)
    assert (again.returncode, again.stdout) == (0, "1000000"), again.stderr
