"""Finds conditions of a rule that contradict each other, so that no connection can meet them all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from shutdownlab.config.addresses import is_address
from shutdownlab.config.document import Expected
from shutdownlab.inspection.recognition import installed_recognisers

if TYPE_CHECKING:
    from shutdownlab.config.addresses import IpPrefix
    from shutdownlab.inspection.conditions import Conditions

ONLY_IN: Final = {
    "qtype": ("dns",),
    "answer": ("dns",),
    "cname": ("dns",),
    "user_agent": ("http", "http2", "sip", "ssh", "stun", "whatsapp-call", "quic"),
    "url_contains": ("http", "http2", "sip"),
    "url_regex": ("http", "http2", "sip"),
}
"""Conditions that only these protocols (of those that ship) can meet."""
_TUNNELS: Final = frozenset(
    {"capwap", "esp", "fou", "geneve", "gre", "gtp", "gue", "ike", "l2tp", "lisp", "mpls", "teredo", "tzsp", "vxlan"}
)
"""Protocols of packets within packets; what a profile looks into is recognised as what it is."""
_NAMELESS: Final = _TUNNELS | frozenset(
    {"bittorrent", "fet", "openvpn", "rtcp", "rtp", "ssh", "stun", "unknown", "whatsapp-call", "wireguard"}
)
"""Protocols without host names."""
_WITHOUT_HELLO: Final = _NAMELESS | {"dns", "http", "http2", "mtproto", "sip", "socks"}
"""Protocols without a ClientHello."""
_NEVER_IN: Final = {
    **dict.fromkeys(("name_exact", "name_suffix", "name_contains", "name_regex"), (_NAMELESS, "tls")),
    **dict.fromkeys(("ja4", "version"), (_WITHOUT_HELLO, "tls")),
    **dict.fromkeys(("ech", "esni"), (_WITHOUT_HELLO, "tls")),
}
"""Conditions that these protocols can never meet, with one protocol that can."""
_GROUPS: Final = ("name", "url")
"""Key prefixes whose keys together are one condition: any of them may hold."""
_TLS_VERSIONS: Final = range(0x0300, 0x0400)
"""TLS version code points. No registered QUIC version is among them (IANA, QUIC Versions)."""

_DTLS_VERSIONS: Final = range(0xFE00, 0xFF00)
"""Code points of DTLS versions (RFC 9147)."""
_LONGEST_DATAGRAM: Final = 65_527
"""Payload bytes of the longest UDP datagram, over IPv6 (RFC 768, RFC 8200)."""
_LAST_OF_TLS: Final = 0xFFFF
"""The greatest of TLS' version code points, which have two bytes; QUIC's have four."""


def check_together(when: Conditions) -> None:
    """Raises `Expected` if no connection can meet all the conditions."""
    for found, expected in _contradictions(when):
        raise Expected(expected, found=f"{found}, which no connection can match", key="when")


def _contradictions(when: Conditions) -> Iterator[tuple[str, str]]:
    """Yields each contradiction as (what was found, what is expected instead)."""
    asked = f"`protocol: {', '.join(when.protocol)}`"
    for key, protocols in ONLY_IN.items():
        if getattr(when, key) and when.protocol and not {*when.protocol} & {*protocols}:
            yield f"`{key}` together with {asked}", f"`{key}` with `protocol: {protocols[0]}`, or without `protocol`"
    for key, (lacking, one) in _NEVER_IN.items():
        if getattr(when, key) and when.protocol and lacking.issuperset(when.protocol):
            yield f"`{key}` together with {asked}", f"`{key}` with `protocol: {one}`, or without `protocol`"
    if when.version and {*when.protocol} == {"quic"} and all(version in _TLS_VERSIONS for version in when.version):
        yield f"a `version` of TLS together with {asked}", "a version of QUIC, such as 1"
    if any(is_address(name) for name in when.cname):
        yield "a `cname` that is an address", "`answer`, which looks at addresses"
    if when.answer and when.qtype and _families(when.answer).isdisjoint(_asked(when.qtype)):
        yield "an `answer` of another IP version than `qtype` asks for", "A for IPv4 addresses, AAAA for IPv6"
    yield from _of_different_protocols(when)
    spared = [name for name in when.protocol if name in when.protocol_except]
    if spared and len(spared) == len(when.protocol):
        yield f"`protocol` and `protocol_except` of {', '.join(spared)}", "one of them"
    if when.address and when.subscriber and _families(when.address).isdisjoint(_families(when.subscriber)):
        yield "an `address` and a `subscriber` of different IP versions", "the same IP version for both"
    inner = when.not_
    if inner is not None:
        check_together(inner)
        given = [key for key in type(inner).model_fields if key in inner.model_fields_set]
        if all(_is_implied(when, inner, key) for key in given):
            yield "a `not` that excludes all that the other conditions match", "a `not` that leaves something to match"
    if when.first_packets and when.first_packets[0].gap_at_least > 0:
        yield "a `gap_at_least` for the first packet, which has no gap before it", "`gap_at_least` for a later packet"


def _of_different_protocols(when: Conditions) -> Iterator[tuple[str, str]]:
    """Yields the pairs of conditions that no protocol can meet both: `qtype` needs DNS, `ja4` a ClientHello."""
    every = frozenset(installed_recognisers().protocols)
    met = {key: frozenset(protocols) for key, protocols in ONLY_IN.items() if getattr(when, key)}
    met |= {key: every - lacking for key, (lacking, _) in _NEVER_IN.items() if getattr(when, key)}
    if when.ja4:
        met["ja4"] &= _with_hellos({each[0] for each in when.ja4})
    if when.version:
        met["version"] &= _with_hellos({_carrier(version) for version in when.version})
    if when.protocol_except:
        met["protocol_except"] = every - {*when.protocol_except}
    if when.protocol:
        met["protocol"] = frozenset(when.protocol)
    transports = {item.protocol for item in when.port}
    if transports and None not in transports:
        met["port"] = frozenset().union(*(_over(each) for each in transports if each))
    for one, other in combinations(met, 2):
        if met[one].isdisjoint(met[other]):
            advice = "a port that it uses" if other == "port" else "conditions that one protocol can meet"
            found = f"`{one}` together with `{other}`"
            if (one, other) == ("protocol", "port"):
                listed = " and ".join(sorted(filter(None, transports)))
                found = f"a `port` of {listed} together with `protocol: {', '.join(when.protocol)}`"
            yield found, f"{advice}, or a rule for each"
    left = every.intersection(*met.values())
    if when.length_at_least > _LONGEST_DATAGRAM and left and (transports == {"udp"} or not left & _over("tcp")):
        yield f"a `length_at_least` of over {_LONGEST_DATAGRAM} bytes for UDP", "the size of one datagram, or TCP"


def _carrier(version: int) -> str:
    """Returns which ClientHellos offer a version, as JA4's first letter; "tqd" if any may."""
    if version in _TLS_VERSIONS:
        return "t"
    if version in _DTLS_VERSIONS:
        return "d"
    return "q" if version == 1 or version > _LAST_OF_TLS else "tqd"


