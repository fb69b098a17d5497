"""Geneva's language, and what becomes of packets by it. No privileges."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from shutdownlab.tools.geneva_engine import built, carried_out, matches, parsed
from shutdownlab.tools.geneva_strategy import StrategyError, parse_strategy

HELLO = b"abcdefghijklmnop"


def packets(strategy: str, flags: str = "PA") -> list[IP]:
    """What becomes of a segment of sixteen octets, as whoever receives it reads it."""
    segment = IP(bytes(IP(src="100.64.0.2", dst="198.51.100.7") / TCP(flags=flags, seq=1000, dport=443) / Raw(HELLO)))
    [tree] = parse_strategy(strategy)
    taken = parsed(bytes(segment))
    return [IP(built(each)) for each in carried_out(tree.action, taken)] if matches(tree, taken) else [taken]


def test_a_segment_is_split_where_the_strategy_says_and_either_part_may_come_first() -> None:
    first, second = packets("[TCP:flags:PA]-fragment{tcp:8:True}-|")
    assert (first[TCP].seq, bytes(first[TCP].payload)) == (1000, HELLO[:8])
    assert (second[TCP].seq, bytes(second[TCP].payload)) == (1008, HELLO[8:])
    late = packets("[TCP:flags:PA]-fragment{tcp:-1:False}-| \\/")
    assert [each[TCP].seq for each in late] == [1008, 1000]


def test_what_is_made_has_a_right_checksum_unless_the_strategy_spoils_it() -> None:
    strategy = "[TCP:flags:PA]-duplicate(tamper{TCP:chksum:replace:1}(tamper{IP:ttl:replace:3}),)-|"
    spoilt, right = packets(strategy)
    assert (spoilt[TCP].chksum, spoilt.ttl) == (1, 3)
    wanted = right[TCP].chksum
    del right[TCP].chksum
    assert IP(bytes(right))[TCP].chksum == wanted
    assert bytes(right[TCP].payload) == HELLO


def test_other_packets_are_left_as_they_are_and_dropped_ones_are_gone() -> None:
    assert [bytes(each[TCP].payload) for each in packets("[TCP:flags:PA]-drop-|", flags="A")] == [HELLO]
    assert packets("[TCP:flags:PA]-drop-|") == []
    assert bytes(packets("[TCP:flags:PA]-tamper{TCP:load:replace:other}-|")[0][TCP].payload) == b"other"
    assert packets("[TCP:flags:PA]-tamper{TCP:flags:replace:R}-|")[0][TCP].flags == "R"


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ("", "it says nothing"),
        ("fragment", "a tree such as"),
        ("[UDP:sport:1]-drop-|", "UDP:sport is none of IP:ttl"),
        ("[TCP:flags:PA]-explode-|", "explode{} is none of send"),
        ("[TCP:flags:PA]-duplicate(send-|", "a closing bracket is missing"),
        ("[TCP:flags:PA]-drop-| \\/ [TCP:flags:R]-drop-|", "only what goes out"),
        ("[TCP:flags:PA]-send send-|", "is too much"),
    ],
)
def test_a_text_that_is_not_a_geneva_strategy_is_refused(strategy: str, told: str) -> None:
    with pytest.raises(StrategyError) as raised:
        parse_strategy(strategy)
    assert told in str(raised.value)
