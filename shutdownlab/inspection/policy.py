"""A box's policy: rules with conditions and a verdict, of which the first match wins.

Built in Python by the compiler, or read from a YAML file of its own (`load_policy`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo, model_validator

from shutdownlab.config.addresses import AnAddress
from shutdownlab.config.document import FROM_A_FILE, Expected, Record, did_you_mean, one_of, parse, quoted
from shutdownlab.config.kinds import is_another
from shutdownlab.config.scalars import Asn, Kbit, Seconds, UtcOffset, Whole, whole, written
from shutdownlab.config.wording import is_visible
from shutdownlab.inspection.condition_files import resolve_files
from shutdownlab.inspection.conditions import Conditions, Prefixes
from shutdownlab.inspection.contradictions import check_together
from shutdownlab.inspection.forge import DNS_CODES
from shutdownlab.inspection.terms import (
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
    text = written(value)
    if not re.fullmatch(r"[!-~]+", text):
        raise Expected("a URL in ASCII, without spaces", "write %20 for a space")
    if not re.match(r"https?://.|/", text):
        raise Expected("a URL that begins with http:// or https://, or a path that begins with /")
    return text


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
    """Returns the classes of all installed actions, by name."""
    from shutdownlab.inspection.actions.registry import installed_actions  # actions know verdicts, defined here

    return installed_actions()


def _action(value: Any) -> str:
    known = (*sorted(action_kinds()), Action.BLOCK.value)
    if value not in known:
        raise Expected(one_of(known), lambda: did_you_mean(str(value), known))
    return action_name(value)


def _asn_key(value: Any) -> Any:
    """Converts an AS number in a mapping's key, which is text in every file, to an int; leaves other values as is."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value) else value


