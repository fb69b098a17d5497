"""How a given box parses and reacts, as data: `profiles/*.yaml`, each with its sources.

The same engine runs all of them. Every field is a mechanism that some measured box has or lacks.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from shutdownlab.config.beside import document_beside
from shutdownlab.config.document import Document, Expected, Path, Record, did_you_mean, one_of, parse, quoted
from shutdownlab.config.kinds import is_another
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.scalars import Number, Seconds, Whole, whole
from shutdownlab.inspection.condition_files import resolve_files
from shutdownlab.inspection.conditions import Names, Ports
from shutdownlab.inspection.policy import Format, InspectionRule, Verdict
from shutdownlab.inspection.recognisers.tolerance import TOLERANT, Tolerance
from shutdownlab.inspection.recognition import installed_recognisers
from shutdownlab.inspection.terms import many
from shutdownlab.inspection.verdict import End
from shutdownlab.inspection.vocabulary import check_rules, profile_names

Count = Annotated[Whole, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]


def _span(value: Any) -> tuple[int, int]:
    """A number, or `[low, high]` from which each connection draws its own."""
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
    """What the box does with IP fragments."""

    fragments: Literal["reassemble", "ignore", "drop"] = "reassemble"
    """reassemble: inspected once whole. ignore: they go by uninspected. drop: none passes (in-path)."""
    hold: bool = False
    """In-path: keeps fragments back until the datagram is whole, then sends them all, inspected or not (TSPU)."""
    max_fragments: Annotated[Whole, Field(ge=2, le=8192)] = 8192
    """Of more pieces than this the datagram is given up (held ones are lost)."""
    overlap: Literal["first", "last", "discard"] = "first"
    """Whose bytes count where fragments overlap; discard: the datagram is given up."""
    timeout: Seconds = 30.0
    """How long an unfinished datagram is kept."""
    datagrams: Annotated[Whole, Field(ge=1)] = 1024
    """Unfinished datagrams kept; the oldest gives way."""
    tunnels: Annotated[Whole, Field(ge=0, le=8)] = 0
    """How many tunnels (GTP-U, L2TP, VXLAN, Geneve, GUE, Teredo, LISP, MPLS over IP, EtherIP, TZSP, GRE, ERSPAN, PPTP)
    around one another it looks into; 0: they are but named."""


class Validation(Record):
    """What a packet must be like for the box to believe it. One that fails goes by without being looked at."""

    ip_checksum: bool = False
    """A wrong IPv4 header checksum makes the packet unbelieved."""
    tcp_checksum: bool = False
    """A wrong TCP checksum makes the packet unbelieved."""
    sequence: Literal["none", "window", "exact"] = "none"
    """Where an RST or FIN must lie to be believed: anywhere, in the next 64 KiB, or at exactly the next (RFC 5961)."""
    ack: bool = False
    """Data must acknowledge something within 64 KiB of what the other end has sent."""
    ack_flag: bool = False
    """Data without the ACK flag is not believed."""
    md5: bool = False
    """Packets with a TCP MD5 option are not believed (end hosts drop them)."""
    options_known: tuple[Annotated[Whole, Field(ge=0, le=255)], ...] | None = None
    """The TCP option kinds that do not hide a packet from the box (0 end, 1 no-op, 8 timestamps); left out: all."""
    ttl_at_least: Annotated[Whole, Field(ge=0, le=255)] = 0
    """A packet with a lower TTL is not believed."""
    ttl_drop_at_most: Annotated[Whole, Field(ge=0, le=255)] | None = None
    """A packet whose TTL is further below its connection's first one than this is not believed."""
    length: bool = False
    """A TCP data offset or length field out of range makes the packet unbelieved; else it is read as far as it goes."""


class RstTeardown(Record):
    """Of the RSTs that would end a connection's state the share that do; the others only start resynchronisation."""

    handshake: Share = 1.0
    """Before the client's ACK that completes the handshake."""
    established: Share = 1.0
    """From that ACK on."""


