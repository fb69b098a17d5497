"""Recognisers: in which order they are asked, and that a stranger's stands beside those that ship."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path
from typing import ClassVar

import pytest
from wire import Connection, client_hello

from shutdownlab.inspection import recognisers as package
from shutdownlab.inspection.engine import Engine
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.profile import shipped_profile
from shutdownlab.inspection.recognisers.recogniser import Recogniser, TcpRecogniser, UdpRecogniser, UdpSession
from shutdownlab.inspection.recognition import (
    GROUP,
    UNKNOWN,
    Recognisers,
    Recognition,
    Tolerance,
    installed_recognisers,
)

SELECTOR = b"/about gopher\r\n"


class Gopher(TcpRecogniser):
    """A selector and a line end, to port 70 (RFC 1436)."""

    protocols = ("gopher",)

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        if dport != 70:
            return None
        return Recognition("gopher") if client.endswith(b"\r\n") else Recognition(more=True)


class Knock(UdpRecogniser):
    """Three datagrams of the client's in a row that begin with the same eight bytes."""

    protocols = ("knock",)
    reads = "client"

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        assert from_client
        heard = session.memory.setdefault("knock", [])
        heard.append(payload[:8])
        return Recognition("knock") if heard[-3:] == [payload[:8]] * 3 else None


def shipped_and(*others: Recogniser) -> Recognisers:
    return Recognisers([*(entry.load()() for entry in entry_points(group=GROUP)), *others])


def test_every_recogniser_that_ships_is_registered_as_a_plug_ins_is() -> None:
    modules = [
        importlib.import_module(f"{package.__name__}.{item.name}") for item in pkgutil.iter_modules(package.__path__)
    ]
    written = {
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Recogniser) and kind.protocols
    }
    assert written == {entry.load() for entry in entry_points(group=GROUP)}


def test_a_recogniser_written_in_python_is_asked_beside_those_that_ship() -> None:
    ours = shipped_and(Gopher())
    assert ours.tcp(SELECTOR, b"", 70).protocol == "gopher"
    assert ours.tcp(SELECTOR[:5], b"", 70).more
    assert ours.tcp(client_hello("kaspi.kz"), b"", 70).protocol == "tls", "what ships comes first"
    assert "gopher" in ours.protocols
    assert "gopher" not in installed_recognisers().protocols


def test_the_engine_blocks_by_a_protocol_that_a_strangers_recogniser_knows() -> None:
    rule = {"name": "no gopher", "when": {"protocol": ["gopher"]}, "verdict": {"action": "drop"}}
    policy = InspectionPolicy.model_validate({"rules": [rule]})
    for recognisers, forwarded in ((shipped_and(Gopher()), False), (shipped_and(), True)):
        engine = Engine(policy, shipped_profile("perfect"), recognisers=recognisers)
        connection = Connection(engine, dport=70)
        connection.open()
        outcome = connection.data(SELECTOR)
        assert outcome.forward is forwarded


def test_a_recogniser_remembers_what_it_saw_of_a_flow_and_is_asked_about_the_side_it_reads() -> None:
    ours = Recognisers([Knock()])
    flow, other = ours.udp(), ours.udp()
    assert [flow.feed(b"knock-01", client, 7).protocol for client in (True, False, True)] == [UNKNOWN] * 3
    assert other.feed(b"knock-01", True, 7).protocol == UNKNOWN, "of this flow only"
    assert flow.feed(b"knock-01", True, 7).protocol == "knock"


def named(protocol_: str, **declared: object) -> TcpRecogniser:
    """One that recognises whatever it is asked about."""

    class Named(TcpRecogniser):
        protocols: ClassVar[tuple[str, ...]] = (protocol_,)

        def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
            return Recognition(protocol_)

        def refine(self, found: Recognition, client: bytes, server: bytes, dport: int) -> None:
            found.protocol = protocol_

    for name, value in declared.items():
        setattr(Named, name, value)
    return Named()


