"""Sets of packets behave as sets: each operation is checked against membership, packet by packet."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st
from pipeline import Fields, PaperSwitch

from shutdownlab.compiler.rules import PipelineTable, Rule, SwitchProgram
from shutdownlab.compiler.traffic import (
    EVERYTHING,
    PASS,
    TCP,
    UDP,
    AclVerdict,
    Classifier,
    Traffic,
    both,
    classifier,
    in_all,
    of_ports,
    of_protocol,
)
from shutdownlab.config.addresses import Address, network
from shutdownlab.config.scalars import ports

_TEXTS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "10.1.2.4", "0.0.0.0/0", "::/0", "2001:db8::/32", "2001:db8::1")
PREFIXES = [network(text) for text in _TEXTS]
ADDRESSES = [ipaddress.ip_address(text) for text in ("10.1.2.3", "10.1.9.9", "11.0.0.1", "2001:db8::1", "2001:db9::1")]

prefixes = st.none() | st.sampled_from(PREFIXES)
ranges = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda pair: (min(pair), max(pair)))


@st.composite
def traffics(draw: st.DrawFn) -> Traffic:
    protocol = draw(st.sampled_from([None, TCP, UDP, 47]))
    span = draw(st.none() | ranges) if protocol in {TCP, UDP} else None
    remote, local = draw(prefixes), draw(prefixes)
    if remote is not None and local is not None and remote.version != local.version:
        local = None
    return Traffic(protocol, span, remote, local)


Packet = tuple[int, int, Address, Address]
"""Protocol, remote port, remote and local address."""


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    remote = draw(st.sampled_from(ADDRESSES))
    local = draw(st.sampled_from([a for a in ADDRESSES if a.version == remote.version]))
    return draw(st.sampled_from([TCP, UDP, 47])), draw(st.integers(1, 65535)), remote, local


def holds(traffic: Traffic, packet: Packet) -> bool:
    protocol, port, remote, local = packet
    return (
        traffic.protocol in {None, protocol}
        and (traffic.ports is None or traffic.ports[0] <= port <= traffic.ports[1])
        and (traffic.remote is None or remote in traffic.remote)
        and (traffic.local is None or local in traffic.local)
    )


def verdict_of(entries: Classifier, packet: Packet) -> AclVerdict:
    return next(verdict for traffic, verdict in entries if holds(traffic, packet))


@given(traffics(), traffics(), packets())
def test_what_two_sets_share_is_their_meet(a: Traffic, b: Traffic, packet: Packet) -> None:
    met = a.meet(b)
    assert (met is not None and holds(met, packet)) == (holds(a, packet) and holds(b, packet))


@given(traffics(), traffics(), packets())
def test_a_set_that_covers_another_has_all_its_packets(a: Traffic, b: Traffic, packet: Packet) -> None:
    assert a.covers(a)
    assert EVERYTHING.covers(a)
    if a.covers(b) and holds(b, packet):
        assert holds(a, packet)


@given(st.lists(st.lists(traffics(), max_size=4), min_size=1, max_size=3), packets())
def test_in_all_keeps_what_every_union_has(unions: list[list[Traffic]], packet: Packet) -> None:
    kept = in_all(unions)
    assert any(holds(t, packet) for t in kept) == all(any(holds(t, packet) for t in union) for union in unions)


@given(st.lists(traffics(), max_size=4), st.lists(traffics(), max_size=3), packets())
def test_exceptions_pass_targets_are_judged_and_the_rest_passes(
    targets: list[Traffic], spared: list[Traffic], packet: Packet
) -> None:
    verdict = AclVerdict(drop=True, policy="p")
    hit = any(holds(t, packet) for t in targets) and not any(holds(t, packet) for t in spared)
    assert verdict_of(classifier(targets, spared, verdict), packet) == (verdict if hit else PASS)


_POLICY = st.tuples(
    st.lists(traffics(), max_size=3),
    st.lists(traffics(), max_size=2),
    st.sampled_from(
        [AclVerdict(drop=True, policy="a"), AclVerdict(kbit=64, policy="b"), AclVerdict(kbit=512, policy="c")]
    ),
)


@given(_POLICY, _POLICY, packets())
def test_two_policies_at_once_are_the_worse_of_both(first: tuple, second: tuple, packet: Packet) -> None:  # type: ignore[type-arg]
    a, b = classifier(*first), classifier(*second)
    worse = verdict_of(a, packet).and_then(verdict_of(b, packet))
    assert verdict_of(both(a, b), packet) == worse


@given(traffics(), packets(), st.booleans())
def test_its_openflow_matches_hold_exactly_its_packets(traffic: Traffic, packet: Packet, inbound: bool) -> None:
    rules = [Rule(PipelineTable.CLASSIFY, 100, match, outputs=(1,)) for match in traffic.matches(inbound=inbound)]
    protocol, port, remote, local = packet
    version = remote.version
    source, target = (remote, local) if inbound else (local, remote)
    frame: Fields = {
        "eth_type": 0x0800 if version == 4 else 0x86DD,
        f"ipv{version}_src": str(source),
        f"ipv{version}_dst": str(target),
        "ip_proto": protocol,
    }
    name = {TCP: "tcp", UDP: "udp"}.get(protocol)
    if name:
        frame |= {f"{name}_src": port if inbound else 1, f"{name}_dst": 1 if inbound else port}
    assert (PaperSwitch(SwitchProgram((), tuple(rules))).run(frame).outputs == (1,)) == holds(traffic, packet)


def test_a_port_without_a_transport_is_that_of_both() -> None:
    assert of_ports(ports(179)) == (Traffic(TCP, (179, 179)), Traffic(UDP, (179, 179)))
    assert of_ports(ports("udp/53")) == (Traffic(UDP, (53, 53)),)


def test_icmp_is_of_both_versions_and_quic_is_udp_443() -> None:
    assert [t.protocol for t in of_protocol("icmp")] == [1, 58]
    assert of_protocol("quic") == (Traffic(UDP, (443, 443)),)


def test_the_whole_port_range_is_one_match() -> None:
    matches = list(Traffic(TCP, (0, 65535), remote=network("10.0.0.0/8")).matches(inbound=False))
    assert len(matches) == 1
