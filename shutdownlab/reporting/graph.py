"""Draws a topology as an SVG document, for a slide or a page. Pure.

Each operator is a lane, from its subscribers on the left to its border router and DPI switch on the right; there the
exchange and the national gateway cross all lanes, and beyond the gateway is the world abroad. Arrows lead from buyers
of transit to sellers. For a phase, the drawing also shows what is cut, withdrawn, null-routed, hijacked and leaked. Its
colours follow the viewer's preference for light or dark. `data-node` and `data-vantage` identify elements for scripts.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shutdownlab.model.cables import ends_of
from shutdownlab.model.faults import NO_DAMAGE, Damage
from shutdownlab.model.network import PLAIN, Network, Node, Role
from shutdownlab.model.topology import Access, Operator, SubscriberClass, Transit
from shutdownlab.reporting import svg
from shutdownlab.reporting.rerouted import changes_of

WIDTH: Final = 1000
"""The drawing's width in units. Text is 11 units high, so that it is legible at one pixel per unit."""
_MARGIN, _ROW, _LINE, _PAD = 14, 19, 14, 10
_LANE_RIGHT: Final = 694
_SUBSCRIBERS, _ACCESS, _BORDER, _DPI = (22, 296), (330, 122), (464, 112), (588, 96)
"""The left edges and widths of the columns in a lane."""
_EXCHANGE, _GATEWAY, _ABROAD = (756, 20), (790, 20), (840, 148)
_KINDS: Final = {SubscriberClass.GOVERNMENT: "government", SubscriberClass.DATACENTRE: "datacentre"}


_MOBILE: Final = ' stroke-dasharray="4 3"'
_SKY: Final = svg.stroke("sky", ' stroke-width="1.8" stroke-dasharray="1 3" stroke-linecap="round"')
_GONE: Final = svg.stroke("gone", ' stroke-width="1.8" stroke-dasharray="2 4"')
_BUYS: Final = svg.stroke("buys", ' stroke-width="1.8"')
_ROAMING: Final = svg.stroke("buys", ' stroke-dasharray="4 3"')
_LINES: Final = {Access.MOBILE: svg.stroke("link", _MOBILE), Access.SATELLITE: _SKY, Access.ROAMING: _ROAMING}


@dataclass(frozen=True, slots=True)
class _Sign:
    """An entry of the legend. x: its left edge. y: its baseline. sample: what it explains, as SVG; "" if nothing."""

    x: float
    y: int
    sample: str
    label: str


@dataclass(slots=True)
class _Lane:
    """An operator's lane. rows: subscribers, each with its row's top. notes, changes: lines of text with baselines."""

    name: str
    operator: Operator
    top: float
    rows: list[tuple[Node, float]] = field(default_factory=list)
    notes: list[tuple[str, float]] = field(default_factory=list)
    changes: list[tuple[str, float]] = field(default_factory=list)
    bottom: float = 0.0

    @property
    def middle(self) -> float:
        """The y coordinate of its border router."""
        return max(self.top + 66, (self.rows[0][1] + self.rows[-1][1] + _ROW) / 2)


def draw(network: Network, damage: Damage = NO_DAMAGE, when: str = "") -> str:
    """Returns the drawing. when: a text naming the time shown, or ""; damage: what is broken then, and how routes have
    changed."""
    lanes: list[_Lane] = []
    abroad: dict[str, tuple[float, float]] = {}
    gateways: dict[str, tuple[float, float]] = {}
    legend = list(_legend(network, changed=bool(when or damage)))
    top = bottom = legend[-1].y + 39.0
    for gateway in network.topology.all_gateways:  # each gateway beside its operators and transits
        lanes += _lanes(network, damage, gateway, top)
        abroad |= _abroad(network, gateway, top)
        bottom = max(*(lane.bottom for lane in lanes), *(end for _, end in abroad.values()))
        gateways[gateway] = top, bottom
        top = bottom + 10
    parts = list(_frame(network, legend, bottom + 2 * _MARGIN, when))
    for lane in lanes:
        parts += _lane(network, damage, lane)
    parts += _trade(lanes, {name: top for name, (top, _) in abroad.items()})
    parts += _bars(network, gateways)
    parts += _skyways(network, lanes, abroad)
    for name, (top, end) in abroad.items():
        parts += _transit(network, damage, name, top, end)
    return "\n".join([*parts, "</svg>\n"])


