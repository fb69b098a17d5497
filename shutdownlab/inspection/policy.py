"""What a box is told to block: rules with conditions, first match wins, each with a verdict.

Made in Python by the compiler, or read from a YAML file that stands alone (`load_policy`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from math import log2
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from shutdownlab.config.addresses import AnAddress, Prefix
from shutdownlab.config.document import Expected, Record, did_you_mean, one_of, parse
from shutdownlab.config.kinds import is_another
from shutdownlab.config.narrowing import Narrowing
from shutdownlab.config.scalars import Asn, Hours, Kbit, Number, Port, Seconds, UtcOffset, Whole, whole, written
from shutdownlab.inspection.classifier import content_of
from shutdownlab.inspection.condition_files import resolve_files
from shutdownlab.inspection.contradictions import check_together
from shutdownlab.inspection.first_packets import MOST
from shutdownlab.inspection.forge import DNS_CODES
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
    many,
)
from shutdownlab.inspection.verdict import Action, End, action_name
from shutdownlab.inspection.vocabulary import check_rules, profile_names

if TYPE_CHECKING:
    from shutdownlab.inspection.actions.action import DpiAction

FLAG_LETTERS: Final = "FSRPAUEC"


def _ipid(value: Any) -> Any:
    if isinstance(value, str) and value in {"copy", "random"}:
        return value
    number = whole(value, 0, 0xFFFF)
    if number is not None:
        return number
    raise Expected("0 to 65535, copy or random", "the IPv4 identification of injected packets")


def _location(value: Any) -> str:
    if not re.fullmatch(r"[!-~]+", written(value)):
        raise Expected("a URL in ASCII, without spaces", "write %20 for a space")
    return written(value)


def _format(value: Any) -> int:
    if written(value) == "1":
        return 1
    raise Expected("1", "the version of this file format")


def _rcode(value: Any) -> str:
    name = written(value).upper()
    if name in DNS_CODES:
        return name
    raise Expected("one of " + ", ".join(DNS_CODES), lambda: did_you_mean(name, DNS_CODES))


def _flags(value: Any) -> str:
    if isinstance(value, str) and value and set(value) <= set(FLAG_LETTERS):
        return value
    raise Expected(f"TCP flags, letters of {FLAG_LETTERS}", "RA is a reset with ACK")


def action_kinds() -> Mapping[str, type[DpiAction]]:
    """The classes of all installed actions, by name."""
    from shutdownlab.inspection.actions.registry import installed_actions  # actions know verdicts, defined here

    return installed_actions()


def _action(value: Any) -> str:
    known = (*sorted(action_kinds()), Action.BLOCK.value)
    if value not in known:
        raise Expected(one_of(known), lambda: did_you_mean(str(value), known))
    return action_name(value)


def _asn_key(value: Any) -> Any:
    """Keys are text in every file."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value) else value


