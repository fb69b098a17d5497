"""What a rule of a box looks for: conditions on a connection, its first packets and what a trained model says of it."""

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
    """What one of a connection's first packets with payload must be like; what is left out is not asked for."""

    sender: End = Field(default="both", alias="from")
    """Who sends it: the end that opened the connection is the client."""
    size_at_least: Annotated[Whole, Field(ge=1, le=65535)] = 1
    """Bytes of its payload, at least."""
    size_at_most: Annotated[Whole, Field(ge=1, le=65535)] = 65535
    """Bytes of its payload, at most."""
    entropy_at_least: Annotated[Number, Field(ge=0, le=8)] = 0.0
    """Shannon entropy of its payload's first 1,024 bytes, in bits per byte, at least; a short payload has little:
    at most the logarithm of its length."""
    entropy_at_most: Annotated[Number, Field(ge=0, le=8)] = 8.0
    """The same, at most."""
    gap_at_least: Seconds = 0.0
    """Time since the packet before it, at least (the first one's is 0)."""
    gap_at_most: Seconds | None = None
    """The same, at most."""

    @model_validator(mode="after")
    def _some_packet_fits(self) -> FirstPacket:
        for low, high in (
            ("size_at_least", "size_at_most"),
            ("entropy_at_least", "entropy_at_most"),
            ("gap_at_least", "gap_at_most"),
        ):
            least, most = getattr(self, low), getattr(self, high)
            if most is not None and least > most:
                raise Expected(f"a `{low}` that is no more than `{high}`", found=f"{least:g} and {most:g}", key=low)
        random = log2(min(self.size_at_most, ENTROPY_SAMPLE))
        if self.entropy_at_least > random:
            found = f"{self.entropy_at_least:g} of at most {self.size_at_most} bytes, which have at most {random:.2f}"
            raise Expected("an `entropy_at_least` that so few bytes can have", found=found, key="entropy_at_least")
        return self


class ClassifierCondition(Record):
    """How likely a trained model must take a connection to be of a class, by its first packets with payload."""

    model: str
    """The model, in ONNX, as a file relative to the one that has the rule. It takes floats, 4 for each packet (1 from
    the client or -1 from the server; bytes of payload; seconds since the packet before; entropy of the payload's first
    1,024 bytes in bits per byte), shaped [1, 4 * packets] or [1, packets, 4], and answers with probabilities."""
    packets: Annotated[Whole, Field(ge=1, le=MOST)]
    """How many packets it is shown. Until so many have come it says nothing; a connection with fewer is not matched."""
    at_least: Annotated[Number, Field(gt=0, le=1)] = 0.5
    """The probability from which on the condition holds."""
    class_: Annotated[Whole, Field(ge=0, le=9999)] | None = Field(alias="class", default=None)
    """Which of the model's classes, counted from 0; left out: the last one."""

    @model_validator(mode="after")
    def _is_read(self) -> ClassifierCondition:
        content_of(self.model)
        return self


