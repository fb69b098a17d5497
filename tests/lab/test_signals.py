"""Signals in a sandbox: what runs there is not what whoever started it has made of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import tiny
from invocation import shutdownlab

STUBBORN = """
import os, signal, sys
ours = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP} - set(map(int, sys.argv[1].split(',')))
for number in ours:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, ours)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Ignores and blocks every signal but those named, and goes on as another program."""


def exec_(place: Path, but: str, *command: str) -> subprocess.CompletedProcess[str]:
    argv, env = shutdownlab("same", place)
    country = str(tiny.written(place, "southcell"))
    lab = ["exec", country, "--from", "southcell/capital", "--", *command]
    return subprocess.run(
        [argv[0], "-c", STUBBORN, but, *argv, *lab],
        cwd=place, env=env, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("but", "ignored"), [("1", 0), ("2", 1)], ids=["", "under nohup"])
def test_a_command_has_default_signals_whatever_its_parent_had_but_for_sighup_under_nohup(
    tmp_path: Path, but: str, ignored: int
) -> None:
    done = exec_(tmp_path, but, "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    assert done.returncode == 0, done.stderr
    masks = {line.split(":")[0]: int(line.split()[1], 16) for line in done.stdout.splitlines()}
    # 32 and 33 are the C library's own: no program gets at them, and whoever started the tests may ignore them.
    assert {name: mask & ~(3 << 31) for name, mask in masks.items()} == {"SigBlk": 0, "SigIgn": ignored}


def test_a_command_s_exit_code_is_known_though_whoever_started_it_ignored_sigchld(tmp_path: Path) -> None:
    assert exec_(tmp_path, "1", "sh", "-c", "exit 7").returncode == 7
    assert exec_(tmp_path, "1", "sh", "-c", "kill -INT $$").returncode == 130
