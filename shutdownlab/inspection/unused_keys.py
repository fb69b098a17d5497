"""Finds keys of a profile that would have no effect beside its other keys: the box would not be the one described."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from shutdownlab.config.document import Expected
from shutdownlab.inspection.recognition import installed_recognisers

if TYPE_CHECKING:
    from shutdownlab.inspection.policy import Verdict
    from shutdownlab.inspection.profile import Budget, IpModel, Profile, TcpModel
    from shutdownlab.inspection.recognisers.tolerance import Tolerance

Needed = tuple[str, Callable[[Any], bool]]
"""What a key needs, in words, and whether it is there."""

_ORDERED: Final = ("in-order", "full")
_TCP: Final[Mapping[str, Needed]] = {
    "overlap": ("`reassembly: full` or `in-order`", lambda tcp: tcp.reassembly in _ORDERED),
    "urgent": ("`reassembly: full` or `in-order`", lambda tcp: tcp.reassembly in _ORDERED),
    "gap": ("`reassembly: full`", lambda tcp: tcp.reassembly == "full"),
    "min_segment": ("a `reassembly`", lambda tcp: tcp.reassembly != "none"),
    "rst_teardown": ("`rst: teardown`", lambda tcp: tcp.rst == "teardown"),
    "fin_probability": ("`fin: teardown` or `close`", lambda tcp: tcp.fin != "ignore"),
    "server_rst_probability": ("`server_rst: resync`", lambda tcp: tcp.server_rst == "resync"),
    "resync_probability": (
        "`server_rst: resync`, `server_payload_resync` or `syn_ack_bad_ack: resync`",
        lambda tcp: "resync" in (tcp.server_rst, tcp.syn_ack_bad_ack) or tcp.server_payload_resync,
    ),
}
_JOINED: Final[Needed] = ("`fragments: reassemble` or `hold`", lambda ip: ip.fragments == "reassemble" or ip.hold)
_IP: Final[Mapping[str, Needed]] = dict.fromkeys(("overlap", "max_fragments", "timeout", "datagrams"), _JOINED)

_HTTP: Final = ("http", "http2")
_TLS: Final = ("tls", "dot", "doh", "tor")
BLOCKED_AS: Final[Mapping[str, tuple[str, ...]]] = {
    "http": _HTTP,
    "tls": _TLS,
    "dns": ("dns",),
    "quic": ("quic",),
    "fet": ("fet",),
}
"""The protocols that each key of `block` but `default` is about."""
_PARSED: Final[Mapping[str, tuple[str, ...]]] = {"http_": _HTTP, "tls_": _TLS, "dns_": ("dns",), "quic_": ("quic",)}
"""The protocols that a key of `parse` with this beginning is about."""


def _changed(record: Any) -> Iterator[str]:
    """Yields the keys of a record that differ from their defaults."""
    for name, field in type(record).model_fields.items():
        if getattr(record, name) != field.get_default(call_default_factory=True):
            yield name


def _check(record: Any, needs: Mapping[str, Needed]) -> None:
    for key in _changed(record):
        words, there = needs.get(key, ("", bool))
        if words and not there(record):
            raise Expected(f"it together with {words}, or left out", found=f"`{key}`, which has no effect", key=key)


def check_tcp(tcp: TcpModel) -> None:
    """Raises `Expected` if the box would never track a connection, or ignore a key."""
    if not tcp.create:
        raise Expected(
            "at least one of syn, syn-ack, data, any",
            found="no packet that makes the box track a connection",
            key="create",
        )
    if tcp.handshake != "none" and not {"syn", "any"} & {*tcp.create}:
        found = "`handshake` with a `create` without SYNs, so that no payload is ever inspected"
        raise Expected("`create: syn` or `any` with `handshake`", found=found, key="handshake")
    _check(tcp, _TCP)


def check_ip(ip: IpModel) -> None:
    """Raises `Expected` if the box would ignore a key."""
    _check(ip, _IP)


def check_budget(budget: Budget) -> None:
    """Raises `Expected` if one key leaves another without effect."""
    if budget.give_up_unrecognised and budget.give_up_unrecognised_over:
        found = "`give_up_unrecognised_over` with `give_up_unrecognised`, which gives up at any length"
        raise Expected("one of them", found=found, key="give_up_unrecognised_over")
    if 0 < budget.packets[1] < budget.least:
        found = f"{budget.least}, more than the {budget.packets[1]} `packets` that are inspected"
        raise Expected("at most as many as `packets`", found=found, key="least")


def check_profile(profile: Profile, on_path: Callable[[Verdict], str]) -> None:
    """Raises `Expected` if a part of the profile contradicts another.

    `on_path`: returns what of a verdict an on-path box cannot do, "" if it can do all.
    """
    if profile.placement == "on-path":
        _check_on_path(profile, on_path)
    if profile.inspect != "both" and not profile.tcp.roles:
        raise Expected(
            "`roles`, or `inspect: both`", found="one side to inspect with `tcp: {roles: false}`", key="inspect"
        )
    for name, spans in profile.ports.items():
        _check_ports(name, {span.protocol for span in spans})
    if profile.protocols:
        _check_protocols(profile, profile.protocols)


def _check_on_path(profile: Profile, on_path: Callable[[Verdict], str]) -> None:
    hint = "an on-path box sees copies and can only inject"
    wrong = {"ip": "`hold`" if profile.ip.hold else "`fragments: drop`" if profile.ip.fragments == "drop" else ""}
    block = profile.block
    given = [getattr(block, name) for name in type(block).model_fields if name in block.model_fields_set]
    wrong["block"] = next(filter(None, map(on_path, filter(None, given))), "")
    wrong["rules"] = next(filter(None, [on_path(rule.verdict) for rule in profile.rules]), "")
    for key, found in wrong.items():
        if found:
            raise Expected("`placement: in-path`", hint, found=f"{found} with `placement: on-path`", key=key)


def _check_ports(name: str, transports: Collection[str | None]) -> None:
    known = installed_recognisers()
    over = {"tcp": known.over_tcp, "udp": known.over_udp}
    if None not in transports and not any(name in over[each] for each in transports if each):
        found = f"{' and '.join(sorted(filter(None, transports)))} ports alone for {name}, which does not use them"
        raise Expected("ports that the protocol uses", found=found, key="ports")


def _check_protocols(profile: Profile, protocols: Collection[str]) -> None:
    about: list[tuple[str, str, tuple[str, ...]]] = [("ports", name, (name,)) for name in profile.ports]
    about += [("block", name, BLOCKED_AS[name]) for name in _changed(profile.block) if name in BLOCKED_AS]
    about += [("parse", name, names) for name, names in _parsed(profile.parse)]
    for key, name, names in about:
        if not {*names} & {*protocols}:
            found = f"`{name}` with `protocols: {', '.join(protocols)}`"
            raise Expected("only keys about a protocol that the box recognises", found=found, key=key)


def _parsed(parse: Tolerance) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name in _changed(parse):
        for beginning, names in _PARSED.items():
            if name.startswith(beginning):
                yield name, names