class TcpModel(Record):
    """How the box follows a TCP connection, and what makes it lose one.

    What happens with a probability is drawn once a connection: a second copy of a packet meets the same box again.
    """

    reassembly: Literal["none", "arrival", "in-order", "full"] = "full"
    """none: each packet by itself. arrival: payloads one after the other as they come, whatever their numbers.
    in-order: what is not next is not seen. full: what comes out of order is kept."""
    roles: bool = True
    """Tells the client's payload from the server's; else whatever travels is looked at as if a client had sent it."""
    overlap: Literal["first", "last"] = "first"
    """Whose bytes stay where segments overlap (bytes already passed to the parser are never replaced)."""
    min_segment: Count = 0
    """Segments with fewer payload bytes are not assembled."""
    gap: Annotated[Whole, Field(ge=0)] = 65536
    """Bytes kept out of order; beyond it, they are lost."""
    urgent: Literal["inline", "skip"] = "inline"
    """skip: the byte the urgent pointer names is taken out of the stream, as Linux receivers do."""
    create: Annotated[tuple[Literal["syn", "syn-ack", "data", "any"], ...], BeforeValidator(many)] = (
        "syn",
        "syn-ack",
        "data",
    )
    """What makes the box track a connection."""
    handshake: Literal["none", "syn", "full"] = "none"
    """What must have been seen before payload is inspected: nothing, the SYN, or SYN, SYN/ACK and ACK."""
    syn_payload: Literal["ignore", "inspect", "give-up"] = "ignore"
    """Payload on the SYN is passed over, inspected, or ends inspection of the connection."""
    second_syn: Literal["ignore", "resync", "restart", "answered"] = "ignore"
    """A further SYN from the opener with another sequence number. answered: the one counts that the server's SYN/ACK
    acknowledges, as where a port is used again whose first SYN nobody answered."""
    client_syn_ack: Literal["ignore", "swap"] = "ignore"
    """A SYN/ACK from the end that opened, without a SYN to it: swap takes it for the server from then on."""
    server_syn: Literal["ignore", "swap"] = "ignore"
    """A bare SYN from the other end (split handshake, simultaneous open): swap takes it for the opener."""
    server_requests_swap: Count = 0
    """After so many packets from the server that begin like a client's request, the ends are swapped; 0 never."""
    server_payload_in_handshake: Count = 0
    """After so many SYN/ACKs with payload the connection is given up; 0 never."""
    null_flags: Literal["ignore", "give-up"] = "ignore"
    """A packet without any TCP flag, before the handshake is done."""
    fin_syn: Literal["ignore", "resync-ahead"] = "ignore"
    """FIN and SYN in one packet from the client: resynchronises one byte too far."""
    early_fins: Count = 0
    """After so many FINs before the SYN the connection is given up; 0 never."""
    handshake_acks: Count = 0
    """After so many bare ACKs from the client before any data the connection is given up; 0 never."""
    rst: Literal["ignore", "teardown", "resync"] = "teardown"
    """From the client; any combination of flags that has RST."""
    server_rst: Literal["ignore", "teardown", "resync"] = "teardown"
    """The same from the server."""
    bad_seq_ack: Literal["ignore", "resync"] = "ignore"
    """A bare ACK from the client far off the sequence that its SYN began."""
    fin: Literal["ignore", "teardown", "close"] = "close"
    """teardown: the first FIN ends the state. close: the second end's FIN does."""
    server_payload_resync: bool = False
    """Payload from the server on anything but a SYN/ACK before the client sent any: resynchronise."""
    syn_ack_bad_ack: Literal["ignore", "resync"] = "ignore"
    """A SYN/ACK that acknowledges something else than the SYN."""
    rst_teardown: RstTeardown = RstTeardown()
    """How often the client's RST does what `rst: teardown` says."""
    resync_probability: Share = 1.0
    """Share of connections that the server's packets above (RST, payload, a wrong acknowledgement) resynchronise."""
    server_rst_probability: Share | None = None
    """The same for its RST alone, where that differs."""
    fin_probability: Share = 1.0
    """Share of connections in which a FIN tears down."""


class Budget(Record):
    """How much of a connection the box looks at before it lets it go."""

    packets: Annotated[tuple[int, int], BeforeValidator(_span, json_schema_input_type=Count | tuple[Count, Count])] = (
        64,
        64,
    )
    """Packets with payload looked at in a connection; 0 is unlimited."""
    least: Count = 0
    """Packets with payload that must have been seen before it is settled that they are no known protocol."""
    bytes: Annotated[Whole, Field(ge=0, le=1 << 20)] = 65536
    """Bytes of the client's stream that are looked at."""
    give_up_unrecognised: bool = False
    """The first payload that is no inspected protocol ends inspection of the connection."""
    give_up_unrecognised_over: Count = 0
    """A payload longer than this that is no known protocol ends inspection; 0 never."""
    give_up_unfinished: bool = False
    """The first request or ClientHello that has not come completely ends inspection, if no rule matches it yet."""
    every_request: bool = False
    """Goes on inspecting after a message (a request of HTTP, a DNS question, a message of SIP) that no rule matched, or
    that one lets pass, wherever the next one begins, within the budget of packets; `bytes` are then a message's."""
    datagrams: Count = 16
    """Datagrams looked at in a UDP flow; 0 is unlimited."""


