"""Lines that carry only shorter packets: what is longer is told so at either end, and pages come all the same."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import shutdownlab as sl

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from conditioned import scenario

pytestmark = pytest.mark.thorough

MTU = 1400
HEADERS = {"-4": 20 + 8, "-6": 40 + 8}
"""What is before an echo's data."""
TOLD = rf"mtu\s?[:=]\s?{MTU}\b"
FILE = "https://www.wikipedia.org/bytes/1000000"
PEOPLE, CENTRE = "one/capital/people", "one/capital/centre"


@pytest.fixture(scope="module")
def lab() -> Iterator[sl.Lab]:
    made = scenario()
    made["topology"]["links"]["mobile"]["mtu"] = MTU
    made["timeline"] = [{"phase": "quiet", "at": "2030-01-01T00:00Z", "title": ""}]
    made["policies"] = {}
    with sl.lab(made) as country:
        yield country


def ping(lab: sl.Lab, node: str, family: str, octets: int, address: str) -> subprocess.CompletedProcess[str]:
    size = str(octets - HEADERS[family])
    argv = ["ping", family, "-n", "-c", "2", "-W", "5", "-M", "do", "-s", size, address]
    return lab.node(node).exec(argv, timeout=60)


@pytest.mark.parametrize(("family", "abroad"), [("-4", "8.8.8.8"), ("-6", "2001:4860:4860::8888")])
def test_the_longest_packet_passes_and_a_longer_one_is_reported(lab: sl.Lab, family: str, abroad: str) -> None:
    own = str(lab.node(PEOPLE).addresses[0 if family == "-4" else 1])
    assert ping(lab, PEOPLE, family, MTU, abroad).returncode == 0
    refused = ping(lab, PEOPLE, family, MTU + 1, abroad)
    assert refused.returncode and re.search(TOLD, refused.stdout + refused.stderr)
    assert ping(lab, "world-servers", family, MTU, own).returncode == 0
    told = ping(lab, "world-servers", family, MTU + 1, own)
    assert told.returncode and re.search(TOLD, told.stdout + told.stderr)


def test_a_page_of_many_packets_comes_over_a_line_of_either_kind(lab: sl.Lab) -> None:
    for vantage, family in itertools.product((PEOPLE, CENTRE), HEADERS):
        done = lab.exec(vantage, ["curl", family, "-sS", "-o", "/dev/null", "-w", "%{size_download}", "-m", "60", FILE])
        assert (done.returncode, done.stdout) == (0, "1000000"), done.stderr
