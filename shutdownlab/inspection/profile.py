"""Profiles: how a given box parses and reacts, as data. Those that ship are `profiles/*.yaml`, each with its sources.

One engine runs all of them. Every field is a mechanism that some measured box has or lacks.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from shutdownlab.config.beside import document_beside
from shutdownlab.config.document import Document, Expected, Path, Record, did_you_mean, one_of, parse, quoted
from shutdownlab.config.kinds import is_another
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.scalars import Number, Seconds, Title, Whole, whole
from shutdownlab.inspection.condition_files import resolve_files
from shutdownlab.inspection.conditions import Names, Ports
from shutdownlab.inspection.policy import Format, InspectionRule, Verdict, action_kinds
from shutdownlab.inspection.recognisers.tolerance import TOLERANT, Tolerance
from shutdownlab.inspection.recognition import installed_recognisers
from shutdownlab.inspection.terms import many
from shutdownlab.inspection.unused_keys import BLOCKED_AS, check_budget, check_ip, check_profile, check_tcp
from shutdownlab.inspection.verdict import Action, End
from shutdownlab.inspection.vocabulary import check_rules, profile_names

Count = Annotated[Whole, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]


def _span(value: Any) -> tuple[int, int]:
    """Parses a number, or `[low, high]` from which each connection draws its own; raises `Expected`."""
    both = value if isinstance(value, list | tuple) else (value, value)
    span = [whole(number, 0, 1 << 32) for number in both]
    match span:
        case [int() as low, int() as high] if low <= high:
            return low, high
    raise Expected("a number, or [lowest, highest]", "0 is unlimited")


def _protocol(value: Any) -> str:
    known = installed_recognisers().protocols
    if value in known:
        return str(value)
    raise Expected(one_of(known), lambda: did_you_mean(str(value), known))


Protocols = Annotated[tuple[Annotated[str, BeforeValidator(_protocol)], ...], BeforeValidator(many)]


class IpModel(Record):
    """How the box handles IP fragments and tunnels."""

    fragments: Literal["reassemble", "ignore", "drop"] = "reassemble"
    """reassemble: inspect the complete datagram. ignore: they pass uninspected. drop: none passes (in-path only)."""
    hold: bool = False
    """In-path: holds fragments back until the datagram is complete, then sends them all, inspected or not (TSPU)."""
    max_fragments: Annotated[Whole, Field(ge=2, le=8192)] = 8192
    """A datagram of more fragments than this is given up (and lost, with `hold`)."""
    overlap: Literal["first", "last", "discard"] = "first"
    """Which bytes count where fragments overlap: those that came first or last; discard: the datagram is given up."""
    timeout: Seconds = 30.0
    """How long an incomplete datagram is kept."""
    datagrams: Annotated[Whole, Field(ge=1)] = 1024
    """The most incomplete datagrams kept; beyond, the oldest is given up."""
    tunnels: Annotated[Whole, Field(ge=0, le=8)] = 0
    """How many nested tunnels (GTP-U, L2TP, VXLAN, Geneve, GUE, Teredo, LISP, MPLS over IP, EtherIP, CAPWAP, TZSP, GRE,
    ERSPAN, PPTP, EoIP, ESP without encryption) the box decapsulates; 0: it only recognises the tunnel's protocol."""

    @model_validator(mode="after")
    def _heeded(self) -> IpModel:
        check_ip(self)
        return self


class Validation(Record):
    """Which packets the box believes; others pass without being inspected."""

    ip_checksum: bool = False
    """A packet with a wrong IPv4 header checksum is not believed."""
    tcp_checksum: bool = False
    """A packet with a wrong TCP or UDP checksum is not believed."""
    sequence: Literal["none", "window", "exact"] = "none"
    """Sequence numbers at which an RST is believed: any, the next 64 KiB, or exactly the next one (RFC 5961). With
    either of the latter, a FIN must be within 64 KiB of the next one."""
    ack: bool = False
    """Data must acknowledge a number within 64 KiB of what the other end has sent."""
    ack_flag: bool = False
    """Data without the ACK flag is not believed."""
    md5: bool = False
    """Packets with a TCP MD5 option are not believed (end hosts drop them)."""
    options_known: tuple[Annotated[Whole, Field(ge=0, le=255)], ...] | None = None
    """TCP packets with an option of any other kind are not believed (0 end, 1 no-op, 8 timestamps); left out: all kinds
    are accepted."""
    ttl_at_least: Annotated[Whole, Field(ge=0, le=255)] = 0
    """A packet with a lower TTL is not believed."""
    ttl_drop_at_most: Annotated[Whole, Field(ge=0, le=255)] | None = None
    """A packet is not believed if its TTL is further than this below that of its end's first packet."""


