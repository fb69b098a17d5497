"""A topology as a drawing: subscribers on the left, the world abroad on the right, operators as bands. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape as html_escape

from shutdownlab.config.wording import on_one_line
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.topology import Access, SubscriberClass

_ROW, _MARGIN, _HEAD, _BOX_HEIGHT = 26, 24, 70, 20
_COLUMNS = {  # role: (left edge, width)
    Role.SUBSCRIBER: (130, 178),
    Role.ACCESS_SWITCH: (350, 120),
    Role.BORDER: (520, 110),
    Role.DPI_SWITCH: (680, 90),
    Role.DPI_BOX: (680, 90),
    Role.GATEWAY_SWITCH: (840, 130),
    Role.EXCHANGE_SWITCH: (840, 130),
    Role.ROUTE_SERVER: (840, 130),
    Role.TRANSIT: (1030, 140),
    Role.SERVERS: (1220, 210),
}
_WIDTH = 1454
_HEADINGS = {
    Role.SUBSCRIBER: "subscribers",
    Role.ACCESS_SWITCH: "access switches",
    Role.BORDER: "border routers",
    Role.DPI_SWITCH: "DPI",
    Role.GATEWAY_SWITCH: "gateway, exchange",
    Role.TRANSIT: "transit",
    Role.SERVERS: "abroad",
}
_FILL = {
    Role.ACCESS_SWITCH: "#dbe7f5", Role.DPI_SWITCH: "#f6dcc4", Role.DPI_BOX: "#f0b98d", Role.GATEWAY_SWITCH: "#f2c4c4",
    Role.BORDER: "#d5ecd4", Role.TRANSIT: "#d5ecd4", Role.ROUTE_SERVER: "#d5ecd4", Role.EXCHANGE_SWITCH: "#dbe7f5",
}  # fmt: skip
_LEGEND = "dashed: mobile access · yellow: government · violet: data centre"
_LINE = {Access.FIXED: "", Access.MOBILE: "5 3"}
_CLASS = {SubscriberClass.GOVERNMENT: "#fbe7a8", SubscriberClass.DATACENTRE: "#d9d2ec"}


@dataclass(frozen=True, slots=True)
class _Box:
    node: Node
    x: float
    y: float
    width: float
    label: str

    @property
    def middle(self) -> float:
        return self.y + _BOX_HEIGHT / 2


def draw(network: Network) -> str:
    """The drawing as an SVG document. Dashed: mobile access; yellow: government; violet: data centres."""
    bands, height = _bands(network)
    boxes = {box.node.name: box for box in _place(network, bands, height)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="11" fill="#222">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{_MARGIN}" y="28" font-size="17" font-weight="bold">{_escaped(network.topology.title)}</text>',
        f'<text x="{_WIDTH - _MARGIN}" y="28" text-anchor="end" fill="#666">{_LEGEND}</text>',
    ]
    for role, heading in _HEADINGS.items():
        left, width = _COLUMNS[role]
        parts.append(f'<text x="{left + width / 2}" y="56" text-anchor="middle" fill="#666">{_escaped(heading)}</text>')
    for owner, (top, rows) in bands.items():
        operator = network.topology.operators[owner]
        title = _escaped(operator.title.split(" (")[0])
        parts.append(f'<rect x="8" y="{top}" width="784" height="{rows * _ROW}" rx="6" fill="#f6f7f8"/>')
        parts.append(
            f'<text x="{_MARGIN - 8}" y="{top + 20}" font-weight="bold">{title}</text>'
            f'<text x="{_MARGIN - 8}" y="{top + 36}" fill="#666">AS{operator.asn}</text>'
        )
    parts += _lines(network, boxes)
    parts += [_drawn(box) for box in boxes.values()]
    return "\n".join([*parts, "</svg>\n"])


def _bands(network: Network) -> tuple[dict[str, tuple[float, int]], float]:
    """The top and the rows of each operator's band, and the drawing's height."""
    bands: dict[str, tuple[float, int]] = {}
    top: float = _HEAD
    for owner in network.topology.operators:
        rows = max(4, sum(node.owner == owner for node in network.by_role(Role.SUBSCRIBER)))
        bands[owner] = (top, rows)
        top += rows * _ROW + 12
    return bands, top + _MARGIN


def _place(network: Network, bands: dict[str, tuple[float, int]], height: float) -> Iterator[_Box]:
    def box(node: Node, y: float, label: str) -> _Box:
        left, width = _COLUMNS[node.role]
        return _Box(node, left, y, width, label)

    for owner, (top, rows) in bands.items():
        mine = [node for node in network.nodes.values() if node.owner == owner]
        below: dict[str, list[float]] = defaultdict(list)
        for row, node in enumerate(n for n in mine if n.role is Role.SUBSCRIBER):
            y = top + row * _ROW + 3
            vantage = node.vantage
            assert vantage is not None
            region = network.topology.regions[vantage.id.region].title
            yield box(node, y, region if vantage.id.group == "ordinary" else f"{region}, {vantage.id.group}")
            below[next(iter(node.ports.values())).peer.node].append(y)
        for node in mine:
            if node.role is Role.ACCESS_SWITCH:
                yield box(node, sum(below[node.name]) / len(below[node.name]), "access")
        middle = top + rows * _ROW / 2 - _BOX_HEIGHT / 2
        for role, offset, label in (
            (Role.BORDER, 0, "border, bird"),
            (Role.DPI_SWITCH, -_ROW / 2, "DPI switch"),
            (Role.DPI_BOX, _ROW / 2, "DPI box"),
        ):
            yield box(network.one(role, owner), middle + offset, label)
    centre = (_HEAD + height - _MARGIN) / 2
    yield box(network.one(Role.GATEWAY_SWITCH, "gateway"), centre - 3 * _ROW, _short(network.topology.gateway.title))
    yield box(network.one(Role.EXCHANGE_SWITCH, "exchange"), centre + 2 * _ROW, _short(network.topology.exchange.title))
    yield box(network.one(Role.ROUTE_SERVER, "exchange"), centre + 4 * _ROW, "route server")
    transits = list(network.by_role(Role.TRANSIT))
    for index, node in enumerate(transits):
        y = centre + (index - (len(transits) - 1) / 2) * 4 * _ROW - 3 * _ROW
        yield box(node, y, f"{node.title} AS{network.topology.transits[node.owner].asn}")
        serves = network.topology.transits[node.owner].serves
        apps = (item if isinstance(item, str) else item.name for item in serves)
        yield box(network.one(Role.SERVERS, node.owner), y, _short(", ".join(apps), 32))


def _lines(network: Network, boxes: dict[str, _Box]) -> Iterator[str]:
    for link in network.links:
        a, b = boxes.get(link.a.node), boxes.get(link.b.node)
        if a is None or b is None:
            continue
        left, right = sorted((a, b), key=lambda box: box.x)
        vantage = left.node.vantage
        dashes = f' stroke-dasharray="{_LINE[vantage.access]}"' if vantage and _LINE[vantage.access] else ""
        start = (left.x + left.width, left.middle)
        end = (right.x, right.middle)
        if left.x == right.x:
            start, end = (left.x + left.width / 2, left.y), (right.x + right.width / 2, right.y + _BOX_HEIGHT)
        bend = (start[0] + end[0]) / 2
        yield (
            f'<path d="M{start[0]:.1f} {start[1]:.1f} C{bend:.1f} {start[1]:.1f} {bend:.1f} {end[1]:.1f} '
            f'{end[0]:.1f} {end[1]:.1f}" fill="none" stroke="#8a949e"{dashes}/>'
        )


def _drawn(box: _Box) -> str:
    vantage = box.node.vantage
    fill = _CLASS.get(vantage.class_, "#fff") if vantage else _FILL.get(box.node.role, "#fff")
    return (
        f'<g><title>{_escaped(box.node.title)}</title><rect x="{box.x}" y="{box.y:.1f}" width="{box.width}" '
        f'height="{_BOX_HEIGHT}" rx="3" fill="{fill}" stroke="#5b6670"/>'
        f'<text x="{box.x + box.width / 2}" y="{box.y + 14:.1f}" text-anchor="middle">{_escaped(box.label)}</text></g>'
    )


def _short(text: str, most: int = 24) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip(", ") + "…"


def _escaped(text: str) -> str:
    """As XML takes it, in which most control characters have no place."""
    return html_escape(on_one_line(text))
