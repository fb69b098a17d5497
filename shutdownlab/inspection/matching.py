"""Rules compiled for matching, with a three-valued result: yes, no, or wait until more has been seen."""

from __future__ import annotations

from contextlib import suppress
from datetime import time
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final, Protocol

import re2

from shutdownlab.config.addresses import IpPrefix
from shutdownlab.config.idn import to_unicode
from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.config.scalars import Ports
from shutdownlab.inspection.classifier import classifier
from shutdownlab.inspection.conditions import Conditions
from shutdownlab.inspection.first_packets import PacketShape
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.lots import Lots
from shutdownlab.inspection.patterns import pattern_options
from shutdownlab.inspection.policy import InspectionPolicy, InspectionRule
from shutdownlab.inspection.recognisers.encrypted import fully_encrypted
from shutdownlab.inspection.recognisers.result import UNENDED, Recognition
from shutdownlab.inspection.terms import readable_url

NO: Final = 0
YES: Final = 1
WAIT: Final = 2

_DOTTED: Final = [f"{number}." for number in range(256)]
_PORT_PROTOCOLS: Final = {TCP: "tcp", UDP: "udp"}


class AppLookup(Protocol):
    """Finds the app of a connection; `AppCatalogue` is one."""

    def app_of(self, recognition: Recognition | None, address: bytes, port: int) -> str | None:
        """Returns the app by name, else protocol, else fingerprint, else server `address` (4 or 16 bytes); or None."""


class PrefixSet:
    """A set of prefixes that tests addresses (bytes) for membership, with one set look-up per prefix length in use."""

    __slots__ = ("by_length",)

    def __init__(self, networks: tuple[IpPrefix, ...]) -> None:
        lengths: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            width = 4 if network.version == 4 else 16
            shift = width * 8 - network.prefixlen
            lengths.setdefault((width, shift), set()).add(int(network.network_address) >> shift)
        self.by_length = [(width, shift, frozenset(found)) for (width, shift), found in sorted(lengths.items())]

    def __contains__(self, address: bytes) -> bool:
        number = int.from_bytes(address, "big")
        size = len(address)
        return any(width == size and number >> shift in found for width, shift, found in self.by_length)


class NameSet:
    """The name conditions of a rule. Exact names and suffixes are hash sets, so a rule may hold a million of them."""

    __slots__ = ("contains", "exact", "regexes", "suffixes")

    def __init__(self, when: Conditions) -> None:
        self.exact = frozenset(when.name_exact)
        self.suffixes = frozenset(when.name_suffix)
        self.contains = when.name_contains
        self.regexes = [re2.compile(pattern, pattern_options()) for pattern in when.name_regex]

    def __bool__(self) -> bool:
        return bool(self.exact or self.suffixes or self.contains or self.regexes)

    def __contains__(self, name: str) -> bool:
        if name in self.exact:
            return True
        suffixes = self.suffixes
        if suffixes:
            at = 0
            while True:
                if name[at:] in suffixes:
                    return True
                at = name.find(".", at) + 1
                if at == 0:
                    break
        if not self.contains and not self.regexes:
            return False
        return self._looks_like(name) or ("xn--" in name and self._looks_like(to_unicode(name)))

    def _looks_like(self, name: str) -> bool:
        for part in self.contains:
            if part in name:
                return True
        return any(regex.search(name) for regex in self.regexes)


