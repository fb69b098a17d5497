"""The conditions of a box's rules: on a connection, on its first packets, and on a trained model's score for it."""

from __future__ import annotations

from math import log2
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from shutdownlab.config.addresses import Prefix
from shutdownlab.config.document import Expected, Record
from shutdownlab.config.narrowing import Narrowing
from shutdownlab.config.scalars import Asn, Hours, Number, Port, Seconds, Whole
from shutdownlab.inspection.classifier import content_of
from shutdownlab.inspection.first_packets import MOST
from shutdownlab.inspection.recognisers.encrypted import ENTROPY_SAMPLE
from shutdownlab.inspection.terms import (
    Domains,
    Fingerprints,
    Hosts,
    Keywords,
    NameParts,
    NamePatterns,
    QueryTypes,
    SoftwareNames,
    UrlParts,
    UrlPatterns,
    Version,
    many,
)
from shutdownlab.inspection.verdict import End

Names = Annotated[tuple[str, ...], BeforeValidator(many)]
Prefixes = Annotated[tuple[Prefix, ...], BeforeValidator(many)]
Ports = Annotated[tuple[Port, ...], BeforeValidator(many)]


class FirstPacket(Record):
    """Conditions on one of a connection's first packets with payload; what is left out is not tested."""

    sender: End = Field(default="both", alias="from")
    """The end that sends it; the client is the one that opened the connection."""
    size_at_least: Annotated[Whole, Field(ge=1, le=65535)] = 1
    """Its payload has at least this many bytes."""
    size_at_most: Annotated[Whole, Field(ge=1, le=65535)] = 65535
    """Its payload has at most this many bytes."""
    entropy_at_least: Annotated[Number, Field(ge=0, le=8)] = 0.0
    """The least Shannon entropy of its payload's first 1,024 bytes, in bits per byte. A short payload has little: at
    most the binary logarithm of its length."""
    entropy_at_most: Annotated[Number, Field(ge=0, le=8)] = 8.0
    """The most of that entropy."""
    gap_at_least: Seconds = 0.0
    """The least time since the previous packet with payload (0 for the first one)."""
    gap_at_most: Seconds | None = None
    """The most of that time."""

    @model_validator(mode="after")
    def _some_packet_fits(self) -> FirstPacket:
        for low, high in (
            ("size_at_least", "size_at_most"),
            ("entropy_at_least", "entropy_at_most"),
            ("gap_at_least", "gap_at_most"),
        ):
            least, most = getattr(self, low), getattr(self, high)
            if most is not None and least > most:
                raise Expected(f"a `{low}` of at most `{high}`", found=f"{least:g} and {most:g}", key=low)
        random = log2(min(self.size_at_most, ENTROPY_SAMPLE))
        if self.entropy_at_least > random:
            found = f"{self.entropy_at_least:g} of at most {self.size_at_most} bytes, which have at most {random:.2f}"
            raise Expected("an `entropy_at_least` that so few bytes can reach", found=found, key="entropy_at_least")
        return self


class ClassifierCondition(Record):
    """The least probability that a trained model gives a class, by the connection's first packets with payload."""

    model: str
    """The ONNX model's file, relative to the file that has the rule. Input: 4 floats per packet (1 from the client or
    -1 from the server; payload bytes; seconds since the previous packet; entropy of the payload's first 1,024 bytes in
    bits per byte), shaped [1, 4 * packets] or [1, packets, 4]. Output: one probability per class."""
    packets: Annotated[Whole, Field(ge=1, le=MOST)]
    """How many packets the model takes. A connection with fewer does not match."""
    at_least: Annotated[Number, Field(gt=0, le=1)] = 0.5
    """The least probability at which the condition holds."""
    class_: Annotated[Whole, Field(ge=0, le=9999)] | None = Field(alias="class", default=None)
    """The class, counted from 0; left out: the model's last one."""

    @model_validator(mode="after")
    def _is_read(self) -> ClassifierCondition:
        content_of(self.model)
        return self