AsnKey = Annotated[Asn, BeforeValidator(_asn_key)]
ResponseCode = Annotated[
    str,
    BeforeValidator(_rcode, json_schema_input_type=Literal["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "REFUSED"]),
]
Format = Annotated[int, BeforeValidator(_format, json_schema_input_type=Literal[1])]
Names = Annotated[tuple[str, ...], BeforeValidator(many)]
Prefixes = Annotated[tuple[Prefix, ...], BeforeValidator(many)]
Ports = Annotated[tuple[Port, ...], BeforeValidator(many)]
Flags = Annotated[str, BeforeValidator(_flags)]
Ipid = Annotated[int | Literal["copy", "random"], BeforeValidator(_ipid)]


class ResidualSpec(Record):
    """What stays blocked after a decision: residual censorship (Bock et al., "Your Censor is My Censor", WOOT 2021)."""

    key: Literal["2-tuple", "3-tuple", "4-tuple"] = "4-tuple"
    """What stays blocked: the connection (4-tuple); everything between its two addresses with the server's port
    (3-tuple), so new connections too; or everything between its two addresses (2-tuple), whatever the port and the
    protocol."""
    seconds: Seconds = Field(alias="for")
    """How long it stays blocked."""
    refreshed: bool = False
    """Whether each packet that comes meanwhile starts the time anew."""
    directions: End = "both"
    """Whose packets are blocked meanwhile."""
    action: Literal["same", "drop", "reset"] = "same"
    """What packets meet that come meanwhile; `same` repeats the verdict's action."""


class Verdict(Record):
    """What happens to a connection that a rule matched, and to the packet that gave it away.

    An action takes only the keys that it heeds.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("rate",)
    """Keys that stand for several others."""

    action: Annotated[str, PlainValidator(_action, json_schema_input_type=str)]
    """What the box does. In policies also `block`: whatever the box's profile does to what it blocks."""
    directions: End = "both"
    """drop, freeze: whose packets suffer."""
    forward_trigger: bool = False
    """drop, reset, dns race: the packet that matched still goes on."""
    after_packets: Annotated[Whole, Field(ge=0, le=1000)] = 0
    """drop, reset: packets of the connection that still pass after the decision (TSPU's delayed drop)."""
    to: End = "both"
    """reset, block-page, redirect: who gets what the box sends."""
    flags: Flags = "RA"
    """reset, block-page, redirect: the TCP flags of what the box sends, as letters; RA is a reset with ACK."""
    count: Annotated[Whole, Field(ge=1, le=16)] = 1
    """How many copies of each packet the box sends."""
    seq_steps: Annotated[tuple[Annotated[Whole, Field(ge=0, le=0xFFFFFFFF)], ...], BeforeValidator(many)] = ()
    """reset, block-page, redirect: added to the sequence numbers of the first, second … copy."""
    ttl: Annotated[Whole, Field(ge=1, le=255)] | None = None
    """The TTL of what the box sends; left out: as last seen from whom it pretends to be (64 if never seen)."""
    window: Annotated[Whole, Field(ge=0, le=65535)] = 0
    """The TCP window of what the box sends."""
    ipid: Ipid = "random"
    """The IPv4 identification of what the box sends: a number, `copy` (of the packet that matched) or `random`."""
    rewrite: bool = False
    """reset: nothing is sent; the payload of the connection's own packets towards `to` is stripped, and `flags` are set
    on them."""
    rcode: ResponseCode = "NOERROR"
    """dns: the response code of the forged answer."""
    addresses: Annotated[tuple[AnAddress, ...], BeforeValidator(many)] = ()
    """dns: the addresses of the forged answer."""
    answer_ttl: Annotated[Whole, Field(ge=0, le=86400)] = 300
    """dns: how long the forged answer may be kept, in seconds."""
    race: bool = False
    """dns: the query goes on too, and the forged answer races the true one."""
    status: Annotated[Whole, Field(ge=100, le=599)] = 403
    """block-page, redirect: the HTTP status."""
    body: str = "<html><body><h1>Access to this resource is restricted</h1></body></html>"
    """block-page: the page, as HTML."""
    location: Annotated[str, BeforeValidator(_location)] | None = None
    """redirect: where to."""
    rate_up: Kbit | None = None
    """throttle: the rate from inside to outside; left out: unlimited."""
    rate_down: Kbit | None = None
    """throttle: the rate from outside to inside; left out: unlimited."""
    burst: Annotated[Whole, Field(ge=1500, le=1 << 24)] = 15000
    """throttle: bytes that the token bucket of a direction holds."""
    cap_bytes: Annotated[Whole, Field(ge=0)] | None = None
    """freeze: payload bytes (of `directions`) after which every further packet is dropped."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What an action of a package of your own takes besides; its class checks it."""
    residual: ResidualSpec | None = None
    """What stays blocked after the decision, and how long; left out: nothing but the connection."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        """`verdict: drop` is `verdict: {action: drop}`; `rate` stands for both directions."""
        if isinstance(value, str):
            return {"action": value}
        if isinstance(value, dict) and "rate" in value:
            value = dict(value)
            both = value.pop("rate")
            value.setdefault("rate_up", both)
            value.setdefault("rate_down", both)
        return value

    @model_validator(mode="after")
    def _complete(self) -> Verdict:
        """Everything that the action needs is given, and nothing that it would not heed."""
        heeded = {"action", "residual"}
        if self.action != Action.BLOCK:
            kind = action_kinds()[self.action]
            kind.check(self)
            heeded |= kind.fields
        for name, field in type(self).model_fields.items():
            if name not in heeded and getattr(self, name) != field.get_default(call_default_factory=True):
                fields = sorted(heeded - {"action"})
                expected = f"only what the action {self.action} heeds: {', '.join(fields) or 'nothing'}"
                raise Expected(expected, did_you_mean(name, fields), found=f"`{name}`")
        return self


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
    version: Annotated[tuple[Annotated[Whole, Field(ge=0, le=0xFFFFFFFF)], ...], BeforeValidator(many)] = ()
    """One of these code points is among the TLS versions offered (0x0304 is 772), or is the QUIC version (1; QUIC v2 is
    1798521807)."""
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


class InspectionRule(Record):
    """What a DPI box looks for, and what it then does."""

    name: str
    """What decisions, events and `inspect` call it; each name once."""
    when: Conditions = Conditions()
    """All conditions that are given must hold; left out: every connection."""
    verdict: Verdict
    """What happens to a connection that it matches. `verdict: drop` is short for `verdict: {action: drop}`, and `rate`
    for `rate_up` and `rate_down` alike."""

    @model_validator(mode="after")
    def _can_be_met(self) -> InspectionRule:
        """Some connection can meet all the conditions, and the verdict can be carried out on it."""
        when = self.when
        check_together(when)
        kind = action_kinds().get(self.verdict.action)
        if when.about_answers and kind is not None and not kind.meets_answers:
            found = f"the action {self.verdict.action} for a DNS response"
            raise Expected("an action that can be done to it", "`drop` can", found=found, key="verdict")
        beyond = [] if kind is None else [name for name in when.protocol if not kind.can_meet(name)]
        if beyond:
            found = f"the action {self.verdict.action} for {', '.join(beyond)}"
            raise Expected(
                "an action that can be done to it", "`drop` can; make a rule of its own", found=found, key="verdict"
            )
        return self


class InspectionPolicy(Record):
    """Rules of a DPI box, in a file of their own."""

    format: Format = 1
    """The version of this file format."""
    name: str = "policy"
    """What output calls it."""
    profile: str | None = None
    """How the box parses and reacts, where `--profile` does not say otherwise."""
    inside: Prefixes = ()
    """Addresses behind the box, for captures; in the lab a box knows by its ports."""
    classes: dict[str, Prefixes] = Field(default_factory=dict)
    """Subscriber classes that rules name, by the addresses of their subscribers; for captures."""
    asns: dict[AsnKey, Prefixes] = Field(default_factory=dict)
    """Autonomous systems that rules name by number, with the addresses that they announce; for captures."""
    utc_offset: UtcOffset = 0
    """What local clocks show, as an offset from UTC, in quotes; for the `hours` of rules."""
    rules: tuple[InspectionRule, ...] = ()
    """The first rule that matches counts; a connection that none matches passes."""


def load_policy(text: str | bytes, source: str, apps: Collection[str] | None = None) -> InspectionPolicy:
    """Read a policy file's text; raises `BadInput` with every mistake (`source` is the file's name in messages).

    `apps`: the names that rules may use; None: those of the catalogue that ships.
    """
    document = parse(text.encode() if isinstance(text, str) else text, source)
    if is_another(document, "policy"):
        document.raise_if_bad()
    resolve_files(document, ("rules",))
    classes, asns = (document.data.get(key) for key in ("classes", "asns"))
    check_rules(
        document,
        ("rules",),
        apps,
        classes if isinstance(classes, dict) else (),
        [key for key in map(_asn_key, asns) if isinstance(key, int)] if isinstance(asns, dict) else (),
    )
    profile = document.data.get("profile")
    if isinstance(profile, str) and profile not in profile_names():
        document.report_unknown(("profile",), "profile of DPI boxes", profile, profile_names())
    policy = document.validate_as(InspectionPolicy)
    document.raise_if_bad()
    return policy
