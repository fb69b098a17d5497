"""The command line of `lab`: every command that its `help` lists works, or says why it can't; no mistake ends it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import tiny
from invocation import Done, invoke, shutdownlab

COMMANDS = """\
# what there is
net
links
dump
ports
intfs
nodes
# Open vSwitch and BIRD
dpctl dump-ports
sh ovs-ofctl dump-flows northnet-capital-sw
sh ovs-ofctl -O OpenFlow13 show northnet-capital-sw
sh ovs-vsctl list-br
northnet-border birdc show protocols
sh birdc show status
# traffic
pingall 5
pingpair
iperf northnet-capital northnet-coast
iperfudp 1M northnet-capital northnet-coast
# Python
py northnet-capital.IP()
px print('at', northnet-coast.IP())
# the country
phase
phase blackout
policies
why southcell/coast whatsapp
probe southcell/coast whatsapp
stop blackout
probe southcell/coast whatsapp
start whatsapp-dropped whatsapp-dropped
probe southcell/coast whatsapp ipv6
# mistakes
xterm northnet-capital
x northnet-capital
nosuch
northnet_capital ip address
help nosuch
help pingal
help gateway
northnet-capital
phase nosuch
start nosuch
probe nowhere whatsapp
probe southcell/coast
why southcell/coast whatsapp
why nowhere
switch nosuch stop
iperf northnet-capital
iperfudp fast
dpctl
source /nowhere
link northnet-capital
link northnet-capital gateway down
link northnet-capital nosuch down
source
noecho
py
py 1/0
py exit()
px import sys; sys.exit(0)
source itself
source itself
source bytes
pingall -1
pingpair soon
iperf gateway northnet-dpi
dpctl 'add-flow
dpctl nosuch
dpctl monitor
dpctl add-flow "table=9, priority=7, actions=drop"
dpctl dump-flows table=9
# and goes on
northnet-coast cd /tmp
northnet-coast exit
northnet-coast pwd; kill -9 $$
northnet-coast echo a shell anew
northnet-coast printf '\\001\\377'
switch gateway stop
switch gateway start
northnet-capital echo it goes on
exit
nosuch again
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Done:
    place = tmp_path_factory.mktemp("prompt")
    script = place / "commands"
    script.write_text(COMMANDS)
    (place / "itself").write_text("source itself\nsource ./itself\nnorthnet-capital echo once more\n")
    (place / "bytes").write_bytes(b"\xff\xfe")
    return invoke(place, "lab", "first-shutdown", "--script", script)


def test_a_script_with_mistakes_is_carried_out_to_its_end_and_ends_with_1(told: Done) -> None:
    assert told.code == 1, told.output
    assert "it goes on" in told.output.splitlines()[-1]
    for mistake in (
        "unknown command 'nosuch'",
        "unknown phase 'nosuch'",
        "unknown policy 'nosuch'",
        "/nowhere: No such",
        "*** northnet-capital and gateway have no link",
        "*** link: found unknown node 'nosuch'",
        "*** switch: found unknown switch 'nosuch'; expected one of gateway, northnet-",
        "*** unknown command 'northnet_capital'; did you mean 'northnet-capital'?",
        "*** no help on 'nosuch', which is no command here",
        "*** no help on 'pingal', which is no command here; did you mean 'pingall'?",
        "*** usage: source FILE",
        "*** usage: noecho NODE COMMAND",
        "*** usage: py EXPRESSION",
        "*** py: ZeroDivisionError: division by zero",
        "*** py: `exit` ends the lab",
        "*** px: `exit` ends the lab",
        "*** bytes is not text in UTF-8",
        "*** found '-1'; expected the seconds to wait",
        "*** found 'soon'; expected the seconds to wait",
        "*** gateway has no address",
        "*** dpctl: ValueError: No closing quotation",
        "*** dpctl, all switches: ovs-ofctl: unknown command 'nosuch'",
        "*** monitor never ends; to watch one switch until Ctrl-C: sh ovs-ofctl monitor SWITCH",
    ):
        assert mistake in told.output
    assert told.output.count("ovs-ofctl: unknown command 'nosuch'") == 1, "not once a switch"


def test_help_on_a_node_tells_how_a_command_is_run_there(told: Done) -> None:
    assert "gateway is a node. A command on it: gateway ip address" in told.output.splitlines()


def test_a_file_of_commands_that_sources_itself_is_carried_out_once(told: Done) -> None:
    lines = told.output.splitlines()
    assert lines.count("once more") == 2, "by each of the two commands that source it"
    assert sum("cannot source itself" in line for line in lines) == 4


def test_quotes_keep_the_words_of_a_flow_together(told: Done) -> None:
    assert told.output.count("table=9, n_packets=0, n_bytes=0, priority=7 actions=drop") == 7, "once a switch"


