"""Our tool against the policy that we guard, with real packets: `pytest tests`."""

import pytest

pytestmark = pytest.mark.shutdown("policies/ours.yaml", phases=["bank-only"], subscribers=["southcell/coast"])


def test_our_tool_still_reaches_the_bank(country, phase, subscriber):
    done = country.exec(subscriber, ["curl", "--silent", "--fail", "--max-time", "10", "https://kaspi.kz/"])
    assert done.returncode == 0, done.stderr