class RstTeardown(Record):
    """The share of connections in which the client's RST ends the state; in the others it only starts a resync."""

    handshake: Share = 1.0
    """Before the client's ACK that completes the handshake."""
    established: Share = 1.0
    """From that ACK on."""


class TcpModel(Record):
    """How the box tracks a TCP connection, and what makes it lose track.

    `resync`: the box takes the client's sequence number from its next packet. Probabilities are drawn once per
    connection, so a repeated packet has the same effect.
    """

    reassembly: Literal["none", "arrival", "in-order", "full"] = "full"
    """none: inspect each packet by itself. arrival: join payloads as they arrive, whatever their sequence numbers.
    in-order: ignore a segment that is not the next one. full: keep segments that come out of order."""
    roles: bool = True
    """Tells the client's payload from the server's; if off, all payload is inspected as if a client had sent it."""
    overlap: Literal["first", "last"] = "first"
    """Which bytes count where segments overlap (bytes already passed to the parser are never replaced)."""
    min_segment: Count = 0
    """Segments with fewer payload bytes are not assembled."""
    gap: Annotated[Whole, Field(ge=0)] = 65536
    """Out-of-order segments that start further ahead than this many bytes are lost."""
    urgent: Literal["inline", "skip"] = "inline"
    """skip: the urgent byte is removed from the stream, as Linux receivers do."""
    create: Annotated[tuple[Literal["syn", "syn-ack", "data", "any"], ...], BeforeValidator(many)] = (
        "syn",
        "syn-ack",
        "data",
    )
    """What makes the box track a connection."""
    handshake: Literal["none", "syn", "full"] = "none"
    """What must have been seen before payload is inspected: nothing, the SYN, or SYN, SYN/ACK and ACK."""
    syn_payload: Literal["ignore", "inspect", "give-up"] = "ignore"
    """Payload on the SYN is ignored, inspected, or ends inspection of the connection."""
    second_syn: Literal["ignore", "resync", "restart", "answered"] = "ignore"
    """On a further SYN from the opener with another sequence number. restart: it replaces the first. answered: the one
    counts that the server's SYN/ACK acknowledges, as when a port is reused whose first SYN went unanswered."""
    client_syn_ack: Literal["ignore", "swap"] = "ignore"
    """On a SYN/ACK from the end that opened, without a SYN from the other. swap: take that end for the server."""
    server_syn: Literal["ignore", "swap"] = "ignore"
    """On a bare SYN from the server (split handshake, simultaneous open). swap: take that end for the client."""
    server_requests_swap: Count = 0
    """How many packets from the server that begin like a client's request make the box swap the ends; 0: never."""
    server_payload_in_handshake: Count = 0
    """How many SYN/ACKs with payload make the box give the connection up; 0: never."""
    null_flags: Literal["ignore", "give-up"] = "ignore"
    """On a packet without any TCP flag before the handshake is done."""
    fin_syn: Literal["ignore", "resync-ahead"] = "ignore"
    """On FIN and SYN in one packet from the client. resync-ahead: resynchronise, one byte too far."""
    early_fins: Count = 0
    """How many FINs from the client before its SYN make the box give the connection up; 0: never."""
    handshake_acks: Count = 0
    """How many bare ACKs from the client before any data make the box give the connection up; 0: never."""
    rst: Literal["ignore", "teardown", "resync"] = "teardown"
    """On an RST from the client, whatever its other flags."""
    server_rst: Literal["ignore", "teardown", "resync"] = "teardown"
    """On an RST from the server."""
    bad_seq_ack: Literal["ignore", "resync"] = "ignore"
    """On a bare ACK from the client more than 64 KiB off its expected sequence number."""
    fin: Literal["ignore", "teardown", "close"] = "close"
    """teardown: the first FIN ends the state. close: the second end's FIN does."""
    server_payload_resync: bool = False
    """Whether payload from the server, other than on a SYN/ACK, before any from the client makes the box resync."""
    syn_ack_bad_ack: Literal["ignore", "resync"] = "ignore"
    """On a SYN/ACK that does not acknowledge the SYN."""
    rst_teardown: RstTeardown = RstTeardown()
    """How often the client's RST has the effect of `rst: teardown`."""
    resync_probability: Share = 1.0
    """The share of connections that the server's packets above (RST, payload, a bad acknowledgement) resynchronise."""
    server_rst_probability: Share | None = None
    """The share for the server's RST, if it differs."""
    fin_probability: Share = 1.0
    """The share of connections in which a FIN has an effect."""

    @model_validator(mode="after")
    def _heeded(self) -> TcpModel:
        check_tcp(self)
        return self