@pytest.mark.parametrize(
    "line",
    [
        "southcell-coast: eth0--southcell-coast-sw",
        "southcell-coast:eth0--southcell-coast-sw:s25p2 (OK OK)",
        "southcell-coast: subscriber, Southcell, Coast, ordinary: 100.65.2.10 2001:db8:65:2::a",
        "southcell-coast: eth0",
        "southcell-coast-sw s25p1:1 s25p2:2 ",
    ],
)
def test_the_prompt_lists_the_network_by_the_names_of_its_nodes(told: Done, line: str) -> None:
    assert line in told.output.splitlines()


def test_a_switch_and_a_router_are_asked_by_their_names_in_the_topology(told: Done) -> None:
    lines = told.output.splitlines()
    assert len([line for line in lines if line.startswith("OFPST_PORT reply")]) == 7, "dpctl: once a switch"
    assert any(re.search(r"cookie=0x\w+, .*table=0.*in_port=", line) for line in lines)
    assert "# southcell" in lines
    assert any(re.match(r"provider_transit_one_4 +BGP .* Established", line) for line in lines)
    assert "birdc: which router's? For example: northnet-border birdc show protocols" in lines


def test_traffic_is_measured_between_nodes_that_have_addresses(told: Done) -> None:
    assert "*** Results: 0% dropped (56/56 received)" in told.output
    assert "-box" not in "".join(line for line in told.output.splitlines() if " -> " in line)
    figures = re.findall(r"^(?:there|back): ([\d.]+) Mbit/s$", told.output, re.MULTILINE)
    assert len(figures) == 4
    assert [round(float(figure)) for figure in figures[2:]] == [1, 1]


def test_nodes_are_called_by_their_names_in_python(told: Done) -> None:
    lines = told.output.splitlines()
    assert "100.64.1.10" in lines
    assert "at 100.64.4.10" in lines


def test_policies_start_and_stop_and_a_probe_sees_it(told: Done) -> None:
    lines = told.output.splitlines()
    outcomes = [line.partition(",")[0] for line in lines if re.search(r", in \d+\.\d\d s$", line)]
    assert outcomes == ["blocked (generic_timeout_error)", "ok", "blocked (generic_timeout_error)"]
    assert [line for line in lines if line.startswith("in force: ")] == [
        "in force: blackout", "in force: no policy", "in force: whatsapp-dropped",
    ]  # fmt: skip
    assert any(line.startswith("* blackout ") for line in lines)


def test_why_tells_the_way_in_the_phase_that_is_in_force(told: Done) -> None:
    lines = told.output.splitlines()
    (decided,) = (line for line in lines if "drops it for blackout" in line)
    assert decided.lstrip().startswith("✗ southcell-")
    assert any(line.startswith("Policy blackout: ") for line in lines)
    assert any(line.startswith("To let it through: except: ") for line in lines)
    assert "*** the policies in force are not those of blackout; `phase blackout` applies them" in lines
    assert "*** usage: why OPERATOR/REGION[/GROUP] TARGET [ipv4|ipv6]" in lines


def test_what_needs_a_display_says_so_and_what_does_instead(told: Done) -> None:
    for command in ("xterm", "x"):
        assert (
            f"*** {command} opens a window, and the sandbox has no display. In this terminal: NODE bash" in told.output
        )


def test_a_node_whose_shell_has_ended_gets_another(told: Done) -> None:
    lines = told.output.splitlines()
    assert lines[lines.index("a shell anew") - 2] == "exit"
    assert lines[lines.index("a shell anew") - 1] != "/tmp", "of the first shell"


def test_a_switch_that_is_stopped_is_named_and_the_others_answer(tmp_path: Path) -> None:
    script = tmp_path / "commands"
    script.write_text("switch southcell-dpi stop\ndpctl dump-flows table=9\n")
    done = invoke(tmp_path, "lab", tiny.written(tmp_path, "southcell"), "--script", script)
    assert done.code == 1, "one could not be asked"
    (complaint,) = (line for line in done.output.splitlines() if line.startswith("*** dpctl"))
    assert complaint.startswith("*** dpctl, southcell-dpi: ovs-ofctl: ")
    assert re.findall(r"^\*\*\* (\S+) -+$", done.output, re.MULTILINE) == ["gateway", "southcell-capital-sw"]


def test_nodes_are_called_by_their_names_whatever_the_topology_calls_its_own(tmp_path: Path) -> None:
    country = tiny.country("a", "a-b")
    country["regions"] = {name: {"title": name, "weight": 0.5} for name in ("border", "b")}
    for operator in country["operators"].values():
        operator["regions"] = dict.fromkeys(country["regions"], operator["regions"]["capital"])
        operator["transit"] = ["net"]
    country["transits"] = {"net": country["transits"]["transit-one"]}
    (tmp_path / "alike.yaml").write_text(json.dumps(country))
    script = tmp_path / "commands"
    script.write_text(
        "a.border hostname -I\npy a.border.IP()\npy net['a-b.border'].IP()\na-border-sw ls /sys/class/net\n"
        "net_transit birdc show protocols\nlink a.border a-border-sw down\nnet\n"
    )
    done = invoke(tmp_path, "lab", "alike.yaml", "--script", script)
    assert done.code == 0, done.output
    lines = done.output.splitlines()
    assert lines.count("100.64.1.10") == 1
    assert sum(line.startswith("100.64.1.10 ") for line in lines) == 1
    assert "100.65.1.10" in lines
    assert any(re.match(r"customer_a_bUborder_4 +BGP .* Established", line) for line in lines)
    assert "a.border: eth0--a-border-sw" in lines


