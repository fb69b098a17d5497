"""CenFuzz: requests for a blocked name in varied forms, to find out which of them a box still recognises. Pure.

From Sundara Raman et al., "Network Measurement Methods for Locating and Examining Censorship Devices" (CoNEXT 2022):
each permutation is sent with the name and with a control; if both are answered alike it evades the box. The strategies,
their names and the output fields are those of https://github.com/censoredplanet/CenFuzz, with the first few
permutations of each strategy. ClientHellos are made with scapy, and only the answer to them is examined: no handshake
is completed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shutdownlab.model.remote_measurement import ServiceName
from shutdownlab.observers.exchanges import Exchange
from shutdownlab.observers.hyperquack import iso

CONTROL: Final = "example.com"
NORMAL: Final = "Normal"
_PER_STRATEGY: Final = 3
"""Permutations per strategy: CenFuzz' own default."""
_HELLO_VERSION, _TLS_1_0, _TLS_1_1, _TLS_1_2, _TLS_1_3 = 0x0303, 0x0301, 0x0302, 0x0303, 0x0304
_CIPHERS: Final = (
    0x1301, 0x1302, 0x1303, 0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F,
)  # fmt: skip
_SUPPORTED_VERSIONS: Final = 43
_DATE: Final = re.compile(r"(?m)^Date: .*\r\n")
_GROUPS: Final = (0x001D, 0x0017)
_SIGNATURES: Final = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501)


@dataclass(frozen=True, slots=True)
class Permutation:
    """A form of request: `strategy`, in CenFuzz' words, and `made`, which returns the octets to send for a name."""

    strategy: str
    made: Callable[[str], bytes]


def permutations(service: ServiceName) -> Iterator[Permutation]:
    """Yields the ordinary request, then those of each strategy. For HTTPS raises `ImportError` without scapy."""
    strategies = dict(_http() if service == "http" else _https())
    for strategy, made in strategies.items():
        for each in made[:_PER_STRATEGY]:
            yield Permutation(strategy, each)


def _http() -> Iterator[tuple[str, Sequence[Callable[[str], bytes]]]]:
    def sent(
        get: str = "GET", path: str = " / ", http: str = "HTTP/1.1", host: str = "Host:", end: str = "\r\n",
        header: str = "", name: Callable[[str], str] = str,
    ) -> Callable[[str], bytes]:  # fmt: skip
        return lambda asked: f"{get}{path}{http}{end}{host}{name(asked)}{end}{header}{end}".encode()

    yield NORMAL, [sent()]
    yield "Hostname Padding", [sent(name=lambda n: f"{n}*"), sent(name=lambda n: f"*{n}"), sent(name="**{}*".format)]
    yield "Get Word | Capitalize", [sent(get) for get in ("get", "geT", "gEt")]
    yield "Get Word | Remove", [sent(get) for get in ("GE", "ET", "G")]
    yield "Get Word | Alternate", [sent(get) for get in ("POST", "PUT", "PATCH")]
    yield "Http Word | Capitalize", [sent(http=http) for http in ("http/1.1", "httP/1.1", "htTp/1.1")]
    yield "Http Word | Remove", [sent(http=http) for http in ("HTTP/1.", "HTP/1.1", "TTP/1.1")]
    yield "Http Word | Alternate", [sent(http=http) for http in ("XXXX/1.1", "HTTP/11.1", "HTTP/1.12")]
    yield "Host Word | Capitalize", [sent(host=host) for host in ("host:", "hosT:", "hoSt:")]
    yield "Host Word | Remove", [sent(host=host) for host in ("Hos:", "ost:", "Host")]
    yield "Host Word | Alternate", [sent(host=host) for host in ("XXXX: ", "XXXX:", "HostHeader:")]
    yield "Http Delimiter | Remove", [sent(end=end) for end in ("\r", "\n")]
    yield "Path | Alternate", [sent(path=path) for path in ("/ ", " z ", " ? ")]
    headers = ("Accept: text/html", "Connection: keep-alive", "Accept-Encoding: xxx")
    yield "Header | Alternate", [sent(header=f"{header}\r\n") for header in headers]
    for strategy, names in _other_names().items():
        yield strategy.replace("SNI", "Hostname"), [sent(name=name) for name in names]