def _frame(network: Network, legend: Sequence[_Sign], height: float, when: str) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="Helvetica, Arial, Liberation Sans, sans-serif" font-size="11">'
    )
    yield f"<style>@media (prefers-color-scheme: dark) {{ {svg.DARK}}}</style>"
    yield (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 L8 4 L0 8 z" {svg.fill("buys")}/></marker></defs>'
    )
    yield f'<rect width="{WIDTH}" height="{height:.0f}" {svg.fill("page")}/>'
    room = WIDTH - 2 * _MARGIN
    yield svg.text(_MARGIN, 30, network.topology.title, size=18, bold=True, room=room * (0.62 if when else 1))
    if when:
        yield svg.text(WIDTH - _MARGIN, 30, when, anchor="end", room=room * 0.36)
    for sign in legend:
        yield sign.sample
        yield svg.text(sign.x + 25 if sign.sample else sign.x, sign.y, sign.label, "soft")
    for (left, width), heading in (
        (_SUBSCRIBERS, "subscribers"),
        (_ACCESS, "access switches"),
        (_BORDER, "border router"),
        (_DPI, "DPI switch, box"),
        (_ABROAD, "abroad"),
    ):
        yield svg.text(left + width / 2, legend[-1].y + 29, heading, "soft", anchor="middle")


def _legend(network: Network, *, changed: bool) -> Iterator[_Sign]:
    """Yields what colours and lines mean, in as many rows as it takes. changed: whether anything may be cut."""
    x: float = _MARGIN
    y = 53
    own = [name for name, each in network.topology.classes.items() if each.is_ is SubscriberClass.ORDINARY]
    swatch = f'<rect x="{{x}}" y="{{top}}" width="16" height="11" rx="2" {{look}} {svg.EDGE}/>'
    line = '<path d="M{x} {middle} h20" {look}/>'
    for sample, look, label in (
        (swatch, svg.fill("government"), "government"),
        (swatch, svg.fill("datacentre"), "data centre"),
        (swatch, svg.fill("own"), svg.fitted(", ".join(own), 40)),
        (line, svg.stroke("link"), f"fixed access{_like(network, 'fixed')}"),
        (line, svg.stroke("link", _MOBILE), f"mobile access{_like(network, 'mobile')}"),
        (
            line,
            _SKY,
            f"satellite, past the gateway{_like(network, 'satellite')}" if network.topology.by_satellite else "",
        ),
        (line, _ROAMING, f"roaming, by a tunnel home{_like(network, 'roaming')}" if network.topology.homes else ""),
        (line, f'{_BUYS} marker-end="url(#arrow)"', "buys transit from"),
        (line, _GONE, "cut" if changed else ""),
        ("", "", f"links abroad{_like(network, 'transit')}" if _like(network, "transit") else ""),
    ):
        if not label:
            continue
        width = (25 if sample else 0) + 6.2 * len(label)
        if x > _MARGIN and x + width > WIDTH - _MARGIN:
            x, y = _MARGIN, y + _LINE
        yield _Sign(x, y, sample.format(x=x, top=y - 10, middle=y - 4.5, look=look), label)
        x += width + 17


def _like(network: Network, kind: str) -> str:
    """Returns the number of routers on each link of a class, if any, and its MTU, if smaller than Ethernet's."""
    link = next((link for name, link in network.topology.links.items() if name == kind), PLAIN)
    count = f" · {link.hops} router{'s' if link.hops > 1 else ''}" if link.hops else ""
    return count + (f" · MTU {link.mtu:,}" if link.mtu < PLAIN.mtu else "")


def _narrow_cables(network: Network, owner: str) -> list[str]:
    """Returns the MTUs of a network's cables that are smaller than Ethernet's. A cable is listed at its first end."""
    found = []
    for name, cable in network.topology.cables.items():
        one, other = ends_of(name, network.topology)
        if one == owner and cable.mtu < PLAIN.mtu:
            found.append(f"MTU {cable.mtu:,} to {other}")
    return found


