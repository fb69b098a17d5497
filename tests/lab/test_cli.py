"""The command line as a newcomer meets it: what it says, what it refuses, and how it ends."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import invocation
import pytest
import tiny
from invocation import Done, Json, Record, invoke, small

import shutdownlab
from shutdownlab import library
from shutdownlab.inspection import words
from shutdownlab.inspection.vocabulary import profile_names
from shutdownlab.system.kernel import EXIT_MACHINE_CANNOT

GOLDEN = Path(__file__).parent.parent / "golden"
COMMANDS = [
    "run",
    "resume",
    "report",
    "cost",
    "plot",
    "export",
    "check",
    "compare",
    "detect",
    "list",
    "show",
    "new",
    "lab",
    "attach",
    "exec",
    "doctor",
    "inspect",
    "judge",
    "profiles",
    "apps",
]


def refused(done: Done, *lines: str) -> None:
    """The command ended with 2 and said exactly this, and how many problems that makes."""
    count = sum(not line.startswith("    ") for line in lines)
    assert done.output.splitlines() == [
        *lines,
        f"{count} problem{'s' if count > 1 else ''} found; the command stopped.",
    ]
    assert done.code == 2


# --- what it says of itself ---


def test_version_is_the_package_s(tmp_path: Path) -> None:
    assert invoke(tmp_path, "--version", cold=True) == Done(0, f"shutdownlab {shutdownlab.__version__}\n")


def test_help_names_every_command_with_what_it_does(tmp_path: Path) -> None:
    done = invoke(tmp_path, "--help", cold=True)
    assert done.code == 0
    assert "Usage: shutdownlab [OPTIONS] COMMAND" in done.output
    for command in COMMANDS:
        assert re.search(rf"│ {command} +[A-Z]", done.output), command


def test_without_a_command_it_shows_its_help(tmp_path: Path) -> None:
    assert "Usage: shutdownlab" in invoke(tmp_path).output


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "run",
            [
                "--all",
                "--jobs",
                "--out",
                "--force",
                "--real-time",
                "--choose",
                "--set",
                "--until",
                "--sample",
                "--pcap",
                "--keys",
                "--observe",
                "--sample",
                "--seed",
                "--datapath",
                "--openflow",
                "--ryu-python",
                "--events",
                "--junit",
                "--report",
                "--verify",
                "--changed-since",
                "--sample",
                "--keep",
                "--web",
                "--trust",
            ],
        ),
        ("web", ["--at", "--choose", "--datapath", "--trust", "--host", "--port", "--students", "--role"]),
        ("report", ["--as", "--output"]),
        ("export", ["--to", "--output"]),
        ("cost", ["--choose", "--set", "--seed", "--format"]),
        ("plot", ["--output", "--what", "--at", "--width"]),
        (
            "matrix",
            [
                "--tools",
                "--at",
                "--out",
                "--choose",
                "--set",
                "--seed",
                "--datapath",
                "--format",
                "--verify",
                "--trust",
            ],
        ),
        ("check", ["--graph", "--at", "--set"]),
        (
            "verify",
            [
                "--all",
                "--choose",
                "--set",
                "--at",
                "--out",
                "--force",
                "--format",
                "--sample",
                "--strict",
                "--tools",
                "--warn",
            ],
        ),
        (
            "compare",
            [
                "--with",
                "--signal",
                "--operator",
                "--region",
                "--family",
                "--column",
                "--where",
                "--zone",
                "--choose",
                "--format",
            ],
        ),
        ("detect", ["--all", "--choose", "--noise", "--seed", "--format"]),
        ("new", ["--operator", "--code", "--subscribers", "--from-ripe", "--country", "--out"]),
        ("lab", ["--at", "--choose", "--set", "--datapath", "--trust", "--script", "--web"]),
        ("attach", ["--lab"]),
        ("exec", ["--from", "--node", "--at", "--all-phases", "--choose", "--set", "--datapath", "--trust"]),
        ("list", []),
        ("show", []),
        ("doctor", []),
        ("inspect", ["--policy", "--profile", "--apps", "--seed", "--format", "--summary"]),
        ("judge", ["--format", "--rules"]),
        ("profiles", []),
        ("apps", []),
    ],
)
def test_the_help_of_a_command_fits_80_columns_and_has_its_options(
    tmp_path: Path, command: str, options: list[str]
) -> None:
    done = invoke(tmp_path, command, "--help")
    assert done.code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    assert f"Usage: shutdownlab {command} [OPTIONS]" in done.output
    assert set(re.findall(r"--[a-z-]+", done.output)) == {*options, "--help"}
    assert not re.search(r"<\w+|BOOLEAN|\{|range|\[x", done.output), "what to write, not Python's types"


def test_list_tells_scenarios_from_countries_and_says_where_their_files_are(tmp_path: Path) -> None:
    done = invoke(tmp_path, "list", cold=True)
    assert done.code == 0
    scenarios, countries = done.output.split("Countries, in ")
    for text, kind in ((scenarios, "scenarios"), (countries, "topologies")):
        folder = Path(text.splitlines()[0].removeprefix("Scenarios, in "))
        rows = dict(line.split(maxsplit=1) for line in text.splitlines()[1:] if line.startswith("  "))
        assert list(rows) == [name for name, _ in library.shipped(kind)]
        assert all((folder / f"{name}.yaml").is_file() for name in rows)
    assert re.search(r"first-shutdown +A first shutdown\n", scenarios)
    assert re.search(r"two-operators +A small country with two operators\n", countries)


@pytest.mark.parametrize("name", ["first-shutdown", "two-operators", "gfw-tls", "apps"])
def test_show_prints_the_file_that_ships_and_where_its_schema_is(tmp_path: Path, name: str) -> None:
    _, ships = library.shipped_file(name).read_bytes().split(b"\n", 1)
    shown = subprocess.run(
        [sys.executable, "-m", "shutdownlab", "show", name], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    first, rest = shown.split(b"\n", 1)
    assert rest == ships
    schema = first.decode().removeprefix("# yaml-language-server: $schema=file://")
    assert "properties" in json.loads(Path(schema).read_text())


def test_show_of_what_does_not_ship_says_what_is_meant(tmp_path: Path) -> None:
    done = invoke(tmp_path, "show", "frst-shutdown")
    assert done.code == 2
    assert "show: found 'frst-shutdown', which does not ship; expected one of " in done.output
    assert "did you mean 'first-shutdown'?" in done.output


def test_no_two_things_that_ship_have_the_same_name() -> None:
    kinds: tuple[library.Kind, ...] = ("scenarios", "topologies")
    names = ["apps", *profile_names(), *(name for kind in kinds for name, _ in library.shipped(kind))]
    assert len(names) == len(set(names))


# --- check ---


def test_check_says_of_each_good_file_what_is_in_it(tmp_path: Path) -> None:
    files = ["first-shutdown", "two-operators", GOLDEN / "valid-topology.yaml"]
    done = invoke(tmp_path, "check", *files)
    assert done.code == 0
    first, second, third = done.output.splitlines()
    country = "2 operators, 2 regions, 6 vantage points"
    assert first == f"ok first-shutdown: 7 phases, 11 probes; topology two-operators: {country}"
    assert second == f"ok two-operators: {country}"
    assert third.startswith(f"ok {GOLDEN / 'valid-topology.yaml'}: ")


def test_check_tells_the_problems_of_all_files_at_once(tmp_path: Path) -> None:
    names = ["scenario-unknown-app", "topology-duplicate-as"]
    for name in names:
        (tmp_path / f"{name}.yaml").write_bytes((GOLDEN / f"{name}.yaml").read_bytes())
    done = invoke(tmp_path, "check", *(f"{name}.yaml" for name in names), "two-operators", "nonesuch.yaml")
    assert done.code == 2
    for name in names:
        problems = (GOLDEN / f"{name}.txt").read_text().split(" … ")  # without the lists of what ships
        assert all(part in done.output for part in problems)
    assert "ok two-operators" in done.output
    assert "nonesuch.yaml: found no such file" in done.output
    problems = [line for line in done.output.splitlines()[:-1] if not line.startswith(("ok ", "    "))]
    assert done.output.splitlines()[-1] == f"{len(problems)} problems found; the command stopped."


def test_check_draws_a_topology(tmp_path: Path) -> None:
    done = invoke(tmp_path, "check", "two-operators", "--graph", "country.svg")
    assert done.code == 0
    assert "   drawn in country.svg" in done.output.splitlines()
    drawing = ElementTree.parse(tmp_path / "country.svg").getroot()
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join(drawing.itertext())
    for word in ("Northnet", "AS64501", "Southcell", "National gateway", "Transit One"):
        assert word in words


def test_check_draws_a_topology_as_a_png_of_twice_its_width_with_its_words(tmp_path: Path) -> None:
    """Words are dark pixels on the light ones of their lane: without fonts there would be a tenth of them."""
    done = invoke(tmp_path, "check", "two-operators", "--graph", "country.PNG")
    assert done.code == 0, done.output
    assert "   drawn in country.PNG" in done.output.splitlines()
    width, height, rows = pixels_of(tmp_path / "country.PNG")
    assert (width, height > 500) == (2000, True)
    heading = [row[4 * 20 : 4 * 800] for row in rows[40:80]]
    dark = sum(row[at] < 100 for row in heading for at in range(0, len(row), 4))
    assert dark > 2000, "the title is there"


def pixels_of(png: Path) -> tuple[int, int, list[bytes]]:
    """Width, height and the rows (RGBA) of a PNG without interlacing: ISO/IEC 15948."""
    data = png.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert data[24:29] == bytes([8, 6, 0, 0, 0]), "8 bits a sample, RGBA"
    packed, at = b"", 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        packed += data[at + 8 : at + 8 + length] if data[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    raw, size, above, rows = zlib.decompress(packed), 4 * width, bytes(4 * width), []
    for row in range(height):
        kind, line = raw[row * (size + 1)], bytearray(raw[row * (size + 1) + 1 : (row + 1) * (size + 1)])
        for index in range(size):
            left, corner = (line[index - 4], above[index - 4]) if index >= 4 else (0, 0)
            line[index] = (line[index] + _predicted(kind, left, above[index], corner)) & 255
        above = bytes(line)
        rows.append(above)
    return width, height, rows


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda each: abs(guess - each))
    return (0, left, up, (left + up) // 2)[kind]


def test_where_nothing_can_make_a_png_it_is_said_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\nfound = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'vl_convert' else found(name, *more)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "shutdownlab", "check", "two-operators", "--graph", "two.png"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[:2] == [
        "--graph: found two.png, but no program here that makes a PNG; expected vl-convert installed, or FILE.svg",
        "    hint: pip install 'shutdownlab[png]'; or --graph two.svg, then: rsvg-convert two.svg -o two.png",
    ]


def test_a_drawing_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    done = invoke(tmp_path, "check", "two-operators", "--graph", "nowhere/country.svg")
    assert done.code == 2
    assert "--graph: found nowhere/country.svg, which cannot be written (no such file or directory)" in done.output
    refused(
        invoke(tmp_path, "check", "two-operators", "--graph", "two.jpg"),
        "--graph: found two.jpg; expected a file whose name ends with .svg or .png",
        "    hint: --graph two.svg",
    )
    assert list(tmp_path.iterdir()) == []
    refused(
        invoke(tmp_path, "check", "two-operators", "kazakhstan", "--graph", "country.svg"),
        "--graph: found 2 files to draw; expected one topology or scenario at a time",
    )


# --- what run, lab and exec refuse ---

PHASES = "baseline, messenger, mobile-throttled, one-way, blackout, allowlist, restored"


def test_unknown_scenarios_are_refused_with_what_was_meant(tmp_path: Path) -> None:
    ships = ", ".join(name for name, _ in library.shipped("scenarios"))
    expected = f"found no such file; expected a file, or one of the shipped scenarios: {ships}"
    refused(
        invoke(tmp_path, "run", "first-shutdwon"),
        f"first-shutdwon: {expected}",
        "    hint: did you mean 'first-shutdown'?",
    )
    refused(
        invoke(tmp_path, "run", "two-operators"),
        f"two-operators: {expected}",
        "    hint: 'two-operators' is a topology: `shutdownlab lab two-operators` shows it",
    )
    assert list(tmp_path.iterdir()) == []


def test_unknown_phases_are_refused(tmp_path: Path) -> None:
    for command in (["run", "first-shutdown", "--until"], ["lab", "first-shutdown", "--at"]):
        refused(
            invoke(tmp_path, *command, "black-out"),
            f"{command[-1]}: found unknown phase 'black-out'; expected one of {PHASES}",
            "    hint: did you mean 'blackout'?",
        )
    assert list(tmp_path.iterdir()) == []


def test_check_draws_a_phase_of_a_scenario_with_what_is_withdrawn_then(tmp_path: Path) -> None:
    done = invoke(tmp_path, "check", "egypt-2011", "--graph", "dark.svg", "--at", "internet-egypt")
    assert done.code == 0, done.output
    assert "withdrawn abroad: 100.64.0.0/16, 2001:db8:5536::/48" in (tmp_path / "dark.svg").read_text()
    told = "--at: found internet-egypt without --graph; expected --graph FILE, the drawing that shows the phase"
    refused(invoke(tmp_path, "check", "egypt-2011", "--at", "internet-egypt"), told)


@pytest.mark.parametrize("command", [("lab",), ("exec", "--from", "southcell/coast", "--")])
def test_a_value_can_be_set_in_a_scenario_alone(tmp_path: Path, command: tuple[str, ...]) -> None:
    name, *rest = command
    done = invoke(
        tmp_path, name, "two-operators", "--set", "policies.blackout.throttle=1mbit", *rest, *(["true"] if rest else [])
    )
    refused(done, "--set: found the topology 'two-operators'; expected a scenario, of which values can be set")


def test_a_topology_has_no_phases(tmp_path: Path) -> None:
    expected = "--at: found the topology 'two-operators'; expected a scenario: a topology has no phases"
    refused(invoke(tmp_path, "lab", "two-operators", "--at", "blackout"), expected)


def test_unknown_accounts_and_options_are_refused(tmp_path: Path) -> None:
    refused(
        invoke(tmp_path, "run", "first-shutdown", "--choose", "comand=direct"),
        "--choose: found unknown account 'comand'; expected one of command",
        "    hint: did you mean 'command'?",
    )
    done = invoke(tmp_path, "run", "first-shutdown", "--choose", "command")
    assert done.code == 2
    assert "--choose: found unknown option '' of command; expected one of operators, direct" in done.output
    assert "direct: the authority takes the operators' switches over" in done.output, "what each stands for"


def test_unknown_vantage_points_are_refused(tmp_path: Path) -> None:
    known = [str(vantage.id) for vantage in library.network("two-operators").vantages]
    refused(
        invoke(tmp_path, "exec", "two-operators", "--from", "southcel/coast", "--", "true"),
        f"--from: found unknown vantage point 'southcel/coast'; expected one of {', '.join(known)}",
        "    hint: did you mean 'southcell/coast'?",
    )


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = invoke(tmp_path, "run", "first-shutdown", "--out", "file")
    assert done.code == 2
    assert done.output.startswith("--out: found file, which is not a directory; expected a directory")


def test_a_time_factor_must_be_positive(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", "first-shutdown", "--real-time", "0")
    assert done.code == 2
    assert done.output.startswith("--real-time: found 0; expected a number above 0")


# --- doctor ---


def test_doctor_finds_everything_needed_here(tmp_path: Path) -> None:
    done = invoke(tmp_path, "doctor")
    assert done.code == 0, done.output
    lines = done.output.splitlines()
    assert lines[-1] == "Everything that is needed is here."
    assert max(map(len, lines)) <= 80
    verdicts = {line.split()[1]: line.split()[0] for line in lines[:-1] if not line.startswith(" ")}
    assert set(verdicts.values()) <= {"ok", "instead"}
    assert {"Python", "sandbox", "/dev/net/tun", "ovs-vswitchd", "nginx", "bird", "unbound"} <= set(verdicts)


def test_doctor_says_whether_the_inspection_engine_is_compiled(tmp_path: Path) -> None:
    verdict = "ok" if words.COMPILED else "instead"
    assert re.search(rf"^{verdict} +inspection ", invoke(tmp_path, "doctor").output, re.MULTILINE)


def test_doctor_tells_of_a_daemon_whose_version_was_not_tested(tmp_path: Path) -> None:
    newer = tmp_path / "bird"
    newer.write_text("#!/bin/sh\necho BIRD version 99.1.2 >&2\n")
    newer.chmod(0o755)
    done = invoke(tmp_path, "doctor", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.code == 0, done.output
    text = " ".join(done.output.split())
    assert re.search(r"instead bird \S+ 99\.1\.2, which was not tested; 2\.0\.12 \(Debian 12\) was ok", text)


def test_doctor_tells_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    done = invoke(tmp_path, "doctor", env={"PATH": str(tmp_path)})  # servers are found in /usr/sbin all the same
    assert done.code == EXIT_MACHINE_CANNOT
    text = " ".join(done.output.split())
    assert "missing ovs-vsctl not installed how to fix it: sudo apt install openvswitch-switch, or `make setup`" in text
    assert "instead curl not installed; only for your own experiments to have it: sudo apt install curl" in text
    last = done.output.splitlines()[-1]
    assert last.startswith("This machine lacks ")
    assert "ovs-vsctl" in last


# --- datapath ---


@cache
def kernel_datapath(place: Path) -> bool:
    """Whether this machine's kernel switches packets for a sandbox."""
    return re.search(r"^ok +openvswitch ", invoke(place, "doctor").output, re.MULTILINE) is not None