def _https() -> Iterator[tuple[str, Sequence[Callable[[str], bytes]]]]:
    def sent(
        versions: Sequence[int] = (_TLS_1_3, _TLS_1_2), ciphers: Sequence[int] = _CIPHERS,
        name: Callable[[str], str | None] = str,
    ) -> Callable[[str], bytes]:  # fmt: skip
        return lambda asked: client_hello(name(asked), versions, ciphers)

    yield NORMAL, [sent()]
    yield "SNI Padding", [sent(name=lambda n: f"{n}*"), sent(name=lambda n: f"*{n}"), sent(name="**{}*".format)]
    yield "Min Version Alternate", [sent((_TLS_1_3,)), sent((_TLS_1_3, _TLS_1_2, _TLS_1_1)), sent((_TLS_1_3, _TLS_1_0))]
    yield "Max Version Alternate", [sent((_TLS_1_2,)), sent((_TLS_1_1,)), sent((_TLS_1_0,))]
    yield "CipherSuite Alternate", [sent(ciphers=(cipher,)) for cipher in (0x1301, 0xC02F, 0x0005)]
    yield "SNI Alternate", [sent(name=lambda _: None), sent(name=lambda _: ""), sent(name=lambda n: n + n)]
    for strategy, names in _other_names().items():
        if strategy != "SNI Alternate":
            yield strategy, [sent(name=name) for name in names]


def _other_names() -> Mapping[str, Sequence[Callable[[str], str]]]:
    def under(label: str) -> Callable[[str], str]:
        return lambda name: f"{label}.{name.removeprefix('www.')}"

    def within(tld: str) -> Callable[[str], str]:
        return lambda name: f"{name.rpartition('.')[0]}.{tld}"

    return {
        "SNI Alternate": [lambda _: "", lambda name: name + name, lambda name: name[::-1]],
        "SNI TLD Alternate": [within(tld) for tld in ("com", "xyz", "net")],
        "SNI Subdomain Alternate": [under(label) for label in ("www", "mail", "forum")],
    }


def client_hello(name: str | None, versions: Sequence[int], ciphers: Sequence[int]) -> bytes:
    """Returns a TLS record with a ClientHello with a fixed random. name: may be empty, or None for no SNI extension."""
    from scapy.layers.tls.extensions import (
        ServerName,
        TLS_Ext_ServerName,
        TLS_Ext_SignatureAlgorithms,
        TLS_Ext_SupportedGroups,
        TLS_Ext_SupportedVersion_CH,
    )
    from scapy.layers.tls.handshake import TLSClientHello
    from scapy.layers.tls.keyexchange_tls13 import KeyShareEntry, TLS_Ext_KeyShare_CH
    from scapy.layers.tls.record import TLS

    extensions = [] if name is None else [TLS_Ext_ServerName(servernames=[ServerName(servername=name.encode())])]
    extensions += [
        TLS_Ext_SupportedGroups(groups=list(_GROUPS)),
        TLS_Ext_SignatureAlgorithms(sig_algs=list(_SIGNATURES)),
    ]
    if _TLS_1_3 in versions:
        share = KeyShareEntry(group=_GROUPS[0], kxlen=32, key_exchange=bytes(range(1, 33)))
        extensions += [TLS_Ext_SupportedVersion_CH(versions=list(versions)), TLS_Ext_KeyShare_CH(client_shares=[share])]
    hello = TLSClientHello(
        version=min(_HELLO_VERSION, max(versions)), gmt_unix_time=0, random_bytes=bytes(28), sid=bytes(32),
        ciphers=list(ciphers), comp=[0], ext=extensions,
    )  # fmt: skip
    return bytes(TLS(version=_TLS_1_0, msg=[hello]))