def _lanes(network: Network, damage: Damage, gateway: str, top: float) -> Iterator[_Lane]:
    """Yields the lanes of the operators at a gateway, from `top` down."""
    for name, operator in network.topology.operators.items():
        if operator.gateway != gateway:
            continue
        lane = _Lane(name, operator, top)
        y = top + 40
        for node in network.by_role(Role.SUBSCRIBER, name):
            lane.rows.append((node, y))
            y += _ROW
            if node.vantage is not None and node.vantage.shared is not None:
                alone = "IPv6 alone; " if node.vantage.nat64 is not None else ""
                lane.notes.append((f"{alone}beyond the border router: {node.vantage.shared}", y + 9))
                y += _LINE
            elif node.vantage is not None and node.vantage.versions == (4,):
                lane.notes.append(("IPv4 alone", y + 9))
                y += _LINE
            for line in _wrapped("tunnel to ", _home(node), 50):
                lane.notes.append((line, y + 9))
                y += _LINE
            for line in _wrapped("serves ", _served(network, node), 50):
                lane.notes.append((line, y + 9))
                y += _LINE
        for line in _wrapped("cables: ", _narrow_cables(network, name), 50):
            lane.notes.append((line, y + 9))
            y += _LINE
        for text in changes_of(network, damage, name):
            for line in textwrap.wrap(text, 104, break_on_hyphens=False):
                y = max(y, lane.middle + 34)
                lane.changes.append((line, y + 9))
                y += _LINE
        lane.bottom = max(y + 6, lane.middle + 38)
        yield lane
        top = lane.bottom + 10


def _served(network: Network, node: Node) -> list[str]:
    """Returns what a node hosts: apps by name, the user's programs by title."""
    found = [hosted.app for hosted in network.hosted if hosted.node == node.name]
    found += [f"{hosted.app} (anycast)" for hosted in network.instances if hosted.node == node.name]
    return list(dict.fromkeys(found))


def _home(node: Node) -> list[str]:
    """Returns the home network of roaming subscribers, with the address at which their tunnel ends; else nothing."""
    vantage = node.vantage
    return [f"{vantage.home} ({vantage.bearers[0].end})"] if vantage is not None and vantage.bearers else []


def _wrapped(first: str, names: Sequence[str], width: int) -> list[str]:
    """Wraps names into lines of at most `width` characters; only names longer than a line are broken."""
    return textwrap.wrap(first + ", ".join(names), width, break_on_hyphens=False) if names else []


def _lane(network: Network, damage: Damage, lane: _Lane) -> Iterator[str]:
    left, right, operator = _MARGIN, _LANE_RIGHT, lane.operator
    height = lane.bottom - lane.top
    size = f'width="{right - left}" height="{height:.1f}"'
    yield f'<rect x="{left}" y="{lane.top:.1f}" {size} rx="7" {svg.fill("lane")}/>'
    room = right - left - 20
    yield svg.text(left + 10, lane.top + 17, operator.title, size=13, bold=True, room=room * 0.5)
    million = f"{operator.subscribers:g} million subscribers"
    facts = f"AS{operator.asn} · {million} · {', '.join(map(str, operator.prefixes))}"
    yield svg.text(left + 10, lane.top + 32, facts, "soft", room=room)
    buys = f"buys transit from {', '.join(_title(network, carrier) for carrier in operator.transit)}"
    yield svg.text(right - 10, lane.top + 17, buys, "soft", anchor="end", room=room * 0.48)

    rows: dict[str, list[float]] = {}
    for node, y in lane.rows:
        rows.setdefault(_switch_of(node), []).append(y + _ROW / 2 - 1)
    switches = {switch: sum(places) / len(places) for switch, places in rows.items()}
    heart, nodes = lane.middle, network.nodes
    border = network.one(Role.BORDER, lane.name)
    for node, y in lane.rows:
        access = node.vantage.access if node.vantage is not None else Access.FIXED
        look = _GONE if damage.breaks(node, nodes[_switch_of(node)]) else _LINES.get(access, "")
        yield svg.curve(
            _SUBSCRIBERS[0] + _SUBSCRIBERS[1], y + _ROW / 2 - 1, _ACCESS[0], switches[_switch_of(node)], look
        )
    for switch, y in switches.items():
        look = _GONE if damage.breaks(nodes[switch], border) else ""
        yield svg.curve(_ACCESS[0] + _ACCESS[1], y, _BORDER[0], heart, look)
    yield svg.curve(_BORDER[0] + _BORDER[1], heart, _DPI[0], heart - 14)
    yield f'<path d="M{_DPI[0] + _DPI[1] / 2 - 8} {heart - 2:.1f} v9 m16 0 v-9" {svg.stroke("link")}/>'
    if lane.name not in network.topology.by_satellite:
        abroad = _GONE if damage.is_off(network, lane.name, "gateway") else svg.stroke("link")
        yield f'<path d="M{_DPI[0] + _DPI[1]} {heart - 14:.1f} H{_GATEWAY[0]}" {abroad}/>'
    if operator.exchange:
        tie = "gone" if damage.is_off(network, lane.name, "exchange") else "edge"
        yield f'<circle cx="{_EXCHANGE[0] - 3}" cy="{heart - 14:.1f}" r="3.5" {svg.fill(tie)}/>'
    for switch, y in switches.items():
        yield svg.box(_ACCESS, y - 8, 16, [svg.within(switch, lane.name, _ACCESS[1] - 6)], "switch", switch, switch)
    dpi, box = network.one(Role.DPI_SWITCH, lane.name), network.one(Role.DPI_BOX, lane.name)
    addresses = [str(address.ip) for address in border.port_for("intl").addresses]
    yield svg.box(
        _BORDER,
        heart - 20,
        40,
        [svg.within(border.name, lane.name, _BORDER[1] - 6), *addresses[:2]],
        "router",
        border.title,
        border.name,
    )
    yield svg.box(_DPI, heart - 26, 24, [svg.within(dpi.name, lane.name, _DPI[1] - 6)], "box", dpi.title, dpi.name)
    yield svg.box(_DPI, heart + 7, 24, [svg.within(box.name, lane.name, _DPI[1] - 6)], "dpi", box.title, box.name)
    for node, y in lane.rows:
        yield _subscriber(node, y)
    for line, y in lane.notes:
        yield svg.text(_SUBSCRIBERS[0] + 8, y, line, "soft", room=_SUBSCRIBERS[1])
    for line, y in lane.changes:
        yield svg.text(_SUBSCRIBERS[0] + 8, y, line, "gone", room=right - _SUBSCRIBERS[0] - 18)


