"""The timeline of services, signals and orders: an SVG drawing coloured by the page's style. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shutdownlab.reporting.page.account import PhaseSpan, RunAccount
from shutdownlab.reporting.page.axis import Axis
from shutdownlab.reporting.page.markup import Html, element
from shutdownlab.reporting.page.orders import Order
from shutdownlab.reporting.page.watched import WatchedSignal
from shutdownlab.reporting.page.words import lasting, listed
from shutdownlab.results.table import percent

WIDTH: Final = 1000
_LEFT: Final = 196
_RIGHT: Final = WIDTH - 8
_LETTER: Final = 8
"""The maximum width of a character of a date."""
_AXIS, _SERVICE, _ORDER, _GAP = 34, 25, 19, 18
_LABEL = 27
"""The maximum length of a label, in characters."""


def timeline(account: RunAccount, orders: tuple[Order, ...]) -> Html:
    """Returns the drawing; empty if no phase was measured."""
    if not account.spans:
        return Html("")
    axis = Axis(account.spans, _LEFT, _RIGHT)
    columns = [*account.services, *account.outside]
    service_top = _AXIS + 4
    signal_top = service_top + _SERVICE * len(columns) + (_GAP if account.watched else 0)
    order_top = signal_top + _SERVICE * len(account.watched) + (_GAP if orders else 0)
    height = order_top + _ORDER * len(orders) + 6
    parts = list(_frame(axis, height))
    for row, column in enumerate(columns):
        parts += _service(account, axis, column, service_top + row * _SERVICE)
    for row, signal in enumerate(account.watched):
        parts += _signal(axis, signal, signal_top + row * _SERVICE)
    for row, order in enumerate(orders):
        parts += _order(axis, order, order_top + row * _ORDER)
    names = [_label(column, service_top + row * _SERVICE + 16) for row, column in enumerate(columns)]
    names += [_label(each.label, signal_top + row * _SERVICE + 15) for row, each in enumerate(account.watched)]
    names += [_label(_called(each), order_top + row * _ORDER + 12) for row, each in enumerate(orders)]
    parts.append(_rect(*axis.of(account.worst), _AXIS - 12, height - _AXIS + 12, "pg-cursor", id_="pg-cursor"))
    # When the drawing is scrolled, on a phone, the script keeps the names in view.
    parts.append(element("g", _rect(0, _LEFT - 4, 0, height, "pg-behind"), names, id_="pg-names"))
    parts += [
        element(
            "rect", element("title", _read(account, span)), x=_figure(axis.of(place)[0]), y=0, height=height,
            width=_figure(axis.of(place)[1]), class_="pg-hit", data_phase=place,
        )
        for place, span in enumerate(account.spans)
    ]  # fmt: skip
    alerts = ", with their alerts" if any(signal.alerts for signal in account.watched) else ""
    outside = f"outside signals, as shares of a quiet day{alerts}; and " if account.watched else ""
    about = (
        f"{len(account.spans)} phases from {account.short(axis.begin)} to {account.short(axis.end)} UTC. "
        f"Rows: {listed(columns)}, each as high as the share of subscribers who got through; below them {outside}the "
        "orders that were in force, and what was broken. The table after it has the figures."
    )
    return element(
        "svg", element("title", "Timeline"), element("desc", about), parts, viewBox=f"0 0 {WIDTH} {height}",
        class_="pg-timeline", role="img", id_="pg-timeline", aria_label=f"Timeline. {about}",
    )  # fmt: skip


def _read(account: RunAccount, span: PhaseSpan) -> str:
    long = f", {lasting(span.hours)}" if span.until else ""
    return f"{span.name}: {span.title or span.name}, from {account.short(span.at)} UTC{long}"


def _frame(axis: Axis, height: int) -> Iterator[Html]:
    for place in range(len(axis.spans)):
        left, width = axis.of(place)
        yield _rect(left, width, _AXIS - 12, height - _AXIS + 12, "pg-phase-odd" if place % 2 else "pg-phase-even")
    free = float(_LEFT)
    for x, label in axis.marks():
        yield element("path", d=f"M{x:.1f} {_AXIS - 16}V{height}", class_="pg-mark")
        wide = _LETTER * len(label)
        if x + wide < WIDTH:
            yield element("text", label, x=_figure(x + 3), y=_AXIS - 18, class_="pg-soft")
            free = x + wide
        elif x - wide > free:  # there is no room to the right
            yield element("text", label, x=_figure(x - 3), y=_AXIS - 18, class_="pg-soft", text_anchor="end")


def _service(account: RunAccount, axis: Axis, column: str, top: float) -> Iterator[Html]:
    """Yields a service's row: for each phase a bar of those who got through, below those who did not. Those who got
    through slowly are the upper part of the former."""
    full = _SERVICE - 5
    for place, span in enumerate(account.spans):
        share = account.table[span.name, column]
        left, width = axis.of(place)
        if share.fraction is None:
            yield element("path", d=f"M{left:.1f} {top + full:.1f}h{width:.1f}", class_="pg-unmeasured")
            continue
        slow = share.slow / share.measured if share.measured else 0.0
        reached, lost = full * share.fraction, full * (1 - share.fraction)
        if lost:
            yield _rect(left, width, top, lost, "pg-lost")
        if reached:
            yield _rect(left, width, top + lost, reached, "pg-reached")
        if slow:
            yield _rect(left, width, top + lost, full * slow, "pg-slow")
        if width > 34:
            shown = percent(share.fraction)
            mixed = slow or 0 < share.fraction < 1
            yield element(
                "text", shown, x=_figure(left + width / 2), y=_figure(top + 14), text_anchor="middle",
                class_="pg-on-both" if mixed else "pg-on-reached" if share.fraction else "pg-on-lost",
            )  # fmt: skip


def _signal(axis: Axis, signal: WatchedSignal, top: float) -> Iterator[Html]:
    """Yields a signal's row: a bar for each phase's reading, as a share of a quiet day, and its alerts below."""
    full, highest = _SERVICE - 9, max(1.0, *signal.levels.values())
    for place, span in enumerate(axis.spans):
        left, width = axis.of(place)
        level = signal.levels.get(span.name)
        if level is None:
            yield element("path", d=f"M{left:.1f} {top + full:.1f}h{width:.1f}", class_="pg-unmeasured")
            continue
        high = full * level / highest
        class_ = "pg-signal pg-modelled" if span.name in signal.modelled else "pg-signal"
        yield _rect(left, width, top + full - high, max(high, 0.7), class_)
    for alert in signal.alerts:
        left = max(axis.x(alert.begins), axis.left)
        right = min(axis.x(alert.ends or axis.end), axis.right)
        if right > left:
            class_ = "pg-alert" if alert.level == "critical" else "pg-alert pg-warning"
            yield _rect(left, right - left, top + full + 1, 4, class_)


def _order(axis: Axis, order: Order, top: float) -> Iterator[Html]:
    for begin, end in order.stretches:
        left, right = max(axis.x(begin), axis.left), axis.x(end or axis.end)
        yield _rect(left, right - left, top + 2, _ORDER - 6, "pg-fault" if order.is_fault else "pg-order")


def _called(order: Order) -> str:
    return f"▽ {order.name}" if order.is_fault else order.name


def _label(text: str, y: float) -> Html:
    shown = text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"
    return element("text", element("title", text), shown, x=_LEFT - 8, y=_figure(y), text_anchor="end")


def _rect(left: float, width: float, top: float, height: float, class_: str, id_: str | None = None) -> Html:
    return element(
        "rect", x=_figure(left), y=_figure(top), width=_figure(max(width, 0.5)), height=_figure(height),
        class_=class_, id_=id_,
    )  # fmt: skip


def _figure(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
