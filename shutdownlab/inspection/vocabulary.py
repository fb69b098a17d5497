"""Finds every unknown name (app, protocol, profile, class, AS) in the rules of a file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib.resources import files
from typing import Any, Final

from shutdownlab.config.document import Document, Path, one_of, quoted
from shutdownlab.inspection.catalogue import shipped_apps
from shutdownlab.inspection.recognition import installed_recognisers


def profile_names() -> tuple[str, ...]:
    """Returns the names of the profiles that ship, sorted."""
    folder = files("shutdownlab.inspection") / "profiles"
    return tuple(sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")))


CALLED: Final = {
    **dict.fromkeys(("https", "ssl", "sni", "tls1.2", "tls1.3"), "tls"),
    **dict.fromkeys(("http3", "http/3", "h3", "gquic"), "quic"),
    **dict.fromkeys(("h2", "h2c", "http/2"), "http2"),
    **dict.fromkeys(("ikev1", "ikev2", "isakmp"), "ike"),
    "ipsec": "esp",
    "torrent": "bittorrent",
    "webrtc": "stun",
    "turn": "stun",
    "wg": "wireguard",
    "pptp": "gre",
    "icmpv6": "icmp6",
    "shadowsocks": "fet",
    "socks5": "socks",
}
"""Protocols by the names that others give them; the nearest name in letters would mislead."""


_OWN_APP: Final = "one of your own: `apps:` of the scenario, `inspect --apps`, or its file checked with this one"


def check_rules(
    document: Document,
    path: Path,
    apps: Collection[str] | None = None,
    classes: Collection[str] | None = None,
    asns: Collection[int] = (),
) -> None:
    """Reports each unknown app, protocol, subscriber class and AS in the rules at `path`, and duplicate rule names.

    `apps` None: those of the catalogue that ships; `classes` None: not checked. Works on the raw data, so that it finds
    them alongside mistakes of other kinds, which the models report.
    """
    first: dict[str, int] = {}
    for index, rule in _items(_at(document.data, path)):
        if not isinstance(rule, dict):
            continue
        place = (*path, index)
        name = rule.get("name")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            hint = f"first: line {document.line((*path, first[name], 'name'))}"
            document.report((*place, "name"), f"the rule name {quoted(name)} twice", "each name once", hint)
        when = rule.get("when")
        if isinstance(when, dict):
            _check_conditions(document, (*place, "when"), when, apps, classes, asns)
            if isinstance(when.get("not"), dict):
                _check_conditions(document, (*place, "when", "not"), when["not"], apps, classes, asns)


def _check_conditions(
    document: Document,
    path: Path,
    when: dict[str, Any],
    apps: Collection[str] | None,
    classes: Collection[str] | None,
    asns: Collection[int],
) -> None:
    if apps is None and "app" in when:
        apps = shipped_apps().apps
    protocols = installed_recognisers().protocols if {"protocol", "protocol_except"} & set(when) else ()
    for key, kind, known in (
        ("app", "app", apps),
        ("protocol", "protocol", protocols),
        ("protocol_except", "protocol", protocols),
        ("subscriber_class", "subscriber class", classes),
    ):
        for place, name in _values(when.get(key), (*path, key)):
            if known is not None and name not in known:
                called = CALLED.get(name.lower(), "") if kind == "protocol" else ""
                hint = f"here that is '{called}'" if called else ""
                if kind == "app" and len(known) == len(shipped_apps().apps):
                    hint = document.near(name, known) or _OWN_APP
                document.report_unknown(place, kind, name, known, hint)
    asn = when.get("asn")
    for index, number in enumerate(asn if isinstance(asn, list) else [asn]):
        if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 0xFFFFFFFF and number not in asns:
            place = (*path, "asn", index) if isinstance(asn, list) else (*path, "asn")
            expected = one_of([str(known) for known in sorted(asns)]) if asns else "one that is known here"
            hint = "a rule can name the systems of its scenario's topology, or of its file's `asns`"
            document.report(place, f"unknown autonomous system {number}", expected, hint)


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _items(value: Any) -> Iterator[tuple[int, Any]]:
    return enumerate(value) if isinstance(value, list) else iter(())


def _values(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yields the path and text of each string in a value that may be one string or a list."""
    if isinstance(value, str):
        yield path, value
    for index, item in _items(value):
        if isinstance(item, str):
            yield (*path, index), item