def _switch_of(node: Node) -> str:
    """Returns the name of the access switch to which subscribers are connected."""
    return next(iter(node.ports.values())).peer.node


def _subscriber(node: Node, y: float) -> str:
    vantage = node.vantage
    assert vantage is not None
    (left, width), address = _SUBSCRIBERS, str(node.address(4))
    room, colour = (
        width - 16 - svg.MONO * len(address),
        "own" if vantage.is_ordinary and vantage.class_ != vantage.kind else _KINDS.get(vantage.kind, "box"),
    )
    return (
        f'<g data-vantage="{svg.escaped(str(vantage.id))}"><title>{svg.escaped(node.title)}</title>'
        f'<rect x="{left}" y="{y:.1f}" width="{width}" height="{_ROW - 3}" rx="3" {svg.fill(colour)} {svg.EDGE}/>'
        f"{svg.node_name(left + 5, y + 12, node.name, room)}"
        f"{svg.node_name(left + width - 5, y + 12, address, width, 'end')}</g>"
    )


def _bars(network: Network, gateways: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    """Yields the exchange and the gateways, which cross the lanes: links abroad pass below the exchange, and through
    the gateways.

    gateways: the top and bottom of each.
    """
    topology, places = network.topology, gateways.values()
    whole = min(top for top, _ in places), max(bottom for _, bottom in places)
    bars = [(_EXCHANGE, whole, "switch", "exchange", f"{topology.exchange.title} · AS{topology.exchange.asn}")]
    for name, place in gateways.items():
        switch = network.one(Role.GATEWAY_SWITCH, name).name
        bars.append((_GATEWAY, place, "gate", switch, topology.all_gateways[name].title))
    for (left, width), (top, bottom), colour, node, title in bars:
        middle, centre, room = left + width / 2 + 4, (top + bottom) / 2, bottom - top - 8
        turned = f' transform="rotate(-90 {middle} {centre:.1f})"'
        whole_name = f"{node} · {title}"
        label = next((text for text in (whole_name, title) if svg.width_of(text) <= room * svg.SQUEEZED), node)
        yield (
            f'<g data-node="{node}"><title>{svg.escaped(whole_name)}</title><rect x="{left}" y="{top:.1f}" '
            f'width="{width}" height="{bottom - top:.1f}" rx="4" '
            f"{svg.fill(colour)} {svg.EDGE}/>"
            f"{svg.text(middle, centre, label, anchor='middle', more=turned, room=room)}</g>"
        )


def _abroad(network: Network, gateway: str, top: float) -> dict[str, tuple[float, float]]:
    """Returns the top and bottom of the box of each transit at a gateway, from `top` down."""
    found: dict[str, tuple[float, float]] = {}
    for name, transit in network.topology.transits.items():
        if transit.gateway != gateway:
            continue
        bottom = top + 62 + _LINE * len([*_narrow_cables(network, name), *_apps_of(network, name)]) + _PAD
        found[name] = (top, bottom)
        top = bottom + 16
    return found


def _apps_of(network: Network, transit: str) -> list[str]:
    return _wrapped("", _served(network, network.one(Role.SERVERS, transit)), 22)


def _transit(network: Network, damage: Damage, name: str, top: float, bottom: float) -> Iterator[str]:
    transit = network.topology.transits[name]
    router, servers = network.one(Role.TRANSIT, name), network.one(Role.SERVERS, name)
    (left, width), room = _ABROAD, _ABROAD[1] - 14
    line = _GONE if damage.is_off(network, name, "gateway") else svg.stroke("link")
    yield f'<path d="M{_GATEWAY[0] + _GATEWAY[1]} {top + 8:.1f} H{left}" {line}/>'
    yield (
        f'<g><title>{svg.escaped(router.title)}</title><rect x="{left}" y="{top:.1f}" width="{width}" '
        f'height="{bottom - top:.1f}" rx="5" {svg.fill("router")} {svg.EDGE}/>'
    )
    yield svg.text(left + 8, top + 17, transit.title, size=13, bold=True, room=room)
    facts = f"AS{transit.asn} · {router.port_for('gateway').addresses[0].ip}"
    yield svg.text(left + 8, top + 32, facts, "soft", room=room)
    yield svg.node_name(left + 8, top + 46, router.name, room)
    yield svg.node_name(left + 8, top + 59, servers.name, room)
    for row, line in enumerate([*_narrow_cables(network, name), *_apps_of(network, name)]):
        yield svg.text(left + 8, top + 75 + row * _LINE, line, room=room)
    yield "</g>"


def _trade(lanes: Sequence[_Lane], abroad: dict[str, float]) -> Iterator[str]:
    """Yields an arrow from each operator to each carrier it buys transit from: to operators beside the lanes, to
    transits abroad beyond the gateway."""
    place = {lane.name: lane for lane in lanes}
    bought = [(lane, carrier) for lane in lanes for carrier in lane.operator.transit]
    customers = Counter(carrier for _, carrier in bought)
    arrived: Counter[str] = Counter()
    for index, (lane, carrier) in enumerate(bought):
        arrived[carrier] += 1
        start = lane.top + 22 + 5 * list(lane.operator.transit).index(carrier)
        if carrier in place:
            seller = place[carrier]
            step = min(6.0, (seller.bottom - seller.top - 56) / customers[carrier])
            turn, end, target = (
                _LANE_RIGHT + 10 + (index % 9) * 5,
                seller.top + 44 + step * arrived[carrier],
                _LANE_RIGHT + 2,
            )
        else:
            step = min(6.0, 40 / customers[carrier])
            turn = _GATEWAY[0] + _GATEWAY[1] + 6 + (index % 5) * 4
            end, target = abroad[carrier] + 14 + step * arrived[carrier], _ABROAD[0] - 1
        yield f'<path d="M{_LANE_RIGHT} {start:.1f} H{turn} V{end:.1f} H{target}" {_BUYS} marker-end="url(#arrow)"/>'


def _skyways(network: Network, lanes: Sequence[_Lane], abroad: dict[str, tuple[float, float]]) -> Iterator[str]:
    """Yields the satellite links, from operators to their ground stations: across the bars, which packets bypass."""
    for lane in lanes:
        if lane.name in network.topology.by_satellite:
            start, (top, bottom) = lane.middle - 14, abroad[lane.operator.transit[0]]
            end, bend = bottom - 8, _ABROAD[0] - 8
            way = f"M{_DPI[0] + _DPI[1]} {start:.1f} H{bend} L{_ABROAD[0]} {min(max(start, top + 8), end):.1f}"
            if not top < start < end:
                way = f"M{_DPI[0] + _DPI[1]} {start:.1f} H{bend} V{end:.1f} H{_ABROAD[0]}"
            yield f'<path d="{way}" {_SKY}/>'


def _title(network: Network, carrier: str) -> str:
    known: dict[str, Operator | Transit] = {**network.topology.operators, **network.topology.transits}
    return known[carrier].title.split(" (")[0]