def test_what_is_piped_in_is_commands_to_the_last_and_none_is_taken_for_input(tmp_path: Path) -> None:
    commands = "northnet-capital cat\nnorthnet-capital echo one\nsh cat\nsh echo two\nnosuch\nsh echo three\n"
    done = invoke(tmp_path, "lab", tiny.written(tmp_path, "northnet"), stdin=commands)
    assert re.findall(r"^(?:mininet> )*(one|two|three)$", done.output, re.MULTILINE) == ["one", "two", "three"]
    assert done.code == 1, "one could not be carried out"


def test_what_is_found_goes_to_standard_output_and_complaints_elsewhere(tmp_path: Path) -> None:
    script = tmp_path / "commands"
    script.write_text("nosuch\npy northnet-capital.IP()\nnorthnet-capital echo found\n")
    argv, env = shutdownlab("same", tmp_path)
    done = subprocess.run(
        [*argv, "lab", tiny.written(tmp_path, "northnet"), "--script", script],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["100.64.1.10", "found"]
    assert "*** unknown command 'nosuch'" in done.stderr


def test_a_script_ends_when_nobody_reads_what_it_prints_any_more(tmp_path: Path) -> None:
    script = tmp_path / "commands"
    script.write_text("sh echo one\nnodes\nnodes\nnorthnet-capital touch /work-goes-on\n" + "nodes\n" * 2000)
    argv, env = shutdownlab("same", tmp_path)
    with subprocess.Popen(
        [*argv, "lab", tiny.written(tmp_path, "northnet"), "--script", script],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stdout and running.stderr
        running.stdout.readline()
        running.stdout.close()
        complaints = running.stderr.read()
    assert running.returncode == 141
    assert "Traceback" not in complaints


def test_a_lab_ends_when_it_is_asked_to_while_a_command_runs_at_a_node(tmp_path: Path) -> None:
    argv, env = shutdownlab("same", tmp_path)
    with subprocess.Popen(
        [*argv, "lab", tiny.written(tmp_path, "northnet")],
        cwd=tmp_path, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as running:  # fmt: skip
        assert running.stdin and running.stdout
        running.stdin.write("northnet-capital echo begun; sleep 1000\n")
        running.stdin.flush()
        assert any("begun" in line for line in running.stdout)
        running.terminate()
        assert running.wait(60) == 143


def test_a_lab_that_a_command_kills_says_so(tmp_path: Path) -> None:
    done = invoke(tmp_path, "lab", tiny.written(tmp_path, "northnet"), stdin="northnet-capital kill -9 -1\n")
    assert done.code == 3
    assert done.output.splitlines()[-1].endswith("The lab has ended: its process was killed by SIGKILL.")


def test_a_router_s_own_commands_run_by_exec(tmp_path: Path) -> None:
    done = invoke(tmp_path, "exec", "two-operators", "--node", "transit-one", "--", "birdc", "show", "protocols")
    assert done.code == 0, done.output
    assert "customer_northnet_border_4 BGP" in done.output


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "--from: found neither; expected a subscriber by --from, or any node by --node"),
        (
            ["--from", "northnet/coast", "--node", "gateway"],
            "--from: found northnet/coast and --node gateway; expected",
        ),
        (["--node", "gatewy"], "--node: found unknown node 'gatewy'; expected"),
    ],
)
def test_exec_runs_at_one_node_that_there_is(tmp_path: Path, options: list[str], complaint: str) -> None:
    done = invoke(tmp_path, "exec", "two-operators", *options, "--", "true")
    assert done.code == 2
    assert complaint in done.output


def test_a_script_that_is_not_there_is_reported_before_anything_is_built(tmp_path: Path) -> None:
    done = invoke(tmp_path, "lab", "two-operators", "--script", "nowhere")
    assert done.code == 2
    assert "--script: found nowhere, which is not a file" in done.output


@pytest.mark.thorough
def test_a_script_goes_on_after_a_program_that_waits_for_keys_and_says_so(tmp_path: Path) -> None:
    keys = "python3 -c 'import time, tty; tty.setraw(1); time.sleep(1000)'"
    script = f"northnet-capital {keys}\nnorthnet-capital timeout 1000 {keys}\nnorthnet-capital echo it goes on\n"
    (tmp_path / "commands").write_text(script)
    done = invoke(tmp_path, "lab", "first-shutdown", "--script", tmp_path / "commands")
    assert done.code == 1
    assert done.output.count("it draws on the whole screen or waits for keys, and commands from a file have no") == 2
    assert "it goes on" in done.output