class Conditions(Narrowing):
    """All that are given must hold. The four `name_…` are one condition: any of them; so are the two `url_…`.

    Case matters nowhere. Names may be written as people do, in letters of any script.
    """

    app: Names = ()
    """One of these apps: by name, else by protocol, else by fingerprint, else by address."""
    name_exact: Hosts = ()
    """The host name (of a TLS or QUIC ClientHello, an HTTP Host, a DNS question) is one of these."""
    name_suffix: Domains = ()
    """The name itself or anything below it: `kaspi.kz`, `.kaspi.kz` and `*.kaspi.kz` are also `www.kaspi.kz`."""
    name_file: Names = ()
    """Files of names, relative to the file that has the rule, one name a line; added to `name_suffix`."""
    name_contains: NameParts = ()
    """The name has one of these texts in it: as it is on the wire or, where that is in A-labels (`xn--…`), as people
    write it."""
    name_regex: NamePatterns = ()
    """One of these regular expressions (RE2) is found in the name, in either form."""
    url_contains: UrlParts = ()
    """The URL of an HTTP request has one of these texts in it: as it is on the wire, or as people write it, with its
    host's letters, and `%D0%BF` as `п`."""
    url_regex: UrlPatterns = ()
    """One of these regular expressions (RE2) is found in the URL of an HTTP request, in either form."""
    user_agent: SoftwareNames = ()
    """What the client says of its own software has one of these texts in it: HTTP's and SIP's `User-Agent`, the
    identification that SSH begins with, STUN's `SOFTWARE`, the user agent of Google's QUIC."""
    keyword: Keywords = ()
    """Anywhere in the assembled stream of either end, or in a datagram, as UTF-8; the case of ASCII letters does not
    matter, that of others does. Only in protocols that the box's profile recognises."""
    address: Prefixes = ()
    """The end that did not open the connection has one of these addresses."""
    address_file: Names = ()
    """Files of addresses and prefixes, relative to the file that has the rule, one a line; added to `address`."""
    asn: Annotated[tuple[Asn, ...], BeforeValidator(many)] = ()
    """The end that did not open the connection is in one of these autonomous systems: has an address that it announces
    (in a scenario, on a quiet day; in a policy file for captures, one of those under `asns`)."""
    port: Ports = ()
    """The port that was connected to."""
    protocol: Names = ()
    """The connection is recognised as one of these."""
    protocol_except: Names = ()
    """It is none of these: known once it is recognised, or can no longer be."""
    ja4: Fingerprints = ()
    """The JA4 fingerprint of the TLS client: whole, or its first one or two parts."""
    ech: bool | None = None
    """Whether the ClientHello has an Encrypted Client Hello, or GREASE of it: most browsers' since 2023."""
    esni: bool | None = None
    """Whether it has the encrypted server name of 2018 to 2020, which came before ECH."""
    fully_encrypted: bool | None = None
    """Whether the published rule on what came so far holds, whatever it is recognised as (Wu et al., USENIX Security
    2023)."""
    version: Annotated[tuple[Version, ...], BeforeValidator(many)] = ()
    """One of these code points is among the TLS versions offered (0x0304, or 772, is TLS 1.3), or is the QUIC version
    (1; QUIC v2 is 0x6b3343cf)."""
    length_at_least: Annotated[Whole, Field(ge=0, le=65536)] = 0
    """Payload bytes of the datagram, or of the client's stream so far."""
    first_packets: Annotated[tuple[FirstPacket, ...], BeforeValidator(many), Field(max_length=MOST)] = ()
    """What the connection's first packets with payload are like, one after another as they come, retransmissions too.
    What other conditions ask must hold of what the box has read by then."""
    classifier: ClassifierCondition | None = None
    """A trained model takes the connection for what it was trained on. Needs `pip install 'shutdownlab[onnx]'`."""
    qtype: QueryTypes = ()
    """The type of a DNS question, by its name or number: `HTTPS`, `TYPE65`, `65`."""
    answer: Prefixes = ()
    """A DNS response in the clear gives one of these addresses. Its other conditions are asked of the response too, and
    what happens happens to that: the question has gone through."""
    cname: Domains = ()
    """A DNS response in the clear has a CNAME record that leads to one of these names, or to anything below them."""
    direction: Literal["outbound", "inbound"] | None = None
    """Which way the packet that is being looked at travels: outbound is from inside to outside."""
    opener: Literal["inside", "outside"] | None = None
    """Which end opened the connection."""
    subscriber: Prefixes = ()
    """The end on the inside has one of these addresses."""
    subscriber_class: Names = ()
    """The end on the inside is a subscriber of one of these classes (in a policy file for captures: of those under
    `classes`)."""
    probability: Annotated[Number, Field(ge=0, le=1)] = 1.0
    """The share of connections to which the rule applies, drawn once for each connection and rule."""
    hours: Hours | None = None
    """The rule applies in these hours of the day, local time (see `utc_offset`); they may run over midnight."""
    not_: Conditions | None = Field(alias="not", default=None)
    """Conditions that must not all hold. What cannot be told (the name of a connection that says none) does not hold:
    then the rule applies, as soon as the box knows that it never will."""

    @property
    def parts(self) -> tuple[Conditions, ...]:
        """These conditions, and those in their `not`."""
        return (self,) if self.not_ is None else (self, self.not_)

    @property
    def about_answers(self) -> bool:
        """Whether it is only about DNS responses."""
        return any(part.answer or part.cname for part in self.parts)

    @model_validator(mode="after")
    def _negated(self) -> Conditions:
        inner = self.not_
        if inner is not None:
            if not inner.model_fields_set:
                raise Expected("at least one condition", "what meets it is spared", found="none", key="not")
            if inner.not_ is not None:
                raise Expected("conditions without a `not` of their own", found="`not` in `not`", key="not")
            if inner.direction is not None or inner.probability != 1:
                key = "direction" if inner.direction is not None else "probability"
                hint = "beside `not`: the other direction" if key == "direction" else "beside `not`: 1 less that"
                raise Expected(f"conditions other than `{key}`", hint, found=f"`{key}`", key="not")
        return self

    @model_validator(mode="after")
    def _resolved(self) -> Conditions:
        for key, target, what in (
            ("name_file", "name_suffix", "names"),
            ("address_file", "address", "addresses"),
        ):
            if getattr(self, key):
                hint = f"files are read for rules that stand in files; here, give `{target}` what they hold"
                raise Expected(what, hint, found="a file", key=key)
        return self
