"""What this machine's daemons are, and whether they were tested."""

from __future__ import annotations

from shutdownlab.country.daemons import is_tested, tested_versions, versions


def test_another_patch_release_counts_as_tested_and_another_version_does_not() -> None:
    assert is_tested("bird", "2.0.12") and is_tested("bird", "2.0.99")
    assert not is_tested("bird", "2.16.1") and not is_tested("bird", "3.0.12") and not is_tested("squid", "2.0.12")


def test_every_daemon_that_was_tested_is_asked_for_its_version() -> None:
    assert {daemon for known in tested_versions().values() for daemon in known} >= set(versions())