class Budget(Record):
    """How much of a connection the box inspects before it lets it pass."""

    packets: Annotated[tuple[int, int], BeforeValidator(_span, json_schema_input_type=Count | tuple[Count, Count])] = (
        64,
        64,
    )
    """Packets with payload inspected per TCP connection; of two numbers, each connection draws one between them. 0:
    unlimited."""
    least: Count = 0
    """Packets with payload that must have been seen before the box settles on an unknown protocol."""
    bytes: Annotated[Whole, Field(ge=0, le=1 << 20)] = 65536
    """Bytes inspected of each end's stream."""
    give_up_unrecognised: bool = False
    """Whether the first payload of no inspected protocol ends inspection of the connection."""
    give_up_unrecognised_over: Count = 0
    """A payload longer than this many bytes and of no inspected protocol ends inspection; 0: never."""
    give_up_unfinished: bool = False
    """Whether the first incomplete request or ClientHello ends inspection if no rule matches it yet."""
    every_request: bool = False
    """Keeps inspecting after a message (an HTTP request, a DNS query, a SIP message, a QUIC connection) that no rule
    matched or that a rule let pass, wherever the next one begins, within `packets`; `bytes` then applies to each
    message."""
    datagrams: Count = 16
    """Datagrams inspected per UDP flow; 0: unlimited."""

    @model_validator(mode="after")
    def _heeded(self) -> Budget:
        check_budget(self)
        return self


class ConnectionTable(Record):
    """The connections that the box tracks."""

    flows: Annotated[Whole, Field(ge=1)] = 1_000_000
    """The most connections tracked at once."""
    syn_timeout: Seconds = 60.0
    """How long an undecided connection whose handshake is not done is tracked without any packet."""
    established_timeout: Seconds = 480.0
    """How long a connection is tracked without any packet once its handshake is done or it is decided."""
    udp_timeout: Seconds = 180.0
    """How long a UDP flow, or one of another protocol than TCP, is tracked without any packet."""
    closed_timeout: Seconds = 10.0
    """How long a closed connection is tracked without any packet."""
    overload: Literal["open", "closed"] = "open"
    """What happens to new connections when the table is full, and in the lab to undecided ones when the box is lost.
    open: they pass uninspected. closed: none passes (in-path only). No shipped profile has `closed`, as no measured box
    is documented to fail so."""


class Blocks(Record):
    """What `block` means for this box, by protocol; `default` for the rest."""

    default: Verdict = Field(default_factory=lambda: Verdict(action="drop"))
    """The verdict on all other protocols, and on those left out here."""
    http: Verdict | None = None
    """The verdict on HTTP, including HTTP/2 in the clear."""
    tls: Verdict | None = None
    """The verdict on TLS, DNS over TLS or HTTPS, and Tor."""
    dns: Verdict | None = None
    """The verdict on DNS in the clear."""
    quic: Verdict | None = None
    """The verdict on QUIC."""
    fet: Verdict | None = None
    """The verdict on fully encrypted traffic, which looks like random bytes."""

    @model_validator(mode="after")
    def _can_be_done(self) -> Blocks:
        """Raises `Expected` if a verdict cannot be what `block` means, or not for its protocols."""
        for name in type(self).model_fields:
            verdict = getattr(self, name)
            if verdict is not None and verdict.action == Action.BLOCK:
                raise Expected("an action, which policies then call `block`", found="`block` itself", key=name)
            protocols = BLOCKED_AS.get(name, ())
            kind = action_kinds().get(verdict.action) if verdict is not None else None
            if kind is not None and protocols and not any(kind.can_meet(each) for each in protocols):
                found = f"the action {verdict.action} for {name}"
                raise Expected("an action that can be done to it", "`drop` can", found=found, key=name)
        return self