def _with_hellos(letters: Collection[str]) -> frozenset[str]:
    """Returns the protocols whose ClientHellos have JA4s with one of these first letters: TLS, QUIC or DTLS."""
    every = frozenset(installed_recognisers().protocols)
    by_letter = {"t": _over("tcp"), "q": every - _over("tcp") - {"dtls"}, "d": every - _over("tcp") - {"quic"}}
    return frozenset().union(*(by_letter.get(letter, every) for letter in letters))


def _over(transport: str) -> frozenset[str]:
    """Returns the protocols that run over TCP or UDP."""
    known = installed_recognisers()
    return frozenset(known.over_tcp if transport == "tcp" else known.over_udp)


def _is_implied(when: Conditions, inner: Conditions, key: str) -> bool:
    """Returns whether every connection that meets `when`'s own conditions also meets condition `key` of its `not`."""
    group = key.partition("_")[0]
    keys = [each for each in type(when).model_fields if each.startswith(f"{group}_")] if group in _GROUPS else [key]
    own, other = getattr(when, key), getattr(inner, key)
    if key == "length_at_least":
        return bool(own >= other)
    if not isinstance(own, tuple) or key == "first_packets":
        return bool(own == other)
    asked = [(each, value) for each in keys for value in getattr(when, each)]
    spared = [(each, value) for each in keys for value in getattr(inner, each)]
    return bool(asked) and all(any(_is_within(*one, *wider) for wider in spared) for one in asked)


def _is_within(key: str, value: Any, wider_key: str, wider: Any) -> bool:
    """Returns whether everything that meets `value` of condition `key` also meets `wider` of `wider_key`.

    Both keys are the same condition or belong to the same group.
    """
    if key == wider_key and value == wider:
        return True
    match wider_key:
        case "name_suffix" | "cname":
            return key in ("name_exact", wider_key) and (value == wider or value.endswith(f".{wider}"))
        case "name_contains" | "url_contains" | "user_agent" | "keyword":
            return not key.endswith("_regex") and wider.lower() in value.lower()
        case "ja4":
            return bool(value.startswith(f"{wider}_"))
        case "address" | "subscriber" | "answer":
            return bool(value.version == wider.version and value.subnet_of(wider))
        case "port":
            within = wider.first <= value.first and value.last <= wider.last
            return within and wider.protocol in (None, value.protocol)
        case _:
            return False


def _asked(qtypes: Sequence[str]) -> frozenset[int]:
    """Returns the IP versions of the addresses that an answer to questions of these types may have; others may have
    either, as hints or additional records do."""
    found = [{"A": {4}, "AAAA": {6}}.get(qtype, {4, 6}) for qtype in qtypes]
    return frozenset().union(*found)


def _families(prefixes: Sequence[IpPrefix]) -> frozenset[int]:
    return frozenset(prefix.version for prefix in prefixes)
