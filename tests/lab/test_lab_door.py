"""`sl.lab`: a country that a program has at hand. One country for most tests; each leaves it as it found it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome

CURL = ["curl", "-sS", "-m", "4", "-o", "/dev/null", "-w", "%{http_code}"]
COAST, CAPITAL, GOVERNMENT = "southcell/coast", "northnet/capital", "northnet/capital/government"
PIPE = subprocess.PIPE


@pytest.fixture(scope="module")
def country() -> Iterator[sl.Lab]:
    with sl.lab("first-shutdown") as lab:
        yield lab


@pytest.fixture
def lab(country: sl.Lab) -> Iterator[sl.Lab]:
    """With no policy in force, before and after."""
    yield country
    country.phase("baseline")
    assert country.faults == ()


# --- programs ---


def test_a_program_is_run_on_a_node_and_its_output_is_text(lab: sl.Lab) -> None:
    done = lab.exec(COAST, ["sh", "-c", "echo ünter; echo oops >&2; exit 7"])
    assert (done.returncode, done.stdout, done.stderr) == (7, "ünter\n", "oops\n")
    assert done.args == ["sh", "-c", "echo ünter; echo oops >&2; exit 7"]


def test_a_program_has_the_node_s_network_and_trusts_the_lab_s_certificates(lab: sl.Lab) -> None:
    assert " 100.65.2.10/24 " in lab.exec(COAST, ["ip", "-o", "-4", "address", "show", "dev", "eth0"]).stdout
    assert lab.exec(COAST, [*CURL, "https://kaspi.kz/"], check=True).stdout == "200"
    assert lab.node("southcell-coast").exec([*CURL, "https://www.bbc.com/"]).stdout == "200"


def test_open_vswitch_s_and_bird_s_own_commands_find_their_daemons(lab: sl.Lab) -> None:
    sessions = lab.exec("northnet-border", ["birdc", "show", "protocols"], check=True).stdout
    assert "Established" in sessions
    flows = lab.exec("northnet-border", ["ovs-ofctl", "dump-flows", "northnet-dpi"], check=True).stdout
    assert "table=0" in flows


def test_input_variables_and_directory_reach_the_program(lab: sl.Lab) -> None:
    shell = ["sh", "-c", "cat; echo $MORE $SHUTDOWNLAB_STATE_ROOT; pwd"]
    written = lab.exec(COAST, shell, input="in\n", env={"MORE": "more"}, cwd="/etc").stdout.splitlines()
    assert (written[0], written[2]) == ("in", "/etc")
    assert written[1].startswith("more /")
    big = "x" * 300_000
    assert lab.exec(COAST, ["cat"], input=big).stdout == big
    assert lab.exec(COAST, ["cat"], input=b"\xff\0", text=False).stdout == b"\xff\0"
    assert lab.exec(COAST, ["cat"]).stdout == "", "nothing to read without input"


def test_a_program_that_takes_too_long_is_killed_with_all_it_has_started(lab: sl.Lab) -> None:
    marker = f"9{os.getpid()}"
    begin = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired) as late:
        lab.exec(COAST, ["sh", "-c", f"echo begun; sleep {marker} & sleep {marker}"], timeout=1)
    assert time.monotonic() - begin < 30
    assert late.value.output == "begun\n"
    assert lab.exec(COAST, ["sh", "-c", f"pgrep -f 'sleep {marker}' | grep -vw $$"]).stdout == ""


def test_executing_a_file_that_is_not_a_program_raises_as_subprocess_does(lab: sl.Lab, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nosuchcommand"):
        lab.exec(COAST, ["nosuchcommand"])
    with pytest.raises(PermissionError):
        lab.exec(COAST, ["/etc/passwd"])
    with pytest.raises(FileNotFoundError, match="/nowhere"):
        lab.exec(COAST, ["true"], cwd="/nowhere")
    with pytest.raises(subprocess.CalledProcessError):
        lab.exec(COAST, ["false"], check=True)
    with pytest.raises(TypeError, match="a list of words"):
        lab.exec(COAST, "curl https://kaspi.kz/")


def test_a_program_can_be_talked_to_while_it_runs(lab: sl.Lab) -> None:
    program = lab.node(CAPITAL).popen(["cat"], stdin=PIPE, stdout=PIPE, text=True)
    assert program.stdin and program.stdout
    program.stdin.write("anybody?\n")
    program.stdin.flush()
    assert program.stdout.readline() == "anybody?\n"
    assert program.poll() is None
    program.stdin.close()
    assert program.wait(10) == 0
    with lab.popen(CAPITAL, ["sleep", "1000"]) as sleeper:
        with pytest.raises(subprocess.TimeoutExpired):
            sleeper.wait(0.1)
        sleeper.terminate()
    assert sleeper.returncode == -signal.SIGTERM


def test_output_goes_to_a_file_that_is_open_outside(lab: sl.Lab, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        assert (
            lab.popen(CAPITAL, ["sh", "-c", "echo a; echo b >&2"], stdout=log, stderr=subprocess.STDOUT).wait(10) == 0
        )
    assert (tmp_path / "log").read_text() == "a\nb\n"


# --- nodes ---


def test_every_node_is_there_by_its_name_and_vantage_points_by_their_ids(lab: sl.Lab) -> None:
    servers = lab.node("transit-one-servers")
    assert (servers.role, str(servers.addresses[0])) == ("servers", "198.51.100.2")
    assert "8.8.8.8" in map(str, servers.addresses), "what it hosts"
    assert lab.vantages[f"{COAST}/ordinary"] is lab.node(COAST) is lab.nodes["southcell-coast"]
    assert len(lab.vantages) == 6
    for node in lab.nodes.values():
        assert node.exec(["true"]).returncode == 0, node


def test_unknown_names_are_refused_with_what_was_meant(lab: sl.Lab) -> None:
    for call, meant in (
        (lambda: lab.exec("southcel/coast", ["true"]), "southcell/coast"),
        (lambda: lab.phase("black-out"), "blackout"),
        (lambda: lab.start("alowlist"), "allowlist"),
        (lambda: lab.stop("blakout"), "blackout"),
        (lambda: lab.probe(COAST, "whatsap"), "whatsapp"),
        (lambda: lab.probe("northnet/cost", "whatsapp"), "northnet/coast"),
    ):
        with pytest.raises(sl.BadInput, match=f"did you mean '{meant}'"):
            call()
    with pytest.raises(sl.BadInput, match="expected one of ipv4, ipv6"):
        lab.probe(COAST, "whatsapp", family="ipv5")


# --- policies ---


def test_a_phase_s_policies_are_in_force_when_the_call_returns(lab: sl.Lab) -> None:
    assert (lab.at, lab.active) in {(None, ()), ("baseline", ())}
    lab.phase("blackout")
    assert (lab.at, lab.active) == ("blackout", ("blackout",))
    assert lab.exec(COAST, [*CURL, "https://kaspi.kz/"]).returncode == 28
    assert lab.exec(GOVERNMENT, [*CURL, "https://www.bbc.com/"]).stdout == "200", "exempt"
    lab.phase("allowlist")
    assert lab.exec(COAST, [*CURL, "https://kaspi.kz/"]).stdout == "200"


def test_policies_are_started_and_stopped_one_by_one(lab: sl.Lab) -> None:
    lab.start("coast-one-way", "whatsapp-reset")
    lab.start("whatsapp-reset")
    assert lab.active == ("coast-one-way", "whatsapp-reset")
    assert lab.exec(COAST, [*CURL, "https://kaspi.kz/"]).returncode == 28
    lab.stop("coast-one-way")
    assert lab.active == ("whatsapp-reset",)
    assert lab.exec(COAST, [*CURL, "https://kaspi.kz/"]).stdout == "200"
    lab.stop("coast-one-way")
    assert lab.phases[:2] == ("baseline", "messenger")
    assert "mobile-throttled" in lab.policies


# --- measuring ---


def test_whatever_names_a_target_can_be_measured(lab: sl.Lab) -> None:
    lab.start("whatsapp-reset")
    app = lab.probe(CAPITAL, "whatsapp")
    assert (app.outcome, app.failure) == (Outcome.BLOCKED, "connection_reset")
    assert app.test_keys["registration_server_status"] == "blocked"
    assert app.record["test_name"] == "whatsapp"
    assert app.record["annotations"]["policies"] == "whatsapp-reset"
    assert app.record["probe_asn"] == "AS64501"
    names = {
        "bridge-179": "tcpconnect://bridge.example.net:179",
        "www.wikipedia.org": "https://www.wikipedia.org/",
        "http://kaspi.kz/": "http://kaspi.kz/",
        "8.8.8.8:53": "tcpconnect://8.8.8.8:53",
        "[2001:4860:4860::8888]:53": "tcpconnect://[2001:4860:4860::8888]:53",
        "8.8.8.8": "ping://8.8.8.8",
    }
    for name, told in names.items():
        found = lab.probe(CAPITAL, name)
        assert (found.outcome, found.failure, found.record["input"]) == (Outcome.OK, None, told), name


def test_an_address_family_can_be_asked_for(lab: sl.Lab) -> None:
    assert lab.probe(CAPITAL, "www.bbc.com", family="ipv6").test_keys["x_family"] == "ipv6"


def test_a_probe_that_measures_a_number_tells_it(lab: sl.Lab) -> None:
    lab.phase("mobile-throttled")
    speed = lab.probe("southcell/capital", "speed")
    assert (speed.outcome, speed.unit) == (Outcome.THROTTLED, "kbit/s")
    assert speed.value and 100 < speed.value < 1000


def test_what_nobody_answers_is_blocked(lab: sl.Lab) -> None:
    lab.phase("blackout")
    found = lab.probe(COAST, "whatsapp")
    assert (found.outcome, found.failure) == (Outcome.BLOCKED, "generic_timeout_error")
    assert (found.certainty, found.test_keys["x_passes"] > 1) == ("confirmed", True), "a timeout is tried again"
    assert found.record["measurement_start_time"] == "2030-05-02 12:00:00", "the scenario's time"


def test_several_threads_use_one_lab_at_once(lab: sl.Lab) -> None:
    with ThreadPoolExecutor(12) as threads:
        measured = [threads.submit(lab.probe, vantage, "kaspi.kz") for vantage in lab.vantages]
        ran = [threads.submit(lab.exec, vantage, ["hostname", "-I"]) for vantage in lab.vantages]
        assert {each.result().outcome for each in measured} == {Outcome.OK}
        assert len({each.result().stdout for each in ran}) == 6


# --- servers ---

ECHO = ["socat", "TCP-LISTEN:7,fork,reuseaddr", "EXEC:cat"]


def test_a_server_listens_when_the_call_returns_and_ends_with_its_block(lab: sl.Lab) -> None:
    with lab.serve("transit-two-servers", ECHO, ports=["tcp/7"]) as echo:
        ask = ["socat", "-t2", "-", f"TCP:{lab.node(echo.node).addresses[0]}:7,connect-timeout=3"]
        assert lab.exec(COAST, ask, input="anybody?").stdout == "anybody?"
        lab.phase("blackout")
        assert lab.exec(COAST, ask, input="anybody?").stdout == ""
        lab.phase("baseline")
    assert echo.returncode == -signal.SIGTERM or echo.returncode == 128 + signal.SIGTERM
    refused = lab.exec(COAST, ask, input="anybody?")
    assert "Connection refused" in refused.stderr


def test_a_directory_is_served_over_http(lab: sl.Lab) -> None:
    here = Path(__file__).parent
    with lab.node("transit-two-servers").serve(here, ports=["8080"]) as server:
        url = f"http://{lab.node(server.node).addresses[0]}:8080/{Path(__file__).name}"
        assert lab.exec(COAST, ["curl", "-sS", "-m", "5", url]).stdout == Path(__file__).read_text()
        assert "GET" in server.output


def test_a_server_that_does_not_come_up_says_why(lab: sl.Lab) -> None:
    with pytest.raises(sl.LabError, match=r"(?s)transit-two-servers: sh ended with status 3 before .* tcp/7\nno luck"):
        lab.serve("transit-two-servers", ["sh", "-c", "echo no luck; exit 3"], ports=["tcp/7"])
    with pytest.raises(sl.LabError, match=r"does not listen on tcp/7 after 0\.5 s"):
        lab.serve("transit-two-servers", ["sleep", "1000"], ports=["tcp/7"], timeout=0.5)
    with pytest.raises(ValueError, match="ports"):
        lab.serve("transit-two-servers", ["sleep", "1000"])
    with pytest.raises(sl.BadInput, match="a single port"):
        lab.serve("transit-two-servers", ["sleep", "1000"], ports=["icmp/7"])


# --- what breaks ---


def test_a_server_of_the_country_that_dies_is_a_fault() -> None:
    with sl.lab("two-operators") as lab:
        assert lab.probe(COAST, "whatsapp").outcome is Outcome.OK, "a topology without a scenario: an app, a site"
        with pytest.raises(sl.BadInput, match="none"):
            lab.phase("blackout")
        lab.node("southcell-resolver").exec(["pkill", "-KILL", "-f", "unbound.*southcell-resolver"])
        deadline = time.monotonic() + 10
        while not lab.faults and time.monotonic() < deadline:
            threading.Event().wait(0.05)
        assert "unbound on southcell-resolver was killed by SIGKILL" in lab.faults[0]


def test_a_country_that_gets_on_with_nothing_is_given_up_with_the_step_at_which_it_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutdownlab.country.lab_connection._OPEN_S", 0.001)
    with pytest.raises(sl.LabError, match=r"is not up: .+ took more than 0\.001 s"):
        sl.lab("first-shutdown")
