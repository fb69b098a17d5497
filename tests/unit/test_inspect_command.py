"""`shutdownlab inspect`: what it takes from the policy, and what it warns of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from scapy_traffic import datagram, question
from test_capture import FORMATS, pcap, wrong_checksums
from typer.testing import CliRunner, Result

from shutdownlab.cli import app

RULES = "rules:\n  - {name: example, when: {name_suffix: blocked.example}, verdict: block}\n"


def inspect(folder: Path, data: bytes, *arguments: str, policy: str | None = None) -> Result:
    (folder / "file.pcap").write_bytes(data)
    if policy is not None:
        (folder / "policy.yaml").write_text(policy)
        arguments = (*arguments, "--policy", str(folder / "policy.yaml"))
    return CliRunner().invoke(app, ["inspect", str(folder / "file.pcap"), "--format", "jsonl", *arguments])


def verdicts(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [json.loads(line)["verdict"] for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("named", "option", "expected"),
    [
        ("", (), ["dns", "drop", "pass"]),
        ("profile: turkmenistan-dns\n", (), ["dns", "reset", "pass"]),
        ("profile: turkmenistan-dns\n", ("--profile", "kazakhstan-sni"), ["pass", "drop", "pass"]),
        ("", ("--profile", "kazakhstan-sni"), ["pass", "drop", "pass"]),
    ],
)
def test_the_option_names_the_box_else_the_policy_does(
    tmp_path: Path, named: str, option: tuple[str, ...], expected: list[str]
) -> None:
    assert verdicts(inspect(tmp_path, FORMATS["pcap"], *option, policy=named + RULES)) == expected


BANK = "format: 1\napps:\n  village-lender: {title: My bank, suffixes: [blocked.example]}\n"
BANK_RULES = "rules:\n  - {name: bank, when: {app: village-lender}, verdict: block}\n"


def test_rules_and_boxes_that_name_an_app_of_ones_own_can_be_tried_on_a_capture(tmp_path: Path) -> None:
    (tmp_path / "bank.yaml").write_text(BANK)
    box = f"format: 1\nname: mine\ntitle: Mine\nsources: [me]\n{BANK_RULES}"
    (tmp_path / "box.yaml").write_text(box)
    apps, own = ("--apps", str(tmp_path / "bank.yaml")), ("--profile", str(tmp_path / "box.yaml"))
    for options, policy in (((), BANK_RULES), (own, None)):
        assert "drop" in verdicts(inspect(tmp_path, FORMATS["pcap"], *apps, *options, policy=policy))
        refused = inspect(tmp_path, FORMATS["pcap"], *options, policy=policy)
        assert refused.exit_code == 2
        assert "one of your own: `apps:` of the scenario, `inspect --apps`" in refused.stderr
    wrong = inspect(tmp_path, FORMATS["pcap"], "--apps", str(tmp_path / "box.yaml"))
    assert wrong.exit_code == 2
    assert "found a profile of DPI boxes; expected a catalogue of apps" in wrong.stderr


@pytest.mark.parametrize("order", [("bank.yaml", "rules.yaml"), ("rules.yaml", "bank.yaml")])
def test_rules_may_name_the_apps_that_are_checked_with_them(tmp_path: Path, order: tuple[str, str]) -> None:
    (tmp_path / "bank.yaml").write_text(BANK)
    (tmp_path / "rules.yaml").write_text(BANK_RULES)
    done = CliRunner().invoke(app, ["check", *(str(tmp_path / name) for name in order)])
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(app, ["check", str(tmp_path / "rules.yaml")]).exit_code == 2


def test_faults_of_a_capture_as_a_whole_are_reported_beside_its_flows(tmp_path: Path) -> None:
    result = inspect(tmp_path, pcap(wrong_checksums(back=False)))
    assert verdicts(result) == ["pass"] * 5
    warning = "file.pcap: the checksums of 100.64.1.2 are wrong: they are ignored\n"
    assert result.stderr.endswith(warning)
    assert result.stderr.startswith("warning: ")


def test_the_end_of_a_cut_file_and_its_checksums_are_both_reported(tmp_path: Path) -> None:
    result = inspect(tmp_path, pcap(wrong_checksums(back=None))[:-10])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 5
    assert result.stderr.count("warning: ") == 2
    assert "all checksums are ignored" in result.stderr


def test_a_capture_without_packets_says_so_once(tmp_path: Path) -> None:
    empty = pcap([])
    for data, words in ((empty, "it has no packets"), (empty[:20], "ends within the file header; no packets")):
        result = inspect(tmp_path, data)
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr.count("warning: ") == 1
        assert words in " ".join(result.stderr.split())


def test_a_capture_can_come_from_another_program(tmp_path: Path) -> None:
    (tmp_path / "file.pcap").write_bytes(pcap([(0.0, bytes(datagram(question("a.example"), 53)))]))
    command = [sys.executable, "-m", "shutdownlab", "inspect", "-", "--format", "jsonl"]
    with subprocess.Popen(["cat", tmp_path / "file.pcap"], stdout=subprocess.PIPE) as writer:
        found = subprocess.run(command, stdin=writer.stdout, capture_output=True, text=True, check=True, timeout=300)
    assert [json.loads(line)["host"] for line in found.stdout.splitlines()] == ["a.example"]


def test_a_sound_capture_warns_of_nothing(tmp_path: Path) -> None:
    assert inspect(tmp_path, FORMATS["pcap"]).stderr == ""
