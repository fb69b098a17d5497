"""What this machine's daemons are, and whether they were tested."""

from __future__ import annotations

from shutdownlab.country import daemons


def test_another_patch_release_counts_as_tested_and_another_version_does_not() -> None:
    assert daemons.is_tested("bird", "2.0.12") and daemons.is_tested("bird", "2.0.99")
    assert (
        not daemons.is_tested("bird", "2.16.1")
        and not daemons.is_tested("bird", "3.0.12")
        and not daemons.is_tested("squid", "2.0.12")
    )


def test_every_daemon_that_was_tested_is_asked_for_its_version() -> None:
    assert {daemon for known in daemons.tested_versions().values() for daemon in known} >= set(daemons.versions())