@pytest.mark.parametrize(
    "command",
    [
        ("run", "first-shutdown", "--until", "baseline", "--out", "run"),
        ("lab", "two-operators"),
        ("exec", "two-operators", "--from", "northnet/coast"),
    ],
)
def test_the_kernels_datapath_is_used_where_it_is_asked_for_or_the_reason_is_told(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    arguments = ("--", "ping", "-c", "1", "-W", "3", "8.8.8.8") if command[0] == "exec" else ()
    done = invoke(tmp_path, *command, "--datapath", "kernel", *arguments, stdin="exit\n")
    if kernel_datapath(tmp_path):
        assert done.code == 0, done.output
        assert command[0] == "exec" or "Open vSwitch's kernel datapath: as asked for" in done.output
        return
    assert done.code == EXIT_MACHINE_CANNOT
    assert [line for line in done.output.splitlines() if line != "A first shutdown: Northnet, Southcell"] == [
        "This machine cannot use Open vSwitch's kernel datapath: the kernel has no openvswitch",
        "    how to fix it: sudo modprobe openvswitch, or omit `--datapath kernel`",
        "    `shutdownlab doctor` shows everything that is needed.",
    ]
    if command[0] == "run":
        assert Record(tmp_path / "run").manifest["status"] == "machine lacks"


def test_the_userspace_datapath_can_be_asked_for_everywhere(tmp_path: Path) -> None:
    done = invoke(tmp_path, "lab", tiny.written(tmp_path, "northnet"), "--datapath", "userspace", stdin="exit\n")
    assert done.code == 0
    assert "Open vSwitch's userspace datapath: as asked for." in done.output


# --- exec ---

EXEC = ("exec", "first-shutdown", "--from", "southcell/coast")
PROBE = "curl -sS -m 3 -o /dev/null -w '%{http_code}\\n' "


def test_exec_runs_a_command_as_a_subscriber_of_that_phase_lives_it(tmp_path: Path) -> None:
    script = f"{PROBE} https://kaspi.kz/; {PROBE} https://www.bbc.com/; ip -o -4 address show dev eth0; exit 7"
    done = invoke(tmp_path, *EXEC, "--at", "allowlist", "--", "sh", "-c", script)
    allowed, *blocked, address = (line for line in done.output.splitlines() if "100.65.2.9/" not in line)
    assert allowed == "200", "an allowed site, with a certificate that curl believes"
    assert blocked[0] == "000" or blocked[-1] == "000"
    assert any("timed out" in line for line in blocked), blocked
    assert " 100.65.2.10/24 " in address
    assert done.code == 7, "the command's own"


@pytest.mark.thorough
def test_exec_runs_in_one_phase_after_another_and_ends_as_in_the_first_that_it_failed_in(tmp_path: Path) -> None:
    fetch = ("--", "sh", "-c", f"{PROBE} https://kaspi.kz/ || exit 9")
    phases = ("--at", "restored", "--at", "blackout", "--at", "allowlist", "--at", "blackout", "--at", "restored")
    done = invoke(tmp_path, *EXEC, *phases, *fetch)
    lines = [line for line in done.output.splitlines() if "curl:" not in line]
    assert lines == [
        "06 May 12:00  restored  Everything is back", "200",
        "02 May 12:00  blackout  All off but the government and port 179", "000",
        "04 May 12:00  allowlist  Only a bank and the news", "200",
        "02 May 12:00  blackout  All off but the government and port 179", "000",
        "06 May 12:00  restored  Everything is back", "200",
        "ended with 0 in restored, 9 in blackout, 0 in allowlist, 9 in blackout, 0 in restored",
    ]  # fmt: skip
    assert done.code == 9


def test_exec_runs_in_a_scenario_of_which_a_value_is_another(tmp_path: Path) -> None:
    ports = "policies.blackout.except.ports=[53, 179, 443]"
    fetch = ("--", "sh", "-c", f"{PROBE} https://www.bbc.com/")
    assert invoke(tmp_path, *EXEC, "--at", "blackout", "--set", ports, *fetch).output == "200\n"


@pytest.mark.parametrize(
    ("what", "options", "complaint"),
    [
        ("first-shutdown", ("--at", "blackout", "--all-phases"), "--all-phases: found --at blackout as well"),
        ("first-shutdown", ("--at", "blackout", "--at", "blakout"), "--at: found unknown phase 'blakout'"),
        ("two-operators", ("--all-phases",), "--all-phases: found a topology; expected a scenario"),
    ],
)
def test_phases_that_exec_cannot_run_in_are_refused(
    tmp_path: Path, what: str, options: tuple[str, ...], complaint: str
) -> None:
    done = invoke(tmp_path, "exec", what, "--from", "southcell/coast", *options, "--", "true")
    assert done.code == 2
    assert complaint in done.output


def intercepted(scenario: Json) -> None:
    scenario["profiles"] = {"southcell": "kazakhstan-mitm-2019"}
    scenario["policies"] = {"forged": {"title": "The BBC", "block": {"sites": ["bbc.com"]}, "source": "FACT"}}
    scenario["timeline"][0]["start"] = ["forged"]
    scenario["timeline"] = scenario["timeline"][:1]


def test_exec_shows_what_installing_the_states_root_does(tmp_path: Path) -> None:
    probe = f"{PROBE} --curves P-256"  # in one segment: with OpenSSL 3.5 this box would find no name
    script = f"{probe} https://www.bbc.com/; {probe} --cacert $SHUTDOWNLAB_STATE_ROOT https://www.bbc.com/"
    phase = ("--from", "southcell/coast", "--at", "baseline", "--", "sh", "-c", script)
    done = invoke(tmp_path, "exec", small(tmp_path, intercepted), *phase)
    warned, code, accepted = done.output.splitlines()[0], *done.output.splitlines()[-2:]
    assert "certificate" in warned
    assert (code, accepted) == ("000", "200")


def test_exec_passes_input_and_output_through_a_pipe_and_nothing_else(tmp_path: Path) -> None:
    argv, env = invocation.shutdownlab("same", tmp_path)
    command = [*argv, "exec", tiny.written(tmp_path, "northnet"), "--from", "northnet/capital", "--", "sort", "-r"]
    done = subprocess.run(command, env=env, cwd=tmp_path, input="a\nb\n", capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("b\na\n", "", 0)


def test_exec_works_in_the_directory_it_is_called_in(tmp_path: Path) -> None:
    script = "cp question answer; nosuchcommand"
    (tmp_path / "question").write_text("42")
    country = tiny.written(tmp_path, "northnet")
    done = invoke(tmp_path, "exec", country, "--from", "northnet/capital", "--", "sh", "-c", script)
    assert (tmp_path / "answer").read_text() == "42"
    assert done.code == 127, "the shell's own"


def test_exec_of_a_file_that_is_not_a_program_ends_as_a_shell_would(tmp_path: Path) -> None:
    start = ("exec", tiny.written(tmp_path, "northnet"), "--from", "northnet/capital", "--")
    assert invoke(tmp_path, *start, "nosuchcommand") == Done(127, "nosuchcommand: command not found\n")
    (tmp_path / "text").write_text("no program")
    assert invoke(tmp_path, *start, tmp_path / "text") == Done(126, f"{tmp_path / 'text'}: not executable\n")


# --- lab ---


def test_lab_gives_mininet_s_command_line(tmp_path: Path) -> None:
    typed = "nodes\nsouthcell-coast ping -c 1 -W 2 www.bbc.com\nsouthcell-coast ping -c 1 -W 2 northnet-coast\nexit\n"
    done = invoke(tmp_path, "lab", "first-shutdown", "--at", "messenger", stdin=typed, cold=True)
    assert done.code == 0
    greeting, *_ = done.output.splitlines()
    assert greeting == "29 nodes of A small country with two operators are up, with the policies of messenger."
    assert "northnet-capital curl https://kaspi.kz/" in done.output, "something to try"
    nodes = next(line for line in done.output.splitlines() if line.startswith("exchange gateway "))
    assert set(nodes.split()) == set(library.network("two-operators").nodes)
    assert done.output.count("1 received") == 2
    assert "Traceback" not in done.output


def test_lab_ends_with_its_input(tmp_path: Path) -> None:
    done = invoke(tmp_path, "lab", tiny.written(tmp_path, "northnet"), stdin="northnet-capital hostname\n")
    assert done.code == 0
    assert re.search(r"^\d+ nodes of Operators of one region and one transit are up\.$", done.output, re.MULTILINE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take away what user namespaces need")
def test_a_machine_that_cannot_is_told_what_and_how_to_mend_it(tmp_path: Path) -> None:
    argv, env = invocation.shutdownlab("same", tmp_path)
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /dev/net && exec "$@"', "sh"]
    for arguments in (["run", "first-shutdown", "--out", "run"], [*EXEC, "--", "true"]):
        done = subprocess.run(
            [*hide, *argv, *arguments], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == EXIT_MACHINE_CANNOT
        assert done.stderr.splitlines() == [
            "This machine cannot open /dev/net/tun: it does not exist",
            "    how to fix it: sudo modprobe tun",
            "    `shutdownlab doctor` shows everything that is needed.",
        ]