class Matcher:
    """One compiled rule, whose conditions are tested in order of their cost."""

    __slots__ = (
        "about_answers",
        "addresses",
        "agents",
        "answers",
        "apps",
        "apps_only",
        "class_prefixes",
        "classifier",
        "cnames",
        "direction",
        "ech",
        "encrypted",
        "esni",
        "hours",
        "index",
        "ja4",
        "keywords",
        "length",
        "name",
        "names",
        "needs_payload",
        "negated",
        "networks",
        "opener",
        "ports",
        "probability",
        "protocols",
        "protocols_except",
        "qtypes",
        "rule",
        "shapes",
        "shapes_tested",
        "subscribers",
        "traced",
        "url_contains",
        "url_regexes",
        "utc_offset",
        "versions",
    )

    def __init__(
        self, rule: InspectionRule, index: int, policy: InspectionPolicy, within: Conditions | None = None
    ) -> None:
        """`within`: the conditions of the rule's `not`, which get a matcher of their own; None: the rule's others."""
        when = rule.when if within is None else within
        self.rule = rule
        self.index = index
        self.name = rule.name
        self.apps = frozenset(when.app)
        self.names = NameSet(when)
        self.url_contains = tuple(part.lower() for part in when.url_contains)
        self.url_regexes = [re2.compile(pattern, pattern_options()) for pattern in when.url_regex]
        self.keywords = [keyword.encode().lower() for keyword in when.keyword]
        self.agents = tuple(part.lower() for part in when.user_agent)
        self.addresses = PrefixSet(when.address) if when.address else None
        of_systems = tuple(prefix for number in when.asn for prefix in policy.asns.get(number, ()))
        self.networks = PrefixSet(of_systems) if when.asn else None
        self.ports = when.port
        self.protocols = frozenset(when.protocol)
        self.protocols_except = frozenset(when.protocol_except)
        self.ja4 = frozenset(when.ja4)
        self.ech = when.ech
        self.esni = when.esni
        self.encrypted = when.fully_encrypted
        self.versions = frozenset(when.version)
        self.length = when.length_at_least
        self.qtypes = frozenset(when.qtype)
        self.answers = PrefixSet(when.answer) if when.answer else None
        self.cnames = frozenset(when.cname)
        self.about_answers = when.about_answers
        self.shapes = [PacketShape(each) for each in when.first_packets]
        self.shapes_tested = False
        """Whether the shapes or the classifier have been tested for any connection."""
        self.classifier = when.classifier
        self.traced = max(len(self.shapes), when.classifier.packets if when.classifier is not None else 0)
        """How many of a connection's first packets it needs."""
        self.direction = {None: -1, "outbound": 0, "inbound": 1}[when.direction]
        self.opener = {None: -1, "inside": 0, "outside": 1}[when.opener]
        self.subscribers = PrefixSet(when.subscriber) if when.subscriber else None
        in_class = tuple(prefix for name in when.subscriber_class for prefix in policy.classes.get(name, ()))
        self.class_prefixes = PrefixSet(in_class) if when.subscriber_class else None
        self.probability = when.probability
        self.hours = when.hours
        self.utc_offset = policy.utc_offset
        # Draws and classifier scores are kept by index, so `not` needs one of its own.
        self.negated: Matcher | None = None if when.not_ is None else Matcher(rule, -1 - index, policy, when.not_)
        if self.negated is not None:
            self.traced = max(self.traced, self.negated.traced)
        besides = bool(
            self.names
            or self.url_contains
            or self.url_regexes
            or self.agents
            or self.keywords
            or self.protocols
            or self.protocols_except
            or self.ja4
            or self.qtypes
            or self.about_answers
            or self.ech is not None
            or self.esni is not None
            or self.encrypted is not None
            or self.versions
            or self.length
            or self.shapes
            or self.classifier is not None
            or (self.negated is not None and self.negated.needs_payload)
        )
        self.needs_payload: bool = bool(self.apps) or besides
        self.apps_only = bool(self.apps) and not besides
        """Whether `app` is its only condition on content: an address that only this app uses then suffices."""

    def test_headers(self, flow: Flow, now: float, lots: Lots) -> bool:
        """Returns whether all conditions hold that need no payload. The probability is drawn last, once per flow."""
        if self.opener >= 0 and flow.opener != self.opener:
            return False
        if self.ports and not _port_in(flow.dport, flow.proto, self.ports):
            return False
        if self.addresses is not None and flow.dst not in self.addresses:
            return False
        if self.networks is not None and flow.dst not in self.networks:
            return False
        if self.subscribers is not None or self.class_prefixes is not None:
            inner = flow.src if flow.opener == 0 else flow.dst
            if self.subscribers is not None and inner not in self.subscribers:
                return False
            if self.class_prefixes is not None and inner not in self.class_prefixes:
                return False
        if self.hours is not None and not _within(self.hours, now + self.utc_offset):
            return False
        negated = self.negated
        if negated is not None and not negated.needs_payload and negated.test_headers(flow, now, lots):
            return False
        return self.probability >= 1.0 or lots.draw(flow, self.index) < self.probability

    def test_payload(
        self,
        flow: Flow,
        now: float,
        lots: Lots,
        recognition: Recognition,
        apps: AppLookup,
        client: bytes,
        server: bytes,
        last: bool,
        reads: bool = True,
    ) -> int:
        """Tests the conditions on content; returns YES, NO or WAIT.

        `last`: nothing more will be seen, so what is not known now counts as no. `reads`: the box parses this protocol,
        and so finds keywords in it.
        """
        more = not last and recognition.more
        if self.about_answers and not (recognition.protocol == "dns" and recognition.method == "response"):
            return WAIT if more else NO
        answer = YES
        negated = self.negated
        if negated is not None and negated.needs_payload and negated.test_headers(flow, now, lots):
            said = negated.test_payload(flow, now, lots, recognition, apps, client, server, last, reads)
            if said == YES:
                return NO
            answer = said if said == WAIT else YES
        if self.shapes:
            said = self._test_shapes(flow)
            if said == NO or (said == WAIT and last):
                return NO
            answer = max(answer, said)
        if self.classifier is not None:
            said = self._classify(flow)
            if said == NO or (said == WAIT and last):
                return NO
            answer = max(answer, said)
        if self.protocols and recognition.protocol not in self.protocols:
            if not more:
                return NO
            answer = WAIT
        if self.protocols_except:
            if recognition.protocol in self.protocols_except:
                return NO
            if more:
                answer = WAIT
        if self.names:
            found = self._names_match(recognition)
            if not found:
                waits = more or (not last and recognition.more_server and recognition.host is None)
                if recognition.host is not None or not waits:
                    return NO
                answer = WAIT
        if self.apps:
            app = apps.app_of(recognition, flow.dst, flow.dport)
            if app not in self.apps:
                waits = more or (not last and recognition.more_server and recognition.host is None)
                if recognition.host is not None or not waits:
                    return NO
                answer = WAIT
        if self.url_contains or self.url_regexes:
            url = recognition.url
            if url is None or not self._url_matches(url):
                if not more:
                    return NO
                answer = WAIT
        if self.agents:
            agent = recognition.user_agent
            if agent is None or not self._is_agent(agent):
                unended = not last and recognition.length == UNENDED  # HTTP: User-Agent may follow Host
                if agent is not None or not (more or unended):
                    return NO
                answer = WAIT
        if self.answers is not None and not self._gives_address(recognition.answers):
            return NO
        if self.cnames and not self._leads_to_name(recognition.answers):
            return NO
        if self.qtypes and recognition.qtype not in self.qtypes:
            if not more:
                return NO
            answer = WAIT
        if self.ech is not None and recognition.ech is not self.ech:
            if not more:
                return NO
            answer = WAIT
        if self.esni is not None and recognition.esni is not self.esni:
            if not more:
                return NO
            answer = WAIT
        if self.versions and self.versions.isdisjoint(recognition.versions):
            if not more:
                return NO
            answer = WAIT
        if self.length and len(client) < self.length:
            if last:
                return NO
            answer = WAIT
        if self.encrypted is not None:
            if client:
                if fully_encrypted(client) is not self.encrypted:
                    return NO
            elif last:
                return NO
            else:
                answer = WAIT
        if self.ja4:
            ja4 = recognition.ja4
            if ja4 is None or not self._fingerprint_matches(ja4):
                if not more or ja4 is not None:
                    return NO
                answer = WAIT
        if self.keywords and not (reads and self._keyword_in(client, server)):
            if last or not (reads or more):
                return NO
            answer = WAIT
        return answer

    def _test_shapes(self, flow: Flow) -> int:
        """Tests the first packets seen so far against the shapes; returns YES, NO or WAIT."""
        self.shapes_tested = True
        packets = [] if flow.trace is None else flow.trace.packets
        for shape, packet in zip(self.shapes, packets, strict=False):
            if not shape.fits(packet):
                return NO
        return YES if len(packets) >= len(self.shapes) else WAIT

    def _classify(self, flow: Flow) -> int:
        """Tests the classifier's score, computed once per flow as soon as it has enough packets (until then WAIT)."""
        self.shapes_tested = True
        asked, trace = self.classifier, flow.trace
        if asked is None or trace is None or len(trace.packets) < asked.packets:
            return WAIT
        if self.index not in trace.scores:
            model = classifier(asked.model, asked.packets, asked.class_)
            trace.scores[self.index] = model.score(trace.packets)
        return YES if trace.scores[self.index] >= asked.at_least else NO

    def _names_match(self, recognition: Recognition) -> bool:
        if recognition.host is not None:
            return recognition.host in self.names
        return any(name.removeprefix("*.") in self.names for name in recognition.certificate_names)

    def _fingerprint_matches(self, ja4: str) -> bool:
        """Returns whether the rule has this JA4, whole or by its first one or two parts."""
        while ja4:
            if ja4 in self.ja4:
                return True
            ja4 = ja4.rpartition("_")[0]
        return False

    def _url_matches(self, url: str) -> bool:
        readable = readable_url(url)
        return self._url_looks(url) or (readable != url and self._url_looks(readable))

    def _url_looks(self, url: str) -> bool:
        lowered = url.lower()
        for part in self.url_contains:
            if part in lowered:
                return True
        return any(regex.search(url) for regex in self.url_regexes)

    def _is_agent(self, agent: str) -> bool:
        lowered = agent.lower()
        return any(part in lowered for part in self.agents)

    def _gives_address(self, answers: tuple[str, ...]) -> bool:
        """Returns whether a response has one of the rule's addresses; names in `answers` are CNAME targets."""
        addresses = self.answers
        return addresses is not None and any(
            address is not None and address in addresses for address in map(address_bytes, answers)
        )

    def _leads_to_name(self, answers: tuple[str, ...]) -> bool:
        for name in answers:
            at = 0
            while True:
                if name[at:] in self.cnames:
                    return True
                at = name.find(".", at) + 1
                if at == 0:
                    break
        return False

    def _keyword_in(self, client: bytes, server: bytes) -> bool:
        low_client = client.lower()
        low_server = server.lower()
        return any(keyword in low_client or keyword in low_server for keyword in self.keywords)


def _port_in(port: int, proto: int, ranges: tuple[Ports, ...]) -> bool:
    name = _PORT_PROTOCOLS.get(proto, "")
    return any(item.contains(name, port) for item in ranges)


def _within(hours: tuple[time, time], local: float) -> bool:
    second = int(local) % 86400
    start = hours[0].hour * 3600 + hours[0].minute * 60
    end = hours[1].hour * 3600 + hours[1].minute * 60
    return start <= second < end if start <= end else second >= start or second < end


def address_bytes(text: str) -> bytes | None:
    """Parses `127.0.0.1` to `b"\\x7f\\0\\0\\1"`; returns None if the text is not an address."""
    with suppress(OSError, ValueError):
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    return None


def address_text(address: bytes) -> str:
    """Formats `b"\\x7f\\0\\0\\1"` (4 or 16 bytes) as `127.0.0.1`."""
    if len(address) == 4:
        return _DOTTED[address[0]] + _DOTTED[address[1]] + _DOTTED[address[2]] + str(address[3])
    return inet_ntop(AF_INET6, address)