class Profile(Record):
    """A profile of a DPI box: how it parses and reacts."""

    format: Format = 1
    """The version of this file format."""
    name: str
    """The profile's name in scenarios and for `--profile`; a user's own must not have the name of one that ships."""
    title: Title
    """Which boxes it describes, and of when, in one line."""
    sources: Annotated[Names, Field(min_length=1)]
    """The publications that measured it."""
    notes: str = ""
    """Measured behaviour that the other keys do not cover."""
    placement: Literal["in-path", "on-path"] = "in-path"
    """in-path: packets go through the box, which can hold them back. on-path: it gets copies, and can only inject."""
    protocols: Protocols = ()
    """The protocols that the box recognises; empty: all that the engine does."""
    ports: dict[Annotated[str, BeforeValidator(_protocol)], Ports] = Field(default_factory=dict)
    """The only ports on which a protocol is recognised; a protocol left out: every port."""
    opener: Literal["any", "inside", "outside"] = "any"
    """The side that must have opened a connection for the box to act on it."""
    inspect: End = "both"
    """The end whose payload is inspected."""
    only_direction: Literal["outbound", "inbound"] | None = None
    """The only direction in which a packet's payload can trigger a rule."""
    ip: IpModel = IpModel()
    """How it handles IP fragments and tunnels."""
    validate_: Validation = Field(default=Validation(), alias="validate")
    """Which packets it believes."""
    tcp: TcpModel = TcpModel()
    """How it tracks TCP connections."""
    parse: Tolerance = TOLERANT
    """What its parsers tolerate in the payload."""
    budget: Budget = Budget()
    """How much of a connection it inspects."""
    table: ConnectionTable = ConnectionTable()
    """How many connections it tracks, and how long."""
    block: Blocks = Field(default_factory=Blocks)
    """What `block` means for this box."""
    rules: tuple[InspectionRule, ...] = ()
    """Rules that are part of the box itself; they come after the policy's."""

    @model_validator(mode="after")
    def _heeded(self) -> Profile:
        check_profile(self, _beyond_on_path)
        return self

    def verdict_for(self, protocol: str) -> Verdict:
        """Returns the box's verdict on a connection of `protocol` that a policy blocks."""
        name = {"dot": "tls", "doh": "tls", "tor": "tls", "http2": "http"}.get(protocol, protocol)
        found = getattr(self.block, name, None) if name in Blocks.model_fields else None
        return found or self.block.default


def _beyond_on_path(verdict: Verdict) -> str:
    kind = action_kinds().get(verdict.action)
    return "" if kind is None else kind.beyond_on_path(verdict)


def load_profile(text: str | bytes, source: str, apps: Collection[str] | None = None) -> Profile:
    """Parses a profile's YAML; raises `BadInput` with every mistake. `apps`: see `load_policy`."""
    return _checked(parse(text.encode() if isinstance(text, str) else text, source), apps)


def _checked(document: Document, apps: Collection[str] | None) -> Profile:
    if is_another(document, "profile"):
        document.raise_if_bad()
    resolve_files(document, ("rules",))
    check_rules(document, ("rules",), apps)
    profile = document.validate_as(Profile)
    document.raise_if_bad()
    return profile


def is_file_name(name: str) -> bool:
    """Returns whether `name` is the path of a profile file rather than the name of a profile that ships."""
    return name not in profile_names() and (FilePath(name).suffix in {".yaml", ".yml"} or "/" in name)


def own_profile(document: Document, path: Path, name: str, apps: Collection[str]) -> Profile | None:
    """Returns the profile in the file `name`, which `document` names at `path`.

    None if it cannot be read or is invalid: its mistakes are reported to `document`.
    """
    part = document_beside(document, path, name)
    if part is None:
        return None
    named = part.data.get("name")
    if named in profile_names():
        hint = "otherwise results of the two profiles could not be told apart"
        part.report(("name",), f"{quoted(named)}, the name of a shipped profile", "a unique name", hint)
    try:
        return _checked(part, apps)
    except BadInput as error:
        document.problems.take(error)
        return None


def shipped_profile(name: str) -> Profile:
    """Returns the shipped profile of this name; raises `BadInput` if there is none."""
    names = profile_names()
    if name not in names:
        hint = did_you_mean(name, names)
        raise BadInput([Problem("--profile", 0, "", f"unknown profile '{name}'", one_of(names), hint)])
    path = files("shutdownlab.inspection") / "profiles" / f"{name}.yaml"
    return load_profile(path.read_bytes(), f"{name}.yaml")