AsnKey = Annotated[Asn, BeforeValidator(_asn_key)]
ResponseCode = Annotated[
    str,
    BeforeValidator(_rcode, json_schema_input_type=Literal["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "REFUSED"]),
]
Format = Annotated[int, BeforeValidator(_format, json_schema_input_type=Literal[1])]
Flags = Annotated[str, BeforeValidator(_flags)]
Ipid = Annotated[int | Literal["copy", "random"], BeforeValidator(_ipid)]


class ResidualSpec(Record):
    """What stays blocked after a decision: residual censorship (Bock et al., "Your Censor is My Censor", WOOT 2021)."""

    key: Literal["2-tuple", "3-tuple", "4-tuple"] = "4-tuple"
    """What stays blocked: the connection (4-tuple); everything between its two addresses with the server's port
    (3-tuple), so new connections too; or everything between its two addresses (2-tuple), whatever the port and the
    protocol."""
    seconds: Annotated[Seconds, Field(gt=0)] = Field(alias="for")
    """How long it stays blocked."""
    refreshed: bool = False
    """Whether each packet in that time restarts it."""
    directions: End = "both"
    """Whose packets are blocked in that time."""
    action: Literal["same", "drop", "reset"] = "same"
    """What is done to packets in that time; `same` is the verdict's action again."""


class Verdict(Record):
    """What is done to a connection that a rule matched, and to the packet that triggered the rule.

    Each action accepts only the keys that it uses.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("rate",)
    """Keys that are short for several others."""

    action: Annotated[str, PlainValidator(_action, json_schema_input_type=str)]
    """What the box does. In policies also `block`: what the box's profile does to what it blocks."""
    directions: End = "both"
    """drop: whose packets are dropped. freeze: whose payload is counted."""
    forward_trigger: bool = False
    """drop, reset, dns, block-page, redirect: whether the packet that matched still goes on."""
    after_packets: Annotated[Whole, Field(ge=0, le=1000)] = 0
    """drop: packets of the connection that still pass after the decision (TSPU's delayed drop). reset: only with
    `residual`, packets that still pass before it takes effect."""
    to: End = "both"
    """reset, block-page, redirect: the end that gets the resets; the client always gets the page."""
    flags: Flags = "RA"
    """reset, and the resets of block-page and redirect where the server's packet matched: the TCP flags, as letters; RA
    is a reset with ACK."""
    count: Annotated[Whole, Field(ge=1, le=16)] = 1
    """How many copies of each reset, or of a DNS answer over UDP, the box sends."""
    seq_steps: Annotated[tuple[Annotated[Whole, Field(ge=0, le=0xFFFFFFFF)], ...], BeforeValidator(many)] = ()
    """Added to the sequence numbers of the first, second … copy of a reset."""
    ttl: Annotated[Whole, Field(ge=1, le=255)] | None = None
    """The TTL of injected packets; left out: that of the pretended sender's own packets (64 if none was seen)."""
    window: Annotated[Whole, Field(ge=0, le=65535)] = 0
    """The TCP window of injected packets (dns over TCP: 8192 instead of 0)."""
    ipid: Ipid = "random"
    """The IPv4 identification of injected packets: a number, `copy` (of the packet that matched) or `random`."""
    rewrite: bool = False
    """reset: inject nothing; instead strip the payload of the connection's own packets towards `to`, and set `flags` on
    them."""
    rcode: ResponseCode = "NOERROR"
    """dns: the response code of the forged answer."""
    addresses: Annotated[tuple[AnAddress, ...], BeforeValidator(many)] = ()
    """dns: the addresses of the forged answer."""
    answer_ttl: Annotated[Whole, Field(ge=0, le=86400)] = 300
    """dns: the TTL of the forged answer's records, in seconds."""
    race: bool = False
    """dns: whether the query goes on too, so that the forged answer races the true one."""
    status: Annotated[Whole, Field(ge=100, le=599)] = 403
    """block-page: the HTTP status, of a response with a page. redirect: 300 to 303, 307 or 308; left out: 302."""
    body: str = "<html><body><h1>Access to this resource is restricted</h1></body></html>"
    """block-page: the page, as HTML."""
    location: Annotated[str, BeforeValidator(_location)] | None = None
    """redirect: the URL to redirect to."""
    rate_up: Kbit | None = None
    """throttle: the rate from inside to outside; left out: unlimited."""
    rate_down: Kbit | None = None
    """throttle: the rate from outside to inside; left out: unlimited."""
    burst: Annotated[Whole, Field(ge=1500, le=1 << 24)] = 15000
    """throttle: the size of each direction's token bucket, in bytes."""
    cap_bytes: Annotated[Whole, Field(ge=0)] | None = None
    """freeze: payload bytes (of `directions`) after which every further packet is dropped."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further settings of an action from another package, whose class checks them."""
    residual: ResidualSpec | None = None
    """What stays blocked after the decision, and how long; left out: nothing but the connection."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        """Expands `verdict: drop` to `verdict: {action: drop}`, and `rate` to `rate_up` and `rate_down`."""
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
        """Raises `Expected` if a key that the action needs is missing, or one is given that it would ignore."""
        used = {"action", "residual"}
        if self.action != Action.BLOCK:
            kind = action_kinds()[self.action]
            kind.check(self)
            used |= kind.used_fields(self)
        for name, field in type(self).model_fields.items():
            if name not in used and getattr(self, name) != field.get_default(call_default_factory=True):
                fields = sorted(used - {"action"})
                expected = f"only keys that the action {self.action} uses: {', '.join(fields) or 'nothing'}"
                raise Expected(expected, did_you_mean(name, fields), found=f"`{name}`")
        return self


class InspectionRule(Record):
    """A rule of a DPI box: conditions, and a verdict on the connections that meet them."""

    name: str
    """The rule's name in decisions, events and `inspect`; unique."""
    when: Conditions = Conditions()
    """All conditions that are given must hold; left out: every connection."""
    verdict: Verdict
    """What is done to a connection that it matches. `verdict: drop` is short for `verdict: {action: drop}`, and `rate`
    for the same `rate_up` and `rate_down`."""

    @model_validator(mode="after")
    def _can_be_met(self, info: ValidationInfo) -> InspectionRule:
        """Raises `Expected` if no connection can meet all conditions, or the action cannot be applied to one.

        Only a rule that somebody wrote is held to this. What the compiler makes of several policies may contain parts
        that no connection meets, and leave others to other rules.
        """
        if info.context is FROM_A_FILE:
            if not self.name or not is_visible(self.name):
                raise Expected("a name, on one line", found=quoted(self.name), key="name")
            check_together(self.when)
            self._check_action()
        return self

    def _check_action(self) -> None:
        """Raises `Expected` if ports or protocols and the action are of different transports, or the action is none for
        DNS responses."""
        when = self.when
        kind = action_kinds().get(self.verdict.action)
        if when.about_answers and kind is not None and not kind.meets_answers:
            found = f"the action {self.verdict.action} for a DNS response"
            raise Expected("an action that applies to DNS responses, such as `drop`", found=found, key="verdict")
        beyond = [] if kind is None else [name for name in when.protocol if not kind.can_meet(name)]
        if beyond:
            found = f"the action {self.verdict.action} for {', '.join(beyond)}"
            raise Expected(
                "an action that applies to them, such as `drop`",
                "or move them to another rule",
                found=found,
                key="verdict",
            )
        by_udp = bool(when.port) and all(item.protocol == "udp" for item in when.port)
        if by_udp and kind is not None and kind.tcp_only:
            found = f"the action {self.verdict.action} for a `port` of UDP"
            raise Expected("an action that applies to UDP, such as `drop`", found=found, key="verdict")
        residual = self.verdict.residual
        unended = [name for name in when.protocol if not action_kinds()["reset"].can_meet(name)]
        if residual is not None and residual.action == "reset" and (unended or by_udp):
            found = f"a `residual` of resets for {', '.join(unended) or 'a `port` of UDP'}"
            raise Expected("an action that applies to UDP, such as `drop`", found=found, key="verdict")


class InspectionPolicy(Record):
    """Rules of a DPI box, in a file of their own."""

    format: Format = 1
    """The version of this file format."""
    name: str = "policy"
    """The policy's name in output."""
    profile: str | None = None
    """The DPI profile, unless `--profile` gives another."""
    inside: Prefixes = ()
    """For captures: the addresses on the inside of the box. In the lab a box knows this by its ports."""
    classes: dict[str, Prefixes] = Field(default_factory=dict)
    """For captures: subscriber classes that rules name, with their subscribers' addresses."""
    asns: dict[AsnKey, Prefixes] = Field(default_factory=dict)
    """For captures: autonomous systems that rules name by number, with the addresses that they announce."""
    utc_offset: UtcOffset = 0
    """Local time's offset from UTC, in quotes, for the `hours` of rules."""
    rules: tuple[InspectionRule, ...] = ()
    """The rules, of which the first that matches counts; a connection that none matches passes."""


def load_policy(text: str | bytes, source: str, apps: Collection[str] | None = None) -> InspectionPolicy:
    """Parses a policy file's text; raises `BadInput` with every mistake (`source` is the file's name in messages).

    `apps`: the app names that rules may use; None: those of the catalogue that ships.
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
