"""Why a machine can't make a user namespace, and what the user is told to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from shutdownlab.system.kernel import no_user_namespace


@pytest.mark.parametrize(
    ("setting", "value", "number", "why", "mend"),
    [
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1\n",
            errno.EPERM,
            "Ubuntu 24.04's default",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            "kernel/unprivileged_userns_clone",
            "0\n",
            errno.EPERM,
            "kernel.unprivileged_userns_clone is 0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            "user/max_user_namespaces",
            "0\n",
            errno.ENOSPC,
            "user.max_user_namespaces is 0",
            "sudo sysctl -w user.max_user_namespaces=10000",
        ),
        ("user/max_user_namespaces", "9\n", errno.EPERM, "usual in a container", "--privileged"),
    ],
)
def test_each_reason_has_its_remedy(setting: str, value: str, number: int, why: str, mend: str, tmp_path: Path) -> None:
    place = tmp_path / setting
    place.parent.mkdir()
    place.write_text(value)
    problem = no_user_namespace(OSError(number, os.strerror(number)), tmp_path)
    assert problem.what == "make a user namespace"
    assert why in problem.why
    assert mend in problem.mend
    assert "sudo" in problem.mend


def test_the_message_reads_as_a_sentence(tmp_path: Path) -> None:
    problem = no_user_namespace(PermissionError(errno.EPERM, "Operation not permitted"), tmp_path)
    assert str(problem).startswith("this machine cannot make a user namespace: Operation not permitted")
    assert ". How to fix it: run with sudo" in str(problem)