def test_the_lower_order_is_asked_first_whatever_the_order_of_registration() -> None:
    late, early = named("late", order=600), named("early", order=400)
    assert Recognisers([late, early]).tcp(b"x" * 20, b"", 1).protocol == "early"


def test_a_recogniser_is_asked_only_about_streams_that_begin_with_its_bytes() -> None:
    ours = Recognisers([named("letters", first=frozenset(b"AB"))])
    assert ours.tcp(b"B" * 20, b"", 1).protocol == "letters"
    assert ours.tcp(b"C" * 20, b"", 1).protocol == UNKNOWN


def test_before_the_client_has_sent_anything_only_those_that_read_either_end_are_asked() -> None:
    banner = b"220 ready\r\n"
    assert Recognisers([named("by client")]).tcp(b"", banner, 1).protocol == UNKNOWN
    assert Recognisers([named("by either", reads="either")]).tcp(b"", banner, 1).protocol == "by either"


def test_a_fallback_is_asked_when_nobody_else_knows_or_waits() -> None:
    ours = Recognisers([named("anything", fallback=True, order=1), Gopher()])
    assert ours.tcp(b"whatever", b"", 71).protocol == "anything"
    assert ours.tcp(b"whatever", b"", 70).more
    assert ours.tcp(SELECTOR, b"", 70).protocol == "gopher"


def test_a_recogniser_refines_what_another_has_found() -> None:
    special = named("special", first=frozenset(), refines=("plain",))
    assert Recognisers([special, named("plain")]).tcp(b"x" * 20, b"", 1).protocol == "special"
    assert Recognisers([special, named("other")]).tcp(b"x" * 20, b"", 1).protocol == "other"


POLICY = """
from shutdownlab.inspection.policy import load_policy
load_policy('rules: [{name: one, when: {protocol: [%s]}, verdict: drop}]', 'mine.yaml')
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A package of recognisers, installed as `pip install --target` does."""
    lines = [line for line in inspect.getsource(Gopher).splitlines() if line]
    head = ["from shutdownlab.inspection.recognisers.recogniser import *", "from typing import Any", ""]
    imports = "from shutdownlab.inspection.recognition import Recognition, Tolerance"
    (tmp_path / "burrow.py").write_text("\n".join([*head, imports, *lines, ""]))
    register(tmp_path, "gopher = burrow:Gopher")
    return tmp_path


def register(where: Path, entries: str) -> None:
    info = where / "burrow-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: burrow\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n")


def run(where: Path, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={"PYTHONPATH": str(where), "PATH": ""},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def test_rules_may_name_the_protocol_of_an_installed_plug_in(plugin: Path) -> None:
    assert run(plugin, POLICY % "gopher").returncode == 0
    assert "unknown protocol 'gopher'" in run(plugin / "nothing here", POLICY % "gopher").stderr
    misspelt = run(plugin, POLICY % "gohper").stderr
    assert "unknown protocol 'gohper'" in misspelt
    assert "did you mean 'gopher'?" in misspelt


def test_orders_of_a_scenario_may_name_it_too(plugin: Path) -> None:
    order = "from shutdownlab.model.policy import Targets; print(Targets(protocols=['%s']).recognised)"
    assert run(plugin, order % "gopher").stdout == "('gopher',)\n"
    assert "one of icmp, tcp" in run(plugin, order % "gohper").stderr


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ("gopher = hole:Gopher", "found 'gopher' of the package burrow, which cannot be loaded: ModuleNotFoundError"),
        ("gopher = burrow:Tolerance", "which is not a shutdownlab.inspection.recognisers.recogniser.Recogniser"),
        ("tls = burrow:Gopher", "found 'tls', which the package burrow and the package shutdownlab both register"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_reported_by_its_name(plugin: Path, entries: str, told: str) -> None:
    register(plugin, entries)
    assert told in run(plugin, POLICY % "gopher").stderr
