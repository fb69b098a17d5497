"""What a user brings beside a scenario or a topology, from files that these name."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from pydantic import ValidationError
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap
from wire import Connection, client_hello

import shutdownlab as sl
from shutdownlab import library
from shutdownlab.box.inspector import engine_maker
from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.catalogue import AppCatalogue
from shutdownlab.inspection.conditions import Conditions
from shutdownlab.inspection.engine import Engine
from shutdownlab.inspection.name_list import read_names
from shutdownlab.inspection.policy import InspectionPolicy, load_policy
from shutdownlab.inspection.profile import shipped_profile
from shutdownlab.inspection.recognition import Recognition
from shutdownlab.model.programs import allowed
from shutdownlab.servers.daemon import Listening
from shutdownlab.servers.own import OwnServers
from shutdownlab.servers.server import Premises
from shutdownlab.servers.tls import CertificateAuthority

OWN = Path(__file__).parents[1] / "golden" / "own"
TOPOLOGY = (OWN / "topology-with-a-bank.yaml").read_text()
SCENARIO = (OWN.parent / "valid-scenario.yaml").read_text()


def problems(path: Path) -> str:
    with pytest.raises(BadInput) as raised:
        library.check(str(path))
    return str(raised.value)


def test_an_own_app_is_served_where_the_topology_says_and_known_by_its_name() -> None:
    loaded = library.load_topology(str(OWN / "topology-with-a-bank.yaml"))
    hosted = loaded.network.hosted_as("api.mybank.example")
    assert hosted is not None
    assert (hosted.app, hosted.node, hosted.domestic) == ("mybank", "northnet-capital-datacentre", True)
    assert AppCatalogue(loaded.apps).app_of(Recognition("tls", "login.mybank.example"), bytes(4), 443) == "mybank"
    assert "mybank" not in library.catalogue()


def test_a_scenario_knows_the_apps_of_its_topology_and_its_own(tmp_path: Path) -> None:
    (tmp_path / "apps.yaml").write_text((OWN / "apps.yaml").read_text())
    (tmp_path / "country.yaml").write_text(TOPOLOGY)
    (tmp_path / "more.yaml").write_text("format: 1\napps:\n  radio: {title: Radio, suffixes: [radio.example]}\n")
    text = SCENARIO.replace("two-operators", "country.yaml\napps: [more.yaml]").replace("telegram", "mybank, radio")
    (tmp_path / "scenario.yaml").write_text(text)
    shutdown = library.load(str(tmp_path / "scenario.yaml"))
    assert shutdown.scenario.policies["messengers"].targets.apps == ("whatsapp", "mybank", "radio")
    assert {"mybank", "radio", "kaspi"} <= shutdown.apps.keys()


def test_an_own_app_stands_in_place_of_a_shipped_one_where_its_file_says_so(tmp_path: Path) -> None:
    app = "kaspi: {title: Our Kaspi, suffixes: [kaspi.kz], endpoints: [{names: [new.kaspi.kz], ports: [https/443]}]}"
    (tmp_path / "apps.yaml").write_text(f"format: 1\nreplaces: [kaspi]\napps:\n  {app}\n")
    (tmp_path / "country.yaml").write_text(TOPOLOGY.replace("[kaspi, mybank]", "[kaspi]"))
    loaded = library.load_topology(str(tmp_path / "country.yaml"))
    assert loaded.apps["kaspi"].title == "Our Kaspi"
    assert loaded.network.hosted_as("new.kaspi.kz")
    assert loaded.network.hosted_as("kaspi.kz") is None


def test_an_own_app_with_an_address_of_the_country_is_refused(tmp_path: Path) -> None:
    endpoint = "{names: [mybank.example], addresses: [100.65.7.7], ports: [https/443]}"
    (tmp_path / "apps.yaml").write_text(f"format: 1\napps:\n  mybank: {{title: My bank, endpoints: [{endpoint}]}}\n")
    (tmp_path / "country.yaml").write_text(TOPOLOGY)
    assert "found My bank at 100.65.7.7, in the prefixes of southcell" in problems(tmp_path / "country.yaml")


@pytest.mark.parametrize("kind", ["directory", "pipe", "endless", "huge"])
def test_a_file_that_is_no_ordinary_one_is_refused_and_nobody_waits_for_it(tmp_path: Path, kind: str) -> None:
    (tmp_path / "country.yaml").write_text(TOPOLOGY.replace("apps.yaml", "/dev/zero" if kind == "endless" else "it"))
    it = tmp_path / "it"
    if kind == "directory":
        it.mkdir()
    elif kind == "pipe":
        os.mkfifo(it)
    elif kind == "huge":
        it.touch()
        os.truncate(it, 1 << 40)
    special = {"huge": "has 1,099,511,627,776 bytes, more than 1,048,576", "directory": "is a directory"}
    assert f"which {special.get(kind, 'is not a regular file')}" in problems(tmp_path / "country.yaml")


# --- profiles -------------------------------------------------------------------------------------------------------


def test_an_operators_box_works_by_a_profile_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text((OWN / "profile.yaml").read_text())
    text = SCENARIO.replace("two-operators", "two-operators\nprofile: naive\nprofiles: {southcell: ./mine.yaml}")
    (tmp_path / "scenario.yaml").write_text(text)
    profiles = library.load(tmp_path / "scenario.yaml").profiles
    assert {operator: profile.name for operator, profile in profiles.items()} == {
        "northnet": "naive",
        "southcell": "my-box",
    }
    make = engine_maker(profiles=profiles.values())
    assert make(InspectionPolicy(), "my-box", 0).on_path
    assert not make(InspectionPolicy(), "naive", 0).on_path


def test_two_files_of_one_profile_name_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text((OWN / "profile.yaml").read_text())
    text = SCENARIO.replace("two-operators", "two-operators\nprofiles: {northnet: one.yaml, southcell: two.yaml}")
    (tmp_path / "scenario.yaml").write_text(text)
    assert "found 'two.yaml', whose name is my-box, as that of 'one.yaml'" in problems(tmp_path / "scenario.yaml")


def test_a_capture_is_inspected_by_a_profile_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "tor.yaml").write_text(
        "format: 1\nname: no-https\ntitle: Resets all HTTPS\nsources: [made up]\n"
        "rules: [{name: all, when: {port: tcp/443}, verdict: reset}]\n"
    )
    wrpcap(str(tmp_path / "one.pcap"), Ether() / IP(src="10.0.0.1", dst="192.0.2.1") / TCP(dport=443, flags="S"))
    done = subprocess.run(
        [sys.executable, "-m", "shutdownlab", "inspect", "one.pcap", "--profile", "tor.yaml", "--format", "jsonl"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert '"reset"' in done.stdout


# --- rules and lists of names ---------------------------------------------------------------------------------------


def test_names_in_a_list_are_spelt_as_people_do_and_brought_to_one_spelling() -> None:
    names = read_names((OWN / "names.txt").read_bytes(), "names.txt")
    assert names == ("kaspi.kz", "example.org", "xn--80a1acny.xn--80ao21a")


def test_the_first_mistakes_of_a_list_are_reported_and_the_rest_counted() -> None:
    with pytest.raises(BadInput) as raised:
        read_names(b"no name at all\n" * 5000, "list.txt")
    assert [problem.line for problem in raised.value.problems] == list(range(21))
    assert "4,980 more such lines" in str(raised.value)


def test_more_names_than_a_box_can_be_told_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutdownlab.inspection.name_list.MAX_NAMES", 3)
    with pytest.raises(BadInput, match="4 names; expected at most 3"):
        read_names(b"a.kz\nb.kz\nc.kz\na.kz\nd.kz\n", "list.txt")


def test_a_scenarios_policy_takes_its_rules_from_a_file_with_its_list_of_names() -> None:
    scenario = library.load(own_rules()).scenario
    rules = scenario.policies["messengers"].inspect or ()
    assert [rule.name for rule in rules] == ["names", "slow"]
    assert rules[0].when.name_suffix == ("bbc.com", "kaspi.kz", "example.org", "xn--80a1acny.xn--80ao21a")


def own_rules() -> dict[str, object]:
    """SCENARIO as a program makes it, with rules from a file."""
    scenario: dict[str, Any] = yaml.safe_load(SCENARIO.replace(": 2022", ": !!str 2022"))
    scenario["policies"]["messengers"] = {"title": "M", "inspect": str(OWN / "rules.yaml"), "source": "lesson"}
    return scenario


def test_a_name_of_a_list_is_found_in_a_client_hello() -> None:
    policy = load_policy((OWN / "rules.yaml").read_bytes(), str(OWN / "rules.yaml"))
    connection = Connection(Engine(policy, shipped_profile("perfect")))
    connection.open()
    assert connection.data(client_hello("www.xn--80a1acny.xn--80ao21a")).forward is False


def test_rules_made_in_python_with_a_file_of_names_are_refused_not_ignored() -> None:
    with pytest.raises(ValidationError, match="names"):
        Conditions.model_validate({"name_file": "list.txt"})


# --- programs -------------------------------------------------------------------------------------------------------

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_what_a_scenario_and_its_topology_would_start_is_known_with_its_place() -> None:
    shutdown = library.load(EXAMPLES / "own-programs" / "board-run.yaml")
    server, controller = shutdown.programs
    assert (Path(server.file).name, server.where) == ("country.yaml", "transits.transit-one.serves[2].command")
    assert server.command == ("python3", str(EXAMPLES / "own-programs" / "board.py"), "{address}", "8080")
    assert (Path(controller.file).name, controller.line) == ("board-run.yaml", 8)
    folder = EXAMPLES / "own-programs"
    assert allowed(shutdown.programs, trust=True) == (folder, folder / "board.py", folder / "lenient_isp.py")
    with pytest.raises(BadInput) as refused:
        allowed(shutdown.programs, trust=False)
    assert {problem.where for problem in refused.value.problems} == {server.where, controller.where}


@pytest.mark.parametrize("name", [name for name, _ in library.shipped("scenarios")] + ["own-bank"])
def test_what_brings_no_programs_needs_no_trust(name: str) -> None:
    shutdown = library.load(EXAMPLES / "own-bank" / "bank-run.yaml" if name == "own-bank" else name)
    assert allowed(shutdown.programs, trust=False) == ()


def test_sl_run_and_sl_lab_refuse_untrusted_programs_before_anything_is_made(tmp_path: Path) -> None:
    scenario = EXAMPLES / "own-programs" / "board-run.yaml"
    with pytest.raises(BadInput, match="the server notice board"):
        sl.run(scenario, tmp_path / "run")
    with pytest.raises(BadInput, match="lenient_isp"):
        sl.lab(scenario)
    assert not (tmp_path / "run").exists()


def test_a_server_of_ones_own_has_an_address_and_a_name_and_is_up_by_its_ports() -> None:
    loaded = library.load_topology(str(EXAMPLES / "own-programs" / "country.yaml"))
    hosted = loaded.network.hosted_as("board.example")
    assert hosted is not None
    assert (hosted.node, hosted.domestic, len(hosted.addresses)) == ("transit-one-servers", False, 2)
    [daemon] = OwnServers().daemons(Premises(loaded.network, CertificateAuthority(), Path("/lab"), Path("/run/lab")))
    four = str(hosted.addresses[0])
    assert daemon.argv[-2:] == (four, "8080")
    everywhere = Listening("tcp", ip_address("0.0.0.0"), 8080)
    assert daemon.missing(frozenset({everywhere})) == frozenset()
    assert daemon.missing(frozenset({Listening("tcp", hosted.addresses[0], 8080)})) == frozenset()
    assert daemon.missing(frozenset({Listening("tcp", ip_address("192.0.2.7"), 8080)})) == daemon.sockets


def test_a_server_of_ones_own_gets_a_certificate_where_it_asks_for_one() -> None:
    topology = yaml.safe_load((EXAMPLES / "own-programs" / "country.yaml").read_text())
    topology["transits"]["transit-one"]["serves"] = [
        {"command": ["gotls", "-c={certificate}", "{key}"], "ports": ["tcp/443"], "names": ["tls.example"]}
    ]
    network = library.load_topology(topology).network
    [daemon] = OwnServers().daemons(Premises(network, CertificateAuthority(), Path("/lab"), Path("/run/lab")))
    assert daemon.argv == ("gotls", f"-c={daemon.directory}/certificate.pem", f"{daemon.directory}/key.pem")
    assert x509.load_pem_x509_certificate(bytes(daemon.files["certificate.pem"])) is not None


def test_a_name_that_an_app_has_is_not_a_server_programs_too() -> None:
    topology = yaml.safe_load((EXAMPLES / "own-programs" / "country.yaml").read_text())
    topology["transits"]["transit-one"]["serves"][2]["names"] = ["board.example", "www.wikipedia.org"]
    with pytest.raises(
        BadInput, match=r"serves\[2\]\.names\[1\]: found www\.wikipedia\.org, a name that another server has already"
    ):
        library.load_topology(topology)


@pytest.mark.parametrize("name", ["./a\0b.py", "./" + "x" * 5000 + ".py", "./" + "x/" * 3000 + "y.py"])
def test_a_path_that_no_file_can_have_is_a_mistake_like_any_other(name: str) -> None:
    topology = yaml.safe_load((EXAMPLES / "own-programs" / "country.yaml").read_text())
    topology["apps"] = [name]
    topology["transits"]["transit-one"]["serves"][2]["command"] = [name]
    with pytest.raises(BadInput) as refused:
        library.load_topology(topology)
    assert {problem.where for problem in refused.value.problems} == {
        "apps[0]",
        "transits.transit-one.serves[2].command[0]",
    }
    scenario = yaml.safe_load(SCENARIO.replace(": 2022", ": !!str 2022"))
    with pytest.raises(BadInput, match="controller"):
        library.load({**scenario, "controller": name})
    with pytest.raises(BadInput, match="profile"):
        library.load({**scenario, "profile": name.replace(".py", ".yaml")})


def test_a_controller_that_python_cannot_read_is_reported_with_its_line_before_anything_runs(tmp_path: Path) -> None:
    scenario = yaml.safe_load((Path(__file__).parents[2] / "scenarios/first-shutdown.yaml").read_text())
    (tmp_path / "isp.py").write_text("import os\ndef obey(:\n    pass\n")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(scenario | {"controllers": {"northnet": "isp.py"}}))
    with pytest.raises(BadInput, match=r"northnet: found 'isp.py', which Python cannot read: invalid syntax, line 2"):
        sl.load(tmp_path / "mine.yaml")
    (tmp_path / "isp.py").write_text("raise SystemExit('nothing is carried out')\n")
    assert sl.load(tmp_path / "mine.yaml").controllers == {"northnet": tmp_path / "isp.py"}