class Conditions(Narrowing):
    """All conditions that are given must hold. The `name_…` keys together are one condition, which holds if any of them
    does; so are the `url_…` keys.

    Matching ignores case, except where a regular expression has `(?-i)` and beyond ASCII in `keyword`. Names may be
    written in any script.
    """

    app: Names = ()
    """The connection is to one of these apps, told by name, else by protocol, else by fingerprint, else by address."""
    name_exact: Hosts = ()
    """The host name (of a TLS or QUIC ClientHello, an HTTP Host, a DNS question) is one of these."""
    name_suffix: Domains = ()
    """The name is one of these or below it: `kaspi.kz`, `.kaspi.kz` and `*.kaspi.kz` all match `www.kaspi.kz` too."""
    name_file: Names = ()
    """Files of names, relative to the file that has the rule, one name a line; added to `name_suffix`."""
    name_contains: NameParts = ()
    """The name contains one of these texts, either as on the wire or, if that is in A-labels (`xn--…`), decoded to
    Unicode."""
    name_regex: NamePatterns = ()
    """One of these regular expressions (RE2) matches within the name, in either form."""
    url_contains: UrlParts = ()
    """The URL of an HTTP request contains one of these texts, either as on the wire or decoded to Unicode: the host
    from A-labels, and the path with `%D0%BF` as `п`."""
    url_regex: UrlPatterns = ()
    """One of these regular expressions (RE2) matches within the URL of an HTTP request, in either form."""
    user_agent: SoftwareNames = ()
    """The name of the client's software contains one of these texts: HTTP's and SIP's `User-Agent`, SSH's
    identification line, STUN's `SOFTWARE`, the user agent of Google's QUIC."""
    keyword: Keywords = ()
    """The assembled stream of either end, or a datagram, contains one of these texts, as UTF-8, ignoring the case of
    ASCII letters only. Applies only to protocols that the box's profile recognises."""
    address: Prefixes = ()
    """The server (the end that did not open the connection) has one of these addresses."""
    address_file: Names = ()
    """Files of addresses and prefixes, relative to the file that has the rule, one a line; added to `address`."""
    asn: Annotated[tuple[Asn, ...], BeforeValidator(many)] = ()
    """The server is in one of these autonomous systems, that is, has an address that the system announces (in a
    scenario, on a quiet day; in a policy file for captures, one of those under `asns`)."""
    port: Ports = ()
    """The server's port is one of these."""
    protocol: Names = ()
    """The connection is recognised as one of these."""
    protocol_except: Names = ()
    """The connection is none of these, which is decided once it is recognised or can no longer be."""
    ja4: Fingerprints = ()
    """The TLS client's JA4 fingerprint is one of these: whole, or its first one or two parts."""
    ech: bool | None = None
    """Whether the ClientHello has an Encrypted Client Hello or GREASE for it, as most browsers' have since 2023."""
    esni: bool | None = None
    """Whether the ClientHello has an encrypted server name (2018 to 2020, ECH's predecessor)."""
    fully_encrypted: bool | None = None
    """Whether the client's payload so far meets the published rule for fully encrypted traffic, whatever protocol is
    recognised (Wu et al., USENIX Security 2023)."""
    version: Annotated[tuple[Version, ...], BeforeValidator(many)] = ()
    """One of these code points is among the offered TLS versions (0x0304, or 772, is TLS 1.3), or is the QUIC version
    (1; QUIC v2 is 0x6b3343cf)."""
    length_at_least: Annotated[Whole, Field(ge=0, le=65536)] = 0
    """The datagram, or the client's stream so far, has at least this many payload bytes."""
    first_packets: Annotated[tuple[FirstPacket, ...], BeforeValidator(many), Field(max_length=MOST)] = ()
    """Conditions on the connection's first packets with payload, one entry per packet in arrival order, retransmissions
    included. Other conditions must hold for what the box has read by then."""
    classifier: ClassifierCondition | None = None
    """A trained model recognises the connection. Needs `pip install 'shutdownlab[onnx]'`."""
    qtype: QueryTypes = ()
    """The type of a DNS question, by its name or number: `HTTPS`, `TYPE65`, `65`."""
    answer: Prefixes = ()
    """An unencrypted DNS response has one of these addresses. The rule's other conditions then apply to the response
    too, and so does its verdict: the query has already passed."""
    cname: Domains = ()
    """An unencrypted DNS response has a CNAME record with one of these names, or a name below them, as its target."""
    direction: Literal["outbound", "inbound"] | None = None
    """The direction of the packet being inspected: outbound is from inside to outside."""
    opener: Literal["inside", "outside"] | None = None
    """The side that opened the connection."""
    subscriber: Prefixes = ()
    """The inside end has one of these addresses."""
    subscriber_class: Names = ()
    """The inside end is a subscriber of one of these classes (in a policy file for captures, one of those under
    `classes`)."""
    probability: Annotated[Number, Field(ge=0, le=1)] = 1.0
    """The share of connections to which the rule applies, drawn once per connection and rule."""
    hours: Hours | None = None
    """The rule applies in these hours of the day, local time (see `utc_offset`); they may span midnight."""
    not_: Conditions | None = Field(alias="not", default=None)
    """Conditions that must not all hold. One that cannot be tested (on the name, where a connection has none) does not
    hold: the rule then applies once the box knows that it never will."""

    @property
    def parts(self) -> tuple[Conditions, ...]:
        """These conditions, and those in their `not` if any."""
        return (self,) if self.not_ is None else (self, self.not_)

    @property
    def about_answers(self) -> bool:
        """Whether these conditions apply to DNS responses only."""
        return any(part.answer or part.cname for part in self.parts)

    @model_validator(mode="after")
    def _negated(self) -> Conditions:
        inner = self.not_
        if inner is not None:
            if not inner.model_fields_set:
                raise Expected(
                    "at least one condition", "connections that match `not` are left alone", found="none", key="not"
                )
            if inner.not_ is not None:
                raise Expected("conditions without another `not`", found="`not` in `not`", key="not")
            if inner.direction is not None or inner.probability != 1:
                key = "direction" if inner.direction is not None else "probability"
                hint = (
                    "write the other direction outside `not`"
                    if key == "direction"
                    else "write 1 minus it outside `not`"
                )
                raise Expected(f"conditions other than `{key}`", hint, found=f"`{key}`", key="not")
        return self

    @model_validator(mode="after")
    def _resolved(self) -> Conditions:
        for key, target, what in (
            ("name_file", "name_suffix", "names"),
            ("address_file", "address", "addresses"),
        ):
            if getattr(self, key):
                hint = f"only rules in a file can name other files; here, put their content into `{target}`"
                raise Expected(what, hint, found="a file", key=key)
        return self