class ConnectionTable(Record):
    """The connections that the box remembers."""

    flows: Annotated[Whole, Field(ge=1)] = 1_000_000
    """Connections tracked at once."""
    syn_timeout: Seconds = 60.0
    """How long a connection is tracked of which only SYNs were seen."""
    established_timeout: Seconds = 480.0
    """How long a connection is tracked without any packet, once its handshake is done."""
    udp_timeout: Seconds = 180.0
    """How long a UDP flow is tracked without any packet."""
    closed_timeout: Seconds = 10.0
    """How long a connection is tracked after its end."""
    overload: Literal["open", "closed"] = "open"
    """What happens to new connections when the table is full, and in the lab to undecided ones when the box is lost:
    they pass uninspected, or none does (in-path). None that ships fails closed: no measured box is documented to."""


class Blocks(Record):
    """What `block` means for this box, by protocol; `default` for the rest."""

    default: Verdict = Field(default_factory=lambda: Verdict(action="drop"))
    """What is done to what has no line of its own here."""
    http: Verdict | None = None
    """To HTTP."""
    tls: Verdict | None = None
    """To TLS, DNS over TLS or HTTPS, and Tor."""
    dns: Verdict | None = None
    """To DNS in the clear."""
    quic: Verdict | None = None
    """To QUIC."""
    fet: Verdict | None = None
    """To fully encrypted traffic: what looks like random bytes."""


class Profile(Record):
    """A make of DPI box: how it parses and reacts."""

    format: Format = 1
    """The version of this file format."""
    name: str
    """What scenarios and `--profile` call it; an own one's must be none that ships."""
    title: str
    """Which boxes, when, in a line."""
    sources: Annotated[Names, Field(min_length=1)]
    """Who measured it."""
    notes: str = ""
    """What was measured that the other keys do not say."""
    placement: Literal["in-path", "on-path"] = "in-path"
    """in-path: packets go through the box, which can hold them back. on-path: it gets copies, and can only inject."""
    protocols: Protocols = ()
    """What the box can recognise; empty: everything the engine can."""
    ports: dict[Annotated[str, BeforeValidator(_protocol)], Ports] = Field(default_factory=dict)
    """A protocol is only looked for on these ports; not named: on every port."""
    opener: Literal["any", "inside", "outside"] = "any"
    """Only connections that this side opened are acted upon."""
    inspect: End = "both"
    """Whose payload is looked at."""
    only_direction: Literal["outbound", "inbound"] | None = None
    """Only packets that travel this way can trigger."""
    ip: IpModel = IpModel()
    """IP fragments."""
    validate_: Validation = Field(default=Validation(), alias="validate")
    """Which packets it believes."""
    tcp: TcpModel = TcpModel()
    """How it follows TCP."""
    parse: Tolerance = TOLERANT
    """What its parsers forgive in the payload."""
    budget: Budget = Budget()
    """How much it looks at."""
    table: ConnectionTable = ConnectionTable()
    """How many connections it remembers, and how long."""
    block: Blocks = Field(default_factory=Blocks)
    """What `block` means for this box."""
    rules: tuple[InspectionRule, ...] = ()
    """What the box blocks by its nature; tried after the policy's rules."""

    def verdict_for(self, protocol: str) -> Verdict:
        """What this box does to a connection of `protocol` that is to be blocked."""
        name = {"dot": "tls", "doh": "tls", "tor": "tls", "http2": "http"}.get(protocol, protocol)
        found = getattr(self.block, name, None) if name in Blocks.model_fields else None
        return found or self.block.default


def load_profile(text: str | bytes, source: str, apps: Collection[str] | None = None) -> Profile:
    """Read a profile's YAML; raises `BadInput` with every mistake. `apps`: see `load_policy`."""
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
    """Whether a profile is asked for by the path of a file, not by the name of one that ships."""
    return name not in profile_names() and (FilePath(name).suffix in {".yaml", ".yml"} or "/" in name)


def own_profile(document: Document, path: Path, name: str, apps: Collection[str]) -> Profile | None:
    """The profile in the file that `document` names at `path`. None where there is none: its mistakes are reported."""
    part = document_beside(document, path, name)
    if part is None:
        return None
    named = part.data.get("name")
    if named in profile_names():
        hint = "what is measured with it could not be told from what is measured with that one"
        part.report(("name",), f"{quoted(named)}, the name of a profile that ships", "a name of its own", hint)
    try:
        return _checked(part, apps)
    except BadInput as error:
        document.problems.take(error)
        return None


def shipped_profile(name: str) -> Profile:
    """A profile by name; raises `BadInput` if none has it."""
    names = profile_names()
    if name not in names:
        hint = did_you_mean(name, names)
        raise BadInput([Problem("--profile", 0, "", f"unknown profile '{name}'", one_of(names), hint)])
    path = files("shutdownlab.inspection") / "profiles" / f"{name}.yaml"
    return load_profile(path.read_bytes(), f"{name}.yaml")