def answer_of(each: Exchange, service: ServiceName) -> object:
    """Returns an answer in CenFuzz' form, without its date; "" (HTTP) or None (TLS) if there was none."""
    if service == "http":
        return _DATE.sub("", each.received.decode("utf-8", "replace"))
    return _server_hello(each.received)


def _server_hello(data: bytes) -> dict[str, object] | None:
    """Parses an answer: version and cipher suite of a ServerHello (RFC 8446 §4.1.3), 0 for other records. None if there
    is no record."""
    if len(data) < 5:
        return None
    found: dict[str, object] = {
        "Version": 0, "HandshakeComplete": False, "CipherSuite": 0, "NegotiatedProtocol": "",
        "NegotiatedProtocolIsMutual": False, "PeerCertificates": None, "ServerName": "", "HTTPResponse": "",
    }  # fmt: skip
    if data[0] != 0x16 or len(data) < 44 or data[5] != 0x02:
        return found
    end = 44 + data[43]
    found["Version"], found["CipherSuite"] = int.from_bytes(data[9:11]), int.from_bytes(data[end : end + 2])
    place, stop = end + 5, end + 5 + int.from_bytes(data[end + 3 : end + 5])
    while place + 4 <= stop:
        kind, length = int.from_bytes(data[place : place + 2]), int.from_bytes(data[place + 2 : place + 4])
        if kind == _SUPPORTED_VERSIONS:
            found["Version"] = int.from_bytes(data[place + 4 : place + 4 + length])
        place += 4 + length
    return found


@dataclass(frozen=True, slots=True)
class Result:
    """The exchanges of a permutation, with the name and with the control."""

    permutation: Permutation
    censored: Exchange
    control: Exchange


def lines(name: str, service: ServiceName, results: Sequence[Result], when: Callable[[float], float]) -> Iterator[str]:
    """Yields a line of JSON for each result. results: the ordinary request's first. when: converts wall-clock to
    scenario time."""
    normal = results[0]
    for each in results:
        answers = [answer_of(x, service) for x in (each.censored, each.control, normal.censored)]
        errors = [_error(x) for x in (each.censored, each.control, normal.censored)]
        begins = when(each.censored.began)
        found: dict[str, Any] = {
            "IP": each.censored.address,
            "Domain": name,
            "TestName": each.permutation.strategy,
            "IsNormal": each is normal,
            "MatchesNormal": (answers[0], errors[0]) == (answers[2], errors[2]),
            "MatchesUncensored": (answers[0], errors[0]) == (answers[1], errors[1]),
            "NormalDifferences": _differences(answers[0], errors[0], answers[2], errors[2]),
            "UncensoredDifferences": _differences(answers[0], errors[0], answers[1], errors[1]),
            "Request": _request(each.permutation.made(name), service),
            "Response": answers[0],
            "Error": errors[0],
            "UncensoredRequest": _request(each.permutation.made(CONTROL), service),
            "UncensoredResponse": answers[1],
            "UncensoredError": errors[1],
            "StartTime": iso(begins),
            "EndTime": iso(begins + each.censored.ended - each.censored.began),
            "wall_time": iso(each.censored.began),
        }
        yield json.dumps(found, separators=(",", ":"), ensure_ascii=False) + "\n"


def _request(sent: bytes, service: ServiceName) -> str:
    return sent.decode("utf-8", "replace") if service == "http" else sent.hex()


def _error(each: Exchange) -> str | None:
    """Returns an exchange's error without addresses and ports; None if there was none."""
    return each.error.rpartition(": ")[2] or None if each.error else None


def _differences(answer: object, error: str | None, other: object, other_error: str | None) -> str:
    found = ["No expected response;"] if not answer and other else []
    found += ["Different response;"] if answer and other and answer != other else []
    found += ["No expected error;"] if error is None and other_error is not None else []
    found += ["Different error;"] if error is not None and error != other_error else []
    return "".join(found)
