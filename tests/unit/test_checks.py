"""The checks that controls of resolvers are made of: a resolver of ours on the loopback interface."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.dns import lookup
from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.failure import StepFailed
from shutdownlab.probes.run import run_probe
from shutdownlab.probes.session import ProbeSession
from shutdownlab.protocol.probing import Check, ProbeRequest

CHECKS = "shutdownlab.probes.checks:checks_test"


class Resolver(asyncio.DatagramProtocol):
    """Answers as the name begins: known, lost once, lost, missing, truncated."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.ports: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text()
        self.asked[name] += 1
        self.ports.add(peer[1])
        answer = dns.message.make_response(query)
        if name.startswith("missing"):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif name.startswith("truncated"):
            answer.flags |= dns.flags.TC
        else:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "192.0.2.7"))
        if not (name.startswith("lost.") or (name.startswith("lost-once") and self.asked[name] == 1)):
            self.transport.sendto(answer.to_wire(), peer)


async def failures(
    names: list[str], monkeypatch: pytest.MonkeyPatch, answers: Sequence[str] = ()
) -> tuple[dict[str, str | None], Resolver]:
    loop = asyncio.get_running_loop()
    transport, resolver = await loop.create_datagram_endpoint(Resolver, ("127.0.0.1", 0))
    monkeypatch.setattr("shutdownlab.probes.dns._PORT", transport.get_extra_info("sockname")[1])
    ask = {"address": "127.0.0.1", "answers": answers}
    checks = [{"name": f"resolver for {name}", "host": name, **ask} for name in names]
    found = await run_probe(ProbeRequest("control", "control", CHECKS, checks, timeout=0.6), Equipment())
    transport.close()
    assert found.outcome is Outcome.OK, found.failure
    return {name.split()[-1]: failure for name, failure in found.test_keys["x_checks"].items()}, resolver


def test_many_names_are_asked_for_at_once_from_one_port_and_each_fails_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = [f"known-{n}.example" for n in range(40)]
    others = ["lost.example", "missing.example", "truncated.example"]
    found, resolver = asyncio.run(failures([*known, *others], monkeypatch))
    assert {name: failure for name, failure in found.items() if failure} == {
        "lost.example": "generic_timeout_error",
        "missing.example": "dns_nxdomain_error",
    }
    assert len(found) == 43
    assert len(resolver.ports) == 1


def test_an_answer_without_a_true_address_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "known.example"
    found, _ = asyncio.run(failures([name], monkeypatch, ["192.0.2.8"]))
    assert found == {name: "unknown_failure: the resolver gave a false address"}
    found, _ = asyncio.run(failures([name, "missing.example"], monkeypatch, ["192.0.2.8", "192.0.2.7"]))
    assert found == {name: None, "missing.example": "dns_nxdomain_error"}


def test_only_what_was_not_answered_is_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    found, resolver = asyncio.run(failures(["known.example", "lost-once.example"], monkeypatch))
    assert found == {"known.example": None, "lost-once.example": None}
    assert resolver.asked == {"known.example.": 1, "lost-once.example.": 2}


def test_a_check_without_an_address_is_answered_by_its_agent() -> None:
    asked = ProbeRequest("control", "control", CHECKS, (Check("agent of a", ""),))
    assert asyncio.run(run_probe(asked, Equipment())).test_keys["x_checks"] == {"agent of a": None}


def test_who_looks_nothing_up_knows_the_names_that_there_are() -> None:
    hosts = {"www.example.org": ("192.0.2.1", "2001:db8::1")}
    session = ProbeSession(ProbeRequest("x", "x", CHECKS, looks_up=False), Equipment(hosts))
    assert asyncio.run(lookup(session, "www.example.org")).addresses == ("192.0.2.1",)
    with pytest.raises(StepFailed, match="dns_no_answer"):
        asyncio.run(lookup(session, "elsewhere.example"))
    assert session.trace.queries == []
